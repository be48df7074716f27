//! Every bound of the server, each with what happens when it is reached.

use std::time::Duration;

/// How much of everything. Each field names the outcome of going beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet from a client, announced in 5.0. Beyond: DISCONNECT 0x95 and close, from the header alone.
    pub maximum_packet_size: u32,
    /// QoS 1 and 2 messages that a 5.0 client may have open, announced. Beyond: DISCONNECT 0x93 and close.
    pub receive_maximum: u16,
    /// Topic Aliases that a 5.0 client may set, announced. Beyond: DISCONNECT 0x94 and close.
    pub topic_alias_maximum: u16,
    /// Topic Aliases that the server sets towards one 5.0 client, unless its Topic Alias Maximum is less. Beyond: the one
    /// that was not used for longest is given to another topic.
    pub topic_aliases_to_client: u8,
    /// Time from accepting a connection to CONNECT. Beyond: close.
    pub connect_timeout: Duration,
    /// Open Network Connections. Beyond: a new one is closed at once.
    pub connections: usize,
    /// Sessions, connected or not. Beyond: CONNACK 0x97 (3.1.1: 0x03).
    pub sessions: usize,
    /// Subscriptions of one session. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub subscriptions_per_session: usize,
    /// Levels of all different filters together. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub filter_levels: usize,
    /// QoS 1 and 2 messages on their way to one client, unless its own Receive Maximum is less. Beyond: they wait in the
    /// session's queue.
    pub in_flight: u16,
    /// Messages waiting in one session. Beyond: the newest is dropped and counted.
    pub queued_messages: usize,
    /// Bytes of topics, properties and payloads waiting in one session. Beyond: the newest is dropped and counted. An
    /// empty queue takes one message of any size.
    pub queued_bytes: usize,
    /// Retained messages. Beyond: a new topic's message is delivered but not kept; 5.0 publishers of QoS 1 and 2 are
    /// refused with 0x97 and nothing is delivered.
    pub retained_messages: usize,
    /// Bytes of topics, properties and payloads of all retained messages. Beyond: as `retained_messages`.
    pub retained_bytes: usize,
    /// Memory in bytes of the packets that are on their way to one connection and not yet `Flushed`. Beyond: QoS 0 messages
    /// are dropped and counted, QoS 1 and 2 wait in the session's queue.
    pub unflushed_soft: usize,
    /// As above. Beyond: the connection is closed. At least `unflushed_soft` and twice `maximum_packet_size` more.
    pub unflushed_hard: usize,
    /// Packets taken from a client that is still being authenticated. Beyond: close.
    pub pipelined_packets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            maximum_packet_size: 16 << 20,
            receive_maximum: 1024,
            topic_alias_maximum: 16,
            topic_aliases_to_client: 16,
            connect_timeout: Duration::from_secs(10),
            connections: 100_000,
            sessions: 100_000,
            subscriptions_per_session: 10_000,
            filter_levels: 4_000_000,
            in_flight: 1024,
            queued_messages: 10_000,
            queued_bytes: 64 << 20,
            retained_messages: 100_000,
            retained_bytes: 256 << 20,
            unflushed_soft: 4 << 20,
            unflushed_hard: 64 << 20,
            pipelined_packets: 64,
        }
    }
}

impl Limits {
    /// The hard bound in force: one PUBLISH of any size may stand above the soft bound, and one acknowledgement more
    /// must not close the connection.
    pub(super) fn unflushed_hard(&self) -> usize {
        self.unflushed_hard.max(self.unflushed_soft + 2 * self.maximum_packet_size as usize)
    }
}
