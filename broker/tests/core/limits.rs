//! Every bound: what is at it passes, what is beyond it has the outcome that `limits.rs` names.

use squall_broker::core::{
    effect::{CloseCause, ConnectionId, PeerInfo},
    limits::QueuePolicy,
};
use squall_codec::{
    packet::{Connect, Packet, PacketKind},
    property::Property,
    reason::ReasonCode,
    wire::Text,
};

use crate::support::*;

/// Deep and long enough, and each beyond the bound.
const AT_BOUND: [&str; 2] = ["a/b/c", "0123456789"];
const BEYOND: [&str; 2] = ["a/b/c/d", "0123456789A"];

fn narrow() -> TestBroker {
    TestBroker::with(|config| {
        config.limits.topic_levels = 3;
        config.limits.topic_bytes = 10;
    })
}

#[test]
fn a_topic_beyond_the_bound_is_acknowledged_with_the_reason_and_goes_nowhere() {
    let mut broker = narrow();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    let old = broker.join(clean(V3, "old"));
    for name in BEYOND {
        broker.recv(alice, publish(name, "x"));
        broker.recv(alice, publish_at(QOS_1, 1, name, "x"));
        broker.acknowledged(alice, PacketKind::Puback, 1, ReasonCode::TopicNameInvalid);
        broker.recv(alice, publish_at(QOS_2, 1, name, "x"));
        broker.acknowledged(alice, PacketKind::Pubrec, 1, ReasonCode::TopicNameInvalid);
        broker.recv(old, publish_at(QOS_1, 1, name, "x"));
        broker.expect(old, puback(1));
    }
    assert_eq!(broker.statistics().dropped_topic, 8);
    broker.quiet(watcher);
    for name in AT_BOUND {
        broker.recv(alice, publish(name, name));
    }
    assert_eq!(broker.payloads(watcher), AT_BOUND);
}

#[test]
fn a_filter_beyond_the_bound_is_refused_alone() {
    let mut broker = narrow();
    let alice = broker.join(clean(V5, "alice"));
    for name in BEYOND {
        assert_eq!(broker.subscribe(alice, subscribe(1, name, QOS_0)), [ReasonCode::TopicFilterInvalid]);
    }
    for name in AT_BOUND {
        broker.subscribed(alice, name, QOS_0);
    }
    // The share's name is no part of what is matched.
    broker.subscribed(alice, "$share/group/a/b/c", QOS_0);
    let old = broker.join(clean(V3, "old"));
    let reasons = broker.subscribe(old, subscribe(1, BEYOND[0], QOS_0));
    assert_eq!(reasons[0].value(), 0x80);
    assert_eq!(broker.statistics().subscriptions, 3);
}

#[test]
fn a_will_whose_topic_is_beyond_the_bound_is_refused_with_its_connect() {
    for (version, name, refused) in
        [(V5, BEYOND[0], true), (V3, BEYOND[1], true), (V5, AT_BOUND[0], false), (V3, AT_BOUND[1], false)]
    {
        let mut broker = narrow();
        let alice = broker.open();
        let mut connect = clean(version, "alice");
        connect.set_will(Some(will(name, "gone")));
        broker.recv(alice, Packet::Connect(connect));
        if !refused {
            broker.next(alice);
            broker.quiet(alice);
            continue;
        }
        if version == V5 {
            let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
            assert_eq!(connack.reason, ReasonCode::TopicNameInvalid);
        }
        assert_eq!(broker.closed(alice), CloseCause::Refused(ReasonCode::TopicNameInvalid));
    }
}

/// Three messages for a client whose queue holds two, while one is in flight that it does not acknowledge.
fn crowded(policy: QueuePolicy, is_there: bool) -> (TestBroker, ConnectionId) {
    let mut broker = TestBroker::with(|config| {
        config.limits.queued_messages = 2;
        config.limits.queue_policy = policy;
    });
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(1));
    let bob = broker.join(connect);
    broker.subscribed(bob, "t", QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "0"));
    assert_eq!(broker.payloads(bob), ["0"]);
    if !is_there {
        broker.drop_connection(bob);
    }
    for payload in ["1", "2"] {
        broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
    }
    assert_eq!((broker.statistics().queued_messages, broker.statistics().dropped_queue_full), (2, 0));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "3"));
    assert_eq!((broker.statistics().queued_messages, broker.statistics().dropped_queue_full), (2, 1));
    (broker, bob)
}

fn resumed(broker: &mut TestBroker) -> Vec<String> {
    let bob = broker.join(durable(V5, "bob"));
    broker.payloads(bob)
}

#[test]
fn a_full_queue_drops_the_newest_or_the_oldest_or_lets_the_client_go() {
    for is_there in [true, false] {
        let (mut broker, _) = crowded(QueuePolicy::DropNewest, is_there);
        assert_eq!(resumed(&mut broker), ["0", "1", "2"]);
        let (mut broker, _) = crowded(QueuePolicy::DropOldest, is_there);
        assert_eq!(resumed(&mut broker), ["0", "2", "3"]);
        let (mut broker, bob) = crowded(QueuePolicy::Disconnect, is_there);
        if is_there {
            assert_eq!(broker.disconnected(bob, ReasonCode::QuotaExceeded), CloseCause::QueueFull);
        }
        assert_eq!(broker.statistics().full_queues, u64::from(is_there));
        assert_eq!(resumed(&mut broker), ["0", "1", "2"]);
    }
}

/// `bob` was disconnected for its full queue and is back, with this Receive Maximum. The other one publishes.
fn back_after_a_full_queue(receive_maximum: u16) -> (TestBroker, ConnectionId, ConnectionId) {
    let (mut broker, bob) = crowded(QueuePolicy::Disconnect, true);
    assert_eq!(broker.disconnected(bob, ReasonCode::QuotaExceeded), CloseCause::QueueFull);
    let publisher = broker.join(clean(V5, "carol"));
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(receive_maximum));
    let bob = broker.join(connect);
    (broker, bob, publisher)
}

#[test]
fn who_comes_back_to_a_full_queue_is_let_catch_up() {
    let (mut broker, bob, alice) = back_after_a_full_queue(1);
    let first = broker.next_publish(bob);
    assert_eq!((text(&first).as_str(), first.dup), ("0", true));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "4"));
    broker.quiet(bob);
    assert_eq!(broker.statistics().dropped_queue_full, 2);
    broker.recv(bob, puback(first.packet_id.expect("QoS 1").value()));
    assert_eq!(broker.payloads(bob), ["1"]);
    // From here on it is a client as any other.
    broker.recv(alice, publish_at(QOS_1, 1, "t", "5"));
    broker.quiet(bob);
    broker.recv(alice, publish_at(QOS_1, 1, "t", "6"));
    assert_eq!(broker.disconnected(bob, ReasonCode::QuotaExceeded), CloseCause::QueueFull);
    assert_eq!(resumed(&mut broker), ["1", "2", "5"]);
}

#[test]
fn who_was_let_go_for_a_full_queue_is_let_acknowledge_something_first() {
    let (mut broker, bob, alice) = back_after_a_full_queue(3);
    // All that waited is under way, and the queue is empty.
    assert_eq!(broker.payloads(bob), ["0", "1", "2"]);
    for payload in ["4", "5", "6"] {
        broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
    }
    broker.quiet(bob);
    assert_eq!(broker.statistics().dropped_queue_full, 2);
}

#[test]
fn the_bytes_of_a_queue_are_bounded_to_the_byte() {
    for (queued_bytes, kept) in [(22, 2), (21, 1)] {
        let mut broker = TestBroker::with(|config| config.limits.queued_bytes = queued_bytes);
        let bob = broker.join(durable(V5, "bob"));
        broker.subscribed(bob, "t", QOS_1);
        broker.drop_connection(bob);
        let alice = broker.join(clean(V5, "alice"));
        for _ in 0..3 {
            broker.recv(alice, publish_at(QOS_1, 1, "t", "0123456789"));
        }
        assert_eq!(broker.statistics().queued_messages, kept);
    }
}

#[test]
fn the_oldest_make_room_for_one_that_is_larger_than_all_of_them() {
    let mut broker = TestBroker::with(|config| {
        config.limits.queued_bytes = 30;
        config.limits.queue_policy = QueuePolicy::DropOldest;
    });
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    let large = "larger than the bound on bytes of a queue";
    for payload in ["0123456789", "0123456789", large] {
        broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
    }
    assert_eq!(broker.statistics().dropped_queue_full, 2);
    assert_eq!(resumed(&mut broker), [large]);
}

#[test]
fn subscriptions_of_all_sessions_are_bounded_in_number_and_in_bytes() {
    let mut in_number = TestBroker::with(|config| config.limits.subscriptions = 2);
    let mut in_bytes = TestBroker::with(|config| config.limits.filter_bytes = 10);
    for broker in [&mut in_number, &mut in_bytes] {
        let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V3, "bob")));
        broker.subscribed(alice, "12345", QOS_0);
        broker.subscribed(bob, "12345", QOS_0);
        assert_eq!(broker.subscribe(alice, subscribe(1, "1", QOS_0)), [ReasonCode::QuotaExceeded]);
        assert_eq!(broker.subscribe(bob, subscribe(1, "1", QOS_0))[0].value(), 0x80);
        // What is there already may be replaced, and what ends makes room.
        broker.subscribed(alice, "12345", QOS_1);
        broker.drop_connection(bob);
        assert_eq!((broker.statistics().subscriptions, broker.statistics().filter_bytes), (1, 5));
        broker.subscribed(alice, "abcde", QOS_0);
    }
}

#[test]
fn connections_from_one_address_are_bounded_in_time() {
    let mut broker = TestBroker::with(|config| {
        config.limits.connections_per_second = 1;
        config.limits.connection_burst = 2;
    });
    let from = |address: &str| PeerInfo { address: address.parse().ok(), ..PeerInfo::default() };
    for _ in 0..2 {
        let connection = broker.open_as(from("192.0.2.1:1000"));
        broker.quiet(connection);
    }
    let connection = broker.open_as(from("192.0.2.1:1001"));
    assert_eq!(broker.closed(connection), CloseCause::Refused(ReasonCode::ConnectionRateExceeded));
    let connection = broker.open_as(from("192.0.2.2:1000"));
    broker.quiet(connection);
    assert_eq!(broker.statistics().refused_connection_rate, 1);
    broker.advance(seconds(1));
    let connection = broker.open_as(from("192.0.2.1:1000"));
    broker.quiet(connection);
    let unknown: Vec<ConnectionId> = (0..5).map(|_| broker.open()).collect();
    unknown.into_iter().for_each(|connection| broker.quiet(connection));
}

#[test]
fn a_connect_that_is_larger_than_a_stranger_may_send_is_refused() {
    let connect = |more: usize| -> Connect {
        let mut connect = clean(V5, "alice");
        connect.set_username(Some(Text::new("x".repeat(more)).expect("a user name")));
        connect
    };
    let size = Packet::Connect(connect(50)).encoded_len(V5);
    let mut broker = TestBroker::with(|config| config.limits.connect_packet_size = size as u32);
    broker.join(connect(50));
    let alice = broker.open();
    assert_eq!(broker.connect(alice, connect(51)).reason, ReasonCode::PacketTooLarge);
    broker.closed(alice);
}

#[test]
fn bytes_before_connack_are_bounded() {
    let packet = publish("t", "0123456789");
    let size = Packet::Publish(packet.clone()).encoded_len(V5);
    let mut broker = TestBroker::with(|config| config.limits.pipelined_bytes = 2 * size);
    broker.authenticates = Habit::Late;
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(clean(V5, "alice")));
    for _ in 0..2 {
        broker.recv(alice, packet.clone());
        broker.quiet(alice);
    }
    broker.recv(alice, Packet::Pingreq);
    let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::QuotaExceeded);
    broker.closed(alice);
}

#[test]
fn bytes_in_flight_are_bounded_and_one_message_of_any_size_is_sent() {
    let mut broker = TestBroker::with(|config| config.limits.in_flight_bytes = 30);
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    let large = "a payload that is larger than all that may be in flight";
    for (packet_id, payload) in [(1, "0123456789"), (2, "0123456789"), (3, "0123456789"), (4, large), (5, "last")] {
        broker.recv(alice, publish_at(QOS_2, packet_id, "t", payload));
    }
    // Each takes eleven bytes with its topic: the third goes beyond the bound, and nothing follows it.
    assert_eq!(broker.payloads(bob), ["0123456789"; 3]);
    for packet_id in 1..=3 {
        broker.recv(bob, pubrec(packet_id));
        broker.expect(bob, pubrel(packet_id));
        broker.recv(bob, pubcomp(packet_id));
        let follows = broker.payloads(bob);
        assert_eq!(follows, if packet_id == 1 { vec![large] } else { vec![] }, "{packet_id}");
    }
    broker.recv(bob, pubrec(4));
    broker.next(bob);
    broker.recv(bob, pubcomp(4));
    assert_eq!(broker.payloads(bob), ["last"]);
}

#[test]
fn bytes_in_flight_are_bounded_to_the_byte() {
    for (in_flight_bytes, sent) in [(22, 2), (23, 3)] {
        let mut broker = TestBroker::with(|config| config.limits.in_flight_bytes = in_flight_bytes);
        let bob = broker.join(clean(V5, "bob"));
        broker.subscribed(bob, "t", QOS_1);
        let alice = broker.join(clean(V5, "alice"));
        for packet_id in 1..=4 {
            broker.recv(alice, publish_at(QOS_1, packet_id, "t", "0123456789"));
        }
        assert_eq!(broker.payloads(bob).len(), sent);
    }
}

#[test]
fn what_all_sessions_hold_together_is_bounded() {
    let mut broker = TestBroker::with(|config| config.limits.held_bytes = 30);
    for name in ["bob", "carol"] {
        let client = broker.join(durable(V5, name));
        broker.subscribed(client, "t", QOS_1);
        broker.drop_connection(client);
    }
    let alice = broker.join(clean(V5, "alice"));
    // Eleven bytes for each of the two, and then there is room for neither.
    for payload in ["0123456789", "9876543210"] {
        broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
    }
    let statistics = broker.statistics();
    assert_eq!((statistics.held_bytes, statistics.queued_messages, statistics.dropped_queue_full), (22, 2, 2));
    // A will counts with the messages: eight bytes are left.
    for (name, payload, taken) in [("dave", "12345678", false), ("erin", "1234567", true)] {
        for version in [V5, V3] {
            let mut connect = clean(version, name);
            connect.set_will(Some(will("w", payload)));
            let connection = broker.open();
            let reason = broker.connect(connection, connect).reason;
            let refused = if version == V5 { ReasonCode::QuotaExceeded } else { ReasonCode::ServerUnavailable };
            assert_eq!(reason, if taken { ReasonCode::Success } else { refused });
            broker.drop_connection(connection);
        }
    }
    // What is delivered and acknowledged makes room.
    let bob = broker.join(durable(V5, "bob"));
    broker.next_publish(bob);
    assert_eq!(broker.statistics().held_bytes, 22);
    broker.recv(bob, puback(1));
    assert_eq!(broker.statistics().held_bytes, 11);
}

#[test]
fn what_all_sessions_hold_is_bounded_to_the_byte() {
    for (payload, taken) in [("012345678", true), ("0123456789", false)] {
        let mut broker = TestBroker::with(|config| config.limits.held_bytes = 21);
        let bob = broker.join(durable(V5, "bob"));
        broker.subscribed(bob, "t", QOS_1);
        broker.drop_connection(bob);
        let alice = broker.join(clean(V5, "alice"));
        for payload in ["0123456789", payload] {
            broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
        }
        let statistics = broker.statistics();
        assert_eq!((statistics.queued_messages, statistics.dropped_queue_full), if taken { (2, 0) } else { (1, 1) });
    }
}

#[test]
fn retained_messages_that_are_asked_for_go_to_the_queue_within_the_bound_of_all() {
    // Eleven bytes each: one in flight, and as many ahead in the queue as all sessions may hold.
    for (held_bytes, ahead) in [(33, 2), (32, 1)] {
        let mut broker = TestBroker::with(|config| config.limits.held_bytes = held_bytes);
        let alice = broker.join(clean(V5, "alice"));
        for name in ["r/a", "r/b", "r/c", "r/d"] {
            let mut message = publish_at(QOS_1, 1, name, "01234567");
            message.retain = true;
            broker.recv(alice, message);
        }
        let mut connect = clean(V5, "bob");
        connect.push_property(Property::ReceiveMaximum(1));
        let bob = broker.join(connect);
        broker.subscribed(bob, "r/+", QOS_1);
        let mut packet_id = broker.next_publish(bob).packet_id.expect("QoS 1").value();
        broker.quiet(bob);
        assert_eq!(broker.statistics().queued_messages, ahead, "{held_bytes}");
        assert_eq!(broker.statistics().dropped_queue_full, 0);
        // What found no place waits where it is retained.
        for _ in 0..3 {
            broker.recv(bob, puback(packet_id));
            packet_id = broker.next_publish(bob).packet_id.expect("QoS 1").value();
        }
    }
}

#[test]
fn the_oldest_of_a_session_make_room_within_the_bound_of_all() {
    let mut broker = TestBroker::with(|config| {
        config.limits.held_bytes = 30;
        config.limits.queue_policy = QueuePolicy::DropOldest;
    });
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    for payload in ["0123456789", "1123456789", "2123456789", "larger than the bound of all sessions"] {
        broker.recv(alice, publish_at(QOS_1, 1, "t", payload));
    }
    // The last finds no room however many make place for it.
    assert_eq!(broker.statistics().held_bytes, 0);
    broker.recv(alice, publish_at(QOS_1, 1, "t", "3123456789"));
    assert_eq!(resumed(&mut broker), ["3123456789"]);
}

#[test]
fn a_will_takes_the_place_of_the_one_before_it() {
    let mut broker = TestBroker::with(|config| config.limits.held_bytes = 10);
    let with_will = || {
        let mut connect = durable(V5, "alice");
        connect.set_will(Some(will("w", "123456789")));
        connect
    };
    broker.join(with_will());
    broker.join(with_will());
    assert_eq!(broker.statistics().held_bytes, 10);
    let bob = broker.open();
    let mut connect = clean(V5, "bob");
    connect.set_will(Some(will("w", "")));
    assert_eq!(broker.connect(bob, connect).reason, ReasonCode::QuotaExceeded);
}
