//! Any sequence of inputs: no panic, deadlines that move on, equal effects for equal inputs, and bounds that hold.

use std::time::Duration;

use proptest::prelude::*;
use squall_broker::core::{
    HashKey,
    access::{Answer, Exchange},
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, ConnectionId, Effect, Input, PeerInfo},
    limits::QueuePolicy,
};
use squall_codec::{
    packet::{Ack, Auth, Disconnect, Packet, Subscribe, Subscription, SubscriptionOptions},
    property::Property,
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    time::Now,
    version::Version,
    wire::Text,
};

use crate::support::{clean, filter, id, publish, unsubscribe, will};

pub(crate) const CONNECTIONS: u64 = 6;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Open(u64),
    Connect { on: u64, version: Version, client: u8, clean: bool, expiry: u8, will: bool, keep_alive: u8, quota: u8 },
    Auth { on: u64, again: bool, other: bool },
    Publish { on: u64, topic: u8, qos: Qos, packet_id: u16, retain: bool, dup: bool, empty: bool },
    Ack { on: u64, kind: u8, packet_id: u16, refuse: bool },
    Subscribe { on: u64, filter: u8, options: SubscriptionOptions },
    Unsubscribe { on: u64, filter: u8 },
    Ping(u64),
    Disconnect { on: u64, with_will: bool, expiry: Option<u8> },
    Malformed(u64),
    Closed(u64),
    Flushed { on: u64, bytes: usize },
    Authenticated { on: u64, allowed: bool },
    Persisted(u64),
    PersistFailed(u64),
    Wait(u16),
    Tick,
}

/// Retained messages of the server's own.
const FIGURES: usize = 53;

/// An exchange whose answers are the game's.
#[derive(Debug)]
struct Endless;

impl Exchange for Endless {
    fn next(self: Box<Self>, _: Option<bytes::Bytes>) -> Answer {
        unreachable!("the game answers for it")
    }
}

const TOPICS: [&str; 4] = ["a", "a/b", "a/b/c", "$x/a"];
const FILTERS: [&str; 6] = ["a", "a/+", "#", "$x/#", "$share/g/a/#", "$share/g/a"];

fn qos() -> impl Strategy<Value = Qos> {
    (0..3u8).prop_map(|bits| Qos::from_bits(bits).expect("0 to 2"))
}

fn options() -> impl Strategy<Value = SubscriptionOptions> {
    (qos(), any::<bool>(), any::<bool>()).prop_map(|(qos, no_local, retain_as_published)| SubscriptionOptions {
        qos,
        no_local,
        retain_as_published,
        ..SubscriptionOptions::default()
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let on = || 1..=CONNECTIONS;
    let topic = || 0..TOPICS.len() as u8;
    let filter = || 0..FILTERS.len() as u8;
    let version = (0..3usize).prop_map(|index| Version::ALL[index]);
    prop_oneof![
        2 => on().prop_map(Step::Open),
        4 => (on(), version, 0..3u8, any::<bool>(), 0..4u8, any::<bool>(), 0..3u8, 0..4u8).prop_map(
            |(on, version, client, clean, expiry, will, keep_alive, quota)| {
                Step::Connect { on, version, client, clean, expiry, will, keep_alive, quota }
            }
        ),
        8 => (on(), topic(), qos(), 1..5u16, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(on, topic, qos, packet_id, retain, dup, empty)| {
                Step::Publish { on, topic, qos, packet_id, retain, dup, empty }
            }
        ),
        8 => (on(), 0..4u8, 1..5u16, any::<bool>())
            .prop_map(|(on, kind, packet_id, refuse)| Step::Ack { on, kind, packet_id, refuse }),
        5 => (on(), filter(), options()).prop_map(|(on, filter, options)| Step::Subscribe { on, filter, options }),
        2 => (on(), filter()).prop_map(|(on, filter)| Step::Unsubscribe { on, filter }),
        1 => on().prop_map(Step::Ping),
        2 => (on(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(on, again, other)| Step::Auth { on, again, other }),
        1 => (on(), any::<bool>(), proptest::option::of(0..4u8))
            .prop_map(|(on, with_will, expiry)| Step::Disconnect { on, with_will, expiry }),
        1 => on().prop_map(Step::Malformed),
        2 => on().prop_map(Step::Closed),
        4 => (on(), 0..200usize).prop_map(|(on, bytes)| Step::Flushed { on, bytes }),
        4 => (on(), prop::bool::weighted(0.9)).prop_map(|(on, allowed)| Step::Authenticated { on, allowed }),
        4 => (0..60u64).prop_map(Step::Persisted),
        1 => (0..60u64).prop_map(Step::PersistFailed),
        3 => (0..5000u16).prop_map(Step::Wait),
        1 => Just(Step::Tick),
    ]
}

/// The input of a step; `None` for those that only let time pass.
pub(crate) fn input(step: &Step) -> Option<Input> {
    let packet = |on: u64, packet: Packet| Some(Input::Packet { connection: ConnectionId(on), packet });
    match *step {
        Step::Open(on) => Some(Input::Opened { connection: ConnectionId(on), peer: PeerInfo::default() }),
        Step::Connect { on, version, client, clean: clean_start, expiry, will: has_will, keep_alive, quota } => {
            let mut connect = clean(version, ["a", "b", ""][usize::from(client)]);
            connect.clean_start = clean_start;
            connect.keep_alive = keep_alive.into();
            if version.has_properties() {
                let expiry_seconds = [0, 1, 5, u32::MAX][usize::from(expiry)];
                connect.push_property(Property::SessionExpiryInterval(expiry_seconds));
                if quota == 3 {
                    connect.push_property(Property::AuthenticationMethod(Text::literal("M")));
                    connect.push_property(Property::TopicAliasMaximum(1));
                }
                if quota > 0 {
                    connect.push_property(Property::ReceiveMaximum(quota.into()));
                    connect.push_property(Property::MaximumPacketSize(u32::from(quota) * 20));
                }
            }
            connect.set_will(has_will.then(|| {
                let mut will = will("a/b", "will");
                if version.has_properties() {
                    will.properties.push(Property::WillDelayInterval(expiry.into()));
                }
                will
            }));
            packet(on, Packet::Connect(connect))
        }
        Step::Publish { on, topic, qos, packet_id, retain, dup, empty } => {
            let mut message = publish(TOPICS[usize::from(topic)], if empty { "" } else { "payload" });
            message.retain = retain;
            if qos > Qos::AtMostOnce {
                message = message.at(qos, Some(id(packet_id)));
                message.dup = dup;
            }
            packet(on, Packet::Publish(message))
        }
        Step::Ack { on, kind, packet_id, refuse } => {
            let reason = if refuse { ReasonCode::UnspecifiedError } else { ReasonCode::Success };
            let ack = Ack::with_reason(id(packet_id), reason);
            packet(
                on,
                match kind {
                    0 => Packet::Puback(ack),
                    1 => Packet::Pubrec(ack),
                    2 => Packet::Pubrel(ack),
                    _ => Packet::Pubcomp(ack),
                },
            )
        }
        Step::Subscribe { on, filter: index, options } => {
            let subscription = Subscription { filter: filter(FILTERS[usize::from(index)]), options };
            packet(on, Packet::Subscribe(Subscribe::new(id(1), vec![subscription])))
        }
        Step::Unsubscribe { on, filter } => {
            packet(on, Packet::Unsubscribe(unsubscribe(1, FILTERS[usize::from(filter)])))
        }
        Step::Auth { on, again, other } => {
            let reason = if again { ReasonCode::ReAuthenticate } else { ReasonCode::ContinueAuthentication };
            let mut auth = Auth::new(reason);
            let method = if other { "N" } else { "M" };
            auth.properties.push(Property::AuthenticationMethod(Text::literal(method)));
            packet(on, Packet::Auth(auth))
        }
        Step::Ping(on) => packet(on, Packet::Pingreq),
        Step::Disconnect { on, with_will, expiry } => {
            let reason = if with_will { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::Success };
            let mut disconnect = Disconnect::new(reason);
            if let Some(expiry) = expiry {
                disconnect.properties.push(Property::SessionExpiryInterval(expiry.into()));
            }
            packet(on, Packet::Disconnect(disconnect))
        }
        Step::Malformed(on) => {
            let mut decoder = Decoder::new(Side::Client, None, 100);
            decoder.extend(&[0, 0]);
            let error = decoder.next_packet().expect_err("type 0 is reserved");
            Some(Input::Malformed { connection: ConnectionId(on), version: None, error })
        }
        Step::Closed(on) => Some(Input::Closed { connection: ConnectionId(on) }),
        Step::Flushed { on, bytes } => Some(Input::Flushed { connection: ConnectionId(on), bytes }),
        Step::Authenticated { on, allowed } => Some(Input::Authenticated {
            connection: ConnectionId(on),
            outcome: match allowed {
                true if on % 2 == 0 => AuthenticationOutcome::Continue { data: None, exchange: Box::new(Endless) },
                true => AuthenticationOutcome::Allowed { user: None, data: None },
                false => AuthenticationOutcome::Refused(ReasonCode::NotAuthorized),
            },
        }),
        Step::Persisted(up_to) => Some(Input::Persisted { up_to }),
        Step::PersistFailed(seq) => Some(Input::PersistFailed { seq, reason: "no".to_owned() }),
        Step::Wait(_) => None,
        Step::Tick => Some(Input::Tick),
    }
}

fn config(policy: QueuePolicy) -> Config {
    let mut config = Config { sys_interval: Some(Duration::from_secs(3)), ..Config::default() };
    config.limits.queue_policy = policy;
    config.limits.held_bytes = 200;
    config.limits.in_flight_bytes = 20;
    config.limits.topic_levels = 2;
    config.limits.queued_messages = 5;
    config.limits.retained_messages = 2;
    config.limits.subscriptions_per_session = 3;
    config.limits.sessions = 3;
    config.limits.receive_maximum = 2;
    config.limits.maximum_packet_size = 100;
    config.limits.unflushed_soft = 1000;
    config.limits.unflushed_hard = 2000;
    config.limits.pipelined_packets = 2;
    config
}

/// Plays the steps and writes down every effect.
fn play(steps: &[Step], key: HashKey, policy: QueuePolicy) -> Vec<String> {
    let mut broker = Broker::new(Now::default(), config(policy), key);
    let mut now = Duration::ZERO;
    let mut open = std::collections::BTreeSet::new();
    let mut log = Vec::new();
    for step in steps {
        if let Step::Wait(millis) = step {
            now += Duration::from_millis((*millis).into());
        }
        // A driver names a connection once, and lets it go before the name comes again in this game.
        if matches!(step, Step::Open(on) if !open.insert(*on)) {
            continue;
        }
        if let Step::Closed(on) = step {
            open.remove(on);
        }
        let input = input(step).unwrap_or(Input::Tick);
        for effect in broker.handle(Now::simulated(now), input) {
            if let Effect::Close { connection, .. } = &effect {
                open.remove(&connection.0);
            }
            log.push(format!("{now:?} {effect:?}"));
        }
        assert!(broker.deadline().is_none_or(|deadline| deadline > now), "a deadline in the past");
        let statistics = broker.statistics();
        assert!(statistics.held_bytes <= 200);
        assert!(statistics.retained_messages <= 2 + FIGURES);
        assert!(statistics.sessions <= 3);
        assert!(statistics.subscriptions <= 9);
        assert!(statistics.unflushed_bytes <= 2500 * CONNECTIONS as usize);
    }
    // In the end everyone leaves, and nothing is left behind but sessions that never end.
    for on in 1..=CONNECTIONS {
        broker.handle(Now::simulated(now), Input::Closed { connection: ConnectionId(on) }).for_each(drop);
    }
    let mut ticks = 0;
    // Sessions end within five seconds or never; the figures below `$SYS` go on.
    let end = now + Duration::from_secs(20);
    while let Some(deadline) = broker.deadline().filter(|deadline| *deadline < end) {
        now = now.max(deadline);
        broker.handle(Now::simulated(now), Input::Tick).for_each(drop);
        ticks += 1;
        assert!(ticks < 1000, "the deadlines never end");
    }
    assert_eq!(broker.statistics().connections, 0);
    assert_eq!(broker.statistics().unflushed_bytes, 0);
    log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_inputs_is_survived_and_gives_equal_effects_again(
        steps in proptest::collection::vec(step(), 0..120)
    ) {
        for policy in [QueuePolicy::DropNewest, QueuePolicy::DropOldest, QueuePolicy::Disconnect] {
            let first = play(&steps, HashKey([1, 2]), policy);
            prop_assert_eq!(&first, &play(&steps, HashKey([1, 2]), policy));
        }
    }
}
