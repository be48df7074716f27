//! 4.10 Request and response, and what the standard leaves open about messages.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Puback, Pubcomp, Pubrec},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::conversation as liar,
    test::{Test, test},
    tests::{
        asking::{id, lasting, lasting_peer},
        bytes::{RawConnect, flag, publish},
        judge::{Cases, Unnoticed, closes, farewell, offender, refuses},
        offer,
        sharing::{joins, shared},
        watch::{Delivery, collect, message, name, rest, text, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_request_gets_its_response,
        "A requester and a responder talk at each QoS, also through a share; Correlation Data comes back as it was.",
        ["5.0/X-REQUEST-RESPONSE-FLOW"],
        liar::turns_correlation_data_round
    ),
    test!(
        a_payload_that_is_utf8_is_not_refused,
        "Payloads are marked as UTF-8 and are, or are not; the first is delivered, the other may be refused.",
        ["5.0/X-PAYLOAD-FORMAT-INVALID"],
        liar::refuses_utf8_payloads
    ),
    test!(
        no_matching_subscribers_is_said_only_where_there_are_none,
        "Messages are published with and without a subscriber; 0x10 is said only without.",
        ["5.0/X-NO-MATCHING-SUBSCRIBERS"],
        liar::never_sees_subscribers
    ),
    test!(
        a_message_that_expires_at_once_does_not_wait,
        "A message has the Message Expiry Interval 0; an absent subscriber does not get it two seconds later.",
        ["5.0/X-MESSAGE-EXPIRY-ZERO"],
        liar::takes_expiry_0_for_none
    )
    .should(),
    test!(
        a_packet_with_several_errors_is_refused,
        "Packets have two errors each; the server refuses them for either.",
        ["5.0/X-MULTIPLE-ERRORS"],
        liar::welcomes_two_mistakes
    ),
];

async fn a_request_gets_its_response(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for qos in Qos::ALL {
        for share in [false, true] {
            let through = if share { "through a share" } else { "directly" };
            cases.add(format!("QoS {qos} {through}"), exchange(stage, qos, share).await);
        }
    }
    cases.finish()
}

async fn exchange(stage: &Stage, qos: Qos, share: bool) -> Outcome {
    let below = stage.fresh("request");
    let (requests, responses) = (stage.topic(&below), stage.topic(&format!("{below}/answer")));
    let mut requester = Peer::connected(stage, "requester").await?;
    offer::qos(&requester, qos)?;
    requester.subscribed(&responses, qos).await?;
    let mut responder = Peer::connected(stage, "responder").await?;
    if share {
        joins(&mut responder, &shared(stage, "workers", &below), qos).await?;
    } else {
        responder.subscribed(&requests, qos).await?;
    }
    let correlation = bytes::Bytes::from_static(&[0x00, 0xFF, 0x10, 0x80, 0x00, 0x7F]);
    let asked = Properties::new()
        .with(Property::ResponseTopic(text(&responses)))
        .with(Property::CorrelationData(correlation.clone()));
    let packet_id = (qos != Qos::AtMostOnce).then(|| requester.fresh_id());
    let request = Publish::new(&name(&requests), "question").at(qos, packet_id).with_properties(&asked);
    requester.publish_with(request).await.prepared()?;
    let question = message(&mut responder, b"question").await?;
    let came = question.properties();
    let Some(to) = came.response_topic().filter(|topic| topic.as_str() == responses) else {
        return Err(Halt::fail("the request came without its Response Topic").at(&question));
    };
    if came.correlation_data() != Some(&correlation) {
        return Err(Halt::fail("the request came with other Correlation Data than it was sent with").at(&question));
    }
    let answered: Properties = came.correlation_data().cloned().map(Property::CorrelationData).into_iter().collect();
    let packet_id = (qos != Qos::AtMostOnce).then(|| responder.fresh_id());
    let response = Publish::new(&name(to), "answer").at(qos, packet_id).with_properties(&answered);
    responder.publish_with(response).await.prepared()?;
    let answer = message(&mut requester, b"answer").await?;
    if answer.properties().correlation_data() != Some(&correlation) {
        return Err(Halt::fail("the response came with other Correlation Data than the request had").at(&answer));
    }
    for peer in [&mut requester, &mut responder] {
        peer.disconnect().await;
        farewell(peer).await;
    }
    Ok(Evidence::of(&question).and(&answer))
}

async fn a_payload_that_is_utf8_is_not_refused(stage: &Stage) -> Outcome {
    let topic = stage.topic("format");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
    let marked = Properties::new().with(Property::PayloadFormatIndicator(1));
    let mut evidence: Option<Evidence> = None;
    for (payload, valid) in [("Größe/Ω 🌊".as_bytes(), true), (&[0xFF, 0xFE], false)] {
        let mut publisher = offender(stage).await?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        let sent = Publish::new(&name(&topic), payload).at(Qos::AtLeastOnce, Some(id(1))).with_properties(&marked);
        publisher.send(Packet::Publish(sent)).await;
        let reason = match publisher.next().await {
            Next::Packet(packet) => match &*packet {
                Packet::Puback(ack) => (ack.reason, packet.clone()),
                Packet::Disconnect(disconnect) => (disconnect.reason, packet.clone()),
                other => return Err(Halt::inconclusive(format!("expected PUBACK, but {other} came")).at(&packet)),
            },
            // Without a reason nothing says what was wrong with it.
            Next::End(end) if !valid => {
                evidence = Some(evidence.map_or_else(|| Evidence::of(&end), |evidence| evidence.and(&end)));
                continue;
            }
            other => {
                return Err(Halt {
                    entry: other.entry(),
                    ..Halt::inconclusive(format!("expected PUBACK, but {other}"))
                });
            }
        };
        let (code, at) = reason;
        if valid && code == ReasonCode::PayloadFormatInvalid {
            return Err(Halt::fail("a payload that is well-formed UTF-8 was refused as none").at(&at));
        }
        if valid && code.is_failure() {
            return Err(Halt::inconclusive(format!("the message was refused: {code}")).at(&at));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |evidence| evidence.and(&at)));
        if !code.is_failure() {
            let copy = message(&mut watcher, payload).await;
            let copy = if valid { copy? } else { copy.prepared()? };
            evidence = evidence.map(|evidence| evidence.and(&copy));
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

async fn no_matching_subscribers_is_said_only_where_there_are_none(stage: &Stage) -> Outcome {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let highest = offer::highest_qos(&publisher);
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&stage.topic("watched"), Qos::AtLeastOnce).await?;
    let mut evidence: Option<Evidence> = None;
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().filter(|qos| *qos <= highest) {
        for below in ["unwatched", "watched"] {
            let packet_id = publisher.fresh_id();
            let sent = Publish::new(&name(&stage.topic(below)), "x").at(qos, Some(packet_id));
            publisher.send(Packet::Publish(sent)).await;
            let (reason, seen) = if qos == Qos::AtLeastOnce {
                let puback = publisher.expect::<Puback>().await.prepared()?;
                (puback.reason, Evidence::of(&puback))
            } else {
                let pubrec = publisher.expect::<Pubrec>().await.prepared()?;
                if !pubrec.reason.is_failure() {
                    publisher.send(Packet::Pubrel(Ack::new(packet_id))).await;
                    publisher.expect::<Pubcomp>().await.prepared()?;
                }
                (pubrec.reason, Evidence::of(&pubrec))
            };
            if reason.is_failure() {
                return Err(Halt::inconclusive(format!("the message was refused: {reason}")));
            }
            if below == "watched" && reason == ReasonCode::NoMatchingSubscribers {
                return Err(Halt {
                    entry: seen.entries().first().copied(),
                    ..Halt::fail(format!("QoS {qos}: {reason} was said while a subscriber is connected"))
                });
            }
            evidence = Some(match evidence {
                None => seen,
                Some(evidence) => evidence.join(seen),
            });
        }
        // The subscriber was one: it has the message.
        let copy = message(&mut watcher, b"x").await.prepared()?;
        evidence = evidence.map(|evidence| evidence.and(&copy));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

/// The clock of the rule: two seconds in a queue.
async fn a_message_that_expires_at_once_does_not_wait(stage: &Stage) -> Outcome {
    let topic = stage.topic("expiring");
    tidied(stage, &["absent"], &[], async {
        let mut absent = lasting_peer(stage, "absent").await?;
        offer::qos(&absent, Qos::AtLeastOnce)?;
        absent.subscribed(&topic, Qos::AtLeastOnce).await?;
        absent.disconnect().await;
        farewell(&mut absent).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for (payload, expiry) in [("at once", 0), ("later", 60)] {
            let properties = Properties::new().with(Property::MessageExpiryInterval(expiry));
            let packet_id = publisher.fresh_id();
            let sent = Publish::new(&name(&topic), payload).at(Qos::AtLeastOnce, Some(packet_id));
            publisher.publish_with(sent.with_properties(&properties)).await.prepared()?;
        }
        stage.pass(Duration::from_secs(2)).await;
        let (mut absent, _) = Peer::connect(stage, "absent", lasting(stage, "absent")).await.prepared()?;
        let later = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"later");
        let mut got = collect(&mut absent, later).await?;
        got.extend(rest(&mut absent).await.prepared()?.0);
        absent.disconnect().await;
        if !later(&got) {
            return Err(Halt::inconclusive("the message that may live longer did not come either"));
        }
        let evidence = Evidence::of(&got[0]).and_all(&got[1..]);
        Ok(if got.iter().any(|copy| copy.payload() == b"at once") {
            evidence.warn("a message with the Message Expiry Interval 0 was delivered after 2 s")
        } else {
            evidence
        })
    })
    .await
}

async fn a_packet_with_several_errors_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::QosNotSupported];
    let mut cases = Cases::new();
    let connect = RawConnect::new(stage, "offender").will(&[], stage.topic("w").as_bytes(), b"x");
    let connect = connect.flagged(flag::RESERVED | flag::WILL_QOS);
    let offence = "a CONNECT with its reserved flag and Will QoS 3";
    cases.add(offence, refuses(stage, offence, &connect.bytes(), &codes).await);

    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::TopicNameInvalid];
    let mut peer = offender(stage).await?;
    let topic = stage.topic("#");
    let bytes = publish(stage.version(), 0x36, topic.as_bytes(), Some(5), &[], b"x");
    let offence = "a PUBLISH of QoS 3 to a topic with a wildcard";
    cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::FailsIfAnswered).await);
    cases.finish()
}
