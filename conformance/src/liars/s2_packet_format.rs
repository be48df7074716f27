//! Liars about the fixed header and packet identifiers.

use std::collections::BTreeSet;

use squall_codec::{packet::Packet, qos::Qos, wire::PacketId};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::{Passing, liar},
    kind::{bends, overlooks, tells},
};

/// Sets a reserved flag in PINGRESP.
pub(crate) fn flags_its_pingresp() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0xD0 {
            bytes[0] = 0xD1;
        }
    })
}

/// Puts a reason code behind its PUBACK, as 5.0 does.
pub(crate) fn lengthens_its_puback() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[..2] == [0x40, 2] {
            bytes[1] = 3;
            bytes.push(0);
        }
    })
}

/// Writes the Remaining Length of PINGRESP in two bytes.
pub(crate) fn writes_long_lengths() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[..] == [0xD0, 0] {
            *bytes = vec![0xD0, 0x80, 0];
        }
    })
}

/// Leaves the Property Length out of a SUBACK without properties.
pub(crate) fn leaves_property_lengths_out() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x90 && bytes.get(4) == Some(&0) {
            bytes.remove(4);
            bytes[1] -= 1;
        }
    })
}

/// Takes any flags for the right ones.
pub(crate) fn overlooks_wrong_flags() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        bytes[0] = match bytes[0] >> 4 {
            1 => 0x10,
            3 => bytes[0],
            kind @ (6 | 8 | 10) => kind << 4 | 0b0010,
            kind => kind << 4,
        };
    })
}

/// Gives each message the same packet identifier.
pub(crate) fn uses_one_identifier_for_all() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.packet_id = publish.packet_id.and(PacketId::new(7));
        }
    })
}

/// Writes a packet identifier into QoS 0 messages.
pub(crate) fn numbers_qos_0() -> Box<dyn Liar> {
    liar(|passing| {
        let Some(Packet::Publish(publish)) = passing.from_server() else { return passing.pass() };
        if publish.qos != Qos::AtMostOnce || passing.raw[1] >= 0x7E {
            return passing.pass();
        }
        let behind_topic = 2 + 2 + publish.topic().len();
        let mut bytes = passing.raw.to_vec();
        bytes[1] += 2;
        bytes.splice(behind_topic..behind_topic, [0, 1]);
        passing.put_bytes(passing.connection, passing.direction, bytes.into());
    })
}

/// Acknowledges another PUBLISH than the one that came.
pub(crate) fn mixes_acknowledgements_up() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Puback(ack) = packet {
            ack.packet_id = ack.packet_id.next();
        }
    })
}

/// Answers another SUBSCRIBE than the one that came.
pub(crate) fn mixes_subacks_up() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Suback(suback) = packet {
            suback.packet_id = suback.packet_id.next();
        }
    })
}

/// Takes a message of a client for one of its own when both have the same identifier.
pub(crate) fn has_one_space_of_identifiers() -> Box<dyn Liar> {
    let mut open: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToClient) => {
                open.extend(publish.packet_id.map(|id| (connection, id)));
            }
            (Some(Packet::Publish(publish)), Direction::ToServer)
                if publish.packet_id.is_some_and(|id| open.contains(&(connection, id))) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

fn kind(passing: &Passing<'_>) -> u8 {
    passing.raw[0] >> 4
}

/// Does not see packets of a reserved type.
pub(crate) fn overlooks_reserved_types() -> Box<dyn Liar> {
    overlooks(|passing| passing.packet.is_none() && matches!(kind(passing), 0 | 15))
}

/// Does not see packets that only a server sends.
pub(crate) fn overlooks_the_wrong_direction() -> Box<dyn Liar> {
    overlooks(|passing| matches!(kind(passing), 2 | 9 | 11 | 13))
}
