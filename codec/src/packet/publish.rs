//! PUBLISH (section 3.3): one shared frame with offsets.
//!
//! Topic, forwarded properties and payload stay in the frame they came in; what changes from hop to hop (flags, packet
//! identifier, Topic Alias, Message Expiry Interval, Subscription Identifiers) stands beside it.

use bytes::{Bytes, BytesMut};

use super::{
    PacketKind,
    content::{Content, Layout, Written, belongs_to_hop, offset, subscription_identifiers},
    frame::remaining_length,
};
use crate::{
    ascii::is_plain_name,
    error::{DecodeError, EncodeError},
    property::{Head, Place, Properties, Property, PropertyId, ValueView, block_len, put_block_len},
    qos::Qos,
    reason::Side,
    topic::{TopicError, TopicName, check_name},
    version::Version,
    wire::{PacketId, Reader, Writer, check_text, variable_bytes, variable_len},
};

const RETAIN: u8 = 0x01;
const QOS_SHIFT: u8 = 1;
const DUP: u8 = 0x08;

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

impl Publish {
    /// A message with QoS 0, RETAIN 0 and no properties.
    pub fn new(topic: &TopicName, payload: impl AsRef<[u8]>) -> Self {
        Publish {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            packet_id: None,
            topic_alias: None,
            message_expiry_interval: None,
            subscription_identifiers: Vec::new(),
            content: Content::new(topic.text().as_bytes(), std::iter::empty(), payload.as_ref()),
        }
    }

    /// At this QoS, with this packet identifier (`None` for QoS 0).
    #[must_use]
    pub fn at(mut self, qos: Qos, packet_id: Option<PacketId>) -> Self {
        self.qos = qos;
        self.packet_id = packet_id;
        self
    }

    /// With these properties: Topic Alias, Message Expiry Interval and Subscription Identifiers go to their fields,
    /// the others replace the forwarded ones. What no PUBLISH can carry (Will Delay Interval) is left out.
    ///
    /// # Panics
    /// If a property cannot be written: Correlation Data of more than 65,535 bytes.
    #[must_use]
    pub fn with_properties(mut self, properties: &Properties) -> Self {
        self.topic_alias = properties.topic_alias();
        self.message_expiry_interval = properties.message_expiry_interval();
        self.subscription_identifiers = properties.subscription_identifiers().collect();
        let mut block = BytesMut::new();
        for property in properties.iter() {
            if property.id().allowed_in(Place::Publish) && !belongs_to_hop(property.id()) {
                let room = &mut Writer::behind(&mut block, property.encoded_len());
                property.encode(room).expect("a property holds at most 65535 bytes");
            }
        }
        self.content = Content::new(self.content.topic_bytes(), std::iter::once(&block[..]), self.content.payload());
        self
    }

    /// With another topic: what a receiver does with a Topic Alias that it knows.
    #[must_use]
    pub fn with_topic(mut self, topic: &TopicName) -> Self {
        self.content = self.content.copied(topic.text().as_bytes());
        self
    }

    /// Without a topic: what a sender does when a Topic Alias stands for it.
    #[must_use]
    pub fn without_topic(mut self) -> Self {
        self.content = self.content.without_topic();
        self
    }

    /// Without its payload: topic, properties and flags alone.
    #[must_use]
    pub fn without_payload(mut self) -> Self {
        self.content = self.content.without_payload();
        self
    }

    /// With another payload, in a frame of its own.
    #[must_use]
    pub fn with_payload(mut self, payload: &[u8]) -> Self {
        self.content = Content::new(self.content.topic_bytes(), self.content.forwarded(), payload);
        self
    }

    /// The Topic Name; empty only where a Topic Alias stands for it.
    pub fn topic(&self) -> &str {
        self.content.topic()
    }

    /// The Topic Name as it stands in the frame, for who compares or hashes it.
    pub fn topic_bytes(&self) -> &[u8] {
        self.content.topic_bytes()
    }

    /// The Topic Name as its own value, sharing the frame; `None` where it is empty.
    pub fn topic_name(&self) -> Option<TopicName> {
        TopicName::new(self.content.topic_text()).ok()
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.content.payload()
    }

    /// The payload, sharing the frame.
    pub fn payload_bytes(&self) -> Bytes {
        self.content.payload_bytes()
    }

    /// The properties that are forwarded, in order: all but Topic Alias, Message Expiry Interval and Subscription
    /// Identifier, which have fields of their own.
    pub fn forwarded_properties(&self) -> Properties {
        self.content.properties()
    }

    /// The same where they lie, without a copy.
    pub fn forwarded_views(&self) -> impl Iterator<Item = (PropertyId, ValueView<'_>)> {
        self.content.property_views()
    }

    /// Every property of the packet, those with fields of their own last.
    pub fn properties(&self) -> Properties {
        let mut properties = self.forwarded_properties();
        self.hop_properties().for_each(|property| properties.push(property));
        properties
    }

    /// A copy that owns exactly its own bytes: what is kept beyond the turn pins no read buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        Publish { content: self.content.copied(self.content.topic_bytes()), ..self.clone() }
    }

    /// Bytes that the kept message occupies: topic, properties and payload.
    pub fn size_bytes(&self) -> usize {
        self.content.len()
    }

    fn has_hop_properties(&self) -> bool {
        self.topic_alias.is_some()
            || self.message_expiry_interval.is_some()
            || !self.subscription_identifiers.is_empty()
    }

    fn hop_properties(&self) -> impl Iterator<Item = Property> + '_ {
        let alias = self.topic_alias.map(Property::TopicAlias);
        let expiry = self.message_expiry_interval.map(Property::MessageExpiryInterval);
        let identifiers = self.subscription_identifiers.iter().map(|id| Property::SubscriptionIdentifier(*id));
        alias.into_iter().chain(expiry).chain(identifiers)
    }

    /// Of a frame whose fields were read.
    #[inline]
    pub(crate) fn within(frame: Bytes, fields: Fields) -> Self {
        let (dup, retain) = (fields.dup(), fields.retain());
        let Fields { qos, packet_id, hop, layout, .. } = fields;
        let Hop { topic_alias, message_expiry_interval, has_identifiers, .. } = hop;
        let subscription_identifiers = match has_identifiers {
            false => Vec::new(),
            true => subscription_identifiers(layout.properties(&frame)).into_vec(),
        };
        let content = Content::within(frame, layout);
        Publish { dup, qos, retain, packet_id, topic_alias, message_expiry_interval, subscription_identifiers, content }
    }

    pub(super) fn flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flag(self.dup, DUP) | self.qos.bits() << QOS_SHIFT | flag(self.retain, RETAIN)
    }

    fn properties_len(&self) -> usize {
        self.content.forwarded_len() + self.hop_properties().map(|property| property.encoded_len()).sum::<usize>()
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let packet_id = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let properties = if version.has_properties() { block_len(self.properties_len()) } else { 0 };
        2 + self.content.topic_bytes().len() + packet_id + properties + self.payload().len()
    }

    /// Appends the whole frame: the payload is copied once, straight to its place. On an error `out` is
    /// as before.
    pub(super) fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let first = PacketKind::Publish.number() << 4 | self.flags();
        let topic = self.content.topic_bytes();
        // [MQTT-2.2.1-2]
        let packet_id = match self.qos {
            Qos::AtMostOnce => None,
            _ => Some(self.packet_id.ok_or(EncodeError::NoPacketId)?.value().to_be_bytes()),
        };
        // A message is often written as it came.
        if !(version.has_properties() && self.has_hop_properties()) {
            match self.content.as_written(packet_id.is_some(), version.has_properties()) {
                Some(Written::Frame(frame, packet_id_at)) => {
                    let start = out.len();
                    out.extend_from_slice(frame);
                    out[start] = first;
                    if let Some(packet_id) = packet_id {
                        out[start + packet_id_at..][..2].copy_from_slice(&packet_id);
                    }
                    return Ok(());
                }
                Some(Written::FromTopic(rest)) => {
                    put_head(first, 2 + rest.len(), topic.len(), out)?;
                    out.extend_from_slice(rest);
                    return Ok(());
                }
                None => {}
            }
        }
        // A Subscription Identifier of ours may be too large for the wire.
        let start = out.len();
        put_head(first, self.body_len(version), topic.len(), out)?;
        // [MQTT-3.3.2-1]
        out.extend_from_slice(topic);
        if let Some(packet_id) = packet_id {
            out.extend_from_slice(&packet_id);
        }
        if version.has_properties()
            && let Err(error) = self.write_properties(out)
        {
            out.truncate(start);
            return Err(error);
        }
        out.extend_from_slice(self.payload());
        Ok(())
    }

    fn write_properties(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let length = self.properties_len();
        if length == 0 {
            out.extend_from_slice(&[0]);
            return Ok(());
        }
        let out = &mut Writer::behind(out, block_len(length));
        put_block_len(out, length)?;
        self.content.forwarded().for_each(|piece| out.put_slice(piece));
        self.hop_properties().try_for_each(|property| property.encode(out))
    }
}

/// Appends what a PUBLISH begins with, up to the length of its topic, and makes room for all of it.
fn put_head(first: u8, body: usize, topic: usize, out: &mut BytesMut) -> Result<(), EncodeError> {
    let length = remaining_length(body)?;
    out.reserve(1 + variable_len(length) + body);
    let [high, low] = u16::try_from(topic).expect("a Topic Name has at most 65535 bytes").to_be_bytes();
    let bytes = variable_bytes(length);
    match variable_len(length) {
        1 => out.extend_from_slice(&[first, bytes[0], high, low]),
        2 => out.extend_from_slice(&[first, bytes[0], bytes[1], high, low]),
        3 => out.extend_from_slice(&[first, bytes[0], bytes[1], bytes[2], high, low]),
        _ => out.extend_from_slice(&[first, bytes[0], bytes[1], bytes[2], bytes[3], high, low]),
    }
    Ok(())
}

/// What the frame of a PUBLISH says and where: all of it checked, nothing copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    flags: u8,
    pub(super) qos: Qos,
    pub(super) packet_id: Option<PacketId>,
    hop: Hop,
    pub(super) layout: Layout,
}

impl Fields {
    pub(super) const fn dup(&self) -> bool {
        self.flags & DUP != 0
    }

    pub(super) const fn retain(&self) -> bool {
        self.flags & RETAIN != 0
    }

    /// Reads a whole frame whose body begins at an offset.
    #[inline(always)]
    pub(crate) fn read(
        version: Version,
        sender: Side,
        first: u8,
        frame: &[u8],
        body: usize,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(frame, body, PacketKind::Publish);
        // [MQTT-3.3.1-4]
        let qos = Qos::from_bits(first >> QOS_SHIFT & 0b11).ok_or(DecodeError::PublishQos)?;
        let name = reader.prefixed("the topic name")?;
        check_topic(name)?;
        let behind_topic = offset(reader.position());
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ => Some(reader.packet_id(sender)?),
        };
        let mut layout = Layout {
            topic: (behind_topic - offset(name.len()), behind_topic),
            is_whole: body == 1 + variable_len(offset(frame.len() - body)),
            ..Layout::default()
        };
        let mut hop = Hop::default();
        if version.has_properties() {
            let length = reader.variable("the property length")?;
            let block = reader.within(length as usize, "the properties")?;
            layout.properties = (offset(block.position()), offset(reader.position()));
            if length > 0 {
                hop = Hop::read(sender, block)?;
            }
            layout.hop_bytes = hop.bytes;
        }
        // [MQTT-4.7.3-1] 5.0: a Topic Alias may stand for the name.
        if name.is_empty() && hop.topic_alias.is_none() {
            return Err(DecodeError::TopicName { place: Place::Publish, error: TopicError::Empty });
        }
        layout.payload = offset(reader.position());
        Ok(Fields { flags: first & 0x0F, qos, packet_id, hop, layout })
    }
}

/// The properties that a PUBLISH holds in fields of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Hop {
    topic_alias: Option<u16>,
    message_expiry_interval: Option<u32>,
    has_identifiers: bool,
    /// Bytes that all of them take.
    bytes: u32,
}

impl Hop {
    /// Checks a block of properties and keeps these.
    fn read(sender: Side, mut block: Reader<'_>) -> Result<Self, DecodeError> {
        let mut hop = Hop::default();
        let mut head = Head::new(Place::Publish, sender);
        while block.left() > 0 {
            let before = block.left();
            let id = head.read(&mut block)?;
            let number = id.skip(&mut block)?;
            match id {
                // The table says that the kind is Two.
                PropertyId::TopicAlias => hop.topic_alias = u16::try_from(number).ok(),
                PropertyId::MessageExpiryInterval => hop.message_expiry_interval = Some(number),
                PropertyId::SubscriptionIdentifier => hop.has_identifiers = true,
                _ => continue,
            }
            hop.bytes += offset(before - block.left());
        }
        Ok(hop)
    }
}

/// Whether [`check_flags`] has nothing against these.
pub(super) const fn flags_fit(version: Version, flags: u8) -> bool {
    match Qos::from_bits(flags >> QOS_SHIFT & 0b11) {
        None => false,
        Some(Qos::AtMostOnce) => matches!(version, Version::V3_1) || flags & DUP == 0,
        Some(_) => true,
    }
}

/// Judges the flags of the first byte.
pub(super) fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    // [MQTT-3.3.1-4]
    let qos = Qos::from_bits(flags >> QOS_SHIFT & 0b11).ok_or(DecodeError::PublishQos)?;
    // [MQTT-3.3.1-2] In 3.1 DUP is a hint without a rule.
    if version > Version::V3_1 && qos == Qos::AtMostOnce && flags & DUP != 0 {
        return Err(DecodeError::DupWithQos0);
    }
    Ok(())
}

/// Judges a Topic Name where it lies; an empty one is judged later.
#[inline]
fn check_topic(name: &[u8]) -> Result<(), DecodeError> {
    if is_plain_name(name) { Ok(()) } else { check_odd_topic(name) }
}

#[cold]
fn check_odd_topic(name: &[u8]) -> Result<(), DecodeError> {
    check_text(name).map_err(|error| DecodeError::Text { field: "the topic name", error })?;
    // [MQTT-3.3.2-2]
    check_name(name).map_err(|error| DecodeError::TopicName { place: Place::Publish, error })
}

impl PartialEq for Publish {
    /// Equal when they say the same, wherever it lies.
    fn eq(&self, other: &Self) -> bool {
        let hop = |publish: &Publish| {
            (
                publish.dup,
                publish.qos,
                publish.retain,
                publish.packet_id,
                publish.topic_alias,
                publish.message_expiry_interval,
            )
        };
        hop(self) == hop(other)
            && self.subscription_identifiers == other.subscription_identifiers
            && self.content == other.content
    }
}

impl Eq for Publish {}
