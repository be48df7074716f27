//! Words that several forms of a report share, and the field of a packet that a reason is about.

use squall_codec::version::Version;
use squall_conformance::report::{
    dissect::decisive,
    words::{date, day, expected_and_seen},
};
use squall_scenarios::dissect::{TYPE_AND_FLAGS, fields};

#[test]
fn a_moment_is_a_date() {
    assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
    assert_eq!(date(951_827_696), "2000-02-29 12:34:56 UTC");
    assert_eq!(date(1_800_000_000), "2027-01-15 08:00:00 UTC");
    assert_eq!(day(1_800_000_000), "2027-01-15");
}

#[test]
fn a_reason_is_taken_apart_where_it_says_both() {
    let reason = "expected PINGRESP within 5 s, but nothing came";
    assert_eq!(expected_and_seen(reason), (Some("PINGRESP within 5 s"), "nothing came"));
    assert_eq!(expected_and_seen("3 messages are open"), (None, "3 messages are open"));
    let two = "a: expected x, but y; b: expected z, but w";
    assert_eq!(expected_and_seen(two), (None, two));
}

#[test]
fn the_words_of_a_reason_find_the_field() {
    let publish = fields(b"\x33\x08\x00\x01t\x00\x07\x00hi", Version::V5_0);
    let named = |words: &str| publish[decisive(&publish, words)].name;
    assert_eq!(named("the copy has RETAIN"), TYPE_AND_FLAGS);
    assert_eq!(named("expected the payload 'a'"), "Payload");
    assert_eq!(named("the Packet Identifier is in use"), "Packet Identifier");
    assert_eq!(named("no idea"), TYPE_AND_FLAGS);
    let longer = fields(b"\xc0\x01\x00", Version::V5_0);
    assert_eq!(longer[decisive(&longer, "PINGREQ has 1 bytes after its last field")].range, 2..3);
}
