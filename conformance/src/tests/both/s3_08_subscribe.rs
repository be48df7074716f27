//! 3.8 SUBSCRIBE and 3.9 SUBACK.

use squall_codec::{
    packet::{Packet, Suback},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{answered, id, is_v5, publish, subscribe},
    bytes,
    judge::{Cases, Unnoticed, closes, farewell_or, formed, offender},
    offer,
    watch::{self, tidied},
    without_qos_2::highest_qos,
};

pub(crate) async fn a_subscribe_with_wrong_flags_closes_the_connection(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for first in [0x80, 0x81] {
        let bytes = bytes::subscribe(stage.version(), first, 1, &[], &[(stage.topic("t").as_bytes(), 0)]);
        let offence = format!("a SUBSCRIBE that begins with 0x{first:02X}");
        let mut peer = offender(stage).await?;
        cases
            .add(&offence, closes(&mut peer, &offence, &bytes, &[ReasonCode::MalformedPacket], Unnoticed::Fails).await);
    }
    cases.finish()
}

pub(crate) async fn a_subscribe_without_a_filter_closes_the_connection(stage: &Stage) -> Outcome {
    let bytes = bytes::subscribe(stage.version(), 0x82, 1, &[], &[]);
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    closes(&mut offender(stage).await?, "a SUBSCRIBE without a filter", &bytes, &codes, answered(stage)).await
}

/// Options bytes that no version allows: 3.1.1 has only the QoS, 5.0 reserves the upper two bits.
pub(crate) async fn reserved_bits_of_the_options_close_the_connection(stage: &Stage) -> Outcome {
    let forbidden: &[u8] = if is_v5(stage) { &[0x40, 0x80, 0xC1] } else { &[0x03, 0x04, 0x80, 0xFC] };
    let mut cases = Cases::new();
    for options in forbidden {
        let bytes = bytes::subscribe(stage.version(), 0x82, 1, &[], &[(stage.topic("t").as_bytes(), *options)]);
        let offence = format!("a SUBSCRIBE with the options byte 0x{options:02X}");
        let mut peer = offender(stage).await?;
        cases
            .add(&offence, closes(&mut peer, &offence, &bytes, &[ReasonCode::MalformedPacket], Unnoticed::Fails).await);
    }
    cases.finish()
}

pub(crate) async fn an_ill_formed_filter_closes_the_connection(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for (what, bad) in
        [("the byte FF", &b"t/\xFF"[..]), ("an overlong form", b"t/\xC0\x80"), ("a surrogate", b"t/\xED\xA0\x80")]
    {
        let bytes = bytes::subscribe(stage.version(), 0x82, 1, &[], &[(bad, 0)]);
        let offence = format!("a SUBSCRIBE to a filter with {what}");
        let codes = [ReasonCode::MalformedPacket, ReasonCode::TopicFilterInvalid];
        let mut peer = offender(stage).await?;
        cases.add(&offence, closes(&mut peer, &offence, &bytes, &codes, answered(stage)).await);
    }
    cases.finish()
}

pub(crate) async fn a_suback_carries_the_packet_id_of_its_subscribe(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let ids = [0x0001, 0x0100, 0xFFFF];
    for value in ids {
        peer.send(subscribe(stage, id(value), &[("t", Qos::AtMostOnce)])).await;
    }
    let mut answers = Vec::new();
    for _ in ids {
        answers.push(peer.expect::<Suback>().await?);
    }
    let mut seen: Vec<u16> = answers.iter().map(|suback| suback.packet_id.value()).collect();
    // Nothing orders the answers to different SUBSCRIBEs.
    seen.sort_unstable();
    if seen != ids {
        return Err(Halt::fail(format!("expected SUBACKs with the packet ids {ids:?}, seen {seen:?}")).at(&answers[0]));
    }
    Ok(Evidence::of(&answers[0]).and_all(&answers[1..]))
}

pub(crate) async fn one_subscribe_with_three_filters_acts_like_three(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let filters = [("a", Qos::AtMostOnce), ("b", Qos::AtMostOnce), ("c", Qos::AtMostOnce)];
    peer.send(subscribe(stage, id(7), &filters)).await;
    let suback = peer.expect::<Suback>().await?;
    if suback.reasons.len() != 3 {
        return Err(Halt::fail(format!("expected 3 codes for 3 filters, seen {}", suback.reasons.len())).at(&suback));
    }
    if let Some(refused) = suback.reasons.iter().find(|reason| reason.is_failure()) {
        return Err(Halt::inconclusive(format!("the server refused a plain filter: {refused}")).at(&suback));
    }
    // A second SUBACK would stand before the PINGRESP.
    peer.quiet().await?;
    let mut evidence = Evidence::of(&suback);
    let mut publisher = Peer::connected(stage, "bob").await?;
    for (below, _) in filters {
        publisher.send(Packet::Publish(publish(stage, below, Qos::AtMostOnce, id(1), below))).await;
        evidence = evidence.and(&peer.expect_message(below.as_bytes()).await?);
    }
    Ok(evidence)
}

pub(crate) async fn suback_codes_are_in_the_order_of_the_filters(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let mut evidence: Option<Evidence> = None;
    for (packet_id, order) in [(1, [2u8, 0, 1]), (2, [1, 2, 0])] {
        let names = [format!("{packet_id}a"), format!("{packet_id}b"), format!("{packet_id}c")];
        let filters: Vec<(&str, Qos)> = names
            .iter()
            .zip(order)
            .map(|(name, bits)| (name.as_str(), Qos::from_bits(bits).expect("0, 1 or 2")))
            .collect();
        peer.send(subscribe(stage, id(packet_id), &filters)).await;
        let suback = peer.expect::<Suback>().await?;
        let codes: Vec<u8> = suback.reasons.iter().map(|reason| reason.value()).collect();
        if codes.iter().any(|code| *code >= 0x80) {
            return Err(
                Halt::inconclusive(format!("the server refused a plain filter: codes {codes:02X?}")).at(&suback)
            );
        }
        if codes.len() == 3 && codes.windows(2).all(|pair| pair[0] == pair[1]) {
            return Err(Halt::unsupported(format!(
                "the server grants QoS {} whatever is asked: the order cannot be seen",
                codes[0]
            )));
        }
        // A lower grant is lawful, a higher one is not, and a grant that fits another filter's request shows disorder.
        let highest = codes.iter().copied().max().unwrap_or(0);
        let expected: Vec<u8> = order.iter().map(|asked| (*asked).min(highest)).collect();
        if codes != expected {
            return Err(
                Halt::fail(format!("asked for QoS {order:?}, expected codes {expected:?}, seen {codes:?}")).at(&suback)
            );
        }
        evidence = Some(match evidence {
            None => Evidence::of(&suback),
            Some(evidence) => evidence.and(&suback),
        });
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was asked"))
}

pub(crate) async fn subscribing_again_replaces_the_subscription(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::AtLeastOnce)?;
    let highest = highest_qos(stage, &peer).await;
    let first = peer.subscribed(&stage.topic("t"), highest).await?;
    let second = peer.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    publisher.published(&stage.topic("t"), highest, b"once", false).await?;
    let message = peer.expect_message(b"once").await?;
    if message.qos != Qos::AtMostOnce {
        return Err(Halt::fail(format!("expected QoS 0 as subscribed last, seen QoS {}", message.qos)).at(&message));
    }
    let fence = peer.quiet().await?;
    Ok(Evidence::of(&first).and(&second).and(&message).and(&fence))
}

pub(crate) async fn subscribing_again_sends_the_retained_message_again(stage: &Stage) -> Outcome {
    let topic = stage.topic("t");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = Peer::connected(stage, "bob").await?;
        offer::retain(&publisher)?;
        publisher.published(&topic, Qos::AtMostOnce, b"kept", true).await?;
        let mut peer = Peer::connected(stage, "alice").await?;
        peer.send(subscribe(stage, id(1), &[("t", Qos::AtMostOnce)])).await;
        // The retained message may come before or after the SUBACK: `message` passes over other packets.
        let first = watch::message(&mut peer, b"kept").await.prepared()?;
        watch::rest(&mut peer).await.prepared()?;
        peer.send(subscribe(stage, id(2), &[("t", Qos::AtMostOnce)])).await;
        let second = watch::message(&mut peer, b"kept").await?;
        Ok(Evidence::of(&first).and(&second))
    })
    .await
}

pub(crate) async fn a_message_comes_at_the_lower_of_published_and_granted_qos(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    let highest = highest_qos(stage, &publisher).await;
    let mut evidence: Option<Evidence> = None;
    for asked in Qos::ALL {
        let below = format!("q{asked}");
        peer.send(subscribe(stage, id(10 + u16::from(asked.bits())), &[(&below, asked)])).await;
        let suback = peer.expect::<Suback>().await?;
        let Some(granted) = suback.reasons.first().and_then(|reason| Qos::from_bits(reason.value())) else {
            return Err(Halt::inconclusive("the server refused a plain filter").at(&suback));
        };
        if granted > asked {
            return Err(Halt::fail(format!("asked for QoS {asked}, granted QoS {granted}")).at(&suback));
        }
        for sent in Qos::ALL.into_iter().filter(|qos| *qos <= highest) {
            let payload = format!("{sent} to {asked}");
            publisher.published(&stage.topic(&below), sent, payload.as_bytes(), false).await?;
            let message = watch::message(&mut peer, payload.as_bytes()).await?;
            let expected = sent.min(granted);
            if message.qos != expected {
                return Err(Halt::fail(format!(
                    "published at QoS {sent}, granted QoS {granted}: expected QoS {expected}, seen QoS {}",
                    message.qos
                ))
                .at(&message));
            }
            evidence = Some(match evidence {
                None => Evidence::of(&suback).and(&message),
                Some(evidence) => evidence.and(&message),
            });
        }
    }
    // The exchanges were all well, also those that it had lowered.
    let (_, pong) = peer.fence().await?;
    evidence.map(|evidence| evidence.and(&pong)).ok_or_else(|| Halt::inconclusive("nothing was published"))
}

pub(crate) async fn a_granted_wildcard_matches_and_an_unsupported_one_is_refused(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.send(subscribe(
        stage,
        id(1),
        &[("w/+", Qos::AtMostOnce), ("w/#", Qos::AtMostOnce), ("plain", Qos::AtMostOnce)],
    ))
    .await;
    let suback = peer.expect::<Suback>().await.prepared()?;
    let [plus, hash, plain] = suback.reasons[..] else {
        return Err(Halt::inconclusive("the SUBACK has not three codes").at(&suback));
    };
    if plain.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused a plain filter: {plain}")).at(&suback));
    }
    if plus.is_failure() && hash.is_failure() {
        return Ok(Evidence::of(&suback));
    }
    let mut publisher = Peer::connected(stage, "bob").await?;
    publisher.published(&stage.topic("w/x"), Qos::AtMostOnce, b"matched", false).await?;
    let message = peer.expect_message(b"matched").await?;
    let evidence = Evidence::of(&suback).and(&message);
    if plus.is_failure() != hash.is_failure() {
        return Ok(evidence.warn(format!("only one kind of wildcard is granted: '+' {plus}, '#' {hash}")));
    }
    Ok(evidence)
}

/// Filters with a wildcard in the wrong place: refused by SUBACK or by closing. 5.0 binds only the client and names no
/// kind of error, so that granting one is a warning there.
pub(crate) async fn misplaced(stage: &Stage, filters: &[&str]) -> Outcome {
    // The control: the wildcard in its place is taken.
    let mut control = Peer::connected(stage, "control").await?;
    offer::wildcards(&control)?;
    control.subscribed(&stage.topic("a/#"), Qos::AtMostOnce).await?;
    let mut cases = Cases::new();
    for wrong in filters {
        let mut peer = offender(stage).await?;
        peer.send_bytes(&bytes::subscribe(stage.version(), 0x82, 1, &[], &[(wrong.as_bytes(), 0)])).await;
        cases.add(format!("the filter '{wrong}'"), refused_or_closed(stage, &mut peer, wrong).await);
    }
    cases.finish()
}

/// A SUBSCRIBE with a filter that is none was sent: SUBACK with a failure, or the end of the connection.
pub(crate) async fn refused_or_closed(stage: &Stage, peer: &mut Peer, wrong: &str) -> Outcome {
    let seen = farewell_or(peer, |packet| matches!(packet, Packet::Suback(_))).await;
    let suback = seen.packets.iter().find_map(|packet| match &**packet {
        Packet::Suback(suback) => Some((suback.reasons.iter().all(|reason| reason.is_failure()), packet)),
        _ => None,
    });
    match (suback, &seen.end) {
        (Some((true, packet)), _) => Ok(Evidence::of(packet)),
        (Some((false, packet)), _) if is_v5(stage) => {
            Ok(Evidence::of(packet).warn(format!("the filter '{wrong}' was granted")))
        }
        (Some((false, packet)), _) => {
            Err(Halt::fail(format!("expected a refusal of the filter '{wrong}', but it was granted")).at(packet))
        }
        (None, Some(end)) => Ok(Evidence::of(end)),
        (None, None) => Err(Halt::fail(format!(
            "expected a refusal of the filter '{wrong}', seen nothing in {:?}",
            stage.patience()
        ))),
    }
}

// A code that the packet may not carry does not decode: what came is then no SUBACK, and `expect` fails.
pub(crate) async fn a_suback_carries_one_of_its_codes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.send(subscribe(stage, id(1), &[("t", Qos::ExactlyOnce)])).await;
    Ok(Evidence::of(&formed(stage, peer.expect::<Suback>().await)?))
}
