//! Requests → batches → runs → answers.

mod settings;

pub use settings::{Placement, Settings};
