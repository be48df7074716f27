//! Sessions that outlive their connections (sections 3.1.2.4, 3.1.2.11.2 and 4.1).

use squall_codec::{
    packet::{Disconnect, Packet},
    property::Property,
    reason::ReasonCode,
    version::Version,
};

use crate::support::*;

fn leave(broker: &mut TestBroker, connection: squall_broker::core::effect::ConnectionId) {
    broker.recv(connection, Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
}

#[test]
fn a_kept_session_is_resumed_with_its_subscriptions_and_messages() {
    for version in [V3, V5] {
        let mut broker = TestBroker::new();
        let bob = broker.join(durable(version, "bob"));
        broker.subscribed(bob, "t/#", QOS_1);
        leave(&mut broker, bob);
        let alice = broker.join(clean(version, "alice"));
        broker.recv(alice, publish_at(QOS_1, 1, "t/1", "one"));
        broker.expect(alice, puback(1));
        broker.recv(alice, publish("t/1", "not for the absent"));
        broker.recv(alice, publish_at(QOS_1, 2, "t/2", "two"));
        let (bob, connack) = broker.join_as(durable(version, "bob"));
        assert!(connack.session_present);
        assert_eq!(broker.payloads(bob), ["one", "two"]);
        broker.recv(alice, publish("t/3", "three"));
        assert_eq!(broker.payloads(bob), ["three"]);
    }
}

#[test]
fn session_present_is_never_said_in_3_1() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(Version::V3_1, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(Version::V3_1, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "kept"));
    let (bob, connack) = broker.join_as(durable(Version::V3_1, "bob"));
    assert!(!connack.session_present);
    assert_eq!(broker.payloads(bob), ["kept"]);
}

#[test]
fn clean_start_discards_the_session() {
    for version in [V3, V5] {
        let mut broker = TestBroker::new();
        let bob = broker.join(durable(version, "bob"));
        broker.subscribed(bob, "t", QOS_1);
        leave(&mut broker, bob);
        let alice = broker.join(clean(version, "alice"));
        broker.recv(alice, publish_at(QOS_1, 1, "t", "lost"));
        let (bob, connack) = broker.join_as(clean(version, "bob"));
        assert!(!connack.session_present);
        broker.recv(alice, publish("t", "not subscribed"));
        broker.quiet(bob);
        assert_eq!(broker.statistics().subscriptions, 0);
        // 3.1.1 [MQTT-3.1.2-6]: nor is the state of the clean session used again.
        leave(&mut broker, bob);
        assert!(!broker.join_as(durable(version, "bob")).1.session_present);
    }
}

#[test]
fn a_session_without_expiry_ends_with_its_connection() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "bob");
    connect.clean_start = false;
    let bob = broker.join(connect.clone());
    broker.drop_connection(bob);
    assert!(!broker.join_as(connect).1.session_present);
}

#[test]
fn a_session_expires_to_the_second() {
    for (away, present) in [(59, true), (60, false)] {
        let mut broker = TestBroker::new();
        let bob = broker.join(expiring(V5, "bob", 60));
        broker.advance(seconds(3600));
        leave(&mut broker, bob);
        broker.advance(seconds(away));
        assert_eq!(broker.join_as(expiring(V5, "bob", 60)).1.session_present, present, "{away}");
    }
}

#[test]
fn a_session_that_never_expires_is_there_after_a_century() {
    for version in [V3, V5] {
        let mut broker = TestBroker::new();
        let bob = broker.join(durable(version, "bob"));
        leave(&mut broker, bob);
        broker.advance(seconds(100 * 365 * 86_400));
        assert!(broker.join_as(durable(version, "bob")).1.session_present);
    }
}

#[test]
fn coming_back_in_time_stops_the_expiry() {
    let mut broker = TestBroker::new();
    let bob = broker.join(expiring(V5, "bob", 60));
    broker.drop_connection(bob);
    broker.advance(seconds(30));
    let bob = broker.join(expiring(V5, "bob", 10));
    broker.advance(seconds(3600));
    broker.quiet(bob);
    // The expiry of the latest connection counts.
    broker.drop_connection(bob);
    broker.advance(seconds(10));
    assert!(!broker.join_as(expiring(V5, "bob", 60)).1.session_present);
}

#[test]
fn disconnect_changes_the_expiry() {
    let mut broker = TestBroker::new();
    let bob = broker.join(expiring(V5, "bob", 60));
    let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    disconnect.properties.push(Property::SessionExpiryInterval(600));
    broker.recv(bob, disconnect.clone());
    broker.advance(seconds(599));
    let (bob, connack) = broker.join_as(expiring(V5, "bob", 60));
    assert!(connack.session_present);
    disconnect.properties = [Property::SessionExpiryInterval(0)].into_iter().collect();
    broker.recv(bob, disconnect);
    assert!(!broker.join_as(expiring(V5, "bob", 60)).1.session_present);
}

#[test]
fn disconnect_may_not_give_an_expiry_to_a_session_that_had_none() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    disconnect.properties.push(Property::SessionExpiryInterval(10));
    broker.recv(bob, disconnect);
    broker.disconnected(bob, ReasonCode::ProtocolError);
    assert!(!broker.join_as(expiring(V5, "bob", 60)).1.session_present);
}

#[test]
fn the_queue_is_bounded_and_drops_the_newest() {
    let mut broker = TestBroker::with(|config| config.limits.queued_messages = 2);
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=3 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(broker.statistics().dropped_queue_full, 1);
    assert_eq!(broker.statistics().queued_messages, 2);
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["1", "2"]);
}

#[test]
fn the_queue_is_bounded_in_bytes_and_takes_one_message_of_any_size() {
    let mut broker = TestBroker::with(|config| config.limits.queued_bytes = 10);
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "far more than ten bytes"));
    broker.recv(alice, publish_at(QOS_1, 2, "t", "no"));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["far more than ten bytes"]);
}

#[test]
fn a_message_that_expired_while_it_waited_is_dropped_and_another_tells_what_is_left() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    for (packet_id, expiry) in [(1, 5), (2, 60)] {
        let mut publish = publish_at(QOS_1, packet_id, "t", &expiry.to_string());
        publish.message_expiry_interval = Some(expiry);
        broker.recv(alice, publish);
    }
    broker.recv(alice, publish_at(QOS_1, 3, "t", "for ever"));
    broker.advance(seconds(5));
    let bob = broker.join(durable(V5, "bob"));
    let left = broker.next_publish(bob);
    assert_eq!((text(&left), left.message_expiry_interval), ("60".to_owned(), Some(55)));
    let unbounded = broker.next_publish(bob);
    assert_eq!((text(&unbounded), unbounded.message_expiry_interval), ("for ever".to_owned(), None));
    broker.quiet(bob);
    assert_eq!(broker.statistics().dropped_expired, 1);
}

#[test]
fn state_goes_back_to_nothing_when_everyone_has_left() {
    let mut broker = TestBroker::new();
    for version in Version::ALL {
        let mut connect = clean(version, "alice");
        connect.keep_alive = 60;
        connect.set_will(Some(will("w", "gone")));
        let alice = broker.join(connect);
        broker.subscribed(alice, "a/+/b", QOS_2);
        broker.recv(alice, publish_at(QOS_2, 1, "a/x/b", "in flight"));
        broker.drop_connection(alice);
    }
    let statistics = broker.statistics();
    assert_eq!((statistics.sessions, statistics.connections, statistics.subscriptions), (0, 0, 0));
    assert_eq!((statistics.filter_levels, statistics.in_flight, statistics.queued_messages), (0, 0, 0));
    assert_eq!(broker.deadline(), None);
}

#[test]
fn a_session_may_be_resumed_in_another_version() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    let properties = [Property::ContentType("text".try_into().expect("a string"))].into_iter().collect();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "hi").with_properties(&properties));
    let (bob, connack) = broker.join_as(durable(V3, "bob"));
    assert!(connack.session_present);
    broker.expect(bob, Packet::Publish(publish_at(QOS_1, 1, "t", "hi")));
}
