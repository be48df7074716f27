//! What the server said in CONNACK that it takes.

use squall_client::{
    core::effect::{Failure, Input},
    options::Options,
};
use squall_codec::{
    packet::{Packet, Publish, Subscription},
    property::{Properties, Property},
    qos::Qos,
    topic::{TopicFilter, TopicName},
    version::Version,
};

use crate::support::{TestClient, message, offering, options, published};

fn offered(property: Property) -> TestClient {
    TestClient::connected_to(options(Version::V5_0), offering([property]))
}

#[test]
fn no_qos_above_maximum_qos_leaves() {
    let mut client = offered(Property::MaximumQos(0));
    for (qos, feature) in [(Qos::AtLeastOnce, "QoS 1"), (Qos::ExactlyOnce, "QoS 2")] {
        let token = client.publish(message(qos, "x"));
        client.expect_failed(token, Failure::NotOffered { feature });
        client.expect_nothing();
    }
    let token = client.publish(message(Qos::AtMostOnce, "x"));
    client.expect_sent();
    client.expect_done(token, published());
    let mut client = offered(Property::MaximumQos(1));
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_sent();
}

#[test]
fn no_retained_message_leaves_where_they_are_not_available() {
    let mut client = offered(Property::RetainAvailable(0));
    let mut retained = message(Qos::AtMostOnce, "x");
    retained.retain = true;
    let token = client.publish(retained);
    client.expect_failed(token, Failure::NotOffered { feature: "retained messages" });
    client.expect_nothing();
}

#[test]
fn no_packet_above_maximum_packet_size_leaves_and_one_of_that_size_does() {
    // Fixed header 2, topic 3, packet identifier 2, property length 1: 8 bytes and the payload.
    let mut client = offered(Property::MaximumPacketSize(20));
    let topic = TopicName::literal("t");
    let fits = Publish::new(&topic, [0; 12]).at(Qos::AtLeastOnce, None);
    client.publish(fits);
    let sent = client.expect_sent();
    assert_eq!(sent.encoded_len(Version::V5_0), 20);
    let token = client.publish(Publish::new(&topic, [0; 13]).at(Qos::AtLeastOnce, None));
    client.expect_failed(token, Failure::TooLarge { size: 21, limit: 20 });

    let token = client.token();
    let filter = TopicFilter::literal("a/long/topic/filter");
    let subscriptions = vec![Subscription::new(filter.clone(), Qos::AtMostOnce)];
    client.input(Input::Subscribe { token, subscriptions, properties: Properties::new() });
    client.expect_failed(token, Failure::TooLarge { size: 27, limit: 20 });
    let token = client.token();
    client.input(Input::Unsubscribe { token, filters: vec![filter] });
    client.expect_failed(token, Failure::TooLarge { size: 26, limit: 20 });
    client.expect_nothing();
    assert_eq!(client.client.in_flight(), 1);
}

#[test]
fn messages_that_waited_are_measured_when_they_leave() {
    let mut client = TestClient::new(Options { ..options(Version::V5_0) });
    client.input(Input::Connect);
    let token = client.publish(message(Qos::ExactlyOnce, "x"));
    client.connect_again(offering([Property::MaximumQos(1)]));
    client.expect_failed(token, Failure::NotOffered { feature: "QoS 2" });
    client.expect_nothing();
}

#[test]
fn before_5_0_nothing_is_announced_and_nothing_is_held_back() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    for _ in 0..100 {
        client.publish(message(Qos::ExactlyOnce, "x"));
        assert!(matches!(client.expect_sent(), Packet::Publish(_)));
    }
    assert_eq!(client.client.in_flight(), 100);
}

#[test]
fn a_request_that_was_too_large_leaves_no_identifier_in_use() {
    let mut client = offered(Property::MaximumPacketSize(8));
    let filter = TopicFilter::literal("a/long/topic/filter");
    // More than there are identifiers.
    for _ in 0..=u16::MAX {
        let token = client.token();
        client.input(Input::Unsubscribe { token, filters: vec![filter.clone()] });
        client.expect_failed(token, Failure::TooLarge { size: 26, limit: 8 });
    }
    let token = client.token();
    client.input(Input::Unsubscribe { token, filters: vec![TopicFilter::literal("a")] });
    assert!(matches!(client.expect_sent(), Packet::Unsubscribe(_)));
}

#[test]
fn a_message_that_is_not_retained_and_one_where_they_are_available_leave() {
    for (available, retain) in [(0, false), (1, true)] {
        let mut client = offered(Property::RetainAvailable(available));
        let mut plain = message(Qos::AtMostOnce, "x");
        plain.retain = retain;
        client.publish(plain.clone());
        client.expect_send(Packet::Publish(plain));
    }
}
