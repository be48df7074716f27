//! What both ends of an MQTT connection share: the packets of 3.1, 3.1.1 and 5.0, topics, the QoS exchanges.
//!
//! Nothing here does I/O or reads a clock. Import a name from the module that defines it.
#![warn(missing_docs)]

pub mod error;
pub mod flow;
#[cfg(feature = "arbitrary")]
pub mod fuzzing;
#[cfg(feature = "arbitrary")]
pub mod generate;
pub mod packet;
pub mod property;
pub mod qos;
pub mod reason;
pub mod stream;
pub mod time;
pub mod topic;
pub mod version;
pub mod wire;
