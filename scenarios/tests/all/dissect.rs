//! A frame is taken apart field by field.

use std::ops::Range;

use squall_codec::version::Version;
use squall_scenarios::dissect::{TYPE_AND_FLAGS, connect_version, fields};

fn taken_apart(frame: &[u8], version: Version) -> Vec<(&'static str, Range<usize>, String)> {
    fields(frame, version).into_iter().map(|field| (field.name, field.range, field.value.to_string())).collect()
}

#[test]
fn a_publish_is_taken_apart() {
    let frame = b"\x3b\x0a\x00\x01t\x00\x07\x02\x01\x01hi";
    let told = |name, range, value: &str| (name, range, value.to_owned());
    assert_eq!(
        taken_apart(frame, Version::V5_0),
        [
            told(TYPE_AND_FLAGS, 0..1, "Packet type 3, DUP 1, QoS 1, RETAIN 1"),
            told("Remaining Length", 1..2, "10"),
            told("Topic Name", 2..5, "t"),
            told("Packet Identifier", 5..7, "7"),
            told("Property Length", 7..8, "2"),
            told("Payload Format Indicator", 8..10, "1"),
            told("Payload", 10..12, "hi"),
        ]
    );
}

#[test]
fn a_connect_is_read_by_the_version_that_it_names_and_tells_no_password() {
    let frame = b"\x10\x19\x00\x04MQTT\x05\xc2\x00\x3c\x03\x21\x00\x0a\x00\x01a\x00\x01u\x00\x01p";
    let fields = fields(frame, Version::V3_1_1);
    let value = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value.to_string());
    assert_eq!(value("Receive Maximum").as_deref(), Some("10"));
    assert_eq!(value("Client Identifier").as_deref(), Some("a"));
    assert_eq!(value("User Name").as_deref(), Some("u"));
    assert_eq!(value("Password").as_deref(), Some("***"));
    assert_eq!(connect_version(frame), Some(Version::V5_0));
    assert_eq!(connect_version(b"\xc0\x00"), None);
}

#[test]
fn a_code_has_the_name_that_it_has_in_its_packet() {
    let value = |frame: &[u8], version| fields(frame, version).last().map(|field| field.value.to_string());
    assert_eq!(value(b"\x20\x02\x00\x05", Version::V3_1_1).as_deref(), Some("0x05 Not authorized"));
    assert_eq!(value(b"\x90\x04\x00\x01\x00\x00", Version::V5_0).as_deref(), Some("0x00 Granted QoS 0"));
    assert_eq!(value(b"\x90\x03\x00\x01\x80", Version::V3_1_1).as_deref(), Some("0x80 Failure"));
    assert_eq!(value(b"\xe0\x01\x8e", Version::V5_0).as_deref(), Some("0x8E Session taken over"));
    assert_eq!(value(b"\xe0\x01\x03", Version::V5_0).as_deref(), Some("0x03 unknown"));
}

#[test]
fn what_cannot_be_read_is_the_rest_and_no_byte_is_lost() {
    let frames: [&[u8]; 8] = [
        b"",
        b"\x30",
        b"\x10\x04\x00\x09MQ",
        b"\xff\xff\xff\xff\xff",
        b"\x82\x03\x00\x01\x00",
        b"\x20\x03\x00\x00\x7f",
        b"\x30\x07\x00\x01t\x7f\x26\x00",
        b"\xc0\x01\x00",
    ];
    for frame in frames {
        for version in [Version::V3_1_1, Version::V5_0] {
            let fields = fields(frame, version);
            let mut at = 0;
            for field in &fields {
                assert_eq!(field.range.start, at, "{frame:?}: {fields:?}");
                at = field.range.end;
            }
            assert_eq!(at, frame.len(), "{frame:?}: {fields:?}");
        }
    }
}
