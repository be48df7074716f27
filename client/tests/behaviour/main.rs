//! The client's core against a server that a test plays, in virtual time: one behaviour each.

mod aliases;
mod authentication;
mod connect;
mod cuts;
mod durable;
mod expiry;
mod keep_alive;
mod lies;
mod limits;
mod misbehaviour;
mod publish;
mod receive;
mod reconnect;
mod redirection;
mod renewal;
mod session;
mod subscribe;
mod support;
