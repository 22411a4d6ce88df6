//! What a reviewer's machine can verify of a model, and what it can show of a
//! change.
//!
//! [`check`] finds everything that is wrong in a repository.

pub mod check;
pub mod exercise;
pub mod git;
mod pairs;
pub mod rows;
mod sampling;
mod side;
mod step;

pub use self::{
    sampling::Sampler,
    side::{History, Side, SideError, same_bytes},
};
