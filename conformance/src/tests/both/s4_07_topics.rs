//! 4.7 Topic Names and Topic Filters, 4.8 and 4.13 errors.

use squall_codec::{
    packet::{Packet, Publish, Suback},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Puback},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{answered, id, is_v5, publish, subscribe},
    both::s3_08_subscribe::{misplaced, refused_or_closed},
    bytes,
    judge::{Cases, Unnoticed, closes, offender},
    offer, watch,
};

pub(crate) async fn a_misplaced_multi_level_wildcard_is_refused(stage: &Stage) -> Outcome {
    misplaced(stage, &["a#", "a/#/b", "#/b"]).await
}

pub(crate) async fn a_misplaced_single_level_wildcard_is_refused(stage: &Stage) -> Outcome {
    misplaced(stage, &["a+", "a/b+", "+a/b"]).await
}

pub(crate) async fn a_leading_wildcard_does_not_match_dollar_topics(stage: &Stage) -> Outcome {
    let dollar = format!("${}", stage.topic("x"));
    let mut control = Peer::connected(stage, "control").await?;
    let granted = control.subscribed(&dollar, Qos::AtMostOnce).await?;
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::wildcards(&peer)?;
    // `+/{namespace}/#` matches `squall/{namespace}/…` and would match `$squall/{namespace}/…`.
    let below = stage.topic("#");
    let wild = below.split_once('/').map_or("+".to_owned(), |(_, rest)| format!("+/{rest}"));
    peer.subscribed(&wild, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let hidden = Publish::new(&watch::name(&dollar), "hidden").at(Qos::AtLeastOnce, Some(id(1)));
    publisher.send(Packet::Publish(hidden)).await;
    let puback = publisher.expect::<Puback>().await.prepared()?;
    let Ok(seen) = control.expect_message(b"hidden").await else {
        return Err(Halt::unsupported("the server does not let clients publish below '$'").at(&granted));
    };
    publisher.published(&stage.topic("marker"), Qos::AtMostOnce, b"marker", false).await?;
    let marker = peer.expect_message(b"marker").await?;
    let fence = peer.quiet().await?;
    Ok(Evidence::of(&puback).and(&seen).and(&marker).and(&fence))
}

pub(crate) async fn an_empty_filter_is_refused(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    peer.send_bytes(&bytes::subscribe(stage.version(), 0x82, 1, &[], &[(b"", 0)])).await;
    refused_or_closed(stage, &mut peer, "").await
}

pub(crate) async fn an_empty_topic_closes_the_connection(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    let bytes = bytes::publish(stage.version(), 0x32, b"", Some(9), &[], b"x");
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket, ReasonCode::TopicNameInvalid];
    closes(&mut peer, "a PUBLISH with an empty topic", &bytes, &codes, answered(stage)).await
}

pub(crate) async fn names_are_compared_byte_by_byte(stage: &Stage) -> Outcome {
    // A composed and a decomposed é; capital and small; an empty level; a space.
    let pairs = [("caf\u{e9}", "cafe\u{301}"), ("A/b", "a/b"), ("c//d", "c/d"), ("e/", "e"), (" f", "f")];
    let mut cases = Cases::new();
    for (subscribed, other) in pairs {
        cases.add(format!("'{subscribed}' against '{other}'"), compared(stage, subscribed, other).await);
    }
    cases.finish()
}

async fn compared(stage: &Stage, subscribed: &str, other: &str) -> Outcome {
    let mut peer = Peer::connected(stage, &stage.fresh("alice")).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("bob")).await?;
    peer.send(subscribe(stage, id(1), &[(subscribed, Qos::AtMostOnce)])).await;
    peer.expect::<Suback>().await.prepared()?;
    publisher.send(Packet::Publish(publish(stage, other, Qos::AtMostOnce, id(1), "other"))).await;
    publisher.send(Packet::Publish(publish(stage, subscribed, Qos::AtMostOnce, id(1), "same"))).await;
    match peer.next().await {
        Next::Packet(packet) => match &*packet {
            Packet::Publish(message) if message.payload() == b"same" => {
                Ok(Evidence::of(&packet).and(&peer.quiet().await?))
            }
            other => {
                Err(Halt::fail(format!("expected only what is published to the same name, seen {other}")).at(&packet))
            }
        },
        // A server that does not take such a name at all has compared nothing.
        other => Err(Halt::inconclusive(format!("what is published to the same name did not come: {other}"))),
    }
}

/// Frames that no version allows: they end the connection that they came on, and no other.
pub(crate) async fn a_malformed_packet_ends_its_own_connection_only(stage: &Stage) -> Outcome {
    let mut bystander = Peer::connected(stage, "bystander").await?;
    let version = stage.version();
    let mut cut = bytes::subscribe(version, 0x82, 1, &[], &[(b"", 0)]);
    // The filter's length says nine bytes and one follows.
    let length = cut.len();
    cut[length - 2] = 9;
    let broken: [(&str, Vec<u8>); 5] = [
        ("packet type 0", vec![0x00, 0x00]),
        ("a Remaining Length of five bytes", vec![0x30, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ("a SUBSCRIBE whose filter is cut short", cut),
        ("a PINGREQ with a payload", vec![0xC0, 0x01, 0x00]),
        ("a PUBLISH with QoS 3", bytes::publish(version, 0x36, stage.topic("t").as_bytes(), Some(9), &[], b"")),
    ];
    // 5.0 closes on what it detects, and leaves open how strictly a receiver looks (4.13.1).
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let mut cases = Cases::new();
    for (what, bytes) in broken {
        let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::QosNotSupported];
        let mut peer = offender(stage).await?;
        cases.add(what, closes(&mut peer, what, &bytes, &codes, unnoticed).await);
    }
    let evidence = cases.finish()?;
    let (_, alive) = bystander.pinged().await?;
    Ok(evidence.and(&alive))
}
