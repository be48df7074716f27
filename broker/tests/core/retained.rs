//! Retained messages (section 3.3.1.3).

use squall_codec::{
    packet::{Packet, PacketKind, RetainHandling, Subscribe, Subscription},
    property::Property,
    reason::ReasonCode,
};

use crate::support::*;

#[test]
fn a_retained_message_waits_for_those_who_come_later() {
    for version in [V3, V5] {
        let mut broker = TestBroker::new();
        let alice = broker.join(clean(version, "alice"));
        broker.recv(alice, retained("a/b", "old"));
        broker.recv(alice, retained("a/b", "new"));
        broker.recv(alice, publish("a/b", "not retained"));
        broker.drop_connection(alice);
        let bob = broker.join(clean(version, "bob"));
        for text in ["a/b", "a/+", "#", "a/b/#"] {
            broker.subscribed(bob, text, QOS_2);
            broker.expect(bob, retained("a/b", "new"));
        }
        broker.subscribed(bob, "a", QOS_2);
        broker.quiet(bob);
    }
}

#[test]
fn an_empty_retained_message_clears_and_is_delivered_like_any_other() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V3, "alice")), broker.join(clean(V3, "bob")));
    broker.recv(alice, retained("t", "old"));
    broker.subscribed(bob, "t", QOS_0);
    broker.expect(bob, retained("t", "old"));
    broker.recv(alice, retained("t", ""));
    broker.expect(bob, publish("t", ""));
    broker.subscribed(bob, "t", QOS_0);
    broker.quiet(bob);
    assert_eq!((broker.statistics().retained_messages, broker.statistics().retained_bytes), (0, 0));
}

#[test]
fn what_expired_makes_room_if_it_is_enough() {
    let mut broker = TestBroker::with(|config| config.limits.retained_bytes = 100);
    let alice = broker.join(clean(V5, "alice"));
    let mut short = retained("short", "lived");
    short.message_expiry_interval = Some(1);
    broker.recv(alice, short);
    broker.recv(alice, retained("long", &"x".repeat(70)));
    broker.advance(seconds(2));
    let large = |packet_id, size| retained("new", &"x".repeat(size)).at(QOS_1, Some(id(packet_id)));
    broker.recv(alice, large(1, 50));
    let Packet::Puback(ack) = broker.next(alice) else { panic!("no PUBACK") };
    assert_eq!(ack.reason, ReasonCode::QuotaExceeded);
    assert_eq!(broker.statistics().retained_messages, 1, "what expired is gone all the same");
    broker.advance(seconds(2));
    broker.recv(alice, large(2, 20));
    broker.expect(alice, nobody(Packet::Puback, 2));
    assert_eq!(broker.statistics().retained_messages, 2);
}

#[test]
fn retain_handling_says_when_they_are_sent() {
    for (handling, first, second) in [
        (RetainHandling::Send, true, true),
        (RetainHandling::SendIfNew, true, false),
        (RetainHandling::DoNotSend, false, false),
    ] {
        let mut broker = TestBroker::new();
        let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
        broker.recv(alice, retained("t", "kept"));
        let mut subscription = Subscription::new(filter("t"), QOS_0);
        subscription.options.retain_handling = handling;
        for sent in [first, second] {
            broker.subscribe(bob, Subscribe::new(id(1), vec![subscription.clone()]));
            assert_eq!(broker.payloads(bob).len(), usize::from(sent), "{handling:?}");
        }
    }
}

#[test]
fn a_filter_that_stands_in_a_subscribe_twice_is_served_as_by_two() {
    // [MQTT-3.8.4-5]
    for (handling, times) in [(RetainHandling::Send, 2), (RetainHandling::SendIfNew, 1), (RetainHandling::DoNotSend, 0)]
    {
        let mut broker = TestBroker::new();
        let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
        broker.recv(alice, retained("t", "kept"));
        let mut subscription = Subscription::new(filter("t"), QOS_0);
        subscription.options.retain_handling = handling;
        broker.subscribe(bob, Subscribe::new(id(1), vec![subscription.clone(), subscription]));
        assert_eq!(broker.payloads(bob).len(), times, "{handling:?}");
    }
    // One packet is no way around the bounds.
    let mut broker = TestBroker::with(|config| config.limits.subscriptions_per_session = 3);
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.recv(alice, retained("t", "kept"));
    broker.subscribe(bob, Subscribe::new(id(1), vec![Subscription::new(filter("t"), QOS_0); 100]));
    assert!((1..=3).contains(&broker.payloads(bob).len()));
}

#[test]
fn a_retained_message_keeps_its_quality_and_properties_and_carries_the_identifier() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    let properties = [Property::ContentType("text".try_into().expect("a string"))].into_iter().collect();
    broker.recv(alice, retained("t", "kept").at(QOS_2, Some(id(1))).with_properties(&properties));
    let mut subscribe = subscribe(1, "t", QOS_1);
    subscribe.properties.push(Property::SubscriptionIdentifier(3));
    broker.subscribe(bob, subscribe);
    let received = broker.next_publish(bob);
    assert_eq!((received.qos, received.retain, received.dup), (QOS_1, true, false));
    assert_eq!(received.forwarded_properties(), properties);
    assert_eq!(received.subscription_identifiers, [3]);
}

#[test]
fn an_expired_retained_message_is_gone_and_a_living_one_tells_what_is_left() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    let mut message = retained("t", "brief");
    message.message_expiry_interval = Some(10);
    broker.recv(alice, message);
    broker.advance(seconds(4));
    broker.subscribed(bob, "t", QOS_0);
    assert_eq!(broker.next_publish(bob).message_expiry_interval, Some(6));
    broker.advance(seconds(6));
    for text in ["t", "#"] {
        broker.subscribed(bob, text, QOS_0);
        broker.quiet(bob);
    }
}

#[test]
fn resuming_a_session_sends_no_retained_messages() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(durable(V5, "bob")));
    broker.recv(alice, retained("t", "kept"));
    broker.subscribed(bob, "t", QOS_0);
    broker.expect(bob, retained("t", "kept"));
    broker.drop_connection(bob);
    let bob = broker.join(durable(V5, "bob"));
    broker.quiet(bob);
}

#[test]
fn retained_messages_are_bounded_and_what_expired_makes_room() {
    let mut broker = TestBroker::with(|config| config.limits.retained_messages = 1);
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V3, "bob")));
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_0);
    let mut first = retained("one", "1");
    first.message_expiry_interval = Some(5);
    broker.recv(alice, first);
    broker.recv(alice, retained("one", "replaced in place"));
    // 5.0 publishers can be told; then nothing is delivered either.
    broker.recv(alice, retained("two", "refused").at(QOS_1, Some(id(1))));
    broker.acknowledged(alice, PacketKind::Puback, 1, ReasonCode::QuotaExceeded);
    broker.recv(bob, retained("two", "delivered only").at(QOS_1, Some(id(1))));
    broker.expect(bob, puback(1));
    assert_eq!(broker.payloads(watcher), ["1", "replaced in place", "delivered only"]);
    assert_eq!(broker.statistics().retained_messages, 1);
    assert_eq!(broker.statistics().dropped_retained, 1);

    let mut brief = retained("one", "brief");
    brief.message_expiry_interval = Some(5);
    broker.recv(alice, brief);
    broker.advance(seconds(5));
    broker.recv(alice, retained("two", "now"));
    assert_eq!(broker.statistics().retained_messages, 1);
    broker.subscribed(bob, "two", QOS_0);
    broker.expect(bob, retained("two", "now"));
}

#[test]
fn without_retain_3_1_1_messages_pass_as_if_not_retained() {
    let mut broker = TestBroker::with(|config| config.retain_available = false);
    let (alice, bob) = (broker.join(clean(V3, "alice")), broker.join(clean(V3, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    broker.recv(alice, retained("t", "live"));
    broker.expect(bob, publish("t", "live"));
    broker.subscribed(bob, "t", QOS_0);
    broker.quiet(bob);
}

#[test]
fn more_retained_messages_than_the_queue_holds_all_come_at_the_clients_pace() {
    let mut broker = TestBroker::with(|config| config.limits.queued_messages = 10);
    let alice = broker.join(clean(V5, "alice"));
    for number in 0..100 {
        let mut message = publish_at(QOS_1, 1, &format!("t/{number:03}"), &number.to_string());
        message.retain = true;
        broker.recv(alice, message);
        broker.next(alice);
    }
    let mut slow = clean(V5, "slow");
    slow.push_property(Property::ReceiveMaximum(3));
    let slow = broker.join(slow);
    broker.subscribed(slow, "t/#", QOS_1);
    let mut seen = Vec::new();
    // One is replaced before its turn and one is cleared: what is new comes as such, and nothing old comes after it.
    let mut changed = publish_at(QOS_1, 1, "t/050", "changed");
    changed.retain = true;
    broker.recv(alice, changed);
    broker.recv(alice, retained("t/060", ""));
    for _ in 0..100 {
        let message = broker.next_publish(slow);
        if let Some(packet_id) = message.packet_id {
            broker.recv(slow, puback(packet_id.value()));
        }
        seen.push((message.topic().to_owned(), message.retain, text(&message)));
    }
    broker.quiet(slow);
    let expected: Vec<_> = (0..100)
        .filter(|number| ![50, 60].contains(number))
        .map(|number| (format!("t/{number:03}"), true, number.to_string()))
        .collect();
    let (live, stored): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(_, retain, _)| !retain);
    assert_eq!(stored, expected);
    let live: Vec<_> = live.into_iter().map(|(topic, _, payload)| (topic, payload)).collect();
    assert_eq!(live, [("t/060", ""), ("t/050", "changed")].map(|(topic, text)| (topic.to_owned(), text.to_owned())));
    assert_eq!(broker.statistics().dropped_queue_full, 0);
}

#[test]
fn retained_messages_wait_for_room_in_bytes_too() {
    let mut broker = TestBroker::with(|config| config.limits.queued_bytes = 20);
    let alice = broker.join(clean(V5, "alice"));
    let names = ["t/1", "t/2", "t/3", "t/4", "t/5"];
    for name in names {
        let mut message = publish_at(QOS_1, 1, name, "0123456789");
        message.retain = true;
        broker.recv(alice, message);
        broker.next(alice);
    }
    let mut slow = clean(V5, "slow");
    slow.push_property(Property::ReceiveMaximum(1));
    let slow = broker.join(slow);
    broker.subscribed(slow, "t/#", QOS_1);
    for name in names {
        let message = broker.next_publish(slow);
        assert_eq!(message.topic(), name);
        broker.recv(slow, puback(message.packet_id.map_or(0, |id| id.value())));
    }
    broker.quiet(slow);
    assert_eq!(broker.statistics().dropped_queue_full, 0);
}
