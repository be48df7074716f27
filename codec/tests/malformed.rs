//! What a decoder has to refuse (section 6 of the wire format): each cause with its bytes, error, reason code and
//! statement. Conditions that need a session or a negotiated limit are judged elsewhere.

mod common;

use common::bytes;
use squall_codec::{
    error::DecodeError as E,
    packet::{Packet, PacketKind},
    property::{Place, PropertyId},
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicError,
    version::Version::{self, V3_1, V3_1_1, V5_0},
    wire::TextError,
};

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

/// Alone and in a stream: the same error, which says this to the peer and names this statement (`""` for none).
#[track_caller]
fn refused(version: Version, sender: Side, given: &str, error: E, reason: ReasonCode, statement: &str) {
    let given = bytes(given);
    let found = Packet::decode(version, sender, given.clone().into());
    assert_eq!(found, Err(error.clone()), "{version} from a {sender}: {given:02X?}");
    assert_eq!(error.reason_code(), reason, "{error}");
    assert_eq!(error.statement(version).unwrap_or_default(), statement, "{error}");
    let mut decoder = Decoder::new(sender, Some(version), 10_000);
    decoder.extend(&given);
    assert_eq!(decoder.next_packet(), Err(error.clone()));
    assert_eq!(decoder.next_packet(), Err(error), "a stream stays refused");
}

/// In 3.1.1 and in 5.0, where bytes and error are the same.
#[track_caller]
fn refused_in_both(sender: Side, given: &str, error: E, reason: ReasonCode, statements: [&str; 2]) {
    refused(V3_1_1, sender, given, error.clone(), reason, statements[0]);
    refused(V5_0, sender, given, error, reason, statements[1]);
}

#[track_caller]
fn taken(version: Version, sender: Side, given: &str) {
    let given = bytes(given);
    let found = Packet::decode(version, sender, given.clone().into());
    assert!(found.is_ok(), "{version} from a {sender}: {given:02X?}: {found:?}");
}

/// The 5.0 PUBLISH to 't' with these properties.
fn publish_with(properties: &str) -> String {
    let length = bytes(properties).len();
    format!("30 {:02X} 0001 't' {length:02X} {properties}", 4 + length)
}

/// The 5.0 CONNECT with these properties.
fn connect_with(properties: &str) -> String {
    let length = bytes(properties).len();
    format!("10 {:02X} 0004 'MQTT' 05 02 003C {length:02X} {properties} 0000", 13 + length)
}

/// The 5.0 CONNECT with a will with these properties.
fn will_with(properties: &str) -> String {
    let length = bytes(properties).len();
    format!("10 {:02X} 0004 'MQTT' 05 06 003C 00 0000 {length:02X} {properties} 0001 'w' 0000", 19 + length)
}

/// The 5.0 CONNACK with these properties.
fn connack_with(properties: &str) -> String {
    let length = bytes(properties).len();
    format!("20 {:02X} 00 00 {length:02X} {properties}", 3 + length)
}

fn cut(packet: PacketKind, field: &'static str, needed: usize, left: usize) -> E {
    E::Truncated { packet, field, needed, left }
}

#[test]
fn types_and_flags() {
    let (c, s) = (Side::Client, Side::Server);
    refused_in_both(c, "00 00", E::ReservedType { number: 0 }, MALFORMED, ["MQTT-4.8.0-1", "MQTT-4.13.1-1"]);
    refused(V3_1_1, c, "F0 00", E::ReservedType { number: 15 }, MALFORMED, "MQTT-4.8.0-1");
    refused(V3_1, c, "F0 00", E::ReservedType { number: 15 }, MALFORMED, "");

    let rows = [
        (PacketKind::Connack, s, "2F 02 0000", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Puback, c, "42 02 0001", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Pubrec, c, "51 02 0001", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Pubrel, c, "60 02 0001", ["MQTT-3.6.1-1", "MQTT-3.6.1-1"]),
        (PacketKind::Pubrel, c, "6A 02 0001", ["MQTT-3.6.1-1", "MQTT-3.6.1-1"]),
        (PacketKind::Pubcomp, s, "78 02 0001", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Subscribe, c, "80 06 0001 0001 'a' 00", ["MQTT-3.8.1-1", "MQTT-3.8.1-1"]),
        (PacketKind::Suback, s, "91 03 0001 00", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Unsubscribe, c, "A3 05 0001 0001 'a'", ["MQTT-3.10.1-1", "MQTT-3.10.1-1"]),
        (PacketKind::Unsuback, s, "B4 02 0001", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Pingreq, c, "C1 00", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Pingresp, s, "D8 00", ["MQTT-2.2.2-2", "MQTT-2.1.3-1"]),
        (PacketKind::Disconnect, c, "E1 00", ["MQTT-3.14.1-1", "MQTT-3.14.1-1"]),
    ];
    for (packet, sender, given, statements) in rows {
        let flags = bytes(given)[0] & 0x0F;
        refused_in_both(sender, given, E::FixedFlags { packet, flags }, MALFORMED, statements);
    }
    let auth = E::FixedFlags { packet: PacketKind::Auth, flags: 1 };
    refused(V5_0, s, "F1 00", auth, MALFORMED, "MQTT-3.15.1-1");
    let connect = E::FixedFlags { packet: PacketKind::Connect, flags: 1 };
    refused(V3_1_1, c, "11 0C 0004 'MQTT' 04 02 003C 0000", connect.clone(), MALFORMED, "MQTT-2.2.2-2");
    refused(V5_0, c, "11 0D 0004 'MQTT' 05 02 003C 00 0000", connect, MALFORMED, "MQTT-3.1.4-1");
    taken(V3_1, c, "6A 02 0001");
    taken(V3_1, c, "C1 00");
}

#[test]
fn lengths() {
    let c = Side::Client;
    let fifth = E::VariableTooLong { field: "the remaining length" };
    refused_in_both(c, "30 80808080 01", fifth, MALFORMED, ["MQTT-4.8.0-1", "MQTT-4.13.1-1"]);
    refused(V5_0, c, "C0 8000", E::NotMinimal { field: "the remaining length", value: 0 }, MALFORMED, "MQTT-1.5.5-1");
    taken(V3_1_1, c, "C0 8000");
    taken(V3_1, c, "C0 80808000");
    taken(V5_0, c, "10 8D00 0004 'MQTT' 05 02 003C 00 0000");

    let property_length = |given: &str, error: E, statement| refused(V5_0, c, given, error, MALFORMED, statement);
    property_length("30 08 0001 't' 80808080 01", E::VariableTooLong { field: "the property length" }, "MQTT-4.13.1-1");
    property_length("30 05 0001 't' 8000", E::NotMinimal { field: "the property length", value: 0 }, "MQTT-1.5.5-1");
    property_length("30 04 0001 't' 80", cut(PacketKind::Publish, "the property length", 2, 1), "MQTT-4.13.1-1");
    property_length("30 03 0001 't'", cut(PacketKind::Publish, "the property length", 1, 0), "MQTT-4.13.1-1");
    property_length("30 05 0001 't' 02 01", cut(PacketKind::Publish, "the properties", 2, 1), "MQTT-4.13.1-1");
    property_length(
        "30 06 0001 't' 01 01 01",
        cut(PacketKind::Publish, "Payload Format Indicator", 1, 0),
        "MQTT-4.13.1-1",
    );
    property_length(
        "30 09 0001 't' 04 03 0002 'c' 'd'",
        cut(PacketKind::Publish, "Content Type", 2, 1),
        "MQTT-4.13.1-1",
    );
}

#[test]
fn fields_past_the_end_and_bytes_left_over() {
    let (c, s) = (Side::Client, Side::Server);
    let general = ["MQTT-4.8.0-1", "MQTT-4.13.1-1"];
    let rows = [
        (c, "30 01 00", cut(PacketKind::Publish, "the topic name", 2, 1)),
        (c, "30 04 0003 'ab'", cut(PacketKind::Publish, "the topic name", 3, 2)),
        (c, "32 04 0001 't' 00", cut(PacketKind::Publish, "the packet identifier", 2, 1)),
        (c, "40 00", cut(PacketKind::Puback, "the packet identifier", 2, 0)),
        (c, "50 01 00", cut(PacketKind::Pubrec, "the packet identifier", 2, 1)),
        (c, "C0 01 00", E::Leftover { packet: PacketKind::Pingreq, bytes: 1 }),
        (s, "D0 02 0000", E::Leftover { packet: PacketKind::Pingresp, bytes: 2 }),
        (s, "20 01 00", cut(PacketKind::Connack, "the reason code", 1, 0)),
    ];
    for (sender, given, error) in rows {
        refused_in_both(sender, given, error, MALFORMED, general);
    }
    let older = [
        (c, "40 03 0001 00", E::Leftover { packet: PacketKind::Puback, bytes: 1 }),
        (c, "62 04 0001 0000", E::Leftover { packet: PacketKind::Pubrel, bytes: 2 }),
        (c, "E0 01 00", E::Leftover { packet: PacketKind::Disconnect, bytes: 1 }),
        (s, "20 03 00 00 00", E::Leftover { packet: PacketKind::Connack, bytes: 1 }),
        (s, "B0 03 0001 00", E::Leftover { packet: PacketKind::Unsuback, bytes: 1 }),
        (c, "82 05 0001 0001 'a'", cut(PacketKind::Subscribe, "the subscription options", 1, 0)),
        (c, "82 06 0001 0002 'a' 00", E::Text { field: "a topic filter", error: TextError::Null }),
    ];
    for (sender, given, error) in older {
        let statement = if matches!(error, E::Text { .. }) { "MQTT-1.5.3-2" } else { "MQTT-4.8.0-1" };
        refused(V3_1_1, sender, given, error, MALFORMED, statement);
    }
    let newer = [
        (c, "40 05 0001 00 00 00", E::Leftover { packet: PacketKind::Puback, bytes: 1 }),
        (c, "E0 03 00 00 00", E::Leftover { packet: PacketKind::Disconnect, bytes: 1 }),
        (s, "20 02 00 00", cut(PacketKind::Connack, "the property length", 1, 0)),
        (s, "B0 02 0001", cut(PacketKind::Unsuback, "the property length", 1, 0)),
        (s, "F0 01 18", cut(PacketKind::Auth, "the property length", 1, 0)),
        (c, "A2 05 0001 00 0002", cut(PacketKind::Unsubscribe, "a topic filter", 2, 0)),
    ];
    for (sender, given, error) in newer {
        refused(V5_0, sender, given, error, MALFORMED, "MQTT-4.13.1-1");
    }
}

#[test]
fn strings() {
    let c = Side::Client;
    let field = "the topic name";
    for bad in ["FF", "C080", "EDA080", "F4908080", "E697"] {
        let length = bytes(bad).len();
        let given = format!("30 {:02X} {length:04X} {bad}", 2 + length);
        let error = E::Text { field, error: TextError::NotUtf8 };
        refused(V3_1_1, c, &given, error.clone(), MALFORMED, "MQTT-1.5.3-1");
        refused(V5_0, c, &given, error, MALFORMED, "MQTT-1.5.4-1");
    }
    let null = E::Text { field, error: TextError::Null };
    refused_in_both(c, "30 05 0003 'a' 00 'b'", null, MALFORMED, ["MQTT-1.5.3-2", "MQTT-1.5.4-2"]);

    let rows = [
        (publish_with("03 0001 FF"), "Content Type"),
        (publish_with("08 0001 FF"), "Response Topic"),
        (publish_with("26 0001 FF 0001 'v'"), "User Property"),
        (publish_with("26 0001 'k' 0001 FF"), "User Property"),
        (connect_with("15 0001 FF"), "Authentication Method"),
        (will_with("03 0001 FF"), "Content Type"),
        ("10 0E 0004 'MQTT' 05 02 003C 00 0001 FF".into(), "the client identifier"),
        ("10 13 0004 'MQTT' 05 06 003C 00 0000 00 0001 FF 0000".into(), "the will topic"),
        ("10 10 0004 'MQTT' 05 82 003C 00 0000 0001 FF".into(), "the user name"),
        ("82 07 0001 00 0001 FF 00".into(), "a topic filter"),
        ("A2 06 0001 00 0001 FF".into(), "a topic filter"),
    ];
    for (given, field) in rows {
        let error = E::Text { field, error: TextError::NotUtf8 };
        refused(V5_0, c, &given, error, MALFORMED, "MQTT-1.5.4-1");
        let error = E::Text { field, error: TextError::Null };
        refused(V5_0, c, &given.replace("FF", "00"), error, MALFORMED, "MQTT-1.5.4-2");
    }
}

#[test]
fn directions() {
    let rows = [
        (Side::Server, "10 0C 0004 'MQTT' 04 02 003C 0000", PacketKind::Connect),
        (Side::Client, "20 02 0000", PacketKind::Connack),
        (Side::Server, "82 06 0001 0001 'a' 00", PacketKind::Subscribe),
        (Side::Client, "90 03 0001 00", PacketKind::Suback),
        (Side::Server, "A2 05 0001 0001 'a'", PacketKind::Unsubscribe),
        (Side::Client, "B0 02 0001", PacketKind::Unsuback),
        (Side::Server, "C0 00", PacketKind::Pingreq),
        (Side::Client, "D0 00", PacketKind::Pingresp),
    ];
    for (sender, given, packet) in rows {
        let error = E::WrongDirection { packet, sender };
        refused_in_both(sender, given, error, PROTOCOL, ["MQTT-4.8.0-1", "MQTT-4.13.1-1"]);
    }
    let error = E::WrongDirection { packet: PacketKind::Disconnect, sender: Side::Server };
    refused(V3_1_1, Side::Server, "E0 00", error, PROTOCOL, "MQTT-4.8.0-1");
}

#[test]
fn packet_identifier_0() {
    let (c, s) = (Side::Client, Side::Server);
    let rows = [
        (c, "32 05 0001 't' 0000", PacketKind::Publish, ["MQTT-2.3.1-1", "MQTT-2.2.1-3"]),
        (s, "34 05 0001 't' 0000", PacketKind::Publish, ["MQTT-2.3.1-1", "MQTT-2.2.1-4"]),
        (c, "40 02 0000", PacketKind::Puback, ["MQTT-2.3.1-6", "MQTT-2.2.1-5"]),
        (s, "50 02 0000", PacketKind::Pubrec, ["MQTT-2.3.1-6", "MQTT-2.2.1-5"]),
        (c, "62 02 0000", PacketKind::Pubrel, ["MQTT-2.3.1-6", "MQTT-2.2.1-5"]),
        (c, "70 02 0000", PacketKind::Pubcomp, ["MQTT-2.3.1-6", "MQTT-2.2.1-5"]),
        (c, "82 06 0000 0001 'a' 00", PacketKind::Subscribe, ["MQTT-2.3.1-1", "MQTT-2.2.1-3"]),
        (s, "90 03 0000 00", PacketKind::Suback, ["MQTT-2.3.1-7", "MQTT-2.2.1-6"]),
        (c, "A2 05 0000 0001 'a'", PacketKind::Unsubscribe, ["MQTT-2.3.1-1", "MQTT-2.2.1-3"]),
        (s, "B0 02 0000", PacketKind::Unsuback, ["MQTT-2.3.1-7", "MQTT-2.2.1-6"]),
    ];
    for (sender, given, packet, statements) in rows {
        refused_in_both(sender, given, E::ZeroPacketId { packet, sender }, PROTOCOL, statements);
    }
}

#[test]
fn the_first_packet_is_connect() {
    for given in ["30 03 0001 't'", "C0 00", "00 00", "F0 00", "E0 00"] {
        let given = bytes(given);
        let mut decoder = Decoder::new(Side::Client, None, 1000);
        decoder.extend(&given[..1]);
        let error = E::NotConnect { number: given[0] >> 4 };
        assert_eq!(decoder.next_packet(), Err(error.clone()));
        assert_eq!(error.reason_code(), PROTOCOL);
        assert_eq!(error.statement(V3_1_1), Some("MQTT-3.1.0-1"));
        assert_eq!(error.statement(V5_0), Some("MQTT-3.1.0-1"));
        assert_eq!(error.statement(V3_1), None);
    }
}

#[test]
fn packets_beyond_the_maximum_size() {
    for (sender, statement) in [(Side::Client, "MQTT-3.2.2-15"), (Side::Server, "MQTT-3.1.2-24")] {
        let mut decoder = Decoder::new(sender, Some(V5_0), 20);
        decoder.extend(&bytes("30 FFFFFF7F"));
        let error = E::PacketTooLarge { size: 268_435_460, limit: 20, sender };
        assert_eq!(decoder.next_packet(), Err(error.clone()));
        assert_eq!(error.reason_code(), ReasonCode::PacketTooLarge);
        assert_eq!(error.statement(V5_0), Some(statement));
    }
}

#[test]
fn properties_in_the_wrong_place() {
    let c = Side::Client;
    for (given, id) in [("00", 0), ("04", 4), ("2B", 0x2B), ("FF01", 0xFF), ("FFFFFF7F", 268_435_455)] {
        refused(V5_0, c, &publish_with(given), E::UnknownProperty { id }, MALFORMED, "MQTT-4.13.1-1");
    }
    let rows = [
        (c, publish_with("11 00000001"), PropertyId::SessionExpiryInterval, Place::Publish),
        (c, publish_with("1F 0001 'r'"), PropertyId::ReasonString, Place::Publish),
        (c, connect_with("01 01"), PropertyId::PayloadFormatIndicator, Place::Connect),
        (c, connect_with("1F 0001 'r'"), PropertyId::ReasonString, Place::Connect),
        (c, will_with("23 0001"), PropertyId::TopicAlias, Place::Will),
        (Side::Server, connack_with("17 01"), PropertyId::RequestProblemInformation, Place::Connack),
        (c, "40 09 0001 00 05 11 00000001".into(), PropertyId::SessionExpiryInterval, Place::Puback),
        (c, "E0 05 00 03 21 0001".into(), PropertyId::ReceiveMaximum, Place::Disconnect),
        (c, "A2 08 0001 02 0B 01 0001 'a'".into(), PropertyId::SubscriptionIdentifier, Place::Unsubscribe),
    ];
    for (sender, given, property, place) in rows {
        refused(V5_0, sender, &given, E::PropertyNotAllowed { property, place }, MALFORMED, "MQTT-4.13.1-1");
    }
    let rows = [
        (c, publish_with("0B 01"), PropertyId::SubscriptionIdentifier, Place::Publish, "MQTT-3.3.4-6"),
        (c, "E0 06 00 04 1C 0001 's'".into(), PropertyId::ServerReference, Place::Disconnect, "MQTT-4.13.1-1"),
        (
            Side::Server,
            "E0 07 00 05 11 00000001".into(),
            PropertyId::SessionExpiryInterval,
            Place::Disconnect,
            "MQTT-3.14.2-2",
        ),
    ];
    for (sender, given, property, place, statement) in rows {
        refused(V5_0, sender, &given, E::PropertySender { property, place, sender }, PROTOCOL, statement);
    }
}

/// Every property in every place that allows it: once is taken, twice is refused, unless it repeats.
#[test]
fn properties_that_repeat() {
    for id in PropertyId::ALL {
        let value = match id {
            PropertyId::UserProperty => "0001 'k' 0001 'v'",
            _ => match id.kind() {
                squall_codec::property::PropertyKind::Byte | squall_codec::property::PropertyKind::Variable => "01",
                squall_codec::property::PropertyKind::Two => "0001",
                squall_codec::property::PropertyKind::Four => "00000001",
                _ => "0001 'x'",
            },
        };
        let one = format!("{:02X} {value}", *id as u8);
        for (place, sender, around) in PLACES {
            if !id.allowed_in(*place) || !id.sent_by(*place, *sender) {
                continue;
            }
            let needs_method = *id == PropertyId::AuthenticationData
                || *place == Place::Auth && *id != PropertyId::AuthenticationMethod;
            let method = if needs_method { "15 0001 'M'" } else { "" };
            taken(V5_0, *sender, &around(&format!("{method} {one}")));
            let twice = around(&format!("{method} {one} {one}"));
            if id.repeats_in(*place) {
                taken(V5_0, *sender, &twice);
            } else {
                let error = E::PropertyRepeated { property: *id, place: *place };
                refused(V5_0, *sender, &twice, error, PROTOCOL, "MQTT-4.13.1-1");
            }
        }
    }
}

type Around = fn(&str) -> String;

const PLACES: &[(Place, Side, Around)] = &[
    (Place::Connect, Side::Client, connect_with),
    (Place::Will, Side::Client, will_with),
    (Place::Connack, Side::Server, connack_with),
    (Place::Publish, Side::Client, publish_with),
    (Place::Publish, Side::Server, publish_with),
    (Place::Puback, Side::Client, |p| block("40", "0001 00", p, "")),
    (Place::Pubrec, Side::Server, |p| block("50", "0001 00", p, "")),
    (Place::Pubrel, Side::Client, |p| block("62", "0001 00", p, "")),
    (Place::Pubcomp, Side::Server, |p| block("70", "0001 00", p, "")),
    (Place::Subscribe, Side::Client, |p| block("82", "0001", p, "0001 'a' 00")),
    (Place::Suback, Side::Server, |p| block("90", "0001", p, "00")),
    (Place::Unsubscribe, Side::Client, |p| block("A2", "0001", p, "0001 'a'")),
    (Place::Unsuback, Side::Server, |p| block("B0", "0001", p, "00")),
    (Place::Disconnect, Side::Client, |p| block("E0", "00", p, "")),
    (Place::Disconnect, Side::Server, |p| block("E0", "00", p, "")),
    (Place::Auth, Side::Client, |p| block("F0", "18", p, "")),
    (Place::Auth, Side::Server, |p| block("F0", "18", p, "")),
];

/// A frame with a block of properties between what is before and what is after.
fn block(first: &str, before: &str, properties: &str, after: &str) -> String {
    let length = bytes(properties).len();
    let body = bytes(before).len() + 1 + length + bytes(after).len();
    format!("{first} {body:02X} {before} {length:02X} {properties} {after}")
}

#[test]
fn property_values_out_of_bounds() {
    let (c, s) = (Side::Client, Side::Server);
    let rows = [
        (c, connect_with("21 0000"), PropertyId::ReceiveMaximum, 0),
        (c, connect_with("27 00000000"), PropertyId::MaximumPacketSize, 0),
        (c, connect_with("17 02"), PropertyId::RequestProblemInformation, 2),
        (c, connect_with("19 02"), PropertyId::RequestResponseInformation, 2),
        (c, will_with("01 02"), PropertyId::PayloadFormatIndicator, 2),
        (c, publish_with("01 02"), PropertyId::PayloadFormatIndicator, 2),
        (s, publish_with("0B 00"), PropertyId::SubscriptionIdentifier, 0),
        (c, "82 09 0001 02 0B 00 0001 'a' 00".into(), PropertyId::SubscriptionIdentifier, 0),
        (s, connack_with("21 0000"), PropertyId::ReceiveMaximum, 0),
        (s, connack_with("27 00000000"), PropertyId::MaximumPacketSize, 0),
        (s, connack_with("24 02"), PropertyId::MaximumQos, 2),
        (s, connack_with("25 02"), PropertyId::RetainAvailable, 2),
        (s, connack_with("28 02"), PropertyId::WildcardSubscriptionAvailable, 2),
        (s, connack_with("29 FF"), PropertyId::SubscriptionIdentifierAvailable, 255),
        (s, connack_with("2A 02"), PropertyId::SharedSubscriptionAvailable, 2),
    ];
    for (sender, given, property, value) in rows {
        refused(V5_0, sender, &given, E::PropertyValue { property, value }, PROTOCOL, "MQTT-4.13.1-1");
    }
    let alias = E::PropertyValue { property: PropertyId::TopicAlias, value: 0 };
    refused(V5_0, c, &publish_with("23 0000"), alias, ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-8");
    for given in ["21 FFFF", "27 FFFFFFFF", "11 FFFFFFFF", "22 0000"] {
        taken(V5_0, c, &connect_with(given));
    }
}

#[test]
fn authentication_without_its_method() {
    let rows = [
        (Side::Client, connect_with("16 0001 'd'"), Place::Connect),
        (Side::Server, connack_with("16 0001 'd'"), Place::Connack),
        (Side::Client, block("F0", "18", "16 0001 'd'", ""), Place::Auth),
    ];
    for (sender, given, place) in rows {
        refused(V5_0, sender, &given, E::AuthenticationDataAlone { place }, PROTOCOL, "MQTT-4.13.1-1");
    }
    refused(V5_0, Side::Client, "F0 02 18 00", E::NoAuthenticationMethod, PROTOCOL, "MQTT-4.13.1-1");
    refused(V5_0, Side::Server, "F0 02 00 00", E::NoAuthenticationMethod, PROTOCOL, "MQTT-4.13.1-1");
}

/// Every byte in every packet that has a reason code: what is not in the table for this sender is refused.
#[test]
fn reason_codes_that_are_not_the_packets() {
    type Frame = fn(u8) -> String;
    let packets: [(PacketKind, Frame, &str); 9] = [
        (PacketKind::Connack, |code| format!("20 03 00 {code:02X} 00"), "MQTT-3.2.2-8"),
        (PacketKind::Puback, |code| format!("40 03 0001 {code:02X}"), "MQTT-3.4.2-1"),
        (PacketKind::Pubrec, |code| format!("50 03 0001 {code:02X}"), "MQTT-3.5.2-1"),
        (PacketKind::Pubrel, |code| format!("62 03 0001 {code:02X}"), "MQTT-3.6.2-1"),
        (PacketKind::Pubcomp, |code| format!("70 03 0001 {code:02X}"), "MQTT-3.7.2-1"),
        (PacketKind::Suback, |code| format!("90 04 0001 00 {code:02X}"), "MQTT-3.9.3-2"),
        (PacketKind::Unsuback, |code| format!("B0 04 0001 00 {code:02X}"), "MQTT-3.11.3-2"),
        (PacketKind::Disconnect, |code| format!("E0 01 {code:02X}"), "MQTT-3.14.2-1"),
        (PacketKind::Auth, |code| format!("F0 06 {code:02X} 04 15 0001 'M'"), "MQTT-3.15.2-1"),
    ];
    for (packet, frame, statement) in packets {
        for sender in [Side::Client, Side::Server] {
            if !packet.sent_by(V5_0, sender) {
                continue;
            }
            for code in 0..=255 {
                let allowed = ReasonCode::from_value(code).is_some_and(|reason| reason.allowed_in(packet, sender));
                if allowed {
                    taken(V5_0, sender, &frame(code));
                } else {
                    let error = E::ReasonCode { packet, sender, code };
                    refused(V5_0, sender, &frame(code), error, PROTOCOL, statement);
                }
            }
        }
    }
    // Of each table one that the other side may send.
    let error = |packet, sender, code| E::ReasonCode { packet, sender, code };
    let (c, s) = (Side::Client, Side::Server);
    refused(V5_0, s, "E0 01 04", error(PacketKind::Disconnect, s, 4), PROTOCOL, "MQTT-3.14.2-1");
    refused(V5_0, c, "E0 01 8E", error(PacketKind::Disconnect, c, 0x8E), PROTOCOL, "MQTT-3.14.2-1");
    refused(V5_0, c, "40 03 0001 10", error(PacketKind::Puback, c, 0x10), PROTOCOL, "MQTT-3.4.2-1");
    refused(V5_0, c, "F0 00", error_of_short_auth(), PROTOCOL, "MQTT-3.15.2-1");

    for code in 6..=255 {
        let given = format!("20 02 00 {code:02X}");
        refused(V3_1_1, s, &given, error(PacketKind::Connack, s, code), PROTOCOL, "MQTT-4.8.0-1");
    }
    for code in [3, 4, 0x7F, 0x81, 0x87, 0xFF] {
        let given = format!("90 03 0001 {code:02X}");
        refused(V3_1_1, s, &given, error(PacketKind::Suback, s, code), PROTOCOL, "MQTT-3.9.3-2");
    }
}

/// The short form stands for success, which only a server says.
fn error_of_short_auth() -> E {
    E::ReasonCode { packet: PacketKind::Auth, sender: Side::Client, code: 0 }
}

#[test]
fn connect() {
    let c = Side::Client;
    let malformed = |given: &str, error: E, statements: [&str; 2]| {
        // The same flags in 3.1.1 and, with empty properties, in 5.0.
        refused(V3_1_1, c, given, error.clone(), MALFORMED, statements[0]);
        let newer = given.replacen("10 0C", "10 0D", 1).replacen("'MQTT' 04", "'MQTT' 05", 1);
        refused(V5_0, c, &newer.replacen("003C", "003C 00", 1), error, MALFORMED, statements[1]);
    };
    let reserved = E::ConnectFlags { flags: 0b0000_0011 };
    malformed("10 0C 0004 'MQTT' 04 03 003C 0000", reserved, ["MQTT-3.1.2-3"; 2]);
    let qos = E::WillQosWithoutWill { qos: 1 };
    malformed("10 0C 0004 'MQTT' 04 0A 003C 0000", qos, ["MQTT-3.1.2-13", "MQTT-3.1.2-11"]);
    let retain = E::WillRetainWithoutWill;
    malformed("10 0C 0004 'MQTT' 04 22 003C 0000", retain, ["MQTT-3.1.2-15", "MQTT-3.1.2-13"]);
    malformed("10 0C 0004 'MQTT' 04 1E 003C 0000", E::WillQos, ["MQTT-3.1.2-14", "MQTT-3.1.2-12"]);
    let user_name = cut(PacketKind::Connect, "the user name", 2, 0);
    malformed("10 0C 0004 'MQTT' 04 82 003C 0000", user_name, ["MQTT-3.1.4-1"; 2]);
    let will_topic = |field| cut(PacketKind::Connect, field, 2, 0);
    refused(V3_1_1, c, "10 0C 0004 'MQTT' 04 06 003C 0000", will_topic("the will topic"), MALFORMED, "MQTT-3.1.4-1");
    let will_payload = will_topic("the will payload");
    refused(V3_1_1, c, "10 0F 0004 'MQTT' 04 06 003C 0000 0001 'w'", will_payload, MALFORMED, "MQTT-3.1.4-1");
    let password = cut(PacketKind::Connect, "the password", 2, 0);
    refused(V3_1_1, c, "10 0F 0004 'MQTT' 04 C2 003C 0000 0001 'u'", password, MALFORMED, "MQTT-3.1.4-1");
    let more = E::Leftover { packet: PacketKind::Connect, bytes: 3 };
    refused(V3_1_1, c, "10 0F 0004 'MQTT' 04 02 003C 0000 0001 'u'", more, MALFORMED, "MQTT-3.1.4-1");

    let alone = E::PasswordWithoutUserName;
    refused(V3_1_1, c, "10 0F 0004 'MQTT' 04 42 003C 0000 0001 'p'", alone.clone(), MALFORMED, "MQTT-3.1.2-22");
    refused(V3_1, c, "10 12 0006 'MQIsdp' 03 42 003C 0001 'c' 0001 'p'", alone, MALFORMED, "");
    taken(V5_0, c, "10 10 0004 'MQTT' 05 42 003C 00 0000 0001 'p'");

    let invalid = ReasonCode::ClientIdentifierNotValid;
    refused(V3_1_1, c, "10 0C 0004 'MQTT' 04 00 003C 0000", E::EmptyClientId, invalid, "MQTT-3.1.3-8");
    refused(V3_1, c, "10 0E 0006 'MQIsdp' 03 02 003C 0000", E::EmptyClientId, invalid, "");
    taken(V3_1_1, c, "10 0C 0004 'MQTT' 04 02 003C 0000");
    taken(V5_0, c, "10 0D 0004 'MQTT' 05 00 003C 00 0000");

    let unsupported = ReasonCode::UnsupportedProtocolVersion;
    let name = |name: &str| E::ProtocolName { name: name.into() };
    for (given, found) in [("0004 'MQTX'", "MQTX"), ("0004 'mqtt'", "mqtt"), ("0000", ""), ("0005 'MQTT' 00", "MQTT\0")]
    {
        let given = format!("10 {:02X} {given} 04 02 003C 0000", bytes(given).len() + 6);
        refused_in_both(c, &given, name(found), unsupported, ["MQTT-3.1.2-1"; 2]);
    }
    for (given, level) in
        [("'MQTT'", 0), ("'MQTT'", 3), ("'MQTT'", 6), ("'MQTT'", 0x84), ("'MQIsdp'", 4), ("'MQIsdp'", 0x83)]
    {
        let length = bytes(given).len();
        let given = format!("10 {:02X} {length:04X} {given} {level:02X} 02 003C 0000", length + 8);
        refused_in_both(c, &given, E::UnsupportedVersion { level }, unsupported, ["MQTT-3.1.2-2"; 2]);
    }
    let (kind, field) = (PacketKind::Connect, "the protocol name");
    refused_in_both(c, "10 00", cut(kind, field, 2, 0), MALFORMED, ["MQTT-3.1.4-1"; 2]);
}

#[test]
fn will_topics() {
    let c = Side::Client;
    let invalid = ReasonCode::TopicNameInvalid;
    let rows = [
        ("0000", TopicError::Empty, ["MQTT-4.7.3-1", "MQTT-4.7.3-1"]),
        ("0003 'w/#'", TopicError::Wildcard, ["MQTT-4.7.1-1", "MQTT-4.7.0-1"]),
        ("0001 '+'", TopicError::Wildcard, ["MQTT-4.7.1-1", "MQTT-4.7.0-1"]),
    ];
    for (topic, error, statements) in rows {
        let length = bytes(topic).len();
        let error = E::TopicName { place: Place::Will, error };
        let given = format!("10 {:02X} 0004 'MQTT' 04 06 003C 0000 {topic} 0000", 14 + length);
        refused(V3_1_1, c, &given, error.clone(), invalid, statements[0]);
        let given = format!("10 {:02X} 0004 'MQTT' 05 06 003C 00 0000 00 {topic} 0000", 16 + length);
        refused(V5_0, c, &given, error, invalid, statements[1]);
    }
}

#[test]
fn connack() {
    let s = Side::Server;
    let flags = E::ConnackFlags { flags: 2 };
    refused(V3_1_1, s, "20 02 02 00", flags.clone(), MALFORMED, "MQTT-4.8.0-1");
    refused(V5_0, s, "20 03 02 00 00", flags, MALFORMED, "MQTT-3.2.2-1");
    let present = |code| E::SessionPresentWithFailure { code };
    refused(V3_1_1, s, "20 02 01 05", present(5), PROTOCOL, "MQTT-3.2.2-4");
    refused(V5_0, s, "20 03 01 87 00", present(0x87), PROTOCOL, "MQTT-3.2.2-6");
}

#[test]
fn publish() {
    let c = Side::Client;
    for first in ["36", "37", "3E", "3F"] {
        let given = format!("{first} 05 0001 't' 0001");
        refused_in_both(c, &given, E::PublishQos, MALFORMED, ["MQTT-3.3.1-4"; 2]);
    }
    refused_in_both(c, "38 03 0001 't'", E::DupWithQos0, MALFORMED, ["MQTT-3.3.1-2"; 2]);
    taken(V3_1, c, "38 03 0001 't'");
    let topic = |error| E::TopicName { place: Place::Publish, error };
    for name in ["#", "+", "a/#", "+/a", "a+b"] {
        let given = format!("30 {:02X} {:04X} '{name}' 00", 3 + name.len(), name.len());
        let reason = ReasonCode::TopicNameInvalid;
        refused_in_both(c, &given, topic(TopicError::Wildcard), reason, ["MQTT-3.3.2-2"; 2]);
    }
    refused_in_both(c, "30 03 0000 00", topic(TopicError::Empty), PROTOCOL, ["MQTT-4.7.3-1"; 2]);
    taken(V5_0, c, "30 06 0000 03 23 0001");

    let response = |error| E::ResponseTopic { error };
    let reason = ReasonCode::TopicNameInvalid;
    for around in [publish_with as Around, will_with] {
        refused(V5_0, c, &around("08 0003 'r/#'"), response(TopicError::Wildcard), reason, "MQTT-3.3.2-14");
        refused(V5_0, c, &around("08 0000"), response(TopicError::Empty), reason, "MQTT-4.7.3-1");
    }
}

#[test]
fn subscribe_and_unsubscribe() {
    let c = Side::Client;
    let none = |packet| E::NoTopicFilter { packet };
    refused(V3_1_1, c, "82 02 0001", none(PacketKind::Subscribe), PROTOCOL, "MQTT-3.8.3-3");
    refused(V5_0, c, "82 03 0001 00", none(PacketKind::Subscribe), PROTOCOL, "MQTT-3.8.3-2");
    refused(V3_1_1, c, "A2 02 0001", none(PacketKind::Unsubscribe), PROTOCOL, "MQTT-3.10.3-2");
    refused(V5_0, c, "A2 03 0001 00", none(PacketKind::Unsubscribe), PROTOCOL, "MQTT-3.10.3-2");

    let subscribe = |options: u8| format!("82 07 0001 00 0001 'a' {options:02X}");
    refused(V3_1_1, c, "82 06 0001 0001 'a' 03", E::SubscribeQos, PROTOCOL, "MQTT-3.8.3-4");
    refused(V5_0, c, &subscribe(3), E::SubscribeQos, PROTOCOL, "MQTT-4.13.1-1");
    for options in [0x04, 0x08, 0x10, 0x20, 0x40, 0x80] {
        let error = E::SubscriptionOptions { options };
        let given = format!("82 06 0001 0001 'a' {options:02X}");
        refused(V3_1_1, c, &given, error.clone(), MALFORMED, "MQTT-3.8.3-4");
        if options & 0xC0 != 0 {
            refused(V5_0, c, &subscribe(options), error, MALFORMED, "MQTT-3.8.3-5");
        } else {
            taken(V5_0, c, &subscribe(options));
        }
    }
    refused(V5_0, c, &subscribe(0x30), E::RetainHandling, PROTOCOL, "MQTT-4.13.1-1");
    refused(V5_0, c, "82 10 0001 00 000A '$share/g/a' 04", E::NoLocalOnShared, PROTOCOL, "MQTT-3.8.3-4");

    // Before 5.0 '$share' is a level like any other.
    let filters = [
        ("", TopicError::Empty, Some("MQTT-4.7.3-1"), "MQTT-4.7.3-1"),
        ("a#", TopicError::MultiLevel, Some("MQTT-4.7.1-2"), "MQTT-4.7.1-1"),
        ("#/a", TopicError::MultiLevel, Some("MQTT-4.7.1-2"), "MQTT-4.7.1-1"),
        ("a+/b", TopicError::SingleLevel, Some("MQTT-4.7.1-3"), "MQTT-4.7.1-2"),
        ("$share", TopicError::ShareName, None, "MQTT-4.8.2-1"),
        ("$share/", TopicError::ShareName, None, "MQTT-4.8.2-1"),
        ("$share//a", TopicError::ShareName, None, "MQTT-4.8.2-1"),
        ("$share/+/a", TopicError::Share, None, "MQTT-4.8.2-2"),
        ("$share/g", TopicError::Share, None, "MQTT-4.8.2-2"),
        ("$share/g/", TopicError::Share, None, "MQTT-4.8.2-2"),
    ];
    for (filter, error, older, newer) in filters {
        let length = filter.len();
        let reason = ReasonCode::TopicFilterInvalid;
        for (first, packet, options) in [("82", PacketKind::Subscribe, "00"), ("A2", PacketKind::Unsubscribe, "")] {
            let more = length + bytes(options).len();
            let fault = E::TopicFilter { packet, error };
            let given = format!("{first} {:02X} 0001 00 {length:04X} '{filter}' {options}", 5 + more);
            refused(V5_0, c, &given, fault.clone(), reason, newer);
            let given = format!("{first} {:02X} 0001 {length:04X} '{filter}' {options}", 4 + more);
            match older {
                None => taken(V3_1_1, c, &given),
                Some(statement) => refused(V3_1_1, c, &given, fault, reason, statement),
            }
        }
    }
}

#[test]
fn suback_and_unsuback_answer_something() {
    let s = Side::Server;
    let none = |packet| E::NoReasonCode { packet };
    refused(V3_1_1, s, "90 02 0001", none(PacketKind::Suback), PROTOCOL, "MQTT-4.8.0-1");
    refused(V5_0, s, "90 03 0001 00", none(PacketKind::Suback), PROTOCOL, "MQTT-4.13.1-1");
    refused(V5_0, s, "B0 03 0001 00", none(PacketKind::Unsuback), PROTOCOL, "MQTT-3.11.3-2");
}
