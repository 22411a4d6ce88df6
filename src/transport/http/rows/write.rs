//! Rows of a model's outputs → JSON.

use crate::{
    engine::{MapKey, Output},
    tensor::json::write_special,
};

/// Appends row `row` of `output` as JSON: one value, an array of them, or an
/// object by the keys of a map.
/// NaN and the infinities, for which JSON has no numbers, are the strings of the
/// protocol: `"NaN"`, `"Infinity"`, `"-Infinity"`.
pub(in crate::transport::http) fn write_row(
    output: &Output,
    row: usize,
    rows: usize,
    out: &mut Vec<u8>,
) {
    let width = output.tensor.len().checked_div(rows).unwrap_or(0);
    let write = |index: usize, out: &mut Vec<u8>| {
        let index = row * width + index;
        if !output.tensor.write_element(index, out) {
            write_special(&output.tensor, index, out);
        }
    };
    if let Some(keys) = &output.keys {
        for (index, key) in keys.iter().enumerate() {
            out.push(if index == 0 { b'{' } else { b',' });
            let name = match key {
                MapKey::Int(n) => n.to_string(),
                MapKey::Text(text) => text.clone(),
            };
            let _ = serde_json::to_writer(&mut *out, &name);
            out.push(b':');
            write(index, out);
        }
        if keys.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        return;
    }
    let is_single =
        output.tensor.shape().len() <= 1 || (output.tensor.shape().len() == 2 && width == 1);
    if is_single && width == 1 {
        return write(0, out);
    }
    out.push(b'[');
    for index in 0..width {
        if index > 0 {
            out.push(b',');
        }
        write(index, out);
    }
    out.push(b']');
}
