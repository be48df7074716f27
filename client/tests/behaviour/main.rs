//! The client's core against a server that a test plays, in virtual time: one behaviour each.

mod connect;
mod keep_alive;
mod limits;
mod misbehaviour;
mod publish;
mod receive;
mod reconnect;
mod session;
mod subscribe;
mod support;
