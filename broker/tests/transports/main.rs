//! The server over real sockets, through every transport that it has: the same conversation, and what each transport adds.
//!
//! No test waits for a fixed time. Each waits for an event, under one generous deadline that only a failure meets.

mod authorities;
mod client;
mod conversation;
mod flood;
mod garbage;
mod listeners;
mod proxy;
mod server;
mod tls;
mod websocket;
