//! The model that a message is for, known before the message is read.

/// The model and the version that a request of `length` bytes names, where
/// its `start` says both: fields are commonly written in their order.
pub(super) fn named(start: &[u8], length: usize) -> Option<(&str, &str)> {
    const MODEL: u8 = 1 << 3 | 2;
    const VERSION: u8 = 2 << 3 | 2;
    fn text(field: &[u8]) -> Option<(&str, &[u8])> {
        // Names are short: their length is one byte.
        let (&size, rest) = field.split_first().filter(|(size, _)| **size < 0x80)?;
        let (text, rest) = rest.split_at_checked(size.into())?;
        Some((std::str::from_utf8(text).ok()?, rest))
    }
    let start = &start[..start.len().min(length)];
    let (model, rest) = text(start.strip_prefix(&[MODEL])?)?;
    match rest.strip_prefix(&[VERSION]) {
        Some(rest) => Some((model, text(rest)?.0)),
        // Another field follows, or none does.
        None => (!rest.is_empty() || start.len() == length).then_some((model, "")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prost::Message as _;

    use super::*;
    use crate::transport::grpc::proto::ModelInferRequest;

    #[test]
    fn the_model_is_known_before_all_is_read() {
        for (model, version) in [("linear", ""), ("linear", "v1.0.0"), ("é", "v1.0.0")] {
            let request = ModelInferRequest {
                model_name: model.to_owned(),
                model_version: version.to_owned(),
                raw_input_contents: vec![Bytes::from(vec![0; 100])],
                ..ModelInferRequest::default()
            };
            let message = request.encode_to_vec();
            for known in 0..=message.len() {
                let found = named(&message[..known], message.len());
                if let Some(found) = found {
                    assert_eq!(found, (model, version));
                }
                let needed = match version.len() {
                    0 => 3 + model.len(),
                    more => 4 + model.len() + more,
                };
                assert_eq!(found.is_some(), known >= needed, "{known}");
            }
        }
        assert_eq!(named(b"\x0a\x01a", 3), Some(("a", "")));
        assert_eq!(named(b"\x0a\x01a", 4), None);
        assert_eq!(named(b"\x0a\xff\xff", 9), None);
    }
}
