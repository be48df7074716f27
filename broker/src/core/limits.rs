//! Every bound of the server, each with what happens when it is reached.

use std::time::Duration;

use squall_codec::{flow::PacketIds, wire::PacketId};

/// How much of everything. Each field names the outcome of going beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packet from a client, announced in 5.0. Beyond: DISCONNECT 0x95 and close, from the header alone.
    pub maximum_packet_size: u32,
    /// Bytes of a CONNECT: what a stranger may make the server hold. Beyond: CONNACK 0x95 and close (3.x: close).
    pub connect_packet_size: u32,
    /// QoS 1 and 2 messages that a 5.0 client may have open, announced. Beyond: DISCONNECT 0x93 and close.
    pub receive_maximum: u16,
    /// The packet identifiers that the server gives out begin here …
    pub first_packet_id: u16,
    /// … and end here, to begin again: where few are asked for, clients meet each soon.
    pub last_packet_id: u16,
    /// Topic Aliases that a 5.0 client may set, announced. Beyond: DISCONNECT 0x94 and close.
    pub topic_alias_maximum: u16,
    /// Topic Aliases that the server sets towards one 5.0 client, unless its Topic Alias Maximum is less. Beyond: the one
    /// that was not used for longest is given to another topic.
    pub topic_aliases_to_client: u8,
    /// Time from accepting a connection to CONNECT. Beyond: close.
    pub connect_timeout: Duration,
    /// Open Network Connections. Beyond: a new one is closed at once.
    pub connections: usize,
    /// Network Connections from one address (of IPv6: from one /64) in a second, in the long run; 0 is no bound. Beyond: a new
    /// one is closed at once.
    pub connections_per_second: u32,
    /// As above, at once after a pause.
    pub connection_burst: u32,
    /// Addresses that are told apart for it. Beyond: those that come new share one account.
    pub connection_addresses: usize,
    /// Bytes of a Topic Name or a Topic Filter. Beyond: PUBACK or PUBREC 0x90 and not delivered (QoS 0 and 3.x: not
    /// delivered), SUBACK 0x8F (3.x: 0x80), for a will CONNACK 0x90 (3.x: close). Counted.
    pub topic_bytes: usize,
    /// Levels of a Topic Name or a Topic Filter. Beyond: as `topic_bytes`.
    pub topic_levels: usize,
    /// Sessions, connected or not. Beyond: CONNACK 0x97 (3.1.1: 0x03).
    pub sessions: usize,
    /// Subscriptions of one session. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub subscriptions_per_session: usize,
    /// Subscriptions of all sessions. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub subscriptions: usize,
    /// Bytes of the filters of all subscriptions. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub filter_bytes: usize,
    /// Levels of all different filters together. Beyond: SUBACK 0x97 (3.1.1: 0x80).
    pub filter_levels: usize,
    /// QoS 1 and 2 messages on their way to one client, unless its own Receive Maximum is less. Beyond: they wait in the
    /// session's queue.
    pub in_flight: u16,
    /// Bytes of topics, properties and payloads of these messages. Beyond: as `in_flight`; one of any size is sent.
    pub in_flight_bytes: usize,
    /// Messages waiting in one session. Beyond: `queue_policy`.
    pub queued_messages: usize,
    /// Bytes of topics, properties and payloads waiting in one session. Beyond: `queue_policy`. An empty queue takes one
    /// message of any size.
    pub queued_bytes: usize,
    /// Bytes of the messages that wait or are in flight in all sessions, and of all wills. Beyond: as `queued_bytes`; for a
    /// will CONNACK 0x97 (3.x: 0x03).
    pub held_bytes: usize,
    /// What a full queue does.
    pub queue_policy: QueuePolicy,
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
    /// Time for which a publisher is not read because its readers lag behind: half of what may wait for one of them does.
    /// Beyond: the bounds above hold for that reader, and nobody waits for it until it has caught up. Zero: nobody waits.
    pub publisher_patience: Duration,
    /// Packets taken from a client that is still being authenticated. Beyond: CONNACK 0x97 and close (3.x: 0x03).
    pub pipelined_packets: usize,
    /// Bytes of these packets. Beyond: as `pipelined_packets`.
    pub pipelined_bytes: usize,
}

/// What happens to a message that finds a session's queue full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueuePolicy {
    /// It is dropped and counted.
    #[default]
    DropNewest,
    /// Those that have waited longest are dropped and counted until there is room.
    DropOldest,
    /// It is dropped and counted, and a client that is there is disconnected: DISCONNECT 0x97 and close. One that comes back is
    /// not, until it has acknowledged what leaves half of the queue free: it never could otherwise.
    Disconnect,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            maximum_packet_size: 16 << 20,
            connect_packet_size: 512 << 10,
            receive_maximum: 1024,
            first_packet_id: 1,
            last_packet_id: u16::MAX,
            topic_alias_maximum: 16,
            topic_aliases_to_client: 16,
            connect_timeout: Duration::from_secs(10),
            connections: 100_000,
            connections_per_second: 10_000,
            connection_burst: 20_000,
            connection_addresses: 10_000,
            topic_bytes: 65_535,
            topic_levels: 200,
            sessions: 100_000,
            subscriptions_per_session: 10_000,
            subscriptions: 1_000_000,
            filter_bytes: 256 << 20,
            filter_levels: 4_000_000,
            in_flight: 1024,
            in_flight_bytes: 64 << 20,
            queued_messages: 10_000,
            queued_bytes: 64 << 20,
            held_bytes: 1 << 30,
            queue_policy: QueuePolicy::default(),
            retained_messages: 100_000,
            retained_bytes: 256 << 20,
            unflushed_soft: 4 << 20,
            unflushed_hard: 64 << 20,
            publisher_patience: Duration::from_secs(1),
            pipelined_packets: 64,
            pipelined_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// The packet identifiers that the server gives out; 0 is none, and counts as 1.
    pub fn packet_ids(&self) -> PacketIds {
        let id = |value| PacketId::new(value).unwrap_or(PacketId::MIN);
        PacketIds::between(id(self.first_packet_id), id(self.last_packet_id))
    }

    /// Whether a Topic Name or a Topic Filter is as short and as flat as it must be.
    pub(super) fn takes_topic(&self, topic: &str) -> bool {
        // A level takes at least its separator, so that most topics need not be looked at.
        topic.len() <= self.topic_bytes
            && (topic.len() < self.topic_levels || topic.split('/').count() <= self.topic_levels)
    }

    /// The hard bound in force: one PUBLISH of any size may stand above the soft bound, and one acknowledgement more
    /// must not close the connection.
    pub(super) fn unflushed_hard(&self) -> usize {
        self.unflushed_hard.max(self.unflushed_soft + 2 * self.maximum_packet_size as usize)
    }
}
