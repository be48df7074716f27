//! CONNECT (section 3.1).

use bytes::Bytes;

use crate::{property::Properties, qos::Qos, topic::TopicName, version::Version, wire::Text};

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The version that this packet is written in and asks for.
    pub version: Version,
    /// Clean Start (before 5.0: Clean Session).
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    /// May be empty where the version allows it.
    pub client_id: Text,
    /// Empty before 5.0.
    pub properties: Properties,
    /// Published by the server when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
}

/// The Will Message as CONNECT carries it (sections 3.1.2.5 and 3.1.3.2 to 3.1.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Will QoS.
    pub qos: Qos,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: TopicName,
    /// Will Payload (before 5.0: Will Message).
    pub payload: Bytes,
    /// Will Properties; empty before 5.0.
    pub properties: Properties,
}

impl Connect {
    /// A CONNECT with Clean Start 1, Keep Alive 0, no will and no credentials.
    pub fn new(version: Version, client_id: Text) -> Self {
        Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            properties: Properties::new(),
            will: None,
            username: None,
            password: None,
        }
    }
}
