//! Enhanced authentication: the exchange of AUTH packets around any method.

use std::sync::Arc;

use bytes::Bytes;
use squall_client::{
    core::{
        authentication::{Exchange, Method},
        effect::{DisconnectCause, Failure, Input, Outcome},
    },
    options::Options,
};
use squall_codec::{
    packet::{Auth, Connack, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::{TestClient, disconnect, lasting, offering, success};

/// Says its name, answers "one" with "two", and believes "three".
#[derive(Debug)]
struct Counting;

impl Method for Counting {
    fn name(&self) -> Text {
        Text::literal("COUNT")
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Counting)
    }
}

impl Exchange for Counting {
    fn first(&mut self) -> Option<Bytes> {
        Some(Bytes::from_static(b"zero"))
    }

    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Bytes>, String> {
        match data {
            Some(b"one") => Ok(Some(Bytes::from_static(b"two"))),
            _ => Err("not one".to_owned()),
        }
    }

    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), String> {
        if data == Some(b"three") { Ok(()) } else { Err("not three".to_owned()) }
    }
}

fn counting() -> Options {
    Options { authentication: Some(Arc::new(Counting)), ..lasting() }
}

fn said(method: &'static str, data: &'static str) -> Properties {
    Properties::new()
        .with(Property::AuthenticationMethod(Text::literal(method)))
        .with(Property::AuthenticationData(Bytes::from_static(data.as_bytes())))
}

fn auth(reason: ReasonCode, method: &'static str, data: &'static str) -> Packet {
    Packet::Auth(Auth { reason, properties: said(method, data) })
}

/// CONNECT was sent.
fn asking(options: Options) -> TestClient {
    let mut client = TestClient::new(options);
    client.input(Input::Connect);
    client.expect_open();
    client.input(Input::Opened);
    let connect = client.expect_connect();
    assert_eq!(connect.properties.authentication_method(), Some(&Text::literal("COUNT")));
    assert_eq!(connect.properties.authentication_data().map(|data| &data[..]), Some(&b"zero"[..]));
    client
}

fn welcome(client: &mut TestClient, connack: Connack) {
    client.server(Packet::Connack(Box::new(connack)));
}

fn connected() -> TestClient {
    let mut client = asking(counting());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_send(auth(ReasonCode::ContinueAuthentication, "COUNT", "two"));
    welcome(&mut client, offering(said("COUNT", "three").iter().cloned()));
    assert!(client.client.is_connected());
    client.next();
    client.expect_nothing();
    client
}

#[test]
fn a_method_is_named_in_connect_answered_in_auth_and_proven_in_connack() {
    connected();
}

#[test]
fn a_server_that_proves_nothing_is_left_for_good() {
    for connack in [success(), offering(said("COUNT", "four").iter().cloned())] {
        let mut client = asking(counting());
        welcome(&mut client, connack);
        client.expect_close();
        client.expect_disconnected(DisconnectCause::Authentication("not three".to_owned()), false);
        assert!(client.client.is_idle());
    }
}

#[test]
fn an_exchange_that_cannot_go_on_ends_the_connection_for_good() {
    let mut client = asking(counting());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "five"));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Authentication("not one".to_owned()), false);
}

#[test]
fn another_method_than_was_asked_for_is_a_violation() {
    let mut client = asking(counting());
    client.server(auth(ReasonCode::ContinueAuthentication, "OTHER", "one"));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = asking(counting());
    welcome(&mut client, offering(said("OTHER", "three").iter().cloned()));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = asking(counting());
    client.server(auth(ReasonCode::Success, "COUNT", "three"));
    client.expect_violation(ReasonCode::ProtocolError);
}

#[test]
fn auth_that_nobody_asked_for_is_a_violation() {
    let mut client = TestClient::new(lasting());
    client.input(Input::Connect);
    client.expect_open();
    client.input(Input::Opened);
    client.expect_connect();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = TestClient::new(lasting());
    client.input(Input::Connect);
    client.expect_open();
    client.input(Input::Opened);
    client.expect_connect();
    welcome(&mut client, offering(said("COUNT", "one").iter().cloned()));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = TestClient::connected(lasting());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = connected();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_violation(ReasonCode::ProtocolError);
}

#[test]
fn authenticating_anew_is_the_same_exchange_while_the_connection_stands() {
    let mut client = connected();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_send(auth(ReasonCode::ReAuthenticate, "COUNT", "zero"));
    let second = client.token();
    client.input(Input::Reauthenticate { token: second });
    client.expect_failed(second, Failure::NoAuthentication { what: "an exchange that is not over" });
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_send(auth(ReasonCode::ContinueAuthentication, "COUNT", "two"));
    client.server(auth(ReasonCode::Success, "COUNT", "three"));
    client.expect_done(token, Outcome::Reauthenticated);
    client.expect_nothing();
}

#[test]
fn authenticating_anew_fails_with_its_connection() {
    let mut client = connected();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_sent();
    client.server(auth(ReasonCode::Success, "COUNT", "four"));
    client.expect_failed(token, Failure::ConnectionLost);
    client.expect_send(disconnect(ReasonCode::UnspecifiedError));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Authentication("not three".to_owned()), false);

    let mut client = connected();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_sent();
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_failed(token, Failure::ConnectionLost);
}

#[test]
fn without_a_method_nobody_authenticates_anew() {
    for options in [lasting(), Options { version: Version::V3_1_1, ..counting() }] {
        let mut client = TestClient::connected(options);
        let token = client.token();
        client.input(Input::Reauthenticate { token });
        client.expect_failed(token, Failure::NoAuthentication { what: "no method" });
    }
}
