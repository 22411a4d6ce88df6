//! Gathering the bytes of a tensor that come in pieces.

use bytes::Bytes;

use super::Elements;

/// Room for so many bytes, aligned for every element type, so that what is
/// gathered here is used where it lies.
#[derive(Debug)]
pub struct Buffer {
    words: Vec<u64>,
    size: usize,
    filled: usize,
}

impl Buffer {
    /// Room for `size` bytes. Memory is taken as it is filled.
    pub fn new(size: usize) -> Self {
        Self {
            words: vec![0; size.div_ceil(size_of::<u64>())],
            size,
            filled: 0,
        }
    }

    /// How many bytes are still to come.
    pub fn missing(&self) -> usize {
        self.size - self.filled
    }

    /// Takes as much of the front of `piece` as there is room for, and gives
    /// how much that was.
    pub fn fill(&mut self, piece: &[u8]) -> usize {
        let count = piece.len().min(self.missing());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        bytes[self.filled..self.filled + count].copy_from_slice(&piece[..count]);
        self.filled += count;
        count
    }

    /// What was gathered.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(Elements(self.words)).slice(..self.filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_together_aligned() {
        let mut buffer = Buffer::new(11);
        assert_eq!(buffer.fill(b"hello "), 6);
        assert_eq!(buffer.missing(), 5);
        assert_eq!(buffer.fill(b"world and more"), 5);
        let whole = buffer.freeze();
        assert_eq!(whole, "hello world");
        assert_eq!(whole.as_ptr().align_offset(8), 0);
        assert!(Buffer::new(0).freeze().is_empty());
    }
}
