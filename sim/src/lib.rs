//! The virtual worlds: the real broker and the real clients, virtual time, faults, one seed.
//!
//! Import a name from the module that defines it.
#![warn(missing_docs)]

mod access;
pub mod diagram;
pub mod disk;
pub mod edge;
pub mod events;
pub mod exhaust;
pub mod history;
pub mod invariants;
pub mod journal;
pub mod meddler;
pub mod model;
mod panics;
pub mod run;
pub mod scribe;
pub mod seed;
pub mod show;
pub mod storm;
pub mod story;
pub mod subject;
mod told;
pub mod trace;
pub mod turmoil;
pub mod wall_clock;
pub mod world;
