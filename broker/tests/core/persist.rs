//! The store that answers late: what a crash could contradict waits for it, and the rest keeps its order.

use squall_broker::core::effect::{CloseCause, Input, Record};
use squall_codec::{
    packet::{Ack, Packet},
    property::Property,
    reason::ReasonCode,
};

use crate::support::*;

fn keep_all(broker: &mut TestBroker) {
    let up_to = broker.records.last().map_or(0, |(seq, _)| *seq);
    broker.input(Input::Persisted { up_to });
}

#[test]
fn connack_of_a_kept_session_waits_and_one_of_a_clean_session_does_not() {
    let mut broker = TestBroker::new();
    broker.stores = Habit::Late;
    broker.join(clean(V5, "alice"));
    let bob = broker.open();
    broker.recv(bob, Packet::Connect(durable(V5, "bob")));
    broker.recv(bob, Packet::Pingreq);
    broker.quiet(bob);
    keep_all(&mut broker);
    assert!(matches!(broker.next(bob), Packet::Connack(_)));
    broker.expect(bob, Packet::Pingresp);
}

#[test]
fn connack_of_a_clean_session_waits_until_the_one_before_has_ended_in_the_store_too() {
    let (mut broker, _, bob) = late();
    broker.leave_for_good(bob);
    let bob = broker.open();
    broker.recv(bob, Packet::Connect(clean(V5, "bob")));
    broker.quiet(bob);
    keep_all(&mut broker);
    assert!(matches!(broker.next(bob), Packet::Connack(connack) if !connack.session_present));
    // From then on nothing waits.
    broker.drop_connection(bob);
    broker.join(clean(V5, "bob"));
}

#[test]
fn puback_waits_until_the_message_is_kept_for_its_receiver() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "hi"));
    broker.quiet(alice);
    // Its PUBLISH may leave: sent twice is allowed at QoS 1.
    assert_eq!(broker.payloads(bob), ["hi"]);
    broker.recv(alice, Packet::Pingreq);
    broker.quiet(alice);
    keep_all(&mut broker);
    broker.expect(alice, puback(1));
    broker.expect(alice, Packet::Pingresp);
    broker.recv(alice, publish_at(QOS_1, 2, "nobody", "nothing to keep"));
    broker.expect(alice, nobody(Packet::Puback, 2));
}

#[test]
fn a_qos_2_publish_waits_and_so_does_each_step_after_it() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_2, 1, "t", "once"));
    broker.quiet(bob);
    broker.quiet(alice);
    keep_all(&mut broker);
    broker.expect(alice, pubrec(1));
    let packet_id = broker.next_publish(bob).packet_id.expect("QoS 2").value();
    broker.recv(bob, pubrec(packet_id));
    broker.quiet(bob);
    keep_all(&mut broker);
    broker.expect(bob, pubrel(packet_id));
    broker.recv(bob, pubcomp(packet_id));
    assert!(matches!(broker.records.last(), Some((_, Record::Settled { .. }))));
    // The other way: PUBREC and PUBCOMP to a client whose session is kept.
    broker.recv(bob, publish_at(QOS_2, 9, "nobody", ""));
    broker.quiet(bob);
    keep_all(&mut broker);
    broker.expect(bob, nobody(Packet::Pubrec, 9));
    broker.recv(bob, pubrel(9));
    broker.quiet(bob);
    keep_all(&mut broker);
    broker.expect(bob, pubcomp(9));
}

#[test]
fn suback_and_unsuback_of_a_kept_session_wait() {
    let (mut broker, _, bob) = late();
    broker.recv(bob, subscribe(1, "x", QOS_0));
    broker.recv(bob, unsubscribe(2, "x"));
    broker.quiet(bob);
    keep_all(&mut broker);
    assert!(matches!(broker.next(bob), Packet::Suback(_)));
    assert!(matches!(broker.next(bob), Packet::Unsuback(_)));
}

#[test]
fn only_what_is_kept_is_let_go() {
    let (mut broker, alice, _) = late();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "one"));
    let first = broker.records.last().expect("records").0;
    broker.recv(alice, publish_at(QOS_1, 2, "t", "two"));
    broker.input(Input::Persisted { up_to: first });
    broker.expect(alice, puback(1));
    broker.quiet(alice);
    keep_all(&mut broker);
    broker.expect(alice, puback(2));
}

#[test]
fn an_answer_of_the_store_for_what_it_never_got_lets_nothing_go() {
    let (mut broker, alice, _) = late();
    broker.input(Input::Persisted { up_to: u64::MAX });
    broker.recv(alice, publish_at(QOS_1, 1, "t", "one"));
    broker.quiet(alice);
}

#[test]
fn what_waits_counts_against_the_bounds_of_its_connection() {
    let (mut broker, _, bob) = late();
    broker.recv(bob, subscribe(1, "x", QOS_0));
    assert!(broker.unflushed(bob).expect("open") > 0);
    keep_all(&mut broker);
    assert_eq!(broker.unflushed(bob), Some(0));
}

#[test]
fn who_waited_for_a_store_that_failed_is_closed_and_nobody_else() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "lost"));
    broker.payloads(bob);
    let seq = broker.records.last().expect("records").0;
    broker.input(Input::PersistFailed { seq, reason: "disk full".to_owned() });
    assert_eq!(broker.disconnected(alice, ReasonCode::QuotaExceeded), CloseCause::StoreFailed);
    broker.quiet(bob);
}

#[test]
fn a_connection_that_ends_while_it_waits_is_owed_nothing_more() {
    let (mut broker, alice, _) = late();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "hi"));
    broker.recv_bytes(alice, &[0x00, 0x00]);
    broker.disconnected(alice, ReasonCode::MalformedPacket);
    keep_all(&mut broker);
    broker.closed(alice);
    // Before CONNACK has left no DISCONNECT does.
    let carol = broker.open();
    broker.recv(carol, Packet::Connect(durable(V5, "carol")));
    broker.recv_bytes(carol, &[0x00, 0x00]);
    broker.closed(carol);
}

#[test]
fn clean_sessions_leave_no_records_but_retained_messages() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.subscribed(alice, "#", QOS_2);
    for qos in [QOS_1, QOS_2] {
        broker.recv(alice, publish_at(qos, 1, "t", "hi"));
    }
    broker.drop_connection(alice);
    assert!(broker.records.is_empty(), "{:?}", broker.records);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, retained("t", "kept"));
    broker.recv(alice, retained("t", ""));
    let payloads: Vec<Option<usize>> = broker
        .records
        .iter()
        .map(|(_, record)| match record {
            Record::Retained { message, .. } => Some(message.payload().len()),
            Record::RetainedCleared { .. } => None,
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(payloads, [Some(4), None]);
}

#[test]
fn the_records_of_a_kept_session_tell_its_whole_life() {
    let mut broker = TestBroker::new();
    let bob = broker.join(expiring(V5, "bob", 60));
    broker.subscribed(bob, "t", QOS_1);
    broker.recv(bob, publish_at(QOS_1, 1, "t", "to myself"));
    let packet_id = broker.next_publish(bob).packet_id.expect("QoS 1");
    broker.recv(bob, puback(packet_id.value()));
    broker.drop_connection(bob);
    broker.advance(seconds(60));
    let names: Vec<String> = broker
        .records
        .iter()
        .map(|(_, record)| format!("{record:?}").split([' ', '{']).next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["Session", "Subscribed", "Queued", "Sent", "Settled", "Session", "SessionEnded"]);
}

#[test]
fn a_will_leaves_when_it_is_kept_that_it_was_published_and_shutdown_waits_for_that() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "will", QOS_0);
    for client_id in ["alice", "carol"] {
        let mut connect = clean(V5, client_id);
        connect.set_will(Some(will("will", client_id)));
        let connection = broker.join(connect);
        broker.stores = Habit::Late;
        match client_id {
            "alice" => broker.drop_connection(connection),
            _ => broker.input(Input::Shutdown),
        }
        broker.quiet(bob);
        keep_all(&mut broker);
        broker.expect(bob, publish("will", client_id));
        broker.stores = Habit::Prompt;
    }
    assert_eq!(broker.disconnected(bob, ReasonCode::ServerShuttingDown), CloseCause::ShuttingDown);
}

#[test]
fn connack_waits_until_the_will_is_kept() {
    let mut broker = TestBroker::new();
    broker.stores = Habit::Late;
    let alice = broker.open();
    let mut connect = clean(V5, "alice");
    connect.set_will(Some(will("will", "gone")));
    broker.recv(alice, Packet::Connect(connect));
    broker.quiet(alice);
    keep_all(&mut broker);
    assert!(matches!(broker.next(alice), Packet::Connack(_)));
}

#[test]
fn a_qos_2_message_reaches_nobody_before_its_identifier_is_kept() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "t", QOS_0);
    let alice = broker.join(durable(V5, "alice"));
    broker.stores = Habit::Late;
    broker.recv(alice, publish_at(QOS_2, 1, "t", "once"));
    broker.quiet(bob);
    keep_all(&mut broker);
    assert_eq!(broker.payloads(bob), ["once"]);
    broker.expect(alice, pubrec(1));
    // A QoS 0 message waits for nothing.
    broker.recv(alice, publish("t", "now"));
    assert_eq!(broker.payloads(bob), ["now"]);
}

#[test]
fn a_qos_2_message_whose_turn_comes_later_still_waits_until_its_identifier_is_kept() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(1));
    let bob = broker.join(connect);
    broker.subscribed(bob, "t", QOS_1);
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "first"));
    let first = broker.next_publish(bob).packet_id.expect("QoS 1").value();
    broker.stores = Habit::Late;
    broker.recv(alice, publish_at(QOS_2, 2, "t", "once"));
    // It has begun in the session before it may leave.
    broker.recv(bob, puback(first));
    broker.quiet(bob);
    keep_all(&mut broker);
    assert_eq!(broker.payloads(bob), ["once"]);
}

#[test]
fn who_clears_what_another_has_just_cleared_waits_for_the_same_record() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    let bob = broker.join(clean(V5, "bob"));
    broker.recv(alice, retained("t", "kept"));
    broker.stores = Habit::Late;
    broker.recv(alice, retained("t", ""));
    let mut clear = publish_at(QOS_1, 1, "t", "");
    clear.retain = true;
    broker.recv(bob, clear);
    broker.quiet(bob);
    keep_all(&mut broker);
    broker.expect(bob, nobody(Packet::Puback, 1));
}

#[test]
fn what_expires_in_the_queue_of_a_kept_session_is_dropped_from_the_store_too() {
    for (connect, dropped) in [(durable(V5, "bob"), 1), (clean(V5, "bob"), 0)] {
        let mut broker = TestBroker::new();
        let mut connect = connect;
        connect.push_property(Property::ReceiveMaximum(1));
        let bob = broker.join(connect);
        broker.subscribed(bob, "t", QOS_1);
        let alice = broker.join(clean(V5, "alice"));
        broker.recv(alice, publish_at(QOS_1, 1, "t", "first"));
        let mut short = publish_at(QOS_1, 2, "t", "lived");
        short.message_expiry_interval = Some(1);
        broker.recv(alice, short);
        broker.advance(seconds(2));
        let packet_id = broker.next_publish(bob).packet_id.expect("QoS 1").value();
        broker.recv(bob, puback(packet_id));
        broker.quiet(bob);
        let records = broker.records.iter().filter(|(_, record)| matches!(record, Record::Dropped { .. }));
        assert_eq!(records.count(), dropped);
    }
}

#[test]
fn a_message_that_never_left_is_sent_without_dup_on_the_next_connection_and_with_dup_on_the_one_after_it() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_2, 1, "t", "held"));
    broker.quiet(bob);
    broker.drop_connection(bob);
    keep_all(&mut broker);
    // Held a second time, behind CONNACK.
    let bob = broker.open();
    broker.recv(bob, Packet::Connect(durable(V5, "bob")));
    broker.quiet(bob);
    broker.drop_connection(bob);
    keep_all(&mut broker);
    broker.stores = Habit::Prompt;
    for dup in [false, true, true] {
        let bob = broker.join(durable(V5, "bob"));
        let publish = broker.next_publish(bob);
        assert_eq!((text(&publish).as_str(), publish.dup), ("held", dup));
        broker.drop_connection(bob);
    }
}

#[test]
fn an_identifier_that_is_used_again_forgets_that_its_message_before_had_never_left() {
    let (mut broker, alice, bob) = late();
    broker.recv(alice, publish_at(QOS_2, 1, "t", "held"));
    broker.drop_connection(bob);
    keep_all(&mut broker);
    broker.stores = Habit::Prompt;
    // It is refused, and the identifier is free.
    let bob = broker.join(durable(V5, "bob"));
    let packet_id = broker.next_publish(bob).packet_id.expect("QoS 2").value();
    broker.recv(bob, Packet::Pubrec(Ack::with_reason(id(packet_id), ReasonCode::UnspecifiedError)));
    for number in 0..3_u16 {
        broker.recv(alice, publish_at(QOS_1, 7 + number, "t", "next"));
        let again = broker.next_publish(bob);
        assert!(!again.dup);
    }
    broker.drop_connection(bob);
    let bob = broker.join(durable(V5, "bob"));
    assert!((0..3).all(|_| broker.next_publish(bob).dup));
}

#[test]
fn a_message_that_never_left_and_has_expired_is_not_sent_any_more() {
    let (mut broker, alice, bob) = late();
    let mut message = publish_at(QOS_2, 1, "t", "short");
    message.message_expiry_interval = Some(2);
    broker.recv(alice, message);
    broker.drop_connection(bob);
    keep_all(&mut broker);
    broker.stores = Habit::Prompt;
    broker.advance(seconds(2));
    let bob = broker.join(durable(V5, "bob"));
    broker.quiet(bob);
    assert_eq!((broker.statistics().dropped_expired, broker.statistics().in_flight), (1, 0));
    broker.recv(alice, publish_at(QOS_2, 2, "t", "next"));
    assert_eq!(text(&broker.next_publish(bob)), "next");
}
