//! What a reviewer's machine can verify of a model, and what it can show of a
//! change.
//!
//! [`check::check`] finds everything that is wrong in a repository. [`diff()`]
//! is the review of a change: what a person needs to see before they merge it.

pub mod check;
mod diff;
pub mod exercise;
pub mod git;
pub mod html;
mod markdown;
mod pairs;
mod quantities;
pub mod report;
pub mod rows;
mod sampling;
mod side;
mod step;
mod svg;
pub mod unrepeated;

pub use self::{
    diff::{Request, diff},
    html::html,
    markdown::markdown,
    quantities::size,
    sampling::Sampler,
    side::{History, Side, SideError, same_bytes},
};
