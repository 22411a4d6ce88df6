//! What the ONNX file says and ONNX Runtime does not tell: whether a value
//! without dimensions is a scalar, or of any rank.

use std::collections::HashSet;

/// Names of the graph's inputs and outputs that are tensors without a shape:
/// they may have any rank.
///
/// The file has been loaded by ONNX Runtime, so what this can't read is taken
/// for nothing said.
pub(super) fn of_any_rank(model: &[u8]) -> HashSet<String> {
    const MODEL_GRAPH: u64 = 7;
    const GRAPH_INPUT: u64 = 11;
    const GRAPH_OUTPUT: u64 = 12;
    let mut names = HashSet::new();
    for (number, graph) in Fields(model) {
        if number != MODEL_GRAPH {
            continue;
        }
        for (number, value) in Fields(graph) {
            if matches!(number, GRAPH_INPUT | GRAPH_OUTPUT)
                && let Some(name) = name_of_any_rank(value)
            {
                names.insert(name);
            }
        }
    }
    names
}

/// The name of a `ValueInfoProto` that is a tensor without a shape.
fn name_of_any_rank(value: &[u8]) -> Option<String> {
    const NAME: u64 = 1;
    const TYPE: u64 = 2;
    const TENSOR_TYPE: u64 = 1;
    const OPTIONAL_TYPE: u64 = 9;
    const ELEMENT_TYPE: u64 = 1;
    const SHAPE: u64 = 2;
    let name = field(value, NAME)?;
    let mut kind = field(value, TYPE)?;
    if let Some(optional) = field(kind, OPTIONAL_TYPE) {
        kind = field(optional, ELEMENT_TYPE)?;
    }
    let tensor = field(kind, TENSOR_TYPE)?;
    if field(tensor, SHAPE).is_some() {
        return None;
    }
    String::from_utf8(name.to_vec()).ok()
}

/// The last field of this number, which is the one that counts.
fn field(message: &[u8], wanted: u64) -> Option<&[u8]> {
    Fields(message)
        .filter(|(number, _)| *number == wanted)
        .last()
        .map(|(_, bytes)| bytes)
}

/// The fields of a protobuf message that have a length.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.varint()?;
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let size = usize::try_from(self.varint()?).ok()?;
                    return Some((key >> 3, self.take(size)?));
                }
                5 => drop(self.take(4)?),
                _ => return None,
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(front)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message of these fields.
    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            out.push(number << 3 | 2);
            out.push(u8::try_from(bytes.len()).unwrap());
            out.extend_from_slice(bytes);
        }
        out
    }

    #[test]
    fn a_scalar_has_a_shape_of_no_dimensions() {
        let tensor = |shaped: bool| {
            let mut tensor = vec![8, 1];
            if shaped {
                tensor.extend(message(&[(2, b"")]));
            }
            message(&[(1, &tensor)])
        };
        let optional = message(&[(9, &message(&[(1, &tensor(false))]))]);
        let sequence = message(&[(4, &message(&[(1, &tensor(false))]))]);
        let value = |name: &[u8], kind: &[u8]| message(&[(1, name), (2, kind)]);
        let graph = message(&[
            (11, &value(b"scalar", &tensor(true))),
            (11, &value(b"any", &tensor(false))),
            (11, &value(b"maybe", &optional)),
            (12, &value(b"several", &sequence)),
            (12, &value(b"y", &tensor(false))),
        ]);
        let names = of_any_rank(&message(&[(7, &graph)]));
        let expected = ["any", "maybe", "y"].map(str::to_owned);
        assert_eq!(names, HashSet::from(expected));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            of_any_rank(&bytes);
        }
    }
}
