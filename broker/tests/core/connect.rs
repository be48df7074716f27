//! CONNECT and CONNACK (sections 3.1 and 3.2).

use squall_broker::core::effect::CloseCause;
use squall_codec::{packet::Packet, property::Property, reason::ReasonCode, version::Version, wire::Text};

use crate::support::*;

#[test]
fn every_version_is_let_in() {
    for version in Version::ALL {
        let mut broker = TestBroker::new();
        let (alice, connack) = broker.join_as(clean(version, "alice"));
        assert!(!connack.session_present);
        broker.recv(alice, Packet::Pingreq);
        broker.expect(alice, Packet::Pingresp);
    }
}

#[test]
fn connack_tells_5_0_clients_what_is_not_the_default() {
    let mut broker = TestBroker::with(|config| {
        config.limits.receive_maximum = 10;
        config.limits.maximum_packet_size = 1000;
        config.limits.topic_alias_maximum = 3;
        config.maximum_qos = QOS_1;
        config.retain_available = false;
        config.wildcard_subscription_available = false;
        config.subscription_identifiers_available = false;
        config.shared_subscription_available = false;
        config.server_keep_alive = Some(7);
        config.maximum_session_expiry = 100;
    });
    let (_, connack) = broker.join_as(expiring(V5, "alice", 101));
    let properties = &connack.properties;
    assert_eq!(properties.receive_maximum(), Some(10));
    assert_eq!(properties.maximum_packet_size(), Some(1000));
    assert_eq!(properties.topic_alias_maximum(), Some(3));
    assert_eq!(properties.maximum_qos(), Some(1));
    assert_eq!(properties.retain_available(), Some(0));
    assert_eq!(properties.wildcard_subscription_available(), Some(0));
    assert_eq!(properties.subscription_identifier_available(), Some(0));
    assert_eq!(properties.shared_subscription_available(), Some(0));
    assert_eq!(properties.server_keep_alive(), Some(7));
    assert_eq!(properties.session_expiry_interval(), Some(100));
    assert_eq!(properties.assigned_client_identifier(), None);
    assert_eq!(properties.len(), 10);
}

#[test]
fn connack_tells_3_1_1_clients_nothing_of_it() {
    let (_, connack) = TestBroker::new().join_as(clean(V3, ""));
    assert!(connack.properties.is_empty());
}

#[test]
fn an_empty_client_identifier_gets_an_assigned_one_by_which_the_session_is_found_again() {
    let mut broker = TestBroker::new();
    let (first, connack) = broker.join_as(expiring(V5, "", 60));
    let assigned = connack.properties.assigned_client_identifier().expect("an assigned identifier").clone();
    let (_, other) = broker.join_as(expiring(V5, "", 60));
    assert_ne!(other.properties.assigned_client_identifier(), Some(&assigned));
    broker.drop_connection(first);
    let (_, connack) = broker.join_as(expiring(V5, &assigned, 60));
    assert!(connack.session_present);
}

#[test]
fn an_empty_client_identifier_is_refused_where_the_operator_says_so() {
    for version in [V3, V5] {
        let mut broker = TestBroker::with(|config| config.allow_empty_client_id = false);
        let alice = broker.open();
        assert_eq!(broker.connect(alice, clean(version, "")).reason, ReasonCode::ClientIdentifierNotValid);
        assert_eq!(broker.closed(alice), CloseCause::Refused(ReasonCode::ClientIdentifierNotValid));
    }
}

#[test]
fn a_session_that_should_last_needs_a_client_identifier_before_5_0() {
    for bytes in [
        &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 60, 0, 0][..],
        &[0x10, 14, 0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, 2, 0, 60, 0, 0],
    ] {
        let mut broker = TestBroker::new();
        let alice = broker.open();
        broker.recv_bytes(alice, bytes);
        let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
        assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
        broker.closed(alice);
    }
}

#[test]
fn a_3_1_client_identifier_has_at_most_23_characters() {
    let mut broker = TestBroker::new();
    broker.join(clean(Version::V3_1, "12345678901234567890123"));
    let alice = broker.open();
    let connack = broker.connect(alice, clean(Version::V3_1, "123456789012345678901234"));
    assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
    broker.closed(alice);
    broker.join(clean(V3, "123456789012345678901234"));
}

#[test]
fn a_second_connect_closes_the_connection() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, Packet::Connect(clean(V5, "alice")));
    broker.disconnected(alice, ReasonCode::ProtocolError);
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, Packet::Connect(clean(V3, "bob")));
    let CloseCause::Violation { statement, .. } = broker.closed(bob) else { panic!("no violation") };
    assert_eq!(statement, Some("MQTT-3.1.0-2"));
}

#[test]
fn a_first_packet_that_is_not_connect_is_answered_by_nothing() {
    let mut broker = TestBroker::new();
    let alice = broker.open();
    broker.recv(alice, Packet::Pingreq);
    assert!(matches!(broker.closed(alice), CloseCause::Violation { .. }));
}

#[test]
fn a_connection_without_connect_is_closed_after_the_timeout() {
    let mut broker = TestBroker::with(|config| config.limits.connect_timeout = seconds(5));
    let alice = broker.open();
    broker.advance(seconds(5) - std::time::Duration::from_millis(1));
    broker.quiet(alice);
    broker.advance(std::time::Duration::from_millis(1));
    assert_eq!(broker.closed(alice), CloseCause::ConnectTimeout);
}

#[test]
fn a_will_beyond_what_the_server_offers_is_refused() {
    let mut broker = TestBroker::with(|config| {
        config.maximum_qos = QOS_1;
        config.retain_available = false;
    });
    let mut too_high = clean(V5, "alice");
    too_high.set_will(Some(will("w", "gone")));
    let mut retained = too_high.clone();
    too_high.change_will(|will| will.qos = QOS_2);
    retained.change_will(|will| will.retain = true);
    for (connect, reason) in [(too_high, ReasonCode::QosNotSupported), (retained, ReasonCode::RetainNotSupported)] {
        let alice = broker.open();
        assert_eq!(broker.connect(alice, connect).reason, reason);
        broker.closed(alice);
    }
}

#[test]
fn a_connack_too_large_for_the_client_is_a_refusal_and_one_that_never_fits_is_not_sent() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "");
    connect.push_property(Property::MaximumPacketSize(5));
    let alice = broker.open();
    assert_eq!(broker.connect(alice, connect).reason, ReasonCode::PacketTooLarge);
    broker.closed(alice);
    let mut connect = clean(V5, "");
    connect.push_property(Property::MaximumPacketSize(4));
    let bob = broker.open();
    broker.recv(bob, Packet::Connect(connect));
    broker.closed(bob);
    assert_eq!(broker.statistics().sessions, 0);
}

#[test]
fn sessions_are_bounded_and_the_known_ones_still_come_back() {
    let mut broker = TestBroker::with(|config| config.limits.sessions = 1);
    let alice = broker.join(expiring(V5, "alice", 60));
    broker.drop_connection(alice);
    for (version, reason) in [(V5, ReasonCode::QuotaExceeded), (V3, ReasonCode::ServerUnavailable)] {
        let bob = broker.open();
        assert_eq!(broker.connect(bob, clean(version, "bob")).reason, reason);
        broker.closed(bob);
    }
    assert!(broker.join_as(expiring(V5, "alice", 60)).1.session_present);
}

#[test]
fn connections_are_bounded() {
    let mut broker = TestBroker::with(|config| config.limits.connections = 1);
    let alice = broker.open();
    let bob = broker.open();
    assert_eq!(broker.closed(bob), CloseCause::Refused(ReasonCode::ServerBusy));
    broker.drop_connection(alice);
    let carol = broker.open();
    broker.quiet(carol);
}

#[test]
fn shutdown_tells_5_0_clients_and_closes_everyone() {
    let mut broker = TestBroker::new();
    let (alice, bob, carol) = (broker.join(clean(V5, "alice")), broker.join(clean(V3, "bob")), broker.open());
    broker.input(squall_broker::core::effect::Input::Shutdown);
    assert_eq!(broker.disconnected(alice, ReasonCode::ServerShuttingDown), CloseCause::ShuttingDown);
    assert_eq!(broker.closed(bob), CloseCause::ShuttingDown);
    assert_eq!(broker.closed(carol), CloseCause::ShuttingDown);
    let late = broker.open();
    assert_eq!(broker.closed(late), CloseCause::ShuttingDown);
    assert_eq!(broker.deadline(), None);
}

#[test]
fn clients_are_sent_to_another_server_for_now_or_for_good() {
    for (moved, reason) in [(false, ReasonCode::UseAnotherServer), (true, ReasonCode::ServerMoved)] {
        let mut broker = TestBroker::with(|config| {
            config.server_reference = Some(Text::literal("other:1883"));
            config.server_moved = moved;
        });
        let alice = broker.open();
        let connack = broker.connect(alice, clean(V5, "alice"));
        assert_eq!(connack.reason, reason);
        assert_eq!(connack.properties.server_reference().map(Text::as_str), Some("other:1883"));
        assert_eq!(broker.closed(alice), CloseCause::Refused(reason));
        // It is told that much though the reference has no room.
        let mut connect = clean(V5, "bob");
        connect.push_property(Property::MaximumPacketSize(5));
        let bob = broker.open();
        let connack = broker.connect(bob, connect);
        assert_eq!((connack.reason, connack.properties.server_reference()), (reason, None));
        broker.closed(bob);
        let old = broker.open();
        assert_eq!(broker.connect(old, clean(V3, "old")).reason.connack_return_code(), Some(3));
        broker.closed(old);
    }
}
