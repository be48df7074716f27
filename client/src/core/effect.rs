//! The two doors of the core: what comes in, what must be done.

use squall_codec::{
    error::DecodeError,
    packet::{Connack, Packet, Publish, Subscription},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::Text,
};

use super::{
    authentication::{Answer, Question},
    record::Record,
    redirection::Address,
};

/// Names an operation of the application, from request to outcome. The caller chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Names one delivery of a message to the application, for its acknowledgement. A message that comes again is another
/// delivery, so a late acknowledgement never meets a message that happens to have the same packet identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery(pub(super) u64);

/// What happened outside, and what the application asks for.
#[derive(Debug)]
pub enum Input {
    /// The application wants to be connected. The core asks for a Network Connection and, where the options say so,
    /// for another one whenever it is lost.
    Connect,
    /// The Network Connection that `Effect::Open` asked for is there.
    Opened,
    /// It cannot be had, or it ended and not by `Effect::Close`.
    Lost {
        /// What the network said.
        reason: String,
    },
    /// A whole packet came.
    Packet {
        /// What.
        packet: Packet,
    },
    /// Bytes came that are no packet. Nothing more comes from this connection.
    Malformed {
        /// What is wrong.
        error: DecodeError,
    },
    /// The application publishes. Flags DUP and packet identifier are the core's.
    Publish {
        /// Named in `Effect::Done`.
        token: Token,
        /// What.
        message: Publish,
    },
    /// The application subscribes.
    Subscribe {
        /// Named in `Effect::Done`.
        token: Token,
        /// To what.
        subscriptions: Vec<Subscription>,
        /// User Properties, Subscription Identifier.
        properties: Properties,
    },
    /// The application ends subscriptions.
    Unsubscribe {
        /// Named in `Effect::Done`.
        token: Token,
        /// Which.
        filters: Vec<TopicFilter>,
    },
    /// The application has done its work with a message that `Effect::Message` gave it, or will not have it: PUBACK or PUBREC
    /// may leave. Needed only where the options say that acknowledgement is by hand.
    Acknowledge {
        /// Which.
        delivery: Delivery,
        /// `Success`, or why the application will not have it (5.0, sections 3.4.2.1 and 3.5.2.1): nobody sends it again then.
        /// Before 5.0 it is acknowledged all the same.
        reason: ReasonCode,
    },
    /// The application wants to prove anew who it is, by the method of the options.
    Reauthenticate {
        /// Named in `Effect::Done`.
        token: Token,
    },
    /// `Effect::Authenticate` was carried out.
    Authenticated(Answer),
    /// The application ends the connection.
    Disconnect {
        /// 5.0: 0x00, or 0x04 to have the will published.
        reason: ReasonCode,
        /// 5.0: another Session Expiry Interval, in seconds.
        session_expiry_seconds: Option<u32>,
    },
    /// `Effect::Keep` could not be carried out.
    KeepFailed {
        /// What the store said.
        reason: String,
    },
    /// The driver reads no more, because the application takes no message: from now on a missing PINGRESP proves
    /// nothing.
    Paused,
    /// The driver reads again.
    Resumed,
    /// The time of `Client::deadline` has come.
    Tick,
}

/// What has to be done, in this order, before the next input.
#[derive(Debug)]
pub enum Effect {
    /// Get a Network Connection to the server, and answer with `Opened` or `Lost`.
    Open {
        /// The server that another server named (5.0); `None`: the one that the driver knows.
        server: Option<Address>,
    },
    /// Write a packet.
    Send {
        /// How it is written.
        version: Version,
        /// What.
        packet: Packet,
    },
    /// Write what is still to be written, then end the Network Connection. No `Lost` is owed for it.
    Close,
    /// A message for the application.
    Message {
        /// With the topic in full, even where the server used a Topic Alias.
        message: Publish,
        /// For its acknowledgement; `None` at QoS 0.
        delivery: Option<Delivery>,
    },
    /// Make this durable before anything is written that follows it. Said only where the options ask for it.
    Keep(Record),
    /// Work out the answer, which may take a second, and hand it back with `Authenticated`. It waits for nothing, and
    /// nothing waits for it but the server.
    Authenticate(Question),
    /// An operation of the application has ended.
    Done {
        /// Which.
        token: Token,
        /// How.
        outcome: Outcome,
    },
    /// Something the application may want to know.
    Event(Event),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The QoS of a PUBLISH is fulfilled: QoS 0 handed to the network, QoS 1 at PUBACK, QoS 2 at PUBCOMP.
    Published {
        /// Of PUBACK or PUBREC; success for QoS 0.
        reason: ReasonCode,
        /// Of PUBACK or PUBREC.
        properties: Properties,
    },
    /// SUBACK came.
    Subscribed {
        /// One for each filter, in order.
        reasons: Vec<ReasonCode>,
    },
    /// UNSUBACK came.
    Unsubscribed {
        /// One for each filter, in order; empty before 5.0.
        reasons: Vec<ReasonCode>,
    },
    /// The server is convinced, and where the method says so the client is too.
    Reauthenticated,
    /// It cannot be done any more.
    Failed(Failure),
}

/// Why an operation cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The connection ended before the answer came, and this operation is not repeated.
    #[error("the connection was lost before the server answered")]
    ConnectionLost,
    /// The server has lost the session, and the options say that unacknowledged messages are then given up.
    #[error("the server has lost the session")]
    SessionLost,
    /// The client is not connected and is not going to be.
    #[error("the client is disconnected")]
    Disconnected,
    /// The bounded queue is full.
    #[error("more than {limit} messages wait to be sent")]
    QueueFull {
        /// Of the options.
        limit: usize,
    },
    /// Its Message Expiry Interval has passed while it waited to be sent.
    #[error("the message expired before it could be sent")]
    Expired,
    /// The server said in CONNACK that it does not take this.
    #[error("the server does not offer {feature}")]
    NotOffered {
        /// In the standard's words.
        feature: &'static str,
    },
    /// Larger than the server's Maximum Packet Size.
    #[error("a packet of {size} bytes exceeds the server's maximum packet size of {limit}")]
    TooLarge {
        /// In bytes.
        size: usize,
        /// In bytes.
        limit: u32,
    },
    /// There is no Authentication Method, or one exchange of it is going on.
    #[error("there is {what} to authenticate with")]
    NoAuthentication {
        /// Which of the two.
        what: &'static str,
    },
    /// The standard does not allow it.
    #[error("the standard does not allow {what}")]
    NotAllowed {
        /// What was asked for.
        what: &'static str,
    },
}

/// The life of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// CONNACK with success.
    Connected {
        /// The server's answer.
        connack: Connack,
        /// Whether both sides carry on the same session.
        resumed: bool,
    },
    /// CONNACK refused, or the server's first packet was something else.
    Refused {
        /// Of CONNACK.
        reason: ReasonCode,
    },
    /// The server had lost the session, and has answered a SUBSCRIBE by which the client renewed subscriptions.
    Resubscribed {
        /// What the server does not grant any more, and why.
        refused: Vec<(TopicFilter, ReasonCode)>,
    },
    /// The connection ended.
    Disconnected {
        /// Who ended it and why.
        cause: DisconnectCause,
        /// Whether the core will try again.
        reconnecting: bool,
    },
}

/// Who ended a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisconnectCause {
    /// The application did.
    #[error("the application disconnected")]
    Application,
    /// The server refused in CONNACK, or said DISCONNECT (5.0).
    #[error("the server disconnected: {reason}")]
    Server {
        /// Why.
        reason: ReasonCode,
        /// Reason String: for people.
        explanation: Option<Text>,
        /// Server Reference: where to go instead. The options say whether it is followed.
        server_reference: Option<Text>,
    },
    /// The server could not prove who it is, or the method could not go on.
    #[error("authentication failed: {0}")]
    Authentication(String),
    /// The store failed: what must not be forgotten would have been.
    #[error("the session store failed: {0}")]
    Store(String),
    /// The network did.
    #[error("the network connection was lost: {0}")]
    Network(String),
    /// No PINGRESP came: the connection is half-open.
    #[error("the server does not answer")]
    NoAnswer,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Violation(String),
}
