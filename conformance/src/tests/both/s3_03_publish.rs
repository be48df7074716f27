//! 3.3 PUBLISH: DUP, QoS, the topic, and what a receiver answers. RETAIN has a file of its own.

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Puback, Pubcomp, Pubrec},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{id, is_v5, lasting_peer, resumed, string},
    bytes::publish,
    judge::{At, Cases, Unnoticed, closes, farewell, offender, parting, unless_closed},
    offer,
    watch::{Delivery, collect, filter, message, name, no_other, rest, shown, tidied, up_to_marker},
    without_qos_2::highest_qos,
};

/// QoS 1 and QoS 2, unacknowledged on a connection that was cut: DUP 1 when they come again.
pub(crate) async fn a_message_that_comes_again_has_dup(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let topic = stage.topic(&format!("again/{qos}"));
        let outcome = tidied(stage, &["holder"], &[], async {
            let mut holder = lasting_peer(stage, "holder").await?;
            offer::qos(&holder, qos)?;
            offer::session_expiry(&holder, 300)?;
            offer::granted(&holder.subscribed(&topic, qos).await?, qos)?;
            let mut publisher = Peer::connected(stage, "publisher").await?;
            publisher.published(&topic, qos, b"held", false).await?;
            publisher.disconnect().await;
            let first = holder.expect_message(b"held").await.prepared()?;
            if first.qos != qos {
                return Err(Halt::inconclusive(format!("the message came with QoS {}", first.qos)).at(&first));
            }
            if first.dup {
                return Err(Halt::fail("the first copy has DUP 1").at(&first));
            }
            holder.close(End::Fin).await;
            let mut holder = resumed(stage, "holder").await?;
            let again = message(&mut holder, b"held").await.prepared()?;
            rest(&mut holder).await.prepared()?;
            if again.dup {
                Ok(Evidence::of(&first).and(&again))
            } else {
                Err(Halt::fail(format!("expected the message to come again with DUP 1, got {}", shown(&again)))
                    .at(&again))
            }
        })
        .await;
        cases.add(format!("QoS {qos}"), outcome);
    }
    cases.finish()
}

/// QoS 0 messages have DUP 0, also where the publisher set it.
pub(crate) async fn qos_0_has_no_dup(stage: &Stage) -> Outcome {
    let topic = stage.topic("plain");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"plain", false).await?;
    let plain = message(&mut watcher, b"plain").await.prepared()?;
    if plain.dup {
        return Err(Halt::fail(format!("a QoS 0 message has DUP 1: {}", shown(&plain))).at(&plain));
    }
    // PUBLISH with QoS 0 and DUP: the client breaks the rule; the server may hang up or forget the flag.
    let mut offender = offender(stage).await?;
    offender.send_bytes(&publish(stage.version(), 0x38, topic.as_bytes(), None, &[], b"flagged")).await;
    let served = offender.fence().await.is_ok();
    publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    if let Some(copy) = received.iter().find(|copy| copy.dup) {
        return Err(Halt::fail(format!("a QoS 0 message has DUP 1: {}", shown(copy))).at(copy));
    }
    let evidence = Evidence::of(&plain).and_all(&received);
    Ok(if served && !is_v5(stage) {
        evidence.warn("a PUBLISH with QoS 0 and DUP did not close the connection")
    } else {
        evidence
    })
}

/// The publisher's DUP says nothing about the server's own packet.
pub(crate) async fn dup_is_not_passed_on(stage: &Stage) -> Outcome {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let highest = highest_qos(stage, &publisher).await;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let mut cases = Cases::new();
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().filter(|qos| *qos <= highest) {
        cases.add(format!("QoS {qos}"), flagged(stage, &mut publisher, qos).await);
    }
    cases.finish()
}

/// A message that the server never saw before and that says it comes again.
async fn flagged(stage: &Stage, publisher: &mut Peer, qos: Qos) -> Outcome {
    let topic = stage.topic(&format!("flagged/{qos}"));
    let mut watcher = Peer::connected(stage, &stage.fresh("watcher")).await?;
    watcher.subscribed(&topic, qos).await?;
    publisher.published(&topic, qos, b"plain", false).await?;
    message(&mut watcher, b"plain").await.prepared()?;
    let mut flagged = Publish::new(&name(&topic), "flagged").at(qos, Some(publisher.fresh_id()));
    flagged.dup = true;
    publisher.publish_with(flagged).await.prepared()?;
    let copy = message(&mut watcher, b"flagged").await?;
    watcher.disconnect().await;
    if copy.dup {
        return Err(Halt::fail(format!("the first copy has DUP 1: {}", shown(&copy))).at(&copy));
    }
    Ok(Evidence::of(&copy))
}

pub(crate) async fn qos_3_closes_the_connection(stage: &Stage) -> Outcome {
    let topic = stage.topic("three");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut peer = offender(stage).await?;
    let bytes = publish(stage.version(), 0x36, topic.as_bytes(), Some(1), &[], b"three");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::QosNotSupported];
    let evidence = closes(&mut peer, "a PUBLISH with QoS 3", &bytes, &codes, Unnoticed::Fails).await?;
    let marker = not_forwarded(stage, &mut watcher, &topic).await?;
    Ok(evidence.and(&marker))
}

/// A marker on the topic is all that the watcher gets.
async fn not_forwarded(stage: &Stage, watcher: &mut Peer, topic: &str) -> Result<Delivery, Halt> {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(topic, Qos::AtMostOnce, b"marker", false).await?;
    publisher.disconnect().await;
    super::s3_01_connect::message_alone(watcher, b"marker").await
}

/// A topic that is longer than the packet, and one that is no UTF-8.
pub(crate) async fn a_publish_begins_with_a_whole_topic(stage: &Stage) -> Outcome {
    let topic = stage.topic("whole");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::TopicNameInvalid];
    let mut cases = Cases::new();
    // The length says one byte more than there is.
    let mut long = string(topic.as_bytes());
    long[1] += 1;
    let mut peer = offender(stage).await?;
    let bytes = crate::tests::asking::frame(0x30, &long);
    let offence = "a topic longer than its packet";
    cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::Fails).await);
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let mut peer = offender(stage).await?;
    let bytes = publish(stage.version(), 0x30, b"bad/\xC3", None, &[], b"x");
    let offence = "a topic that is no UTF-8";
    cases.add(offence, closes(&mut peer, offence, &bytes, &codes, unnoticed).await);
    cases.finish()
}

/// Wildcards in a topic: no subscriber may get such a message.
pub(crate) async fn a_topic_with_wildcards_is_not_forwarded(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::wildcards(&watcher)?;
    watcher.subscribed(&stage.topic("wild/#"), Qos::AtMostOnce).await?;
    let mut cases = Cases::new();
    for below in ["wild/+", "wild/#"] {
        let mut peer = offender(stage).await?;
        if offer::qos(&peer, Qos::AtLeastOnce).is_err() {
            return Err(Halt::unsupported("the server takes no QoS 1"));
        }
        let bytes = publish(stage.version(), 0x32, stage.topic(below).as_bytes(), Some(1), &[], b"wild");
        peer.send_bytes(&bytes).await;
        let (seen, pong) = parting(&mut peer).await;
        let puback = seen.packets.iter().find_map(|packet| match &**packet {
            Packet::Puback(ack) => Some((ack.reason, At(squall_scenarios::verdict::Witness::entry(packet)))),
            _ => None,
        });
        let offence = format!("a PUBLISH to {below}");
        cases.add(
            offence.clone(),
            match (&seen.end, puback) {
                // The rule binds the sender: a receiver that does not look breaks it when it hands the message on.
                (_, Some((reason, at))) if is_v5(stage) && !reason.is_failure() => {
                    Ok(Evidence::of(&at).warn(format!("{offence} was acknowledged with {reason}")))
                }
                (Some(end), _) => Ok(Evidence::of(end)),
                // 5.0: refused by PUBACK, that is no success either.
                (None, Some((_, at))) if is_v5(stage) => Ok(Evidence::of(&at)),
                (None, Some((_, at))) => {
                    Ok(Evidence::of(&at).warn(format!("{offence} did not close the connection (MQTT-4.8.0-1)")))
                }
                (None, None) => match &pong {
                    Some(pong) => Ok(Evidence::of(pong).warn(format!("{offence} did not close the connection"))),
                    None => Err(Halt::inconclusive(format!("{offence}: neither an answer nor a close"))),
                },
            },
        );
    }
    let marker = stage.topic("wild/marker");
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    no_other(&received, b"marker")?;
    let received = received.into_iter().next().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
    cases.finish().map(|evidence| evidence.and(&received))
}

/// Filters and topics in pairs, on one client for each filter.
pub(crate) async fn a_message_matches_the_filter_that_it_came_for(stage: &Stage) -> Outcome {
    let topics = ["a", "a/", "a/b", "a/b/c", "A/b", "ab", "x/b", "x//b"];
    let mut evidence: Option<Evidence> = None;
    for wanted in ["a/b", "a/+", "a/#", "+/b", "x/+/b"] {
        let whole = stage.topic(wanted);
        let mut watcher = Peer::connected(stage, "watcher").await?;
        if filter(&whole).has_wildcard() && offer::wildcards(&watcher).is_err() {
            continue;
        }
        let end = stage.topic("end");
        watcher.subscribed(&whole, Qos::AtMostOnce).await?;
        watcher.subscribed(&end, Qos::AtMostOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for topic in topics {
            publisher.published(&stage.topic(topic), Qos::AtMostOnce, b"x", false).await?;
        }
        publisher.published(&end, Qos::AtMostOnce, b"end", false).await?;
        let received = collect(&mut watcher, |seen| seen.last().is_some_and(|last| last.payload() == b"end")).await?;
        for mut peer in [watcher, publisher] {
            peer.disconnect().await;
            // Who comes again while it is still there takes its own place, and some servers bear that once only.
            farewell(&mut peer).await;
        }
        for copy in &received {
            if copy.payload() != b"end" && !filter(&whole).matches(copy.topic()) {
                let reason = format!("a message on {} came, which the filter {whole} does not match", copy.topic());
                return Err(Halt::fail(reason).at(copy));
            }
        }
        match received.last() {
            Some(last) if received.len() > 1 => {
                let seen = evidence.map_or_else(|| Evidence::of(last), |evidence| evidence.and(last));
                evidence = Some(seen.and_all(&received));
            }
            _ => return Err(Halt::inconclusive(format!("nothing came for the filter {whole}"))),
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no filter could be tried"))
}

/// QoS 0: nothing; QoS 1: PUBACK; QoS 2: PUBREC. Also with RETAIN, DUP and no payload, and with no subscriber.
pub(crate) async fn a_publish_is_answered_by_its_qos(stage: &Stage) -> Outcome {
    let topic = stage.topic("answered");
    tidied(stage, &[], &[&topic], async {
        let mut peer = Peer::connected(stage, "alice").await?;
        let highest = offer::highest_qos(&peer);
        let may_retain = offer::retain(&peer).is_ok();
        peer.send(Packet::Publish(Publish::new(&name(&topic), "x"))).await;
        let mut evidence = Evidence::of(&peer.quiet().await?);
        let mut number = 100;
        for (retain, dup, payload) in [(false, false, "x"), (true, false, "x"), (false, true, "x"), (false, false, "")]
        {
            for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
                if qos > highest || (retain && !may_retain) {
                    continue;
                }
                number += 1;
                let packet_id = id(number);
                let mut publish = Publish::new(&name(&topic), payload).at(qos, Some(packet_id));
                (publish.retain, publish.dup) = (retain, dup);
                peer.send(Packet::Publish(publish)).await;
                let refused = |reason: ReasonCode| {
                    Halt::inconclusive(format!("the server refused the message at QoS {qos}: {reason}"))
                };
                if qos == Qos::AtLeastOnce {
                    let puback = unless_closed(peer.expect::<Puback>().await, &peer)?;
                    if puback.reason.is_failure() {
                        return Err(refused(puback.reason).at(&puback));
                    }
                    same_id(puback.packet_id.value(), number, &puback)?;
                    evidence = evidence.and(&puback);
                } else {
                    let pubrec = unless_closed(peer.expect::<Pubrec>().await, &peer)?;
                    if pubrec.reason.is_failure() {
                        return Err(refused(pubrec.reason).at(&pubrec));
                    }
                    same_id(pubrec.packet_id.value(), number, &pubrec)?;
                    peer.send(Packet::Pubrel(Ack::new(packet_id))).await;
                    let pubcomp = peer.expect::<Pubcomp>().await.prepared()?;
                    evidence = evidence.and(&pubrec).and(&pubcomp);
                }
            }
        }
        Ok(evidence)
    })
    .await
}

fn same_id(got: u16, wanted: u16, witness: &impl squall_scenarios::verdict::Witness) -> Result<(), Halt> {
    if got == wanted {
        return Ok(());
    }
    Err(Halt::fail(format!("expected an answer with packet identifier {wanted}, got {got}")).at(witness))
}

/// Three overlapping subscriptions, the highest QoS in another place each time: a copy has the highest that was granted,
/// and there are no more copies than subscriptions. Without QoS 2 two of them have the highest.
pub(crate) async fn overlapping_subscriptions_give_the_highest_qos(stage: &Stage) -> Outcome {
    let mut evidence: Option<Evidence> = None;
    for (n, levels) in [[0, 2, 1], [2, 1, 0], [1, 0, 2]].iter().enumerate() {
        let root = format!("overlap/{n}");
        let topic = stage.topic(&format!("{root}/a/b"));
        let mut watcher = Peer::connected(stage, "watcher").await?;
        offer::qos(&watcher, Qos::AtLeastOnce)?;
        offer::wildcards(&watcher)?;
        let published = highest_qos(stage, &watcher).await;
        let mut granted = Vec::new();
        for (below, level) in ["a/#", "a/+", "a/b"].iter().zip(levels) {
            let qos = Qos::from_bits(*level).unwrap_or_default().min(published);
            let suback = watcher.subscribed(&stage.topic(&format!("{root}/{below}")), qos).await?;
            granted.extend(suback.reasons.iter().map(|reason| reason.value()));
        }
        let highest = granted.iter().copied().max().unwrap_or(0);
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, published, b"both", false).await?;
        publisher.disconnect().await;
        let has_highest = |seen: &[Delivery]| seen.iter().any(|copy| copy.qos.bits() == highest);
        let mut received = collect(&mut watcher, has_highest).await?;
        let (more, _) = rest(&mut watcher).await.prepared()?;
        received.extend(more);
        let copies: Vec<_> = received.iter().filter(|copy| !copy.dup).collect();
        if !has_highest(&received) {
            let got: Vec<_> = received.iter().map(|copy| copy.qos.bits()).collect();
            let halt = Halt::fail(format!("expected a copy with QoS {highest}, got copies with {got:?}"));
            return Err(match received.first() {
                Some(copy) => halt.at(copy),
                None => halt,
            });
        }
        if copies.len() > levels.len() {
            let reason = format!("{} copies came for {} subscriptions", copies.len(), levels.len());
            return Err(Halt::fail(reason).at(copies[levels.len()]));
        }
        let seen = evidence.map_or_else(|| Evidence::of(&received[0]), |evidence| evidence.and(&received[0]));
        evidence = Some(seen.and_all(&received));
        watcher.disconnect().await;
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
}

/// An empty payload at each QoS.
pub(crate) async fn an_empty_payload_is_delivered(stage: &Stage) -> Outcome {
    let topic = stage.topic("empty");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    let highest = highest_qos(stage, &watcher).await;
    watcher.subscribed(&topic, Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let mut evidence: Option<Evidence> = None;
    for qos in Qos::ALL.into_iter().filter(|qos| *qos <= highest) {
        publisher.published(&topic, qos, b"", false).await?;
        let received = collect(&mut watcher, |seen| !seen.is_empty()).await?;
        let Some(copy) = received.first() else {
            return Err(Halt::fail(format!("the empty message at QoS {qos} did not come")));
        };
        if !copy.payload().is_empty() {
            return Err(Halt::fail(format!("expected an empty payload, got {}", shown(copy))).at(copy));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
    }
    rest(&mut watcher).await.prepared()?;
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

/// All byte values, and sizes around the steps of the Remaining Length.
pub(crate) async fn payloads_pass_unchanged(stage: &Stage) -> Outcome {
    /// At most.
    const FIXED_HEADER: usize = 5;
    let topic = stage.topic("binary");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let limit = publisher.connack().and_then(|connack| connack.properties.maximum_packet_size()).unwrap_or(u32::MAX);
    let every: Vec<u8> = (0..=255).collect();
    // Topic with its length, and in 5.0 the Property Length.
    let around = topic.len() + 2 + usize::from(is_v5(stage));
    let sizes = [127, 128, 16_383, 16_384].map(|length: usize| length.saturating_sub(around));
    let long = sizes.iter().map(|size| every.iter().copied().cycle().take(*size).collect());
    let payloads = std::iter::once(every.clone()).chain(long);
    let mut evidence: Option<Evidence> = None;
    for payload in payloads {
        let payload: Vec<u8> = payload;
        if payload.len() + around + FIXED_HEADER > limit as usize {
            continue;
        }
        let published = publisher.published(&topic, Qos::AtMostOnce, &payload, false).await;
        if let (Err(_), false, Some(evidence)) = (&published, publisher.is_open(), &evidence) {
            // It may have a limit that it cannot announce before 5.0.
            let reason = format!("the server closed the connection on a message of {} bytes", payload.len());
            return Ok(evidence.clone().warn(reason));
        }
        published?;
        let received = collect(&mut watcher, |seen| !seen.is_empty()).await?;
        let Some(copy) = received.first() else {
            return Err(Halt::warn(format!("a message of {} bytes did not come", payload.len())));
        };
        if copy.payload() != payload {
            let reason =
                format!("a payload of {} bytes came changed, with {} bytes", payload.len(), copy.payload().len());
            return Err(Halt::fail(reason).at(copy));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

/// The publisher subscribes to its own topic.
pub(crate) async fn a_publisher_gets_its_own_message(stage: &Stage) -> Outcome {
    let topic = stage.topic("echo");
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&topic, Qos::AtMostOnce).await?;
    peer.send(Packet::Publish(Publish::new(&name(&topic), "echo"))).await;
    let own = message(&mut peer, b"echo").await?;
    Ok(Evidence::of(&own))
}
