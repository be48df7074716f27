//! Liars about packets that cannot be read: they take them for good ones.

use squall_codec::{
    packet::{Ack, Packet},
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    mending::{Flaw, mended},
};
use crate::tests::asking::frame;

/// Where the body of a frame begins.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.get(1..)?.iter().position(|byte| byte & 0x80 == 0)? + 1;
    bytes.get(1 + length..)
}

/// The packet identifier of an acknowledgement.
fn packet_id(bytes: &[u8]) -> Option<PacketId> {
    let bytes = body(bytes)?.get(..2)?;
    PacketId::new(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Takes acknowledgements with a property that none has, and goes on.
pub(crate) fn takes_acknowledgements_with_foreign_properties() -> Box<dyn Liar> {
    liar(|passing| {
        let unreadable = passing.packet.is_none() && passing.direction == Direction::ToServer;
        let ack = matches!(passing.raw[0], 0x40 | 0x50 | 0x62 | 0x70);
        if !unreadable || !ack || !has_a_foreign_property(&passing.raw) {
            return passing.pass();
        }
        if let Some(id) = packet_id(&passing.raw).filter(|_| passing.raw[0] == 0x62) {
            passing.answer(&Packet::Pubcomp(Ack::new(id)));
        }
    })
}

/// Behind the identifier and the code of an acknowledgement stands a block as long as it says, which begins with another
/// property than its Reason String or a User Property.
fn has_a_foreign_property(frame: &[u8]) -> bool {
    let block = body(frame).and_then(|body| body.get(3..));
    let Some((length, properties)) = block.and_then(<[u8]>::split_first) else { return false };
    usize::from(*length) == properties.len() && !matches!(properties.first(), None | Some(0x1F | 0x26))
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
        if passing.raw[0] >> 4 != 3 || mended(passing, Flaw::Any).is_none() {
            return passing.pass();
        }
        // A copy of QoS 0: without the packet identifier behind the topic.
        let Some(body) = body(&passing.raw) else { return };
        let topic = body.get(..2).map(|length| 2 + usize::from(u16::from_be_bytes([length[0], length[1]])));
        let Some(topic) = topic.filter(|topic| topic + 2 <= body.len()) else { return passing.pass() };
        let mut copy = body.to_vec();
        if passing.raw[0] & 0x06 != 0 {
            copy.drain(topic..topic + 2);
        }
        let frame = frame(0x30, &copy);
        let others: Vec<u64> =
            passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
        for other in others {
            passing.put_bytes(other, Direction::ToClient, frame.clone().into());
        }
    })
}
