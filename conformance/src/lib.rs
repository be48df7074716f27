//! The normative statements of MQTT, the tests that prove them, and the runner that audits any broker.
#![warn(missing_docs)]

mod liars;
pub mod test;
pub mod tests;
