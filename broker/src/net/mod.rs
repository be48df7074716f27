//! The tokio drivers: they move bytes and tell the core the time. They decide nothing.

pub mod clock;
mod connection;
pub mod listener;
pub mod server;
