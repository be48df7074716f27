//! The raw peer and its stage, in a world whose server says what the test wants.

use std::time::Duration;

use crate::fake::{Answer, Fake, Server, polite, say};
use squall_codec::{
    packet::{Ack, Connack, Disconnect, Packet, PacketKind, Publish, Suback, Subscribe, Subscription, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::PacketId,
};
use squall_scenarios::{
    fault::{CutEnd, Fault, FaultKind, Pass, Trigger},
    liar::Direction,
    peer::{Next, Peer, Puback},
    stage::{End, Stage},
    transcript::{EntryId, What},
    verdict::{Halt, Verdict, Witness},
};

const V5: Version = Version::V5_0;

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

fn message(topic: &'static str, payload: &str, qos: Qos, packet_id: Option<u16>) -> Packet {
    Packet::Publish(Publish::new(&TopicName::literal(topic), payload).at(qos, packet_id.map(id)))
}

/// Plays a story on a stage with this server.
fn play<T>(server: Server, story: impl AsyncFnOnce(Stage) -> T) -> (T, Fake) {
    let fake = Fake::new(V5, Some(server));
    let told = fake.play(story(fake.stage()));
    (told, fake)
}

/// The words of a failure, and what stands at its entry.
fn failure<T: std::fmt::Debug>(result: Result<T, Halt>, verdict: Verdict, fake: &Fake) -> (String, Option<String>) {
    let halt = result.expect_err("the story fails");
    assert_eq!(halt.verdict, verdict);
    let entries = fake.stage().transcript().entries();
    (halt.reason, halt.entry.map(|EntryId(index)| entries[index].what.to_string()))
}

#[test]
fn a_connected_peer_knows_its_connack_and_its_record() {
    let ((peer, at), fake) = play(polite(|_| vec![]), async |stage| {
        let peer = Peer::connected(&stage, "alice").await.expect("it is let in");
        (peer, stage.now())
    });
    assert_eq!(at, Duration::ZERO);
    assert_eq!((peer.actor(), peer.connection(), peer.is_open()), ("alice", 1, true));
    assert_eq!(peer.connack(), Some(&Connack::new(ReasonCode::Success)));
    let packets = fake.stage().transcript().packets_of("alice", 1);
    let kinds: Vec<_> = packets.iter().map(|line| (line.direction, line.bytes[0] >> 4)).collect();
    assert_eq!(kinds, [(Direction::ToServer, 1), (Direction::ToClient, 2)]);
}

#[test]
fn a_refused_connection_is_inconclusive() {
    let fake = Fake::new(V5, None);
    let halt = fake.play(Peer::open(&fake.stage(), "alice")).expect_err("nobody listens");
    assert_eq!((halt.verdict, &*halt.reason), (Verdict::Inconclusive, "connection refused"));
    assert!(fake.stage().transcript().is_empty());
}

#[test]
fn a_connack_of_failure_fails_a_connect_and_leaves_a_connected_undecided() {
    fn refusing() -> Server {
        Box::new(|_| vec![say(Packet::Connack(Box::new(Connack::new(ReasonCode::NotAuthorized))))])
    }
    let (result, fake) =
        play(refusing(), async |stage| Peer::connect(&stage, "alice", Peer::hello(&stage, "alice")).await);
    let (reason, entry) = failure(result, Verdict::Fail, &fake);
    assert!(reason.starts_with("expected CONNACK with success, but CONNACK "), "{reason}");
    assert!(entry.expect("it was seen").starts_with("<- CONNACK"));

    let (result, fake) = play(refusing(), async |stage| Peer::connected(&stage, "alice").await);
    let (reason, _) = failure(result, Verdict::Inconclusive, &fake);
    assert!(reason.starts_with("the question was not reached: expected CONNACK"), "{reason}");
}

#[test]
fn a_wrong_packet_and_silence_read_well() {
    let server = polite(|packet| match packet {
        Packet::Subscribe(_) => vec![say(Packet::Unsuback(Unsuback::new(id(1), vec![ReasonCode::Success])))],
        _ => vec![],
    });
    let subscribe = || {
        Packet::Subscribe(Subscribe::new(id(1), vec![Subscription::new(TopicFilter::literal("t/#"), Qos::AtMostOnce)]))
    };
    let (result, fake) = play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(subscribe()).await;
        peer.expect::<Suback>().await
    });
    let (reason, entry) = failure(result, Verdict::Fail, &fake);
    assert!(reason.starts_with("expected SUBACK within 2 s, but UNSUBACK "), "{reason}");
    assert!(reason.ends_with(" came"), "{reason}");
    assert!(entry.expect("it was seen").starts_with("<- UNSUBACK"));

    let (result, fake) = play(polite(|_| vec![]), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(subscribe()).await;
        let result = peer.expect::<Suback>().await;
        assert_eq!(stage.now(), Duration::from_secs(2));
        result
    });
    assert_eq!(
        failure(result, Verdict::Fail, &fake),
        ("expected SUBACK within 2 s, but nothing came".to_owned(), None)
    );
}

#[test]
fn an_answer_may_come_behind_messages_and_a_message_may_not_come_behind_an_answer() {
    let server = || {
        polite(|packet| match packet {
            Packet::Subscribe(subscribe) => vec![
                say(message("t1/1", "retained", Qos::AtMostOnce, None)),
                say(Packet::Suback(Suback::new(subscribe.packet_id, vec![ReasonCode::Success]))),
            ],
            _ => vec![],
        })
    };
    let (result, _) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.subscribed("t1/#", Qos::AtMostOnce).await?;
        let message = peer.expect_message(b"retained").await?;
        peer.send(Packet::Subscribe(Subscribe::new(
            id(7),
            vec![Subscription::new(TopicFilter::literal("t1/#"), Qos::AtMostOnce)],
        )))
        .await;
        let suback = peer.expect::<Suback>().await?;
        let again = peer.expect_message(b"retained").await?;
        assert!(message.entry() < again.entry() && again.entry() < suback.entry());
        peer.quiet().await
    });
    result.expect("messages stay for who asks for them");

    let (result, fake) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.subscribed("t1/#", Qos::AtMostOnce).await?;
        peer.expect::<Disconnect>().await
    });
    let (reason, entry) = failure(result, Verdict::Fail, &fake);
    assert!(reason.starts_with("expected DISCONNECT within 2 s, but PUBLISH ") && reason.contains("t1/1"), "{reason}");
    assert!(entry.expect("it was seen").starts_with("<- PUBLISH"));
}

#[test]
fn a_message_that_is_nobodys_here_is_recorded_and_passed_over() {
    let server = || {
        polite(|packet| match packet {
            Packet::Publish(_) => vec![say(message("broker/notice", "hello all", Qos::AtMostOnce, None))],
            Packet::Subscribe(subscribe) => vec![
                say(Packet::Suback(Suback::new(subscribe.packet_id, vec![ReasonCode::Success]))),
                say(message("$SYS/uptime", "3", Qos::AtMostOnce, None)),
            ],
            _ => vec![],
        })
    };
    let (result, fake) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(message("t1/x", "go", Qos::AtMostOnce, None)).await;
        peer.quiet().await
    });
    result.expect("it is no answer to anything");
    assert!(fake.stage().transcript().render().contains("broker/notice"));

    let (result, _) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.subscribed("$SYS/#", Qos::AtMostOnce).await?;
        peer.expect_message(b"3").await
    });
    result.expect("who asks for the server's own topics hears them");
}

#[test]
fn an_end_and_bytes_that_are_no_packet_read_well() {
    // What is no packet breaks the rule of its form: it decides nothing about the answer.
    let no_packet = |bytes: &[u8]| Answer::Bytes(Duration::ZERO, bytes.to_vec());
    for (answer, verdict, words) in [
        (Answer::End(Duration::ZERO, End::Reset), Verdict::Fail, "but the connection ended with RST"),
        (Answer::End(Duration::ZERO, End::Fin), Verdict::Fail, "but the connection ended with FIN"),
        (no_packet(&[0x00, 0x00]), Verdict::Inconclusive, "but bytes that are no packet came: "),
        (no_packet(&[0x40, 0xFF, 0xFF, 0xFF, 0xFF]), Verdict::Inconclusive, "but bytes that are no packet came: "),
    ] {
        let mut answer = Some(answer);
        let (result, fake) = play(polite(move |_| answer.take().into_iter().collect()), async |stage| {
            let mut peer = Peer::connected(&stage, "alice").await?;
            peer.send(message("squall/t1/t", "x", Qos::AtLeastOnce, Some(3))).await;
            peer.expect::<Puback>().await
        });
        let (reason, entry) = failure(result, verdict, &fake);
        assert!(reason.starts_with(&format!("expected PUBACK within 2 s, {words}")), "{reason}");
        assert!(entry.is_some());
    }
}

#[test]
fn what_comes_after_no_packet_is_recorded_until_the_end() {
    let server = polite(|_| {
        vec![
            Answer::Bytes(Duration::ZERO, vec![0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            Answer::Bytes(Duration::from_millis(1), vec![1, 2, 3]),
            Answer::End(Duration::from_millis(2), End::Fin),
        ]
    });
    let (next, fake) = play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await.expect("it is let in");
        peer.send(message("squall/t1/t", "x", Qos::AtMostOnce, None)).await;
        [peer.next().await, peer.next().await, peer.next().await]
    });
    assert!(matches!(next[0], Next::Malformed(_)));
    assert!(matches!((&next[1], &next[2]), (Next::End(one), Next::End(other)) if one == other));
    let entries = fake.stage().transcript().entries();
    let received = |entry: &What| match entry {
        What::Received { bytes, .. } => Some(bytes.to_vec()),
        _ => None,
    };
    let bytes: Vec<Vec<u8>> = entries.iter().filter_map(|entry| received(&entry.what)).skip(1).collect();
    assert_eq!(bytes, [vec![0x40, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], vec![1, 2, 3]]);
}

#[test]
fn a_refusal_tells_what_was_said_and_nothing_else_may_come() {
    let goodbye = || Packet::Disconnect(Disconnect::new(ReasonCode::ProtocolError));
    let (refusal, _) =
        play(polite(move |_| vec![say(goodbye()), Answer::End(Duration::from_millis(5), End::Fin)]), async |stage| {
            let mut peer = Peer::connected(&stage, "alice").await?;
            peer.send(Packet::Pubrel(Ack::new(id(1)))).await;
            peer.expect_refusal().await
        });
    let refusal = refusal.expect("it was turned away");
    assert_eq!(refusal.said.as_deref(), Some(&goodbye()));
    assert_eq!((*refusal.end, refusal.end.at()), (End::Fin, Duration::from_millis(5)));

    let (result, fake) = play(
        polite(move |_| vec![say(goodbye()), say(goodbye()), Answer::End(Duration::ZERO, End::Fin)]),
        async |stage| {
            let mut peer = Peer::connected(&stage, "alice").await?;
            peer.send(Packet::Pubrel(Ack::new(id(1)))).await;
            peer.expect_refusal().await
        },
    );
    let (reason, _) = failure(result, Verdict::Fail, &fake);
    assert!(reason.starts_with("expected the connection to end, but DISCONNECT"), "{reason}");

    let (result, fake) = play(polite(move |_| vec![say(goodbye())]), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(Packet::Pubrel(Ack::new(id(1)))).await;
        peer.expect_refusal().await
    });
    let (reason, entry) = failure(result, Verdict::Fail, &fake);
    assert_eq!(reason, "expected the connection to end, but it is still open after 2 s");
    assert!(entry.expect("DISCONNECT was seen").starts_with("<- DISCONNECT"));
}

#[test]
fn a_fence_collects_what_comes_before_it_and_quiet_allows_nothing() {
    let server = || {
        polite(|packet| match packet {
            Packet::Publish(_) => {
                vec![say(message("squall/t1/t", "1", Qos::AtMostOnce, None)), say(Packet::Puback(Ack::new(id(9))))]
            }
            _ => vec![],
        })
    };
    let (fenced, _) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        let quiet = peer.quiet().await?;
        peer.send(message("squall/t1/t", "1", Qos::AtLeastOnce, Some(9))).await;
        let (before, pingresp) = peer.fence().await?;
        assert!(before.iter().all(|seen| seen.entry() < pingresp.entry()) && quiet.entry() < pingresp.entry());
        let before: Vec<PacketKind> = before.iter().map(|seen| seen.kind()).collect();
        assert_eq!(before, [PacketKind::Publish, PacketKind::Puback]);

        peer.send(message("squall/t1/t", "1", Qos::AtLeastOnce, Some(9))).await;
        let messages = peer.drain_messages().await?;
        assert_eq!(messages.len(), 1);
        peer.expect::<Puback>().await
    });
    fenced.expect("the acknowledgement stayed");

    let (result, fake) = play(server(), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(message("squall/t1/t", "1", Qos::AtLeastOnce, Some(9))).await;
        peer.quiet().await
    });
    let (reason, entry) = failure(result, Verdict::Fail, &fake);
    assert!(reason.starts_with("expected nothing before PINGRESP, but PUBLISH"), "{reason}");
    assert!(entry.expect("it was seen").starts_with("<- PUBLISH"));
}

#[test]
fn a_fence_without_an_answer_leaves_the_question_open_in_time() {
    fn deaf() -> Server {
        Box::new(|packet| match packet {
            Packet::Connect(_) => vec![say(Packet::Connack(Box::new(Connack::new(ReasonCode::Success))))],
            _ => vec![],
        })
    }
    let (result, fake) = play(deaf(), async |stage| Peer::connected(&stage, "alice").await?.fence().await);
    assert_eq!(failure(result, Verdict::Inconclusive, &fake).0, "expected PINGRESP within 2 s, but nothing came");
    let (result, fake) = play(deaf(), async |stage| Peer::connected(&stage, "alice").await?.pinged().await);
    assert_eq!(failure(result, Verdict::Fail, &fake).0, "expected PINGRESP within 2 s, but nothing came");
}

#[test]
fn an_exchange_keeps_what_comes_in_between_for_later() {
    let server = polite(|packet| match packet {
        Packet::Publish(publish) => vec![
            say(message("squall/t1/t", "first", Qos::AtMostOnce, None)),
            say(Packet::Pubrec(Ack::new(publish.packet_id.expect("QoS 2")))),
        ],
        Packet::Pubrel(ack) => {
            vec![
                say(message("squall/t1/t", "second", Qos::AtMostOnce, None)),
                say(Packet::Pubcomp(Ack::new(ack.packet_id))),
            ]
        }
        _ => vec![],
    });
    let (result, fake) = play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.published("t", Qos::ExactlyOnce, b"x", true).await?;
        peer.expect_message(b"first").await?;
        peer.expect_message(b"second").await?;
        peer.quiet().await
    });
    result.expect("in order, nothing lost, nothing twice");
    let sent: Vec<_> = fake.stage().transcript().packets_of("alice", 1);
    assert!(sent.iter().any(|line| line.bytes[0] == 0x35), "QoS 2 with RETAIN was sent");
}

#[test]
fn an_exchange_that_does_not_finish_is_inconclusive_as_preparation_and_a_failure_otherwise() {
    let no = || {
        polite(|packet| match packet {
            Packet::Publish(publish) => {
                let ack = Ack::with_reason(publish.packet_id.expect("QoS 1"), ReasonCode::NotAuthorized);
                vec![say(Packet::Puback(ack))]
            }
            Packet::Subscribe(subscribe) => {
                vec![say(Packet::Suback(Suback::new(subscribe.packet_id, vec![ReasonCode::NotAuthorized])))]
            }
            _ => vec![],
        })
    };
    let (result, fake) = play(no(), async |stage| {
        Peer::connected(&stage, "alice").await?.published("t", Qos::AtLeastOnce, b"x", false).await
    });
    let (reason, _) = failure(result, Verdict::Inconclusive, &fake);
    assert!(reason.contains("expected PUBACK with success, but PUBACK"), "{reason}");

    let (result, fake) =
        play(no(), async |stage| Peer::connected(&stage, "alice").await?.subscribed("t/#", Qos::AtMostOnce).await);
    failure(result, Verdict::Inconclusive, &fake);
    let (result, fake) =
        play(no(), async |stage| Peer::connected(&stage, "alice").await?.subscribed("t/#/x", Qos::AtMostOnce).await);
    failure(result, Verdict::Inconclusive, &fake);
}

#[test]
fn a_peer_acknowledges_what_the_server_sends() {
    let server = polite(|packet| match packet {
        Packet::Publish(_) => vec![say(message("squall/t1/t", "two", Qos::ExactlyOnce, Some(5)))],
        Packet::Pubrec(ack) => vec![say(Packet::Pubrel(Ack::new(ack.packet_id)))],
        Packet::Pubcomp(_) => vec![say(message("squall/t1/t", "one", Qos::AtLeastOnce, Some(6)))],
        _ => vec![],
    });
    let (result, fake) = play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(message("squall/t1/t", "go", Qos::AtMostOnce, None)).await;
        let two = peer.expect_message(b"two").await?;
        peer.acknowledge(&two).await?;
        let one = peer.expect_message(b"one").await?;
        peer.acknowledge(&one).await?;
        peer.quiet().await
    });
    result.expect("both exchanges finished");
    let last: Vec<u8> = fake.stage().transcript().packets_of("alice", 1).iter().map(|line| line.bytes[0]).collect();
    assert_eq!(last[3..], [0x34, 0x50, 0x62, 0x70, 0x32, 0x40, 0xC0, 0xD0]);
}

#[test]
fn bytes_are_recorded_frame_by_frame() {
    let (_, fake) = play(polite(|_| vec![]), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await.expect("it is let in");
        peer.send_bytes(&[0xC0, 0x00, 0xC0, 0x00, 0x30, 0x05, 0x00]).await;
    });
    let sent: Vec<String> = fake
        .stage()
        .transcript()
        .packets_of("alice", 1)
        .iter()
        .skip(2)
        .filter(|line| line.direction == Direction::ToServer)
        .map(|line| line.summary.clone())
        .collect();
    assert_eq!(sent, ["PINGREQ", "PINGREQ", "3 bytes, no whole packet"]);
}

#[test]
fn ends_are_seen_by_the_server_and_recorded() {
    let (_, fake) = play(polite(|_| vec![]), async |stage| {
        let mut alice = Peer::connected(&stage, "alice").await.expect("it is let in");
        alice.disconnect().await;
        assert!(!alice.is_open());
        let mut bob = Peer::connected(&stage, "bob").await.expect("it is let in");
        bob.close(End::Reset).await;
        assert!(matches!(bob.next().await, Next::End(end) if *end == End::Reset));
    });
    assert_eq!(fake.heard(), [End::Fin, End::Reset]);
    let text = fake.stage().transcript().render();
    assert!(
        text.contains("alice#1  -> FIN") && text.contains("bob#1    -> RST") && text.contains("bob#1    <- RST"),
        "{text}"
    );
}

#[test]
fn a_dropped_future_loses_nothing() {
    let server = polite(|_| {
        vec![Answer::Say(Duration::from_millis(500), message("squall/t1/t", "late", Qos::AtMostOnce, None))]
    });
    let (result, _) = play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.send(message("squall/t1/t", "go", Qos::AtMostOnce, None)).await;
        for _ in 0..20 {
            assert_eq!(stage.within(Duration::from_millis(7), peer.next()).await, None);
        }
        assert_eq!(peer.next_by(Duration::from_millis(499)).await, Next::Nothing);
        let seen = peer.expect_message(b"late").await?;
        assert_eq!(seen.at(), Duration::from_millis(500));
        // What is ready at the very moment of the deadline still counts.
        peer.send(message("squall/t1/t", "go", Qos::AtMostOnce, None)).await;
        assert!(matches!(peer.next_by(Duration::from_millis(1000)).await, Next::Packet(_)));
        Ok::<_, Halt>(())
    });
    result.expect("it came");
}

#[test]
fn a_subject_that_reads_nothing_hangs_nobody() {
    let (elapsed, fake) = play(polite(|_| vec![]), async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await.expect("it is let in");
        stage.world().apply(&Fault { actor: None, kind: FaultKind::HalfOpen }).await.expect("alice has a link");
        for _ in 0..3 {
            peer.send_bytes(&[0; 40_000]).await;
        }
        peer.expect_end().await.expect_err("nothing comes");
        stage.now()
    });
    assert_eq!(elapsed, Duration::from_secs(4), "one send ran out of patience, then the wait for the end");
    assert!(fake.stage().transcript().render().contains("** 40000 bytes not taken within 2 s"));
}

#[test]
fn faults_stand_in_the_record_where_they_took_effect() {
    let (result, fake) = play(polite(|_| vec![]), async |stage| {
        let on = Trigger { packet: PacketKind::Pingresp, direction: Direction::ToClient, nth: 2 };
        let kind = FaultKind::Cut { on, pass: Pass::Bytes(1), how: CutEnd::End(End::Reset) };
        stage.world().apply(&Fault { actor: Some("alice".to_owned()), kind }).await.expect("it may stand for later");
        assert_eq!(stage.world().untouched(), ["alice: cut after 1 byte of PINGRESP 2 to the client (RST)"]);
        let mut peer = Peer::connected(&stage, "alice").await?;
        peer.quiet().await?;
        peer.quiet().await
    });
    failure(result, Verdict::Fail, &fake);
    assert_eq!(fake.stage().world().untouched(), [""; 0]);
    let transcript = fake.stage().transcript();
    insta::assert_snapshot!("transcript_for_a_person", transcript.render());
    insta::assert_snapshot!("transcript_as_canonical_json_lines", transcript.json_lines());
}

#[test]
fn an_answer_may_come_behind_a_message_which_is_still_there_afterwards() {
    let server = polite(|packet| match packet {
        Packet::Subscribe(subscribe) => vec![
            say(message("squall/t1/t", "early", Qos::AtMostOnce, None)),
            say(Packet::Suback(Suback::new(subscribe.packet_id, vec![ReasonCode::Success]))),
        ],
        _ => Vec::new(),
    });
    play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await.expect("the server is polite");
        let filter = TopicFilter::literal("squall/t1/#");
        peer.send(Packet::Subscribe(Subscribe::new(id(1), vec![Subscription::new(filter, Qos::AtMostOnce)]))).await;
        let suback = peer.expect::<Suback>().await.expect("it came second");
        let early = peer.expect_message(b"early").await.expect("it is still there");
        assert!(early.entry() < suback.entry(), "the record keeps the order of the wire");
    });
}

#[test]
fn a_message_of_nobody_here_is_recorded_and_passed_over() {
    let server = polite(|packet| match packet {
        Packet::Publish(_) => vec![
            say(message("$SYS/uptime", "9 s", Qos::AtMostOnce, None)),
            say(message("squall/t1/t", "mine", Qos::AtMostOnce, None)),
        ],
        _ => Vec::new(),
    });
    play(server, async |stage| {
        let mut peer = Peer::connected(&stage, "alice").await.expect("the server is polite");
        peer.send(message("squall/t1/t", "go", Qos::AtMostOnce, None)).await;
        peer.expect_message(b"mine").await.expect("the other one is no answer");
        assert!(stage.transcript().render().contains("$SYS/uptime"), "it is in the record");
    });
}
