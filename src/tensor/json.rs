//! Tensors in the JSON of the Open Inference Protocol.
//!
//! Data comes flat or nested, row-major, and goes out flat. NaN and the
//! infinities, for which JSON has no numbers, are the strings `"NaN"`,
//! `"Infinity"` and `"-Infinity"` both ways, as in protobuf's JSON mapping.

mod read;
mod write;

pub use self::{read::read_data, write::write_data};
