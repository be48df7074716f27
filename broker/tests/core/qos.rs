//! The QoS 1 and 2 exchanges in both directions (section 4.3), and what happens to them when connections break.

use squall_broker::core::effect::ConnectionId;
use squall_codec::{
    packet::{Ack, Packet},
    property::Property,
    reason::ReasonCode,
    version::Version,
};

use crate::support::*;

/// A broker with a subscriber `bob` (session kept) and a publisher `alice`.
fn pair(version: Version) -> (TestBroker, ConnectionId, ConnectionId) {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(version, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(durable(version, "alice"));
    (broker, alice, bob)
}

#[test]
fn a_qos_2_message_takes_four_packets_on_each_side() {
    for version in Version::ALL {
        let (mut broker, alice, bob) = pair(version);
        broker.recv(alice, publish_at(QOS_2, 7, "t", "once"));
        broker.expect(alice, pubrec(7));
        broker.recv(alice, pubrel(7));
        broker.expect(alice, pubcomp(7));
        broker.expect(bob, publish_at(QOS_2, 1, "t", "once"));
        broker.recv(bob, pubrec(1));
        broker.expect(bob, pubrel(1));
        broker.recv(bob, pubcomp(1));
        broker.quiet(bob);
        assert_eq!(broker.statistics().in_flight, 0);
    }
}

#[test]
fn a_repeated_qos_2_publish_is_delivered_once_until_pubrel() {
    let (mut broker, alice, bob) = pair(V3);
    let mut again = publish_at(QOS_2, 7, "t", "once");
    broker.recv(alice, again.clone());
    again.dup = true;
    broker.recv(alice, again.clone());
    broker.expect(alice, pubrec(7));
    broker.expect(alice, pubrec(7));
    assert_eq!(broker.payloads(bob), ["once"]);
    broker.recv(alice, pubrel(7));
    broker.expect(alice, pubcomp(7));
    // [MQTT-4.3.3-12] Now the identifier stands for a new message, even with DUP 1.
    broker.recv(alice, again);
    broker.expect(alice, pubrec(7));
    assert_eq!(broker.payloads(bob), ["once"]);
}

#[test]
fn a_repeated_qos_2_publish_is_known_on_the_next_connection() {
    for version in Version::ALL {
        let (mut broker, alice, bob) = pair(version);
        let mut message = publish_at(QOS_2, 7, "t", "once");
        broker.recv(alice, message.clone());
        broker.drop_connection(alice);
        let alice = broker.join(durable(version, "alice"));
        message.dup = true;
        broker.recv(alice, message);
        broker.expect(alice, pubrec(7));
        broker.recv(alice, pubrel(7));
        broker.expect(alice, pubcomp(7));
        assert_eq!(broker.payloads(bob), ["once"]);
    }
}

#[test]
fn a_clean_session_has_no_memory_of_open_exchanges() {
    let (mut broker, alice, bob) = pair(V5);
    let mut message = publish_at(QOS_2, 7, "t", "first");
    broker.recv(alice, message.clone());
    broker.drop_connection(alice);
    let alice = broker.join(clean(V5, "alice"));
    message.dup = true;
    broker.recv(alice, message);
    assert_eq!(broker.payloads(bob).len(), 2);
}

#[test]
fn after_puback_the_identifier_stands_for_a_new_message_even_with_dup() {
    let (mut broker, alice, bob) = pair(V3);
    for payload in ["one", "two"] {
        let mut message = publish_at(QOS_1, 1, "t", payload);
        message.dup = true;
        broker.recv(alice, message);
        broker.expect(alice, puback(1));
    }
    let (one, two) = (broker.next_publish(bob), broker.next_publish(bob));
    assert_eq!((text(&one), text(&two)), ("one".to_owned(), "two".to_owned()));
    assert!(!one.dup && !two.dup, "DUP is of the hop");
}

#[test]
fn unacknowledged_messages_are_sent_again_on_resuming_with_dup_and_in_order() {
    for version in Version::ALL {
        let (mut broker, alice, bob) = pair(version);
        for (packet_id, qos) in [(1, QOS_1), (2, QOS_2), (3, QOS_1), (4, QOS_2)] {
            broker.recv(alice, publish_at(qos, packet_id, "t", &packet_id.to_string()));
        }
        let sent: Vec<u16> = (0..4).map(|_| broker.next_publish(bob).packet_id.expect("QoS above 0").value()).collect();
        // 1 is acknowledged, 4 is the client's but not completed.
        broker.recv(bob, puback(sent[0]));
        broker.recv(bob, pubrec(sent[3]));
        broker.expect(bob, pubrel(sent[3]));
        broker.drop_connection(bob);
        broker.recv(alice, publish_at(QOS_1, 9, "t", "9"));
        let bob = broker.join(durable(version, "bob"));
        for (packet_id, payload) in [(sent[1], "2"), (sent[2], "3")] {
            let again = broker.next_publish(bob);
            assert_eq!((again.packet_id, text(&again).as_str()), (Some(id(packet_id)), payload));
            assert!(again.dup);
        }
        broker.expect(bob, pubrel(sent[3]));
        let new = broker.next_publish(bob);
        assert!(!new.dup);
        assert_eq!(text(&new), "9");
        broker.quiet(bob);
    }
}

#[test]
fn nothing_is_sent_again_while_the_connection_lives() {
    let (mut broker, alice, bob) = pair(V5);
    broker.recv(alice, publish_at(QOS_1, 1, "t", "once"));
    assert_eq!(broker.payloads(bob), ["once"]);
    broker.advance(seconds(86_400));
    broker.quiet(bob);
}

#[test]
fn receive_maximum_bounds_what_is_open_and_only_that() {
    let mut broker = TestBroker::new();
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(2));
    let bob = broker.join(connect);
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=4 {
        broker.recv(alice, publish_at(QOS_2, packet_id, "t", &packet_id.to_string()));
    }
    broker.expect(bob, publish_at(QOS_2, 1, "t", "1"));
    broker.expect(bob, publish_at(QOS_2, 2, "t", "2"));
    broker.quiet(bob);
    // [MQTT-4.9.0-3] All else goes on.
    broker.recv(bob, Packet::Pingreq);
    broker.expect(bob, Packet::Pingresp);
    broker.recv(alice, publish("t", "QoS 0"));
    assert_eq!(broker.payloads(bob), ["QoS 0"]);
    // PUBREC gives no quota back; PUBCOMP does, and so does a PUBREC that refuses.
    broker.recv(bob, pubrec(1));
    broker.expect(bob, pubrel(1));
    broker.quiet(bob);
    broker.recv(bob, pubcomp(1));
    assert_eq!(broker.payloads(bob), ["3"]);
    broker.recv(bob, Packet::Pubrec(Ack::with_reason(id(2), ReasonCode::UnspecifiedError)));
    assert_eq!(broker.payloads(bob), ["4"]);
}

#[test]
fn what_finds_no_packet_identifier_waits_for_one() {
    let mut broker = TestBroker::with(|config| {
        config.limits.first_packet_id = 65_534;
        config.limits.last_packet_id = 65_535;
    });
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=3 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    broker.expect(bob, publish_at(QOS_1, 65_534, "t", "1"));
    broker.expect(bob, publish_at(QOS_1, 65_535, "t", "2"));
    broker.quiet(bob);
    broker.recv(bob, puback(65_535));
    broker.expect(bob, publish_at(QOS_1, 65_535, "t", "3"));
}

#[test]
fn receive_maximum_holds_for_what_is_sent_again() {
    let (mut broker, alice, bob) = pair(V5);
    for packet_id in 1..=3 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    broker.drop_connection(bob);
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(1));
    let bob = broker.join(connect);
    for payload in ["1", "2", "3"] {
        let message = broker.next_publish(bob);
        assert_eq!(text(&message), payload);
        broker.quiet(bob);
        broker.recv(bob, puback(message.packet_id.expect("QoS 1").value()));
    }
    broker.recv(alice, publish_at(QOS_1, 4, "t", "4"));
    assert_eq!(broker.payloads(bob), ["4"]);
}

#[test]
fn a_late_acknowledgement_stops_what_was_to_be_sent_again() {
    let (mut broker, alice, bob) = pair(V5);
    for packet_id in 1..=2 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    broker.drop_connection(bob);
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(1));
    let bob = broker.join(connect);
    assert_eq!(broker.payloads(bob), ["1"]);
    broker.recv(bob, puback(2));
    broker.recv(bob, puback(1));
    broker.quiet(bob);
    assert_eq!(broker.statistics().in_flight, 0);
}

#[test]
fn a_client_beyond_our_receive_maximum_is_disconnected() {
    let mut broker = TestBroker::with(|config| config.limits.receive_maximum = 2);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=2 {
        broker.recv(alice, publish_at(QOS_2, packet_id, "t", ""));
        broker.expect(alice, nobody(Packet::Pubrec, packet_id));
    }
    broker.recv(alice, publish_at(QOS_2, 3, "t", ""));
    broker.disconnected(alice, ReasonCode::ReceiveMaximumExceeded);
    // 3.1.1 knows no such bound.
    let bob = broker.join(clean(V3, "bob"));
    for packet_id in 1..=3 {
        broker.recv(bob, publish_at(QOS_2, packet_id, "t", ""));
        broker.expect(bob, pubrec(packet_id));
    }
}

#[test]
fn unknown_identifiers_are_answered_where_an_answer_is_due() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    let not_found = |ack: fn(Ack) -> Packet| ack(Ack::with_reason(id(5), ReasonCode::PacketIdentifierNotFound));
    broker.recv(alice, pubrel(5));
    broker.expect(alice, not_found(Packet::Pubcomp));
    broker.recv(alice, pubrec(5));
    broker.expect(alice, not_found(Packet::Pubrel));
    broker.recv(alice, puback(5));
    broker.recv(alice, pubcomp(5));
    broker.quiet(alice);
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, pubrel(5));
    broker.expect(bob, pubcomp(5));
}

#[test]
fn a_refused_message_is_not_sent_again() {
    for (qos, refuse) in [(QOS_1, Packet::Puback as fn(Ack) -> Packet), (QOS_2, Packet::Pubrec)] {
        let (mut broker, alice, bob) = pair(V5);
        broker.recv(alice, publish_at(qos, 1, "t", "no, thanks"));
        let packet_id = broker.next_publish(bob).packet_id.expect("QoS above 0");
        broker.recv(bob, refuse(Ack::with_reason(packet_id, ReasonCode::ImplementationSpecificError)));
        broker.drop_connection(bob);
        let bob = broker.join(durable(V5, "bob"));
        broker.quiet(bob);
    }
}

#[test]
fn both_directions_have_their_own_identifiers() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.subscribed(alice, "t", QOS_2);
    broker.recv(alice, publish_at(QOS_2, 1, "t", "echo"));
    broker.expect(alice, publish_at(QOS_2, 1, "t", "echo"));
    broker.expect(alice, pubrec(1));
    broker.recv(alice, pubrec(1));
    broker.recv(alice, pubrel(1));
    broker.expect(alice, pubrel(1));
    broker.expect(alice, pubcomp(1));
    broker.recv(alice, pubcomp(1));
    broker.quiet(alice);
}

#[test]
fn what_has_become_too_large_for_the_client_counts_as_delivered() {
    for qos in [QOS_1, QOS_2] {
        let (mut broker, alice, bob) = pair(V5);
        broker.recv(alice, publish_at(qos, 1, "t", &"long ".repeat(40)));
        broker.drop_connection(bob);
        let mut connect = durable(V5, "bob");
        connect.push_property(Property::MaximumPacketSize(100));
        let bob = broker.join(connect);
        broker.quiet(bob);
        broker.recv(alice, publish_at(QOS_1, 2, "t", "short"));
        assert_eq!(broker.payloads(bob), ["short"]);
        assert_eq!((broker.statistics().in_flight, broker.statistics().dropped_too_large), (1, 1));
    }
}

#[test]
fn the_exchange_is_finished_though_the_message_expires_in_between() {
    let (mut broker, alice, bob) = pair(V5);
    let mut message = publish_at(QOS_2, 1, "t", "brief");
    message.message_expiry_interval = Some(1);
    broker.recv(alice, message);
    broker.next_publish(bob);
    broker.advance(seconds(10));
    broker.drop_connection(bob);
    let bob = broker.join(durable(V5, "bob"));
    let again = broker.next_publish(bob);
    assert!(again.dup);
    assert_eq!(again.message_expiry_interval, Some(0));
    broker.recv(bob, pubrec(1));
    broker.expect(bob, pubrel(1));
    broker.recv(bob, pubcomp(1));
}
