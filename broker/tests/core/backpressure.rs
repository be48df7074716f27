//! Clients that read slowly or not at all: memory stays within the bounds, and nobody else waits.

use squall_broker::core::effect::{CloseCause, ConnectionId, Input};
use squall_codec::packet::Packet;

use crate::support::*;

fn slow() -> TestBroker {
    let mut broker = TestBroker::with(|config| {
        config.limits.unflushed_soft = 2000;
        config.limits.unflushed_hard = 13_000;
        config.limits.maximum_packet_size = 500;
        config.limits.queued_messages = 10;
    });
    broker.flushes = Habit::Late;
    broker
}

fn flush(broker: &mut TestBroker, connection: ConnectionId) {
    let bytes = broker.unflushed(connection).expect("an open connection");
    broker.input(Input::Flushed { connection, bytes });
}

#[test]
fn qos_0_messages_beyond_the_soft_bound_are_dropped() {
    let mut broker = slow();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    for _ in 0..100 {
        broker.recv(alice, publish("t", &"x".repeat(100)));
    }
    let unflushed = broker.unflushed(bob).expect("open");
    assert!((800..1200).contains(&unflushed), "{unflushed}");
    let count = broker.payloads(bob).len() as u64;
    assert_eq!(broker.statistics().dropped_slow_reader, 100 - count);
    flush(&mut broker, bob);
    broker.recv(alice, publish("t", "flows again"));
    assert_eq!(broker.payloads(bob), ["flows again"]);
}

#[test]
fn qos_1_messages_wait_in_the_queue_and_follow_when_there_is_room() {
    let mut broker = slow();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_1);
    for packet_id in 1..=30 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &format!("{packet_id:0100}")));
        broker.next(alice);
        flush(&mut broker, alice);
    }
    let mut got = broker.payloads(bob).len();
    assert!(broker.unflushed(bob).expect("open") < 1200);
    assert_eq!(broker.statistics().queued_messages, 10, "the queue has its own bound");
    assert_eq!(broker.statistics().dropped_queue_full, 30 - 10 - got as u64);
    while broker.statistics().queued_messages > 0 {
        flush(&mut broker, bob);
        got += broker.payloads(bob).len();
    }
    assert_eq!(got as u64, 30 - broker.statistics().dropped_queue_full);
}

#[test]
fn answers_beyond_the_hard_bound_close_the_connection() {
    let mut broker = slow();
    let alice = broker.join(clean(V5, "alice"));
    let mut pings = 0;
    while broker.unflushed(alice).is_some() {
        broker.recv(alice, Packet::Pingreq);
        pings += 1;
        assert!(pings < 10_000, "never closed");
    }
    for _ in 1..pings {
        broker.expect(alice, Packet::Pingresp);
    }
    assert_eq!(broker.closed(alice), CloseCause::SlowReader);
    assert!((90..110).contains(&pings), "{pings}: each of the two bytes stands for some memory");
}

#[test]
fn retained_messages_wait_for_a_slow_subscriber_also_at_qos_0() {
    let mut broker = slow();
    let alice = broker.join(clean(V5, "alice"));
    for index in 0..8 {
        broker.recv(alice, retained(&format!("t/{index}"), &"x".repeat(300)));
    }
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "t/#", QOS_0);
    let mut got = broker.payloads(bob).len();
    assert!(got < 8);
    while got < 8 {
        flush(&mut broker, bob);
        got += broker.payloads(bob).len();
    }
    assert_eq!(broker.statistics().dropped_queue_full, 0);
}

#[test]
fn a_stuck_subscriber_does_not_keep_others_waiting() {
    let mut broker = slow();
    let (alice, stuck, bob) =
        (broker.join(clean(V5, "alice")), broker.join(clean(V5, "stuck")), broker.join(clean(V5, "bob")));
    broker.subscribed(stuck, "t", QOS_0);
    broker.subscribed(bob, "t", QOS_0);
    for index in 0..100 {
        broker.recv(alice, publish("t", &format!("{index:0100}")));
        flush(&mut broker, bob);
    }
    assert_eq!(broker.payloads(bob).len(), 100);
}
