//! The `modelship` command.

fn main() {}
