//! What no client may send: bytes that are no packet, and packets that are none of a client's, or come at the wrong time.

use bytes::Bytes;
use squall_codec::version::Version;

use super::swarm::Draws;

/// What is wrong whatever is spoken.
const ANY: [(&str, &[u8]); 5] = [
    ("a packet that only a server sends", &[0x90, 0x03, 0x00, 0x01, 0x00]),
    ("a packet without a kind", &[0x00, 0x00]),
    ("a Remaining Length of five bytes", &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
    ("PUBACK with the packet identifier 0", &[0x40, 0x02, 0x00, 0x00]),
    ("PINGREQ with a payload", &[0xC0, 0x01, 0x00]),
];

/// What 3.1 does not say: DUP and QoS may stand in the header of any packet there, and a server need not look.
const SINCE_3_1_1: [(&str, &[u8]); 2] = [
    ("SUBSCRIBE with wrong flags", &[0x80, 0x06, 0x00, 0x01, 0x00, 0x01, b'a', 0x00]),
    ("PUBREL with wrong flags", &[0x60, 0x02, 0x00, 0x01]),
];

/// What its version makes wrong.
const BEFORE_5_0: [(&str, &[u8]); 3] = [
    ("SUBSCRIBE without a filter", &[0x82, 0x02, 0x00, 0x01]),
    ("PUBLISH with QoS 3", &[0x36, 0x05, 0x00, 0x01, b'a', 0x00, 0x01]),
    ("PUBLISH to a filter", &[0x30, 0x03, 0x00, 0x01, b'#']),
];
const SINCE_5_0: [(&str, &[u8]); 4] = [
    ("SUBSCRIBE without a filter", &[0x82, 0x03, 0x00, 0x01, 0x00]),
    ("PUBLISH with QoS 3", &[0x36, 0x06, 0x00, 0x01, b'a', 0x00, 0x01, 0x00]),
    ("PUBLISH to a filter", &[0x30, 0x04, 0x00, 0x01, b'#', 0x00]),
    (
        "PUBLISH with a property that it cannot have",
        &[0x30, 0x09, 0x00, 0x01, b'a', 0x05, 0x11, 0x00, 0x00, 0x00, 0x01],
    ),
];

/// All, with what is wrong with them.
pub fn violations(version: Version) -> Vec<(&'static str, Bytes)> {
    let flags = if version == Version::V3_1 { &[][..] } else { &SINCE_3_1_1[..] };
    let own = if version.has_properties() { &SINCE_5_0[..] } else { &BEFORE_5_0[..] };
    let written = ANY.iter().chain(flags).chain(own).map(|(what, bytes)| (*what, Bytes::from_static(bytes)));
    written.chain([("a second CONNECT", Bytes::from_static(second_connect(version)))]).collect()
}

/// [MQTT-3.1.0-2]
const fn second_connect(version: Version) -> &'static [u8] {
    match version {
        Version::V3_1 => b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01a",
        Version::V3_1_1 => b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01a",
        Version::V5_0 => b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01a",
    }
}

/// One of them.
pub(super) fn violation(draws: &mut Draws, version: Version) -> Bytes {
    let mut all = violations(version);
    all.swap_remove(draws.below(all.len())).1
}
