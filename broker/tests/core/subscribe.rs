//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 to 3.11).

use squall_codec::{
    packet::{Packet, Subscribe, Subscription, Unsuback, Unsubscribe},
    property::Property,
    reason::ReasonCode,
    version::Version,
};

use crate::support::*;

fn many(filters: &[(&str, squall_codec::qos::Qos)]) -> Subscribe {
    Subscribe::new(id(1), filters.iter().map(|(text, qos)| Subscription::new(filter(text), *qos)).collect())
}

#[test]
fn suback_has_one_reason_for_each_filter_in_order() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V3, "alice"));
    let reasons = broker.subscribe(alice, many(&[("a", QOS_2), ("b", QOS_0), ("c/#", QOS_1)]));
    assert_eq!(reasons, [ReasonCode::GrantedQos2, ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQos1]);
}

#[test]
fn the_granted_quality_is_what_the_server_has() {
    let mut broker = TestBroker::with(|config| config.maximum_qos = QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    let reasons = broker.subscribe(alice, many(&[("a", QOS_0), ("b", QOS_1), ("c", QOS_2)]));
    assert_eq!(reasons, [ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQos1, ReasonCode::GrantedQos1]);
}

#[test]
fn an_identical_filter_replaces_the_subscription() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    let mut first = subscribe(1, "t", QOS_2);
    first.properties.push(Property::SubscriptionIdentifier(4));
    broker.subscribe(alice, first);
    broker.subscribed(alice, "t", QOS_0);
    assert_eq!(broker.statistics().subscriptions, 1);
    broker.recv(alice, publish_at(QOS_2, 1, "t", "hi"));
    broker.expect(alice, publish("t", "hi"));
}

#[test]
fn unsuback_comes_whatever_was_there() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.subscribed(alice, "a/+", QOS_0);
    broker.subscribed(alice, "b", QOS_0);
    broker.recv(alice, Unsubscribe::new(id(9), vec![filter("a/x"), filter("a/+"), filter("a/+")]));
    let expected = [ReasonCode::NoSubscriptionExisted, ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    broker.expect(alice, Packet::Unsuback(Unsuback::new(id(9), expected.to_vec())));
    broker.recv(alice, publish("a/x", "no more"));
    broker.quiet(alice);
    broker.recv(alice, publish("b", "still"));
    assert_eq!(broker.payloads(alice), ["still"]);
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, unsubscribe(9, "never subscribed"));
    broker.expect(bob, Packet::Unsuback(Unsuback::new(id(9), vec![])));
}

#[test]
fn what_is_in_flight_is_finished_after_unsubscribe() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 1, "t", "begun"));
    broker.next_publish(bob);
    broker.recv(bob, unsubscribe(2, "t"));
    broker.next(bob);
    broker.recv(bob, pubrec(1));
    broker.expect(bob, pubrel(1));
    broker.drop_connection(bob);
    let bob = broker.join(durable(V5, "bob"));
    broker.expect(bob, pubrel(1));
}

#[test]
fn subscriptions_and_levels_are_bounded_and_the_rest_of_the_packet_counts() {
    let mut broker = TestBroker::with(|config| config.limits.subscriptions_per_session = 2);
    let alice = broker.join(clean(V5, "alice"));
    let reasons = broker.subscribe(alice, many(&[("a", QOS_0), ("b", QOS_0), ("c", QOS_0), ("a", QOS_1)]));
    assert_eq!(
        reasons,
        [ReasonCode::GRANTED_QOS_0, ReasonCode::GRANTED_QOS_0, ReasonCode::QuotaExceeded, ReasonCode::GrantedQos1]
    );

    let mut broker = TestBroker::with(|config| config.limits.filter_levels = 3);
    let bob = broker.join(clean(V3, "bob"));
    let reasons = broker.subscribe(bob, many(&[("a/b/c", QOS_0), ("a/b/c/d", QOS_0), ("a/b/c", QOS_0)]));
    assert_eq!(reasons.iter().map(|reason| reason.suback_return_code()).collect::<Vec<_>>(), [0, 0x80, 0]);
}

#[test]
fn identifiers_are_kept_with_the_session() {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    let mut with_identifier = subscribe(1, "t", QOS_1);
    with_identifier.properties.push(Property::SubscriptionIdentifier(5));
    broker.subscribe(bob, with_identifier);
    broker.drop_connection(bob);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "hi"));
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.next_publish(bob).subscription_identifiers, [5]);
}

#[test]
fn a_refusal_looks_like_a_grant_in_3_1_which_has_no_code_for_it() {
    let mut broker = TestBroker::with(|config| config.limits.subscriptions_per_session = 1);
    for (version, code) in [(Version::V3_1, 1), (V3, 0x80)] {
        let alice = broker.join(clean(version, "alice"));
        broker.subscribed(alice, "a", QOS_0);
        assert_eq!(broker.subscribe(alice, subscribe(2, "b", QOS_1))[0].value(), code);
        broker.recv(alice, publish("b", "not subscribed"));
        broker.quiet(alice);
        broker.drop_connection(alice);
    }
}

#[test]
fn what_connack_denied_ends_the_connection_of_a_5_0_client_that_asks_for_it() {
    let asks: [(&str, bool, ReasonCode); 3] = [
        ("a/+", false, ReasonCode::WildcardSubscriptionsNotSupported),
        ("a", true, ReasonCode::SubscriptionIdentifiersNotSupported),
        ("$share/g/a", false, ReasonCode::SharedSubscriptionsNotSupported),
    ];
    for (position, (text, identified, reason)) in asks.into_iter().enumerate() {
        let mut broker = TestBroker::with(|config| {
            config.wildcard_subscription_available = position != 0;
            config.subscription_identifiers_available = position != 1;
            config.shared_subscription_available = position != 2;
        });
        // What the others ask for is there.
        for (other, (text, identified, _)) in asks.into_iter().enumerate().filter(|(other, _)| *other != position) {
            let bob = broker.join(clean(V5, "bob"));
            let mut subscribe = subscribe(1, text, QOS_1);
            subscribe.properties =
                [identified.then_some(Property::SubscriptionIdentifier(1))].into_iter().flatten().collect();
            assert_eq!(broker.subscribe(bob, subscribe), [ReasonCode::GrantedQos1], "{other}");
        }
        let alice = broker.join(clean(V5, "alice"));
        let mut subscribe = subscribe(1, text, QOS_1);
        subscribe.properties =
            [identified.then_some(Property::SubscriptionIdentifier(1))].into_iter().flatten().collect();
        broker.recv(alice, Packet::Subscribe(subscribe));
        broker.disconnected(alice, reason);
    }
}

#[test]
fn before_5_0_a_wildcard_that_is_not_there_is_refused_alone() {
    let mut broker = TestBroker::with(|config| config.wildcard_subscription_available = false);
    let alice = broker.join(clean(V3, "alice"));
    let reasons = broker.subscribe(alice, many(&[("a/#", QOS_1), ("a", QOS_1)]));
    assert_eq!(reasons.iter().map(|reason| reason.value()).collect::<Vec<_>>(), [0x80, 1]);
}
