//! 4.2 Network Connections, and 4.8 and 4.13 as far as one connection must not suffer from another: segments, connections
//! that are stuck, errors of others.

use std::time::Duration;

use squall_codec::{
    packet::{Connack, Packet, Publish, Suback, Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    fault::{Fault, FaultKind},
    peer::{Next, Peer, Puback},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{bytes_of, id, is_v5, lasting, lasting_peer, publish},
    bytes,
    judge::{Cases, Served, farewell, offender, served},
    offer,
    watch::{self, filter, name, tidied},
    without_qos_2::highest_qos,
};

/// One byte a segment, pieces with pauses between them, and many packets in one segment: the same as whole packets.
pub(crate) async fn packets_are_found_in_any_segments(stage: &Stage) -> Outcome {
    whole_story(stage, "whole").await.prepared()?;
    let mut cases = Cases::new();
    cases.add("one byte a segment", byte_by_byte(stage).await);
    cases.add("packets in pieces", in_pieces(stage).await);
    cases.add("many packets in one segment", many_at_once(stage).await);
    cases.finish()
}

/// A client connects, subscribes, publishes to itself, acknowledges and pings.
async fn whole_story(stage: &Stage, actor: &str) -> Outcome {
    let mut peer = Peer::open(stage, actor).await?;
    peer.send(Packet::Connect(Peer::hello(stage, actor))).await;
    let connack = peer.expect::<Connack>().await?;
    let highest = highest_qos(stage, &peer).await;
    let topic = stage.topic(actor);
    let subscribe = Subscribe::new(peer.fresh_id(), vec![Subscription::new(filter(&topic), Qos::AtLeastOnce)]);
    let suback = peer.subscribe_with(subscribe).await?;
    let packet_id = (highest > Qos::AtMostOnce).then(|| peer.fresh_id());
    peer.publish_with(Publish::new(&name(&topic), "in segments").at(highest, packet_id)).await?;
    let message = peer.expect_message(b"in segments").await?;
    peer.acknowledge(&message).await?;
    let (_, pong) = peer.fence().await?;
    peer.disconnect().await;
    Ok(Evidence::of(&connack).and(&suback).and(&message).and(&pong))
}

async fn byte_by_byte(stage: &Stage) -> Outcome {
    let fault = Fault { actor: Some("bytewise".to_owned()), kind: FaultKind::Split { bytes: 1 } };
    stage.world().apply(&fault).await.map_err(Halt::unsupported)?;
    whole_story(stage, "bytewise").await
}

/// The pauses in which a piece arrives alone.
const PAUSE: Duration = Duration::from_millis(5);

/// Each packet in four segments: half of its fixed header, the rest of that, half of its body, the rest.
async fn in_pieces(stage: &Stage) -> Outcome {
    let topic = stage.topic("pieces");
    let mut peer = Peer::open(stage, "pieces").await?;
    send_in_pieces(&mut peer, Packet::Connect(Peer::hello(stage, "pieces"))).await;
    let connack = peer.expect::<Connack>().await?;
    let subscribe = Subscribe::new(id(1), vec![Subscription::new(filter(&topic), Qos::AtMostOnce)]);
    send_in_pieces(&mut peer, Packet::Subscribe(subscribe)).await;
    let suback = peer.expect::<Suback>().await?;
    let mut evidence = Evidence::of(&connack).and(&suback);
    if offer::highest_qos(&peer) > Qos::AtMostOnce {
        let message = publish(stage, "pieces", Qos::AtLeastOnce, id(2), "in pieces");
        send_in_pieces(&mut peer, Packet::Publish(message)).await;
        evidence = evidence.and(&peer.expect::<Puback>().await?);
        evidence = evidence.and(&peer.expect_message(b"in pieces").await?);
    }
    send_in_pieces(&mut peer, Packet::Pingreq).await;
    match peer.next().await {
        Next::Packet(packet) if matches!(*packet, Packet::Pingresp) => Ok(evidence.and(&packet)),
        other => Err(Halt::fail(format!("expected PINGRESP to a PINGREQ in two pieces, but {other}"))),
    }
}

async fn send_in_pieces(peer: &mut Peer, packet: Packet) {
    let stage = peer.stage().clone();
    let whole = bytes_of(&stage, &packet);
    let middle = 2 + whole.len().saturating_sub(2) / 2;
    let mut from = 0;
    for to in [1, 2, middle, whole.len()] {
        if to > from {
            peer.send_bytes(&whole[from..to]).await;
            stage.pass(PAUSE).await;
            from = to;
        }
    }
}

/// So many of each in one write.
const AT_ONCE: usize = 100;

async fn many_at_once(stage: &Stage) -> Outcome {
    let topic = stage.topic("at/once");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut peer = Peer::connected(stage, "writer").await?;
    let pings = [0xC0, 0].repeat(AT_ONCE);
    let messages = (0..AT_ONCE).flat_map(|number| {
        bytes::publish(stage.version(), 0x30, topic.as_bytes(), None, &[], number.to_string().as_bytes())
    });
    peer.send_bytes(&pings.into_iter().chain(messages).collect::<Vec<_>>()).await;
    let mut evidence: Option<Evidence> = None;
    let by = stage.now() + stage.patience();
    for number in 0..AT_ONCE {
        match peer.next_by(by).await {
            Next::Packet(packet) if matches!(*packet, Packet::Pingresp) => {
                evidence = Some(evidence.map_or_else(|| Evidence::of(&packet), |evidence| evidence.and(&packet)));
            }
            other => {
                return Err(Halt::fail(format!("expected {AT_ONCE} PINGRESP, after {number} of them {other}")));
            }
        }
    }
    let received = watch::collect(&mut watcher, |seen| seen.len() == AT_ONCE).await?;
    let numbers: Vec<usize> =
        received.iter().filter_map(|copy| std::str::from_utf8(copy.payload()).ok()?.parse().ok()).collect();
    if numbers.len() != received.len() || !numbers.is_sorted() {
        return Err(Halt::fail(format!("expected the numbers in ascending order, seen {numbers:?}")).at(&received[0]));
    }
    let evidence = evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))?.and_all(&received);
    // QoS 0 may be lost, though there is no reason why it should.
    Ok(if received.len() == AT_ONCE {
        evidence
    } else {
        evidence.warn(format!("only {} of {AT_ONCE} messages in one segment were delivered", received.len()))
    })
}

/// Messages of this size and number fill the buffers of the two sockets and of the link between them.
const CHUNK: usize = 60_000;
const CHUNKS: usize = 140;

/// How long a server may hold a publisher back whose readers do not read.
const HELD_BACK: Duration = Duration::from_secs(2);

/// Publishes some megabytes to a client that does not read. Done when the server has taken them all, or has stopped reading
/// in its turn, as it may.
async fn flood(stage: &Stage, topic: &str) -> Result<(), Halt> {
    let mut publisher = Peer::connected(stage, "flooder").await?;
    let size = CHUNK.min(offer::packet_size(&publisher).saturating_sub(200));
    let chunk = Packet::Publish(Publish::new(&name(topic), vec![b'x'; size]));
    for _ in 0..CHUNKS {
        let before = stage.now();
        publisher.send(chunk.clone()).await;
        if stage.now() - before > HELD_BACK {
            break;
        }
    }
    publisher.send(Packet::Pingreq).await;
    publisher.next_by(stage.now() + HELD_BACK).await;
    publisher.close(End::Fin).await;
    Ok(())
}

/// How long a new connection may wait before it counts as refused.
const TOO_LONG: Duration = Duration::from_secs(15);

/// The old connection of a client is stuck: it does not read, and its buffers are full.
pub(crate) async fn a_stuck_connection_is_taken_over_at_once(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let topic = stage.topic("flood");
        let mut old = lasting_peer(stage, "alice").await?;
        old.subscribed(&topic, Qos::AtMostOnce).await?;
        flood(stage, &topic).await?;
        let asked = stage.now();
        let mut new = Peer::open(stage, "alice").await?;
        new.send(Packet::Connect(lasting(stage, "alice"))).await;
        let connack = new.expect_by::<Connack>(asked + TOO_LONG).await?;
        if connack.reason.is_failure() {
            return Err(Halt::fail(format!("the new connection was refused: {}", connack.reason)).at(&connack));
        }
        let (_, pong) = new.pinged().await?;
        let took = pong.at() - asked;
        // The old connection may still hold what was on its way, and then its end: as long as something comes it is not over.
        let end = loop {
            match old.next_by(stage.now() + TOO_LONG).await {
                Next::End(end) => break end,
                Next::Packet(_) | Next::Malformed(_) => {}
                Next::Nothing => return Err(Halt::fail("the old connection of the client was not ended").at(&connack)),
            }
        };
        new.disconnect().await;
        let evidence = Evidence::of(&connack).and(&pong).and(&end);
        Ok(if took > Duration::from_secs(5) { evidence.warn(format!("the take-over took {took:?}")) } else { evidence })
    })
    .await
}

/// One client does not read what it subscribed to; others go on.
pub(crate) async fn a_stuck_subscriber_holds_nobody_up(stage: &Stage) -> Outcome {
    let (topic, quiet) = (stage.topic("flood"), stage.topic("quiet"));
    let mut stuck = Peer::connected(stage, "stuck").await?;
    stuck.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut listener = Peer::connected(stage, "listener").await?;
    listener.subscribed(&quiet, Qos::AtMostOnce).await?;
    let mut speaker = Peer::connected(stage, "speaker").await?;
    speaker.published(&quiet, Qos::AtMostOnce, b"before", false).await?;
    let before = watch::message(&mut listener, b"before").await.prepared()?;
    flood(stage, &topic).await?;
    let held_up = |halt: Halt| Halt::warn(format!("while another client does not read: {}", halt.reason));
    let during = match speaker.published(&quiet, Qos::AtMostOnce, b"during", false).await {
        Ok(()) => watch::message(&mut listener, b"during").await,
        Err(halt) => Err(halt),
    };
    drop(stuck);
    // Whatever came of it: the server must be there when the stuck client is gone.
    let mut next = Peer::connected(stage, "next").await.map_err(|halt| Halt {
        verdict: Verdict::Fail,
        reason: format!("after a client that did not read, nobody is served: {}", halt.reason),
        ..halt
    })?;
    let (_, pong) = next.pinged().await?;
    let during = during.map_err(held_up)?;
    Ok(Evidence::of(&before).and(&during).and(&pong))
}

/// What a decoder must not take, what no client may do, and what some server did not survive though it is lawful.
fn faults(stage: &Stage) -> Vec<(&'static str, Vec<u8>)> {
    let version = stage.version();
    let topic = stage.topic("fault");
    let topic = topic.as_bytes();
    // Who looks for each wildcard anywhere in the level has more ways than there is time.
    let crowded = format!("{}{}!", stage.topic(""), "+".repeat(24));
    vec![
        ("packet type 0", vec![0x00, 0x00]),
        ("a Remaining Length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ("a second CONNECT", bytes::RawConnect::new(stage, "offender").bytes()),
        ("a PUBLISH with QoS 3", bytes::publish(version, 0x36, topic, Some(9), &[], b"x")),
        ("a PUBLISH that ends in its topic", vec![0x30, 0x03, 0x00, 0x09, b'a']),
        ("a topic that is no UTF-8", bytes::publish(version, 0x30, b"a\xFF", None, &[], b"x")),
        ("a topic with a wildcard", bytes::publish(version, 0x30, b"a/#", None, &[], b"x")),
        ("a SUBSCRIBE without a filter", bytes::subscribe(version, 0x82, 1, &[], &[])),
        ("a SUBSCRIBE with wrong flags", bytes::subscribe(version, 0x80, 1, &[], &[(topic, 0)])),
        ("a SUBSCRIBE with reserved options", bytes::subscribe(version, 0x82, 1, &[], &[(topic, 0xC0)])),
        ("an UNSUBSCRIBE without a filter", bytes::unsubscribe(version, 0xA2, 1, &[], &[])),
        ("a CONNACK", vec![0x20, 0x02, 0x00, 0x00]),
        ("a CONNACK with properties", vec![0x20, 0x06, 0x00, 0x00, 0x03, 0x21, 0x00, 0x14]),
        ("an empty topic", bytes::publish(version, 0x30, b"", None, &[], b"x")),
        ("a topic that begins with a dollar", bytes::publish(version, 0x30, b"$squall/x", None, &[], b"x")),
        ("a filter of 5,000 levels", bytes::subscribe(version, 0x82, 1, &[], &[("/".repeat(5_000).as_bytes(), 0)])),
        ("a level of many wildcards", bytes::subscribe(version, 0x82, 1, &[], &[(crowded.as_bytes(), 0)])),
    ]
}

/// While one client breaks the protocol in many ways, another misses nothing of a stream of QoS 1 messages.
pub(crate) async fn errors_of_one_connection_touch_no_other(stage: &Stage) -> Outcome {
    let topic = stage.topic("a-stream-that-has-nothing-to-do-with-it");
    let mut bystander = Peer::connected(stage, "bystander").await?;
    offer::qos(&bystander, Qos::AtLeastOnce)?;
    bystander.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtLeastOnce, b"before", false).await?;
    watch::message(&mut bystander, b"before").await.prepared()?;
    // In 3.1.1 another client should not be touched, in 5.0 it must not.
    let touched = |reason: String| if is_v5(stage) { Halt::fail(reason) } else { Halt::warn(reason) };
    let mut evidence: Option<Evidence> = None;
    for (what, bytes) in faults(stage) {
        let mut peer = offender(stage).await.map_err(|halt| Halt {
            verdict: Verdict::Fail,
            reason: format!("the server takes no client any more: {}", halt.reason),
            ..halt
        })?;
        peer.send_bytes(&bytes).await;
        let message = async {
            publisher.published(&topic, Qos::AtLeastOnce, what.as_bytes(), false).await?;
            watch::message(&mut bystander, what.as_bytes()).await
        };
        let message = message.await.map_err(|halt| Halt {
            entry: halt.entry,
            ..touched(format!("after {what} of another client: {}", halt.reason))
        })?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&message), |evidence| evidence.and(&message)));
        // Whether it was closed is the business of other rules.
        peer.close(End::Fin).await;
    }
    let (_, pong) = bystander.fence().await.map_err(|halt| touched(halt.reason))?;
    evidence.map(|evidence| evidence.and(&pong)).ok_or_else(|| Halt::inconclusive("nothing was tried"))
}

/// Acknowledgements of what was never sent. They may be overlooked, answered or punished; nobody else may feel it, and
/// who is still connected is still served.
pub(crate) async fn an_acknowledgement_of_nothing_does_no_harm(stage: &Stage) -> Outcome {
    let topic = stage.topic("real");
    let mut bystander = Peer::connected(stage, "bystander").await?;
    offer::qos(&bystander, Qos::AtLeastOnce)?;
    bystander.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let mut cases = Cases::new();
    for (what, first) in [("PUBACK", 0x40), ("PUBREC", 0x50), ("PUBCOMP", 0x70)] {
        let mut peer = offender(stage).await?;
        peer.subscribed(&topic, Qos::AtLeastOnce).await?;
        let sent = peer.send_bytes(&[first, 2, 0x42, 0x42]).await;
        let became = served(&mut peer).await;
        let outcome = async {
            publisher.published(&topic, Qos::AtLeastOnce, what.as_bytes(), false).await?;
            let other = watch::message(&mut bystander, what.as_bytes()).await.map_err(|halt| Halt {
                reason: format!("after a {what} for nothing, another client: {}", halt.reason),
                ..halt
            })?;
            match became {
                Served::Ended(end) => Ok(Evidence::of(&end).and(&other)),
                Served::Yes(pong) => {
                    let own = watch::message(&mut peer, what.as_bytes()).await?;
                    Ok(Evidence::of(&pong).and(&other).and(&own))
                }
                Served::Neither => {
                    Err(Halt::fail(format!("after a {what} for nothing: neither served nor closed")).at(&sent))
                }
            }
        };
        cases.add(what, outcome.await);
        farewell_if_open(&mut peer).await;
    }
    cases.finish()
}

async fn farewell_if_open(peer: &mut Peer) {
    if peer.is_open() {
        peer.disconnect().await;
        farewell(peer).await;
    }
}
