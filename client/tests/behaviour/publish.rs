//! Messages to the server, at each QoS.

use squall_client::{
    core::effect::{Failure, Outcome},
    options::Options,
};
use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
    wire::Text,
};

use crate::support::{
    TestClient, id, message, offering, options, puback, pubcomp, publish, published, pubrec, pubrel, seconds, success,
};

#[test]
fn qos_0_is_done_when_it_is_handed_over() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        let token = client.publish(message(Qos::AtMostOnce, "x"));
        client.expect_send(Packet::Publish(message(Qos::AtMostOnce, "x")));
        client.expect_done(token, published());
        client.expect_nothing();
    }
}

#[test]
fn qos_1_is_done_at_puback() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        let token = client.publish(message(Qos::AtLeastOnce, "x"));
        client.expect_send(publish(Qos::AtLeastOnce, 1, "x"));
        client.expect_nothing();
        assert_eq!(client.client.in_flight(), 1);
        client.server(puback(1));
        client.expect_done(token, published());
        client.expect_nothing();
        assert_eq!(client.client.in_flight(), 0);
    }
}

#[test]
fn qos_2_is_done_at_pubcomp_with_what_pubrec_said() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let token = client.publish(message(Qos::ExactlyOnce, "x"));
    client.expect_send(publish(Qos::ExactlyOnce, 1, "x"));
    let properties = Properties::new().with(Property::ReasonString(Text::literal("nobody")));
    let said = Ack { properties: properties.clone(), ..Ack::with_reason(id(1), ReasonCode::NoMatchingSubscribers) };
    client.server(Packet::Pubrec(said));
    client.expect_send(pubrel(1));
    client.expect_nothing();
    client.server(pubcomp(1));
    client.expect_done(token, Outcome::Published { reason: ReasonCode::NoMatchingSubscribers, properties });
    client.expect_nothing();
}

#[test]
fn a_refused_message_ends_its_exchange_and_nothing_else() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let first = client.publish(message(Qos::AtLeastOnce, "a"));
    let second = client.publish(message(Qos::ExactlyOnce, "b"));
    client.expect_sent();
    client.expect_sent();
    let refused = Outcome::Published { reason: ReasonCode::NotAuthorized, properties: Properties::new() };
    client.server(Packet::Puback(Ack::with_reason(id(1), ReasonCode::NotAuthorized)));
    client.expect_done(first, refused.clone());
    client.server(Packet::Pubrec(Ack::with_reason(id(2), ReasonCode::NotAuthorized)));
    client.expect_done(second, refused);
    client.expect_nothing();
    assert!(client.client.is_connected());
    assert_eq!(client.client.in_flight(), 0);
}

#[test]
fn what_belongs_to_the_hop_is_the_cores() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let mut given = message(Qos::AtLeastOnce, "x").at(Qos::AtLeastOnce, Some(id(77)));
    given.dup = true;
    given.topic_alias = Some(9);
    given.subscription_identifiers = vec![4];
    client.publish(given);
    client.expect_send(publish(Qos::AtLeastOnce, 1, "x"));
}

#[test]
fn identifiers_in_use_are_not_given_out_again() {
    let mut client = TestClient::connected(options(Version::V5_0));
    for expected in 1..=3 {
        client.publish(message(Qos::AtLeastOnce, "x"));
        client.expect_send(publish(Qos::AtLeastOnce, expected, "x"));
    }
    client.server(puback(2));
    client.next();
    client.publish(message(Qos::AtLeastOnce, "y"));
    client.expect_send(publish(Qos::AtLeastOnce, 4, "y"));
}

#[test]
fn receive_maximum_of_the_server_holds_back_qos_1_and_2_and_nothing_else() {
    let connack = offering([Property::ReceiveMaximum(2)]);
    let mut client = TestClient::connected_to(options(Version::V5_0), connack);
    let a = client.publish(message(Qos::AtLeastOnce, "a"));
    client.publish(message(Qos::ExactlyOnce, "b"));
    client.publish(message(Qos::AtLeastOnce, "c"));
    client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_send(publish(Qos::ExactlyOnce, 2, "b"));
    client.expect_nothing();
    assert_eq!(client.client.queued(), 1);

    let passing = client.publish(message(Qos::AtMostOnce, "q0"));
    client.expect_send(Packet::Publish(message(Qos::AtMostOnce, "q0")));
    client.expect_done(passing, published());

    // PUBREC below 0x80 gives no quota back; PUBCOMP does.
    client.server(pubrec(2));
    client.expect_send(pubrel(2));
    client.expect_nothing();
    client.server(pubcomp(2));
    assert!(client.next().is_some());
    client.expect_send(publish(Qos::AtLeastOnce, 3, "c"));
    client.publish(message(Qos::AtLeastOnce, "d"));
    client.expect_nothing();
    client.server(puback(1));
    client.expect_done(a, published());
    client.expect_send(publish(Qos::AtLeastOnce, 4, "d"));
    client.expect_nothing();
}

#[test]
fn held_back_messages_keep_their_order() {
    let connack = offering([Property::ReceiveMaximum(1)]);
    let mut client = TestClient::connected_to(options(Version::V5_0), connack);
    for payload in ["a", "b", "c"] {
        client.publish(message(Qos::AtLeastOnce, payload));
    }
    for (packet_id, payload) in [(1, "a"), (2, "b"), (3, "c")] {
        client.expect_send(publish(Qos::AtLeastOnce, packet_id, payload));
        client.expect_nothing();
        client.server(puback(packet_id));
        assert!(client.next().is_some());
    }
    client.expect_nothing();
}

#[test]
fn the_queue_is_bounded_and_a_full_one_says_so() {
    let mut client = TestClient::new(Options { queue_limit: 2, ..options(Version::V5_0) });
    client.input(squall_client::core::effect::Input::Connect);
    let first = client.publish(message(Qos::AtMostOnce, "a"));
    client.publish(message(Qos::AtLeastOnce, "b"));
    assert!(!client.client.has_room());
    let third = client.publish(message(Qos::AtLeastOnce, "c"));
    client.connect_again_after_failure(third);
    client.expect_send(Packet::Publish(message(Qos::AtMostOnce, "a")));
    client.expect_done(first, published());
    client.expect_send(publish(Qos::AtLeastOnce, 1, "b"));
    client.expect_nothing();
}

impl TestClient {
    #[track_caller]
    fn connect_again_after_failure(&mut self, full: squall_client::core::effect::Token) {
        self.expect_open();
        self.expect_failed(full, Failure::QueueFull { limit: 2 });
        self.input(squall_client::core::effect::Input::Opened);
        self.expect_connect();
        self.server(Packet::Connack(Box::new(success())));
        assert!(self.next().is_some(), "Event::Connected");
    }
}

#[test]
fn unknown_acknowledgements_are_survived() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        client.server(puback(9));
        client.server(pubcomp(9));
        client.expect_nothing();
        client.server(pubrec(9));
        let reason = if version.has_properties() { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
        client.expect_send(Packet::Pubrel(Ack::with_reason(id(9), reason)));
        client.expect_nothing();
        assert!(client.client.is_connected());
    }
}

#[test]
fn a_refusal_of_an_unknown_message_is_not_answered() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.server(Packet::Pubrec(Ack::with_reason(id(9), ReasonCode::PacketIdentifierInUse)));
    client.expect_nothing();
}

#[test]
fn a_pubrec_that_comes_again_is_answered_again() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    let token = client.publish(message(Qos::ExactlyOnce, "x"));
    client.expect_sent();
    for _ in 0..2 {
        client.server(pubrec(1));
        client.expect_send(pubrel(1));
    }
    client.server(pubcomp(1));
    client.expect_done(token, published());
    client.expect_nothing();
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_no_exchange() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let token = client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_sent();
    client.server(pubcomp(1));
    client.expect_nothing();
    client.server(puback(1));
    client.expect_done(token, published());
}

#[test]
fn a_wildcard_in_a_response_topic_never_leaves() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let properties = Properties::new().with(Property::ResponseTopic(Text::literal("answers/+")));
    let token = client.publish(Publish::new(&TopicName::literal("t"), "x").with_properties(&properties));
    client.expect_failed(token, Failure::NotAllowed { what: "a wildcard in a Response Topic" });
    client.expect_nothing();
}

#[test]
fn without_a_wish_to_connect_nothing_is_taken() {
    let mut client = TestClient::new(options(Version::V5_0));
    let token = client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_failed(token, Failure::Disconnected);
    client.advance(seconds(100));
    client.expect_nothing();
}

#[test]
fn a_message_without_a_topic_never_leaves() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let token = client.publish(message(Qos::AtMostOnce, "x").without_topic());
    client.expect_failed(token, Failure::NotAllowed { what: "a message without a topic" });
    client.expect_nothing();
}

#[test]
fn a_response_topic_without_a_wildcard_leaves_and_before_5_0_it_is_nothing() {
    let asking =
        |topic| message(Qos::AtMostOnce, "x").with_properties(&Properties::new().with(Property::ResponseTopic(topic)));
    for (version, topic) in [(Version::V5_0, "answers"), (Version::V3_1_1, "answers/#")] {
        let mut client = TestClient::connected(options(version));
        client.publish(asking(Text::literal(topic)));
        assert!(matches!(client.expect_sent(), Packet::Publish(_)), "{version}");
    }
}

#[test]
fn a_full_queue_holds_up_only_what_would_wait_in_it_and_its_refusals_leave_nothing_behind() {
    let narrow = Options { queue_limit: 1, durable: true, ..options(Version::V5_0) };
    let mut client = TestClient::connected_to(narrow, offering([Property::ReceiveMaximum(1)]));
    for payload in ["in flight", "waiting"] {
        client.publish(message(Qos::AtLeastOnce, payload));
    }
    while client.next().is_some() {}
    assert!(!client.client.has_room());
    let token = client.publish(message(Qos::AtMostOnce, "passing"));
    client.expect_send(Packet::Publish(message(Qos::AtMostOnce, "passing")));
    client.expect_done(token, published());
    let token = client.publish(message(Qos::AtLeastOnce, "too much"));
    client.expect_failed(token, Failure::QueueFull { limit: 1 });
    client.expect_nothing();
}
