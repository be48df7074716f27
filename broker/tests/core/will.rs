//! The Will Message: on which ends of a connection it comes, when, and that it comes once.

use squall_broker::core::effect::{ConnectionId, Input};
use squall_codec::{
    packet::{Connect, Disconnect, Packet},
    property::Property,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use crate::support::*;

fn with_will(mut connect: Connect, delay: u32) -> Connect {
    let mut will = will("w", "gone");
    if connect.version().has_properties() && delay > 0 {
        will.properties.push(Property::WillDelayInterval(delay));
    }
    connect.set_will(Some(will));
    connect
}

/// A broker with a watcher of the will's topic.
fn watched() -> (TestBroker, ConnectionId) {
    let mut broker = TestBroker::new();
    let watcher = broker.join(clean(V5, "watcher"));
    broker.subscribed(watcher, "w", QOS_2);
    (broker, watcher)
}

fn comes(broker: &mut TestBroker, watcher: ConnectionId) {
    assert_eq!(broker.payloads(watcher), ["gone"]);
    broker.advance(seconds(100_000));
    broker.quiet(watcher);
}

fn stays_away(broker: &mut TestBroker, watcher: ConnectionId) {
    broker.advance(seconds(100_000));
    broker.quiet(watcher);
}

#[test]
fn it_comes_when_the_connection_breaks() {
    for version in Version::ALL {
        let (mut broker, watcher) = watched();
        let alice = broker.join(with_will(clean(version, "alice"), 0));
        broker.drop_connection(alice);
        comes(&mut broker, watcher);
    }
}

#[test]
fn it_stays_away_after_disconnect() {
    for version in Version::ALL {
        let (mut broker, watcher) = watched();
        let alice = broker.join(with_will(durable(version, "alice"), 0));
        broker.recv(alice, Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
        stays_away(&mut broker, watcher);
    }
}

#[test]
fn it_comes_after_a_disconnect_with_any_other_reason() {
    for reason in [
        ReasonCode::DisconnectWithWillMessage,
        ReasonCode::UnspecifiedError,
        ReasonCode::ProtocolError,
        ReasonCode::AdministrativeAction,
    ] {
        let (mut broker, watcher) = watched();
        let alice = broker.join(with_will(clean(V5, "alice"), 0));
        broker.recv(alice, Disconnect::new(reason));
        comes(&mut broker, watcher);
    }
}

#[test]
fn it_comes_when_the_server_ends_the_connection() {
    type End = fn(&mut TestBroker, ConnectionId);
    let ends: [End; 3] = [
        |broker, alice| broker.recv_bytes(alice, &[0x00, 0x00]),
        |broker, alice| broker.recv(alice, Packet::Connect(clean(V5, "alice"))),
        |broker, _| broker.advance(seconds(15)),
    ];
    for version in [V3, V5] {
        for end in ends {
            let (mut broker, watcher) = watched();
            let mut connect = with_will(clean(version, "alice"), 0);
            connect.keep_alive = 10;
            let alice = broker.join(connect);
            end(&mut broker, alice);
            comes(&mut broker, watcher);
        }
    }
}

#[test]
fn it_comes_at_shutdown_while_someone_still_listens() {
    let (mut broker, watcher) = watched();
    broker.join(with_will(clean(V5, "alice"), 0));
    broker.join(with_will(expiring(V5, "patient", 60), 10));
    broker.input(Input::Shutdown);
    assert_eq!(text(&broker.next_publish(watcher)), "gone");
    broker.disconnected(watcher, ReasonCode::ServerShuttingDown);
    assert_eq!(broker.deadline(), None, "what would be due later is for the next run");
}

#[test]
fn it_comes_after_a_disconnect_that_is_not_valid() {
    let (mut broker, watcher) = watched();
    let alice = broker.join(with_will(clean(V5, "alice"), 0));
    let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    disconnect.properties.push(Property::SessionExpiryInterval(10));
    broker.recv(alice, disconnect);
    comes(&mut broker, watcher);
}

#[test]
fn it_waits_for_its_delay() {
    let (mut broker, watcher) = watched();
    let alice = broker.join(with_will(expiring(V5, "alice", 60), 10));
    broker.drop_connection(alice);
    broker.advance(seconds(10) - std::time::Duration::from_millis(1));
    broker.quiet(watcher);
    broker.advance(std::time::Duration::from_millis(1));
    comes(&mut broker, watcher);
}

#[test]
fn it_does_not_wait_beyond_the_end_of_the_session() {
    for (expiry, due) in [(0, 0), (5, 5), (10, 10)] {
        let (mut broker, watcher) = watched();
        let alice = broker.join(with_will(expiring(V5, "alice", expiry), 10));
        broker.drop_connection(alice);
        if due > 0 {
            broker.advance(seconds(due) - std::time::Duration::from_millis(1));
            broker.quiet(watcher);
            broker.advance(std::time::Duration::from_millis(1));
        }
        comes(&mut broker, watcher);
    }
}

#[test]
fn coming_back_within_the_delay_cancels_it_for_good() {
    let (mut broker, watcher) = watched();
    let alice = broker.join(with_will(expiring(V5, "alice", 60), 10));
    broker.drop_connection(alice);
    broker.advance(seconds(9));
    let alice = broker.join(expiring(V5, "alice", 60));
    broker.advance(seconds(30));
    broker.quiet(watcher);
    // The new connection has no will of its own.
    broker.drop_connection(alice);
    stays_away(&mut broker, watcher);
}

#[test]
fn coming_back_with_clean_start_ends_the_session_and_sends_it() {
    let (mut broker, watcher) = watched();
    let alice = broker.join(with_will(expiring(V5, "alice", 60), 10));
    broker.drop_connection(alice);
    broker.join(clean(V5, "alice"));
    comes(&mut broker, watcher);
}

#[test]
fn take_over_sends_it_unless_its_session_goes_on_and_its_delay_too() {
    // (delay, expiry of the old session, clean start of the new connection, whether it comes)
    for (delay, expiry, clean_start, expected) in
        [(0, 60, false, true), (0, 0, false, true), (5, 60, false, false), (5, 60, true, true), (5, 0, false, true)]
    {
        let (mut broker, watcher) = watched();
        broker.join(with_will(expiring(V5, "alice", expiry), delay));
        let mut connect = expiring(V5, "alice", 60);
        connect.clean_start = clean_start;
        broker.join(connect);
        match expected {
            true => comes(&mut broker, watcher),
            false => stays_away(&mut broker, watcher),
        }
    }
}

#[test]
fn take_over_sends_it_in_3_1_1() {
    for clean_start in [false, true] {
        let (mut broker, watcher) = watched();
        broker.join(with_will(durable(V3, "alice"), 0));
        let mut connect = durable(V3, "alice");
        connect.clean_start = clean_start;
        broker.join(connect);
        comes(&mut broker, watcher);
    }
}

#[test]
fn disconnect_can_shorten_the_session_and_with_it_the_delay() {
    let (mut broker, watcher) = watched();
    let alice = broker.join(with_will(expiring(V5, "alice", 60), 10));
    let mut disconnect = Disconnect::new(ReasonCode::DisconnectWithWillMessage);
    disconnect.properties.push(Property::SessionExpiryInterval(3));
    broker.recv(alice, disconnect);
    broker.advance(seconds(2));
    broker.quiet(watcher);
    broker.advance(seconds(1));
    comes(&mut broker, watcher);
}

#[test]
fn it_is_a_message_with_quality_properties_and_retain() {
    let (mut broker, watcher) = watched();
    let pair = |name: &str| (Text::new(name).expect("a string"), Text::literal("x"));
    let mut connect = clean(V5, "alice");
    let mut last_words = will("w", "gone");
    last_words.qos = QOS_2;
    last_words.retain = true;
    last_words.properties = [
        Property::UserProperty(pair("b")),
        Property::MessageExpiryInterval(30),
        Property::UserProperty(pair("a")),
        Property::ContentType(Text::literal("text")),
    ]
    .into_iter()
    .collect();
    connect.set_will(Some(last_words));
    let alice = broker.join(connect);
    broker.drop_connection(alice);
    let received = broker.next_publish(watcher);
    assert_eq!((received.qos, received.retain, text(&received)), (QOS_2, false, "gone".to_owned()));
    assert_eq!(received.message_expiry_interval, Some(30));
    let names: Vec<&str> = vec!["b", "a"];
    let properties = received.forwarded_properties();
    assert_eq!(properties.user_properties().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(properties.len(), 3);
    let late = broker.join(clean(V5, "late"));
    broker.subscribed(late, "w", QOS_0);
    assert!(broker.next_publish(late).retain);
}

#[test]
fn an_empty_retained_will_clears_the_retained_message() {
    let (mut broker, watcher) = watched();
    broker.recv(watcher, retained("w", "here"));
    assert_eq!(broker.payloads(watcher), ["here"]);
    let mut connect = clean(V3, "alice");
    let mut last_words = will("w", "");
    last_words.retain = true;
    connect.set_will(Some(last_words));
    let alice = broker.join(connect);
    broker.drop_connection(alice);
    assert_eq!(broker.payloads(watcher), [""]);
    assert_eq!(broker.statistics().retained_messages, 0);
}

#[test]
fn it_is_queued_for_those_who_are_away() {
    let (mut broker, _) = watched();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "w", QOS_1);
    broker.drop_connection(bob);
    let mut connect = with_will(clean(V5, "alice"), 0);
    connect.change_will(|will| will.qos = QOS_1);
    let alice = broker.join(connect);
    broker.drop_connection(alice);
    let bob = broker.join(durable(V5, "bob"));
    assert_eq!(broker.payloads(bob), ["gone"]);
}

#[test]
fn a_refused_connect_leaves_no_will() {
    let (mut broker, watcher) = watched();
    let alice = broker.open();
    let mut connect = with_will(clean(V5, "alice"), 0);
    connect.push_property(Property::AuthenticationMethod(Text::literal("X")));
    broker.connect(alice, connect);
    stays_away(&mut broker, watcher);
}
