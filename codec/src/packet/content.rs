//! What a PUBLISH carries from end to end: topic, forwarded properties and payload, as ranges of one shared frame that
//! were checked when they were made. They are forwarded as they came and in their order ([MQTT-3.3.2-4] [MQTT-3.3.2-15]
//! [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]).

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::PacketKind;
use crate::{
    property::{Properties, Property, PropertyId, block_len},
    wire::{Frame, Reader, Text, Writer, variable_len},
};

/// The properties of a PUBLISH that belong to one hop and have fields of their own.
pub(super) const fn belongs_to_hop(id: PropertyId) -> bool {
    matches!(id, PropertyId::TopicAlias | PropertyId::MessageExpiryInterval | PropertyId::SubscriptionIdentifier)
}

/// Ranges of a frame. The payload goes on to its end.
#[derive(Clone, Debug)]
pub(super) struct Content {
    frame: Bytes,
    topic: (u32, u32),
    /// A block without its length, which may hold properties of the hop as well.
    properties: (u32, u32),
    /// Bytes within `properties` that belong to the hop and are not forwarded.
    hop_bytes: u32,
    payload: u32,
}

/// Where things stand in a frame that was checked.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) topic: Range<usize>,
    pub(super) properties: Range<usize>,
    pub(super) hop_bytes: usize,
    pub(super) payload: usize,
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a message is smaller than 4 GiB")
}

fn offsets(range: Range<usize>) -> (u32, u32) {
    (offset(range.start), offset(range.end))
}

fn range((start, end): (u32, u32)) -> Range<usize> {
    start as usize..end as usize
}

impl Content {
    /// Of a frame that was decoded.
    pub(super) fn within(frame: Bytes, layout: Layout) -> Self {
        Content {
            frame,
            topic: offsets(layout.topic),
            properties: offsets(layout.properties),
            hop_bytes: offset(layout.hop_bytes),
            payload: offset(layout.payload),
        }
    }

    /// In a frame of its own.
    pub(super) fn new<'a>(topic: &[u8], properties: impl Iterator<Item = &'a [u8]> + Clone, payload: &[u8]) -> Self {
        let block = properties.clone().map(<[u8]>::len).sum::<usize>();
        // Where there are properties their length stands before them, as on the wire.
        let room = if block > 0 { block_len(block) } else { 0 };
        let mut frame = BytesMut::with_capacity(topic.len() + room + payload.len());
        frame.extend_from_slice(topic);
        if block > 0 {
            Writer::behind(&mut frame, variable_len(offset(block))).put_variable(offset(block));
        }
        let start = frame.len();
        properties.for_each(|piece| frame.extend_from_slice(piece));
        let behind = frame.len();
        frame.extend_from_slice(payload);
        let layout = Layout { topic: 0..topic.len(), properties: start..behind, hop_bytes: 0, payload: behind };
        Content::within(frame.freeze(), layout)
    }

    /// In a frame of its own with this topic, and nothing in it that is not forwarded.
    pub(super) fn copied(&self, topic: &[u8]) -> Self {
        Content::new(topic, self.forwarded(), self.payload())
    }

    pub(super) fn without_topic(self) -> Self {
        Content { topic: (0, 0), ..self }
    }

    pub(super) fn without_payload(self) -> Self {
        Content { frame: self.frame.slice(..self.payload as usize), ..self }
    }

    pub(super) fn topic_bytes(&self) -> &[u8] {
        &self.frame[range(self.topic)]
    }

    pub(super) fn topic(&self) -> &str {
        std::str::from_utf8(self.topic_bytes()).expect("checked when the frame was decoded")
    }

    pub(super) fn topic_text(&self) -> Text {
        Text::from_bytes(self.frame.slice(range(self.topic))).expect("checked when the frame was decoded")
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.frame[self.payload as usize..]
    }

    pub(super) fn payload_bytes(&self) -> Bytes {
        self.frame.slice(self.payload as usize..)
    }

    /// Bytes of topic, forwarded properties and payload.
    pub(super) fn len(&self) -> usize {
        self.topic_bytes().len() + self.forwarded_len() + self.payload().len()
    }

    /// Everything from the topic on, if that is what a packet without packet identifier has there: with its block of
    /// forwarded properties (5.0) or without any.
    pub(super) fn behind_topic_length(&self, with_properties: bool) -> Option<&[u8]> {
        let (behind_topic, (start, end)) = (self.topic.1, self.properties);
        let as_written = match with_properties {
            true => {
                let length = variable_len(end - start) as u32;
                self.hop_bytes == 0 && start == behind_topic + length && end == self.payload
            }
            false => self.payload == behind_topic,
        };
        as_written.then(|| &self.frame[self.topic.0 as usize..])
    }

    /// Bytes that [`Content::forwarded`] yields altogether.
    pub(super) fn forwarded_len(&self) -> usize {
        range(self.properties).len() - self.hop_bytes as usize
    }

    /// The forwarded properties as they stand in the frame: one piece, unless properties of the hop lie between.
    pub(super) fn forwarded(&self) -> Forwarded<'_> {
        let block = range(self.properties);
        Forwarded { content: self, at: block.start, end: block.end }
    }

    /// The forwarded properties by their values.
    pub(super) fn properties(&self) -> Properties {
        let block = range(self.properties);
        let mut reader = self.reader(block.start, block.end);
        let mut properties = Vec::new();
        while reader.left() > 0 {
            let id = next_id(&mut reader);
            properties.push(Property::read(id, &mut reader).expect("checked when the frame was decoded"));
        }
        properties.into_iter().filter(|property| !belongs_to_hop(property.id())).collect()
    }

    fn reader(&self, start: usize, end: usize) -> Reader<'_> {
        let mut reader = Reader::new(Frame::Shared(&self.frame), start, PacketKind::Publish);
        reader.within(end - start, "the properties").expect("the range lies within the frame")
    }
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
        if self.content.hop_bytes == 0 {
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

fn next_id(reader: &mut Reader<'_>) -> PropertyId {
    let id = reader.variable("a property identifier").ok().and_then(PropertyId::from_value);
    id.expect("checked when the frame was decoded")
}
