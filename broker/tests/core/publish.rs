//! From one publisher to its subscribers (sections 3.3 and 4.7).

use squall_codec::{
    packet::{Disconnect, Packet, Subscribe, Subscription},
    property::{Properties, Property},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::*;

fn word(text: &str) -> Text {
    Text::new(text).expect("a string")
}

#[test]
fn a_message_reaches_every_subscriber_across_versions_and_the_publisher_too() {
    let mut broker = TestBroker::new();
    let clients: Vec<_> = Version::ALL
        .into_iter()
        .map(|version| broker.join(clean(version, &format!("client{}", version.level()))))
        .collect();
    for client in &clients {
        broker.subscribed(*client, "t/+", QOS_0);
    }
    for client in &clients {
        broker.recv(*client, publish("t/1", "hi"));
        for receiver in &clients {
            broker.expect(*receiver, publish("t/1", "hi"));
        }
    }
}

#[test]
fn delivery_uses_the_lower_of_the_two_qualities() {
    for (published, granted) in [(QOS_0, QOS_2), (QOS_1, QOS_0), (QOS_2, QOS_1), (QOS_2, QOS_2), (QOS_1, QOS_2)] {
        let mut broker = TestBroker::new();
        let bob = broker.join(clean(V3, "bob"));
        broker.subscribed(bob, "t", granted);
        let alice = broker.join(clean(V5, "alice"));
        let mut message = publish("t", "hi");
        if published > QOS_0 {
            message = message.at(published, Some(id(1)));
        }
        broker.recv(alice, message);
        let received = broker.next_publish(bob);
        assert_eq!(received.qos, published.min(granted));
        assert_eq!(received.packet_id.is_some(), received.qos > QOS_0);
        assert!(!received.dup);
    }
}

#[test]
fn everything_that_is_to_be_forwarded_is_and_nothing_else() {
    let forwarded: Properties = [
        Property::UserProperty((word("b"), word("1"))),
        Property::PayloadFormatIndicator(1),
        Property::UserProperty((word("a"), word("2"))),
        Property::ContentType(word("text/plain")),
        Property::UserProperty((word("b"), word("3"))),
        Property::ResponseTopic(word("answers")),
        Property::CorrelationData(bytes::Bytes::from_static(&[0, 1, 2])),
    ]
    .into_iter()
    .collect();
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_0);
    let mut message = publish("t", "hi").with_properties(&forwarded);
    message.topic_alias = Some(1);
    message.message_expiry_interval = Some(9);
    broker.recv(alice, message);
    let received = broker.next_publish(bob);
    assert_eq!(received.forwarded_properties(), forwarded);
    assert_eq!(received.message_expiry_interval, Some(9));
    assert_eq!(received.topic_alias, None);
}

#[test]
fn nobody_listens_is_said_to_5_0_clients_only() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "t", ""));
    broker.expect(alice, nobody(Packet::Puback, 1));
    broker.recv(alice, publish_at(QOS_2, 2, "t", ""));
    broker.expect(alice, nobody(Packet::Pubrec, 2));
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, publish_at(QOS_1, 1, "t", ""));
    broker.expect(bob, puback(1));
}

#[test]
fn what_5_0_was_told_is_not_there_closes_the_connection() {
    let mut broker = TestBroker::with(|config| {
        config.maximum_qos = QOS_1;
        config.retain_available = false;
    });
    for (message, reason) in [
        (publish_at(QOS_2, 1, "t", "hi"), ReasonCode::QosNotSupported),
        (retained("t", "hi"), ReasonCode::RetainNotSupported),
    ] {
        let watcher = broker.join(clean(V5, "watcher"));
        broker.subscribed(watcher, "t", QOS_1);
        let alice = broker.join(clean(V5, "alice"));
        broker.recv(alice, message);
        broker.disconnected(alice, reason);
        broker.quiet(watcher);
        broker.recv(watcher, Disconnect::new(ReasonCode::Success));
    }
}

#[test]
fn a_topic_alias_stands_for_its_topic_until_it_is_set_anew() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "#", QOS_1);
    let mut first = publish("one", "1");
    first.topic_alias = Some(16);
    let mut other = publish("two", "2");
    other.topic_alias = Some(16);
    for (message, expected) in [(first.clone(), "one"), (aliased(16), "one"), (other, "two"), (aliased(16), "two")] {
        broker.recv(alice, message);
        assert_eq!(broker.next_publish(bob).topic(), expected);
    }
    // Aliases are of the connection: bob's 16 stands for nothing.
    broker.recv(bob, aliased(16));
    broker.disconnected(bob, ReasonCode::ProtocolError);
}

fn aliased(alias: u16) -> squall_codec::packet::Publish {
    let mut bytes = bytes::BytesMut::new();
    let body = [&[0, 0, 3, 0x23][..], &alias.to_be_bytes(), b"again"].concat();
    bytes.extend_from_slice(&[0x30, body.len() as u8]);
    bytes.extend_from_slice(&body);
    match Packet::decode(V5, squall_codec::reason::Side::Client, bytes.freeze()) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("no PUBLISH: {other:?}"),
    }
}

#[test]
fn a_topic_alias_beyond_the_maximum_closes_the_connection() {
    for maximum in [0, 16] {
        let mut broker = TestBroker::with(|config| config.limits.topic_alias_maximum = maximum);
        let alice = broker.join(clean(V5, "alice"));
        let mut message = publish("t", "hi");
        message.topic_alias = Some(maximum + 1);
        broker.recv(alice, message);
        broker.disconnected(alice, ReasonCode::TopicAliasInvalid);
    }
}

#[test]
fn a_message_too_large_for_a_client_is_dropped_for_it_alone() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "small");
    connect.push_property(Property::MaximumPacketSize(60));
    connect.push_property(Property::ReceiveMaximum(1));
    let (small, large) = (broker.join(connect), broker.join(clean(V5, "large")));
    for client in [small, large] {
        broker.subscribed(client, "t", QOS_1);
    }
    let alice = broker.join(clean(V5, "alice"));
    for (packet_id, payload) in [(1, "a".to_owned()), (2, "b".repeat(60)), (3, "c".to_owned())] {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &payload));
    }
    broker.recv(alice, publish("t", &"d".repeat(60)));
    assert_eq!(broker.payloads(small), ["a"]);
    broker.recv(small, puback(1));
    assert_eq!(broker.payloads(small), ["c"]);
    assert_eq!(broker.payloads(large).len(), 4);
    assert_eq!(broker.statistics().dropped_too_large, 2);
}

#[test]
fn messages_of_one_publisher_keep_their_order() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "bob");
    connect.push_property(Property::ReceiveMaximum(2));
    let bob = broker.join(connect);
    broker.subscribed(bob, "t", QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    let mut got = Vec::new();
    for packet_id in 1..=9 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    while got.len() < 9 {
        let message = broker.next_publish(bob);
        got.push(text(&message));
        broker.recv(bob, puback(message.packet_id.expect("QoS 1").value()));
    }
    assert_eq!(got, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

#[test]
fn no_local_keeps_a_clients_messages_from_itself_and_only_from_itself() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    let mut subscription = Subscription::new(filter("t"), QOS_1);
    subscription.options.no_local = true;
    broker.subscribe(alice, Subscribe::new(id(1), vec![subscription]));
    broker.recv(alice, publish_at(QOS_1, 1, "t", "own"));
    broker.expect(alice, nobody(Packet::Puback, 1));
    broker.recv(bob, publish("t", "of bob"));
    assert_eq!(broker.payloads(alice), ["of bob"]);
}

#[test]
fn retain_as_published_keeps_the_flag() {
    for keeps in [false, true] {
        let mut broker = TestBroker::new();
        let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(durable(V5, "bob")));
        let mut subscription = Subscription::new(filter("t"), QOS_1);
        subscription.options.retain_as_published = keeps;
        broker.subscribe(bob, Subscribe::new(id(1), vec![subscription]));
        broker.recv(alice, retained("t", "live"));
        assert_eq!(broker.next_publish(bob).retain, keeps);
        broker.recv(alice, publish("t", "plain"));
        assert!(!broker.next_publish(bob).retain);
        broker.drop_connection(bob);
        broker.recv(alice, retained("t", "queued").at(QOS_1, Some(id(1))));
        let bob = broker.join(durable(V5, "bob"));
        assert_eq!(broker.next_publish(bob).retain, keeps);
    }
}

#[test]
fn overlapping_subscriptions_give_one_copy_with_the_highest_quality_and_every_identifier() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    for (packet_id, text, qos, identifier) in
        [(1, "a/#", QOS_0, Some(7)), (2, "a/+", QOS_2, None), (3, "a/b", QOS_1, Some(268_435_455))]
    {
        let mut subscribe = subscribe(packet_id, text, qos);
        if let Some(identifier) = identifier {
            subscribe.properties.push(Property::SubscriptionIdentifier(identifier));
        }
        broker.subscribe(bob, subscribe);
    }
    let alice = broker.join(clean(V3, "alice"));
    broker.recv(alice, publish_at(QOS_2, 1, "a/b", "hi"));
    let mut received = broker.next_publish(bob);
    received.subscription_identifiers.sort_unstable();
    assert_eq!(received.qos, QOS_2);
    assert_eq!(received.subscription_identifiers, [7, 268_435_455]);
    broker.quiet(bob);
    broker.recv(alice, publish("a/b/c", "hi"));
    assert_eq!(broker.next_publish(bob).subscription_identifiers, [7]);
}

#[test]
fn wildcards_keep_away_from_dollar_topics() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    for text in ["#", "+/x", "$own/#"] {
        broker.subscribed(bob, text, QOS_0);
    }
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish("$other/x", "hidden"));
    broker.quiet(bob);
    broker.recv(alice, publish("$own/x", "asked for"));
    assert_eq!(broker.payloads(bob), ["asked for"]);
}

#[test]
fn an_empty_payload_of_any_quality_is_a_message() {
    let mut broker = TestBroker::new();
    let (alice, bob) = (broker.join(clean(V5, "alice")), broker.join(clean(V5, "bob")));
    broker.subscribed(bob, "t", QOS_2);
    for message in [publish("t", ""), publish_at(QOS_1, 1, "t", ""), publish_at(QOS_2, 2, "t", "")] {
        broker.recv(alice, message);
        assert_eq!(broker.payloads(bob), [""]);
    }
}
