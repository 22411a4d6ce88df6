//! Protobuf's wire format: fields in order, borrowed, with their places.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use std::{borrow::Cow, ops::Range};

use super::OnnxError;

/// One field of a message.
#[derive(Debug, Clone)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) content: Content<'a>,
    /// Where the whole field stands in the file, its tag included.
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64(&'a [u8]),
    Fixed32(&'a [u8]),
    /// A message, text, bytes, or packed numbers.
    Bytes(Message<'a>),
}

/// Bytes, and where they start in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) bytes: &'a [u8],
    start: usize,
}

impl<'a> Message<'a> {
    /// A whole file.
    pub(super) fn file(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0 }
    }

    /// The fields in order; ends after the first error.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields {
            message: self,
            at: 0,
            failed: false,
        }
    }

    /// Where it stands in the file.
    pub(super) fn span(self) -> Range<usize> {
        self.start..self.start + self.bytes.len()
    }

    pub(super) fn text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    pub(super) fn malformed(self, reason: &'static str) -> OnnxError {
        OnnxError::Malformed {
            at: self.start,
            reason,
        }
    }

    /// The numbers of a packed field.
    pub(super) fn packed(self) -> impl Iterator<Item = Result<u64, OnnxError>> + 'a {
        let mut fields = self.fields();
        std::iter::from_fn(move || {
            (!fields.failed && fields.at < fields.message.bytes.len()).then(|| fields.varint())
        })
    }
}

pub(super) struct Fields<'a> {
    message: Message<'a>,
    at: usize,
    failed: bool,
}

impl<'a> Fields<'a> {
    fn fail<T>(&mut self, reason: &'static str) -> Result<T, OnnxError> {
        self.failed = true;
        Err(OnnxError::Malformed {
            at: self.message.start + self.at,
            reason,
        })
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], OnnxError> {
        let bytes = self.message.bytes;
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| self.at.checked_add(count));
        match end.and_then(|end| bytes.get(self.at..end)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => self.fail("a field ends beyond its message"),
        }
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.fail("a number of more than ten bytes")
    }

    fn field(&mut self) -> Result<Field<'a>, OnnxError> {
        let start = self.message.start + self.at;
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number >= 1 << 29 {
            return self.fail("a field without a valid number");
        }
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(self.take(8)?),
            2 => {
                let length = self.varint()?;
                let start = self.message.start + self.at;
                let bytes = self.take(length)?;
                Content::Bytes(Message { bytes, start })
            }
            5 => Content::Fixed32(self.take(4)?),
            _ => return self.fail("a field of an unknown kind"),
        };
        Ok(Field {
            number,
            content,
            span: start..self.message.start + self.at,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, OnnxError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.failed && self.at < self.message.bytes.len()).then(|| self.field())
    }
}

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a field of bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes: Vec<u8>) {
            let fields: Vec<_> = Message::file(&bytes).fields().collect();
            prop_assert!(fields.len() <= bytes.len());
            let _ = Message::file(&bytes).packed().count();
        }

        #[test]
        fn fields_fill_the_message(fields in prop::collection::vec((1u64..1 << 29, prop::collection::vec(any::<u8>(), 0..300)), 0..8)) {
            let mut bytes = Vec::new();
            for (number, content) in &fields {
                put_bytes(&mut bytes, *number, content);
            }
            let mut end = 0;
            for (field, (number, content)) in Message::file(&bytes).fields().zip(&fields) {
                let field = field.unwrap();
                prop_assert_eq!(field.number, *number);
                prop_assert_eq!(field.span.start, end);
                end = field.span.end;
                let Content::Bytes(message) = field.content else { panic!("bytes") };
                prop_assert_eq!(message.bytes, &content[..]);
            }
            prop_assert_eq!(end, bytes.len());
        }
    }
}
