//! 3.10 UNSUBSCRIBE and 3.11 UNSUBACK.

use squall_codec::{
    packet::{Ack, Packet, Unsuback},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Pubrel},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{answered, id, is_v5, unsubscribe},
    bytes,
    judge::{Unnoticed, closes, offender},
    offer,
    watch::{Delivery, collect, message, rest, shown},
};

pub(crate) async fn an_unsubscribe_with_wrong_flags_closes_the_connection(stage: &Stage) -> Outcome {
    let bytes = bytes::unsubscribe(stage.version(), 0xA0, 1, &[], &[stage.topic("t").as_bytes()]);
    let offence = "an UNSUBSCRIBE that begins with 0xA0";
    closes(&mut offender(stage).await?, offence, &bytes, &[ReasonCode::MalformedPacket], Unnoticed::Fails).await
}

pub(crate) async fn an_unsubscribe_without_a_filter_closes_the_connection(stage: &Stage) -> Outcome {
    let bytes = bytes::unsubscribe(stage.version(), 0xA2, 1, &[], &[]);
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    closes(&mut offender(stage).await?, "an UNSUBSCRIBE without a filter", &bytes, &codes, answered(stage)).await
}

pub(crate) async fn an_ill_formed_filter_to_unsubscribe_from_closes_the_connection(stage: &Stage) -> Outcome {
    let bytes = bytes::unsubscribe(stage.version(), 0xA2, 1, &[], &[b"t/\xFF"]);
    let codes = [ReasonCode::MalformedPacket, ReasonCode::TopicFilterInvalid];
    // 5.0 [MQTT-3.10.3-1] binds the client, and nothing of a filter that is taken away is handed on.
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    closes(&mut offender(stage).await?, "an UNSUBSCRIBE from an ill-formed filter", &bytes, &codes, unnoticed).await
}

pub(crate) async fn an_unsuback_carries_the_packet_id_of_its_unsubscribe(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    peer.send(unsubscribe(stage, id(0x1234), &["t"])).await;
    let unsuback = peer.expect::<Unsuback>().await?;
    if unsuback.packet_id != id(0x1234) {
        return Err(
            Halt::fail(format!("expected UNSUBACK with packet id 4660, seen {}", unsuback.packet_id)).at(&unsuback)
        );
    }
    Ok(Evidence::of(&unsuback))
}

pub(crate) async fn an_unknown_filter_is_answered_too(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.send(unsubscribe(stage, id(9), &["never/subscribed"])).await;
    let unsuback = peer.expect::<Unsuback>().await?;
    if unsuback.packet_id != id(9) {
        return Err(
            Halt::fail(format!("expected UNSUBACK with packet id 9, seen {}", unsuback.packet_id)).at(&unsuback)
        );
    }
    let evidence = Evidence::of(&unsuback);
    match unsuback.reasons.first() {
        Some(reason) if *reason != ReasonCode::NoSubscriptionExisted => {
            Ok(evidence.warn(format!("expected 0x11 No subscription existed, seen {reason}")))
        }
        _ => Ok(evidence),
    }
}

pub(crate) async fn only_an_equal_filter_is_deleted(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::wildcards(&peer)?;
    peer.subscribed(&stage.topic("a/+"), Qos::AtMostOnce).await?;
    // What one client leaves is nothing to another.
    let mut other = Peer::connected(stage, "carol").await?;
    other.subscribed(&stage.topic("a/c"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    peer.send(unsubscribe(stage, id(31), &["a/#", "A/+", "a/c"])).await;
    let others = peer.expect::<Unsuback>().await.prepared()?;
    publisher.published(&stage.topic("a/c"), Qos::AtMostOnce, b"still subscribed", false).await?;
    let still = peer.expect_message(b"still subscribed").await?;
    peer.send(unsubscribe(stage, id(32), &["a/+"])).await;
    let equal = peer.expect::<Unsuback>().await.prepared()?;
    publisher.published(&stage.topic("a/c"), Qos::AtMostOnce, b"not any more", false).await?;
    let fence = peer.quiet().await?;
    let mut evidence = Evidence::of(&others).and(&still).and(&equal).and(&fence);
    for payload in [&b"still subscribed"[..], b"not any more"] {
        let copy = message(&mut other, payload).await.map_err(|halt| Halt {
            reason: format!("when another client had unsubscribed: {}", halt.reason),
            ..halt
        })?;
        evidence = evidence.and(&copy);
    }
    Ok(evidence)
}

pub(crate) async fn nothing_new_comes_after_the_unsuback(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    peer.subscribed(&stage.topic("marker"), Qos::AtMostOnce).await?;
    peer.send(unsubscribe(stage, id(40), &["t"])).await;
    let unsuback = peer.expect::<Unsuback>().await.prepared()?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce.min(offer::highest_qos(&publisher))] {
        publisher.published(&stage.topic("t"), qos, b"too late", false).await?;
    }
    // The marker goes the same way after them: had they been forwarded, they would be here before it.
    publisher.published(&stage.topic("marker"), Qos::AtMostOnce, b"marker", false).await?;
    let marker = peer.expect_message(b"marker").await?;
    let fence = peer.quiet().await?;
    Ok(Evidence::of(&unsuback).and(&marker).and(&fence))
}

/// `tree/#` is also for messages on `tree` itself (section 4.7.1.2), and so is its end.
pub(crate) async fn who_leaves_a_subtree_leaves_its_root(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::wildcards(&peer)?;
    let topics = [stage.topic("tree"), stage.topic("tree/leaf")];
    peer.subscribed(&stage.topic("tree/#"), Qos::AtMostOnce).await?;
    peer.subscribed(&stage.topic("marker"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    for topic in &topics {
        publisher.published(topic, Qos::AtMostOnce, topic.as_bytes(), false).await?;
        message(&mut peer, topic.as_bytes()).await.prepared()?;
    }
    peer.send(unsubscribe(stage, id(41), &["tree/#"])).await;
    let unsuback = peer.expect::<Unsuback>().await.prepared()?;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce.min(offer::highest_qos(&publisher))] {
        for topic in &topics {
            publisher.published(topic, qos, b"too late", false).await?;
        }
    }
    // The marker goes the same way after them: had they been forwarded, they would be here before it.
    publisher.published(&stage.topic("marker"), Qos::AtMostOnce, b"marker", false).await?;
    let is_marker = |copy: &Delivery| copy.payload() == b"marker";
    let mut received = collect(&mut peer, |seen| seen.iter().any(is_marker)).await?;
    received.extend(rest(&mut peer).await.prepared()?.0);
    if let Some(late) = received.iter().find(|copy| !is_marker(copy)) {
        return Err(
            Halt::fail(format!("a message that was published after the UNSUBACK came: {}", shown(late))).at(late)
        );
    }
    let marker = received.first().ok_or_else(|| Halt::inconclusive("the marker message did not come"))?;
    Ok(Evidence::of(&unsuback).and(marker))
}

pub(crate) async fn a_delivery_begun_before_is_completed(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::ExactlyOnce)?;
    publisher.published(&stage.topic("t"), Qos::ExactlyOnce, b"begun", false).await?;
    let message = peer.expect_message(b"begun").await.prepared()?;
    let (Qos::ExactlyOnce, Some(packet_id)) = (message.qos, message.packet_id) else {
        return Err(Halt::unsupported(format!("the server delivers at QoS {}, the question needs QoS 2", message.qos)));
    };
    peer.send(unsubscribe(stage, id(50), &["t"])).await;
    let unsuback = peer.expect::<Unsuback>().await.prepared()?;
    peer.send(Packet::Pubrec(Ack::new(packet_id))).await;
    let pubrel = peer.expect::<Pubrel>().await?;
    if pubrel.packet_id != packet_id {
        return Err(
            Halt::fail(format!("expected PUBREL with packet id {packet_id}, seen {}", pubrel.packet_id)).at(&pubrel)
        );
    }
    peer.send(Packet::Pubcomp(Ack::new(packet_id))).await;
    Ok(Evidence::of(&message).and(&unsuback).and(&pubrel))
}

pub(crate) async fn one_unsubscribe_with_three_filters_acts_like_three(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let filters = ["a", "b", "c"];
    for below in filters {
        peer.subscribed(&stage.topic(below), Qos::AtMostOnce).await?;
    }
    let mut publisher = Peer::connected(stage, "bob").await?;
    // What comes before shows that what does not come afterwards is missing.
    let mut before = Vec::new();
    for below in filters {
        publisher.published(&stage.topic(below), Qos::AtMostOnce, below.as_bytes(), false).await?;
        before.push(peer.expect_message(below.as_bytes()).await.prepared()?);
    }
    peer.send(unsubscribe(stage, id(60), &filters)).await;
    let unsuback = peer.expect::<Unsuback>().await?;
    for below in filters {
        publisher.published(&stage.topic(below), Qos::AtMostOnce, below.as_bytes(), false).await?;
    }
    // Neither a second UNSUBACK nor a message stands before the PINGRESP.
    let fence = peer.quiet().await?;
    Ok(Evidence::of(&unsuback).and_all(&before).and(&fence))
}
