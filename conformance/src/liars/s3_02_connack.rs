//! Liars about CONNACK and what it announces.

use std::collections::BTreeMap;

use bytes::BytesMut;
use squall_codec::{
    packet::{Connack, Connect, Disconnect, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{bends, hears_connect, tells, welcomes},
};

/// Reads any protocol version as the one that the rest of the packet fits.
pub(crate) fn reads_any_protocol_version() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        // The version stands behind a length of one byte and the name "MQTT".
        if bytes[0] != 0x10 || bytes.len() < 9 || bytes[1] >= 0x80 || matches!(bytes[8], 3..=5) {
            return;
        }
        bytes[8] = 5;
        let frame = bytes::Bytes::copy_from_slice(bytes);
        if Packet::decode(Version::V5_0, squall_codec::reason::Side::Client, frame).is_err() {
            bytes[8] = 4;
        }
    })
}

/// Lets nameless clients in, whatever they ask for.
pub(crate) fn names_the_nameless() -> Box<dyn Liar> {
    welcomes(|connect| connect.rest == [0, 0])
}

/// Says a code that no CONNACK has to clients whose authentication method it does not know.
pub(crate) fn says_a_foreign_code() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x20 && bytes[3] == 0x8C {
            bytes[3] = 0x8D;
        }
    })
}

/// Says a return code beyond the table of 3.1.1.
pub(crate) fn says_a_return_code_beyond_5() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[..2] == [0x20, 2] && bytes[3] != 0 {
            bytes[3] = 6;
        }
    })
}

/// Writes its CONNACK in the format of the other version.
pub(crate) fn mixes_formats() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x20 {
            *bytes =
                if bytes[1] == 2 { vec![0x20, 3, bytes[2], bytes[3], 0] } else { vec![0x20, 2, bytes[2], bytes[3]] };
        }
    })
}

/// Adds this to each CONNACK.
fn announces(property: Property) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Connack(connack) = packet {
            connack.properties.push(property.clone());
        }
    })
}

/// Tells Response Information to those who did not ask.
pub(crate) fn tells_response_information() -> Box<dyn Liar> {
    announces(Property::ResponseInformation(Text::literal("answers/")))
}

/// Assigns an identifier to those who have one.
pub(crate) fn renames_everybody() -> Box<dyn Liar> {
    announces(Property::AssignedClientIdentifier(Text::literal("somebody")))
}

/// Says the same Assigned Client Identifier to all.
pub(crate) fn assigns_one_name() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Connack(connack) = packet {
            let others = connack.properties.iter().filter(|one| !matches!(one, Property::AssignedClientIdentifier(_)));
            let mut properties: Properties = others.cloned().collect();
            if properties.len() < connack.properties.len() {
                properties.push(Property::AssignedClientIdentifier(Text::literal("assigned")));
            }
            connack.properties = properties;
        }
    })
}

/// Explains itself in CONNACK, however small a packet the client wants.
pub(crate) fn is_talkative_in_connack() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Connack(connack) = packet {
            connack
                .properties
                .push(Property::ReasonString(Text::literal("welcome, it is a pleasure to have you here")));
            let pair = (Text::literal("weather"), Text::literal("fine, with a light breeze from the west"));
            connack.properties.push(Property::UserProperty(pair));
        }
    })
}

/// Explains itself in answers to those who did not want to know.
pub(crate) fn is_talkative_in_answers() -> Box<dyn Liar> {
    tells(|packet| {
        let reason = Property::ReasonString(Text::literal("because"));
        match packet {
            Packet::Unsuback(unsuback) => unsuback.properties.push(reason),
            Packet::Suback(suback) => suback.properties.push(reason),
            _ => {}
        }
    })
}

/// Takes no QoS 2, and did not say so.
pub(crate) fn refuses_qos_2() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce => {
            if passing.version == Version::V5_0 {
                passing.answer(&Packet::Disconnect(Disconnect::new(ReasonCode::QosNotSupported)));
            }
            passing.close();
        }
        _ => passing.pass(),
    })
}

/// Does not read the client's Maximum Packet Size.
pub(crate) fn sends_packets_of_any_size() -> Box<dyn Liar> {
    hears_connect(|connect| connect.set_properties(without_maximum(&connect.properties().to_owned())))
}

fn without_maximum(properties: &Properties) -> Properties {
    properties.iter().filter(|one| !matches!(one, Property::MaximumPacketSize(_))).cloned().collect()
}

/// Drops what is too large, and goes on waiting for its acknowledgement.
pub(crate) fn waits_for_what_it_dropped() -> Box<dyn Liar> {
    waits_where(|_| true)
}

/// The same to a client that comes back to its session, and to no other.
pub(crate) fn waits_for_what_it_dropped_on_return() -> Box<dyn Liar> {
    waits_where(|connect| !connect.clean_start)
}

fn waits_where(is_concerned: fn(&Connect) -> bool) -> Box<dyn Liar> {
    let mut limits: BTreeMap<u64, usize> = BTreeMap::new();
    liar(move |passing| {
        match passing.packet.clone() {
            Some(Packet::Connect(mut connect)) if is_concerned(&connect) => {
                if let Some(limit) = connect.properties().maximum_packet_size() {
                    limits.insert(passing.connection, limit as usize);
                    connect.set_properties(without_maximum(&connect.properties().to_owned()));
                    return passing.put(&Packet::Connect(connect));
                }
            }
            Some(Packet::Publish(_))
                if passing.direction == Direction::ToClient
                    && limits.get(&passing.connection).is_some_and(|limit| passing.raw.len() > *limit) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Uses Topic Aliases that the client did not offer.
pub(crate) fn uses_aliases_unasked() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.topic_alias = Some(9);
        }
    })
}

/// Says DISCONNECT where it should only close, or answer with CONNACK.
pub(crate) fn says_disconnect_before_connack() -> Box<dyn Liar> {
    let mut welcomed = std::collections::BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connack(connack)) if connack.reason.is_failure() => {
                let mut bytes = BytesMut::new();
                let refusal = Packet::Disconnect(Disconnect::new(ReasonCode::ProtocolError));
                refusal.encode(Version::V5_0, &mut bytes).expect("5.0 has it");
                return passing.put_bytes(passing.connection, Direction::ToClient, bytes.freeze());
            }
            Some(Packet::Connack(_)) => {
                welcomed.insert(passing.connection);
            }
            _ => {}
        }
        let stranger = passing.direction == Direction::ToServer && !welcomed.contains(&passing.connection);
        if stranger && passing.raw[0] >> 4 != 1 {
            // DISCONNECT, Protocol Error.
            passing.put_bytes(passing.connection, Direction::ToClient, vec![0xE0, 1, 0x82].into());
        }
        passing.pass();
    })
}

/// The reason of a DISCONNECT to a client whose place was taken, or whose server stops: what any client may see without a
/// fault of its own.
const NO_FAULT_OF_YOURS: [u8; 2] = [0x8E, 0x8B];

/// The server says this to a client that it disconnects.
fn disconnects_with(bytes_of: impl Fn(u8) -> Vec<u8> + 'static) -> Box<dyn Liar> {
    bends(Direction::ToClient, move |bytes| {
        if bytes[0] == 0xE0 && bytes.get(2).is_some_and(|reason| NO_FAULT_OF_YOURS.contains(reason)) {
            *bytes = bytes_of(bytes.get(2).copied().unwrap_or(0));
        }
    })
}

/// Says a reason in DISCONNECT that only a client has.
pub(crate) fn disconnects_like_a_client() -> Box<dyn Liar> {
    disconnects_with(|_| vec![0xE0, 1, 0x04])
}

/// Says a Session Expiry Interval in DISCONNECT.
pub(crate) fn disconnects_with_an_expiry() -> Box<dyn Liar> {
    disconnects_with(|reason| vec![0xE0, 7, reason, 5, 0x11, 0, 0, 0, 5])
}

/// Explains itself in DISCONNECT, however small a packet the client wants.
pub(crate) fn is_talkative_in_disconnect() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Disconnect(disconnect) = packet
            && NO_FAULT_OF_YOURS.contains(&disconnect.reason.value())
        {
            disconnect.properties.push(Property::ReasonString(Text::new("x".repeat(200)).expect("letters")));
            let pair = (Text::literal("why"), Text::new("y".repeat(200)).expect("letters"));
            disconnect.properties.push(Property::UserProperty(pair));
        }
    })
}

/// Goes on talking after its DISCONNECT.
pub(crate) fn talks_after_disconnect() -> Box<dyn Liar> {
    liar(|passing| {
        passing.pass();
        if let Some(Packet::Disconnect(_)) = passing.from_server() {
            passing.put(&Packet::Pingresp);
        }
    })
}

/// Says DISCONNECT to a client whose place was taken, and stays.
pub(crate) fn disconnects_and_stays() -> Box<dyn Liar> {
    liar(|passing| {
        if matches!(passing.from_server(), Some(Packet::Disconnect(said)) if NO_FAULT_OF_YOURS.contains(&said.reason.value()))
        {
            passing.hide_end();
        }
        passing.pass();
    })
}

/// Stays when the client has said DISCONNECT.
pub(crate) fn stays_after_disconnect() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Disconnect(_)) = passing.from_client() {
            passing.hide_end();
        }
        passing.pass();
    })
}

/// Processes what comes behind a DISCONNECT: it reads it before.
pub(crate) fn reads_behind_disconnect() -> Box<dyn Liar> {
    let mut held: BTreeMap<u64, bytes::Bytes> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(Packet::Disconnect(_)) = passing.from_client() {
            held.insert(connection, passing.raw.clone());
            return;
        }
        passing.pass();
        if passing.direction == Direction::ToServer
            && let Some(disconnect) = held.remove(&connection)
        {
            passing.put_bytes(connection, Direction::ToServer, disconnect);
        }
    })
}

/// Says DISCONNECT to clients of 3.1.1 when another takes their place.
pub(crate) fn says_disconnect_to_3_1_1() -> Box<dyn Liar> {
    let mut connections: BTreeMap<Text, u64> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            let (id, connection) = (connect.client_id().to_text(), passing.connection);
            if let Some(old) = connections.insert(id, connection) {
                passing.put_bytes(old, Direction::ToClient, vec![0xE0, 0].into());
            }
        }
        passing.pass();
    })
}

/// Does not see AUTH packets.
pub(crate) fn overlooks_auth() -> Box<dyn Liar> {
    super::kind::overlooks(|passing| passing.raw[0] >> 4 == 15)
}

/// Reads a CONNECT of 5.0 by the rules of 3.1.1: no password without a user name.
pub(crate) fn reads_5_0_as_3_1_1() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Connect(connect)) if connect.password().is_some() && connect.username().is_none() => {
            passing.answer(&Packet::Connack(Box::new(Connack::new(ReasonCode::MalformedPacket))));
            passing.close();
        }
        _ => passing.pass(),
    })
}

/// What is too large for one subscriber reaches nobody.
pub(crate) fn drops_large_messages_for_all() -> Box<dyn Liar> {
    let mut limits: BTreeMap<u64, u32> = BTreeMap::new();
    let mut least: BTreeMap<String, u32> = BTreeMap::new();
    liar(move |passing| {
        match passing.from_client() {
            Some(Packet::Connect(connect)) => {
                limits.extend(connect.properties().maximum_packet_size().map(|limit| (passing.connection, limit)));
            }
            Some(Packet::Subscribe(subscribe)) => {
                let limit = limits.get(&passing.connection);
                let filters = subscribe.subscriptions.iter().map(|subscription| subscription.filter.to_string());
                least.extend(filters.zip(limit.into_iter().copied().cycle()));
            }
            _ => {}
        }
        let is_lost = match passing.from_server() {
            Some(Packet::Publish(publish)) => {
                least.get(publish.topic()).is_some_and(|limit| passing.raw.len() > *limit as usize)
            }
            _ => false,
        };
        if !is_lost {
            passing.pass();
        }
    })
}

/// Closes without saying DISCONNECT.
pub(crate) fn closes_without_a_word() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Disconnect(_)) => {}
        _ => passing.pass(),
    })
}
