//! Whatever comes in, in whatever order: no panic, the same effects for the same inputs, one answer for each request.

use std::{collections::BTreeMap, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use squall_client::{
    core::{
        client::Client,
        effect::{Delivery, Effect, Input, Token},
    },
    options::{Acknowledge, OnSessionLost, Options, Reconnect},
};
use squall_codec::{
    packet::{Ack, Auth, Connack, Disconnect, Packet, Publish, Suback, Subscription, Unsuback},
    property::{Properties, Property},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    time::Now,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

/// An input as a value: it can be made twice.
#[derive(Clone, Debug)]
enum Step {
    Connect,
    Opened,
    Lost,
    Packet(Packet),
    Malformed,
    Publish(Qos, bool),
    Subscribe(usize),
    Unsubscribe(usize),
    /// One of the deliveries so far.
    Acknowledge(usize, ReasonCode),
    Disconnect(ReasonCode, Option<u32>),
    Paused,
    Resumed,
    Tick,
    Wait(u64),
}

fn qos() -> impl Strategy<Value = Qos> {
    select(&Qos::ALL[..])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1u16..6).prop_map(|value| PacketId::new(value).expect("not 0"))
}

fn reason() -> impl Strategy<Value = ReasonCode> {
    prop_oneof![Just(ReasonCode::Success), select(ReasonCode::ALL)]
}

fn ack() -> impl Strategy<Value = Ack> {
    (packet_id(), reason()).prop_map(|(packet_id, reason)| Ack::with_reason(packet_id, reason))
}

fn connack() -> impl Strategy<Value = Packet> {
    let offer = select(vec![
        vec![],
        vec![Property::ReceiveMaximum(1)],
        vec![Property::ReceiveMaximum(3), Property::ServerKeepAlive(2)],
        vec![Property::MaximumQos(0), Property::RetainAvailable(0)],
        vec![Property::MaximumPacketSize(9)],
        vec![Property::SessionExpiryInterval(0), Property::AssignedClientIdentifier(Text::literal("given"))],
    ]);
    let reason = prop_oneof![8 => Just(ReasonCode::Success), 1 => reason()];
    (any::<bool>(), reason, offer).prop_map(|(session_present, reason, offer)| {
        let properties = offer.into_iter().collect();
        Packet::Connack(Box::new(Connack { session_present, reason, properties }))
    })
}

fn message() -> impl Strategy<Value = Packet> {
    (qos(), packet_id(), any::<bool>(), option::of(0u16..4), any::<bool>()).prop_map(|(qos, id, dup, alias, named)| {
        let mut publish = Publish::new(&TopicName::literal("t"), "x").at(qos, (qos != Qos::AtMostOnce).then_some(id));
        if !named {
            publish = publish.without_topic();
        }
        publish.dup = dup;
        publish.topic_alias = alias;
        Packet::Publish(publish)
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        4 => connack(),
        6 => message(),
        4 => ack().prop_map(Packet::Puback),
        4 => ack().prop_map(Packet::Pubrec),
        4 => ack().prop_map(Packet::Pubrel),
        4 => ack().prop_map(Packet::Pubcomp),
        3 => (packet_id(), vec(reason(), 0..3)).prop_map(|(id, reasons)| Packet::Suback(Suback::new(id, reasons))),
        3 => (packet_id(), vec(reason(), 0..3)).prop_map(|(id, reasons)| Packet::Unsuback(Unsuback::new(id, reasons))),
        2 => Just(Packet::Pingresp),
        1 => Just(Packet::Pingreq),
        1 => reason().prop_map(|reason| Packet::Disconnect(Disconnect::new(reason))),
        1 => reason().prop_map(|reason| Packet::Auth(Auth::new(reason))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Connect),
        3 => Just(Step::Opened),
        2 => Just(Step::Lost),
        20 => packet().prop_map(Step::Packet),
        1 => Just(Step::Malformed),
        8 => (qos(), any::<bool>()).prop_map(|(qos, retain)| Step::Publish(qos, retain)),
        3 => (0usize..3).prop_map(Step::Subscribe),
        3 => (0usize..3).prop_map(Step::Unsubscribe),
        3 => (any::<usize>(), reason()).prop_map(|(nth, reason)| Step::Acknowledge(nth, reason)),
        1 => (reason(), option::of(0u32..3)).prop_map(|(reason, expiry)| Step::Disconnect(reason, expiry)),
        1 => Just(Step::Paused),
        1 => Just(Step::Resumed),
        4 => Just(Step::Tick),
        4 => (0u64..5000).prop_map(Step::Wait),
    ]
}

/// Mostly from a connection that stands: by chance alone few would.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let connected =
        [Step::Connect, Step::Opened, Step::Packet(Packet::Connack(Box::new(Connack::new(ReasonCode::Success))))];
    (any::<bool>(), vec(step(), 0..80)).prop_map(move |(from_connected, steps)| {
        if from_connected { connected.iter().cloned().chain(steps).collect() } else { steps }
    })
}

fn options() -> impl Strategy<Value = Options> {
    let reconnect = select(vec![
        Reconnect::Never,
        Reconnect::Backoff { first: Duration::ZERO, max: Duration::ZERO },
        Reconnect::Backoff { first: Duration::from_secs(1), max: Duration::from_secs(8) },
    ]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (0u64..5, option::of(0u32..3), option::of(0u16..3), 0u16..3, 0usize..4);
    (select(&Version::ALL[..]), flags, numbers, reconnect).prop_map(|(version, flags, numbers, reconnect)| {
        let (clean_start, existing_session, by_hand, give_up, durable) = flags;
        let (keep_alive, session_expiry_seconds, receive_maximum, topic_alias_maximum, queue_limit) = numbers;
        Options {
            clean_start,
            existing_session,
            keep_alive: Duration::from_secs(keep_alive),
            session_expiry_seconds,
            receive_maximum,
            topic_alias_maximum,
            queue_limit,
            acknowledge: if by_hand { Acknowledge::ByHand } else { Acknowledge::Automatic },
            on_session_lost: if give_up { OnSessionLost::GiveUp } else { OnSessionLost::Republish },
            reconnect,
            durable,
            connect_timeout: Duration::from_secs(3),
            ..Options::new(version, Text::literal("alice"))
        }
    })
}

fn input(step: Step, version: Version, token: &mut u64, deliveries: &[Delivery]) -> Input {
    let mut next = || {
        *token += 1;
        Token(*token)
    };
    let filter = || TopicFilter::literal("a");
    match step {
        Step::Connect => Input::Connect,
        Step::Opened => Input::Opened,
        Step::Lost => Input::Lost { reason: "reset".to_owned() },
        Step::Packet(packet) => Input::Packet { packet },
        Step::Malformed => {
            let mut decoder = Decoder::new(Side::Server, Some(version), 10);
            decoder.extend(&[0x30, 97]);
            Input::Malformed { error: decoder.next_packet().expect_err("a packet of 99 bytes is beyond 10") }
        }
        Step::Publish(qos, retain) => {
            let mut message = Publish::new(&TopicName::literal("t"), "x").at(qos, None);
            message.retain = retain;
            Input::Publish { token: next(), message }
        }
        Step::Subscribe(count) => Input::Subscribe {
            token: next(),
            subscriptions: (0..count).map(|_| Subscription::new(filter(), Qos::AtLeastOnce)).collect(),
            properties: Properties::new(),
        },
        Step::Unsubscribe(count) => {
            Input::Unsubscribe { token: next(), filters: (0..count).map(|_| filter()).collect() }
        }
        Step::Acknowledge(nth, reason) => match deliveries.len() {
            0 => Input::Tick,
            count => Input::Acknowledge { delivery: deliveries[nth % count], reason },
        },
        Step::Disconnect(reason, session_expiry_seconds) => Input::Disconnect { reason, session_expiry_seconds },
        Step::Paused => Input::Paused,
        Step::Resumed => Input::Resumed,
        Step::Tick | Step::Wait(_) => Input::Tick,
    }
}

/// Plays the steps. Gives what the client did, and checks what must hold after each.
fn play(options: &Options, steps: &[Step]) -> Result<Vec<String>, TestCaseError> {
    let mut client = Client::new(options.clone(), 42);
    let mut now = Duration::ZERO;
    let mut token = 0;
    let mut answers: BTreeMap<Token, u32> = BTreeMap::new();
    let mut done = Vec::new();
    let mut deliveries = Vec::new();
    // Whether the driver holds a Network Connection, or tries to get one.
    let mut network = false;
    let mut steps: Vec<Step> = steps.to_vec();
    // At the end everyone must have been answered.
    steps.push(Step::Disconnect(ReasonCode::Success, None));
    for step in steps {
        if let Step::Wait(milliseconds) = step {
            now += Duration::from_millis(milliseconds);
        }
        if let Step::Tick = step {
            now = now.max(client.deadline().unwrap_or(now));
        }
        let effects: Vec<Effect> =
            client.handle(Now::simulated(now), input(step.clone(), options.version, &mut token, &deliveries)).collect();
        if let (Step::Tick, Some(deadline)) = (&step, client.deadline()) {
            prop_assert!(deadline > now || !effects.is_empty(), "a tick at the deadline moved nothing");
        }
        for effect in effects {
            match &effect {
                Effect::Open { .. } => {
                    prop_assert!(!network, "a second connection while there is one");
                    network = true;
                }
                Effect::Send { version, packet } => {
                    prop_assert!(network, "{packet} without a connection");
                    prop_assert_eq!(*version, options.version);
                    let sendable = packet.kind().sent_by(*version, Side::Client);
                    prop_assert!(sendable, "{} is nothing a client sends", packet);
                    let mut bytes = bytes::BytesMut::new();
                    packet.encode(*version, &mut bytes).expect("what the core sends can be written");
                    prop_assert_eq!(bytes.len(), packet.encoded_len(*version));
                    let read = Packet::decode(*version, Side::Client, bytes.freeze());
                    prop_assert!(read.is_ok(), "{} is refused: {:?}", packet, read);
                }
                // A connection that came too late is closed too.
                Effect::Close => network = false,
                Effect::Message { delivery, .. } => {
                    deliveries.extend(*delivery);
                    prop_assert!(client.is_connected());
                }
                Effect::Keep(_) => prop_assert!(options.durable, "kept without a store"),
                Effect::Authenticate(_) => prop_assert!(false, "a question without a method"),
                Effect::Done { token, .. } => *answers.entry(*token).or_default() += 1,
                Effect::Event(squall_client::core::effect::Event::Disconnected { .. }) => network = false,
                Effect::Event(_) => {}
            }
            done.push(format!("{now:?} {effect:?}"));
        }
        prop_assert!(client.queued() <= options.queue_limit.max(1) + usize::from(u16::MAX));
    }
    prop_assert!(client.is_idle());
    for asked in 1..=token {
        prop_assert_eq!(answers.get(&Token(asked)), Some(&1), "the answers to request {}", asked);
    }
    Ok(done)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_inputs_in_any_order_give_one_answer_each_and_the_same_effects_again(
        options in options(),
        steps in steps(),
    ) {
        prop_assert_eq!(play(&options, &steps)?, play(&options, &steps)?);
    }
}
