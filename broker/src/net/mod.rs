//! The tokio drivers: they move bytes and tell the core the time. They decide nothing.

pub mod clock;
mod connection;
mod core_task;
pub mod listener;
pub mod server;
