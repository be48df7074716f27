//! Liars about aliases, request and response, payload formats, expiry and the size of answers.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Packet, PacketKind},
    property::{Properties, Property, PropertyId},
    reason::ReasonCode,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{hears, hears_connect, tells, welcomes},
};

/// Acknowledges a message that has no topic and no alias that stands for one.
pub(crate) fn acknowledges_messages_without_a_topic() -> Box<dyn Liar> {
    liar(|passing| {
        // PUBLISH of QoS 1 with an empty topic: the packet identifier stands behind its length.
        let frame = &passing.raw;
        let nameless = passing.direction == Direction::ToServer && frame[0] == 0x32 && frame.get(2..4) == Some(&[0, 0]);
        let id = frame.get(4..6).and_then(|bytes| PacketId::new(u16::from_be_bytes([bytes[0], bytes[1]])));
        match id.filter(|_| nameless) {
            Some(id) => passing.answer(&Packet::Puback(Ack::new(id))),
            None => passing.pass(),
        }
    })
}

/// Forwards the Topic Alias of the publisher.
pub(crate) fn forwards_aliases() -> Box<dyn Liar> {
    let mut said: BTreeMap<Vec<u8>, u16> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client() {
            said.extend(publish.topic_alias.map(|alias| (publish.payload().to_vec(), alias)));
        }
        match passing.from_server() {
            Some(Packet::Publish(publish)) if said.contains_key(publish.payload()) => {
                let mut changed = publish.clone();
                changed.topic_alias = said.get(publish.payload()).copied();
                passing.put(&Packet::Publish(changed));
            }
            _ => passing.pass(),
        }
    })
}

/// Sends a message again as it was sent first: by an alias that the connection does not know.
pub(crate) fn sends_again_by_an_old_alias() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet
            && publish.dup
        {
            *publish = publish.clone().without_topic();
            publish.topic_alias = Some(1);
        }
    })
}

/// Delivers Correlation Data backwards.
pub(crate) fn turns_correlation_data_round() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            let turned = |property: &Property| match property {
                Property::CorrelationData(data) => {
                    Property::CorrelationData(data.iter().rev().copied().collect::<Vec<_>>().into())
                }
                other => other.clone(),
            };
            let properties: Properties = publish.properties().iter().map(turned).collect();
            *publish = publish.clone().with_properties(&properties);
        }
    })
}

/// Refuses every payload that is said to be UTF-8.
pub(crate) fn refuses_utf8_payloads() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Publish(publish)) if publish.properties().payload_format_indicator() == Some(1) => {
            let refusal = publish.packet_id.map(|id| Ack::with_reason(id, ReasonCode::PayloadFormatInvalid));
            if let Some(refusal) = refusal {
                passing.answer(&Packet::Puback(refusal));
            }
        }
        _ => passing.pass(),
    })
}

/// Says that nobody subscribes, whoever does.
pub(crate) fn never_sees_subscribers() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Puback(ack) | Packet::Pubrec(ack) = packet
            && ack.reason == ReasonCode::Success
        {
            ack.reason = ReasonCode::NoMatchingSubscribers;
        }
    })
}

/// Takes the Message Expiry Interval 0 for none.
pub(crate) fn takes_expiry_0_for_none() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Publish(publish) = packet
            && publish.message_expiry_interval == Some(0)
        {
            publish.message_expiry_interval = None;
        }
    })
}

/// Reads the Session Expiry Interval of this CONNECT as another.
fn reads_expiry(asked: u32, read: u32) -> Box<dyn Liar> {
    hears_connect(move |connect| {
        if connect.properties().session_expiry_interval() == Some(asked) {
            let properties = connect.properties().to_owned();
            let others = properties.iter().filter(|one| one.id() != PropertyId::SessionExpiryInterval);
            connect.set_properties(others.cloned().collect::<Properties>().with(Property::SessionExpiryInterval(read)));
        }
    })
}

/// The greatest Session Expiry Interval overflows.
pub(crate) fn overflows_the_greatest_expiry() -> Box<dyn Liar> {
    reads_expiry(u32::MAX, 0)
}

/// Keeps sessions for one second, and does not say so.
pub(crate) fn keeps_sessions_for_a_second() -> Box<dyn Liar> {
    reads_expiry(300, 1)
}

/// Takes a DISCONNECT for valid whatever Session Expiry Interval it has.
pub(crate) fn takes_any_expiry_at_disconnect() -> Box<dyn Liar> {
    let mut lasting: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| match passing.from_client() {
        Some(Packet::Connect(connect)) => {
            if connect.properties().session_expiry_interval().unwrap_or(0) > 0 {
                lasting.insert(passing.connection);
            }
            passing.pass();
        }
        // Whose session lasts may change for how long.
        Some(Packet::Disconnect(disconnect)) if !lasting.contains(&passing.connection) => {
            let mut valid = disconnect.clone();
            valid.properties = Properties::new();
            passing.put(&Packet::Disconnect(valid));
        }
        _ => passing.pass(),
    })
}

/// Lets in whoever makes two mistakes at once.
pub(crate) fn welcomes_two_mistakes() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x19 == 0x19)
}

/// Adds a property to an answer of this kind, however small a packet the client wants.
fn talkative(kind: PacketKind, property: Property) -> Box<dyn Liar> {
    let mut limited: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client()
            && connect.properties().maximum_packet_size().is_some()
        {
            limited.insert(passing.connection);
        }
        let Some(packet) = passing.from_server().filter(|packet| packet.kind() == kind) else { return passing.pass() };
        if !limited.contains(&passing.connection) {
            return passing.pass();
        }
        let mut changed = packet.clone();
        match &mut changed {
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                ack.properties.push(property.clone());
            }
            Packet::Suback(suback) => suback.properties.push(property.clone()),
            Packet::Unsuback(unsuback) => unsuback.properties.push(property.clone()),
            _ => {}
        }
        passing.put(&changed);
    })
}

/// The liars of one kind of answer: one explains itself, the other adds a pair.
macro_rules! talkative {
    ($($kind:ident $reason:ident $pair:ident;)*) => {$(
        pub(crate) fn $reason() -> Box<dyn Liar> {
            talkative(PacketKind::$kind, Property::ReasonString(Text::new("x".repeat(300)).expect("letters")))
        }
        pub(crate) fn $pair() -> Box<dyn Liar> {
            let pair = (Text::literal("why"), Text::new("y".repeat(300)).expect("letters"));
            talkative(PacketKind::$kind, Property::UserProperty(pair))
        }
    )*};
}

talkative! {
    Puback explains_puback adds_to_puback;
    Pubrec explains_pubrec adds_to_pubrec;
    Pubrel explains_pubrel adds_to_pubrel;
    Pubcomp explains_pubcomp adds_to_pubcomp;
    Suback explains_suback adds_to_suback;
    Unsuback explains_unsuback adds_to_unsuback;
}
