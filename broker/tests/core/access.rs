//! Authentication that takes its time, and topics that are not for clients.

use squall_broker::core::effect::{AuthenticationOutcome, CloseCause, Input};
use squall_codec::{
    packet::{Packet, PacketKind},
    reason::ReasonCode,
};

use crate::support::*;

fn outcome(
    broker: &mut TestBroker,
    connection: squall_broker::core::effect::ConnectionId,
    outcome: AuthenticationOutcome,
) {
    broker.input(Input::Authenticated { connection, outcome });
}

#[test]
fn nothing_is_answered_until_the_authenticator_is() {
    let mut broker = TestBroker::new();
    broker.authenticates = Habit::Late;
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(clean(V5, "alice")));
    broker.recv(alice, subscribe(1, "t", QOS_0));
    broker.recv(alice, publish("t", "before CONNACK"));
    broker.quiet(alice);
    outcome(&mut broker, alice, AuthenticationOutcome::Allowed { user: None, data: None });
    assert!(matches!(broker.next(alice), Packet::Connack(_)));
    assert!(matches!(broker.next(alice), Packet::Suback(_)));
    assert_eq!(broker.payloads(alice), ["before CONNACK"]);
}

#[test]
fn a_refused_client_is_told_why_and_what_it_sent_is_not_looked_at() {
    for (version, reason, code) in [
        (V5, ReasonCode::BadUserNameOrPassword, Some(ReasonCode::BadUserNameOrPassword)),
        (V3, ReasonCode::NotAuthorized, Some(ReasonCode::NotAuthorized)),
        (V3, ReasonCode::BadAuthenticationMethod, None),
    ] {
        let mut broker = TestBroker::new();
        let watcher = broker.join(clean(V5, "watcher"));
        broker.subscribed(watcher, "#", QOS_0);
        broker.authenticates = Habit::Late;
        let alice = broker.open();
        broker.recv(alice, Packet::Connect(clean(version, "alice")));
        broker.recv(alice, publish("t", "too early"));
        outcome(&mut broker, alice, AuthenticationOutcome::Refused(reason));
        if let Some(code) = code {
            let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
            assert_eq!(connack.reason, code);
        }
        assert_eq!(broker.closed(alice), CloseCause::Refused(reason));
        broker.quiet(watcher);
    }
}

#[test]
fn no_take_over_happens_before_the_new_client_is_known() {
    let mut broker = TestBroker::new();
    let alice = broker.join(clean(V5, "alice"));
    broker.authenticates = Habit::Late;
    let mallory = broker.open();
    broker.recv(mallory, Packet::Connect(clean(V5, "alice")));
    outcome(&mut broker, mallory, AuthenticationOutcome::Refused(ReasonCode::NotAuthorized));
    broker.quiet(alice);
}

#[test]
fn the_connect_timeout_runs_while_the_authenticator_thinks() {
    let mut broker = TestBroker::new();
    broker.authenticates = Habit::Late;
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(clean(V5, "alice")));
    broker.advance(seconds(10));
    assert_eq!(broker.closed(alice), CloseCause::ConnectTimeout);
    outcome(&mut broker, alice, AuthenticationOutcome::Allowed { user: None, data: None });
    assert_eq!(broker.statistics().sessions, 0);
}

#[test]
fn packets_before_connack_are_bounded() {
    let mut broker = TestBroker::with(|config| config.limits.pipelined_packets = 2);
    broker.authenticates = Habit::Late;
    let alice = broker.open();
    broker.recv(alice, Packet::Connect(clean(V5, "alice")));
    broker.recv(alice, Packet::Pingreq);
    broker.recv(alice, Packet::Pingreq);
    broker.quiet(alice);
    broker.recv(alice, Packet::Pingreq);
    let Packet::Connack(connack) = broker.next(alice) else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::QuotaExceeded);
    assert!(matches!(broker.closed(alice), CloseCause::Violation { reason: ReasonCode::QuotaExceeded, .. }));
}

#[test]
fn clients_do_not_talk_on_the_servers_own_topics() {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "$SYS/#", QOS_0);
    broker.subscribed(watcher, "$SYSTEM/#", QOS_0);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "$SYS/x", "no"));
    broker.acknowledged(alice, PacketKind::Puback, 1, ReasonCode::NotAuthorized);
    broker.recv(alice, publish_at(QOS_2, 2, "$SYS/x", "no"));
    broker.acknowledged(alice, PacketKind::Pubrec, 2, ReasonCode::NotAuthorized);
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, publish_at(QOS_1, 1, "$SYS/x", "no"));
    broker.expect(bob, puback(1));
    broker.quiet(watcher);
    broker.recv(alice, publish("$SYSTEM/x", "yes"));
    assert_eq!(broker.payloads(watcher), ["yes"]);
}
