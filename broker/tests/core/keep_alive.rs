//! Keep Alive: one and a half times, counted from the last packet of the client.

use std::time::Duration;

use squall_broker::core::effect::CloseCause;
use squall_codec::{packet::Packet, reason::ReasonCode, version::Version};

use crate::support::*;

fn alive(version: Version, keep_alive: u16) -> squall_codec::packet::Connect {
    let mut connect = clean(version, "alice");
    connect.keep_alive = keep_alive;
    connect
}

#[test]
fn a_silent_client_is_closed_after_one_and_a_half_keep_alive() {
    for version in Version::ALL {
        let mut broker = TestBroker::new();
        let alice = broker.join(alive(version, 10));
        broker.advance(Duration::from_millis(14_999));
        broker.quiet(alice);
        broker.advance(Duration::from_millis(1));
        if version == V5 {
            assert_eq!(broker.disconnected(alice, ReasonCode::KeepAliveTimeout), CloseCause::KeepAlive);
        }
        assert_eq!(broker.closed(alice), CloseCause::KeepAlive);
    }
}

#[test]
fn any_packet_of_the_client_counts_and_none_of_the_server_does() {
    let mut broker = TestBroker::new();
    let alice = broker.join(alive(V3, 10));
    broker.subscribed(alice, "t", QOS_0);
    broker.advance(seconds(14));
    broker.recv(alice, publish("other", "sign of life"));
    broker.advance(seconds(14));
    broker.quiet(alice);
    let bob = broker.join(clean(V3, "bob"));
    broker.recv(bob, publish("t", "to alice"));
    assert_eq!(broker.payloads(alice), ["to alice"]);
    broker.advance(seconds(1));
    assert_eq!(broker.closed(alice), CloseCause::KeepAlive);
}

#[test]
fn pings_keep_a_client_alive_for_ever() {
    let mut broker = TestBroker::new();
    let alice = broker.join(alive(V5, 1));
    for _ in 0..10_000 {
        broker.advance(Duration::from_millis(1499));
        broker.recv(alice, Packet::Pingreq);
        broker.expect(alice, Packet::Pingresp);
    }
}

#[test]
fn zero_switches_it_off_and_the_longest_is_not_cut_short() {
    let mut broker = TestBroker::new();
    let alice = broker.join(alive(V3, 0));
    assert_eq!(broker.deadline(), None);
    broker.advance(seconds(1_000_000));
    broker.quiet(alice);
    let alice = broker.join(alive(V5, u16::MAX));
    broker.advance(seconds(98_302));
    broker.quiet(alice);
    broker.advance(seconds(1));
    broker.disconnected(alice, ReasonCode::KeepAliveTimeout);
}

#[test]
fn the_servers_keep_alive_holds_for_5_0_clients_only() {
    let mut broker = TestBroker::with(|config| config.server_keep_alive = Some(4));
    let alice = broker.join(alive(V5, 0));
    let bob = broker.join(clean(V3, "bob"));
    broker.advance(Duration::from_millis(5999));
    broker.quiet(alice);
    broker.advance(Duration::from_millis(1));
    broker.disconnected(alice, ReasonCode::KeepAliveTimeout);
    broker.advance(seconds(1000));
    broker.quiet(bob);
}

#[test]
fn a_packet_that_was_there_before_a_late_tick_still_counts() {
    let mut broker = TestBroker::new();
    let alice = broker.join(alive(V5, 10));
    broker.advance(Duration::from_millis(14_999));
    // The driver was busy: the packet is handed over when the deadline is past.
    let late = broker.now() + seconds(1);
    broker.skip_to(late);
    broker.recv(alice, Packet::Pingreq);
    broker.expect(alice, Packet::Pingresp);
    broker.quiet(alice);
    assert_eq!(broker.deadline(), Some(late + seconds(15)));
}
