//! The worlds, what is judged in them, and what is shown of them.
//!
//! One program for all of it, since each one of its own costs another link of the whole crate.

mod access;
mod agenda;
mod at_edge;
mod cli;
mod crash;
mod cuts;
mod determinism;
mod diagram;
mod disk;
mod events_world;
mod executor;
mod exhaust;
mod fleet;
mod html;
mod invariants;
mod journal;
mod liars;
mod outcomes;
mod refusals;
mod rules;
mod seed;
mod storms;
#[path = "../told/mod.rs"]
mod told;
mod trace;
mod traces;
mod turmoil_storms;
mod turmoil_world;
mod wall_clock;
mod wrap;
