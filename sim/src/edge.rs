//! What passes the server's edge: the packets that it gets and sends, in the order in which it does, and the ends of its
//! connections. Whoever stands there knows what the server knows.

use std::time::Duration;

use squall_codec::{
    error::DecodeError,
    packet::{Packet, Publish},
    version::Version,
};
use squall_scenarios::outage::{DiskState, Stop};

/// One thing that passes.
#[derive(Clone, Copy, Debug)]
pub enum Edge<'a> {
    /// A client has opened the connection: its position among the clients.
    Opened(usize),
    /// The server gets a packet.
    ToServer(&'a Packet),
    /// The server gets bytes that are no packet: behind them it reads nothing.
    Malformed {
        /// What is spoken there, if that is known.
        version: Option<Version>,
        /// What is wrong with them, if that is known: a liar may see another end of them than the server.
        error: Option<&'a DecodeError>,
    },
    /// The server sends a packet.
    ToClient(&'a Packet),
    /// The server learns that the connection has ended.
    EndedByClient,
    /// The server closes the connection.
    EndedByServer,
}

/// Somebody who stands at the server's edge, and who is told what the clients hand to their applications.
pub trait Witness {
    /// Something passes on a connection. Connections are numbered in the order of their opening.
    fn passes(&mut self, now: Duration, connection: usize, what: Edge<'_>);

    /// The server goes down. Its connections are over without another word.
    fn stops(&mut self, now: Duration, how: Stop);

    /// It runs again.
    fn starts(&mut self, now: Duration);

    /// The disk under the server's store is in this state from now on.
    fn disk(&mut self, now: Duration, state: DiskState);

    /// A client hands a message to its application.
    fn handed(&mut self, now: Duration, client: usize, message: &Publish);

    /// The application will not have a message that it was handed.
    fn refused(&mut self, now: Duration, client: usize, message: &Publish);

    /// Something is written on a client's connection of which its core knows nothing: from here on it is not the core's fault what
    /// rules are broken there.
    fn slips(&mut self, client: usize);
}
