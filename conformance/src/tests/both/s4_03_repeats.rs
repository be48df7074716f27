//! 4.3 and 4.4: what is repeated more than once, what shares a packet identifier with something else, and what was
//! finished long ago.

use std::collections::BTreeSet;

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Next, Peer, Puback, Pubcomp, Pubrec},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use super::s3_03_retain::retained;
use crate::tests::{
    asking::{id, is_v5, lasting_peer, publish, resumed},
    judge::{Cases, farewell},
    offer,
    watch::{self, Delivery, collect, message, name, no_other, rest, shown, tidied},
    without_qos_2::highest_qos,
};

/// A client with a lasting session that publishes. Some servers keep no session without a subscription; that has a rule of
/// its own.
async fn lasting_publisher(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
    let mut peer = lasting_peer(stage, actor).await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.subscribed(&stage.topic("anchor"), Qos::AtMostOnce).await?;
    Ok(peer)
}

/// How often a PUBLISH is sent again before its PUBREL.
const REPEATS: usize = 3;

/// Each gets a PUBREC, and the message is delivered once. 5.0 has a client repeat on its next connection only.
pub(crate) async fn every_repeat_of_a_qos_2_message_is_acknowledged(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    let outcome = tidied(stage, &["insistent"], &[], repeated(stage, "on the next connections", true)).await;
    cases.add("on the next connections", outcome);
    let outcome = tidied(stage, &["insistent"], &[], repeated(stage, "on one connection", false)).await;
    let outcome = match outcome {
        Err(halt) if is_v5(stage) && halt.verdict == Verdict::Fail => Err(Halt { verdict: Verdict::Warn, ..halt }),
        other => other,
    };
    cases.add("on one connection", outcome);
    cases.finish()
}

async fn repeated(stage: &Stage, payload: &str, reconnecting: bool) -> Outcome {
    let mut watcher = Peer::connected(stage, &stage.fresh("watcher")).await?;
    watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    let mut peer = lasting_publisher(stage, "insistent").await?;
    let mut insistent = publish(stage, "t", Qos::ExactlyOnce, id(7), payload);
    peer.send(Packet::Publish(insistent.clone())).await;
    let first = peer.expect::<Pubrec>().await.prepared()?;
    if first.reason.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused the message: {}", first.reason)).at(&first));
    }
    let mut evidence = Evidence::of(&first);
    insistent.dup = true;
    for repeat in 1..=REPEATS {
        if reconnecting {
            peer.close(End::Fin).await;
            farewell(&mut peer).await;
            peer = resumed(stage, "insistent").await?;
        }
        peer.send(Packet::Publish(insistent.clone())).await;
        let pubrec = peer
            .expect::<Pubrec>()
            .await
            .map_err(|halt| Halt { reason: format!("repeat {repeat} of {REPEATS}: {}", halt.reason), ..halt })?;
        evidence = evidence.and(&pubrec);
    }
    peer.send(Packet::Pubrel(Ack::new(id(7)))).await;
    let pubcomp = peer.expect::<Pubcomp>().await?;
    peer.disconnect().await;
    let copy = message(&mut watcher, payload.as_bytes()).await?;
    let (more, _) = rest(&mut watcher).await.prepared()?;
    match more.iter().find(|second| second.payload() == payload.as_bytes()) {
        Some(second) => Err(Halt::fail(format!("a second copy came: {}", shown(second))).at(second)),
        None => Ok(evidence.and(&pubcomp).and(&copy)),
    }
}

/// The server holds a message under an identifier; the client's own exchanges under the same number leave it alone, over a
/// reconnect as well.
pub(crate) async fn a_held_message_outlives_an_exchange_of_its_number(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        offer::qos(&alice, Qos::AtLeastOnce)?;
        let twice = highest_qos(stage, &alice).await == Qos::ExactlyOnce;
        alice.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "bob").await?;
        publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"held", false).await?;
        let held = alice.expect_message(b"held").await.prepared()?;
        let Some(number) = held.packet_id else {
            return Err(Halt::inconclusive("the message came with QoS 0").at(&held));
        };
        let own = name(&stage.topic("own"));
        alice.send(Packet::Publish(Publish::new(&own, "own").at(Qos::AtLeastOnce, Some(number)))).await;
        let puback = alice.expect::<Puback>().await.prepared()?;
        let mut evidence = Evidence::of(&held).and(&puback);
        if twice {
            alice.send(Packet::Publish(Publish::new(&own, "own").at(Qos::ExactlyOnce, Some(number)))).await;
            evidence = evidence.and(&alice.expect::<Pubrec>().await.prepared()?);
        }
        alice.close(End::Fin).await;
        farewell(&mut alice).await;
        let mut alice = resumed(stage, "alice").await?;
        let again = watch::message(&mut alice, b"held").await.map_err(|halt| Halt {
            reason: format!("a message that was held under {number} was not sent again: {}", halt.reason),
            ..halt
        })?;
        if again.packet_id != Some(number) {
            let reason = format!("expected the message again with packet id {number}, seen {:?}", again.packet_id);
            return Err(Halt::fail(reason).at(&again));
        }
        evidence = evidence.and(&again);
        if twice {
            alice.send(Packet::Pubrel(Ack::new(number))).await;
            let pubcomp = alice.expect::<Pubcomp>().await?;
            evidence = evidence.and(&pubcomp);
            if pubcomp.reason.is_failure() {
                let reason = format!("expected PUBCOMP 0x00 for an exchange that was open, seen {}", pubcomp.reason);
                evidence = evidence.warn(reason);
            }
        }
        alice.disconnect().await;
        Ok(evidence)
    })
    .await
}

/// Nobody is there for a QoS 2 message. When its exchange is over its number is free, also for the next connection, and
/// the next message is a new one.
pub(crate) async fn a_message_for_nobody_frees_its_identifier(stage: &Stage) -> Outcome {
    let topic = stage.topic("kept");
    tidied(stage, &["publisher"], &[&topic], async {
        let mut publisher = lasting_publisher(stage, "publisher").await?;
        offer::retain(&publisher)?;
        let kept = |payload: &str| {
            let mut kept = Publish::new(&name(&topic), payload).at(Qos::ExactlyOnce, Some(id(7)));
            kept.retain = true;
            kept
        };
        publisher.publish_with(kept("former")).await.prepared()?;
        publisher.disconnect().await;
        farewell(&mut publisher).await;
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
        message(&mut watcher, b"former").await.prepared()?;
        rest(&mut watcher).await.prepared()?;
        let mut publisher = resumed(stage, "publisher").await?;
        publisher.publish_with(kept("latter")).await.prepared()?;
        publisher.disconnect().await;
        let latter = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"latter");
        let mut live = collect(&mut watcher, latter).await?;
        live.extend(rest(&mut watcher).await.prepared()?.0);
        no_other(&live, b"latter")?;
        let Some(copy) = live.first() else {
            return Err(Halt::fail("the second message under a number that was free again did not come"));
        };
        let found = retained(stage, &[&topic], latter).await?;
        no_other(&found, b"latter")?;
        match found.first() {
            Some(kept) => Ok(Evidence::of(copy).and(kept)),
            None => Err(Halt::fail("the second message was not retained").at(copy)),
        }
    })
    .await
}

/// Granted QoS 0: what came live, or waited and came with the next connection, was delivered; it does not come with the one
/// after.
pub(crate) async fn what_came_at_qos_0_does_not_come_again(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], async {
        let (topic, marker) = (stage.topic("t"), stage.topic("marker"));
        let mut away = lasting_peer(stage, "away").await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        let highest = highest_qos(stage, &publisher).await;
        away.subscribed(&topic, Qos::AtMostOnce).await?;
        away.subscribed(&marker, Qos::AtLeastOnce).await?;
        let levels = || Qos::ALL.into_iter().filter(|qos| *qos <= highest);
        let mut before: BTreeSet<Vec<u8>> = BTreeSet::new();
        for qos in levels() {
            let payload = format!("live at QoS {qos}").into_bytes();
            publisher.published(&topic, qos, &payload, false).await?;
            message(&mut away, &payload).await.prepared()?;
            before.insert(payload);
        }
        rest(&mut away).await.prepared()?;
        away.disconnect().await;
        farewell(&mut away).await;
        for qos in levels() {
            publisher.published(&topic, qos, format!("at QoS {qos}").as_bytes(), false).await?;
        }
        let mut evidence: Option<Evidence> = None;
        for visit in ["first", "second", "third"] {
            publisher.published(&marker, Qos::AtLeastOnce, visit.as_bytes(), false).await?;
            let mut away = resumed(stage, "away").await?;
            let is_marker = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == visit.as_bytes());
            let mut received = collect(&mut away, is_marker).await?;
            if !is_marker(&received) {
                return Err(Halt::inconclusive("the marker message did not come"));
            }
            received.extend(rest(&mut away).await.prepared()?.0);
            away.disconnect().await;
            farewell(&mut away).await;
            let first = Evidence::of(&received[0]).and_all(&received[1..]);
            evidence = Some(match evidence {
                Some(before) => before.join(first),
                None => first,
            });
            received.retain(|copy| copy.qos == Qos::AtMostOnce && copy.topic() == topic);
            if let Some(copy) = received.iter().find(|copy| before.contains(copy.payload())) {
                let reason = format!("a message came again that had come at QoS 0: {}", shown(copy));
                return Err(Halt { verdict: Verdict::Warn, ..Halt::fail(reason).at(copy) });
            }
            before.extend(received.iter().map(|copy| copy.payload().to_vec()));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nobody came back"))
    })
    .await
}

/// A server that writes a message down beside its PUBREC may be slower than the PUBREL, and most of all for who has just come.
const NEWCOMERS: usize = 12;

/// The first packet of a connection is a QoS 2 PUBLISH, and its PUBREL follows at once. The server owned the message already.
pub(crate) async fn a_newcomer_completes_a_qos_2_message(stage: &Stage) -> Outcome {
    let mut evidence: Option<Evidence> = None;
    for number in 1..=NEWCOMERS {
        let mut peer = Peer::connected(stage, &stage.fresh("newcomer")).await?;
        offer::qos(&peer, Qos::ExactlyOnce)?;
        peer.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(7), "first"))).await;
        let pubrec = peer.expect::<Pubrec>().await.prepared()?;
        if pubrec.reason.is_failure() {
            return Err(Halt::inconclusive(format!("the server refused the message: {}", pubrec.reason)).at(&pubrec));
        }
        peer.send(Packet::Pubrel(Ack::new(id(7)))).await;
        let what = format!("client {number} of {NEWCOMERS} sent PUBREL right behind its PUBREC");
        let pubcomp = match peer.next().await {
            Next::Packet(packet) if matches!(*packet, Packet::Pubcomp(_)) => packet,
            Next::End(end) => return Err(Halt::fail(format!("{what}, and its connection was ended")).at(&end)),
            Next::Nothing => return Err(Halt::fail(format!("{what}, and no PUBCOMP came")).at(&pubrec)),
            other => return Err(Halt::inconclusive(format!("{what}: expected PUBCOMP, but {other}")).at(&pubrec)),
        };
        peer.disconnect().await;
        let seen = evidence.map_or_else(|| Evidence::of(&pubrec), |before| before.and(&pubrec));
        evidence = Some(seen.and(&pubcomp));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nobody published"))
}
