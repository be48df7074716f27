//! Liars about strings.

use squall_codec::{
    packet::Packet,
    property::{Properties, Property},
    topic::TopicName,
    wire::Text,
};
use squall_scenarios::liar::Liar;

use super::{
    kind::{overlooks, tells, welcome},
    mending::{Flaw, mended},
};

/// Lets clients in whose CONNECT holds what is no UTF-8.
pub(crate) fn welcomes_ill_formed_strings() -> Box<dyn Liar> {
    welcomes_flawed(Flaw::IllFormed)
}

/// Lets clients in whose CONNECT holds U+0000.
pub(crate) fn welcomes_null_characters() -> Box<dyn Liar> {
    welcomes_flawed(Flaw::Null)
}

fn welcomes_flawed(flaw: Flaw) -> Box<dyn Liar> {
    super::filter::liar(move |passing| {
        if passing.raw[0] >> 4 == 1 && mended(passing, flaw).is_some() {
            return welcome(passing);
        }
        passing.pass();
    })
}

/// Does not see U+0000 in topics and filters.
pub(crate) fn overlooks_null_characters() -> Box<dyn Liar> {
    overlooks(|passing| passing.packet.is_none() && passing.raw.windows(3).any(|window| window == b"a\0b"))
}

/// Takes U+FEFF for a mark that is no part of the string.
pub(crate) fn strips_byte_order_marks() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            let stripped = publish.topic().replace('\u{FEFF}', "");
            if stripped != publish.topic() {
                *publish = publish.clone().with_topic(&TopicName::try_from(stripped.as_str()).expect("still a name"));
            }
        }
    })
}

/// Hands a message on with a User Property that is not well-formed, without having looked at it.
pub(crate) fn forwards_ill_formed_user_properties() -> Box<dyn Liar> {
    let repaired = Text::literal("repaired");
    let mut bad = false;
    super::filter::liar(move |passing| {
        if passing.from_client().is_none()
            && passing.raw[0] >> 4 == 3
            && std::str::from_utf8(&passing.raw[2..]).is_err()
        {
            bad = true;
        }
        match passing.from_server() {
            // The fault rides on the next message: the subscriber sees it twice, once with it.
            Some(Packet::Publish(publish)) if bad => {
                let pair = Property::UserProperty((repaired.clone(), repaired.clone()));
                let copy = publish.clone().with_properties(&Properties::new().with(pair));
                let mut frame = bytes::BytesMut::new();
                Packet::Publish(copy).encode(passing.version, &mut frame).expect("a packet of its version");
                let at = frame.windows(8).position(|window| window == b"repaired").expect("the property is there");
                frame[at] = 0xFF;
                passing.put_bytes(passing.connection, passing.direction, frame.freeze());
                passing.pass();
            }
            _ => passing.pass(),
        }
    })
}
