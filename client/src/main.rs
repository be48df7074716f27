//! The program `client`.

fn main() {}
