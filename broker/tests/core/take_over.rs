//! Two connections with one Client Identifier ([MQTT-3.1.4-3]).

use squall_broker::core::effect::CloseCause;
use squall_codec::{packet::Packet, reason::ReasonCode, version::Version};

use crate::support::*;

#[test]
fn the_older_connection_is_told_and_closed() {
    for old in Version::ALL {
        for new in Version::ALL {
            let mut broker = TestBroker::new();
            let first = broker.join(clean(old, "alice"));
            let second = broker.join(clean(new, "alice"));
            if old == V5 {
                assert_eq!(broker.disconnected(first, ReasonCode::SessionTakenOver), CloseCause::TakenOver);
            }
            assert_eq!(broker.closed(first), CloseCause::TakenOver);
            broker.recv(second, Packet::Pingreq);
            broker.expect(second, Packet::Pingresp);
            assert_eq!(broker.statistics().connections, 1);
        }
    }
}

#[test]
fn the_session_goes_on_with_what_was_in_flight() {
    for version in [V3, V5] {
        let mut broker = TestBroker::new();
        let first = broker.join(durable(version, "bob"));
        broker.subscribed(first, "t", QOS_2);
        let alice = broker.join(clean(version, "alice"));
        broker.recv(alice, publish_at(QOS_2, 1, "t", "one"));
        broker.expect(first, publish_at(QOS_2, 1, "t", "one"));
        broker.recv(first, publish_at(QOS_2, 8, "other", "from bob"));
        broker.next(first);
        let (second, connack) = broker.join_as(durable(version, "bob"));
        assert!(connack.session_present);
        assert!(broker.next_publish(second).dup);
        // The exchange that bob began is known as well.
        broker.recv(second, pubrel(8));
        broker.expect(second, pubcomp(8));
    }
}

#[test]
fn a_session_without_expiry_does_not_go_on() {
    let mut broker = TestBroker::new();
    let first = broker.join(expiring(V5, "bob", 0));
    broker.subscribed(first, "t", QOS_0);
    let (second, connack) = broker.join_as(expiring(V5, "bob", 60));
    assert!(!connack.session_present);
    assert_eq!(broker.statistics().subscriptions, 0);
    broker.quiet(second);
}

#[test]
fn what_the_old_connection_still_says_is_not_heard() {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "#", QOS_0);
    let first = broker.join(durable(V5, "alice"));
    let second = broker.join(durable(V5, "alice"));
    broker.recv(first, publish("t", "too late"));
    broker.drop_connection(first);
    broker.quiet(watcher);
    broker.quiet(second);
    broker.advance(seconds(1_000_000));
    broker.quiet(second);
}
