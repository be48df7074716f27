//! Packets that are right in all but their properties: what belongs to no packet, what stands twice, lengths that lie,
//! strings that are none, and codes that a packet does not have. All come from the standard's tables.

use squall_codec::{
    packet::PacketKind,
    property::{Place, PropertyId, PropertyKind},
    reason::{ReasonCode, Side},
};
use squall_scenarios::stage::Stage;

use crate::tests::{
    asking::{frame, string},
    both::s1_5_data_types::{ILL_FORMED, WITH_NULL},
    bytes::{RawConnect, flag, variable},
    many::Offence,
};

/// Every place in which a client may write properties.
pub(crate) const PLACES: [Place; 10] = [
    Place::Connect,
    Place::Will,
    Place::Publish,
    Place::Puback,
    Place::Pubrec,
    Place::Pubrel,
    Place::Pubcomp,
    Place::Subscribe,
    Place::Unsubscribe,
    Place::Disconnect,
];
pub(crate) const CONNECTING: &[Place] = &[Place::Connect, Place::Will];
pub(crate) const ACKNOWLEDGING: &[Place] = &[Place::Puback, Place::Pubrec, Place::Pubrel, Place::Pubcomp];
pub(crate) const SUBSCRIBING: &[Place] = &[Place::Subscribe, Place::Unsubscribe];

fn may_have(place: Place, id: PropertyId) -> bool {
    id.allowed_in(place) && id.sent_by(place, Side::Client)
}

/// Identifiers that no property has: those between the others, the first behind them, and some far away.
fn unknown() -> Vec<Vec<u8>> {
    let near = (0..0x2C).filter(|id| PropertyId::from_value(*id).is_none());
    near.chain([0x7F, 0x80, 0x3FFF]).map(|id| variable(id as usize)).collect()
}

/// A property with a value that it may have.
pub(crate) fn sample(id: PropertyId) -> Vec<u8> {
    let value = match id.kind() {
        PropertyKind::Byte | PropertyKind::Variable => vec![1],
        PropertyKind::Two => vec![0, 1],
        PropertyKind::Four => vec![0, 0, 0, 1],
        PropertyKind::Text | PropertyKind::Binary => string(b"a"),
        PropertyKind::Pair => [string(b"a"), string(b"b")].concat(),
    };
    [vec![id as u8], value].concat()
}

/// A block of properties with its true length.
pub(crate) fn block(content: &[u8]) -> Vec<u8> {
    [variable(content.len()), content.to_vec()].concat()
}

/// The identifier of every packet here that has one.
pub(crate) const ID: [u8; 2] = [0, 9];

/// A packet that is right in all but this block of properties.
pub(crate) fn packet(stage: &Stage, place: Place, block: &[u8]) -> Vec<u8> {
    let topic = stage.topic("t");
    let ack = [&ID[..], &[0], block].concat();
    match place {
        Place::Connect => {
            let mut connect = RawConnect::new(stage, "offender");
            connect.properties = block.to_vec();
            connect.bytes()
        }
        Place::Will => {
            let connect = RawConnect::new(stage, "offender").flagged(flag::WILL).tail(block);
            connect.field(topic.as_bytes()).field(b"x").bytes()
        }
        Place::Puback => frame(0x40, &ack),
        Place::Pubrec => frame(0x50, &ack),
        Place::Pubrel => frame(0x62, &ack),
        Place::Pubcomp => frame(0x70, &ack),
        Place::Subscribe => frame(0x82, &[&ID[..], block, &string(topic.as_bytes()), &[0]].concat()),
        Place::Unsubscribe => frame(0xA2, &[&ID[..], block, &string(topic.as_bytes())].concat()),
        Place::Disconnect => frame(0xE0, &[&[0][..], block].concat()),
        _ => frame(0x32, &[&string(topic.as_bytes())[..], &ID[..], block, b"x"].concat()),
    }
}

/// An offence in this place. A PUBREL has a message that it may end.
pub(crate) fn offence(stage: &Stage, place: Place, name: String, bytes: Vec<u8>) -> Offence {
    let mut offence = Offence::new(name, bytes);
    if place == Place::Pubrel {
        let body = [&string(stage.topic("t").as_bytes())[..], &ID[..], &[0], b"x"].concat();
        offence.before = frame(0x34, &body);
    }
    offence
}

/// A block of properties that is wrong, in each of these places.
pub(crate) fn offences(
    stage: &Stage,
    places: &[Place],
    wrong: impl Fn(Place) -> Vec<(String, Vec<u8>)>,
) -> Vec<Offence> {
    let in_place = |place: &Place| {
        let place = *place;
        wrong(place)
            .into_iter()
            .map(move |(name, block)| offence(stage, place, format!("{name} in {place}"), packet(stage, place, &block)))
    };
    places.iter().flat_map(in_place).collect()
}

/// What belongs to another packet, or to none. A Subscription Identifier belongs to PUBLISH, if not to a client's: what
/// becomes of it is [MQTT-3.3.4-6], and no matter of form.
pub(crate) fn foreign(place: Place) -> Vec<(String, Vec<u8>)> {
    strangers(place).into_iter().map(|(name, property)| (name, block(&property))).collect()
}

/// The properties alone, each with its name.
pub(crate) fn strangers(place: Place) -> Vec<(String, Vec<u8>)> {
    let of_others = PropertyId::ALL.iter().filter(|id| !id.allowed_in(place));
    let known = of_others.map(|id| (id.name().to_owned(), sample(*id)));
    let unknown = unknown().into_iter().map(|id| {
        let name =
            format!("the property identifier 0x{}", id.iter().map(|byte| format!("{byte:02X}")).collect::<String>());
        (name, [id, vec![0, 0, 0, 1]].concat())
    });
    known.chain(unknown).collect()
}

/// A property twice that is to stand once. Of the Payload Format Indicator and the Message Expiry Interval of a PUBLISH the
/// text forgets to say so, as it does of a will's.
pub(crate) fn repeated(place: Place) -> Vec<(String, Vec<u8>)> {
    let single = |id: &&PropertyId| may_have(place, **id) && !id.repeats_in(place);
    let twice = |id: &PropertyId| (format!("{id} twice"), block(&sample(*id).repeat(2)));
    PropertyId::ALL.iter().filter(single).map(twice).collect()
}

/// Blocks whose length is not that of what they hold.
pub(crate) fn lying(place: Place) -> Vec<(String, Vec<u8>)> {
    let pair = sample(PropertyId::UserProperty);
    let with_length = |length: Vec<u8>| [length, pair.clone()].concat();
    let mut lying = vec![
        ("a Property Length beyond the packet".to_owned(), with_length(variable(2000))),
        ("a Property Length that takes five bytes".to_owned(), with_length(vec![0xFF, 0xFF, 0xFF, 0xFF, 0x01])),
        ("a Property Length of four bytes and no end".to_owned(), with_length(vec![0x80, 0x80, 0x80, 0x80])),
    ];
    for cut in 1..pair.len() {
        // The property goes on behind its block: within the block it is cut.
        lying.push((format!("a Property Length that cuts a property after {cut} bytes"), with_length(variable(cut))));
    }
    // Behind the block of a PUBLISH stands its payload, behind that of an acknowledgement nothing is asked for.
    if place != Place::Publish && !ACKNOWLEDGING.contains(&place) {
        lying.push(("a Property Length of 0 before a property".to_owned(), with_length(vec![0])));
    }
    for id in PropertyId::ALL.iter().filter(|id| may_have(place, **id)) {
        let values: &[(&str, &[u8])] = match id.kind() {
            PropertyKind::Text | PropertyKind::Binary => {
                &[("that ends in its length", &[0]), ("longer than its block", &[0, 9, b'a'])]
            }
            PropertyKind::Pair => &[
                ("whose name is longer than its block", &[0, 9, b'n']),
                ("without a value", &[0, 1, b'n']),
                ("whose value is longer than its block", &[0, 1, b'n', 0, 9, b'v']),
            ],
            PropertyKind::Byte | PropertyKind::Variable => &[("without a value", &[])],
            PropertyKind::Two => &[("of one byte", &[0])],
            PropertyKind::Four => &[("of three bytes", &[0, 0, 0])],
        };
        // The data of no method would be another fault.
        let before = match id {
            PropertyId::AuthenticationData => sample(PropertyId::AuthenticationMethod),
            _ => Vec::new(),
        };
        let cut = |value: &[u8]| block(&[&before, &[*id as u8][..], value].concat());
        lying.extend(values.iter().map(|(what, value)| (format!("{id} {what}"), cut(value))));
    }
    lying
}

/// The fixed header anew around a part of the body.
pub(crate) fn cut(bytes: &[u8], at: usize) -> Vec<u8> {
    frame(bytes[0], &bytes[2..at])
}

/// Each string that a place may hold, with each of these in it.
pub(crate) fn bad_strings(place: Place, kinds: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    let mut bad = Vec::new();
    for id in PropertyId::ALL.iter().filter(|id| may_have(place, **id)) {
        for (what, bytes) in kinds {
            let with = |value: Vec<u8>| block(&[vec![*id as u8], value].concat());
            match id.kind() {
                PropertyKind::Text => bad.push((format!("{id} with {what}"), with(string(bytes)))),
                PropertyKind::Pair => {
                    bad.push((format!("{id} whose name has {what}"), with([string(bytes), string(b"v")].concat())));
                    bad.push((format!("{id} whose value has {what}"), with([string(b"n"), string(bytes)].concat())));
                }
                _ => {}
            }
        }
    }
    bad
}

/// The same, with each way of being no UTF-8 and with U+0000.
pub(crate) fn bad_in_any_way(place: Place) -> Vec<(String, Vec<u8>)> {
    bad_strings(place, &[&ILL_FORMED[..], &WITH_NULL].concat())
}

/// Codes that a client may not send in this packet, and values that are no codes.
pub(crate) fn wrong_codes(kind: PacketKind) -> Vec<u8> {
    // 5.0 Table 2-6 has 0x8C for both sides, and 3.3.4 has a client send 0x9B.
    let tolerated = |code: &u8| kind == PacketKind::Disconnect && matches!(code, 0x8C | 0x9B);
    let codes = ReasonCode::ALL.iter().filter(|code| !code.allowed_in(kind, Side::Client)).map(|code| code.value());
    codes.chain([0x03, 0x42, 0x7F, 0xA3, 0xFF]).filter(|code| !tolerated(code)).collect()
}
