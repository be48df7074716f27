//! The liars: each breaks one rule of an otherwise honest subject. A test that does not notice its liar checks nothing.

pub mod crude;
pub(crate) mod exchanges;
pub(crate) mod filter;
pub(crate) mod subscribing;
