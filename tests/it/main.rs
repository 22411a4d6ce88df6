//! Behaviour of the real binary and library.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where it can't go on, its functions outside #[test] included"
)]

mod tidy;
