//! What carries out `Effect::Persist`.

pub mod memory;
