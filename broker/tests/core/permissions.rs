//! What clients see of the rules: who is denied is told, or acknowledged, and nothing is delivered.

use std::sync::Arc;

use squall_broker::core::{
    acl::{Acl, Actions, Rule, RuleFilter, Verdict, Whom},
    effect::{ConnectionId, Input},
};
use squall_codec::{
    packet::{Packet, PacketKind, Subscribe, Subscription},
    property::Property,
    reason::ReasonCode,
};

use crate::support::*;

fn rule(whom: Whom, verdict: Verdict, actions: Actions, filter: &str) -> Rule {
    Rule { whom, verdict, actions, filter: RuleFilter::pattern(filter).expect("a valid filter") }
}

fn allow(actions: Actions, filter: &str) -> Rule {
    rule(Whom::Everybody, Verdict::Allow, actions, filter)
}

fn deny(actions: Actions, filter: &str) -> Rule {
    rule(Whom::Everybody, Verdict::Deny, actions, filter)
}

fn with_rules(rules: impl IntoIterator<Item = Rule>) -> TestBroker {
    let acl = Arc::new(Acl::new(rules));
    TestBroker::with(|config| config.acl = acl)
}

fn reload(broker: &mut TestBroker, rules: impl IntoIterator<Item = Rule>) {
    broker.input(Input::Reload { acl: Arc::new(Acl::new(rules)) });
}

/// Somebody who subscribes to everything and may receive it.
fn watcher(broker: &mut TestBroker) -> ConnectionId {
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_0);
    watcher
}

#[test]
fn a_publish_that_is_denied_is_told_in_5_0_acknowledged_before_and_delivered_to_nobody() {
    let mut broker = with_rules([
        allow(Actions::READ, "#"),
        rule(Whom::User(squall_codec::wire::Text::literal("alice")), Verdict::Allow, Actions::WRITE, "ok/#"),
    ]);
    let watcher = watcher(&mut broker);
    let alice = broker.join(named(clean(V5, "a5"), "alice"));
    broker.recv(alice, publish("no", "0"));
    broker.recv(alice, publish_at(QOS_1, 1, "no", "1"));
    broker.acknowledged(alice, PacketKind::Puback, 1, ReasonCode::NotAuthorized);
    broker.recv(alice, publish_at(QOS_2, 2, "no", "2"));
    broker.acknowledged(alice, PacketKind::Pubrec, 2, ReasonCode::NotAuthorized);
    let old = broker.join(named(clean(V3, "a3"), "alice"));
    broker.recv(old, publish_at(QOS_1, 1, "no", "3"));
    broker.expect(old, puback(1));
    broker.recv(old, publish_at(QOS_2, 2, "no", "4"));
    broker.expect(old, pubrec(2));
    broker.recv(old, Packet::Pubrel(squall_codec::packet::Ack::new(id(2))));
    broker.expect(old, pubcomp(2));
    // Somebody else's rule is nobody's.
    let mallory = broker.join(named(clean(V5, "m"), "mallory"));
    broker.recv(mallory, publish("ok/x", "5"));
    broker.quiet(watcher);
    assert_eq!(broker.statistics().denied_publishes, 6);
    broker.recv(alice, publish("ok/x", "yes"));
    broker.recv(old, publish("ok/x", "yes"));
    assert_eq!(broker.payloads(watcher), ["yes", "yes"]);
}

#[test]
fn a_message_that_is_denied_is_not_retained_either() {
    let mut broker = with_rules([allow(Actions::READ, "#")]);
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, retained("t", "no"));
    assert_eq!(broker.statistics().retained_messages, 0);
}

#[test]
fn each_filter_of_a_subscribe_is_judged_alone() {
    for (version, denied) in [(V5, ReasonCode::NotAuthorized), (V3, ReasonCode::UnspecifiedError)] {
        let mut broker = with_rules([allow(Actions::READ, "a/+"), allow(Actions::WRITE, "#")]);
        let alice = broker.join(clean(version, "alice"));
        let filters = ["a/b", "#", "a/#", "a/+", "c", "$SYS/#"];
        let subscriptions = filters.map(|text| Subscription::new(filter(text), QOS_1)).to_vec();
        let reasons = broker.subscribe(alice, Subscribe::new(id(9), subscriptions));
        let granted = ReasonCode::GrantedQos1;
        assert_eq!(reasons, [granted, denied, denied, granted, denied, denied]);
        assert_eq!(broker.statistics().subscriptions, 2);
        assert_eq!(broker.statistics().denied_subscriptions, 4);
        broker.recv(alice, publish("c", "no"));
        broker.quiet(alice);
    }
}

#[test]
fn what_may_not_be_received_is_delivered_neither_live_nor_from_the_queue_nor_retained() {
    let mut broker = with_rules([
        allow(Actions::READ_WRITE, "#"),
        rule(Whom::Client(squall_codec::wire::Text::literal("alice")), Verdict::Deny, Actions::RECEIVE, "plant/secret"),
    ]);
    let bob = broker.join(clean(V5, "bob"));
    broker.recv(bob, retained("plant/secret", "kept"));
    broker.recv(bob, retained("plant/open", "kept"));
    let alice = broker.join(durable(V5, "alice"));
    broker.subscribed(alice, "plant/#", QOS_1);
    assert_eq!(broker.payloads(alice), ["kept"]);
    broker.recv(bob, publish("plant/secret", "live"));
    broker.recv(bob, publish("plant/open", "live"));
    assert_eq!(broker.payloads(alice), ["live"]);
    broker.drop_connection(alice);
    broker.recv(bob, publish_at(QOS_1, 1, "plant/secret", "queued"));
    broker.recv(bob, publish_at(QOS_1, 2, "plant/open", "queued"));
    let (alice, connack) = broker.join_as(durable(V5, "alice"));
    assert!(connack.session_present);
    assert_eq!(broker.payloads(alice), ["queued"]);
    assert_eq!(broker.statistics().denied_deliveries, 3, "one retained, one live, one for the queue");
}

#[test]
fn what_waits_is_judged_by_the_rules_of_the_moment_it_leaves() {
    let mut broker = with_rules([allow(Actions::READ_WRITE, "#")]);
    let alice = broker.join(durable(V5, "alice"));
    broker.subscribed(alice, "t/#", QOS_1);
    broker.drop_connection(alice);
    let bob = broker.join(clean(V5, "bob"));
    broker.recv(bob, publish_at(QOS_1, 1, "t/secret", "no"));
    broker.recv(bob, publish_at(QOS_1, 2, "t/open", "yes"));
    reload(&mut broker, [allow(Actions::READ_WRITE, "#"), deny(Actions::RECEIVE, "t/secret")]);
    let alice = broker.join(durable(V5, "alice"));
    assert_eq!(broker.payloads(alice), ["yes"]);
    assert_eq!(broker.statistics().denied_deliveries, 1);
    // What was granted stays, and each message is judged.
    broker.recv(bob, publish("t/secret", "no"));
    broker.recv(bob, publish("t/open", "yes"));
    assert_eq!(broker.payloads(alice), ["yes"]);
}

#[test]
fn a_share_gives_its_message_to_one_who_may_have_it() {
    let mut broker = with_rules([
        allow(Actions::READ_WRITE, "#"),
        rule(Whom::User(squall_codec::wire::Text::literal("guest")), Verdict::Deny, Actions::RECEIVE, "t"),
    ]);
    let guest = broker.join(named(clean(V5, "guest"), "guest"));
    let member = broker.join(named(clean(V5, "member"), "member"));
    for connection in [guest, member] {
        let reasons = broker.subscribe(connection, subscribe(1, "$share/g/+", QOS_0));
        assert_eq!(reasons, [ReasonCode::GRANTED_QOS_0]);
    }
    let bob = broker.join(clean(V5, "bob"));
    for _ in 0..4 {
        broker.recv(bob, publish("t", "x"));
    }
    broker.quiet(guest);
    assert_eq!(broker.payloads(member), ["x"; 4]);
    for _ in 0..4 {
        broker.recv(bob, publish("u", "y"));
    }
    assert_eq!(broker.payloads(guest).len() + broker.payloads(member).len(), 4);
}

#[test]
fn a_will_is_judged_when_it_is_due() {
    for (denied_at_connect, denied_when_due) in [(false, true), (true, false), (false, false)] {
        let all = || allow(Actions::READ_WRITE, "#");
        let rules = |denied| if denied { vec![all(), deny(Actions::WRITE, "will")] } else { vec![all()] };
        let mut broker = with_rules(rules(denied_at_connect));
        let watcher = watcher(&mut broker);
        let mut connect = expiring(V5, "alice", 100);
        let mut will = will("will", "gone");
        will.properties.push(Property::WillDelayInterval(5));
        connect.set_will(Some(will));
        let alice = broker.join(connect);
        broker.drop_connection(alice);
        broker.advance(seconds(1));
        reload(&mut broker, rules(denied_when_due));
        broker.advance(seconds(5));
        match denied_when_due {
            true => broker.quiet(watcher),
            false => assert_eq!(broker.payloads(watcher), ["gone"]),
        }
        assert_eq!(broker.statistics().denied_publishes, u64::from(denied_when_due));
    }
}

#[test]
fn the_rules_of_a_user_follow_the_user_and_not_the_client_identifier() {
    let mut broker = with_rules([allow(Actions::READ, "#"), allow(Actions::WRITE, "of/%u/%c")]);
    let watcher = watcher(&mut broker);
    let alice = broker.join(named(clean(V5, "phone"), "alice"));
    broker.recv(alice, publish("of/alice/phone", "yes"));
    broker.recv(alice, publish("of/bob/phone", "no"));
    broker.recv(alice, publish("of/alice/desk", "no"));
    broker.drop_connection(alice);
    let bob = broker.join(named(clean(V5, "phone"), "bob"));
    broker.recv(bob, publish("of/alice/phone", "no"));
    broker.recv(bob, publish("of/bob/phone", "yes"));
    let nobody = broker.join(clean(V5, "other"));
    broker.recv(nobody, publish("of//other", "no"));
    assert_eq!(broker.payloads(watcher), ["yes", "yes"]);
}
