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
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::{TestClient, disconnect, lasting, message, offering, publish, success};

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
    assert_eq!(connect.properties().authentication_method().as_deref(), Some("COUNT"));
    assert_eq!(connect.properties().authentication_data(), Some(&b"zero"[..]));
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

/// As `Counting`, but an answer takes its time.
#[derive(Debug)]
struct Pondering;

impl Method for Pondering {
    fn name(&self) -> Text {
        Counting.name()
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Counting)
    }

    fn is_slow(&self) -> bool {
        true
    }
}

fn pondering() -> Options {
    Options { authentication: Some(Arc::new(Pondering)), ..lasting() }
}

fn connected_slowly() -> TestClient {
    let mut client = asking(pondering());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    let question = client.expect_question();
    client.expect_nothing();
    client.input(Input::Authenticated(question.answer()));
    client.expect_send(auth(ReasonCode::ContinueAuthentication, "COUNT", "two"));
    welcome(&mut client, offering(said("COUNT", "three").iter().cloned()));
    assert!(client.client.is_connected());
    client.next();
    client.expect_nothing();
    client
}

#[test]
fn an_answer_that_takes_its_time_is_asked_for_and_sent_when_it_is_there() {
    let mut client = connected_slowly();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_send(auth(ReasonCode::ReAuthenticate, "COUNT", "zero"));
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    let question = client.expect_question();
    // Meanwhile everything else goes on.
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_send(publish(Qos::AtLeastOnce, 1, "x"));
    client.input(Input::Authenticated(question.answer()));
    client.expect_send(auth(ReasonCode::ContinueAuthentication, "COUNT", "two"));
    client.server(auth(ReasonCode::Success, "COUNT", "three"));
    client.expect_done(token, Outcome::Reauthenticated);
    client.expect_nothing();
}

#[test]
fn a_server_that_does_not_wait_for_the_answer_is_left() {
    let mut client = asking(pondering());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_question();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_violation(ReasonCode::ProtocolError);

    let mut client = asking(pondering());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_question();
    welcome(&mut client, offering(said("COUNT", "three").iter().cloned()));
    client.expect_close();
    let cause = "the server is convinced before it was answered";
    client.expect_disconnected(DisconnectCause::Authentication(cause.to_owned()), false);

    let mut client = connected_slowly();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_sent();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    client.expect_question();
    client.server(auth(ReasonCode::Success, "COUNT", "three"));
    client.expect_failed(token, Failure::ConnectionLost);
    client.expect_violation(ReasonCode::ProtocolError);
}

#[test]
fn an_answer_for_a_connection_that_is_gone_is_passed_over() {
    let mut client = asking(pondering());
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    let first = client.expect_question();
    client.lose_and_wait();
    client.expect_open();
    client.input(Input::Opened);
    client.expect_connect();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    let second = client.expect_question();
    client.input(Input::Authenticated(first.answer()));
    client.expect_nothing();
    client.input(Input::Authenticated(second.answer()));
    client.expect_send(auth(ReasonCode::ContinueAuthentication, "COUNT", "two"));

    let mut client = connected_slowly();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_sent();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "one"));
    let late = client.expect_question();
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_failed(token, Failure::ConnectionLost);
    client.next();
    client.input(Input::Authenticated(late.answer()));
    client.expect_nothing();
}

#[test]
fn an_answer_that_fails_fails_what_asked_for_it() {
    let mut client = connected_slowly();
    let token = client.token();
    client.input(Input::Reauthenticate { token });
    client.expect_sent();
    client.server(auth(ReasonCode::ContinueAuthentication, "COUNT", "five"));
    let question = client.expect_question();
    client.input(Input::Authenticated(question.answer()));
    client.expect_failed(token, Failure::ConnectionLost);
    client.expect_send(disconnect(ReasonCode::UnspecifiedError));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Authentication("not one".to_owned()), false);
    client.expect_nothing();
}

#[test]
fn the_short_form_of_success_names_no_method_and_another_method_is_a_violation() {
    let authenticating = || {
        let mut client = connected();
        let token = client.token();
        client.input(Input::Reauthenticate { token });
        client.expect_sent();
        (client, token)
    };
    // Nothing is wrong with the packet, and this method wants proof.
    let (mut client, token) = authenticating();
    client.server(Packet::Auth(Auth::new(ReasonCode::Success)));
    client.expect_failed(token, Failure::ConnectionLost);
    client.expect_send(disconnect(ReasonCode::UnspecifiedError));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Authentication("not three".to_owned()), false);

    let user = Properties::new().with(Property::UserProperty((Text::literal("a"), Text::literal("b"))));
    for wrong in [
        auth(ReasonCode::Success, "OTHER", "three"),
        auth(ReasonCode::ContinueAuthentication, "OTHER", "one"),
        Packet::Auth(Auth::new(ReasonCode::ContinueAuthentication)),
        Packet::Auth(Auth { reason: ReasonCode::Success, properties: user }),
    ] {
        let (mut client, token) = authenticating();
        client.server(wrong);
        client.expect_failed(token, Failure::ConnectionLost);
        client.expect_violation(ReasonCode::ProtocolError);
    }
}
