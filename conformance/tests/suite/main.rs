//! What the library says and does, without a socket and without waiting: the data, the choice of tests, reports, and the whole
//! suite on servers that are hardly any.
//!
//! One program for all of it, since each one of its own costs another link of the whole crate.

#[cfg(feature = "own-broker")]
mod bounded;
mod catalogue;
mod computing;
mod crude;
mod documented;
mod far;
mod lagging;
mod late;
mod profiles;
mod reports;
mod runs;
mod selection;
mod target;
mod web_socket;
mod without_qos_2;
