//! The virtual worlds: the real broker and the real clients, virtual time, faults, one seed.
//!
//! Import a name from the module that defines it.
#![warn(missing_docs)]

pub mod events;
mod notes;
mod panics;
pub mod run;
pub mod seed;
mod told;
pub mod turmoil;
