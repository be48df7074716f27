//! Numbers about the state, and counters of what was dropped: every bound that bites can be seen.

/// A look at the broker. The first fields are the state now, the others count since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Open Network Connections.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Levels of all different filters.
    pub filter_levels: usize,
    /// Retained messages.
    pub retained_messages: usize,
    /// Bytes of all retained messages.
    pub retained_bytes: usize,
    /// Messages that wait in sessions.
    pub queued_messages: usize,
    /// Messages sent and not yet acknowledged.
    pub in_flight: usize,
    /// Bytes not yet `Flushed`, of all connections.
    pub unflushed_bytes: usize,
    /// Clients whose authentication, or re-authentication, failed.
    pub failed_authentications: u64,
    /// Messages that their publisher may not publish; wills too.
    pub denied_publishes: u64,
    /// Filters that their client may not subscribe to.
    pub denied_subscriptions: u64,
    /// Deliveries to clients that may not receive the message.
    pub denied_deliveries: u64,
    /// Messages not queued because the session's queue was full.
    pub dropped_queue_full: u64,
    /// QoS 0 messages not sent because the client reads too slowly.
    pub dropped_slow_reader: u64,
    /// Packets not sent because the client's Maximum Packet Size is less.
    pub dropped_too_large: u64,
    /// Messages whose Message Expiry Interval passed while they waited.
    pub dropped_expired: u64,
    /// Messages delivered but not retained because there are too many.
    pub dropped_retained: u64,
}
