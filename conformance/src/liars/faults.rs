//! Liars that do not see one fault in one kind of packet: where the packet has an answer, they give it as if all were right.
//! Each sees every other fault, so that only tests of its own fault convict it.

use squall_codec::{
    packet::{Ack, Packet, Suback, Unsuback},
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::{Passing, liar},
    kind::overlooks,
};

const PUBLISH: u8 = 3;
const PUBREL: u8 = 6;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;

/// A frame of a client by its bytes: it need not be a packet.
struct Frame<'a> {
    kind: u8,
    flags: u8,
    /// Behind the fixed header.
    body: &'a [u8],
    has_properties: bool,
}

impl<'a> Frame<'a> {
    fn of(passing: &'a Passing<'_>) -> Option<Self> {
        let raw = &passing.raw;
        let length = raw.get(1..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
        Some(Frame {
            kind: raw[0] >> 4,
            flags: raw[0] & 0x0F,
            body: raw.get(1 + length..)?,
            has_properties: passing.version.has_properties(),
        })
    }

    /// Whether its flags are those of its kind.
    fn is_well_flagged(&self) -> bool {
        self.flags == if matches!(self.kind, PUBREL | SUBSCRIBE | UNSUBSCRIBE) { 2 } else { 0 }
    }

    /// The Topic Name of a PUBLISH.
    fn topic(&self) -> Option<&'a [u8]> {
        string(self.body)
    }

    /// Two bytes where the packet identifier stands.
    fn identifier(&self) -> Option<u16> {
        let at = if self.kind == PUBLISH { 2 + self.topic()?.len() } else { 0 };
        Some(u16::from_be_bytes(self.body.get(at..at + 2)?.try_into().ok()?))
    }

    /// Behind the properties of a SUBSCRIBE or UNSUBSCRIBE: its filters.
    fn filters(&self) -> Option<&'a [u8]> {
        let rest = self.body.get(2..)?;
        if !self.has_properties {
            return Some(rest);
        }
        let length = *rest.first()?;
        rest.get(1 + usize::from(length)..)
    }

    /// Of a SUBSCRIBE or UNSUBSCRIBE with right flags: the bytes of its first filter.
    fn filter(&self, kind: u8) -> Option<&'a [u8]> {
        if self.kind == kind && self.is_well_flagged() { string(self.filters()?) } else { None }
    }
}

fn string(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    bytes.get(2..2 + length)
}

/// Answers what has this fault as if it had none, and does not look at it where it cannot answer.
fn forgives(fault: impl Fn(&Frame<'_>) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        // What comes before CONNECT has another fault.
        let stranger = !passing.connections.contains_key(&passing.connection);
        let malformed = passing.packet.is_none() && passing.direction == Direction::ToServer && !stranger;
        let Some(frame) = Frame::of(passing).filter(|frame| malformed && fault(frame)) else { return passing.pass() };
        let Some(id) = frame.identifier().and_then(PacketId::new) else { return };
        match frame.kind {
            PUBLISH => passing.answer(&Packet::Puback(Ack::new(id))),
            PUBREL => passing.answer(&Packet::Pubcomp(Ack::new(id))),
            SUBSCRIBE => passing.answer(&Packet::Suback(Suback::new(id, vec![ReasonCode::GRANTED_QOS_0]))),
            UNSUBSCRIBE => {
                let reasons = if passing.version.has_properties() { vec![ReasonCode::Success] } else { Vec::new() };
                passing.answer(&Packet::Unsuback(Unsuback::new(id, reasons)));
            }
            _ => {}
        }
    })
}

/// Takes no notice of what has this fault.
fn misses(fault: impl Fn(&Frame<'_>) -> bool + 'static) -> Box<dyn Liar> {
    overlooks(move |passing| passing.packet.is_none() && Frame::of(passing).is_some_and(|frame| fault(&frame)))
}

fn forgives_flags_of(kind: u8) -> Box<dyn Liar> {
    forgives(move |frame| frame.kind == kind && !frame.is_well_flagged())
}

/// The flags of PUBREL are not looked at.
pub(crate) fn forgives_flags_of_pubrel() -> Box<dyn Liar> {
    forgives_flags_of(PUBREL)
}

/// The flags of SUBSCRIBE are not looked at.
pub(crate) fn forgives_flags_of_subscribe() -> Box<dyn Liar> {
    forgives_flags_of(SUBSCRIBE)
}

/// The flags of UNSUBSCRIBE are not looked at.
pub(crate) fn forgives_flags_of_unsubscribe() -> Box<dyn Liar> {
    forgives_flags_of(UNSUBSCRIBE)
}

fn is_ill_formed(filter: &[u8]) -> bool {
    std::str::from_utf8(filter).is_err()
}

/// A SUBSCRIBE to what is no UTF-8 is granted.
pub(crate) fn grants_ill_formed_filters() -> Box<dyn Liar> {
    forgives(|frame| frame.filter(SUBSCRIBE).is_some_and(is_ill_formed))
}

/// An UNSUBSCRIBE from what is no UTF-8 is answered.
pub(crate) fn unsubscribes_from_ill_formed_filters() -> Box<dyn Liar> {
    forgives(|frame| frame.filter(UNSUBSCRIBE).is_some_and(is_ill_formed))
}

fn has_no_filter(frame: &Frame<'_>, kind: u8) -> bool {
    frame.kind == kind && frame.is_well_flagged() && frame.filters().is_some_and(<[u8]>::is_empty)
}

/// A SUBSCRIBE to nothing is answered.
pub(crate) fn grants_no_filter() -> Box<dyn Liar> {
    forgives(|frame| has_no_filter(frame, SUBSCRIBE))
}

/// An UNSUBSCRIBE from nothing is answered.
pub(crate) fn unsubscribes_from_no_filter() -> Box<dyn Liar> {
    forgives(|frame| has_no_filter(frame, UNSUBSCRIBE))
}

/// The reserved bits of a subscription's options are not looked at.
pub(crate) fn forgives_reserved_bits_of_options() -> Box<dyn Liar> {
    forgives(|frame| {
        let reserved = if frame.has_properties { 0xC0 } else { 0xFC };
        let Some(filter) = frame.filter(SUBSCRIBE).filter(|filter| !filter.is_empty() && !is_ill_formed(filter)) else {
            return false;
        };
        let options = frame.filters().and_then(|filters| filters.get(2 + filter.len()));
        // 3.1.1 has no other value for QoS 3 than a reserved one.
        options.is_some_and(|options| options & reserved != 0 || (!frame.has_properties && options & 3 == 3))
    })
}

/// Whether one of these characters stands beside others in its level, or `#` before the last level.
fn is_misplaced(filter: &[u8], wildcard: u8) -> bool {
    let levels: Vec<&[u8]> = filter.split(|byte| *byte == b'/').collect();
    levels.iter().enumerate().any(|(place, level)| {
        let crowded = level.len() > 1 && level.contains(&wildcard);
        let early = wildcard == b'#' && *level == b"#" && place + 1 < levels.len();
        crowded || early
    })
}

/// A SUBSCRIBE with a `#` where none may stand is not looked at.
pub(crate) fn overlooks_misplaced_multi_level_wildcards() -> Box<dyn Liar> {
    misses(|frame| frame.filter(SUBSCRIBE).is_some_and(|filter| is_misplaced(filter, b'#')))
}

/// A SUBSCRIBE with a `+` where none may stand is not looked at.
pub(crate) fn overlooks_misplaced_single_level_wildcards() -> Box<dyn Liar> {
    misses(|frame| frame.filter(SUBSCRIBE).is_some_and(|filter| is_misplaced(filter, b'+')))
}

/// A SUBSCRIBE to a filter without a character is not looked at.
pub(crate) fn overlooks_empty_filters() -> Box<dyn Liar> {
    misses(|frame| frame.filter(SUBSCRIBE).is_some_and(<[u8]>::is_empty))
}

/// A PUBLISH to no topic is acknowledged.
pub(crate) fn acknowledges_empty_topics() -> Box<dyn Liar> {
    forgives(|frame| {
        // Behind the identifier 5.0 has properties: where there are some, an alias may stand for the topic.
        let alias = frame.has_properties && frame.body.get(4).is_some_and(|length| *length > 0);
        frame.kind == PUBLISH && frame.topic().is_some_and(<[u8]>::is_empty) && !alias
    })
}

/// The packet identifier 0 is taken for one.
pub(crate) fn overlooks_identifier_zero() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing).is_some_and(|frame| {
                let identified = match frame.kind {
                    PUBLISH => matches!(frame.flags & 0x06, 2 | 4),
                    SUBSCRIBE | UNSUBSCRIBE => frame.is_well_flagged(),
                    _ => false,
                };
                identified && frame.identifier() == Some(0)
            })
    })
}

/// A PINGREQ with a payload is not looked at.
pub(crate) fn overlooks_long_pings() -> Box<dyn Liar> {
    overlooks(|passing| passing.raw[0] == 0xC0 && passing.raw.len() > 2)
}

/// A Remaining Length that goes on beyond its fourth byte is not looked at, nor what it belongs to.
pub(crate) fn overlooks_endless_lengths() -> Box<dyn Liar> {
    overlooks(|passing| passing.raw.get(1..5).is_some_and(|length| length.iter().all(|byte| byte & 0x80 != 0)))
}

/// A SUBSCRIBE or PUBLISH that breaks off in one of its fields is not looked at.
pub(crate) fn overlooks_missing_bytes() -> Box<dyn Liar> {
    overlooks(|passing| passing.packet.is_none() && Frame::of(passing).is_some_and(|frame| breaks_off(&frame)))
}

fn breaks_off(frame: &Frame<'_>) -> bool {
    match frame.kind {
        PUBLISH => frame.topic().is_none() || (matches!(frame.flags & 0x06, 2 | 4) && frame.identifier().is_none()),
        SUBSCRIBE if frame.is_well_flagged() => match frame.filters() {
            None => true,
            Some([]) => false,
            Some(filters) => string(filters).is_none_or(|filter| filters.len() < 3 + filter.len()),
        },
        _ => false,
    }
}

/// Properties of a PUBLISH, SUBSCRIBE or UNSUBSCRIBE that cannot be read are not looked at.
pub(crate) fn overlooks_wrong_properties() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing).is_some_and(|frame| {
                let place = match frame.kind {
                    PUBLISH if frame.flags & 0x06 == 6 => return false,
                    PUBLISH => {
                        let identifier = if frame.flags & 0x06 == 0 { 0 } else { 2 };
                        frame.topic().map(|topic| 2 + topic.len() + identifier)
                    }
                    SUBSCRIBE | UNSUBSCRIBE if frame.is_well_flagged() => Some(2),
                    _ => None,
                };
                frame.has_properties && place.and_then(|place| frame.body.get(place)).is_some_and(|length| *length > 0)
            })
    })
}

/// Behind the topic and the identifier of a PUBLISH of 5.0: its properties, which take less than 128 bytes in a test.
fn properties_of_publish<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    if frame.kind != PUBLISH || !frame.has_properties || frame.flags & 0x06 == 6 {
        return None;
    }
    let identifier = if frame.flags & 0x06 == 0 { 0 } else { 2 };
    block(frame.body.get(2 + frame.topic()?.len() + identifier..)?)
}

/// The content of a block of properties.
fn block(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*bytes.first()?);
    bytes.get(1..1 + length)
}

/// Hands a PUBLISH with this fault to everybody else, byte by byte, in the place of refusing it.
fn relays(fault: impl Fn(&Frame<'_>) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let from_client = passing.direction == Direction::ToServer;
        if !Frame::of(passing).is_some_and(|frame| from_client && frame.kind == PUBLISH && fault(&frame)) {
            return passing.pass();
        }
        let others: Vec<u64> =
            passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
        for other in others {
            passing.put_bytes(other, Direction::ToClient, passing.raw.clone());
        }
    })
}

/// A message with the Topic Alias 0 is handed on.
pub(crate) fn relays_the_alias_0() -> Box<dyn Liar> {
    relays(|frame| properties_of_publish(frame) == Some(&[0x23, 0, 0]))
}

/// A message with a Topic Alias above 10, which is more than most servers take, is handed on where it also has a topic.
pub(crate) fn relays_large_aliases() -> Box<dyn Liar> {
    relays(|frame| {
        let alias = properties_of_publish(frame).and_then(|properties| properties.strip_prefix(&[0x23]));
        alias.and_then(|alias| alias.try_into().ok()).is_some_and(|alias| u16::from_be_bytes(alias) > 10)
            && frame.topic().is_some_and(|topic| !topic.is_empty())
    })
}

/// Whether the first property is this one, and the block is no UTF-8.
fn is_ill_formed_property(frame: &Frame<'_>, identifier: u8) -> bool {
    properties_of_publish(frame)
        .is_some_and(|properties| properties.first() == Some(&identifier) && is_ill_formed(properties))
}

/// A message whose Response Topic is no UTF-8 is handed on.
pub(crate) fn relays_ill_formed_response_topics() -> Box<dyn Liar> {
    relays(|frame| is_ill_formed_property(frame, 0x08))
}

/// A message whose Content Type is no UTF-8 is handed on.
pub(crate) fn relays_ill_formed_content_types() -> Box<dyn Liar> {
    relays(|frame| is_ill_formed_property(frame, 0x03))
}

/// A message to a topic with wildcards is handed on.
pub(crate) fn relays_wildcards() -> Box<dyn Liar> {
    relays(|frame| frame.topic().is_some_and(|topic| topic.contains(&b'+') || topic.contains(&b'#')))
}

/// A message with a Subscription Identifier of the publisher is handed on with it.
pub(crate) fn relays_subscription_identifiers() -> Box<dyn Liar> {
    relays(|frame| properties_of_publish(frame).is_some_and(|properties| properties.first() == Some(&0x0B)))
}

/// A Response Topic with wildcards is taken.
pub(crate) fn takes_wildcards_to_respond_to() -> Box<dyn Liar> {
    forgives(|frame| {
        properties_of_publish(frame)
            .is_some_and(|properties| properties.first() == Some(&0x08) && properties.contains(&b'#'))
    })
}

/// A message with a property that no PUBLISH has is acknowledged.
pub(crate) fn acknowledges_foreign_properties() -> Box<dyn Liar> {
    const KNOWN: [u8; 8] = [0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26];
    forgives(|frame| {
        properties_of_publish(frame).and_then(<[u8]>::first).is_some_and(|identifier| !KNOWN.contains(identifier))
    })
}

/// A SUBSCRIBE or UNSUBSCRIBE with a property that it does not have is answered.
pub(crate) fn grants_foreign_properties() -> Box<dyn Liar> {
    forgives(|frame| {
        let properties =
            frame.body.get(2..).and_then(block).filter(|_| frame.has_properties && frame.is_well_flagged());
        let first = properties.and_then(<[u8]>::first);
        match frame.kind {
            SUBSCRIBE => first.is_some_and(|identifier| !matches!(identifier, 0x0B | 0x26)),
            UNSUBSCRIBE => first.is_some_and(|identifier| *identifier != 0x26),
            _ => false,
        }
    })
}

/// Behind the identifier and the code of an acknowledgement: its properties.
fn properties_of_ack<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    let is_ack = matches!(frame.kind, 4..=7) && frame.has_properties;
    frame.body.get(3..).filter(|_| is_ack).and_then(block)
}

/// A property that stands twice in an acknowledgement is not looked at.
pub(crate) fn overlooks_what_stands_twice() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing).and_then(|frame| properties_of_ack(&frame).map(is_twice_the_same)).unwrap_or(false)
    })
}

/// Whether both halves of a block are equal.
pub(crate) fn is_twice_the_same(properties: &[u8]) -> bool {
    let (first, second) = properties.split_at(properties.len() / 2);
    !first.is_empty() && first == second
}

/// Strings in acknowledgements that are no UTF-8 are not looked at.
pub(crate) fn overlooks_ill_formed_explanations() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing).is_some_and(|frame| {
                properties_of_ack(&frame).is_some_and(|properties| is_ill_formed(properties) || properties.contains(&0))
            })
    })
}

/// The code of an acknowledgement without properties is not looked at.
pub(crate) fn overlooks_foreign_codes() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing)
                .is_some_and(|frame| matches!(frame.kind, 4..=7) && frame.has_properties && frame.body.len() == 3)
    })
}

/// A SUBSCRIBE that breaks off is granted.
pub(crate) fn grants_what_breaks_off() -> Box<dyn Liar> {
    forgives(|frame| {
        frame.kind == SUBSCRIBE && breaks_off(frame) && frame.identifier().is_some_and(|identifier| identifier > 0)
    })
}

/// An UNSUBSCRIBE whose filter has another length than it says is answered.
pub(crate) fn unsubscribes_by_wrong_lengths() -> Box<dyn Liar> {
    forgives(|frame| {
        let lies = |filters: &[u8]| string(filters).is_none_or(|filter| filter.len() + 2 != filters.len());
        frame.kind == UNSUBSCRIBE && frame.is_well_flagged() && frame.filters().is_some_and(lies)
    })
}

/// An UNSUBSCRIBE whose properties are longer than the packet, or are cut, is answered.
pub(crate) fn unsubscribes_by_wrong_property_lengths() -> Box<dyn Liar> {
    forgives(|frame| {
        let properties = frame.body.get(2..).and_then(block);
        let is_whole = |properties: &[u8]| properties.is_empty();
        frame.kind == UNSUBSCRIBE && frame.is_well_flagged() && !properties.is_some_and(is_whole)
    })
}

/// An UNSUBSCRIBE that breaks off is answered.
pub(crate) fn unsubscribes_by_what_breaks_off() -> Box<dyn Liar> {
    forgives(|frame| {
        let is_cut = match frame.filters() {
            Some(filters) => string(filters).is_none(),
            None => true,
        };
        frame.kind == UNSUBSCRIBE && frame.is_well_flagged() && is_cut
    })
}

/// A message of QoS 3 is not looked at.
pub(crate) fn overlooks_qos_3() -> Box<dyn Liar> {
    overlooks(|passing| passing.raw[0] >> 4 == PUBLISH && passing.raw[0] & 0x06 == 6)
}

/// A message whose topic is longer than its packet is not looked at.
pub(crate) fn overlooks_cut_topics() -> Box<dyn Liar> {
    overlooks(|passing| {
        Frame::of(passing)
            .is_some_and(|frame| frame.kind == PUBLISH && frame.flags & 0x06 != 6 && frame.topic().is_none())
    })
}

/// A topic or filter that is no UTF-8 is not looked at.
pub(crate) fn overlooks_ill_formed_topics() -> Box<dyn Liar> {
    overlooks(|passing| {
        passing.packet.is_none()
            && Frame::of(passing).is_some_and(|frame| match frame.kind {
                PUBLISH => frame.flags & 0x06 != 6 && frame.topic().is_some_and(is_ill_formed),
                kind @ (SUBSCRIBE | UNSUBSCRIBE) => frame.filter(kind).is_some_and(is_ill_formed),
                _ => false,
            })
    })
}
