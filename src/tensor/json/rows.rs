//! JSON rows of numbers → one tensor, in one pass.

use half::{bf16, f16};

use super::{read::Element, scan::Scanner};
use crate::tensor::{DType, Shape, Tensor};

/// Reads a JSON list of rows, each a list of `width` numbers, as a tensor of
/// shape rows × `width`, or of as many elements as rows where `is_flat`.
///
/// `None` where anything else comes next: who has to say what is wrong with
/// it reads it in another way.
pub fn read_rows(
    dtype: DType,
    width: usize,
    is_flat: bool,
    scanner: &mut Scanner<'_>,
) -> Option<Tensor> {
    if dtype == DType::Bytes {
        return None;
    }
    macro_rules! read {
        ($type:ty, $new:expr) => {{
            let (rows, elements) = collect::<$type>(width, scanner)?;
            let shape = if is_flat {
                Shape::from([rows])
            } else {
                Shape::from([rows, width])
            };
            $new(shape, elements).ok()
        }};
    }
    by_type!(dtype, read)
}

fn collect<T: Element>(width: usize, scanner: &mut Scanner<'_>) -> Option<(usize, Vec<T>)> {
    if !scanner.take(b'[') {
        return None;
    }
    let mut rows = 0;
    let mut elements = Vec::with_capacity(width);
    loop {
        row(width, scanner, &mut elements)?;
        rows += 1;
        if scanner.take(b',') {
            continue;
        }
        return scanner.take(b']').then_some((rows, elements));
    }
}

fn row<T: Element>(width: usize, scanner: &mut Scanner<'_>, elements: &mut Vec<T>) -> Option<()> {
    if !scanner.take(b'[') {
        return None;
    }
    for column in 0..width {
        if column > 0 && !scanner.take(b',') {
            return None;
        }
        let first = scanner.peek()?;
        // The words for what is not a number are text in a row.
        if first == b'"' {
            return None;
        }
        elements.push(T::read(first, scanner)?);
    }
    scanner.take(b']').then_some(())
}
