//! The two doors of the core: what comes in, what must be done.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use squall_codec::{
    error::DecodeError,
    packet::{Packet, Publish, Subscription},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

use super::{access::Exchange, acl::Acl};

/// One Network Connection, named by the driver and never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What a driver knows of the other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerInfo {
    /// Where it comes from; `None` in a simulated network.
    pub address: Option<SocketAddr>,
    /// The name of the listener that accepted it; empty where there is only one.
    pub listener: Arc<str>,
    /// The name in the certificate that the client has shown and the listener has verified.
    pub certificate_name: Option<Text>,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// A Network Connection was accepted.
    Opened {
        /// Its new name.
        connection: ConnectionId,
        /// The other end.
        peer: PeerInfo,
    },
    /// The listener has verified a certificate of the client. Before its first packet, if at all.
    Identified {
        /// Which.
        connection: ConnectionId,
        /// The name in it.
        certificate_name: Text,
    },
    /// A whole packet came.
    Packet {
        /// From where.
        connection: ConnectionId,
        /// What.
        packet: Packet,
    },
    /// Bytes came that are no packet. Nothing more comes from this connection.
    Malformed {
        /// From where.
        connection: ConnectionId,
        /// The version that the decoder had learned, if any.
        version: Option<Version>,
        /// What is wrong.
        error: DecodeError,
    },
    /// The Network Connection ended, by whichever side and for whatever reason but our own `Effect::Close`.
    Closed {
        /// Which.
        connection: ConnectionId,
    },
    /// Bytes of earlier `Effect::Send` have left for the socket.
    Flushed {
        /// Where.
        connection: ConnectionId,
        /// As many as `Packet::encoded_len` said of the packets that left.
        bytes: usize,
    },
    /// The answer to `Effect::Authenticate`.
    Authenticated {
        /// Of which connection.
        connection: ConnectionId,
        /// Allowed, or why not.
        outcome: AuthenticationOutcome,
    },
    /// Every record up to this one is kept.
    Persisted {
        /// The last `seq` that is kept.
        up_to: u64,
    },
    /// A record could not be kept.
    PersistFailed {
        /// Which.
        seq: u64,
        /// What the store said.
        reason: String,
    },
    /// The time of `Broker::deadline` has come.
    Tick,
    /// The rules of who may do what are others from now on. What was granted stays; each message is judged anew.
    Reload {
        /// The new rules.
        acl: Arc<Acl>,
    },
    /// The program ends: every client is told (5.0: DISCONNECT 0x8B) and every connection closed.
    Shutdown,
}

/// Who wants to come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticationRequest {
    /// As CONNECT has it; empty where the server will assign one.
    pub client_id: Text,
    /// User Name; of a client that is in already, the user who it is.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
    /// Authentication Method, of a 5.0 client that wants enhanced authentication (section 4.12).
    pub method: Option<Text>,
    /// Authentication Data that came with the method.
    pub data: Option<Bytes>,
    /// The client is in already and proves itself again (section 4.12.1): AUTH 0x19 instead of CONNECT.
    pub again: bool,
    /// The other end.
    pub peer: PeerInfo,
}

/// What the authenticator says.
#[derive(Debug)]
pub enum AuthenticationOutcome {
    /// Come in.
    Allowed {
        /// Who it is, for the rules of who may do what; `None` is anonymous.
        user: Option<Text>,
        /// Authentication Data for CONNACK, or for the AUTH that ends a re-authentication.
        data: Option<Bytes>,
    },
    /// One more step: AUTH 0x18 with this data, and what comes back goes to `exchange`.
    Continue {
        /// Authentication Data.
        data: Option<Bytes>,
        /// What goes on with it.
        exchange: Box<dyn Exchange>,
    },
    /// Refused with this reason (0x86, 0x87, 0x8A, 0x8C …).
    Refused(ReasonCode),
}

/// What has to be done, in this order, before the next input.
#[derive(Debug)]
pub enum Effect {
    /// Write a packet.
    Send {
        /// Where.
        connection: ConnectionId,
        /// How it is written.
        version: Version,
        /// What.
        packet: Packet,
    },
    /// Write what is still to be written, then end the connection. No `Input` of it is taken any more, and the driver
    /// owes no `Closed`.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why, for logs and traces.
        cause: CloseCause,
    },
    /// Read nothing more from this connection: its readers lag behind. What was read already may be kept for later; the core
    /// takes it, should it come all the same.
    Pause {
        /// Which.
        connection: ConnectionId,
    },
    /// Read on.
    Resume {
        /// Which.
        connection: ConnectionId,
    },
    /// Ask whether a client may come in, or, where `again` is set, may stay. Until `Input::Authenticated` a client that is
    /// not in yet is not acted on.
    Authenticate {
        /// Which.
        connection: ConnectionId,
        /// Who.
        request: AuthenticationRequest,
    },
    /// Ask for the next step of an authentication. Answered by `Input::Authenticated` as well.
    Continue {
        /// Which connection.
        connection: ConnectionId,
        /// What to ask.
        exchange: Box<dyn Exchange>,
        /// Authentication Data of the client's AUTH.
        data: Option<Bytes>,
    },
    /// Keep this. The store answers `Persisted` or `PersistFailed`.
    Persist {
        /// Its number; they count up by one.
        seq: u64,
        /// What.
        record: Record,
    },
}

/// Why the core ends a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseCause {
    /// The client said DISCONNECT.
    #[error("the client disconnected")]
    Disconnected,
    /// CONNECT was refused.
    #[error("CONNECT was refused: {0}")]
    Refused(ReasonCode),
    /// A client that was in failed to prove itself again (section 4.12.1).
    #[error("the re-authentication failed: {0}")]
    NotAuthenticatedAgain(ReasonCode),
    /// Bytes that are no packet.
    #[error("{0}")]
    Malformed(DecodeError),
    /// A packet that is not allowed now.
    #[error("{detail} ({reason})")]
    Violation {
        /// For DISCONNECT.
        reason: ReasonCode,
        /// The statement of the connection's version that was broken, where one has a number.
        statement: Option<&'static str>,
        /// What the client did.
        detail: &'static str,
    },
    /// [MQTT-3.1.4-3] Another connection has the same Client Identifier.
    #[error("the session was taken over")]
    TakenOver,
    /// [MQTT-3.1.2-22] One and a half Keep Alive passed in silence.
    #[error("keep alive timed out")]
    KeepAlive,
    /// No CONNECT within `limits.rs`' time.
    #[error("no CONNECT came in time")]
    ConnectTimeout,
    /// More bytes wait for this connection than `limits.rs` allows.
    #[error("the client reads too slowly")]
    SlowReader,
    /// As many messages wait for the client as `limits.rs` allows, and the policy is to let it go.
    #[error("the client's queue is full")]
    QueueFull,
    /// The program ends.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// A record could not be kept.
    #[error("the store failed")]
    StoreFailed,
}

/// What goes with a message that a share has given to one of its members, so that another one can get it in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The filter of the share.
    pub filter: TopicFilter,
    /// With which the message was published; this delivery may have less.
    pub qos: Qos,
    /// As `qos`.
    pub retain: bool,
}

/// What must survive a restart. Replayed in order the records give the same state; `Broker::restore` takes them.
///
/// Those of one `handle` belong together: a store keeps all of them or none. Only sessions that outlive their connection
/// have records, but for the will, which every connection may leave behind. Moments are those of `Now::unix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A session came into being, was resumed, or lost its connection.
    Session {
        /// Whose.
        client_id: Text,
        /// The user whom it belongs to; `None` is anonymous.
        user: Option<Text>,
        /// Seconds after its connection ends; `u32::MAX` is never.
        expiry_seconds: u32,
        /// When its connection ended; `None` while there is one.
        ended: Option<Duration>,
    },
    /// A session ended, and with it all that is told of it here, its will included.
    SessionEnded {
        /// Whose.
        client_id: Text,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Whose.
        client_id: Text,
        /// As granted.
        subscription: Subscription,
        /// Subscription Identifier.
        identifier: Option<u32>,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Whose.
        client_id: Text,
        /// Which.
        filter: TopicFilter,
    },
    /// A QoS 1 or 2 message was accepted for a session.
    Queued {
        /// Whose.
        client_id: Text,
        /// Its number in the session; they count up.
        number: u64,
        /// The message, with the QoS and flags of this delivery.
        message: Publish,
        /// When it came: Message Expiry Interval counts from here.
        arrived: Duration,
        /// Where a share chose this session.
        shared: Option<Shared>,
    },
    /// A queued message will never be sent: it expired, or it is too large for the client.
    Dropped {
        /// Whose.
        client_id: Text,
        /// As in `Queued`.
        number: u64,
    },
    /// A queued message is being sent.
    Sent {
        /// Whose.
        client_id: Text,
        /// As in `Queued`.
        number: u64,
        /// What it is called until it is settled.
        packet_id: PacketId,
    },
    /// PUBREC came for a message that was sent: from now on only PUBREL is sent again.
    Released {
        /// Whose.
        client_id: Text,
        /// Which.
        packet_id: PacketId,
        /// As in `Queued`.
        number: u64,
    },
    /// An exchange that the server began is over.
    Settled {
        /// Whose.
        client_id: Text,
        /// Which.
        packet_id: PacketId,
        /// As in `Queued`; `None` where the message was `Released`.
        number: Option<u64>,
    },
    /// A QoS 2 message of the client was accepted: a repeat is not delivered again.
    Received {
        /// Whose.
        client_id: Text,
        /// Which.
        packet_id: PacketId,
    },
    /// PUBREL came: the client may use the identifier for a new message.
    Completed {
        /// Whose.
        client_id: Text,
        /// Which.
        packet_id: PacketId,
    },
    /// A connection has left a will, in place of an earlier one.
    Will {
        /// Whose.
        client_id: Text,
        /// The user in whose name it will be published; `None` is anonymous.
        user: Option<Text>,
        /// As it will be published.
        message: Publish,
        /// Will Delay Interval in seconds.
        delay_seconds: u32,
    },
    /// A will was published, or will never be.
    WillCleared {
        /// Whose.
        client_id: Text,
    },
    /// A retained message was set, in place of an earlier one of its topic.
    Retained {
        /// The message.
        message: Publish,
        /// When it came: Message Expiry Interval counts from here.
        arrived: Duration,
    },
    /// A topic has no retained message any more.
    RetainedCleared {
        /// Which.
        topic: TopicName,
    },
}
