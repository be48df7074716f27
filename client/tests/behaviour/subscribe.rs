//! SUBSCRIBE and UNSUBSCRIBE.

use squall_client::core::effect::{Failure, Input, Outcome, Token};
use squall_codec::{
    packet::{Packet, Suback, Subscribe, Subscription, SubscriptionOptions, Unsuback, Unsubscribe},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::{Text, VARIABLE_BYTE_INTEGER_MAX},
};

use crate::support::{TestClient, id, lasting, message, offering, options, publish, resumed, success};

fn to(filter: &'static str) -> Subscription {
    Subscription::new(TopicFilter::literal(filter), Qos::AtLeastOnce)
}

fn subscribe(client: &mut TestClient, subscriptions: Vec<Subscription>, properties: Properties) -> Token {
    let token = client.token();
    client.input(Input::Subscribe { token, subscriptions, properties });
    token
}

#[test]
fn suback_gives_one_reason_for_each_filter() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        let token = subscribe(&mut client, vec![to("a"), to("b/#")], Properties::new());
        client.expect_send(Packet::Subscribe(Subscribe::new(id(1), vec![to("a"), to("b/#")])));
        let reasons = vec![ReasonCode::GrantedQos1, ReasonCode::UnspecifiedError];
        client.server(Packet::Suback(Suback::new(id(1), reasons.clone())));
        client.expect_done(token, Outcome::Subscribed { reasons });
        client.expect_nothing();
        assert!(client.client.is_connected());
    }
}

#[test]
fn unsuback_answers_unsubscribe() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        let token = client.token();
        let filters = vec![TopicFilter::literal("a")];
        client.input(Input::Unsubscribe { token, filters: filters.clone() });
        client.expect_send(Packet::Unsubscribe(Unsubscribe::new(id(1), filters)));
        let reasons = if version.has_properties() { vec![ReasonCode::NoSubscriptionExisted] } else { vec![] };
        client.server(Packet::Unsuback(Unsuback::new(id(1), reasons.clone())));
        client.expect_done(token, Outcome::Unsubscribed { reasons });
    }
}

#[test]
fn packet_identifiers_are_one_space_with_those_of_messages() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_send(publish(Qos::AtLeastOnce, 1, "x"));
    subscribe(&mut client, vec![to("a")], Properties::new());
    client.expect_send(Packet::Subscribe(Subscribe::new(id(2), vec![to("a")])));
    client.publish(message(Qos::AtLeastOnce, "y"));
    client.expect_send(publish(Qos::AtLeastOnce, 3, "y"));
}

#[test]
fn a_subscription_asked_for_before_connack_leaves_after_it() {
    let mut client = TestClient::new(options(Version::V5_0));
    client.input(Input::Connect);
    subscribe(&mut client, vec![to("a")], Properties::new());
    client.connect_again(success());
    client.expect_send(Packet::Subscribe(Subscribe::new(id(1), vec![to("a")])));
    client.expect_nothing();
}

#[test]
fn subscribe_does_not_wait_for_receive_maximum() {
    let mut client = TestClient::connected_to(options(Version::V5_0), offering([Property::ReceiveMaximum(1)]));
    client.publish(message(Qos::AtLeastOnce, "a"));
    client.publish(message(Qos::AtLeastOnce, "b"));
    client.expect_sent();
    subscribe(&mut client, vec![to("a")], Properties::new());
    client.expect_send(Packet::Subscribe(Subscribe::new(id(2), vec![to("a")])));
}

#[test]
fn an_unanswered_subscribe_fails_with_its_connection_and_frees_its_identifier() {
    let mut client = TestClient::connected(lasting());
    let token = subscribe(&mut client, vec![to("a")], Properties::new());
    client.expect_sent();
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_failed(token, Failure::ConnectionLost);
    assert!(client.next().is_some(), "Event::Disconnected");
    client.advance(crate::support::seconds(1));
    client.connect_again(resumed([]));
    client.expect_nothing();
    assert_eq!(client.client.in_flight(), 0);
}

#[test]
fn what_the_server_does_not_offer_is_not_asked_for() {
    let identified = Properties::new().with(Property::SubscriptionIdentifier(1));
    for (property, subscription, properties, feature) in [
        (Property::WildcardSubscriptionAvailable(0), to("a/+"), Properties::new(), "wildcard subscriptions"),
        (Property::SharedSubscriptionAvailable(0), to("$share/g/a"), Properties::new(), "shared subscriptions"),
        (Property::SubscriptionIdentifierAvailable(0), to("a"), identified, "subscription identifiers"),
    ] {
        let mut client = TestClient::connected_to(options(Version::V5_0), offering([property]));
        let token = subscribe(&mut client, vec![subscription], properties);
        client.expect_failed(token, Failure::NotOffered { feature });
        client.expect_nothing();
        let plain = subscribe(&mut client, vec![to("a")], Properties::new());
        assert!(matches!(client.expect_sent(), Packet::Subscribe(_)), "{plain:?}");
    }
}

#[test]
fn what_the_standard_forbids_is_not_sent() {
    let no_local = SubscriptionOptions { no_local: true, ..SubscriptionOptions::default() };
    let shared = Subscription { filter: TopicFilter::literal("$share/g/a"), options: no_local };
    let two = Properties::new().with(Property::SubscriptionIdentifier(1)).with(Property::SubscriptionIdentifier(2));
    let zero = Properties::new().with(Property::SubscriptionIdentifier(0));
    for (subscriptions, properties) in
        [(vec![], Properties::new()), (vec![shared], Properties::new()), (vec![to("a")], two), (vec![to("a")], zero)]
    {
        let mut client = TestClient::connected(options(Version::V5_0));
        let token = subscribe(&mut client, subscriptions, properties);
        match client.next() {
            Some(squall_client::core::effect::Effect::Done { token: of, outcome: Outcome::Failed(failure) }) => {
                assert_eq!(of, token);
                assert!(matches!(failure, Failure::NotAllowed { .. }), "{failure}");
            }
            other => panic!("expected a failure, saw {other:?}"),
        }
        client.expect_nothing();
    }
    let mut client = TestClient::connected(options(Version::V5_0));
    let token = client.token();
    client.input(Input::Unsubscribe { token, filters: vec![] });
    client.expect_failed(token, Failure::NotAllowed { what: "UNSUBSCRIBE without a filter" });
}

#[test]
fn subscribe_carries_what_may_stand_in_it_and_nothing_else() {
    let user = Property::UserProperty((Text::literal("a"), Text::literal("b")));
    let given = Properties::new()
        .with(Property::SubscriptionIdentifier(VARIABLE_BYTE_INTEGER_MAX))
        .with(Property::ContentType(Text::literal("text/plain")))
        .with(user.clone());
    let sent = Properties::new().with(Property::SubscriptionIdentifier(VARIABLE_BYTE_INTEGER_MAX)).with(user);
    for (version, expected) in [(Version::V5_0, sent), (Version::V3_1_1, Properties::new())] {
        let mut client = TestClient::connected(options(version));
        subscribe(&mut client, vec![to("a")], given.clone());
        let Packet::Subscribe(subscribe) = client.expect_sent() else { panic!("expected SUBSCRIBE") };
        assert_eq!(subscribe.properties, expected, "{version}");
    }
}

#[test]
fn a_subscription_identifier_is_from_1_to_the_largest_variable_byte_integer() {
    for identifier in [0, VARIABLE_BYTE_INTEGER_MAX + 1, u32::MAX] {
        let properties = Properties::new().with(Property::SubscriptionIdentifier(identifier));
        let mut client = TestClient::connected(options(Version::V5_0));
        let token = subscribe(&mut client, vec![to("a")], properties.clone());
        client.expect_failed(token, Failure::NotAllowed { what: "a Subscription Identifier out of bounds" });
        client.expect_nothing();
        // Before 5.0 there are none, so nothing is wrong with it.
        let mut client = TestClient::connected(options(Version::V3_1_1));
        subscribe(&mut client, vec![to("a")], properties);
        assert!(matches!(client.expect_sent(), Packet::Subscribe(_)));
    }
}
