//! The normative statements of MQTT, the tests that prove them, and the runner that audits any broker.
#![warn(missing_docs)]

pub mod baseline;
pub mod capabilities;
pub mod capture;
pub mod dial;
pub mod event;
pub mod expected;
pub mod launch;
mod liars;
pub mod live;
mod live_audit;
#[cfg(feature = "own-broker")]
mod lying_web_socket;
#[cfg(feature = "own-broker")]
pub mod noticed;
#[cfg(feature = "own-broker")]
pub mod own;
mod place;
pub mod preflight;
pub mod profile;
pub mod report;
pub mod run;
pub mod select;
#[cfg(feature = "own-broker")]
pub mod selftest;
pub mod setup;
pub mod statement;
pub mod stop;
pub mod stories;
#[cfg(feature = "own-broker")]
pub mod storm;
pub mod suite;
mod sweep;
pub mod tally;
pub mod target;
pub mod test;
pub mod tests;
mod topics;
pub mod web_socket_frame;

pub use liars::{crude, planted};
