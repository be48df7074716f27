//! An MQTT 3.1, 3.1.1 and 5.0 server: `core` decides and does no I/O, `net` moves bytes, `store` keeps what must survive.
#![warn(missing_docs)]

pub mod core;
#[cfg(feature = "net")]
pub mod net;
pub mod store;
#[cfg(feature = "users")]
pub mod users;
