//! What a PUBLISH carries from end to end: topic, forwarded properties and payload, as ranges of one shared frame that
//! were checked when they were made. They are forwarded as they came and in their order ([MQTT-3.3.2-4] [MQTT-3.3.2-15]
//! [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]).

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::PacketKind;
use crate::{
    ascii::as_str,
    property::{Properties, PropertiesView, Property, PropertyId, ValueView, block_len},
    wire::{Keep, Reader, Text, TextView, VARIABLE_BYTE_INTEGER_MAX, Writer, variable_len},
};

/// The properties of a PUBLISH that belong to one hop and have fields of their own.
pub(super) const fn belongs_to_hop(id: PropertyId) -> bool {
    matches!(id, PropertyId::TopicAlias | PropertyId::MessageExpiryInterval | PropertyId::SubscriptionIdentifier)
}

/// Where things stand in a frame that was checked. The payload goes on to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    pub(super) topic: (u32, u32),
    /// A block without its length, which may hold properties of the hop as well.
    pub(super) properties: (u32, u32),
    /// Bytes within `properties` that belong to the hop and are not forwarded.
    pub(super) hop_bytes: u32,
    pub(super) payload: u32,
    /// The frame is a whole PUBLISH, its header written as we write it.
    pub(super) is_whole: bool,
}

/// Topic, forwarded properties and payload.
#[derive(Clone, Debug)]
pub(super) struct Content {
    frame: Bytes,
    layout: Layout,
}

/// As a position in a frame, which has at most 268,435,460 bytes.
pub(super) const fn offset(at: usize) -> u32 {
    at as u32
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

impl Layout {
    pub(super) fn topic<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[range(self.topic)]
    }

    pub(super) fn properties<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[range(self.properties)]
    }

    pub(super) fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.payload as usize..]
    }
}

impl Content {
    /// Of a frame that was decoded.
    #[inline]
    pub(super) fn within(frame: Bytes, layout: Layout) -> Self {
        Content { frame, layout }
    }

    /// In a frame of its own.
    pub(super) fn new<'a>(topic: &[u8], properties: impl Iterator<Item = &'a [u8]> + Clone, payload: &[u8]) -> Self {
        let block = properties.clone().map(<[u8]>::len).sum::<usize>();
        // Where there are properties their length stands before them, as on the wire.
        let room = if block > 0 { block_len(block) } else { 0 };
        let body = 2 + topic.len() + room + payload.len();
        assert!(u32::try_from(body).is_ok(), "a message is smaller than 4 GiB");
        // It begins as a PUBLISH at QoS 0 does, so that it can be written as it is.
        let header = 1 + variable_len(offset(body));
        let mut frame = BytesMut::with_capacity(header + body);
        let mut head = Writer::behind(&mut frame, header + 2);
        head.put_u8(PacketKind::Publish.number() << 4);
        head.put_variable(offset(body));
        head.put_u16(offset(topic.len()) as u16);
        let begin = frame.len();
        frame.extend_from_slice(topic);
        if block > 0 {
            Writer::behind(&mut frame, variable_len(offset(block))).put_variable(offset(block));
        }
        let start = frame.len();
        properties.for_each(|piece| frame.extend_from_slice(piece));
        let behind = offset(frame.len());
        frame.extend_from_slice(payload);
        let layout = Layout {
            topic: (offset(begin), offset(begin + topic.len())),
            properties: (offset(start), behind),
            hop_bytes: 0,
            payload: behind,
            is_whole: body <= VARIABLE_BYTE_INTEGER_MAX as usize,
        };
        Content::within(frame.freeze(), layout)
    }

    /// In a frame of its own with this topic, and nothing in it that is not forwarded.
    pub(super) fn copied(&self, topic: &[u8]) -> Self {
        Content::new(topic, self.forwarded(), self.payload())
    }

    pub(super) fn without_topic(self) -> Self {
        Content { layout: Layout { topic: (0, 0), is_whole: false, ..self.layout }, ..self }
    }

    pub(super) fn without_payload(self) -> Self {
        let frame = self.frame.slice(..self.layout.payload as usize);
        Content { frame, layout: Layout { is_whole: false, ..self.layout } }
    }

    pub(super) fn topic_bytes(&self) -> &[u8] {
        self.layout.topic(&self.frame)
    }

    pub(super) fn topic(&self) -> &str {
        as_str(self.topic_bytes())
    }

    pub(super) fn topic_text(&self) -> Text {
        TextView::checked(self.topic_bytes()).kept(Keep::Share(&self.frame))
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.layout.payload(&self.frame)
    }

    pub(super) fn payload_bytes(&self) -> Bytes {
        self.frame.slice(self.layout.payload as usize..)
    }

    /// Bytes of topic, forwarded properties and payload.
    pub(super) fn len(&self) -> usize {
        self.topic_bytes().len() + self.forwarded_len() + self.payload().len()
    }

    /// Everything from the topic on, if that is what a packet has there: with or without a packet identifier behind the
    /// topic, with its block of forwarded properties (5.0) or without any.
    pub(super) fn as_written(&self, has_packet_id: bool, has_properties: bool) -> Option<Written<'_>> {
        let Layout { topic, properties: (start, end), hop_bytes, payload, is_whole } = self.layout;
        let behind = topic.1 + if has_packet_id { 2 } else { 0 };
        let fits = match has_properties {
            true => hop_bytes == 0 && start == behind + variable_len(end - start) as u32 && end == payload,
            false => payload == behind,
        };
        match fits {
            true if is_whole => Some(Written::Frame(&self.frame, topic.1 as usize)),
            true if !has_packet_id => Some(Written::FromTopic(&self.frame[topic.0 as usize..])),
            _ => None,
        }
    }

    /// Bytes that [`Content::forwarded`] yields altogether.
    pub(super) fn forwarded_len(&self) -> usize {
        range(self.layout.properties).len() - self.layout.hop_bytes as usize
    }

    /// The forwarded properties as they stand in the frame: one piece, unless properties of the hop lie between.
    pub(super) fn forwarded(&self) -> Forwarded<'_> {
        let block = range(self.layout.properties);
        Forwarded { content: self, at: block.start, end: block.end }
    }

    /// The forwarded properties where they lie.
    pub(super) fn property_views(&self) -> impl Iterator<Item = (PropertyId, ValueView<'_>)> {
        let views = PropertiesView::new(self.layout.properties(&self.frame)).iter();
        views.filter(|(id, _)| !belongs_to_hop(*id))
    }

    /// The forwarded properties by their values.
    pub(super) fn properties(&self) -> Properties {
        let block = range(self.layout.properties);
        let mut reader = self.reader(block.start, block.end);
        let mut properties = Vec::new();
        while reader.left() > 0 {
            let id = next_id(&mut reader);
            properties.push(Property::read(id, &mut reader).expect("checked when the frame was decoded"));
        }
        properties.into_iter().filter(|property| !belongs_to_hop(property.id())).collect()
    }

    fn reader(&self, start: usize, end: usize) -> Reader<'_> {
        let mut reader = Reader::new(&self.frame, start, PacketKind::Publish).keeping(Keep::Share(&self.frame));
        reader.within(end - start, "the properties").expect("the range lies within the frame")
    }
}

/// What a frame holds of what is to be written.
pub(super) enum Written<'a> {
    /// All but the flags and the packet identifier, which stands at this offset.
    Frame(&'a [u8], usize),
    /// The topic and all behind it.
    FromTopic(&'a [u8]),
}

impl PartialEq for Content {
    /// Equal when they say the same, wherever it lies.
    fn eq(&self, other: &Self) -> bool {
        self.topic_bytes() == other.topic_bytes()
            && self.payload() == other.payload()
            && self.forwarded().flatten().eq(other.forwarded().flatten())
    }
}

/// The pieces of the property block that are forwarded.
#[derive(Clone)]
pub(super) struct Forwarded<'a> {
    content: &'a Content,
    at: usize,
    end: usize,
}

impl<'a> Iterator for Forwarded<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if self.content.layout.hop_bytes == 0 {
            self.at = self.end;
            return (start < self.end).then(|| &self.content.frame[start..self.end]);
        }
        let mut reader = self.content.reader(start, self.end);
        while reader.left() > 0 {
            let before = reader.position();
            let id = next_id(&mut reader);
            id.skip(&mut reader).expect("checked when the frame was decoded");
            if !belongs_to_hop(id) {
                self.at = reader.position();
                return Some(&self.content.frame[before..self.at]);
            }
        }
        self.at = self.end;
        None
    }
}

/// The Subscription Identifiers in a block of properties that was checked. A box is handed over in registers.
#[cold]
pub(super) fn subscription_identifiers(block: &[u8]) -> Box<[u32]> {
    let mut reader = Reader::new(block, 0, PacketKind::Publish);
    let mut identifiers = Vec::new();
    while reader.left() > 0 {
        let id = next_id(&mut reader);
        let number = id.skip(&mut reader).expect("checked when the frame was decoded");
        if id == PropertyId::SubscriptionIdentifier {
            identifiers.push(number);
        }
    }
    identifiers.into_boxed_slice()
}

fn next_id(reader: &mut Reader<'_>) -> PropertyId {
    let id = reader.variable("a property identifier").ok().and_then(PropertyId::from_value);
    id.expect("checked when the frame was decoded")
}
