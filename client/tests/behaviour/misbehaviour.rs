//! A server that does what it must not.

use squall_client::{
    core::effect::{Input, Token},
    options::Options,
};
use squall_codec::{
    packet::{Auth, Packet, Publish, Suback, Subscribe, Subscription, Unsuback},
    property::Properties,
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
};

use crate::support::{TestClient, by_server, disconnect, id, options, publish, seconds, success};

fn check(packet: Packet) {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        client.server(packet.clone());
        client.expect_violation(ReasonCode::ProtocolError);
    }
}

#[test]
fn a_second_connack_is_a_violation() {
    check(Packet::Connack(Box::new(success())));
}

#[test]
fn packets_that_only_a_client_sends_are_a_violation() {
    check(Packet::Pingreq);
    let subscription = Subscription::new(TopicFilter::literal("a"), Qos::AtMostOnce);
    check(Packet::Subscribe(Subscribe::new(id(1), vec![subscription])));
}

#[test]
fn auth_unasked_for_is_a_violation() {
    check(Packet::Auth(Auth::new(ReasonCode::ContinueAuthentication)));
}

#[test]
fn a_suback_nobody_asked_for_is_a_violation() {
    check(Packet::Suback(Suback::new(id(1), vec![ReasonCode::GrantedQos1])));
    check(Packet::Unsuback(Unsuback::new(id(1), vec![])));
}

#[test]
fn a_publish_without_topic_and_alias_is_a_violation() {
    check(Packet::Publish(Publish::new(&TopicName::literal("t"), "x").without_topic()));
}

#[test]
fn a_suback_with_another_number_of_reasons_is_a_violation() {
    let mut client = TestClient::connected(options(Version::V5_0));
    let subscriptions = vec![Subscription::new(TopicFilter::literal("a"), Qos::AtMostOnce)];
    client.input(Input::Subscribe { token: Token(1), subscriptions, properties: Properties::new() });
    client.expect_sent();
    client.server(Packet::Suback(Suback::new(id(1), vec![ReasonCode::GrantedQos1; 2])));
    client.expect_send(disconnect(ReasonCode::ProtocolError));
    client.expect_close();
}

#[test]
fn anything_before_connack_is_a_violation() {
    for packet in [publish(Qos::AtMostOnce, 0, "x"), Packet::Pingresp, disconnect(ReasonCode::ServerBusy)] {
        for version in Version::ALL {
            let mut client = TestClient::new(options(version));
            client.input(Input::Connect);
            client.expect_open();
            client.input(Input::Opened);
            client.expect_connect();
            client.server(packet.clone());
            client.expect_violation(ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn malformed_bytes_are_answered_with_their_reason() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        let mut decoder = Decoder::new(Side::Server, Some(version), 10);
        decoder.extend(&[0x30, 97]);
        let error = decoder.next_packet().expect_err("a packet of 99 bytes is beyond 10");
        client.input(Input::Malformed { error });
        client.expect_violation(ReasonCode::PacketTooLarge);
    }
}

#[test]
fn a_disconnect_of_the_server_closes_and_says_why() {
    for (reason, again) in [(ReasonCode::ServerShuttingDown, true), (ReasonCode::SessionTakenOver, false)] {
        let mut client = TestClient::connected(options(Version::V5_0));
        client.server(disconnect(reason));
        client.expect_close();
        client.expect_disconnected(by_server(reason), again);
        client.expect_nothing();
    }
}

#[test]
fn after_a_violation_the_client_comes_back_later() {
    let mut client = TestClient::connected(Options { ..options(Version::V3_1_1) });
    client.server(Packet::Pingreq);
    client.expect_violation(ReasonCode::ProtocolError);
    client.advance(seconds(1));
    client.connect_again(success());
}

#[test]
fn packets_after_the_end_are_nothing() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.server(disconnect(ReasonCode::ServerShuttingDown));
    client.expect_close();
    assert!(client.next().is_some(), "Event::Disconnected");
    client.server(publish(Qos::ExactlyOnce, 1, "x"));
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_nothing();
}

#[test]
fn an_unsubscribe_is_not_answered_by_suback() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.input(Input::Unsubscribe { token: Token(1), filters: vec![TopicFilter::literal("a")] });
    client.expect_sent();
    client.server(Packet::Suback(Suback::new(id(1), vec![ReasonCode::GrantedQos1])));
    client.expect_send(disconnect(ReasonCode::ProtocolError));
    client.expect_close();
}

#[test]
fn before_5_0_a_disconnect_of_the_server_is_a_violation() {
    for version in [Version::V3_1, Version::V3_1_1] {
        let mut client = TestClient::connected(options(version));
        client.server(disconnect(ReasonCode::Success));
        client.expect_violation(ReasonCode::ProtocolError);
    }
}
