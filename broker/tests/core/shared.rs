//! Shared Subscriptions (section 4.8.2).

use std::sync::Arc;

use squall_broker::core::{
    acl::{Acl, Actions, Rule, RuleFilter, Verdict, Whom},
    effect::{ConnectionId, Input},
};
use squall_codec::{
    packet::{Ack, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    wire::Text,
};

use crate::support::*;

/// Two members of a share and a publisher.
fn share(qos: Qos, expiry: u32) -> (TestBroker, [ConnectionId; 2], ConnectionId) {
    let mut broker = TestBroker::new();
    let members = ["one", "two"].map(|name| {
        let member = broker.join(expiring(V5, name, expiry));
        broker.subscribed(member, "$share/g/t", qos);
        member
    });
    let alice = broker.join(clean(V5, "alice"));
    (broker, members, alice)
}

#[test]
fn each_message_goes_to_one_member_and_the_members_take_turns() {
    let (mut broker, [one, two], alice) = share(QOS_0, 0);
    for payload in ["1", "2", "3", "4"] {
        broker.recv(alice, publish("t", payload));
    }
    assert_eq!(broker.payloads(one), ["1", "3"]);
    assert_eq!(broker.payloads(two), ["2", "4"]);
}

#[test]
fn a_member_with_a_subscription_of_its_own_gets_both_copies_with_their_identifiers() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    for (text, identifier) in [("t", 1), ("$share/g/t", 2), ("$share/h/t", 3)] {
        let mut subscribe = subscribe(1, text, QOS_1);
        subscribe.properties.push(Property::SubscriptionIdentifier(identifier));
        broker.subscribe(bob, subscribe);
    }
    broker.recv(bob, publish("t", "hi"));
    let identifiers: Vec<u32> = (0..3).flat_map(|_| broker.next_publish(bob).subscription_identifiers).collect();
    assert_eq!(identifiers, [1, 2, 3]);
    broker.quiet(bob);
}

#[test]
fn members_who_are_away_are_passed_over_while_someone_is_there() {
    let (mut broker, [one, two], alice) = share(QOS_1, 60);
    broker.drop_connection(one);
    for packet_id in 1..=3 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(broker.payloads(two), ["1", "2", "3"]);
    broker.drop_connection(two);
    broker.recv(alice, publish_at(QOS_1, 4, "t", "4"));
    assert_eq!(broker.statistics().queued_messages, 1);
}

#[test]
fn a_member_that_may_be_sent_no_more_is_passed_over_until_it_acknowledges() {
    let mut broker = TestBroker::new();
    let mut connect = clean(V5, "one");
    connect.push_property(Property::ReceiveMaximum(1));
    let (one, two) = (broker.join(connect), broker.join(clean(V5, "two")));
    for member in [one, two] {
        broker.subscribed(member, "$share/g/t", QOS_1);
    }
    let alice = broker.join(clean(V5, "alice"));
    let send = |broker: &mut TestBroker, packet_id: u16| {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    };
    send(&mut broker, 1);
    let first = broker.next_publish(one).packet_id.expect("QoS 1").value();
    (2..=4).for_each(|packet_id| send(&mut broker, packet_id));
    assert_eq!(broker.payloads(two), ["2", "3", "4"]);
    broker.recv(one, puback(first));
    send(&mut broker, 5);
    assert_eq!(broker.payloads(one), ["5"]);
}

#[test]
fn a_member_that_reads_slowly_is_passed_over_until_it_has_caught_up() {
    let mut broker = TestBroker::with(|config| config.limits.unflushed_soft = 64);
    let members = ["one", "two"].map(|name| {
        let member = broker.join(clean(V5, name));
        broker.subscribed(member, "$share/g/t", QOS_0);
        member
    });
    let [one, two] = members;
    let alice = broker.join(clean(V5, "alice"));
    broker.flushes = Habit::Late;
    let flush = |broker: &mut TestBroker, connection| {
        let bytes = broker.unflushed(connection).expect("it is connected");
        broker.input(Input::Flushed { connection, bytes });
    };
    for payload in ["1", "2", "3", "4"] {
        broker.recv(alice, publish("t", payload));
        flush(&mut broker, two);
    }
    assert_eq!(broker.payloads(one), ["1"]);
    assert_eq!(broker.payloads(two), ["2", "3", "4"]);
    flush(&mut broker, one);
    broker.recv(alice, publish("t", "5"));
    assert_eq!(broker.payloads(one), ["5"]);
}

#[test]
fn shared_subscriptions_are_counted() {
    let (mut broker, [one, two], _) = share(QOS_1, 0);
    let counted = |broker: &TestBroker| (broker.statistics().subscriptions, broker.statistics().shared_subscriptions);
    broker.subscribed(one, "t", QOS_1);
    assert_eq!(counted(&broker), (3, 2));
    broker.recv(one, unsubscribe(2, "$share/g/t"));
    assert_eq!(counted(&broker), (2, 1));
    broker.drop_connection(two);
    assert_eq!(counted(&broker), (1, 0));
}

#[test]
fn a_qos_1_message_left_behind_goes_to_another_member_and_a_qos_2_one_does_not() {
    for (qos, expected) in [(QOS_1, 1), (QOS_2, 0)] {
        let (mut broker, [one, two], alice) = share(qos, 0);
        broker.recv(alice, publish_at(qos, 1, "t", "left behind"));
        assert_eq!(broker.payloads(one), ["left behind"]);
        broker.drop_connection(one);
        assert_eq!(broker.payloads(two).len(), expected);
    }
}

#[test]
fn a_message_that_a_member_refuses_goes_to_nobody_else() {
    let (mut broker, [one, two], alice) = share(QOS_1, 0);
    broker.recv(alice, publish_at(QOS_1, 1, "t", "no, thanks"));
    let packet_id = broker.next_publish(one).packet_id.expect("QoS 1");
    broker.recv(one, Packet::Puback(Ack::with_reason(packet_id, ReasonCode::UnspecifiedError)));
    broker.drop_connection(one);
    broker.quiet(two);
}

#[test]
fn a_qos_2_delivery_is_completed_with_the_member_it_began_with() {
    let (mut broker, [one, two], alice) = share(QOS_2, 60);
    broker.recv(alice, publish_at(QOS_2, 1, "t", "begun"));
    broker.next_publish(one);
    broker.drop_connection(one);
    broker.quiet(two);
    let one = broker.join(expiring(V5, "one", 60));
    assert!(broker.next_publish(one).dup);
}

#[test]
fn shares_get_no_retained_messages_and_may_not_have_no_local() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    broker.recv(bob, retained("t", "kept"));
    broker.subscribed(bob, "$share/g/t", QOS_0);
    broker.quiet(bob);
    let mut bytes = vec![0x82, 16, 0, 1, 0, 0, 10];
    bytes.extend_from_slice(b"$share/g/t");
    bytes.push(0b100);
    broker.recv_bytes(bob, &bytes);
    broker.disconnected(bob, ReasonCode::ProtocolError);
}

#[test]
fn unsubscribing_leaves_the_share_to_the_others() {
    let (mut broker, [one, two], alice) = share(QOS_0, 0);
    broker.subscribed(one, "$share/g/t", QOS_1);
    broker.recv(one, unsubscribe(1, "$share/g/t"));
    broker.next(one);
    for payload in ["1", "2"] {
        broker.recv(alice, publish("t", payload));
    }
    broker.quiet(one);
    assert_eq!(broker.payloads(two), ["1", "2"]);
}

#[test]
fn only_the_share_part_is_cut_off_the_filter() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V5, "bob"));
    broker.subscribed(bob, "$share/g//t", QOS_0);
    broker.recv(bob, publish("t", "no"));
    broker.quiet(bob);
    broker.recv(bob, publish("/t", "yes"));
    assert_eq!(broker.payloads(bob), ["yes"]);
}

#[test]
fn before_5_0_the_share_prefix_is_a_level_like_any_other() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V3, "bob"));
    broker.subscribed(bob, "$share/g/t", QOS_0);
    broker.recv(bob, publish("t", "no"));
    broker.quiet(bob);
    broker.recv(bob, publish("$share/g/t", "yes"));
    assert_eq!(broker.payloads(bob), ["yes"]);
    broker.recv(bob, unsubscribe(1, "$share/g/t"));
    broker.next(bob);
    assert_eq!(broker.statistics().subscriptions, 0);
}

#[test]
fn what_waits_for_a_member_goes_to_others_when_its_client_leaves_or_unsubscribes() {
    for leaves in [true, false] {
        let mut broker = TestBroker::new();
        let mut slow = expiring(V5, "slow", 60);
        slow.push_property(Property::ReceiveMaximum(1));
        let slow = broker.join(slow);
        broker.subscribed(slow, "$share/g/t", QOS_1);
        broker.subscribe(slow, subscribe(2, "plain", QOS_1));
        let alice = broker.join(clean(V5, "alice"));
        for (packet_id, name) in [(1, "t"), (2, "t"), (3, "plain"), (4, "t")] {
            broker.recv(alice, publish_at(QOS_1, packet_id, name, &packet_id.to_string()));
        }
        assert_eq!(broker.payloads(slow), ["1"]);
        let other = broker.join(clean(V5, "other"));
        broker.subscribed(other, "$share/g/t", QOS_1);
        broker.quiet(other);
        if leaves {
            broker.drop_connection(slow);
        } else {
            broker.recv(slow, unsubscribe(3, "$share/g/t"));
            broker.next(slow);
        }
        // What was begun stays where it is; what is no share's does too.
        assert_eq!(broker.payloads(other), ["2", "4"]);
        assert_eq!((broker.statistics().queued_messages, broker.statistics().in_flight), (1, 3));
        if !leaves {
            broker.recv(slow, puback(1));
            assert_eq!(broker.payloads(slow), ["3"]);
        }
    }
}

#[test]
fn what_waits_for_a_share_waits_on_while_nobody_is_there() {
    let (mut broker, [one, two], alice) = share(QOS_1, 60);
    broker.drop_connection(two);
    broker.drop_connection(one);
    for packet_id in 1..=2 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(broker.statistics().queued_messages, 2);
    let one = broker.join(expiring(V5, "one", 60));
    let first = broker.payloads(one);
    broker.drop_connection(one);
    assert_eq!(broker.statistics().queued_messages, 1);
    let two = broker.join(expiring(V5, "two", 60));
    assert_eq!([first, broker.payloads(two)].concat().len(), 2);
}

#[test]
fn what_waits_for_a_member_who_leaves_goes_to_one_who_is_busy_and_not_to_one_who_is_away() {
    let mut broker = TestBroker::new();
    let busy = |name| {
        let mut connect = expiring(V5, name, 60);
        connect.push_property(Property::ReceiveMaximum(1));
        connect
    };
    let members = ["one", "two", "three"].map(|name| broker.join(busy(name)));
    for member in members {
        broker.subscribed(member, "$share/g/t", QOS_1);
    }
    let [one, two, three] = members;
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=4 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(members.map(|member| broker.payloads(member).len()), [1, 1, 1]);
    // The fourth waits for the first member.
    broker.drop_connection(three);
    broker.drop_connection(one);
    broker.recv(two, puback(1));
    assert_eq!(broker.payloads(two), ["4"]);
}

#[test]
fn a_broker_that_ends_passes_nothing_on() {
    let mut broker = TestBroker::new();
    let mut slow = expiring(V5, "slow", 60);
    slow.push_property(Property::ReceiveMaximum(1));
    let slow = broker.join(slow);
    broker.subscribed(slow, "$share/g/t", QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in [1, 2] {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(broker.payloads(slow), ["1"]);
    // Who joined last is told to go last.
    let other = broker.join(expiring(V5, "other", 60));
    broker.subscribed(other, "$share/g/t", QOS_1);
    broker.input(Input::Shutdown);
    let is_message = |packet: &Packet| matches!(packet, Packet::Publish(_));
    assert!(!broker.received(other).iter().any(is_message), "a message leaves for a client that has to go");
}

#[test]
fn what_waits_for_a_member_who_leaves_waits_on_for_it_while_the_others_are_away() {
    let mut broker = TestBroker::new();
    let two = broker.join(durable(V5, "two"));
    let mut request = durable(V5, "one");
    request.push_property(Property::ReceiveMaximum(1));
    let one = broker.join(request);
    for member in [one, two] {
        broker.subscribed(member, "$share/g/t", QOS_1);
    }
    broker.drop_connection(two);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=2 {
        broker.recv(alice, publish_at(QOS_1, packet_id, "t", &packet_id.to_string()));
    }
    assert_eq!(broker.payloads(one), ["1"]);
    broker.drop_connection(one);
    let two = broker.join(durable(V5, "two"));
    broker.quiet(two);
    let one = broker.join(durable(V5, "one"));
    assert_eq!(broker.payloads(one), ["1", "2"]);
}

#[test]
fn a_message_left_behind_waits_for_a_member_who_is_away_and_whom_rules_allow() {
    for may_receive in [true, false] {
        let client_id = Text::literal("two");
        let verdict = if may_receive { Verdict::Allow } else { Verdict::Deny };
        let rules = [(Whom::Client(client_id), verdict), (Whom::Everybody, Verdict::Allow)].map(|(whom, verdict)| {
            Rule { whom, verdict, actions: Actions::READ_WRITE, filter: RuleFilter::pattern("#").expect("a filter") }
        });
        let mut broker = TestBroker::new();
        let one = broker.join(clean(V5, "one"));
        let two = broker.join(expiring(V5, "two", 60));
        for member in [one, two] {
            broker.subscribed(member, "$share/g/t", QOS_1);
        }
        broker.input(Input::Reload { acl: Arc::new(Acl::new(rules)) });
        broker.drop_connection(two);
        let alice = broker.join(clean(V5, "alice"));
        broker.recv(alice, publish_at(QOS_1, 1, "t", "left behind"));
        assert_eq!(broker.payloads(one), ["left behind"]);
        broker.drop_connection(one);
        assert_eq!(broker.statistics().queued_messages, usize::from(may_receive));
    }
}

/// What a member of the share asks for, or what a message was published with: QoS, and whether RETAIN (as published).
type Asked = (Qos, bool);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    /// The message waits, and its client leaves while another member is there.
    Leaves,
    /// The message waits, and the session of its client ends.
    Ends,
    /// The same over a crash.
    EndsAfterCrash,
    /// The message was sent and not acknowledged when the session ends.
    EndsInFlight,
}

fn join_share(broker: &mut TestBroker, connection: ConnectionId, (qos, retain_as_published): Asked) {
    let mut request = subscribe(1, "$share/g/t", qos);
    request.subscriptions[0].options.retain_as_published = retain_as_published;
    broker.subscribe(connection, request);
}

/// QoS and RETAIN with which the second member gets a message that the first was given.
fn passed_on(parting: Parting, published: Asked, first: Asked, second: Asked) -> Asked {
    let mut broker = TestBroker::new();
    let mut request = expiring(V5, "one", 60);
    request.push_property(Property::ReceiveMaximum(1));
    let one = broker.join(request);
    join_share(&mut broker, one, first);
    broker.subscribe(one, subscribe(2, "plain", QOS_1));
    let alice = broker.join(clean(V5, "alice"));
    if parting != Parting::EndsInFlight {
        broker.recv(alice, publish_at(QOS_1, 1, "plain", "before it"));
    }
    let mut message = publish_at(published.0, 2, "t", "passed on");
    message.retain = published.1;
    broker.recv(alice, message);
    let two = if parting == Parting::Leaves {
        let two = broker.join(durable(V5, "two"));
        join_share(&mut broker, two, second);
        broker.drop_connection(one);
        two
    } else {
        broker.drop_connection(one);
        if parting == Parting::EndsAfterCrash {
            broker = broker.restart(seconds(1));
        }
        let two = broker.join(durable(V5, "two"));
        join_share(&mut broker, two, second);
        broker.quiet(two);
        broker.advance(seconds(60));
        two
    };
    let message = broker.next_publish(two);
    assert_eq!(text(&message), "passed on");
    broker.quiet(two);
    (message.qos, message.retain)
}

#[test]
fn a_message_passed_on_has_qos_and_retain_by_its_publication_and_the_new_member_alone() {
    let asked =
        |qos: &[_]| -> Vec<Asked> { qos.iter().flat_map(|qos| [false, true].map(|flag| (*qos, flag))).collect() };
    for parting in [Parting::Leaves, Parting::Ends, Parting::EndsAfterCrash, Parting::EndsInFlight] {
        for published in asked(&[QOS_1, QOS_2]) {
            for first in asked(&[QOS_1, QOS_2]) {
                // [MQTT-4.8.2-5] Its delivery has begun.
                if parting == Parting::EndsInFlight && published.0.min(first.0) == QOS_2 {
                    continue;
                }
                for second in asked(&[QOS_0, QOS_1, QOS_2]) {
                    assert_eq!(
                        passed_on(parting, published, first, second),
                        (published.0.min(second.0), published.1 && second.1),
                        "{parting:?}: published {published:?}, given to {first:?} and then to {second:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_message_passed_on_twice_has_the_qos_of_its_publication_again() {
    let mut broker = TestBroker::new();
    let members = ["one", "two", "three"].map(|name| {
        let mut request = expiring(V5, name, 60);
        request.push_property(Property::ReceiveMaximum(1));
        let member = broker.join(request);
        broker.subscribed(member, "plain", QOS_1);
        member
    });
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_1, 1, "plain", "before it"));
    assert_eq!(members.map(|member| broker.payloads(member).len()), [1, 1, 1]);
    let [one, two, three] = members;
    join_share(&mut broker, one, (QOS_2, false));
    broker.recv(alice, publish_at(QOS_2, 2, "t", "passed on"));
    join_share(&mut broker, two, (QOS_1, false));
    broker.drop_connection(one);
    join_share(&mut broker, three, (QOS_2, false));
    broker.drop_connection(two);
    broker.quiet(three);
    broker.recv(three, puback(1));
    let message = broker.next_publish(three);
    assert_eq!((text(&message).as_str(), message.qos), ("passed on", QOS_2));
}
