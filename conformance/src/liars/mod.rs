//! The liars: each breaks one rule of an otherwise honest subject. A test that does not notice its liar checks nothing.

pub(crate) mod filter;
