//! How the application wants to be connected.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use squall_codec::{
    flow::PacketIds,
    packet::Will,
    version::Version,
    wire::{Text, VARIABLE_BYTE_INTEGER_MAX},
};

use crate::core::authentication::Method;

/// The largest frame that the wire can carry: fixed header and Remaining Length.
pub const LARGEST_FRAME: u32 = VARIABLE_BYTE_INTEGER_MAX + 5;

/// Everything that a client is told before it connects.
///
/// ```
/// use squall_client::options::Options;
/// use squall_codec::{version::Version, wire::Text};
///
/// let options = Options { clean_start: false, ..Options::new(Version::V5_0, Text::literal("alice")) };
/// assert_eq!(options.keep_alive.as_secs(), 60);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Spoken on every connection.
    pub version: Version,
    /// May be empty: the server then assigns one (5.0), which is kept for later connections, or knows the client by
    /// none (3.1.1).
    pub client_id: Text,
    /// Whether an older session is discarded. Where the session outlives its connection, later connections of the same
    /// client resume it all the same.
    pub clean_start: bool,
    /// The application vouches for a session of an earlier run with this client id, in which no exchange is open: that
    /// the server has it too is then no surprise ([MQTT-3.2.2-4]).
    pub existing_session: bool,
    /// Whole seconds, at most 65,535; zero switches it off. A server may order another (5.0).
    pub keep_alive: Duration,
    /// 5.0: how long the session outlives its connection. `None` and 0: not at all; `u32::MAX`: for ever.
    pub session_expiry_seconds: Option<u32>,
    /// 5.0: how many QoS 1 and 2 messages may be unacknowledged towards this client. `None` and 0: 65,535.
    pub receive_maximum: Option<u16>,
    /// The largest packet that is taken, in bytes; a 5.0 server is told.
    pub maximum_packet_size: u32,
    /// 5.0: how many Topic Aliases the server may use.
    pub topic_alias_maximum: u16,
    /// 5.0: how many Topic Aliases this client uses, where the server's Topic Alias Maximum allows so many.
    pub outgoing_topic_aliases: u8,
    /// Published by the server when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<Text>,
    /// Password. Before 5.0 it is sent only beside a User Name.
    pub password: Option<Bytes>,
    /// 5.0: User Properties of CONNECT.
    pub user_properties: Vec<(Text, Text)>,
    /// What follows a lost connection.
    pub reconnect: Reconnect,
    /// 5.0: whether the client goes where a server sends it.
    pub server_reference: ServerReference,
    /// From the wish to be connected to CONNACK.
    pub connect_timeout: Duration,
    /// How many requests may wait: for a connection, or for the server's Receive Maximum.
    pub queue_limit: usize,
    /// The packet identifiers that the client gives out.
    pub packet_ids: PacketIds,
    /// Who says that a message has been dealt with.
    pub acknowledge: Acknowledge,
    /// What becomes of unacknowledged messages when the server has no session any more.
    pub on_session_lost: OnSessionLost,
    /// Whether subscriptions that the server granted are asked for again when it has no session any more; what it
    /// then refuses is an event. Without it the application subscribes anew after `Connected` with `resumed: false`.
    pub resubscribe: bool,
    /// Whether there is a store, to which `Effect::Keep` is said. The driver sets it.
    pub durable: bool,
    /// 5.0: enhanced authentication.
    pub authentication: Option<Arc<dyn Method>>,
}

/// What follows a connection that was lost, or could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// Nothing.
    Never,
    /// Another try after a delay that doubles from `first` to `max`; half of each is random, so that a thousand
    /// clients do not come back at once. A connection that lasted longer than the delay before it starts over.
    Backoff {
        /// Before the first try.
        first: Duration,
        /// Never longer.
        max: Duration,
    },
}

/// What follows a CONNACK or DISCONNECT that says "use another server" (0x9C) or "server moved" (0x9D).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerReference {
    /// The connection has ended, and `Event::Disconnected` has the Server Reference.
    Tell,
    /// The client connects to the server that is named, at once, over the same transport and with the same credentials:
    /// for servers that may be trusted with them, and with the choice of who is. After 0x9C the next connection is with the
    /// first server again, after 0x9D with the one that was named. A server that is named twice, or more than `most` of them
    /// one after the other, are followed no further: what `reconnect` says holds then, from the first server on.
    Follow {
        /// Servers in a row.
        most: u32,
    },
}

/// Who says that a message has been dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// PUBACK and PUBREC leave as soon as the application is handed the message.
    Automatic,
    /// PUBACK and PUBREC leave after `Acknowledge` of the application, in the order in which the messages came.
    ByHand,
}

/// What becomes of unacknowledged messages when the server has no session any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSessionLost {
    /// They are published anew, before all others: none is lost, some may arrive twice, at QoS 2 too. A QoS 2 message
    /// that the server has confirmed with PUBREC is not published anew: it is reported as failed.
    Republish,
    /// They are reported as failed.
    GiveUp,
}

impl Options {
    /// Clean Start, 60 s Keep Alive, no session beyond the connection, no will, no credentials, reconnecting after 1 s
    /// to 60 s.
    pub fn new(version: Version, client_id: Text) -> Self {
        Options {
            version,
            client_id,
            clean_start: true,
            existing_session: false,
            keep_alive: Duration::from_secs(60),
            session_expiry_seconds: None,
            receive_maximum: None,
            maximum_packet_size: LARGEST_FRAME,
            topic_alias_maximum: 0,
            outgoing_topic_aliases: 16,
            will: None,
            username: None,
            password: None,
            user_properties: Vec::new(),
            reconnect: Reconnect::Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) },
            server_reference: ServerReference::Tell,
            connect_timeout: Duration::from_secs(30),
            queue_limit: 1000,
            packet_ids: PacketIds::default(),
            acknowledge: Acknowledge::Automatic,
            on_session_lost: OnSessionLost::Republish,
            resubscribe: true,
            durable: false,
            authentication: None,
        }
    }

    /// Receive Maximum as it holds for what this client receives.
    pub(crate) fn own_receive_maximum(&self) -> u16 {
        match self.receive_maximum {
            // Before 5.0 the server cannot be told, so it is not held to it. 0 is no value of the standard.
            Some(most) if most > 0 && self.version.has_properties() => most,
            _ => u16::MAX,
        }
    }

    /// Whether the server is asked to keep the session beyond its connection.
    pub(crate) fn session_outlives(&self, session_expiry_seconds: u32) -> bool {
        // [MQTT-3.1.2-23]; 3.1.1 [MQTT-3.1.2-4]
        !self.clean_start || (self.version.has_properties() && session_expiry_seconds > 0)
    }
}
