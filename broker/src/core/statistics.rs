//! Numbers about the state, and counters of what passed and what was dropped: every bound that bites can be seen.

use std::time::Duration;

use squall_codec::packet::{Packet, PacketKind};

use super::effect::CloseCause;

/// A look at the broker. The first fields are the state now, the others count since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Open Network Connections.
    pub connections: usize,
    /// Clients that are in.
    pub clients: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Those of them that are shared.
    pub shared_subscriptions: usize,
    /// Bytes of the filters of all subscriptions.
    pub filter_bytes: usize,
    /// Levels of all different filters.
    pub filter_levels: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of all retained messages.
    pub retained_bytes: usize,
    /// Messages that wait in sessions.
    pub queued_messages: usize,
    /// Bytes of the messages that wait in sessions.
    pub queued_bytes: usize,
    /// Bytes of the messages that wait or are in flight in sessions, and of all wills.
    pub held_bytes: usize,
    /// Messages sent and not yet acknowledged.
    pub in_flight: usize,
    /// QoS 2 messages of clients that were not released.
    pub unreleased: usize,
    /// Bytes not yet `Flushed`, of all connections.
    pub unflushed_bytes: usize,
    /// Time since the start.
    pub uptime: Duration,
    /// What came.
    pub received: Traffic,
    /// What was sent.
    pub sent: Traffic,
    /// Network Connections that were opened.
    pub connections_opened: u64,
    /// The most clients that were in at once.
    pub clients_maximum: usize,
    /// Sessions whose time was over.
    pub sessions_expired: u64,
    /// Connections closed at once because there are as many as may be.
    pub refused_connections: u64,
    /// Connections closed at once because their address opened too many in a short time.
    pub refused_connection_rate: u64,
    /// CONNECTs that were refused, for whatever reason.
    pub refused_connects: u64,
    /// Clients whose authentication, or re-authentication, failed.
    pub failed_authentications: u64,
    /// Connections whose client sent no CONNECT in time.
    pub connect_timeouts: u64,
    /// Connections whose client was silent for one and a half Keep Alive.
    pub keep_alive_timeouts: u64,
    /// Connections that another one of the same client took over.
    pub taken_over: u64,
    /// Connections closed because bytes came that are no packet.
    pub malformed: u64,
    /// Connections closed because a packet came that is not allowed.
    pub violations: u64,
    /// Connections closed because their client reads too slowly.
    pub slow_readers: u64,
    /// Connections closed because too many messages wait for their client.
    pub full_queues: u64,
    /// Connections closed because the store could not keep what they were to hear.
    pub store_failures: u64,
    /// Messages that their publisher may not publish; wills too.
    pub denied_publishes: u64,
    /// Filters that their client may not subscribe to.
    pub denied_subscriptions: u64,
    /// Deliveries to clients that may not receive the message.
    pub denied_deliveries: u64,
    /// Messages and filters that were refused because their topic is too long or has too many levels.
    pub dropped_topic: u64,
    /// Messages not queued, or taken out of it, because the session's queue was full.
    pub dropped_queue_full: u64,
    /// QoS 0 messages not sent because the client reads too slowly.
    pub dropped_slow_reader: u64,
    /// Times that a publisher was not read because its readers lag behind.
    pub publisher_pauses: u64,
    /// Packets not sent because the client's Maximum Packet Size is less.
    pub dropped_too_large: u64,
    /// Messages whose Message Expiry Interval passed while they waited.
    pub dropped_expired: u64,
    /// Messages delivered but not retained because there are too many.
    pub dropped_retained: u64,
}

/// Packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    packets: [u64; 16],
    /// Bytes of all packets.
    pub bytes: u64,
    /// Bytes of the payloads of all PUBLISH packets.
    pub payload_bytes: u64,
}

impl Traffic {
    /// Packets of one kind.
    pub fn packets(&self, kind: PacketKind) -> u64 {
        self.packets[kind as usize]
    }

    /// All packets.
    pub fn all_packets(&self) -> u64 {
        self.packets.iter().sum()
    }

    pub(super) fn count(&mut self, packet: &Packet, size: usize) {
        self.packets[packet.kind() as usize] += 1;
        self.bytes += size as u64;
        if let Packet::Publish(publish) = packet {
            self.payload_bytes += publish.payload().len() as u64;
        }
    }
}

impl Statistics {
    /// Messages that did not reach somebody whom they were meant for.
    pub fn dropped(&self) -> u64 {
        self.dropped_queue_full + self.dropped_slow_reader + self.dropped_too_large + self.dropped_expired
    }

    pub(super) fn count_close(&mut self, cause: &CloseCause) {
        let counter = match cause {
            CloseCause::Refused(_) => &mut self.refused_connects,
            CloseCause::Malformed(_) => &mut self.malformed,
            CloseCause::Violation { .. } => &mut self.violations,
            CloseCause::TakenOver => &mut self.taken_over,
            CloseCause::KeepAlive => &mut self.keep_alive_timeouts,
            CloseCause::ConnectTimeout => &mut self.connect_timeouts,
            CloseCause::SlowReader => &mut self.slow_readers,
            CloseCause::QueueFull => &mut self.full_queues,
            CloseCause::StoreFailed => &mut self.store_failures,
            CloseCause::Disconnected | CloseCause::NotAuthenticatedAgain(_) | CloseCause::ShuttingDown => return,
        };
        *counter += 1;
    }
}
