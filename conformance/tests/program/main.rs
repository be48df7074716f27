//! The program and real sockets: what waits for a network stands here together.

mod cli;
mod launch;
mod storm;
mod transports;
