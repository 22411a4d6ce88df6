//! Behaviour of the real binary and library.
