//! Faults that any packet can have: types, flags, lengths, strings, directions, identifiers.

use super::{MALFORMED, PROTOCOL, connect_with, cut, publish_with, refused, refused_in_both, taken, will_with};
use crate::common::bytes;
use squall_codec::{
    error::DecodeError as E,
    packet::PacketKind,
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version::{V3_1, V3_1_1, V5_0},
    wire::TextError,
};

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
