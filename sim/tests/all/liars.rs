//! The events world as the conformance suite uses it: a liar sits on the broker's side of every link.

use std::{path::Path, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_broker::core::config::Config;
use squall_codec::{
    packet::{Disconnect, Packet, Will},
    property::Properties,
    qos::Qos,
    reason::Side,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    fault::{Fault, FaultKind},
    liar::{Direction, Liar, Lie},
    peer::{Next, Peer},
    player::play,
    script::Script,
    stage::{End, LocalFuture, Stage, World},
    transcript::What,
    verdict::{Halt, Verdict},
};
use squall_sim::{
    events::{EventsOptions, run},
    run::Run,
    subject::Subject,
};

const PUBACK: u8 = 0x40;
const CONNACK: u8 = 0x20;
const DISCONNECT: u8 = 0xE0;

fn stage(world: Rc<dyn World>) -> Stage {
    Stage::new(world, Version::V5_0, "liars", Duration::from_secs(2))
}

fn with_liar<T: 'static>(
    liar: Option<Box<dyn Liar>>,
    play: impl FnOnce(Stage) -> LocalFuture<'static, T> + 'static,
) -> Run<T> {
    run(EventsOptions { liar, ..EventsOptions::new(7) }, |world| play(stage(world)))
}

/// A liar as a closure over whole frames; it passes the ends of connections unless told otherwise.
struct Filter<F> {
    frame: F,
    hides_end: Option<Direction>,
}

impl<F: FnMut(u64, Direction, Bytes, &mut Vec<Lie>)> Liar for Filter<F> {
    fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        (self.frame)(connection, direction, raw, out);
    }

    fn ended(&mut self, _: Duration, _: u64, direction: Direction, _: &mut Vec<Lie>) -> bool {
        self.hides_end != Some(direction)
    }
}

fn filter(frame: impl FnMut(u64, Direction, Bytes, &mut Vec<Lie>) + 'static) -> Option<Box<dyn Liar>> {
    Some(Box::new(Filter { frame, hides_end: None }))
}

fn pass(connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
    out.push(Lie::Frame(connection, direction, raw));
}

/// Two clients, an exchange of each QoS, a goodbye.
fn small_talk(stage: Stage) -> LocalFuture<'static, Result<(), Halt>> {
    Box::pin(async move {
        let mut bob = Peer::connected(&stage, "bob").await?;
        bob.subscribed(&stage.topic("#"), Qos::ExactlyOnce).await?;
        let mut alice = Peer::connected(&stage, "alice").await?;
        for (qos, payload) in [(Qos::AtMostOnce, "0"), (Qos::AtLeastOnce, "1"), (Qos::ExactlyOnce, "2")] {
            alice.published(&stage.topic("talk"), qos, payload.as_bytes(), false).await?;
            let message = bob.expect_message(payload.as_bytes()).await?;
            bob.acknowledge(&message).await?;
        }
        alice.disconnect().await;
        bob.disconnect().await;
        Ok(())
    })
}

#[test]
fn a_filter_that_passes_everything_changes_nothing() {
    let honest = with_liar(None, small_talk);
    let filtered = with_liar(filter(pass), small_talk);
    assert_eq!(honest.outcome, Ok(Ok(())));
    assert_eq!(filtered.outcome, Ok(Ok(())));
    assert_eq!(honest.transcript.json_lines(), filtered.transcript.json_lines());
}

#[test]
fn connections_are_numbered_in_the_order_of_their_opening() {
    struct Numbers(Vec<u64>);
    impl Liar for Numbers {
        fn opened(&mut self, _: Duration, connection: u64) {
            self.0.push(connection);
        }
        fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
            assert!(self.0.contains(&connection), "a frame on {connection} before it was opened");
            assert_eq!(self.0, (0..self.0.len() as u64).collect::<Vec<_>>());
            out.push(Lie::Frame(connection, direction, raw));
        }
    }
    let run = with_liar(Some(Box::new(Numbers(Vec::new()))), small_talk);
    assert_eq!(run.outcome, Ok(Ok(())));
}

#[test]
fn a_swallowed_frame_never_arrives() {
    let liar = filter(|connection, direction, raw, out| {
        if raw[0] != PUBACK || direction != Direction::ToClient {
            pass(connection, direction, raw, out);
        }
    });
    let run = with_liar(liar, |stage| {
        Box::pin(async move {
            let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
            alice.published(&stage.topic("t"), Qos::AtLeastOnce, b"x", false).await.is_err()
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

#[test]
fn a_liar_may_speak_to_others_on_both_sides() {
    // Whoever connects as the second client: the first is told CONNACK again, and the broker hears that it said goodbye.
    let liar = filter(|connection, direction, raw, out| {
        if connection == 1 && direction == Direction::ToClient && raw[0] == CONNACK {
            out.push(Lie::Frame(0, Direction::ToClient, raw.clone()));
            out.push(Lie::Frame(0, Direction::ToServer, Bytes::from_static(&[DISCONNECT, 0])));
        }
        pass(connection, direction, raw, out);
    });
    let run = with_liar(liar, |stage| {
        Box::pin(async move {
            let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
            let _bob = Peer::connected(&stage, "bob").await.expect("connected");
            let first = alice.next().await;
            assert!(matches!(&first, Next::Packet(packet) if matches!(**packet, Packet::Connack(_))), "{first}");
            matches!(alice.next().await, Next::End(end) if *end == End::Fin)
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

#[test]
fn a_close_ends_both_sides() {
    let liar = filter(|connection, direction, raw, out| {
        if raw[0] >> 4 == 12 && direction == Direction::ToServer {
            return out.push(Lie::Close(connection));
        }
        pass(connection, direction, raw, out);
    });
    let run = with_liar(liar, |stage| {
        Box::pin(async move {
            let mut bob = Peer::connected(&stage, "bob").await.expect("connected");
            bob.subscribed(&stage.topic("will"), Qos::AtMostOnce).await.expect("subscribed");
            let mut hello = Peer::hello(&stage, "alice");
            hello.set_will(Some(Will {
                qos: Qos::AtMostOnce,
                retain: false,
                topic: TopicName::new(Text::new(stage.topic("will")).expect("a text")).expect("a topic name"),
                payload: Bytes::from_static(b"gone"),
                properties: Properties::new(),
            }));
            let (mut alice, _) = Peer::connect(&stage, "alice", hello).await.expect("connected");
            alice.send(Packet::Pingreq).await;
            assert!(matches!(alice.next().await, Next::End(end) if *end == End::Fin));
            bob.expect_message(b"gone").await.is_ok()
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

#[test]
fn a_hidden_end_is_not_noticed() {
    let liar = Filter { frame: pass, hides_end: Some(Direction::ToClient) };
    let run = with_liar(Some(Box::new(liar)), |stage| {
        Box::pin(async move {
            let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
            // A second CONNECT: the broker says DISCONNECT and hangs up.
            alice.send(Packet::Connect(Peer::hello(&stage, "alice"))).await;
            alice.expect::<Disconnect>().await.expect("DISCONNECT passes");
            matches!(alice.next().await, Next::Nothing)
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

#[test]
fn a_liar_has_a_clock() {
    /// Holds CONNACK back for a while.
    struct Late(Vec<(Duration, Lie)>);
    impl Liar for Late {
        fn frame(&mut self, now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
            let lie = Lie::Frame(connection, direction, raw.clone());
            if raw[0] == CONNACK { self.0.push((now + Duration::from_millis(1_500), lie)) } else { out.push(lie) }
        }
        fn deadline(&self) -> Option<Duration> {
            self.0.first().map(|(due, _)| *due)
        }
        fn tick(&mut self, _: Duration, out: &mut Vec<Lie>) {
            out.extend(self.0.drain(..).map(|(_, lie)| lie));
        }
    }
    let run = with_liar(Some(Box::new(Late(Vec::new()))), |stage| {
        Box::pin(async move {
            Peer::connected(&stage, "alice").await.expect("connected");
            stage.now()
        })
    });
    // 1 ms for the connection, 1 ms for CONNECT, 1 ms back.
    assert_eq!(run.outcome, Ok(Duration::from_millis(1_503)));
}

#[test]
fn bytes_that_are_no_frame_pass_by_the_liar() {
    let run = with_liar(filter(pass), |stage| {
        Box::pin(async move {
            let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
            alice.send_bytes(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]).await;
            alice.expect_refusal().await.is_ok()
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

/// How many of 400 messages of 1 KiB and QoS 0 reach someone who does not read for a while. The broker may drop what
/// goes beyond its bound of bytes that have not left.
async fn messages_for_a_stalled_reader(stage: Stage) -> usize {
    let world = stage.world();
    let fault = |kind| Fault { actor: Some("bob".to_owned()), kind };
    let mut bob = Peer::connected(&stage, "bob").await.expect("connected");
    bob.subscribed(&stage.topic("#"), Qos::AtMostOnce).await.expect("subscribed");
    let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
    world.apply(&fault(FaultKind::StallReading)).await.expect("applied");
    for _ in 0..400 {
        alice.published(&stage.topic("t"), Qos::AtMostOnce, &[b'x'; 1024], false).await.expect("published");
    }
    world.apply(&fault(FaultKind::Heal { reset: false })).await.expect("applied");
    bob.drain_messages().await.expect("bob is still connected").len()
}

#[test]
fn a_stalled_reader_holds_the_broker_back() {
    let mut broker = Config::default();
    broker.limits.unflushed_soft = 16 * 1024;
    let run = run(EventsOptions { subject: Subject::new(broker), ..EventsOptions::new(7) }, |world| {
        Box::pin(messages_for_a_stalled_reader(stage(world)))
    });
    let got = run.outcome.expect("the play ends");
    // The window of the link takes 64 KiB, the broker keeps 16 KiB more.
    assert!((60..100).contains(&got), "{got} of 400 messages arrived");
    assert!(run.transcript.entries().iter().any(|entry| matches!(&entry.what, What::Fault { .. })));
}

#[test]
fn a_frame_in_pieces_is_one_frame_to_the_liar() {
    let liar = filter(|connection, direction, raw, out| {
        let side = match direction {
            Direction::ToServer => Side::Client,
            Direction::ToClient => Side::Server,
        };
        assert!(Packet::decode(Version::V5_0, side, raw.clone()).is_ok(), "{raw:?} is no whole packet");
        pass(connection, direction, raw, out);
    });
    let run = with_liar(liar, |stage| {
        Box::pin(async move {
            let split = Fault { actor: None, kind: FaultKind::Split { bytes: 1 } };
            stage.world().apply(&split).await.expect("applied");
            small_talk(stage.clone()).await
        })
    });
    assert_eq!(run.outcome, Ok(Ok(())));
    assert!(run.untouched.is_empty(), "{:?}", run.untouched);
}

#[test]
fn what_the_broker_writes_reaches_the_liar_frame_by_frame() {
    let mut frame = BytesMut::new();
    Packet::Pingresp.encode(Version::V5_0, &mut frame).expect("PINGRESP has a form");
    let pingresp = frame.freeze();
    let liar = filter(move |connection, direction, raw, out| {
        if direction == Direction::ToClient && raw == pingresp {
            // Twice what was asked for.
            pass(connection, direction, raw.clone(), out);
        }
        pass(connection, direction, raw, out);
    });
    let run = with_liar(liar, |stage| {
        Box::pin(async move {
            let mut alice = Peer::connected(&stage, "alice").await.expect("connected");
            alice.quiet().await.expect("PINGRESP");
            matches!(alice.next().await, Next::Packet(packet) if *packet == Packet::Pingresp)
        })
    });
    assert_eq!(run.outcome, Ok(true));
}

/// Whose first filter is `#` is subscribed to every topic of `$house` in its place.
fn lets_a_leading_wildcard_match_dollar_topics() -> Option<Box<dyn Liar>> {
    filter(|connection, direction, raw, out| {
        let everything = [&[0, 1][..], b"#"].concat();
        let told = direction == Direction::ToServer
            && raw[0] == 0x82
            && raw.windows(everything.len()).any(|window| window == everything);
        if !told {
            return pass(connection, direction, raw, out);
        }
        let Ok(Packet::Subscribe(mut subscribe)) = Packet::decode(Version::V5_0, Side::Client, raw) else { return };
        subscribe.subscriptions[0].filter = TopicFilter::try_from("$house/#").expect("a filter");
        let mut frame = BytesMut::new();
        Packet::Subscribe(subscribe).encode(Version::V5_0, &mut frame).expect("5.0 has it");
        pass(connection, direction, frame.freeze(), out);
    })
}

#[test]
fn a_story_of_the_whole_tree_stands_below_no_root() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/sys/wildcards_leave_dollar_topics_out.yaml");
    let verdict = |liar| {
        let script = Rc::new(Script::load(&file).expect("it is a script"));
        with_liar(liar, move |stage| Box::pin(async move { play(&stage, &script).await.verdict })).outcome
    };
    assert_eq!(verdict(None), Ok(Verdict::Pass));
    assert_eq!(verdict(lets_a_leading_wildcard_match_dollar_topics()), Ok(Verdict::Fail));
}

#[test]
fn that_connections_end_with_the_story_is_no_effect_of_a_fault() {
    let verdict = |last: &str| {
        let story = format!(
            "title: a delay\nactors: {{ alice: peer, bob: peer }}\nversions: [5.0]\nsteps:\n  \
             - alice: {{ connect: {{}} }}\n  - bob: {{ connect: {{}} }}\n  \
             - world: {{ latency: {{ link: bob, time: 200ms }} }}\n  - {last}\n"
        );
        let script = Rc::new(Script::parse("delay.yaml", &story).expect("it is a script"));
        with_liar(None, move |stage| Box::pin(async move { play(&stage, &script).await.verdict })).outcome
    };
    assert_eq!(verdict("bob: { publish: { topic: t, payload: late } }"), Ok(Verdict::Pass));
    assert_eq!(verdict("alice: { publish: { topic: t, payload: prompt } }"), Ok(Verdict::Fail));
}
