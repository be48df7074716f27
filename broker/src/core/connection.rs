//! The scope of one Network Connection: how far the handshake is, what was negotiated, what is on its way out.

use std::{collections::VecDeque, time::Duration};

use squall_codec::{
    flow::{Aliases, OutgoingAliases},
    packet::{Connect, Packet},
    version::Version,
};

use super::{authenticating::Enhanced, effect::PeerInfo, pressure::Pressure, session::SessionKey};

/// One Network Connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// The other end.
    pub(super) peer: PeerInfo,
    /// How far the handshake is.
    pub(super) stage: Stage,
    /// What was handed out or held, and is not yet `Flushed`.
    pub(super) unflushed: Unflushed,
    /// Packets that wait for the store, and those behind them.
    pub(super) held: VecDeque<Held>,
    /// Who waits for whom.
    pub(super) pressure: Pressure,
}

/// How far the handshake is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing came yet.
    New,
    /// CONNECT came, and whether the client may come in is being asked. What came behind it waits.
    Authenticating {
        /// The request.
        connect: Box<Connect>,
        /// Where it asks for enhanced authentication.
        enhanced: Option<Box<Enhanced>>,
        /// Sent without waiting for CONNACK (section 3.1.4 allows it). None with enhanced authentication.
        pipelined: Pipelined,
    },
    /// The client is in.
    Open(Open),
}

/// What came behind a CONNECT that is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Pipelined {
    /// In order.
    pub(super) packets: Vec<Packet>,
    /// Their sizes.
    pub(super) bytes: usize,
}

/// What holds for an open connection.
#[derive(Debug)]
pub(super) struct Open {
    /// Of CONNECT.
    pub(super) version: Version,
    /// Whose connection it is.
    pub(super) session: SessionKey,
    /// Seconds that the session was to outlive its connection before this CONNECT; 0 where it begins with it.
    pub(super) expiry_seconds_before: u32,
    /// Silence after which the client counts as gone: one and a half Keep Alive.
    pub(super) silence: Option<Duration>,
    /// When the last packet came.
    pub(super) last_packet: Duration,
    /// [MQTT-3.1.2-24] The client takes no larger packet.
    pub(super) maximum_packet_size: usize,
    /// [MQTT-3.1.2-29] Whether acknowledgements may carry a Reason String.
    pub(super) problem_information: bool,
    /// Session Expiry Interval of CONNECT was 0 or absent: DISCONNECT must not change it.
    pub(super) expiry_was_zero: bool,
    /// The client's Topic Aliases. [MQTT-3.3.2-7] They end with the connection.
    pub(super) aliases: Aliases,
    /// Ours, where the client takes any.
    pub(super) outgoing_aliases: Option<OutgoingAliases>,
    /// Where CONNECT had an Authentication Method.
    pub(super) enhanced: Option<Box<Enhanced>>,
    /// Whether CONNACK has left: no DISCONNECT goes before it ([MQTT-3.14.0-1]).
    pub(super) connack_sent: bool,
}

/// Packets on their way out, in order.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    bytes: usize,
    sizes: VecDeque<usize>,
    /// Bytes of the first that have left.
    left_of_first: usize,
}

/// Memory that a packet takes beside its bytes: without it two bytes of PINGRESP would count for next to nothing.
const PACKET_MEMORY: usize = 128;

/// Room for so many sizes stays when none is left.
const KEPT_SIZES: usize = 4;

impl Unflushed {
    /// Bytes, as `Packet::encoded_len` counts them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Memory, about: what the bounds of `limits.rs` speak of.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.sizes.len() * PACKET_MEMORY
    }

    /// A packet is handed out or held.
    pub(super) fn add(&mut self, size: usize) {
        self.bytes += size;
        self.sizes.push_back(size);
    }

    /// Bytes have left.
    pub(super) fn flush(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.left_of_first += bytes;
        while let Some(first) = self.sizes.front().copied().filter(|first| *first <= self.left_of_first) {
            self.left_of_first -= first;
            self.sizes.pop_front();
        }
        if self.sizes.is_empty() {
            (self.bytes, self.left_of_first) = (0, 0);
            // An idle connection holds next to nothing; a busy one asks for no memory at each packet.
            if self.sizes.capacity() > KEPT_SIZES {
                self.sizes = VecDeque::new();
            }
        }
    }
}

/// A packet that must not leave before the store has kept a record.
#[derive(Debug)]
pub(super) struct Held {
    /// The record; 0 if the packet only keeps its place in the order.
    pub(super) seq: u64,
    /// What.
    pub(super) packet: Packet,
    /// Since when, on the monotonic clock.
    pub(super) since: Duration,
}

impl Connection {
    /// A new one.
    pub(super) fn new(peer: PeerInfo) -> Self {
        Connection {
            peer,
            stage: Stage::New,
            unflushed: Unflushed::default(),
            held: VecDeque::new(),
            pressure: Pressure::default(),
        }
    }

    /// What holds, if the client is in.
    pub(super) fn open(&self) -> Option<&Open> {
        match &self.stage {
            Stage::Open(open) => Some(open),
            _ => None,
        }
    }

    /// What holds, if the client is in.
    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.stage {
            Stage::Open(open) => Some(open),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_in_order_whole_or_in_parts() {
        let mut unflushed = Unflushed::default();
        for size in [10, 2, 5] {
            unflushed.add(size);
        }
        let mut after = |bytes| {
            unflushed.flush(bytes);
            (unflushed.bytes(), (unflushed.memory() - unflushed.bytes()) / PACKET_MEMORY)
        };
        assert_eq!(after(9), (8, 3));
        assert_eq!(after(3), (5, 1));
        assert_eq!(after(4), (1, 1));
        assert_eq!(after(1), (0, 0));
        assert_eq!(after(7), (0, 0));
    }
}
