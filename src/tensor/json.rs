//! Tensors in the JSON of the Open Inference Protocol.
//!
//! Data comes flat, or nested as the shape says, row-major, and goes out flat.
//! NaN and the infinities, for which JSON has no numbers, are the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"` both ways, as in protobuf's JSON
//! mapping. Text is scanned straight into the tensor's own vector: there is no
//! tree of values in between.

mod decimal;
mod read;
mod rows;
mod scan;
mod write;

pub use self::{
    read::{read_data, read_next},
    rows::read_rows,
    scan::Scanner,
    write::{write_data, write_special},
};

#[cfg(test)]
mod tests;
