//! A server that dies and comes back with the records of its store: nothing is lost, nothing is done twice, and the
//! clocks have gone on.

use squall_broker::core::{
    HashKey,
    broker::Broker,
    config::Config,
    effect::{ConnectionId, Record},
    restore::RestoreError,
};
use squall_codec::{
    packet::{Disconnect, Packet, Publish},
    property::Property,
    reason::ReasonCode,
    time::Now,
    wire::Text,
};

use crate::support::*;

/// A broker with a kept session `bob` that subscribes to `t` and is away, and a clean one, `alice`.
fn bob_is_away() -> (TestBroker, ConnectionId) {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    (broker, alice)
}

fn session_present(broker: &mut TestBroker, connect: squall_codec::packet::Connect) -> (ConnectionId, bool) {
    let (connection, connack) = broker.join_as(connect);
    (connection, connack.session_present)
}

/// `message` with a Message Expiry Interval.
fn expiring_message(mut message: Publish, seconds: u32) -> Publish {
    message.message_expiry_interval = Some(seconds);
    message
}

/// CONNECT of a session that is kept for `expiry_seconds` and leaves a will on the topic "will".
fn with_will(client_id: &str, expiry_seconds: u32, delay_seconds: u32) -> squall_codec::packet::Connect {
    let mut connect = expiring(V5, client_id, expiry_seconds);
    let mut will = will("will", client_id);
    will.qos = QOS_1;
    will.properties.push(Property::WillDelayInterval(delay_seconds));
    connect.set_will(Some(will));
    connect
}

/// A broker with a kept session `watcher` that subscribes to wills and is away.
fn watched() -> TestBroker {
    let mut broker = TestBroker::new();
    let watcher = broker.join(durable(V5, "watcher"));
    broker.subscribed(watcher, "will", QOS_1);
    broker.drop_connection(watcher);
    broker
}

/// The wills that wait for the watcher.
fn wills(broker: &mut TestBroker) -> Vec<String> {
    let watcher = broker.join(durable(V5, "watcher"));
    let payloads = broker.payloads(watcher);
    broker.drop_connection(watcher);
    payloads
}

#[test]
fn a_kept_session_is_there_after_a_crash_and_a_clean_one_is_not() {
    let (broker, _) = bob_is_away();
    let mut broker = broker.restart(seconds(1));
    assert_eq!(broker.statistics().sessions, 1);
    let (bob, present) = session_present(&mut broker, durable(V5, "bob"));
    assert!(present);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish("t", "still subscribed"));
    assert_eq!(broker.payloads(bob), ["still subscribed"]);
}

#[test]
fn a_subscription_comes_back_with_its_options_and_its_identifier() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    let mut request = subscribe(1, "t/+", QOS_1);
    request.subscriptions[0].options.no_local = true;
    request.subscriptions[0].options.retain_as_published = true;
    request.properties.push(Property::SubscriptionIdentifier(77));
    broker.subscribe(bob, request);
    broker.subscribed(bob, "gone", QOS_1);
    broker.recv(bob, unsubscribe(1, "gone"));
    let mut broker = broker.restart(seconds(1));
    assert_eq!(broker.statistics().subscriptions, 1);
    let bob = broker.join(durable(V5, "bob"));
    broker.recv(bob, publish("t/1", "my own"));
    broker.quiet(bob);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, retained("t/1", "hers"));
    let publish = broker.next_publish(bob);
    assert_eq!((publish.retain, publish.subscription_identifiers), (true, vec![77]));
}

#[test]
fn a_filter_that_only_looks_shared_is_still_none_for_a_3_1_1_client() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V3, "bob"));
    broker.subscribed(bob, "$share/g/t", QOS_0);
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(durable(V3, "bob"));
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish("t", "not for bob"));
    broker.quiet(bob);
}

#[test]
fn queued_messages_come_in_their_order_with_all_that_they_carry() {
    let (mut broker, alice) = bob_is_away();
    for number in 1..=20 {
        let mut message = publish_at(if number % 2 == 0 { QOS_1 } else { QOS_2 }, number, "t", &number.to_string());
        message = message.with_properties(
            &squall_codec::property::Properties::new()
                .with(Property::UserProperty((Text::literal("a"), Text::literal("1"))))
                .with(Property::UserProperty((Text::literal("a"), Text::literal("2"))))
                .with(Property::ContentType(Text::literal("text"))),
        );
        broker.recv(alice, message);
    }
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(durable(V5, "bob"));
    for number in 1..=20 {
        let publish = broker.next_publish(bob);
        assert_eq!(text(&publish), number.to_string());
        assert_eq!(publish.qos, if number % 2 == 0 { QOS_1 } else { QOS_2 });
        assert_eq!(publish.forwarded_properties().user_properties().count(), 2);
        assert!(!publish.dup, "this is the first time it is sent");
    }
}

#[test]
fn what_was_in_flight_is_sent_again_with_its_identifier_in_its_order() {
    let mut broker = TestBroker::new();
    let mut connect = durable(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(3));
    let bob = broker.join(connect.clone());
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    for (number, qos) in [QOS_1, QOS_2, QOS_2, QOS_1].into_iter().enumerate() {
        broker.recv(alice, publish_at(qos, number as u16 + 1, "t", &format!("{}", number + 1)));
    }
    let ids: Vec<u16> = (0..3).map(|_| broker.next_publish(bob).packet_id.expect("an identifier").value()).collect();
    // The second is released, so only its PUBREL is owed; then the first is settled, and the fourth leaves.
    broker.recv(bob, pubrec(ids[1]));
    broker.expect(bob, pubrel(ids[1]));
    broker.recv(bob, puback(ids[0]));
    let fourth = broker.next_publish(bob).packet_id.expect("an identifier").value();

    let mut broker = broker.restart(seconds(1));
    let (bob, present) = session_present(&mut broker, connect);
    assert!(present);
    let third = broker.next_publish(bob);
    assert_eq!((text(&third).as_str(), third.dup, third.packet_id), ("3", true, Some(id(ids[2]))));
    broker.expect(bob, pubrel(ids[1]));
    let last = broker.next_publish(bob);
    assert_eq!((text(&last).as_str(), last.dup, last.packet_id), ("4", true, Some(id(fourth))));
    broker.recv(bob, pubcomp(ids[1]));
    broker.recv(bob, pubrec(ids[2]));
    broker.expect(bob, pubrel(ids[2]));
    broker.recv(bob, pubcomp(ids[2]));
    broker.recv(bob, puback(fourth));
    assert_eq!(broker.statistics().in_flight, 0);
    // And after yet another restart nothing is left to be sent.
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(durable(V5, "bob"));
    broker.quiet(bob);
}

#[test]
fn a_qos_2_message_that_is_repeated_after_a_crash_is_delivered_once() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    broker.drop_connection(bob);
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "t", "once"));
    broker.expect(alice, pubrec(7));

    let mut broker = broker.restart(seconds(1));
    let alice = broker.join(durable(V5, "alice"));
    let mut again = publish_at(QOS_2, 7, "t", "once");
    again.dup = true;
    broker.recv(alice, again);
    broker.expect(alice, pubrec(7));
    broker.recv(alice, pubrel(7));
    broker.expect(alice, pubcomp(7));
    // After the release the identifier stands for another message, also over the next crash.
    let mut broker = broker.restart(seconds(1));
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "t", "another"));
    broker.expect(alice, pubrec(7));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["once", "another"]);
}

#[test]
fn a_qos_1_message_ends_what_was_open_under_its_identifier_over_a_crash_too() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    broker.drop_connection(bob);
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "t", "open"));
    broker.expect(alice, pubrec(7));
    broker.recv(alice, publish_at(QOS_1, 7, "t", "other"));
    broker.expect(alice, puback(7));

    let mut broker = broker.restart(seconds(1));
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "t", "new"));
    broker.expect(alice, pubrec(7));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["open", "other", "new"]);
}

#[test]
fn a_refused_qos_2_message_leaves_its_identifier_free() {
    let mut broker = TestBroker::new();
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "$SYS/x", "no"));
    assert!(matches!(broker.next(alice), Packet::Pubrec(ack) if ack.reason == ReasonCode::NotAuthorized));
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    let mut broker = broker.restart(seconds(1));
    let alice = broker.join(durable(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 7, "t", "new"));
    broker.expect(alice, pubrec(7));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["new"]);
}

#[test]
fn numbers_of_messages_go_on_where_they_were() {
    let (mut broker, alice) = bob_is_away();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "one"));
    let mut broker = broker.restart(seconds(1));
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "two"));
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["one", "two"]);
}

#[test]
fn the_session_expiry_of_one_who_was_away_goes_on_while_the_server_is_down() {
    let mut broker = TestBroker::new();
    for client_id in ["early", "late"] {
        let connection = broker.join(expiring(V5, client_id, if client_id == "early" { 60 } else { 120 }));
        broker.drop_connection(connection);
    }
    broker.advance(seconds(10));
    let mut broker = broker.restart(seconds(50));
    assert_eq!(broker.statistics().sessions, 1);
    broker.advance(seconds(59));
    assert_eq!(broker.statistics().sessions, 1);
    broker.advance(seconds(1));
    assert_eq!(broker.statistics().sessions, 0);
    // The end is known to the store.
    assert_eq!(broker.restart(seconds(0)).statistics().sessions, 0);
}

#[test]
fn the_session_expiry_of_one_who_was_connected_counts_from_the_restart_and_only_from_the_first() {
    let mut broker = TestBroker::new();
    broker.join(expiring(V5, "bob", 60));
    let mut broker = broker.restart(seconds(1000));
    broker.advance(seconds(40));
    let mut broker = broker.restart(seconds(10));
    assert_eq!(broker.statistics().sessions, 1);
    broker.advance(seconds(9));
    assert_eq!(broker.statistics().sessions, 1);
    broker.advance(seconds(1));
    assert_eq!(broker.statistics().sessions, 0);
}

#[test]
fn a_session_that_disconnect_shortened_is_as_short_after_a_crash() {
    let mut broker = TestBroker::new();
    let bob = broker.join(expiring(V5, "bob", 1000));
    let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    disconnect.properties.push(Property::SessionExpiryInterval(5));
    broker.recv(bob, disconnect);
    assert_eq!(broker.restart(seconds(5)).statistics().sessions, 0);
}

#[test]
fn a_session_resumed_without_expiry_ends_with_a_crash() {
    let (mut broker, alice) = bob_is_away();
    broker.recv(alice, publish_at(QOS_1, 1, "t", "lost with the session"));
    let (_, present) = session_present(&mut broker, expiring(V5, "bob", 0));
    assert!(present);
    let mut broker = broker.restart(seconds(0));
    assert_eq!(broker.statistics().sessions, 0);
    assert!(!session_present(&mut broker, durable(V5, "bob")).1);
}

#[test]
fn a_clock_that_was_set_back_expires_nothing_early_and_breaks_nothing() {
    let mut broker = TestBroker::new();
    broker.advance(seconds(1_000_000));
    let bob = broker.join(expiring(V5, "bob", 60));
    broker.subscribed(bob, "t", QOS_1);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, expiring_message(publish_at(QOS_1, 1, "t", "hi"), 10));
    let records = broker.records.into_iter().map(|(_, record)| record);
    let broker = Broker::restore(Now::default(), Config::default(), HashKey([1, 2]), records).expect("good records");
    assert_eq!(broker.deadline(), Some(seconds(60)));
    assert_eq!(broker.statistics().queued_messages, 1);
}

#[test]
fn the_expiry_of_queued_messages_goes_on_and_the_rest_of_it_is_forwarded() {
    let (mut broker, alice) = bob_is_away();
    broker.recv(alice, expiring_message(publish_at(QOS_1, 1, "t", "short"), 10));
    broker.recv(alice, expiring_message(publish_at(QOS_1, 2, "t", "long"), 100));
    broker.advance(seconds(3));
    let broker = broker.restart(seconds(7));
    assert_eq!(broker.statistics().queued_messages, 1, "what expired is dropped, and the store is told");
    let mut broker = broker.restart(seconds(10));
    let bob = broker.join(durable(V5, "bob"));
    let publish = broker.next_publish(bob);
    assert_eq!((text(&publish).as_str(), publish.message_expiry_interval), ("long", Some(80)));
    broker.quiet(bob);
}

#[test]
fn retained_messages_come_back_unless_cleared_or_expired() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    for topic in ["a", "b", "c"] {
        broker.recv(alice, retained(topic, "old"));
    }
    broker.recv(alice, retained("a", "new"));
    broker.recv(alice, retained("b", ""));
    broker.recv(alice, expiring_message(retained("d", "short"), 10));
    broker.recv(alice, expiring_message(retained("e", "long"), 100));
    let mut broker = broker.restart(seconds(30));
    assert_eq!(broker.statistics().retained_messages, 3);
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "#", QOS_0);
    let expected = [("a", "new", None), ("c", "old", None), ("e", "long", Some(70))];
    for (topic, payload, expiry) in expected {
        let publish = broker.next_publish(bob);
        assert_eq!((publish.topic(), text(&publish).as_str()), (topic, payload));
        assert_eq!((publish.retain, publish.message_expiry_interval), (true, expiry));
    }
    broker.quiet(bob);
    // What expired is gone from the store too.
    let cleared = broker.records.iter().any(|(_, record)| matches!(record, Record::RetainedCleared { .. }));
    assert!(cleared);
}

#[test]
fn the_will_of_a_connection_that_died_with_the_server_is_published_once_when_it_is_back() {
    let mut broker = watched();
    broker.join(with_will("alice", 60, 0));
    broker.join(with_will("carol", 0, 0));
    broker.join(with_will("dave", 0, 30));
    let mut broker = broker.restart(seconds(5));
    // Session lifetime 0 ends at once, and so does the wait of its will.
    assert_eq!(wills(&mut broker), ["alice", "carol", "dave"]);
    let mut broker = broker.restart(seconds(5));
    broker.advance(seconds(100));
    let watcher = broker.join(durable(V5, "watcher"));
    let again = broker.payloads(watcher);
    assert_eq!(again, ["alice", "carol", "dave"], "sent again because they were not acknowledged, and not more");
}

#[test]
fn a_will_delay_counts_from_the_restart_for_one_who_was_connected() {
    let mut broker = watched();
    broker.join(with_will("alice", 600, 30));
    let mut broker = broker.restart(seconds(1000));
    broker.advance(seconds(29));
    assert!(wills(&mut broker).is_empty());
    broker.advance(seconds(1));
    assert_eq!(wills(&mut broker), ["alice"]);
}

#[test]
fn a_will_delay_that_was_running_goes_on_and_is_over_if_the_server_was_down_long_enough() {
    for down in [5, 25] {
        let mut broker = watched();
        let alice = broker.join(with_will("alice", 600, 30));
        broker.drop_connection(alice);
        broker.advance(seconds(10));
        let mut broker = broker.restart(seconds(down));
        if down == 5 {
            broker.advance(seconds(14));
            assert!(wills(&mut broker).is_empty());
            broker.advance(seconds(1));
        }
        assert_eq!(wills(&mut broker), ["alice"], "down for {down} s");
    }
}

#[test]
fn a_session_that_expired_while_the_server_was_down_publishes_its_will() {
    let mut broker = watched();
    let alice = broker.join(with_will("alice", 60, 1000));
    broker.drop_connection(alice);
    let mut broker = broker.restart(seconds(60));
    assert_eq!(wills(&mut broker), ["alice"]);
    assert_eq!(broker.statistics().sessions, 1);
}

#[test]
fn a_will_that_was_cleared_replaced_or_published_is_not_published_after_a_crash() {
    let mut broker = watched();
    let alice = broker.join(with_will("alice", 60, 0));
    broker.recv(alice, Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
    let carol = broker.join(with_will("carol", 0, 0));
    broker.drop_connection(carol);
    let dave = broker.join(with_will("dave", 60, 50));
    broker.drop_connection(dave);
    broker.join(expiring(V5, "dave", 60));
    let mut broker = broker.restart(seconds(0));
    broker.advance(seconds(200));
    assert_eq!(wills(&mut broker), ["carol"]);
}

#[test]
fn reconnecting_after_the_restart_keeps_a_delayed_will_from_being_published() {
    let mut broker = watched();
    broker.join(with_will("alice", 600, 30));
    let mut broker = broker.restart(seconds(1));
    broker.join(expiring(V5, "alice", 600));
    broker.advance(seconds(100));
    assert!(wills(&mut broker).is_empty());
}

#[test]
fn a_retained_will_is_retained_over_the_crash_that_caused_it() {
    let mut broker = TestBroker::new();
    let mut connect = with_will("alice", 0, 0);
    connect.change_will(|will| will.retain = true);
    broker.join(connect);
    let broker = broker.restart(seconds(1));
    let mut broker = broker.restart(seconds(1));
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "will", QOS_0);
    assert_eq!(broker.payloads(bob), ["alice"]);
}

#[test]
fn a_message_chosen_for_a_member_of_a_share_is_still_shared_after_a_crash() {
    let mut broker = TestBroker::new();
    for client_id in ["one", "two"] {
        let member = broker.join(expiring(V5, client_id, 60));
        broker.subscribed(member, "$share/g/t", QOS_1);
        broker.drop_connection(member);
    }
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "for one of them"));
    let mut broker = broker.restart(seconds(1));
    let two = broker.join(durable(V5, "two"));
    broker.quiet(two);
    // The first member's session ends: its message goes to the other one.
    broker.advance(seconds(60));
    assert_eq!(broker.payloads(two), ["for one of them"]);
}

#[test]
fn what_was_passed_on_from_the_middle_of_a_queue_is_what_a_crash_finds_missing() {
    let mut broker = TestBroker::new();
    let mut request = durable(V5, "slow");
    request.push_property(Property::ReceiveMaximum(1));
    let slow = broker.join(request);
    broker.subscribed(slow, "$share/g/t", QOS_1);
    broker.subscribe(slow, subscribe(2, "plain", QOS_1));
    let alice = broker.join(clean(V5, "alice"));
    for (packet_id, name) in [(1, "plain"), (2, "plain"), (3, "t"), (4, "plain")] {
        broker.recv(alice, publish_at(QOS_1, packet_id, name, &packet_id.to_string()));
    }
    assert_eq!(broker.payloads(slow), ["1"]);
    let other = broker.join(clean(V5, "other"));
    broker.subscribed(other, "$share/g/t", QOS_1);
    broker.drop_connection(slow);
    assert_eq!(broker.payloads(other), ["3"]);
    let mut broker = broker.restart(seconds(1));
    // Three messages of six bytes, one of them in flight.
    assert_eq!(broker.statistics().held_bytes, 18);
    let slow = broker.join(durable(V5, "slow"));
    assert_eq!(broker.payloads(slow), ["1", "2", "4"]);
}

#[test]
fn records_that_contradict_each_other_are_refused() {
    let restore =
        |records: Vec<Record>| Broker::restore(Now::default(), Config::default(), HashKey([1, 2]), records).err();
    let client_id = Text::literal("bob");
    let session = Record::Session { client_id: client_id.clone(), user: None, expiry_seconds: 60, ended: None };
    let sent = Record::Sent { client_id: client_id.clone(), number: 3, packet_id: id(1) };
    let settled = Record::Settled { client_id: client_id.clone(), packet_id: id(9), number: Some(3) };
    assert_eq!(restore(vec![session.clone()]), None);
    assert_eq!(restore(vec![sent.clone()]), Some(RestoreError::UnknownSession { client_id: client_id.clone() }));
    let unknown = RestoreError::UnknownMessage { client_id: client_id.clone(), number: 3 };
    assert_eq!(restore(vec![session.clone(), sent]), Some(unknown));
    let unknown = RestoreError::UnknownExchange { client_id, packet_id: id(9) };
    assert_eq!(restore(vec![session, settled]), Some(unknown));
}
