//! A model's numbers in the form of the protocol's statistics extension.

use std::ops::AddAssign;

/// How often something happened, and how long it took in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Time {
    /// How often.
    pub count: u64,
    /// Nanoseconds, summed.
    pub ns: u64,
}

impl AddAssign for Time {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.ns += other.ns;
    }
}

/// The statistics of one version of one model since it was loaded. Field names
/// are the protocol's.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Statistics {
    /// When a request last succeeded, in milliseconds since 1970; 0: never.
    pub last_inference: u64,
    /// Rows that were run.
    pub inference_count: u64,
    /// Runs: smaller than the rows where batching works.
    pub execution_count: u64,
    /// Where the time went.
    pub inference_stats: InferStatistics,
    /// The runs by batch size.
    pub batch_stats: Vec<BatchStatistics>,
}

/// Where the time went. `success` and `fail` count requests, as does `queue`;
/// the `compute` fields count runs, which batching makes fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct InferStatistics {
    /// Requests that were answered, from arrival to answer.
    pub success: Time,
    /// Requests that were not, whatever the reason.
    pub fail: Time,
    /// Waiting in the queue.
    pub queue: Time,
    /// Making batches from requests.
    pub compute_input: Time,
    /// Running the model.
    pub compute_infer: Time,
    /// Splitting the outputs.
    pub compute_output: Time,
    /// Always zero: there is no cache of responses.
    pub cache_hit: Time,
    /// Always zero.
    pub cache_miss: Time,
}

/// The runs of one batch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct BatchStatistics {
    /// The rows of these runs.
    pub batch_size: u64,
    /// Making the batch from its requests.
    pub compute_input: Time,
    /// Running the model.
    pub compute_infer: Time,
    /// Splitting the outputs.
    pub compute_output: Time,
}
