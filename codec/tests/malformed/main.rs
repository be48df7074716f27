//! What a decoder has to refuse (section 6 of the wire format): each cause with its bytes, error, reason code and
//! statement. Conditions that need a session or a negotiated limit are judged elsewhere.

#[path = "../common/mod.rs"]
mod common;
mod frames;
mod packets;
mod properties;

use common::bytes;
use squall_codec::{
    error::DecodeError as E,
    packet::{Packet, PacketKind, PacketView},
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version::{self, V3_1_1, V5_0},
};

const MALFORMED: ReasonCode = ReasonCode::MalformedPacket;
const PROTOCOL: ReasonCode = ReasonCode::ProtocolError;

/// A frame around a block of properties.
type Around = fn(&str) -> String;

/// Alone and in a stream: the same error, which says this to the peer and names this statement (`""` for none).
#[track_caller]
fn refused(version: Version, sender: Side, given: &str, error: E, reason: ReasonCode, statement: &str) {
    let given = bytes(given);
    let found = Packet::decode(version, sender, given.clone().into());
    assert_eq!(found, Err(error.clone()), "{version} from a {sender}: {given:02X?}");
    assert_eq!(error.reason_code(), reason, "{error}");
    assert_eq!(error.statement(version).unwrap_or_default(), statement, "{error}");
    let view = PacketView::decode(version, sender, &given).map(|view| view.to_owned());
    assert_eq!(view, Err(error.clone()), "{version} from a {sender}, as a view: {given:02X?}");
    for as_views in [false, true] {
        let mut decoder = Decoder::new(sender, Some(version), 10_000);
        decoder.extend(&given);
        let mut next = || match as_views {
            true => decoder.next_view().map(|view| view.map(|view| view.to_owned())),
            false => decoder.next_packet(),
        };
        assert_eq!(next(), Err(error.clone()));
        assert_eq!(next(), Err(error.clone()), "a stream stays refused");
        assert_eq!(decoder.pending_bytes(), 0, "and nothing of it is kept");
    }
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
    assert_eq!(PacketView::decode(version, sender, &given).map(|view| view.to_owned()), found);
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

/// A frame with a block of properties between what is before and what is after.
fn block(first: &str, before: &str, properties: &str, after: &str) -> String {
    let length = bytes(properties).len();
    let body = bytes(before).len() + 1 + length + bytes(after).len();
    format!("{first} {body:02X} {before} {length:02X} {properties} {after}")
}

/// The list that the bench gives to the decoders of others.
#[test]
fn every_packet_of_the_list_is_refused() {
    let lines = include_str!("packets.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let [version, sender, given, why] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let sender = if sender == "client" { Side::Client } else { Side::Server };
        let version = version.parse().expect("a version");
        let found = Packet::decode(version, sender, bytes(given).into());
        assert_eq!(found.map_err(|error| error.to_string()), Err(why.to_owned()), "{line}");
    }
}
