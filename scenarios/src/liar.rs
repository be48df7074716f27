//! A liar: a filter on the subject's side of the link that breaks one rule. A test that does not notice is no test.
//!
//! Raw frames, not packets: malformed ones must pass too. One liar is shared by all connections of a run, so that it can
//! carry what one client sent to another.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other way.
    pub const fn other(self) -> Direction {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }
}

impl fmt::Display for Direction {
    /// "to the server", "to the client".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::ToServer => "to the server",
            Direction::ToClient => "to the client",
        })
    }
}

/// What a liar does to a connection, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Deliver this frame (or these bytes) in this direction on this connection.
    Frame(u64, Direction, Bytes),
    /// End this connection: both sides see FIN.
    Close(u64),
}

/// A sans-io filter between the subject and its clients.
pub trait Liar {
    /// A connection was opened.
    fn opened(&mut self, _now: Duration, _connection: u64) {}

    /// A whole frame passes. What is pushed to `out` is delivered in its place; an honest filter pushes the frame.
    fn frame(&mut self, now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>);

    /// One side ended the connection (`direction` is the way the FIN or RST goes). `true`: pass it on, `false`: hide it.
    fn ended(&mut self, _now: Duration, _connection: u64, _direction: Direction, _out: &mut Vec<Lie>) -> bool {
        true
    }

    /// When `tick` is due.
    fn deadline(&self) -> Option<Duration> {
        None
    }

    /// The deadline has come.
    fn tick(&mut self, _now: Duration, _out: &mut Vec<Lie>) {}
}
