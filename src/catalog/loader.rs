//! A candidate → a servable that has proved itself.

use std::{sync::Arc, time::Instant};

use super::{
    card::{Card, Facts, Origin},
    cases, sample,
    servable::Servable,
};
use crate::{
    engine::{Engine, EngineError, Model, Session as _, Threads, Timed},
    repository::{self, Candidate, Problem, VerifiedModel, signature::Trusted},
    scheduler::{Host, Plan, Scheduler, Settings},
    telemetry::Metrics,
};

/// Threads inside one run, unless set. An instance for each processor, each of
/// one thread, answers more requests than one instance that has to bring its
/// threads together after every operator; a model whose single run must be
/// short sets `intra_threads`.
const INTRA_THREADS: usize = 1;

/// Why a candidate did not become a servable.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The repository's files are not right.
    #[error("{}", lines(.0))]
    Repository(Vec<Problem>),
    /// The engine can't load or run the model.
    #[error("{model}: {error}")]
    Engine {
        /// Name and version.
        model: String,
        /// The engine's reason.
        error: EngineError,
    },
    /// A fault of ours, or of the engine's.
    #[error("{0}: loading it panicked")]
    Panicked(String),
    /// It ended the process that proved it first.
    #[error("{model}: a process of its own that loaded it was ended by signal {signal}")]
    Ended {
        /// Name and version.
        model: String,
        /// The signal's number.
        signal: i32,
    },
    /// A golden case does not hold.
    #[error("{model}: the golden case \"{case}\" does not hold: {reason}")]
    Golden {
        /// Name and version.
        model: String,
        /// The case's file, less its ending.
        case: String,
        /// What differs, or why it can't be run.
        reason: String,
    },
}

impl LoadError {
    /// Whether the same files may load the next time, since the machine lacked
    /// something.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Repository(problems) => problems.iter().any(|problem| problem.may_pass),
            Self::Engine { error, .. } => error.may_pass(),
            Self::Panicked(_) | Self::Ended { .. } | Self::Golden { .. } => false,
        }
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}

/// Loads and proves models, one at a time or several.
pub struct Loader {
    /// What runs them.
    pub engine: Arc<dyn Engine>,
    /// What the machine offers.
    pub host: Host,
    /// Settings for what a model's own manifest leaves open.
    pub defaults: Settings,
    /// Where the files came from.
    pub origin: Origin,
    /// Whose signatures count.
    pub trust: Trusted,
    /// Where their figures go.
    pub metrics: Metrics,
}

impl Loader {
    /// Reads, verifies, loads, measures and proves `candidate`, and warms it
    /// up. May take seconds.
    ///
    /// # Errors
    /// The first thing that does not hold; of the repository's files, all.
    pub fn load(&self, candidate: &Candidate) -> Result<Servable, LoadError> {
        let started = Instant::now();
        let verified = repository::read_trusted(candidate, &self.trust.now())
            .map_err(LoadError::Repository)?;
        let named = format!("{} {}", verified.id.name, verified.id.version);
        let failed = |error| LoadError::Engine {
            model: named.clone(),
            error,
        };
        let settings = verified.manifest.scheduling.or(&self.defaults);
        let (model, plan) = self.plan(&verified, &settings).map_err(|e| match e {
            Unfit::Engine(error) => failed(error),
            Unfit::Golden(case, reason) => LoadError::Golden {
                model: named.clone(),
                case,
                reason,
            },
        })?;
        let id = verified.id;
        let metrics = self.metrics.model(
            &id.name,
            &id.version.to_string(),
            &verified.manifest.graph().sha256.to_string(),
            verified.signed.state(),
        );
        let scheduler = Scheduler::start(&model, plan.clone(), &metrics).map_err(failed)?;
        let card = Card::new(Facts {
            id: &id,
            manifest: &verified.manifest,
            signature: model.signature(),
            origin: &self.origin,
            signed: verified.signed.to_string(),
            cases: verified.cases.iter().map(|c| c.name.clone()).collect(),
            plan,
            engine: self.engine.version(),
            load: started.elapsed(),
        });
        Ok(Servable {
            cases: cases::kept(&verified.cases),
            version_text: id.version.to_string().into(),
            id,
            manifest: verified.manifest,
            card,
            signature: model.signature().clone(),
            scheduler,
            metrics,
        })
    }

    /// Loads the model, proves it and chooses how to schedule it.
    fn plan(
        &self,
        verified: &VerifiedModel,
        settings: &Settings,
    ) -> Result<(Arc<dyn Model>, Plan), Unfit> {
        let intra = settings.intra_threads.unwrap_or(INTRA_THREADS).max(1);
        let model = self.engine.load(&verified.bytes, Threads { intra })?;
        let signature = model.signature();
        let mut session = Timed::new(model.session()?, settings.max_run_time());
        let mut samples = Vec::with_capacity(verified.cases.len());
        for case in &verified.cases {
            let wrong = |reason: String| Unfit::Golden(case.name.clone(), reason);
            let inputs = case.arrange(signature).map_err(|e| wrong(e.to_string()))?;
            let outputs = session.run(&inputs).map_err(|e| wrong(e.to_string()))?;
            case.verify(signature, &outputs, verified.manifest.tolerance)
                .map_err(|e| wrong(e.to_string()))?;
            samples.push(inputs);
        }
        if samples.is_empty() {
            // A model without golden cases is warmed up with zeros, where it
            // takes them: some models, rightly, don't.
            samples.extend(sample::zeros(signature).filter(|s| session.run(s).is_ok()));
        }
        let plan = Plan::choose(
            &mut session,
            signature,
            &samples,
            verified.manifest.tolerance,
            settings,
            self.host,
            intra,
        )?;
        Ok((model, plan))
    }
}

enum Unfit {
    Engine(EngineError),
    /// The case and what is wrong with it.
    Golden(String, String),
}

impl From<EngineError> for Unfit {
    fn from(error: EngineError) -> Self {
        Unfit::Engine(error)
    }
}
