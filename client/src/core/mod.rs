//! What the client does, without I/O: told the time, asked for nothing.

mod acknowledgements;
mod connection;
mod expiry;
mod handshake;
mod packets;
mod reconnect;
mod requests;
mod session;
mod subscriptions;

pub mod authentication;
pub mod client;
pub mod effect;
pub mod record;
pub mod redirection;
