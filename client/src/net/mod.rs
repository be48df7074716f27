//! The driver: tokio's sockets and timers on one side, the core in the middle, an async handle on the other.

pub mod clock;
pub mod connector;
pub mod driver;
pub mod handle;

mod inbox;
