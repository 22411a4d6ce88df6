//! Putting tensors together by rows, and taking them apart again.

use bytes::BytesMut;

use super::{Data, Tensor};
use crate::error::{Error, Result};

/// One tensor of all the rows of `parts`, in order. The parts must agree in
/// type and in every dimension but the first.
///
/// # Errors
/// `Invalid` when there are no parts, a part is a scalar, or parts disagree.
pub fn concatenate(parts: &[&Tensor]) -> Result<Tensor> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(Error::invalid("there are no rows to put together"));
    };
    if rest.is_empty() {
        return Ok((*first).clone());
    }
    let mut rows = 0;
    for part in parts {
        let Some(own) = part.shape.rows() else {
            return Err(Error::invalid("a scalar has no rows to put together"));
        };
        if part.dtype() != first.dtype() || part.shape[1..] != first.shape[1..] {
            return Err(Error::invalid(format!(
                "rows of {} {} and of {} {} do not go together",
                first.dtype(),
                first.shape,
                part.dtype(),
                part.shape
            )));
        }
        rows += own;
    }
    let data = match &first.data {
        Data::Fixed(dtype, _) => {
            let size = |part: &Tensor| match &part.data {
                Data::Fixed(_, bytes) => bytes.len(),
                Data::Text(_) => 0,
            };
            let mut bytes = BytesMut::with_capacity(parts.iter().map(|p| size(p)).sum());
            for part in parts {
                if let Data::Fixed(_, own) = &part.data {
                    bytes.extend_from_slice(own);
                }
            }
            Data::Fixed(*dtype, bytes.freeze())
        }
        Data::Text(_) => Data::Text(
            parts
                .iter()
                .flat_map(|p| p.strings().unwrap_or_default().iter().cloned())
                .collect(),
        ),
    };
    Ok(Tensor {
        shape: first.shape.with_rows(rows),
        data,
        parts: None,
    })
}

/// The rows of `whole` as one tensor for each of `counts`, in order; numbers
/// share the buffer of the whole.
///
/// # Errors
/// `Invalid` when the counts do not add up to the rows of the whole.
pub fn split(whole: &Tensor, counts: &[usize]) -> Result<Vec<Tensor>> {
    if counts == [whole.shape.rows().unwrap_or(1)] {
        return Ok(vec![whole.clone()]);
    }
    let rows = whole.shape.rows().unwrap_or(0);
    if counts.iter().sum::<usize>() != rows {
        return Err(Error::invalid(format!(
            "a tensor of {rows} rows does not split into {} parts of {} rows in all",
            counts.len(),
            counts.iter().sum::<usize>()
        )));
    }
    let stride = match &whole.data {
        Data::Fixed(_, bytes) => bytes.len().checked_div(rows).unwrap_or(0),
        Data::Text(text) => text.len().checked_div(rows).unwrap_or(0),
    };
    let mut start = 0;
    Ok(counts
        .iter()
        .map(|&count| {
            let range = start * stride..(start + count) * stride;
            start += count;
            Tensor {
                shape: whole.shape.with_rows(count),
                data: match &whole.data {
                    Data::Fixed(dtype, bytes) => Data::Fixed(*dtype, bytes.slice(range)),
                    Data::Text(text) => Data::Text(text[range].into()),
                },
                parts: None,
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn split_undoes_concatenate(counts in prop::collection::vec(0usize..5, 1..6), width in 0usize..4, text: bool) {
            let parts: Vec<Tensor> = counts
                .iter()
                .enumerate()
                .map(|(i, &rows)| {
                    let n = rows * width;
                    if text {
                        Tensor::text([rows, width], (0..n).map(|k| format!("{i}-{k}")).collect()).unwrap()
                    } else {
                        Tensor::new([rows, width], (0..n).map(|k| (i * 100 + k) as f32).collect()).unwrap()
                    }
                })
                .collect();
            let whole = concatenate(&parts.iter().collect::<Vec<_>>()).unwrap();
            prop_assert_eq!(split(&whole, &counts).unwrap(), parts);
        }
    }

    #[test]
    fn rows_of_other_width_are_refused() {
        let a = Tensor::new([1, 2], vec![1.0f32, 2.0]).unwrap();
        let b = Tensor::new([1, 1], vec![1.0f32]).unwrap();
        assert!(concatenate(&[&a, &b]).is_err());
        assert!(split(&a, &[2]).is_err());
    }
}
