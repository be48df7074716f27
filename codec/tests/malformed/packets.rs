//! Faults of one packet each: flags of CONNECT, topics, options, reason codes.

use super::{Around, MALFORMED, PROTOCOL, cut, publish_with, refused, refused_in_both, taken, will_with};
use crate::common::bytes;
use squall_codec::{
    error::DecodeError as E,
    packet::PacketKind,
    property::Place,
    reason::{ReasonCode, Side},
    topic::TopicError,
    version::Version::{V3_1, V3_1_1, V5_0},
};

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
