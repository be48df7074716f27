//! An MQTT client for 3.1, 3.1.1 and 5.0.
//!
//! `core` decides and does no I/O; `net` (feature `net`) moves its bytes and gives the application an async handle.
#![warn(missing_docs)]

pub mod core;
#[cfg(feature = "net")]
pub mod net;
pub mod options;
#[cfg(feature = "scram")]
pub mod scram;

/// The README compiles.
#[cfg(all(doctest, feature = "transports"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
