//! The driver: tokio's sockets and timers on one side, the core in the middle, an async handle on the other.

pub mod clock;
pub mod connector;
pub mod driver;
pub mod handle;
pub mod keeper;
pub mod messages;
pub mod request;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "transports")]
pub mod tls;
#[cfg(feature = "transports")]
pub mod transport;
#[cfg(feature = "transports")]
pub mod url;
#[cfg(feature = "transports")]
pub mod websocket;

mod carrier;
mod inbox;
mod outbox;
mod prover;
mod requests;
mod router;
