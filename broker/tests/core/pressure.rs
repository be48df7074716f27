//! Publishers whose readers lag behind are held back for a while, and nobody who keeps up waits with them.

use squall_broker::core::effect::{ConnectionId, Input};
use squall_codec::packet::Packet;

use crate::support::*;

/// About 44 messages of `flood` are half of the soft bound.
fn broker() -> TestBroker {
    let mut broker = TestBroker::with(|config| {
        config.limits.unflushed_soft = 100_000;
        config.limits.queued_messages = 40;
    });
    broker.flushes = Habit::Late;
    broker
}

/// Everything that waits leaves.
fn flush(broker: &mut TestBroker, connection: ConnectionId) {
    let bytes = broker.unflushed(connection).expect("an open connection");
    broker.input(Input::Flushed { connection, bytes });
}

/// Publishes until `alice` is held back: how many messages that took. At most `count`.
fn flood(broker: &mut TestBroker, alice: ConnectionId, topic: &str, count: usize) -> usize {
    for index in 0..count {
        if broker.held_back.contains(&alice) {
            return index;
        }
        broker.recv(alice, publish(topic, &"x".repeat(1000)));
    }
    count
}

#[test]
fn a_publisher_whose_reader_lags_is_held_back_until_it_has_caught_up_and_nothing_is_lost() {
    let mut broker = broker();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    let (mut sent, mut got) = (0, 0);
    for round in 1..=10 {
        let count = flood(&mut broker, alice, "t", 1000);
        assert!((20..100).contains(&count), "round {round}: {count}");
        assert_eq!(broker.statistics().publisher_pauses, round);
        sent += count;
        // The half that leaves first is not enough.
        let waiting = broker.unflushed(bob).expect("open");
        broker.input(Input::Flushed { connection: bob, bytes: waiting / 4 });
        assert!(broker.held_back.contains(&alice));
        broker.input(Input::Flushed { connection: bob, bytes: waiting / 2 });
        assert!(broker.held_back.is_empty());
        got += broker.payloads(bob).len();
    }
    assert_eq!(got, sent);
    assert_eq!(broker.statistics().dropped(), 0);
}

#[test]
fn a_reader_that_does_not_catch_up_in_time_is_waited_for_no_longer() {
    let mut broker = broker();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    flood(&mut broker, alice, "t", 1000);
    assert_eq!(broker.deadline(), Some(broker.now() + seconds(1)));
    broker.advance(seconds(1));
    assert!(broker.held_back.is_empty());
    // From here its bound holds.
    assert_eq!(flood(&mut broker, alice, "t", 500), 500);
    assert!(broker.unflushed(bob).expect("open") <= 101_000);
    assert!(broker.statistics().dropped_slow_reader > 400);
    // It catches up, and is worth waiting for again.
    flush(&mut broker, bob);
    assert!(flood(&mut broker, alice, "t", 500) < 100);
    assert_eq!(broker.statistics().publisher_pauses, 2);
}

#[test]
fn nobody_who_keeps_up_waits_for_one_who_does_not() {
    let mut broker = broker();
    let alice = broker.join(clean(V5, "alice"));
    let (quick, stuck) = (broker.join(clean(V5, "quick")), broker.join(clean(V5, "stuck")));
    broker.subscribed(quick, "t", QOS_0);
    broker.subscribed(stuck, "t", QOS_0);
    for _ in 0..500 {
        broker.recv(alice, publish("t", &"x".repeat(1000)));
        flush(&mut broker, quick);
        assert!(broker.held_back.is_empty());
    }
    assert_eq!(broker.payloads(quick).len(), 500);
    assert_eq!(broker.statistics().dropped_slow_reader, 500 - broker.payloads(stuck).len() as u64);
}

#[test]
fn a_publisher_who_also_serves_a_reader_that_keeps_up_is_not_held_back() {
    let mut broker = broker();
    let alice = broker.join(clean(V5, "alice"));
    let (quick, stuck) = (broker.join(clean(V5, "quick")), broker.join(clean(V5, "stuck")));
    broker.subscribed(quick, "quick", QOS_0);
    broker.subscribed(stuck, "stuck", QOS_0);
    for round in 0..500 {
        broker.recv(alice, publish(if round % 8 == 0 { "quick" } else { "stuck" }, &"x".repeat(1000)));
        flush(&mut broker, quick);
        assert!(broker.held_back.is_empty());
    }
}

#[test]
fn it_goes_on_when_all_its_readers_have_caught_up_or_left() {
    let mut broker = broker();
    let alice = broker.join(clean(V5, "alice"));
    let readers = ["bob", "carol", "dave"].map(|name| broker.join(clean(V5, name)));
    for reader in readers {
        broker.subscribed(reader, "t", QOS_0);
    }
    flood(&mut broker, alice, "t", 1000);
    let [bob, carol, dave] = readers;
    flush(&mut broker, bob);
    broker.drop_connection(carol);
    assert!(broker.held_back.contains(&alice));
    flush(&mut broker, dave);
    assert!(broker.held_back.is_empty());
    assert_eq!(broker.deadline(), None, "nobody is waited for");
}

#[test]
fn a_publisher_that_leaves_while_it_is_held_back_is_forgotten() {
    let mut broker = broker();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    flood(&mut broker, alice, "t", 1000);
    broker.drop_connection(alice);
    flush(&mut broker, bob);
    broker.recv(bob, Packet::Pingreq);
    assert_eq!(broker.held_back.len(), 1, "nothing was said of a connection that is gone");
}

#[test]
fn while_it_is_held_back_its_silence_is_no_sign_of_death() {
    let mut broker = broker();
    let mut connect = clean(V5, "alice");
    connect.keep_alive = 1;
    let (alice, bob) = (broker.join(connect), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    broker.advance(std::time::Duration::from_millis(1_400));
    flood(&mut broker, alice, "t", 1000);
    broker.advance(std::time::Duration::from_millis(900));
    flush(&mut broker, bob);
    // What was said meanwhile is heard only now.
    broker.advance(std::time::Duration::from_millis(1_400));
    broker.recv(alice, Packet::Pingreq);
    broker.expect(alice, Packet::Pingresp);
    assert!(broker.unflushed(alice).is_some());
}

#[test]
fn a_session_whose_queue_fills_up_holds_its_publisher_back_too() {
    let mut broker = broker();
    let mut connect = clean(V5, "bob");
    connect.push_property(squall_codec::property::Property::ReceiveMaximum(1));
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(connect));
    broker.subscribed(bob, "t", QOS_1);
    let (mut sent, mut got) = (0_u16, 0);
    while got < 500 {
        if !broker.held_back.contains(&alice) {
            sent += 1;
            broker.recv(alice, publish_at(QOS_1, sent, "t", "hello"));
            flush(&mut broker, alice);
            continue;
        }
        let Packet::Publish(publish) = broker.next(bob) else { panic!("no PUBLISH") };
        got += 1;
        flush(&mut broker, bob);
        broker.recv(bob, puback(publish.packet_id.expect("an identifier").value()));
    }
    assert_eq!(broker.statistics().dropped(), 0);
    assert!(broker.statistics().publisher_pauses > 10);
}

#[test]
fn without_patience_nobody_is_held_back() {
    let mut broker = TestBroker::with(|config| {
        config.limits.unflushed_soft = 100_000;
        config.limits.publisher_patience = std::time::Duration::ZERO;
    });
    broker.flushes = Habit::Late;
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    assert_eq!(flood(&mut broker, alice, "t", 500), 500);
}
