//! 4.1 Session State, 4.2 Network Connections, 4.3 Quality of Service, 4.4 Message delivery retry, 4.5 Message receipt,
//! 4.6 Message ordering.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::Property,
    qos::Qos,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Peer, Puback, Pubcomp, Pubrec, Pubrel, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{id, is_v5, lasting, lasting_peer, publish, resumed},
    judge::{Cases, formed, unless_closed},
    offer,
    watch::{self, tidied},
    without_qos_2::highest_qos,
};

pub(crate) async fn a_connection_over_tcp_is_taken(stage: &Stage) -> Outcome {
    let (_, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await?;
    Ok(Evidence::of(&connack))
}

pub(crate) async fn a_qos_0_message_goes_out_with_dup_0(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    publisher.published(&stage.topic("t"), Qos::AtMostOnce, b"plain", false).await?;
    publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"lowered", false).await?;
    let mut evidence: Option<Evidence> = None;
    for payload in [&b"plain"[..], b"lowered"] {
        let message = formed(stage, peer.expect_message(payload).await)?;
        if message.qos != Qos::AtMostOnce || message.dup {
            return Err(Halt::fail(format!("expected QoS 0 and DUP 0, seen {}", Packet::Publish((*message).clone())))
                .at(&message));
        }
        evidence = Some(match evidence {
            None => Evidence::of(&message),
            Some(evidence) => evidence.and(&message),
        });
    }
    Ok(evidence.expect("two messages were judged"))
}

/// A message for a subscriber with a lasting session, not yet acknowledged.
async fn delivered(stage: &Stage, qos: Qos, payload: &str) -> Result<(Peer, Seen<Publish>, PacketId), Halt> {
    let mut peer = lasting_peer(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), qos).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, qos)?;
    publisher.published(&stage.topic("t"), qos, payload.as_bytes(), false).await?;
    let message = peer.expect_message(payload.as_bytes()).await.prepared()?;
    match message.packet_id {
        Some(packet_id) if message.qos == qos => Ok((peer, message, packet_id)),
        _ => {
            Err(Halt::unsupported(format!("the server delivers at QoS {}, the question needs QoS {qos}", message.qos)))
        }
    }
}

/// The same message again on the resumed session, with its identifier. DUP is another rule's business.
async fn repeated(peer: &mut Peer, payload: &str, packet_id: PacketId) -> Result<Seen<Publish>, Halt> {
    let again = peer.expect_message(payload.as_bytes()).await?;
    if again.packet_id != Some(packet_id) {
        return Err(
            Halt::fail(format!("expected the original packet id {packet_id}, seen {:?}", again.packet_id)).at(&again)
        );
    }
    Ok(again)
}

pub(crate) async fn an_unacknowledged_qos_1_message_is_sent_again_on_the_resumed_session(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], qos_1_again(stage)).await
}

async fn qos_1_again(stage: &Stage) -> Outcome {
    let (mut peer, first, packet_id) = delivered(stage, Qos::AtLeastOnce, "held").await?;
    if first.dup {
        return Err(Halt::fail("expected DUP 0 on the first transmission, seen DUP 1").at(&first));
    }
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let again = repeated(&mut peer, "held", packet_id).await?;
    peer.send(Packet::Puback(Ack::new(packet_id))).await;
    // The fence makes sure that the PUBACK was read before the connection ends.
    let (_, fence) = peer.fence().await.prepared()?;
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let silence = peer.quiet().await?;
    Ok(Evidence::of(&first).and(&again).and(&fence).and(&silence))
}

pub(crate) async fn an_unfinished_qos_2_delivery_goes_on_where_it_stopped(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], qos_2_again(stage)).await
}

async fn qos_2_again(stage: &Stage) -> Outcome {
    let (mut peer, first, packet_id) = delivered(stage, Qos::ExactlyOnce, "exact").await?;
    if first.dup {
        return Err(Halt::fail("expected DUP 0 on the first transmission, seen DUP 1").at(&first));
    }
    // No PUBREC: the PUBLISH comes again.
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let again = repeated(&mut peer, "exact", packet_id).await?;
    peer.send(Packet::Pubrec(Ack::new(packet_id))).await;
    let released = expect_pubrel(&mut peer, packet_id).await?;
    // No PUBCOMP: the PUBREL comes again, and the PUBLISH never more.
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let released_again = expect_pubrel(&mut peer, packet_id).await?;
    peer.send(Packet::Pubcomp(Ack::new(packet_id))).await;
    let silence = peer.quiet().await?;
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let finished = peer.quiet().await?;
    Ok(Evidence::of(&first).and(&again).and(&released).and(&released_again).and(&silence).and(&finished))
}

async fn expect_pubrel(peer: &mut Peer, packet_id: PacketId) -> Result<Seen<Pubrel>, Halt> {
    let pubrel = peer.expect::<Pubrel>().await?;
    if pubrel.packet_id != packet_id {
        return Err(
            Halt::fail(format!("expected PUBREL with packet id {packet_id}, seen {}", pubrel.packet_id)).at(&pubrel)
        );
    }
    Ok(pubrel)
}

pub(crate) async fn a_packet_id_is_new_after_its_puback(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "alice").await?;
    watcher.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let mut evidence: Option<Evidence> = None;
    for (payload, dup) in [("a", false), ("b", true)] {
        let mut message = publish(stage, "t", Qos::AtLeastOnce, id(5), payload);
        message.dup = dup;
        publisher.send(Packet::Publish(message)).await;
        let puback = unless_closed(publisher.expect::<Puback>().await, &publisher)?;
        if puback.packet_id != id(5) {
            return Err(Halt::fail(format!("expected PUBACK with packet id 5, seen {}", puback.packet_id)).at(&puback));
        }
        if puback.reason.is_failure() {
            return Err(Halt::inconclusive(format!("the server refused the message: {}", puback.reason)).at(&puback));
        }
        let copy = watch::message(&mut watcher, payload.as_bytes()).await?;
        let seen = Evidence::of(&puback).and(&copy);
        evidence = Some(match evidence {
            None => seen,
            Some(before) => before.join(seen),
        });
    }
    Ok(evidence.expect("two messages were published"))
}

pub(crate) async fn a_repeated_qos_2_message_is_delivered_once(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "alice").await?;
    watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    watcher.subscribed(&stage.topic("marker"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::ExactlyOnce)?;
    let mut message = publish(stage, "t", Qos::ExactlyOnce, id(7), "once");
    publisher.send(Packet::Publish(message.clone())).await;
    let first = expect_pubrec(&mut publisher).await?;
    message.dup = true;
    publisher.send(Packet::Publish(message)).await;
    let second = expect_pubrec(&mut publisher).await?;
    publisher.send(Packet::Pubrel(Ack::new(id(7)))).await;
    let pubcomp = publisher.expect::<Pubcomp>().await?;
    if pubcomp.packet_id != id(7) {
        return Err(Halt::fail(format!("expected PUBCOMP with packet id 7, seen {}", pubcomp.packet_id)).at(&pubcomp));
    }
    let copy = watcher.expect_message(b"once").await?;
    // The same identifier again is a new message now.
    publisher.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(7), "another"))).await;
    let third = expect_pubrec(&mut publisher).await?;
    publisher.send(Packet::Pubrel(Ack::new(id(7)))).await;
    publisher.expect::<Pubcomp>().await?;
    let another = watcher.expect_message(b"another").await?;
    publisher.published(&stage.topic("marker"), Qos::AtMostOnce, b"marker", false).await?;
    let marker = watcher.expect_message(b"marker").await?;
    Ok(Evidence::of(&first).and(&second).and(&pubcomp).and(&copy).and(&third).and(&another).and(&marker))
}

async fn expect_pubrec(peer: &mut Peer) -> Result<Seen<Pubrec>, Halt> {
    let pubrec = unless_closed(peer.expect::<Pubrec>().await, peer)?;
    if pubrec.packet_id != id(7) {
        return Err(Halt::fail(format!("expected PUBREC with packet id 7, seen {}", pubrec.packet_id)).at(&pubrec));
    }
    // 0x91 tells that the identifier is in use: of a repeat that is a lawful answer too.
    if pubrec.reason.is_failure() && pubrec.reason.value() != 0x91 {
        return Err(Halt::inconclusive(format!("the server refused the message: {}", pubrec.reason)).at(&pubrec));
    }
    Ok(pubrec)
}

pub(crate) async fn every_matching_session_gets_the_message(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], everyone(stage)).await
}

async fn everyone(stage: &Stage) -> Outcome {
    let mut away = lasting_peer(stage, "away").await?;
    away.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    away.disconnect().await;
    let mut here = Peer::connected(stage, "alice").await?;
    here.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    let mut wild = Peer::connected(stage, "carol").await?;
    offer::wildcards(&wild)?;
    wild.subscribed(&stage.topic("#"), Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"to all", false).await?;
    let one = here.expect_message(b"to all").await?;
    let two = wild.expect_message(b"to all").await?;
    let mut away = resumed(stage, "away").await?;
    let three = watch::message(&mut away, b"to all").await?;
    Ok(Evidence::of(&one).and(&two).and(&three))
}

/// How many messages of each QoS: enough that a disorder shows, few enough for any queue.
const ORDERED: usize = 20;

pub(crate) async fn messages_of_one_topic_and_qos_keep_their_order(stage: &Stage) -> Outcome {
    let highest = highest_qos(stage, &Peer::connected(stage, &stage.fresh("asking")).await?).await;
    let mut cases = Cases::new();
    for qos in Qos::ALL.into_iter().filter(|qos| *qos <= highest) {
        cases.add(format!("QoS {qos}"), in_order(stage, qos).await);
    }
    cases.finish()
}

async fn in_order(stage: &Stage, qos: Qos) -> Outcome {
    let topic = stage.topic(&format!("order{qos}"));
    let mut peer = Peer::connected(stage, &stage.fresh("alice")).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("bob")).await?;
    offer::qos(&publisher, qos)?;
    peer.subscribed(&topic, qos).await?;
    // All are published before the first is acknowledged: they wait in the server, where order can be lost.
    for number in 0..ORDERED {
        publisher.published(&topic, qos, number.to_string().as_bytes(), false).await?;
    }
    let copies = watch::collect(&mut peer, |seen| seen.iter().filter(|copy| !copy.dup).count() >= ORDERED).await?;
    let mut numbers: Vec<usize> = Vec::new();
    for copy in &copies {
        let number = std::str::from_utf8(copy.payload()).ok().and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| Halt::fail("a message came that nobody published").at(copy))?;
        // More than one copy is lawful at QoS 1; the first ones are judged.
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let Some(first) = copies.first() else {
        return Err(Halt::inconclusive("no message came"));
    };
    if !numbers.is_sorted() {
        return Err(Halt::fail(format!("expected the numbers in ascending order, seen {numbers:?}")).at(first));
    }
    if qos != Qos::AtMostOnce && numbers.len() != ORDERED {
        return Err(Halt::inconclusive(format!("only {} of {ORDERED} messages came", numbers.len())));
    }
    Ok(Evidence::of(first).and_all(&copies[1..]))
}

pub(crate) async fn a_session_lasts_over_several_connections(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], several_connections(stage)).await
}

async fn several_connections(stage: &Stage) -> Outcome {
    let mut peer = lasting_peer(stage, "alice").await?;
    offer::qos(&peer, Qos::AtLeastOnce)?;
    let granted = peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    let mut evidence = Evidence::of(&granted);
    let twice = highest_qos(stage, &peer).await == Qos::ExactlyOnce;
    if twice {
        peer.send(Packet::Publish(publish(stage, "elsewhere", Qos::ExactlyOnce, id(7), "open"))).await;
        evidence = evidence.and(&expect_pubrec(&mut peer).await.prepared()?);
    }
    for _ in 0..3 {
        peer.close(End::Fin).await;
        let (next, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        if !connack.session_present {
            return Err(Halt::fail("expected Session Present 1 on the session of before, seen 0").at(&connack));
        }
        evidence = evidence.and(&connack);
        peer = next;
    }
    if twice {
        // The exchange that was open at the start is still known: PUBREL finishes it without an error.
        peer.send(Packet::Pubrel(Ack::new(id(7)))).await;
        let pubcomp = peer.expect::<Pubcomp>().await?;
        evidence = evidence.and(&pubcomp);
        if pubcomp.reason.is_failure() {
            let reason = format!("expected PUBCOMP 0x00 for an exchange that was open, seen {}", pubcomp.reason);
            evidence = evidence.warn(reason);
        }
    }
    let mut publisher = Peer::connected(stage, "bob").await?;
    publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"still here", false).await?;
    let message = watch::message(&mut peer, b"still here").await?;
    Ok(evidence.and(&message))
}

/// Longer than the session's expiry (1 s) and the slack of a server's timer.
const OUTLASTS: Duration = Duration::from_secs(3);

pub(crate) async fn a_session_lasts_while_its_connection_is_open(stage: &Stage) -> Outcome {
    let mut connect = Peer::hello(stage, "alice");
    if is_v5(stage) {
        connect.push_property(Property::SessionExpiryInterval(1));
    }
    let (mut peer, connack) = Peer::connect(stage, "alice", connect).await.prepared()?;
    peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    stage.pass(OUTLASTS).await;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"still subscribed", false).await?;
    let message = watch::message(&mut peer, b"still subscribed").await?;
    Ok(Evidence::of(&connack).and(&message))
}
