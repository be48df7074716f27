//! The server without I/O: told the time, asked for nothing. Everything here is decided by inputs and the clock handed in.

pub mod access;
pub mod acl;
mod acl_tree;
mod admission;
mod aliasing;
mod authenticating;
pub mod broker;
mod closing;
pub mod config;
mod connection;
pub mod effect;
mod explaining;
mod figures;
mod handshake;
mod hash;
pub mod limits;
mod outbox;
mod placing;
mod pressure;
mod publishing;
pub mod restore;
mod retained;
mod route;
mod sending;
mod session;
mod shared;
mod shortage;
mod state;
pub mod statistics;
mod subscribing;
mod subscriptions;
mod timers;
mod will;

pub use hash::HashKey;
