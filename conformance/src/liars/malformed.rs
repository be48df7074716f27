//! Liars about packets that cannot be read: they take them for good ones.

use squall_codec::{
    packet::{Ack, Packet, Suback, Unsuback},
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::liar;

/// Where the body of a frame begins.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.get(1..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    bytes.get(1 + length..)
}

/// The packet identifier of a frame, as far as it has one.
fn packet_id(bytes: &[u8]) -> Option<PacketId> {
    let body = body(bytes)?;
    let place = match bytes[0] >> 4 {
        3 => 2 + usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?])),
        _ => 0,
    };
    let bytes = body.get(place..place + 2)?;
    PacketId::new(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Answers packets of these types that it cannot read as if they were good, and goes on.
fn answers(kinds: &'static [u8]) -> Box<dyn Liar> {
    liar(move |passing| {
        let kind = passing.raw[0] >> 4;
        if passing.packet.is_some() || passing.direction == Direction::ToClient || !kinds.contains(&kind) {
            return passing.pass();
        }
        let Some(id) = packet_id(&passing.raw) else { return };
        match kind {
            3 => passing.answer(&Packet::Puback(Ack::new(id))),
            6 => passing.answer(&Packet::Pubcomp(Ack::new(id))),
            8 => passing.answer(&Packet::Suback(Suback::new(id, vec![ReasonCode::GRANTED_QOS_0]))),
            10 => passing.answer(&Packet::Unsuback(Unsuback::new(id, vec![ReasonCode::Success]))),
            _ => {}
        }
    })
}

/// Takes acknowledgements that it cannot read.
pub(crate) fn takes_acknowledgements_that_it_cannot_read() -> Box<dyn Liar> {
    answers(&[4, 5, 6, 7])
}

/// Takes a DISCONNECT that it cannot read for a good one.
pub(crate) fn takes_any_disconnect() -> Box<dyn Liar> {
    liar(|passing| {
        let unreadable = passing.packet.is_none() && passing.direction == Direction::ToServer;
        if unreadable && passing.raw[0] >> 4 == 14 {
            return passing.put_bytes(passing.connection, Direction::ToServer, vec![0xE0, 0].into());
        }
        passing.pass();
    })
}

/// Hands on messages whose strings are not well-formed, in the place of refusing them.
pub(crate) fn hands_on_ill_formed_strings() -> Box<dyn Liar> {
    liar(|passing| {
        let unreadable = passing.packet.is_none() && passing.direction == Direction::ToServer;
        if !unreadable || passing.raw[0] >> 4 != 3 {
            return passing.pass();
        }
        // A copy of QoS 0: without the packet identifier behind the topic.
        let Some(body) = body(&passing.raw) else { return };
        let topic = body.get(..2).map(|length| 2 + usize::from(u16::from_be_bytes([length[0], length[1]])));
        let Some(topic) = topic.filter(|topic| topic + 2 <= body.len()) else { return passing.pass() };
        let mut copy = body.to_vec();
        copy.drain(topic..topic + 2);
        let mut frame = vec![0x30];
        let mut length = copy.len();
        while length > 0x7F {
            frame.push((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        frame.push(length as u8);
        frame.extend(copy);
        let others: Vec<u64> =
            passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
        for other in others {
            passing.put_bytes(other, Direction::ToClient, frame.clone().into());
        }
    })
}
