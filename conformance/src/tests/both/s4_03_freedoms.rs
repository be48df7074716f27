//! 4.3 to 4.6 and 3.8 to 3.10, where the standard leaves a server more than one way: each of them passes, and what is none
//! of them does not.

use std::collections::BTreeMap;

use squall_codec::{
    packet::{Ack, Packet, Unsuback},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Pubcomp, Pubrec},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{id, lasting_peer, publish, resumed, subscribe, unsubscribe},
    judge::{answer_or_end, unless_closed},
    offer,
    watch::{self, Delivery, collect, filter, message, rest, shown, tidied, up_to_marker},
    without_qos_2::highest_qos,
};

/// Up to and with the marker: `inconclusive` if it does not come.
async fn with_marker(peer: &mut Peer) -> Result<(Vec<Delivery>, Delivery), Halt> {
    let mut received = collect(peer, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
    match received.pop() {
        Some(marker) if marker.payload() == b"marker" => Ok((received, marker)),
        _ => Err(Halt::inconclusive("the marker message did not come")),
    }
}

/// A retained message and a SUBACK may come in any order; both must come.
pub(crate) async fn a_message_around_the_suback_is_not_lost(stage: &Stage) -> Outcome {
    let topic = stage.topic("kept");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = Peer::connected(stage, "publisher").await?;
        offer::retain(&publisher)?;
        publisher.published(&topic, Qos::AtMostOnce, b"kept", true).await?;
        let mut peer = Peer::connected(stage, "subscriber").await?;
        peer.send(subscribe(stage, id(1), &[("kept", Qos::AtMostOnce)])).await;
        let (mut suback, mut kept) = (None, None);
        let by = stage.now() + stage.patience();
        while suback.is_none() || kept.is_none() {
            match peer.next_by(by).await {
                Next::Packet(packet) => match &*packet {
                    Packet::Suback(answer) if answer.reasons.iter().any(|reason| reason.is_failure()) => {
                        return Err(Halt::inconclusive("the server refused a plain filter").at(&packet));
                    }
                    Packet::Suback(_) => suback = Some(packet),
                    Packet::Publish(copy) if copy.payload() == b"kept" => kept = Some(packet),
                    _ => {}
                },
                Next::Nothing => {
                    let missing = if suback.is_none() { "SUBACK" } else { "retained message" };
                    return Err(Halt::fail(format!("expected SUBACK and a retained message, but no {missing} came")));
                }
                other => {
                    return Err(Halt::inconclusive(format!("SUBACK and a retained message were due, but {other}")));
                }
            }
        }
        match (suback, kept) {
            (Some(suback), Some(kept)) => Ok(Evidence::of(&suback).and(&kept)),
            _ => Err(Halt::inconclusive("not both came")),
        }
    })
    .await
}

/// What was on its way before the UNSUBACK may come after it; what is published later may not.
pub(crate) async fn only_what_was_on_its_way_comes_after_unsuback(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "subscriber").await?;
    let highest = highest_qos(stage, &peer).await;
    let (topic, marker) = (stage.topic("left"), stage.topic("marker"));
    peer.subscribed(&topic, highest).await?;
    peer.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    for number in 0..3 {
        publisher.published(&topic, highest, format!("early {number}").as_bytes(), false).await?;
    }
    // None of these has been read or acknowledged yet.
    peer.send(unsubscribe(stage, id(77), &["left"])).await;
    let unsuback = peer.expect::<Unsuback>().await.prepared()?;
    publisher.published(&topic, highest, b"late", false).await?;
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let (received, marker) = with_marker(&mut peer).await?;
    if let Some(late) = received.iter().find(|copy| copy.payload() == b"late") {
        return Err(Halt::fail(format!("published after UNSUBACK, and delivered: {}", shown(late))).at(late));
    }
    Ok(Evidence::of(&unsuback).and_all(&received).and(&marker))
}

/// A server may map a topic to another one, as long as the filter matches what it sends.
pub(crate) async fn a_message_keeps_its_topic(stage: &Stage) -> Outcome {
    let wanted = stage.topic("a/+");
    let topic = stage.topic("a/b");
    let mut peer = Peer::connected(stage, "subscriber").await?;
    offer::wildcards(&peer)?;
    peer.subscribed(&wanted, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"as it is", false).await?;
    let copy = message(&mut peer, b"as it is").await.prepared()?;
    if !filter(&wanted).matches(copy.topic()) {
        return Err(Halt::fail(format!("'{wanted}' does not match the topic of {}", shown(&copy))).at(&copy));
    }
    let evidence = Evidence::of(&copy);
    Ok(if copy.topic() == topic {
        evidence
    } else {
        evidence.warn(format!("published on '{topic}', delivered on '{}'", copy.topic()))
    })
}

/// QoS 0 messages for a session that is away may be kept or dropped; a kept one comes with QoS 0 and DUP 0.
pub(crate) async fn a_qos_0_message_waits_as_what_it_is_or_not_at_all(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], async {
        let (topic, marker) = (stage.topic("t"), stage.topic("marker"));
        let mut away = lasting_peer(stage, "away").await?;
        offer::qos(&away, Qos::AtLeastOnce)?;
        away.subscribed(&topic, Qos::AtLeastOnce).await?;
        away.subscribed(&marker, Qos::AtLeastOnce).await?;
        away.disconnect().await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtMostOnce, b"plain", false).await?;
        publisher.published(&marker, Qos::AtLeastOnce, b"marker", false).await?;
        let mut away = resumed(stage, "away").await?;
        // A repeat at QoS 0 is no packet: it is what must not come.
        let mut received = up_to_marker(&mut away, b"marker").await?;
        let marker = received.pop().filter(|last| last.payload() == b"marker");
        let marker = marker.ok_or_else(|| Halt::inconclusive("the marker message did not come"))?;
        // Nothing orders messages of different QoS.
        received.extend(rest(&mut away).await.prepared()?.0);
        let kept: Vec<_> = received.iter().filter(|copy| copy.payload() == b"plain").collect();
        if let Some(copy) = kept.iter().find(|copy| copy.dup || copy.qos != Qos::AtMostOnce) {
            return Err(Halt::fail(format!("expected QoS 0 and DUP 0, got {}", shown(copy))).at(*copy));
        }
        let evidence = Evidence::of(&marker).and_all(kept.iter().copied());
        Ok(if kept.len() > 1 { evidence.warn("a QoS 0 message came more than once") } else { evidence })
    })
    .await
}

/// Granted QoS 0: a message of QoS 1 may be doubled on its way, one of QoS 2 should not be.
pub(crate) async fn a_qos_2_message_comes_once_at_qos_0(stage: &Stage) -> Outcome {
    let (topic, marker) = (stage.topic("t"), stage.topic("marker"));
    let mut peer = Peer::connected(stage, "subscriber").await?;
    peer.subscribed(&topic, Qos::AtMostOnce).await?;
    peer.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    offer::qos(&publisher, Qos::ExactlyOnce)?;
    publisher.published(&topic, Qos::AtLeastOnce, b"at least", false).await?;
    publisher.published(&topic, Qos::ExactlyOnce, b"exactly", false).await?;
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let (received, marker) = with_marker(&mut peer).await?;
    if let Some(copy) = received.iter().find(|copy| copy.qos != Qos::AtMostOnce) {
        return Err(Halt::fail(format!("granted QoS 0, and delivered {}", shown(copy))).at(copy));
    }
    let copies: Vec<_> = received.iter().filter(|copy| copy.payload() == b"exactly").collect();
    let Some(first) = copies.first() else {
        return Err(Halt::inconclusive("the QoS 2 message did not come").at(&marker));
    };
    let evidence = Evidence::of(*first).and_all(copies.iter().skip(1).copied()).and(&marker);
    Ok(if copies.len() > 1 {
        evidence.warn(format!("a QoS 2 message came {} times at QoS 0", copies.len()))
    } else {
        evidence
    })
}

/// How many messages are on their way before the connection ends, and as many after it.
const BEFORE_AND_AFTER: usize = 5;

/// Five unacknowledged, five that came while the client was away: whatever is repeated, the last copies are in order.
pub(crate) async fn order_outlives_a_reconnect(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], async {
        let topic = stage.topic("t");
        let mut away = lasting_peer(stage, "away").await?;
        offer::qos(&away, Qos::AtLeastOnce)?;
        away.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for number in 0..BEFORE_AND_AFTER {
            publisher.published(&topic, Qos::AtLeastOnce, number.to_string().as_bytes(), false).await?;
        }
        let held = watch::unacknowledged(&mut away, BEFORE_AND_AFTER).await.prepared()?;
        if held.iter().any(|copy| copy.qos != Qos::AtLeastOnce) {
            return Err(Halt::inconclusive("the messages did not come with QoS 1"));
        }
        away.close(End::Fin).await;
        for number in BEFORE_AND_AFTER..2 * BEFORE_AND_AFTER {
            publisher.published(&topic, Qos::AtLeastOnce, number.to_string().as_bytes(), false).await?;
        }
        let mut away = resumed(stage, "away").await?;
        let mut received: Vec<Delivery> = held;
        let mut last: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        let again = collect(&mut away, |seen| {
            let known: std::collections::BTreeSet<_> = seen.iter().map(|copy| copy.payload().to_vec()).collect();
            known.len() == 2 * BEFORE_AND_AFTER
        })
        .await?;
        received.extend(again);
        received.extend(rest(&mut away).await.prepared()?.0);
        for (place, copy) in received.iter().enumerate() {
            last.insert(copy.payload().to_vec(), place);
        }
        if last.len() < 2 * BEFORE_AND_AFTER {
            return Err(Halt::inconclusive(format!("only {} of {} messages came", last.len(), 2 * BEFORE_AND_AFTER)));
        }
        // One digit each: the order of the payloads is that of the numbers.
        let places: Vec<usize> = last.values().copied().collect();
        if let Some(wrong) = places.windows(2).position(|pair| pair[0] > pair[1]) {
            let came: Vec<_> =
                received.iter().map(|copy| String::from_utf8_lossy(copy.payload()).into_owned()).collect();
            let reason = format!("expected the last copies in ascending order, seen {}", came.join(" "));
            return Err(Halt::fail(reason).at(&received[places[wrong + 1]]));
        }
        Ok(Evidence::of(&received[0]).and_all(&received[1..]))
    })
    .await
}

/// Messages of each QoS on two topics, mixed: the order within one topic and QoS is kept, all else is free.
pub(crate) async fn order_is_kept_within_each_topic_and_qos(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "subscriber").await?;
    let highest = highest_qos(stage, &peer).await;
    let topics = [stage.topic("one"), stage.topic("two")];
    for topic in &topics {
        peer.subscribed(topic, Qos::ExactlyOnce).await?;
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let levels: Vec<Qos> = Qos::ALL.into_iter().filter(|qos| *qos <= highest).collect();
    let rounds = 6;
    for round in 0..rounds {
        for (topic, qos) in topics.iter().flat_map(|topic| levels.iter().map(move |qos| (topic, *qos))) {
            publisher.published(topic, qos, format!("{qos} {round}").as_bytes(), false).await?;
        }
    }
    let wanted = rounds * topics.len() * levels.len();
    let received = collect(&mut peer, |seen| seen.iter().filter(|copy| !copy.dup).count() >= wanted).await?;
    let mut rows: BTreeMap<(String, u8), Vec<u8>> = BTreeMap::new();
    for copy in &received {
        let [sent, b' ', round] = *copy.payload() else {
            return Err(Halt::fail(format!("nobody published {}", shown(copy))).at(copy));
        };
        let row = rows.entry((copy.topic().to_owned(), sent)).or_default();
        // A second copy is lawful at QoS 1; the first ones are judged.
        if !row.contains(&round) {
            if row.last().is_some_and(|before| *before > round) {
                let reason = format!("{} came after a later one of its topic and QoS", shown(copy));
                return Err(Halt::fail(reason).at(copy));
            }
            row.push(round);
        }
    }
    match &received[..] {
        [first, others @ ..] if received.len() >= wanted => Ok(Evidence::of(first).and_all(others)),
        _ => Err(Halt::inconclusive(format!("only {} of {wanted} messages came", received.len()))),
    }
}

/// PUBREL for an identifier that was never used.
pub(crate) async fn a_pubrel_for_nothing_is_answered(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.published(&stage.topic("t"), Qos::ExactlyOnce, b"control", false).await?;
    let sent = peer.send(Packet::Pubrel(Ack::new(id(0x4242)))).await;
    match answer_or_end(&mut peer, |packet| matches!(packet, Packet::Pubcomp(_))).await {
        Next::Packet(packet) => match &*packet {
            Packet::Pubcomp(ack) if ack.packet_id == id(0x4242) => Ok(Evidence::of(&packet)),
            other => Err(Halt::fail(format!("expected PUBCOMP with packet id {}, seen {other}", 0x4242)).at(&packet)),
        },
        Next::End(end) => Ok(Evidence::of(&end).warn("a PUBREL for an unknown packet id closed the connection")),
        other => {
            Err(Halt::fail(format!("expected PUBCOMP to a PUBREL for an unknown packet id, but {other}")).at(&sent))
        }
    }
}

/// A QoS 2 message may be passed on at its PUBLISH or at its PUBREL, and once.
pub(crate) async fn a_qos_2_message_is_passed_on_once(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::qos(&watcher, Qos::ExactlyOnce)?;
    let marker = stage.topic("marker");
    watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    watcher.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut exact = Peer::connected(stage, "exact").await?;
    exact.subscribed(&stage.topic("t"), Qos::ExactlyOnce).await?;
    exact.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(5), "once"))).await;
    let pubrec = unless_closed(publisher.expect::<Pubrec>().await, &publisher)?;
    if pubrec.reason.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused the message: {}", pubrec.reason)).at(&pubrec));
    }
    let (early, _) = rest(&mut watcher).await.prepared()?;
    publisher.send(Packet::Pubrel(Ack::new(id(5)))).await;
    let pubcomp = publisher.expect::<Pubcomp>().await.prepared()?;
    if pubcomp.reason == ReasonCode::PacketIdentifierNotFound {
        return Err(Halt::inconclusive("the server did not know the packet id any more").at(&pubcomp));
    }
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let mut late = collect(&mut watcher, |seen| {
        let came = |payload: &[u8]| seen.iter().any(|copy| copy.payload() == payload);
        came(b"marker") && (!early.is_empty() || came(b"once"))
    })
    .await?;
    late.extend(rest(&mut watcher).await.prepared()?.0);
    let copies: Vec<_> = early.iter().chain(&late).filter(|copy| copy.payload() == b"once").collect();
    match copies[..] {
        [] => Err(Halt::fail("the QoS 2 message did not come").at(&pubcomp)),
        [copy] => {
            let exactly = passed_on_at_qos_2(&mut exact).await?;
            Ok(Evidence::of(&pubrec).and(&pubcomp).and(copy).and(&exactly))
        }
        [_, second, ..] => Err(Halt::fail(format!("the QoS 2 message came {} times", copies.len())).at(second)),
    }
}

/// The same for whoever is granted QoS 2: what is sent again is no second copy.
async fn passed_on_at_qos_2(exact: &mut Peer) -> Result<Delivery, Halt> {
    let mut seen = collect(exact, |seen| {
        [&b"once"[..], b"marker"].iter().all(|payload| seen.iter().any(|copy| copy.payload() == *payload))
    })
    .await?;
    seen.extend(rest(exact).await.prepared()?.0);
    let mut copies = seen.into_iter().filter(|copy| copy.payload() == b"once" && !copy.dup);
    let first = copies.next().ok_or_else(|| Halt::inconclusive("the QoS 2 message did not come at QoS 2"))?;
    match copies.next() {
        None => Ok(first),
        Some(second) => Err(Halt::fail("the QoS 2 message came a second time at QoS 2").at(&second)),
    }
}

/// How long nothing is acknowledged.
const HELD: std::time::Duration = std::time::Duration::from_secs(10);

/// Before 5.0 a server may send again on a live connection what was not acknowledged: with its packet id, and a PUBLISH
/// with DUP 1.
pub(crate) async fn what_is_repeated_while_connected_is_a_repeat(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "holder").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let (one, two) = (stage.topic("one"), stage.topic("two"));
    peer.subscribed(&one, Qos::AtLeastOnce).await?;
    peer.subscribed(&two, Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&one, Qos::AtLeastOnce, b"held", false).await?;
    publisher.published(&two, Qos::ExactlyOnce, b"half", false).await?;
    let first = watch::unacknowledged(&mut peer, 2).await.prepared()?;
    let (Some(held), Some(half)) = (
        first.iter().find(|copy| copy.payload() == b"held" && copy.packet_id.is_some()),
        first.iter().find(|copy| copy.payload() == b"half" && copy.packet_id.is_some()),
    ) else {
        return Err(match &first[..] {
            [one] if one.packet_id.is_some() => Halt::unsupported("the server keeps one message in flight").at(one),
            _ => Halt::inconclusive("the messages did not come with the QoS at which they were published"),
        });
    };
    let half_id = half.packet_id.ok_or_else(|| Halt::inconclusive("no packet id").at(half))?;
    peer.send(Packet::Pubrec(Ack::new(half_id))).await;
    let by = stage.now() + HELD;
    let mut evidence = Evidence::of(held).and(half);
    let mut released = false;
    loop {
        let packet = match peer.next_by(by).await {
            Next::Packet(packet) => packet,
            Next::Nothing => break,
            other => return Err(Halt::inconclusive(format!("while acknowledgements were held back, {other}"))),
        };
        match &*packet {
            Packet::Publish(again) if again.payload() == b"held" => {
                if !again.dup || again.packet_id != held.packet_id {
                    let reason = format!("expected a repeat with DUP 1 and its packet id, got {}", shown(again));
                    return Err(Halt::fail(reason).at(&packet));
                }
                evidence = evidence.and(&packet);
            }
            Packet::Publish(again) if released => {
                return Err(Halt::fail(format!("sent again after its PUBREL: {}", shown(again))).at(&packet));
            }
            Packet::Publish(_) | Packet::Pingresp => {}
            Packet::Pubrel(ack) if ack.packet_id == half_id => {
                released = true;
                evidence = evidence.and(&packet);
            }
            other => return Err(Halt::fail(format!("expected repeats at most, got {other}")).at(&packet)),
        }
    }
    // The exchanges are still open, and end as they should.
    peer.send(Packet::Pubcomp(Ack::new(half_id))).await;
    let (_, pong) = rest(&mut peer).await?;
    Ok(evidence.and(&pong))
}
