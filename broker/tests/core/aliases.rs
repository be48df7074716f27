//! Topic Aliases towards a client: chosen by use, and never ahead of the packet that sets them.

use squall_broker::core::effect::{ConnectionId, Input};
use squall_codec::{
    packet::{Connect, Publish},
    property::Property,
};

use crate::support::*;

const TOPIC: &str = "sport/tennis/player1";

fn taking(mut connect: Connect, aliases: u16) -> Connect {
    connect.push_property(Property::TopicAliasMaximum(aliases));
    connect
}

fn topics(broker: &mut TestBroker, client: ConnectionId, count: usize) -> Vec<(String, Option<u16>)> {
    (0..count)
        .map(|_| broker.next_publish(client))
        .map(|publish: Publish| (publish.topic().to_owned(), publish.topic_alias))
        .collect()
}

fn said(name: &str, alias: Option<u16>) -> (String, Option<u16>) {
    (name.to_owned(), alias)
}

#[test]
fn a_topic_gets_an_alias_at_its_second_use_at_every_qos() {
    for qos in [QOS_0, QOS_1, QOS_2] {
        let mut broker = TestBroker::new();
        let bob = broker.join(taking(clean(V5, "bob"), 5));
        broker.subscribed(bob, "#", qos);
        let alice = broker.join(clean(V5, "alice"));
        for packet_id in 1..=4 {
            let message = publish(TOPIC, "x");
            let message = if qos == QOS_0 { message } else { message.at(qos, Some(id(packet_id))) };
            broker.recv(alice, message);
        }
        let expected = [said(TOPIC, None), said(TOPIC, Some(1)), said("", Some(1)), said("", Some(1))];
        assert_eq!(topics(&mut broker, bob, 4), expected);
    }
}

#[test]
fn no_alias_is_above_what_the_client_takes_or_the_server_is_told_to_set() {
    for (takes, sets, highest) in [(0, 16, 0), (3, 16, 3), (300, 16, 16), (300, 0, 0), (u16::MAX, 255, 255)] {
        let mut broker = TestBroker::with(|config| config.limits.topic_aliases_to_client = sets);
        let bob = broker.join(taking(clean(V5, "bob"), takes));
        broker.subscribed(bob, "#", QOS_0);
        let alice = broker.join(clean(V5, "alice"));
        let mut seen = 0;
        for number in 0..400 {
            for _ in 0..3 {
                broker.recv(alice, publish(&format!("topic/{number}"), "x"));
            }
            seen = topics(&mut broker, bob, 3).iter().filter_map(|(_, alias)| *alias).fold(seen, u16::max);
        }
        assert_eq!(seen, highest, "takes {takes}, sets {sets}");
    }
}

#[test]
fn a_client_of_3_1_1_gets_topics() {
    let mut broker = TestBroker::new();
    let bob = broker.join(clean(V3, "bob"));
    broker.subscribed(bob, "#", QOS_0);
    for _ in 0..3 {
        broker.recv(bob, publish(TOPIC, "x"));
    }
    assert_eq!(topics(&mut broker, bob, 3), [said(TOPIC, None), said(TOPIC, None), said(TOPIC, None)]);
}

#[test]
fn another_connection_knows_no_alias_of_the_one_before() {
    let mut broker = TestBroker::new();
    let bob = broker.join(taking(durable(V5, "bob"), 5));
    broker.subscribed(bob, "#", QOS_1);
    let alice = broker.join(clean(V5, "alice"));
    for packet_id in 1..=3 {
        broker.recv(alice, publish_at(QOS_1, packet_id, TOPIC, "x"));
    }
    assert_eq!(topics(&mut broker, bob, 3)[2], said("", Some(1)));
    broker.drop_connection(bob);
    let bob = broker.join(taking(durable(V5, "bob"), 5));
    // The same three, sent again.
    assert_eq!(topics(&mut broker, bob, 3), [said(TOPIC, None), said(TOPIC, Some(1)), said("", Some(1))]);
}

#[test]
fn whether_a_message_is_too_large_does_not_depend_on_the_aliases() {
    let mut connect = taking(clean(V5, "bob"), 5);
    // PUBLISH at QoS 0: 2 bytes of header, 2 + 20 of topic, 1 of properties, and the payload.
    connect.push_property(Property::MaximumPacketSize(2 + 22 + 1 + 10));
    let mut broker = TestBroker::new();
    let bob = broker.join(connect);
    broker.subscribed(bob, "#", QOS_0);
    let alice = broker.join(clean(V5, "alice"));
    let largest = "0123456789";
    // There is no room to set an alias in these.
    for _ in 0..3 {
        broker.recv(alice, publish(TOPIC, largest));
    }
    assert_eq!(topics(&mut broker, bob, 3), [said(TOPIC, None), said(TOPIC, None), said(TOPIC, None)]);
    for _ in 0..2 {
        broker.recv(alice, publish(TOPIC, "small"));
    }
    assert_eq!(topics(&mut broker, bob, 2), [said(TOPIC, Some(1)), said("", Some(1))]);
    broker.recv(alice, publish(TOPIC, "0123456789A"));
    broker.quiet(bob);
    assert_eq!(broker.statistics().dropped_too_large, 1);
    broker.recv(alice, publish(TOPIC, largest));
    assert_eq!(topics(&mut broker, bob, 1), [said("", Some(1))]);
}

#[test]
fn a_packet_that_uses_an_alias_stays_behind_the_one_that_sets_it() {
    let mut broker = TestBroker::new();
    let bob = broker.join(taking(durable(V5, "bob"), 5));
    for (packet_id, filter) in [(1, TOPIC), (2, "other/topic")] {
        broker.subscribe(bob, subscribe(packet_id, filter, QOS_2));
    }
    let alice = broker.join(clean(V5, "alice"));
    broker.recv(alice, publish_at(QOS_2, 1, TOPIC, "1"));
    broker.next_publish(bob);
    broker.stores = Habit::Late;
    // The one that sets the alias waits for the store; the one that uses it would not have to.
    broker.recv(alice, publish_at(QOS_2, 2, TOPIC, "2"));
    broker.recv(alice, publish(TOPIC, "3"));
    broker.quiet(bob);
    let last = broker.records.last().map_or(0, |(seq, _)| *seq);
    broker.input(Input::Persisted { up_to: last });
    assert_eq!(topics(&mut broker, bob, 2), [said(TOPIC, Some(1)), said("", Some(1))]);
}
