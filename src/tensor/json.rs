//! Tensors in the JSON of the Open Inference Protocol.
//!
//! Data comes flat, or nested as the shape says, row-major, and goes out flat.
//! NaN and the infinities, for which JSON has no numbers, are the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"` both ways, as in protobuf's JSON
//! mapping. Text is scanned straight into the tensor's own vector: there is no
//! tree of values in between.

/// `$read!(type, constructor)` with the type of JSON's elements for a datatype,
/// and what makes a tensor of them.
macro_rules! by_type {
    ($dtype:expr, $read:ident) => {
        match $dtype {
            DType::Bool => $read!(bool, Tensor::bools),
            DType::U8 => $read!(u8, Tensor::new),
            DType::U16 => $read!(u16, Tensor::new),
            DType::U32 => $read!(u32, Tensor::new),
            DType::U64 => $read!(u64, Tensor::new),
            DType::I8 => $read!(i8, Tensor::new),
            DType::I16 => $read!(i16, Tensor::new),
            DType::I32 => $read!(i32, Tensor::new),
            DType::I64 => $read!(i64, Tensor::new),
            DType::F16 => $read!(f16, Tensor::new),
            DType::BF16 => $read!(bf16, Tensor::new),
            DType::F32 => $read!(f32, Tensor::new),
            DType::F64 => $read!(f64, Tensor::new),
            DType::Bytes => $read!(String, Tensor::text),
        }
    };
}

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
