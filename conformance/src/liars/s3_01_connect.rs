//! Liars about CONNECT.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Connack, Packet},
    reason::ReasonCode,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    faults::is_twice_the_same,
    filter::liar,
    kind::{bends, hears_connect, overlooks, welcomes},
};

/// Answers a PINGREQ before any CONNECT.
pub(crate) fn answers_strangers() -> Box<dyn Liar> {
    liar(|passing| {
        let stranger =
            passing.direction == Direction::ToServer && !passing.connections.contains_key(&passing.connection);
        if !stranger || passing.raw[0] >> 4 == 1 {
            return passing.pass();
        }
        if passing.raw[0] == 0xC0 {
            passing.answer(&Packet::Pingresp);
        }
    })
}

/// Takes no notice of a second CONNECT.
pub(crate) fn swallows_second_connect() -> Box<dyn Liar> {
    let mut greeted = BTreeSet::new();
    overlooks(move |passing| passing.raw[0] >> 4 == 1 && !greeted.insert(passing.connection))
}

/// Answers a second CONNECT as it did the first.
pub(crate) fn answers_each_connect() -> Box<dyn Liar> {
    let mut greeted = BTreeSet::new();
    liar(move |passing| {
        let connect = passing.direction == Direction::ToServer && passing.raw[0] >> 4 == 1;
        if connect && !greeted.insert(passing.connection) {
            return passing.answer(&Packet::Connack(Box::new(Connack::new(ReasonCode::Success))));
        }
        passing.pass();
    })
}

/// Reads any protocol name as `MQTT`.
pub(crate) fn reads_any_protocol_name() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        let named = bytes.get(4..8).is_some_and(|name| name == b"MQTT");
        if bytes[0] >> 4 == 1 && bytes[1] < 0x80 && bytes.len() > 4 && !named {
            let name = usize::from(bytes[3]).min(bytes.len() - 4);
            bytes.splice(2..4 + name, *b"\0\x04MQTT");
            bytes[1] = u8::try_from(bytes.len() - 2).expect("the CONNECT of a test is short");
        }
    })
}

/// The properties at the beginning of the rest of a CONNECT of 5.0, and what comes behind them.
fn properties(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Does not mind a limit of 0.
pub(crate) fn welcomes_a_maximum_of_zero() -> Box<dyn Liar> {
    welcomes(|connect| {
        let properties = properties(connect.rest).map(|(properties, _)| properties);
        matches!(properties, Some([0x21, 0, 0] | [0x27, 0, 0, 0, 0]))
    })
}

/// Does not miss the method to Authentication Data.
pub(crate) fn welcomes_data_without_a_method() -> Box<dyn Liar> {
    welcomes(|connect| properties(connect.rest).is_some_and(|(properties, _)| properties.first() == Some(&0x16)))
}

/// Does not mind a property that no CONNECT has.
pub(crate) fn welcomes_unknown_properties() -> Box<dyn Liar> {
    const KNOWN: [u8; 9] = [0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27];
    welcomes(|connect| {
        let first = properties(connect.rest).and_then(|(properties, _)| properties.first());
        first.is_some_and(|identifier| !KNOWN.contains(identifier))
    })
}

/// Does not see that a property stands twice.
pub(crate) fn welcomes_what_stands_twice() -> Box<dyn Liar> {
    welcomes(|connect| properties(connect.rest).is_some_and(|(properties, _)| is_twice_the_same(properties)))
}

/// Does not miss the end of a CONNECT with a will, a user name and a password.
pub(crate) fn welcomes_what_breaks_off() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0xC4 == 0xC4)
}

/// Does not mind a Property Length beyond the end.
pub(crate) fn welcomes_lengths_that_lie() -> Box<dyn Liar> {
    welcomes(|connect| connect.rest.first().is_some_and(|first| *first > 0) && properties(connect.rest).is_none())
}

/// Does not mind the word "more" behind the last field.
pub(crate) fn welcomes_a_tail() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags == 0x02 && connect.rest.ends_with(b"more"))
}

/// Does not look at the reserved flag.
pub(crate) fn welcomes_the_reserved_flag() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x01 != 0)
}

/// Does not miss a will that was promised.
pub(crate) fn welcomes_a_will_that_is_not_there() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x04 != 0 && connect.behind_identifier().is_some_and(<[u8]>::is_empty))
}

/// Does not mind fields that no flag promised.
pub(crate) fn welcomes_unflagged_fields() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags == 0x02 && connect.behind_identifier().is_some_and(|rest| !rest.is_empty()))
}

/// Does not mind a Will QoS without a will.
pub(crate) fn welcomes_a_qos_without_will() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x04 == 0 && connect.flags & 0x18 != 0)
}

/// Takes Will QoS 3.
pub(crate) fn welcomes_will_qos_3() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x18 == 0x18)
}

/// Does not mind Will Retain without a will.
pub(crate) fn welcomes_retain_without_will() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0x24 == 0x20)
}

/// Does not miss a user name, nor mind a password, where only the user name is flagged.
pub(crate) fn welcomes_a_wrong_user_name_flag() -> Box<dyn Liar> {
    welcomes(|connect| {
        let behind = connect.behind_identifier().filter(|_| connect.flags & 0xC4 == 0x80);
        behind.is_some_and(|fields| match fields {
            [] => true,
            [high, low, rest @ ..] => rest.len() > usize::from(u16::from_be_bytes([*high, *low])),
            [_] => false,
        })
    })
}

/// Does not miss a password that was promised.
pub(crate) fn welcomes_a_password_that_is_not_there() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0xC0 == 0xC0)
}

/// Takes a password without a user name as 5.0 does.
pub(crate) fn welcomes_a_password_alone() -> Box<dyn Liar> {
    welcomes(|connect| connect.flags & 0xC0 == 0x40)
}

/// Makes an identifier up where the payload is empty.
pub(crate) fn welcomes_no_payload() -> Box<dyn Liar> {
    welcomes(|connect| connect.rest.is_empty() || connect.rest == [0])
}

/// Refuses identifiers of 23 bytes.
pub(crate) fn refuses_long_identifiers() -> Box<dyn Liar> {
    let mut long = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) if connect.client_id().len() == 23 => {
                long.insert(passing.connection);
            }
            Some(Packet::Connack(_)) if long.contains(&passing.connection) => {
                let refusal = Connack::new(ReasonCode::ClientIdentifierNotValid);
                passing.put(&Packet::Connack(Box::new(refusal)));
                return passing.close();
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Refuses everybody.
pub(crate) fn refuses_everybody() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Connack(_)) = passing.packet {
            let refusal = Connack::new(ReasonCode::ClientIdentifierNotValid);
            passing.put(&Packet::Connack(Box::new(refusal)));
            return passing.close();
        }
        passing.pass();
    })
}

/// Lets two clients with one identifier live side by side.
pub(crate) fn serves_twins() -> Box<dyn Liar> {
    let mut seen: BTreeSet<Text> = BTreeSet::new();
    hears_connect(move |connect| {
        if !seen.insert(connect.client_id().to_text()) {
            connect.set_client_id(Text::new(format!("{}x", connect.client_id())).expect("letters and digits"));
        }
    })
}

/// Acknowledges what comes behind a CONNECT that it refuses. What version that was is not known for sure: the payload
/// may begin with a Property Length.
pub(crate) fn serves_the_refused() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.payload().ends_with(b"smuggled")
        {
            if let Some(id) = publish.packet_id {
                passing.answer(&Packet::Puback(Ack::new(id)));
            }
            return;
        }
        passing.pass();
    })
}

/// Takes the user name for the will's payload.
pub(crate) fn mixes_fields_up() -> Box<dyn Liar> {
    hears_connect(|connect| {
        if let Some(user) = connect.username().map(|user| user.to_text()) {
            connect.change_will(|will| will.payload = user.as_bytes().clone());
        }
    })
}

/// Never loses patience.
pub(crate) fn forgets_the_keep_alive() -> Box<dyn Liar> {
    hears_connect(|connect| connect.keep_alive = 0)
}

/// Gives all nameless clients one identifier.
pub(crate) fn has_one_name_for_the_nameless() -> Box<dyn Liar> {
    hears_connect(|connect| {
        if connect.client_id().is_empty() {
            connect.set_client_id(Text::literal("nameless"));
        }
    })
}

/// Loses a SUBSCRIBE that comes at the very moment of the CONNECT.
pub(crate) fn loses_what_comes_early() -> Box<dyn Liar> {
    let mut began = BTreeMap::new();
    overlooks(move |passing| {
        if passing.raw[0] >> 4 == 1 {
            began.insert(passing.connection, passing.now);
        }
        passing.raw[0] >> 4 == 8 && began.get(&passing.connection) == Some(&passing.now)
    })
}

/// Does not tell `a` from `A` in client identifiers.
pub(crate) fn ignores_the_case_of_identifiers() -> Box<dyn Liar> {
    hears_connect(|connect| {
        connect.set_client_id(Text::new(connect.client_id().to_lowercase()).expect("letters and digits"))
    })
}
