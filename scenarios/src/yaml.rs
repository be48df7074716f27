//! YAML, read once into a tree whose nodes know where they stand, and types read from that.
//!
//! The language has a hundred types, and whatever reads them is compiled once for each: so it is small, and all that is large
//! about YAML lies behind it, in a parser that knows no types.

mod reader;
mod tree;

pub(crate) use reader::{Fault, PLACED, read};
