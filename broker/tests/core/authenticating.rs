//! Enhanced authentication, at CONNECT and again, and to whom a session belongs.

use bytes::Bytes;
use squall_broker::core::{
    access::{Answer, Authenticator, Exchange},
    effect::{AuthenticationOutcome, AuthenticationRequest, CloseCause, ConnectionId},
};
use squall_codec::{
    packet::{Auth, Connect, Disconnect, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::*;

const METHOD: &str = "COUNT";

/// Wants to hear "one", "two" and "three" in turn, and says what comes next.
#[derive(Debug)]
struct Counting {
    heard: usize,
    user: &'static str,
}

struct Counter;

const WORDS: [&str; 3] = ["one", "two", "three"];

impl Counting {
    fn hear(self, data: Option<Bytes>) -> AuthenticationOutcome {
        let said = Some(Bytes::from_static(b"go on"));
        match data {
            Some(data) if data == "another" => {
                AuthenticationOutcome::Allowed { user: Some(Text::literal("another")), data: None }
            }
            Some(data) if data == "large" => {
                AuthenticationOutcome::Continue { data: Some(Bytes::from(vec![0; 1000])), exchange: Box::new(self) }
            }
            Some(data) if data == WORDS[self.heard] && self.heard == 2 => AuthenticationOutcome::Allowed {
                user: Some(Text::literal(self.user)),
                data: Some(Bytes::from_static(b"well done")),
            },
            Some(data) if data == WORDS[self.heard] => {
                let next = Counting { heard: self.heard + 1, ..self };
                AuthenticationOutcome::Continue { data: said, exchange: Box::new(next) }
            }
            _ => AuthenticationOutcome::Refused(ReasonCode::NotAuthorized),
        }
    }
}

impl Exchange for Counting {
    fn next(self: Box<Self>, data: Option<Bytes>) -> Answer {
        Answer::Now((*self).hear(data))
    }
}

impl Authenticator for Counter {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        Answer::Now(match request.method {
            Some(method) if method == METHOD => {
                if request.again {
                    assert_eq!(request.username.as_deref(), Some("counter"), "who it was is told");
                }
                Counting { heard: 0, user: "counter" }.hear(request.data)
            }
            Some(_) => AuthenticationOutcome::Refused(ReasonCode::BadAuthenticationMethod),
            None if request.username.as_deref() == Some("wrong") => AuthenticationOutcome::Continue {
                data: None,
                exchange: Box::new(Counting { heard: 0, user: "counter" }),
            },
            None => AuthenticationOutcome::Allowed { user: request.username, data: None },
        })
    }
}

fn properties(method: &str, data: &str) -> Properties {
    Properties::new()
        .with(Property::AuthenticationMethod(Text::new(method).expect("a method")))
        .with(Property::AuthenticationData(Bytes::copy_from_slice(data.as_bytes())))
}

fn auth(reason: ReasonCode, method: &str, data: &str) -> Packet {
    Packet::Auth(Auth { reason, properties: properties(method, data) })
}

fn proceed(data: &str) -> Packet {
    auth(ReasonCode::ContinueAuthentication, METHOD, data)
}

fn again(data: &str) -> Packet {
    auth(ReasonCode::ReAuthenticate, METHOD, data)
}

fn asking(method: &str, data: &str) -> Connect {
    let mut connect = clean(V5, "alice");
    properties(method, data).iter().for_each(|property| connect.push_property(property.clone()));
    connect
}

/// A broker whose authenticator counts, and alice who has said "one" and was answered.
fn begun(connect: Connect) -> (TestBroker, ConnectionId) {
    let mut broker = TestBroker::new();
    broker.authenticator = Some(Box::new(Counter));
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(connect));
    broker.expect(alice, proceed("go on"));
    (broker, alice)
}

/// Alice is in.
fn counted() -> (TestBroker, ConnectionId) {
    let (mut broker, alice) = begun(asking(METHOD, "one"));
    broker.recv(alice, proceed("two"));
    broker.expect(alice, proceed("go on"));
    broker.recv(alice, proceed("three"));
    let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(connack.properties.authentication_method().map(|method| &**method), Some(METHOD));
    assert_eq!(connack.properties.authentication_data().map(|data| &data[..]), Some(&b"well done"[..]));
    (broker, alice)
}

#[track_caller]
fn refused(broker: &mut TestBroker, client: ConnectionId, reason: ReasonCode) -> CloseCause {
    let Packet::Connack(connack) = broker.next(client) else { panic!("no CONNACK") };
    assert_eq!((connack.reason, connack.session_present), (reason, false));
    broker.closed(client)
}

#[test]
fn an_exchange_of_several_steps_lets_the_client_in() {
    let (mut broker, alice) = counted();
    broker.recv(alice, Packet::Pingreq);
    broker.expect(alice, Packet::Pingresp);
    assert_eq!(broker.statistics().failed_authentications, 0);
}

#[test]
fn a_wrong_word_in_the_exchange_is_refused_and_counted() {
    let (mut broker, alice) = begun(asking(METHOD, "one"));
    broker.recv(alice, proceed("three"));
    assert_eq!(refused(&mut broker, alice, ReasonCode::NotAuthorized), CloseCause::Refused(ReasonCode::NotAuthorized));
    assert_eq!(broker.statistics().failed_authentications, 1);
    assert_eq!(broker.statistics().sessions, 0);
}

#[test]
fn a_method_that_nobody_knows_is_refused() {
    let mut broker = TestBroker::new();
    broker.authenticator = Some(Box::new(squall_broker::core::access::AllowAll));
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(asking("GS2-KRB5", "x")));
    refused(&mut broker, alice, ReasonCode::BadAuthenticationMethod);
}

#[test]
fn only_auth_and_disconnect_may_come_before_the_exchange_is_over() {
    let out_of_place = [
        Packet::Pingreq,
        Packet::Publish(publish("t", "too early")),
        Packet::Connect(asking(METHOD, "one")),
        again("one"),
        auth(ReasonCode::ContinueAuthentication, "OTHER", "two"),
    ];
    for packet in out_of_place {
        let (mut broker, alice) = begun(asking(METHOD, "one"));
        broker.recv(alice, packet);
        let cause = refused(&mut broker, alice, ReasonCode::ProtocolError);
        assert!(matches!(cause, CloseCause::Violation { reason: ReasonCode::ProtocolError, .. }), "{cause}");
        assert_eq!(broker.statistics().sessions, 0);
    }
    let (mut broker, alice) = begun(asking(METHOD, "one"));
    broker.recv(alice, Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
    assert_eq!(broker.closed(alice), CloseCause::Disconnected);
}

#[test]
fn a_client_that_speaks_while_the_authenticator_thinks_is_out_of_turn() {
    let (mut broker, alice) = begun(asking(METHOD, "one"));
    broker.authenticates = Habit::Late;
    broker.recv(alice, proceed("two"));
    broker.quiet(alice);
    broker.recv(alice, proceed("three"));
    refused(&mut broker, alice, ReasonCode::ProtocolError);
}

#[test]
fn the_connect_timeout_covers_the_whole_exchange() {
    let (mut broker, alice) = begun(asking(METHOD, "one"));
    broker.advance(seconds(6));
    broker.recv(alice, proceed("two"));
    broker.expect(alice, proceed("go on"));
    broker.advance(seconds(4));
    assert_eq!(broker.closed(alice), CloseCause::ConnectTimeout);
}

#[test]
fn a_client_without_a_method_is_never_sent_auth() {
    for version in [V5, V3] {
        let mut broker = TestBroker::new();
        broker.authenticator = Some(Box::new(Counter));
        let alice = broker.open();
        broker.recv(alice, Packet::Connect(named(clean(version, "alice"), "wrong")));
        if version == V5 {
            refused(&mut broker, alice, ReasonCode::ImplementationSpecificError);
        } else {
            broker.closed(alice);
        }
        let (bob, connack) = broker.join_as(clean(version, "bob"));
        assert_eq!(connack.properties.authentication_method(), None);
        if version == V5 {
            broker.recv(bob, again("one"));
            broker.disconnected(bob, ReasonCode::ProtocolError);
        }
    }
}

#[test]
fn auth_that_is_too_large_for_the_client_ends_the_exchange() {
    let mut connect = asking(METHOD, "large");
    connect.push_property(Property::MaximumPacketSize(100));
    let mut broker = TestBroker::new();
    broker.authenticator = Some(Box::new(Counter));
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(connect));
    refused(&mut broker, alice, ReasonCode::PacketTooLarge);
}

#[test]
fn a_client_that_is_in_proves_itself_again_while_everything_goes_on() {
    let (mut broker, alice) = counted();
    for _ in 0..2 {
        broker.recv(alice, again("one"));
        broker.expect(alice, proceed("go on"));
        broker.subscribed(alice, "t", QOS_0);
        broker.recv(alice, publish("t", "meanwhile"));
        assert_eq!(broker.payloads(alice), ["meanwhile"]);
        broker.recv(alice, proceed("two"));
        broker.expect(alice, proceed("go on"));
        broker.recv(alice, proceed("three"));
        broker.expect(alice, auth(ReasonCode::Success, METHOD, "well done"));
    }
    broker.quiet(alice);
}

#[test]
fn a_failed_re_authentication_ends_the_connection_and_the_will_is_sent() {
    let cases = [
        (again("three"), ReasonCode::NotAuthorized),
        // The same client as another user.
        (again("another"), ReasonCode::NotAuthorized),
        (auth(ReasonCode::ReAuthenticate, "OTHER", "one"), ReasonCode::ProtocolError),
        (proceed("one"), ReasonCode::ProtocolError),
    ];
    for (packet, reason) in cases {
        let mut connect = asking(METHOD, "one");
        connect.set_will(Some(will("will", "gone")));
        let (mut broker, alice) = begun(connect);
        for word in ["two", "three"] {
            broker.recv(alice, proceed(word));
            broker.next(alice);
        }
        let watcher = broker.join(clean(V5, "watcher"));
        broker.subscribed(watcher, "will", QOS_0);
        broker.recv(alice, packet);
        broker.disconnected(alice, reason);
        assert_eq!(broker.payloads(watcher), ["gone"]);
    }
}

#[test]
fn a_second_re_authentication_does_not_begin_within_the_first() {
    let (mut broker, alice) = counted();
    broker.recv(alice, again("one"));
    broker.next(alice);
    broker.recv(alice, again("one"));
    broker.disconnected(alice, ReasonCode::ProtocolError);
}

fn knocks(broker: &mut TestBroker, connect: Connect) -> ReasonCode {
    let connection = broker.open();
    broker.connect(connection, connect).reason
}

#[test]
fn the_session_of_a_user_is_nobody_elses() {
    for version in [Version::V3_1, V3, V5] {
        let mut broker = TestBroker::new();
        let alice = broker.join(named(durable(version, "car"), "alice"));
        for intruder in [durable(version, "car"), named(durable(version, "car"), "mallory"), clean(version, "car")] {
            assert_eq!(knocks(&mut broker, intruder), ReasonCode::NotAuthorized);
            broker.quiet(alice);
        }
        broker.drop_connection(alice);
        assert_eq!(knocks(&mut broker, named(durable(version, "car"), "mallory")), ReasonCode::NotAuthorized);
        let (_, connack) = broker.join_as(named(durable(version, "car"), "alice"));
        assert_eq!(connack.session_present, version != Version::V3_1);
    }
}

#[test]
fn an_anonymous_session_is_anybodys_and_then_the_users_who_took_it() {
    let mut broker = TestBroker::new();
    broker.join(durable(V5, "car"));
    let (_, connack) = broker.join_as(named(durable(V5, "car"), "alice"));
    assert!(connack.session_present);
    assert_eq!(knocks(&mut broker, durable(V5, "car")), ReasonCode::NotAuthorized);
}

#[test]
fn a_session_that_has_ended_belongs_to_nobody() {
    let mut broker = TestBroker::new();
    let alice = broker.join(named(expiring(V5, "car", 10), "alice"));
    broker.drop_connection(alice);
    broker.advance(seconds(9));
    assert_eq!(knocks(&mut broker, named(expiring(V5, "car", 10), "bob")), ReasonCode::NotAuthorized);
    broker.advance(seconds(1));
    broker.join(named(clean(V5, "car"), "bob"));
}

#[test]
fn where_sessions_belong_to_nobody_the_client_identifier_is_enough() {
    let mut broker = TestBroker::with(|config| config.sessions_belong_to_users = false);
    let alice = broker.join(named(durable(V5, "car"), "alice"));
    let (_, connack) = broker.join_as(named(durable(V5, "car"), "bob"));
    assert!(connack.session_present);
    broker.disconnected(alice, ReasonCode::SessionTakenOver);
}
