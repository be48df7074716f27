//! Bytes that are no packet, and packets that are not allowed: they end their own connection and no other.

use squall_broker::core::effect::CloseCause;
use squall_codec::{
    packet::{Auth, Packet},
    reason::ReasonCode,
};

use crate::support::*;

#[test]
fn a_malformed_packet_ends_its_own_connection_with_the_reason() {
    for (bytes, reason) in [
        (&[0x00, 0x00][..], ReasonCode::MalformedPacket),
        (&[0xC1, 0x00], ReasonCode::MalformedPacket),
        (&[0x36, 0x05, 0, 1, b't', 0, 1], ReasonCode::MalformedPacket),
        (&[0xC0, 0xFF, 0xFF, 0xFF, 0xFF], ReasonCode::MalformedPacket),
        (&[0x30, 0xFF, 0xFF, 0xFF, 0x7F], ReasonCode::PacketTooLarge),
    ] {
        let mut broker = TestBroker::new();
        let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V3, "bob")));
        let carol = broker.join(clean(V5, "carol"));
        broker.recv_bytes(alice, bytes);
        broker.disconnected(alice, reason);
        broker.recv_bytes(bob, bytes);
        assert!(matches!(broker.closed(bob), CloseCause::Malformed(_)));
        broker.recv(carol, Packet::Pingreq);
        broker.expect(carol, Packet::Pingresp);
    }
}

#[test]
fn an_unknown_version_is_answered_in_the_form_of_the_nearest_one() {
    let mut broker = TestBroker::new();
    for level in [0, 2, 6, 255] {
        let alice = broker.open();
        broker.recv_bytes(alice, &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 60, 0, 0]);
        let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
        assert_eq!(connack.reason, ReasonCode::UnsupportedProtocolVersion);
        assert_eq!(broker.closed(alice), CloseCause::Refused(ReasonCode::UnsupportedProtocolVersion));
    }
}

#[test]
fn another_protocol_is_closed_without_a_word() {
    let mut broker = TestBroker::new();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'X', 4, 2, 0, 60, 0, 0],
        &[0xC0, 0x01, 0x00],
    ] {
        let alice = broker.open();
        broker.recv_bytes(alice, bytes);
        assert!(matches!(broker.closed(alice), CloseCause::Malformed(_)), "{bytes:?}");
    }
}

#[test]
fn a_malformed_connect_is_refused_with_a_reason_in_5_0_and_without_a_word_in_3_1_1() {
    // Bit 0 of the connect flags is reserved.
    let connect = |level: u8, rest: &[u8]| {
        let body = [&[0, 4, b'M', b'Q', b'T', b'T', level, 3, 0, 60][..], rest].concat();
        [&[0x10, body.len() as u8][..], &body].concat()
    };
    let mut broker = TestBroker::new();
    let alice = broker.open();
    broker.recv_bytes(alice, &connect(5, &[0, 0, 0]));
    let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::MalformedPacket);
    broker.closed(alice);
    let bob = broker.open();
    broker.recv_bytes(bob, &connect(4, &[0, 0]));
    broker.closed(bob);
}

#[test]
fn auth_without_a_method_is_a_protocol_error() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    let mut auth = Auth::new(ReasonCode::ReAuthenticate);
    auth.properties.push(squall_codec::property::Property::AuthenticationMethod("X".try_into().expect("a string")));
    broker.recv(alice, Packet::Auth(auth));
    broker.disconnected(alice, ReasonCode::ProtocolError);
}

#[test]
fn a_reason_is_told_in_words_only_where_it_fits() {
    for (maximum, told) in [(200, true), (20, false)] {
        let mut broker = TestBroker::new();
        let mut connect = clean(V5, "alice");
        connect.push_property(squall_codec::property::Property::MaximumPacketSize(maximum));
        let alice = broker.join(connect.clone());
        broker.recv(alice, Packet::Connect(connect));
        let Packet::Disconnect(disconnect) = broker.next(alice) else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.properties.reason_string().is_some(), told);
    }
}

#[test]
fn nothing_is_heard_from_a_connection_that_has_ended() {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_0);
    let alice = broker.join(clean(V3, "alice"));
    broker.recv_bytes(alice, &[0x00, 0x00]);
    broker.recv(alice, publish("t", "after the end"));
    broker.drop_connection(alice);
    broker.quiet(watcher);
}
