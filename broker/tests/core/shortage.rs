//! A store that cannot keep anything: who asks for it is told, nothing is promised, everybody else is served, and with room
//! all is as before.

use squall_broker::core::effect::{CloseCause, ConnectionId, Input};
use squall_codec::{
    packet::{Ack, Connect, Packet},
    reason::ReasonCode,
    version::Version,
};

use crate::support::*;

/// What those are told who want to know.
const NO_ROOM: &str = "the server cannot keep anything now";

fn fail(broker: &mut TestBroker) {
    broker.stores = Habit::Late;
    let seq = broker.records.last().map_or(0, |(seq, _)| *seq);
    broker.input(Input::PersistFailed { seq, reason: "disk full".to_owned() });
}

fn recover(broker: &mut TestBroker) {
    broker.stores = Habit::Prompt;
    let up_to = broker.records.last().map_or(0, |(seq, _)| *seq);
    broker.input(Input::Persisted { up_to });
}

/// A CONNECT whose records the store turns out to be unable to keep: CONNACK says no, and the connection is closed.
fn refused_in_the_end(broker: &mut TestBroker, connect: Connect) {
    broker.stores = Habit::Late;
    let connection = broker.open();
    broker.recv(connection, Packet::Connect(connect));
    fail(broker);
    assert!(matches!(broker.next(connection), Packet::Connack(connack) if connack.reason.is_failure()));
    assert_eq!(broker.closed(connection), CloseCause::StoreFailed);
}

/// A kept session `bob` that subscribes to `t`, a clean one, `alice`, and a store that fails.
fn short() -> (TestBroker, ConnectionId, ConnectionId) {
    let (mut broker, alice, bob) = late();
    // Something that waits: the will of one who goes.
    let mut connect = clean(V5, "carol");
    connect.set_will(Some(will("nobody", "x")));
    let carol = broker.open();
    broker.recv(carol, Packet::Connect(connect));
    fail(&mut broker);
    assert!(matches!(broker.next(carol), Packet::Connack(connack) if connack.reason == ReasonCode::QuotaExceeded));
    assert_eq!(broker.closed(carol), CloseCause::StoreFailed);
    (broker, alice, bob)
}

fn refused(ack: impl Fn(Ack) -> Packet, broker: &mut TestBroker, connection: ConnectionId, packet_id: u16) {
    match broker.next(connection) {
        Packet::Puback(given) | Packet::Pubrec(given) => {
            assert_eq!(given.reason, ReasonCode::QuotaExceeded);
            assert_eq!(given.properties.reason_string().map(|text| text.as_str()), Some(NO_ROOM));
            let expected = ack(Ack::with_reason(id(packet_id), ReasonCode::QuotaExceeded));
            assert_eq!(std::mem::discriminant(&expected), std::mem::discriminant(&ack(given)));
        }
        other => panic!("unexpected {other:?}"),
    }
}

fn connect(broker: &mut TestBroker, connect: Connect) -> ReasonCode {
    let connection = broker.open();
    broker.connect(connection, connect).reason
}

#[test]
fn a_message_that_would_have_to_be_kept_is_refused_and_one_that_would_not_is_taken() {
    let (mut broker, alice, bob) = short();
    let records = broker.records.len();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "for bob"));
    refused(Packet::Puback, &mut broker, alice, 1);
    broker.recv(alice, publish_at(QOS_2, 2, "t", "for bob"));
    refused(Packet::Pubrec, &mut broker, alice, 2);
    let mut kept = publish_at(QOS_1, 3, "r", "to be retained");
    kept.retain = true;
    broker.recv(alice, kept);
    refused(Packet::Puback, &mut broker, alice, 3);
    assert_eq!(broker.records.len(), records, "nothing has changed");
    broker.quiet(bob);
    broker.recv(alice, publish_at(QOS_1, 4, "nobody", "x"));
    broker.expect(alice, nobody(Packet::Puback, 4));
    // QoS 0 goes on, from both and to both.
    broker.recv(alice, publish("t", "now"));
    assert_eq!(broker.payloads(bob), ["now"]);
    broker.subscribed(alice, "a", QOS_2);
    broker.recv(bob, publish("a", "back"));
    assert_eq!(broker.payloads(alice), ["back"]);
    // QoS 1 and 2 between sessions that are not kept do too.
    broker.recv(alice, publish_at(QOS_2, 5, "a", "to myself"));
    assert_eq!(broker.payloads_before(alice, pubrec(5)), ["to myself"]);
}

#[test]
fn before_5_0_the_connection_is_closed_where_no_acknowledgement_could_say_no() {
    let (mut broker, _, bob) = short();
    let dave = broker.join(clean(V3, "dave"));
    broker.recv(dave, publish_at(QOS_1, 1, "t", "for bob"));
    assert_eq!(broker.closed(dave), CloseCause::StoreFailed);
    broker.quiet(bob);
}

#[test]
fn only_what_need_not_be_kept_may_connect() {
    let (mut broker, _, bob) = short();
    assert_eq!(connect(&mut broker, durable(V5, "new")), ReasonCode::QuotaExceeded);
    assert_eq!(connect(&mut broker, clean(V5, "bob")), ReasonCode::QuotaExceeded, "bob's session would have to end");
    broker.quiet(bob);
    assert_eq!(connect(&mut broker, durable(V3, "new")).connack_return_code(), Some(3));
    for version in [Version::V3_1_1, Version::V5_0] {
        assert_eq!(connect(&mut broker, clean(version, "passing")), ReasonCode::Success);
    }
}

#[test]
fn nobody_is_told_that_a_session_is_gone_which_the_store_still_has() {
    let (mut broker, _, bob) = short();
    broker.leave_for_good(bob);
    for version in [Version::V3_1_1, Version::V5_0] {
        assert!(connect(&mut broker, clean(version, "bob")).is_failure());
    }
    recover(&mut broker);
    assert_eq!(connect(&mut broker, clean(V5, "bob")), ReasonCode::Success);
}

#[test]
fn a_session_of_which_nobody_was_told_is_not_there() {
    for version in [Version::V3_1_1, Version::V5_0] {
        let mut broker = TestBroker::new();
        refused_in_the_end(&mut broker, durable(version, "carol"));
        recover(&mut broker);
        // [MQTT-3.2.2-4] A client that has none would have to go.
        let carol = broker.open();
        assert!(!broker.connect(carol, durable(version, "carol")).session_present);
    }
}

#[test]
fn a_session_that_was_there_before_is_there_after_a_refusal() {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5_0] {
        let mut broker = TestBroker::new();
        let bob = broker.join(durable(version, "bob"));
        broker.subscribed(bob, "t", QOS_1);
        broker.drop_connection(bob);
        refused_in_the_end(&mut broker, durable(version, "bob"));
        recover(&mut broker);
        let bob = broker.join(durable(version, "bob"));
        let alice = broker.join(clean(V5, "alice"));
        broker.recv(alice, publish("t", "still subscribed"));
        assert_eq!(broker.payloads(bob), ["still subscribed"]);
    }
}

#[test]
fn a_kept_session_cannot_subscribe_or_unsubscribe_and_is_told() {
    let (mut broker, alice, bob) = short();
    assert_eq!(broker.subscribe(bob, subscribe(1, "x", QOS_1)), [ReasonCode::QuotaExceeded]);
    broker.subscribed(alice, "x", QOS_1);
    broker.recv(bob, unsubscribe(2, "t"));
    assert_eq!(broker.disconnected(bob, ReasonCode::QuotaExceeded), CloseCause::StoreFailed);
    recover(&mut broker);
    let bob = broker.join(durable(V5, "bob"));
    broker.recv(alice, publish("t", "still subscribed"));
    assert_eq!(broker.payloads(bob), ["still subscribed"]);
}

#[test]
fn a_will_is_heard_at_once_by_those_who_need_no_store() {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "will", QOS_2);
    let mut connections = Vec::new();
    for client_id in ["before", "after"] {
        let mut connect = clean(V5, client_id);
        connect.set_will(Some(will("will", client_id)));
        connections.push(broker.join(connect));
    }
    broker.stores = Habit::Late;
    broker.drop_connection(connections[0]);
    broker.quiet(watcher);
    fail(&mut broker);
    assert_eq!(broker.payloads(watcher), ["before"]);
    broker.drop_connection(connections[1]);
    assert_eq!(broker.payloads(watcher), ["after"]);
}

#[test]
fn the_will_of_who_is_not_let_in_after_all_is_forgotten() {
    for version in [Version::V3_1_1, Version::V5_0] {
        let mut broker = TestBroker::new();
        let watcher = broker.join(durable(V5, "watcher"));
        broker.subscribed(watcher, "will", QOS_1);
        let mut connect = clean(version, "carol");
        connect.set_will(Some(will("will", "x")));
        refused_in_the_end(&mut broker, connect);
        broker.quiet(watcher);
        recover(&mut broker);
        broker.quiet(watcher);
        // Nor does the store know of it.
        let mut broker = broker.restart(seconds(1));
        let watcher = broker.join(durable(V5, "watcher"));
        broker.quiet(watcher);
    }
}

#[test]
fn with_room_again_everything_that_happened_is_kept_and_everything_is_possible() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "one"));
    broker.recv(alice, publish_at(QOS_2, 2, "t", "two"));
    broker.received(alice);
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(text(&broker.next_publish(bob)), "one");
    broker.received(bob);
    broker.stores = Habit::Late;
    broker.recv(bob, puback(1));
    fail(&mut broker);
    broker.recv(alice, publish_at(QOS_1, 3, "t", "refused"));
    refused(Packet::Puback, &mut broker, alice, 3);
    broker.recv(bob, Packet::Pingreq);
    broker.expect(bob, Packet::Pingresp);
    recover(&mut broker);
    broker.recv(alice, publish_at(QOS_1, 4, "t", "three"));
    broker.expect(alice, puback(4));
    assert_eq!(broker.payloads(bob), ["three"]);
    // Memory and store agree: the acknowledgement of the bad time is known after a crash.
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["two", "three"]);
}

#[test]
fn a_qos_2_message_waits_in_the_queue_and_holds_up_nothing_else() {
    let mut broker = TestBroker::new();
    let mut request = durable(V5, "bob");
    request.push_property(squall_codec::property::Property::ReceiveMaximum(1));
    let bob = broker.join(request);
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "one"));
    broker.recv(alice, publish_at(QOS_2, 2, "t", "two"));
    let first = broker.next_publish(bob).packet_id.expect("QoS 1").value();
    broker.stores = Habit::Late;
    broker.recv(bob, publish("nobody", ""));
    broker.recv(bob, subscribe(9, "x", QOS_0));
    fail(&mut broker);
    assert_eq!(broker.disconnected(bob, ReasonCode::QuotaExceeded), CloseCause::StoreFailed);
    recover(&mut broker);
    let mut request = durable(V5, "bob");
    request.push_property(squall_codec::property::Property::ReceiveMaximum(1));
    let bob = broker.join(request);
    broker.received(bob);
    broker.stores = Habit::Late;
    let mut connect = clean(V5, "carol");
    connect.set_will(Some(will("nobody", "x")));
    let carol = broker.open();
    broker.recv(carol, Packet::Connect(connect));
    fail(&mut broker);
    broker.recv(bob, puback(first));
    broker.recv(bob, Packet::Pingreq);
    broker.expect(bob, Packet::Pingresp);
    broker.quiet(bob);
    recover(&mut broker);
    assert_eq!(broker.payloads(bob), ["two"]);
}

#[test]
fn a_ping_does_not_wait_behind_a_message_that_waits_for_the_store() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_2, 1, "t", "two"));
    broker.recv(bob, Packet::Pingreq);
    broker.quiet(bob);
    fail(&mut broker);
    for _ in 0..2 {
        broker.expect(bob, Packet::Pingresp);
        broker.quiet(bob);
        broker.recv(bob, Packet::Pingreq);
    }
    broker.expect(bob, Packet::Pingresp);
    recover(&mut broker);
    assert_eq!(broker.payloads(bob), ["two"]);
    assert_eq!(broker.unflushed(bob), Some(0));
}

#[test]
fn what_is_left_of_the_expiry_is_less_after_a_shortage() {
    let (mut broker, alice, bob) = late();
    let mut message = publish_at(QOS_2, 1, "t", "two");
    message.message_expiry_interval = Some(60);
    broker.recv(alice, message);
    fail(&mut broker);
    broker.advance(seconds(10));
    recover(&mut broker);
    assert_eq!(broker.next_publish(bob).message_expiry_interval, Some(50));
}

#[test]
fn a_member_of_a_share_for_whom_a_message_waits_is_passed_over_though_its_quota_is_free() {
    let mut broker = TestBroker::new();
    let mut request = durable(V5, "bob");
    request.push_property(squall_codec::property::Property::ReceiveMaximum(1));
    let bob = broker.join(request);
    broker.subscribed(bob, "q", QOS_2);
    let other = broker.join(clean(V5, "other"));
    for member in [bob, other] {
        broker.subscribed(member, "$share/g/t", QOS_0);
    }
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "q", "one"));
    broker.recv(alice, publish_at(QOS_2, 2, "q", "two"));
    assert_eq!(broker.payloads(bob), ["one"]);
    broker.stores = Habit::Late;
    broker.recv(bob, puback(1));
    fail(&mut broker);
    broker.quiet(bob);
    for payload in ["1", "2"] {
        broker.recv(alice, publish("t", payload));
    }
    assert_eq!(broker.payloads(other), ["1", "2"]);
}
