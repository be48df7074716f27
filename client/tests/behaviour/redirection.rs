//! Servers that name another server.

use squall_client::{
    core::effect::{DisconnectCause, Event, Input},
    options::{Options, Reconnect, ServerReference},
};
use squall_codec::{
    packet::{Connack, Disconnect, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::{TestClient, dup, lasting, message, options, publish, resumed, seconds, success};

const FOR_NOW: ReasonCode = ReasonCode::UseAnotherServer;
const FOR_GOOD: ReasonCode = ReasonCode::ServerMoved;

fn following() -> Options {
    Options { server_reference: ServerReference::Follow { most: 3 }, ..lasting() }
}

fn reference(name: &'static str) -> Properties {
    Properties::new().with(Property::ServerReference(Text::literal(name)))
}

/// CONNECT was answered with the name of another server.
#[track_caller]
fn refused(client: &mut TestClient, reason: ReasonCode, name: &'static str, reconnecting: bool) {
    client.input(Input::Opened);
    client.expect_connect();
    let connack = Connack { properties: reference(name), ..Connack::new(reason) };
    client.server(Packet::Connack(Box::new(connack)));
    client.expect_event(Event::Refused { reason });
    left(client, reason, name, reconnecting);
}

/// A connection that stood was ended with the name of another server.
#[track_caller]
fn sent_away(client: &mut TestClient, reason: ReasonCode, name: &'static str, reconnecting: bool) {
    client.server(Packet::Disconnect(Disconnect { reason, properties: reference(name) }));
    left(client, reason, name, reconnecting);
}

#[track_caller]
fn left(client: &mut TestClient, reason: ReasonCode, name: &'static str, reconnecting: bool) {
    client.expect_close();
    let server_reference = Some(Text::literal(name));
    let cause = DisconnectCause::Server { reason, explanation: None, server_reference };
    client.expect_disconnected(cause, reconnecting);
    // No time has passed, but the core is asked.
    client.advance(seconds(0));
}

#[track_caller]
fn lose(client: &mut TestClient) {
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_disconnected(DisconnectCause::Network("reset".to_owned()), true);
}

fn connecting(options: Options) -> TestClient {
    let mut client = TestClient::new(options);
    client.input(Input::Connect);
    client.expect_open();
    client
}

#[test]
fn unless_it_is_asked_to_the_client_tells_and_goes_nowhere() {
    for reason in [FOR_NOW, FOR_GOOD] {
        let mut client = connecting(lasting());
        refused(&mut client, reason, "other.example", false);
        assert!(client.client.is_idle());
        let mut client = TestClient::connected(lasting());
        sent_away(&mut client, reason, "other.example", false);
        assert!(client.client.is_idle());
    }
}

#[test]
fn a_server_that_is_named_is_gone_to_at_once_and_the_session_goes_along() {
    let mut client = TestClient::connected(following());
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_sent();
    sent_away(&mut client, FOR_NOW, "other.example:1884", true);
    client.expect_open_to("other.example", Some(1884));
    let connect = client.shake_hands(resumed([]));
    assert!(!connect.clean_start);
    client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "x")));
    client.expect_nothing();
}

#[test]
fn another_server_for_now_is_left_for_the_first_when_its_connection_ends() {
    let mut client = connecting(following());
    refused(&mut client, FOR_NOW, "other.example", true);
    client.expect_open_to("other.example", None);
    client.shake_hands(success());
    lose(&mut client);
    client.advance(seconds(1));
    client.expect_open();
    refused(&mut client, FOR_NOW, "other.example", true);
    client.expect_open_to("other.example", None);
    lose(&mut client);
    client.advance(seconds(2));
    client.expect_open();
}

#[test]
fn a_server_that_has_moved_is_looked_for_where_it_went() {
    let mut client = connecting(following());
    refused(&mut client, FOR_GOOD, "new.example", true);
    client.expect_open_to("new.example", None);
    client.shake_hands(success());
    lose(&mut client);
    client.advance(seconds(1));
    client.expect_open_to("new.example", None);
    // From there on it is the one to come back to.
    refused(&mut client, FOR_NOW, "third.example", true);
    client.expect_open_to("third.example", None);
    lose(&mut client);
    client.advance(seconds(2));
    client.expect_open_to("new.example", None);
}

#[test]
fn servers_that_send_in_a_circle_are_asked_again_later_and_not_at_once() {
    for reason in [FOR_NOW, FOR_GOOD] {
        let mut client = connecting(following());
        refused(&mut client, reason, "one.example", true);
        client.expect_open_to("one.example", None);
        refused(&mut client, reason, "two.example", true);
        client.expect_open_to("two.example", None);
        refused(&mut client, reason, "one.example", true);
        client.expect_nothing();
        client.advance(seconds(1));
        match reason {
            FOR_NOW => client.expect_open(),
            _ => client.expect_open_to("two.example", None),
        }
        refused(&mut client, reason, "one.example", true);
        client.expect_open_to("one.example", None);
    }
}

#[test]
fn no_more_servers_than_allowed_are_followed_in_a_row() {
    let mut client = connecting(following());
    for (named, next) in [("a", "a"), ("b", "b"), ("c", "c")] {
        refused(&mut client, FOR_NOW, named, true);
        client.expect_open_to(next, None);
    }
    refused(&mut client, FOR_NOW, "d", true);
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_open();

    let mut client = connecting(Options { reconnect: Reconnect::Never, ..following() });
    refused(&mut client, FOR_NOW, "a", true);
    client.expect_open_to("a", None);
    refused(&mut client, FOR_NOW, "a", false);
    assert!(client.client.is_idle());
}

#[test]
fn a_connection_that_stood_a_minute_begins_a_new_search() {
    for (stood, known) in [(60, false), (59, true)] {
        let mut client = connecting(Options { keep_alive: seconds(0), ..following() });
        refused(&mut client, FOR_NOW, "a", true);
        client.expect_open_to("a", None);
        client.shake_hands(success());
        client.advance(seconds(stood));
        sent_away(&mut client, FOR_NOW, "a", true);
        match known {
            true => client.expect_nothing(),
            false => client.expect_open_to("a", None),
        }
    }
}

#[test]
fn of_several_servers_the_first_that_was_not_named_before_is_taken() {
    let mut client = connecting(following());
    refused(&mut client, FOR_NOW, "a:x [::1 a:0 -/- [fe80::1]:1884 b", true);
    client.expect_open_to("fe80::1", Some(1884));
    refused(&mut client, FOR_NOW, "[fe80::1]:1884 b [::2]", true);
    client.expect_open_to("b", None);
    refused(&mut client, FOR_NOW, "b [::2]", true);
    client.expect_open_to("::2", None);
}

#[test]
fn who_names_no_server_that_can_be_read_is_not_followed() {
    for name in ["", " ", "a:99999", "[::1", "http://a/b"] {
        let mut client = connecting(following());
        refused(&mut client, FOR_NOW, name, false);
        assert!(client.client.is_idle(), "{name}");
    }
    let mut client = connecting(following());
    client.input(Input::Opened);
    client.expect_connect();
    client.server(Packet::Connack(Box::new(Connack::new(FOR_GOOD))));
    client.expect_event(Event::Refused { reason: FOR_GOOD });
    client.expect_close();
    assert!(client.client.is_idle());
}

#[test]
fn the_applications_next_connection_is_with_the_first_server() {
    let mut client = connecting(following());
    refused(&mut client, FOR_NOW, "a", true);
    client.expect_open_to("a", None);
    client.shake_hands(success());
    client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
    client.expect_sent();
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Application, false);
    client.input(Input::Connect);
    client.expect_open();
}

#[test]
fn before_5_0_no_server_names_another() {
    let mut client = connecting(Options { version: Version::V3_1_1, ..following() });
    client.input(Input::Opened);
    client.expect_connect();
    client.server(Packet::Connack(Box::new(Connack::new(ReasonCode::NotAuthorized))));
    client.expect_event(Event::Refused { reason: ReasonCode::NotAuthorized });
    client.expect_close();
    assert!(client.client.is_idle());
    assert_eq!(options(Version::V5_0).server_reference, ServerReference::Tell);
}
