//! A link between one actor and the subject: bytes in at one end, bytes out at the other, late, cut, lost or split.
//!
//! Sans-io: the events world drives it directly, the turmoil and the live world wrap their sockets in it.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    fault::FaultKind,
    liar::Direction,
    stage::{Arrival, End},
};

/// A fault that took effect: "cut before PUBREC 1 to the client, 0 of 4 bytes passed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When.
    pub at: Duration,
    /// In words.
    pub summary: String,
    /// Position of the fault in the order in which faults were applied to this link.
    pub fault: usize,
}

/// One connection's link.
#[derive(Debug)]
pub struct Link {
    seed: u64,
}

impl Link {
    /// Without faults: what goes in comes out at once. `seed` is this link's own stream of randomness.
    pub fn new(seed: u64) -> Self {
        Link { seed }
    }

    /// Puts a fault in place.
    pub fn apply(&mut self, now: Duration, fault: FaultKind) {
        let _ = (now, fault, self.seed);
        todo!()
    }

    /// Bytes enter.
    pub fn write(&mut self, now: Duration, direction: Direction, bytes: Bytes) {
        let _ = (now, direction, bytes);
        todo!()
    }

    /// Bytes that may still enter before the window of this direction is full.
    pub fn room(&self, direction: Direction) -> usize {
        let _ = direction;
        todo!()
    }

    /// The writer of this direction ends it.
    pub fn end(&mut self, now: Duration, direction: Direction, how: End) {
        let _ = (now, direction, how);
        todo!()
    }

    /// What arrives at the end of this direction by `now`, in order. Call until `None`.
    pub fn read(&mut self, now: Duration, direction: Direction) -> Option<Arrival> {
        let _ = (now, direction);
        todo!()
    }

    /// When `read` has something new, if nothing is written before.
    pub fn deadline(&self) -> Option<Duration> {
        todo!()
    }

    /// Faults that took effect since the last call.
    pub fn take_hits(&mut self) -> Vec<Hit> {
        todo!()
    }
}
