//! PUBLISH (section 3.3): one shared frame with offsets.
//!
//! Topic, forwarded properties and payload stay in the frame they came in; what changes from hop to hop (flags, packet
//! identifier, Topic Alias, Message Expiry Interval, Subscription Identifiers) stands beside it.

use bytes::Bytes;

use crate::{property::Properties, qos::Qos, topic::TopicName, wire::PacketId};

/// Carries an Application Message.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Sent before on this exchange. 0 on QoS 0 ([MQTT-3.3.1-2]).
    pub dup: bool,
    /// Of this hop.
    pub qos: Qos,
    /// RETAIN.
    pub retain: bool,
    /// Present if and only if QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// Topic Alias of this hop, 5.0.
    pub topic_alias: Option<u16>,
    /// Seconds that the message may still wait, 5.0.
    pub message_expiry_interval: Option<u32>,
    /// Subscription Identifiers of this hop, 5.0, server to client only.
    pub subscription_identifiers: Vec<u32>,
    content: Content,
}

/// What is forwarded as it is.
#[derive(Clone, Debug)]
struct Content {
    frame: Bytes,
    topic: (u32, u32),
    properties: (u32, u32),
    payload: u32,
}

impl Publish {
    /// A message with QoS 0, RETAIN 0 and no properties.
    pub fn new(topic: &TopicName, payload: impl AsRef<[u8]>) -> Self {
        let _ = (topic, payload.as_ref());
        todo!()
    }

    /// At this QoS, with this packet identifier (`None` for QoS 0).
    #[must_use]
    pub fn at(mut self, qos: Qos, packet_id: Option<PacketId>) -> Self {
        self.qos = qos;
        self.packet_id = packet_id;
        self
    }

    /// With these properties: Topic Alias, Message Expiry Interval and Subscription Identifiers go to their fields,
    /// the others replace the forwarded ones.
    #[must_use]
    pub fn with_properties(self, properties: &Properties) -> Self {
        let _ = properties;
        todo!()
    }

    /// With another topic: what a receiver does with a Topic Alias that it knows.
    #[must_use]
    pub fn with_topic(self, topic: &TopicName) -> Self {
        let _ = topic;
        todo!()
    }

    /// The Topic Name; empty only where a Topic Alias stands for it.
    pub fn topic(&self) -> &str {
        todo!()
    }

    /// The Topic Name as its own value; `None` where it is empty.
    pub fn topic_name(&self) -> Option<TopicName> {
        todo!()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.content.frame[self.content.payload as usize..]
    }

    /// The payload, sharing the frame.
    pub fn payload_bytes(&self) -> Bytes {
        self.content.frame.slice(self.content.payload as usize..)
    }

    /// The properties that are forwarded, in order: all but Topic Alias, Message Expiry Interval and Subscription
    /// Identifier, which have fields of their own.
    pub fn forwarded_properties(&self) -> Properties {
        todo!()
    }

    /// Every property of the packet, those with fields of their own last.
    pub fn properties(&self) -> Properties {
        todo!()
    }

    /// A copy that owns exactly its own bytes: what is kept beyond the turn pins no read buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        let _ = (self.content.topic, self.content.properties);
        todo!()
    }

    /// Bytes that the kept message occupies: topic, properties and payload.
    pub fn size_bytes(&self) -> usize {
        self.content.frame.len()
    }
}

impl PartialEq for Publish {
    fn eq(&self, other: &Self) -> bool {
        let _ = other;
        todo!()
    }
}

impl Eq for Publish {}
