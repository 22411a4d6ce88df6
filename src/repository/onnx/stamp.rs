//! The stamp: the version, inside the ONNX file itself.
//!
//! It is the entry `model_version` of the file's `metadata_props`. Writing it
//! changes that entry alone: every other byte stays, in its order.

use super::{
    OnnxError,
    wire::{self, Content, Message},
};
use crate::repository::Version;

/// The key of the stamp in `metadata_props`.
pub const KEY: &str = "model_version";

/// `ModelProto.metadata_props`.
const METADATA_PROPS: u64 = 14;

/// The stamp of an ONNX file, whatever text it is; `None` where there is none.
///
/// # Errors
/// When the bytes are no protobuf, or bear two stamps that disagree.
pub fn read(file: &[u8]) -> Result<Option<String>, OnnxError> {
    let mut found: Option<String> = None;
    for (_, stamp) in stamps(file)? {
        match found {
            Some(first) if first != stamp => return Err(OnnxError::TwoStamps(first, stamp)),
            _ => found = Some(stamp),
        }
    }
    Ok(found)
}

/// The same ONNX file with `version` as its only stamp: in the place of the
/// one that it bears, else at its end.
///
/// # Errors
/// When the bytes are no protobuf.
pub fn write(file: &[u8], version: &Version) -> Result<Vec<u8>, OnnxError> {
    let mut entry = Vec::new();
    wire::put_bytes(&mut entry, 1, KEY.as_bytes());
    wire::put_bytes(&mut entry, 2, version.to_string().as_bytes());
    let mut field = Vec::new();
    wire::put_bytes(&mut field, METADATA_PROPS, &entry);

    let mut out = Vec::with_capacity(file.len() + field.len());
    let mut copied = 0;
    let mut written = false;
    for (span, _) in stamps(file)? {
        out.extend_from_slice(&file[copied..span.start]);
        copied = span.end;
        if !written {
            out.extend_from_slice(&field);
            written = true;
        }
    }
    out.extend_from_slice(&file[copied..]);
    if !written {
        out.extend_from_slice(&field);
    }
    Ok(out)
}

/// Every stamp with the place of its field.
fn stamps(file: &[u8]) -> Result<Vec<(std::ops::Range<usize>, String)>, OnnxError> {
    let mut found = Vec::new();
    for field in Message::file(file).fields() {
        let field = field?;
        let (METADATA_PROPS, Content::Bytes(message)) = (field.number, field.content) else {
            continue;
        };
        let (key, value) = entry(message)?;
        if key == KEY {
            found.push((field.span, value));
        }
    }
    Ok(found)
}

/// A `StringStringEntryProto`: the last of each field counts.
pub(super) fn entry(message: Message<'_>) -> Result<(String, String), OnnxError> {
    let (mut key, mut value) = (String::new(), String::new());
    for field in message.fields() {
        let field = field?;
        match (field.number, field.content) {
            (1, Content::Bytes(text)) => key = text.text().into_owned(),
            (2, Content::Bytes(text)) => value = text.text().into_owned(),
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::onnx::sample;
    use proptest::prelude::*;

    #[test]
    fn a_stamp_is_written_read_and_replaced() {
        let bare = sample::linear(2.0, 6.0);
        assert_eq!(read(&bare), Ok(None));
        let first = write(&bare, &Version::new(1, 0, 0)).unwrap();
        assert_eq!(read(&first), Ok(Some("v1.0.0".to_owned())));
        assert!(first.starts_with(&bare), "nothing before the stamp changes");
        let second = write(&first, &Version::new(1, 10, 0)).unwrap();
        assert_eq!(read(&second), Ok(Some("v1.10.0".to_owned())));
        assert!(second.starts_with(&bare));
        assert_eq!(write(&second, &Version::new(1, 10, 0)).unwrap(), second);
    }

    #[test]
    fn two_stamps_that_disagree_are_an_error_and_writing_leaves_one() {
        let mut file = sample::linear(2.0, 6.0);
        for version in ["v1.0.0", "v2.0.0"] {
            let mut entry = Vec::new();
            wire::put_bytes(&mut entry, 1, KEY.as_bytes());
            wire::put_bytes(&mut entry, 2, version.as_bytes());
            wire::put_bytes(&mut file, METADATA_PROPS, &entry);
        }
        let error = read(&file).unwrap_err().to_string();
        assert!(
            error.contains("v1.0.0") && error.contains("v2.0.0"),
            "{error}"
        );
        let mended = write(&file, &Version::new(3, 0, 0)).unwrap();
        assert_eq!(read(&mended), Ok(Some("v3.0.0".to_owned())));
    }

    #[test]
    fn text_is_no_onnx_file() {
        assert!(read(b"hello, this is no model").is_err());
    }

    /// The file without its stamps.
    fn without(file: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut copied = 0;
        for (span, _) in stamps(file).unwrap() {
            out.extend_from_slice(&file[copied..span.start]);
            copied = span.end;
        }
        out.extend_from_slice(&file[copied..]);
        out
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
            let _ = write(&bytes, &Version::new(1, 2, 3));
        }

        /// Fields of any number, stamps and other metadata among them.
        #[test]
        fn only_the_stamp_changes(fields in prop::collection::vec((1u64..30, prop::collection::vec(any::<u8>(), 0..40), 0usize..4), 0..12), v: (u16, u16, u16)) {
            let mut file = Vec::new();
            for (number, content, kind) in &fields {
                let mut entry = Vec::new();
                match kind {
                    0 => wire::put_bytes(&mut entry, 1, KEY.as_bytes()),
                    1 => wire::put_bytes(&mut entry, 1, b"author"),
                    _ => {}
                }
                if *kind < 2 {
                    wire::put_bytes(&mut entry, 2, content);
                    wire::put_bytes(&mut file, METADATA_PROPS, &entry);
                } else if *number != METADATA_PROPS {
                    wire::put_bytes(&mut file, *number, content);
                }
            }
            let version = Version::new(v.0.into(), v.1.into(), v.2.into());
            let stamped = write(&file, &version).unwrap();
            prop_assert_eq!(read(&stamped), Ok(Some(version.to_string())));
            prop_assert_eq!(without(&stamped), without(&file));
        }
    }
}
