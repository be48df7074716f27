//! Retained messages (section 3.3.1.3).

use squall_codec::{
    packet::{Packet, RetainHandling, Subscribe, Subscription},
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
    broker.expect(alice, Packet::Puback(squall_codec::packet::Ack::with_reason(id(1), ReasonCode::QuotaExceeded)));
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
