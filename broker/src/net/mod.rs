//! The tokio drivers: they move bytes and tell the core the time. They decide nothing.

mod accept;
pub mod clock;
mod connection;
mod core_task;
#[cfg(feature = "users")]
pub mod hashing;
pub mod journal;
mod keeper;
pub mod listener;
mod mailbox;
#[cfg(feature = "transports")]
mod proxy;
pub mod server;
#[cfg(feature = "transports")]
pub mod tls;
pub mod transport;
#[cfg(feature = "transports")]
pub mod websocket;
