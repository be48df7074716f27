//! 3.1.2.11 CONNECT Properties.

use squall_codec::{
    packet::{Packet, Publish},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, faults, s3_01_connect, s3_02_connack},
    test::{Test, test},
    tests::{
        asking::id,
        bytes::{RawConnect, publish, subscribe, unsubscribe},
        clock::{close_after_silence, graded},
        judge::{Cases, Unnoticed, closes, formed, offender, refuses},
        offer,
        watch::{collect, name},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        aliases_stay_within_the_maximum_of_the_client,
        "A client takes two Topic Aliases; the server uses no other.",
        ["5.0/MQTT-3.1.2-26", "5.0/MQTT-3.3.2-11"],
        s3_02_connack::uses_aliases_unasked
    ),
    test!(
        without_a_maximum_the_server_uses_no_alias,
        "A client takes no Topic Alias; the server uses none.",
        ["5.0/MQTT-3.1.2-27"],
        s3_02_connack::uses_aliases_unasked
    ),
    test!(
        response_information_is_not_sent_unasked,
        "A client does not ask for Response Information; CONNACK has none.",
        ["5.0/MQTT-3.1.2-28"],
        s3_02_connack::tells_response_information
    ),
    test!(
        response_information_may_be_asked_for,
        "A client asks for Response Information; it is let in by a CONNACK that can be read.",
        ["5.0/MQTT-3.1.2-28"],
        documented::garbles_response_information
    ),
    test!(
        answers_explain_nothing_to_those_who_do_not_ask,
        "A client wants no problem information; no answer has a reason string or a user property.",
        ["5.0/MQTT-3.1.2-29"],
        s3_02_connack::is_talkative_in_answers
    ),
    test!(
        a_property_that_does_not_belong_is_refused,
        "Packets have properties that are unknown or belong to another packet; the server refuses them.",
        ["5.0/X-PROP-UNKNOWN-ID"],
        faults::overlooks_wrong_properties
    ),
    test!(
        a_property_that_is_repeated_closes_the_connection,
        "A packet has a property twice that may stand once; the server hangs up.",
        ["5.0/X-PROP-REPEATED"],
        faults::overlooks_wrong_properties
    )
    .should(),
    test!(
        a_maximum_of_zero_is_refused,
        "CONNECT has a Receive Maximum or a Maximum Packet Size of 0; the server does not let the client in.",
        ["5.0/X-PROP-VALUE-RANGE"],
        s3_01_connect::welcomes_a_maximum_of_zero
    ),
    test!(
        authentication_data_needs_a_method,
        "CONNECT has authentication data and no method; the server does not let the client in.",
        ["5.0/X-AUTHDATA-WITHOUT-METHOD"],
        s3_01_connect::welcomes_data_without_a_method
    )
    .should(),
    test!(
        the_keep_alive_of_the_client_counts,
        "A client with Keep Alive 2 pings, then falls silent; it stays while it pings and is closed when it is silent.",
        ["5.0/MQTT-3.2.2-22"],
        s3_01_connect::forgets_the_keep_alive
    )
    .slow(),
];

/// Many messages on few topics: no alias beyond what the client takes, and an empty topic only with a known alias.
async fn aliases(stage: &Stage, maximum: Option<u16>) -> Outcome {
    let aliased = stage.fresh("aliased");
    let mut connect = Peer::hello(stage, &aliased);
    if let Some(maximum) = maximum {
        connect.push_property(Property::TopicAliasMaximum(maximum));
    }
    let (mut peer, _) = Peer::connect(stage, &aliased, connect).await.prepared()?;
    offer::wildcards(&peer)?;
    peer.subscribed(&stage.topic("alias/+"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    let topics: Vec<String> = (0..5).map(|n| stage.topic(&format!("alias/{n}"))).collect();
    for round in 0..3 {
        for topic in &topics {
            publisher.published(topic, Qos::AtMostOnce, format!("{round}").as_bytes(), false).await?;
        }
    }
    let received = collect(&mut peer, |seen| seen.len() == 15).await?;
    let mut known = std::collections::BTreeMap::new();
    for copy in &received {
        match copy.topic_alias {
            Some(alias) if alias == 0 || alias > maximum.unwrap_or(0) => {
                let reason =
                    format!("the server uses the alias {alias}, Topic Alias Maximum is {}", maximum.unwrap_or(0));
                return Err(Halt::fail(reason).at(copy));
            }
            Some(alias) if copy.topic().is_empty() && !known.contains_key(&alias) => {
                return Err(
                    Halt::fail(format!("an empty topic came with the alias {alias}, which stands for none")).at(copy)
                );
            }
            Some(alias) if !copy.topic().is_empty() => drop(known.insert(alias, copy.topic().to_owned())),
            None if copy.topic().is_empty() => return Err(Halt::fail("an empty topic came without an alias").at(copy)),
            _ => {}
        }
    }
    match received.split_first() {
        Some((first, others)) => Ok(Evidence::of(first).and_all(others)),
        None => Err(Halt::inconclusive("no message came")),
    }
}

async fn aliases_stay_within_the_maximum_of_the_client(stage: &Stage) -> Outcome {
    aliases(stage, Some(2)).await
}

async fn without_a_maximum_the_server_uses_no_alias(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    cases.add("no Topic Alias Maximum", aliases(stage, None).await);
    cases.add("Topic Alias Maximum 0", aliases(stage, Some(0)).await);
    cases.finish()
}

async fn response_information_is_not_sent_unasked(stage: &Stage) -> Outcome {
    let mut evidence: Option<Evidence> = None;
    for asked in [None, Some(0)] {
        let mut connect = Peer::hello(stage, "quiet");
        if let Some(asked) = asked {
            connect.push_property(Property::RequestResponseInformation(asked));
        }
        let (mut peer, connack) = Peer::connect(stage, "quiet", connect).await.prepared()?;
        peer.disconnect().await;
        if connack.properties.response_information().is_some() {
            return Err(Halt::fail("Response Information came in CONNACK, which nobody asked for").at(&connack));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
}

/// Whoever asks is let in, and whatever CONNACK says is a CONNACK.
async fn response_information_may_be_asked_for(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for problems in [0, 1] {
        let mut connect = Peer::hello(stage, "curious");
        connect.push_property(Property::RequestResponseInformation(1));
        connect.push_property(Property::RequestProblemInformation(problems));
        let outcome = formed(stage, Peer::connect(stage, "curious", connect).await);
        let what = format!("Request Problem Information {problems}");
        let outcome = match outcome {
            Ok((mut peer, connack)) => {
                peer.disconnect().await;
                Ok(Evidence::of(&connack))
            }
            Err(halt) => Err(halt),
        };
        cases.add(what, outcome);
    }
    cases.finish()
}

/// Request Problem Information 0: no Reason String and no User Property in answers, whatever goes wrong.
async fn answers_explain_nothing_to_those_who_do_not_ask(stage: &Stage) -> Outcome {
    let mut connect = Peer::hello(stage, "curt");
    connect.push_property(Property::RequestProblemInformation(0));
    let (mut peer, _) = Peer::connect(stage, "curt", connect).await.prepared()?;
    let topic = stage.topic("nobody");
    // What is likely to be refused or to have nothing to do: no subscriber, no subscription, an odd share.
    peer.send_bytes(&unsubscribe(stage.version(), 0xA2, 1, &[], &[topic.as_bytes()])).await;
    let figures: &[u8] = if offer::wildcards(&peer).is_ok() { b"$SYS/#" } else { b"$SYS/broker/version" };
    peer.send_bytes(&subscribe(stage.version(), 0x82, 2, &[], &[(figures, 0)])).await;
    if offer::highest_qos(&peer) >= Qos::AtLeastOnce {
        peer.send(Packet::Publish(Publish::new(&name(&topic), "x").at(Qos::AtLeastOnce, Some(id(3))))).await;
    }
    if offer::highest_qos(&peer) == Qos::ExactlyOnce {
        peer.send(Packet::Publish(Publish::new(&name(&topic), "x").at(Qos::ExactlyOnce, Some(id(4))))).await;
        peer.send(Packet::Pubrel(squall_codec::packet::Ack::new(id(5)))).await;
    }
    let (answers, pong) = peer.fence().await.prepared()?;
    let mut evidence = Evidence::of(&pong);
    for answer in &answers {
        let properties = match &**answer {
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => &ack.properties,
            Packet::Suback(suback) => &suback.properties,
            Packet::Unsuback(unsuback) => &unsuback.properties,
            _ => continue,
        };
        if properties.reason_string().is_some() || properties.user_properties().next().is_some() {
            let reason = format!("{} explains itself though Request Problem Information is 0", answer.kind());
            return Err(Halt::fail(reason).at(answer));
        }
        evidence = evidence.and(answer);
    }
    if answers.is_empty() {
        return Err(Halt::inconclusive("no answer came"));
    }
    Ok(evidence)
}

/// Properties that are unknown, or not for this packet.
async fn a_property_that_does_not_belong_is_refused(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("t");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    let good = || RawConnect::new(stage, "offender");
    let mut cases = Cases::new();
    for (offence, bytes) in [
        ("an unknown property in CONNECT", good().with_properties(&[0x7F, 1]).bytes()),
        ("Will Delay Interval outside the will", good().with_properties(&[0x18, 0, 0, 0, 1]).bytes()),
        ("Receive Maximum in the will", good().will(&[0x21, 0, 1], topic.as_bytes(), b"x").bytes()),
    ] {
        cases.add(offence, refuses(stage, offence, &bytes, &codes).await);
    }
    for (offence, bytes) in [
        (
            "Session Expiry Interval in PUBLISH",
            publish(version, 0x32, topic.as_bytes(), Some(1), &[0x11, 0, 0, 0, 1], b"x"),
        ),
        ("Subscription Identifier in UNSUBSCRIBE", unsubscribe(version, 0xA2, 1, &[0x0B, 1], &[topic.as_bytes()])),
        ("an unknown property in SUBSCRIBE", subscribe(version, 0x82, 1, &[0x7F, 1], &[(topic.as_bytes(), 0)])),
    ] {
        let mut peer = offender(stage).await?;
        cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::Fails).await);
    }
    cases.finish()
}

/// A property twice that may stand once.
async fn a_property_that_is_repeated_closes_the_connection(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("t");
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let content_type = [&[0x03][..], &crate::tests::asking::string(b"a")].concat();
    let mut cases = Cases::new();
    for (offence, bytes) in [
        (
            "Subscription Identifier twice in SUBSCRIBE",
            subscribe(version, 0x82, 1, &[0x0B, 1, 0x0B, 2], &[(topic.as_bytes(), 0)]),
        ),
        (
            "Content Type twice in PUBLISH",
            publish(version, 0x30, topic.as_bytes(), None, &content_type.repeat(2), b"x"),
        ),
    ] {
        let mut peer = offender(stage).await?;
        cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::Warns).await);
    }
    cases.finish()
}

/// Numbers that the standard does not allow.
async fn a_maximum_of_zero_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let good = || RawConnect::new(stage, "offender");
    let mut cases = Cases::new();
    for (offence, content) in [("Receive Maximum 0", &[0x21, 0, 0][..]), ("Maximum Packet Size 0", &[0x27, 0, 0, 0, 0])]
    {
        cases.add(offence, refuses(stage, offence, &good().with_properties(content).bytes(), &codes).await);
    }
    for (offence, content) in
        [("Request Problem Information 2", [0x17, 2]), ("Request Response Information 2", [0x19, 2])]
    {
        // Not looked at closely by many: a warning.
        let outcome = refuses(stage, offence, &good().with_properties(&content).bytes(), &codes).await;
        cases.add(offence, lenient(outcome));
    }
    cases.finish()
}

/// What is a warning where the text leaves it to the receiver how closely it looks.
fn lenient(outcome: Outcome) -> Outcome {
    match outcome {
        Err(halt) if halt.verdict == squall_scenarios::verdict::Verdict::Fail => {
            Err(Halt { verdict: squall_scenarios::verdict::Verdict::Warn, ..halt })
        }
        other => other,
    }
}

async fn authentication_data_needs_a_method(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let content = [&[0x16][..], &crate::tests::asking::string(b"data")].concat();
    let connect = RawConnect::new(stage, "offender").with_properties(&content);
    lenient(refuses(stage, "Authentication Data without a method", &connect.bytes(), &codes).await)
}

/// Without a Server Keep Alive the client's own counts: who pings stays, who falls silent is closed.
async fn the_keep_alive_of_the_client_counts(stage: &Stage) -> Outcome {
    let second = std::time::Duration::from_secs(1);
    let mut connect = Peer::hello(stage, "silent");
    connect.keep_alive = 2;
    let (mut peer, connack) = Peer::connect(stage, "silent", connect).await.prepared()?;
    if let Some(keep_alive) = connack.properties.server_keep_alive() {
        return Err(Halt::unsupported(format!("the server sets the keep alive to {keep_alive} s")).at(&connack));
    }
    let begun = stage.now();
    // However long an answer takes, the server gets a packet each 1.5 s.
    for number in 1..=4 {
        stage.world().sleep_until(begun + number * second * 3 / 2).await;
        peer.fence().await.map_err(|halt| Halt {
            reason: format!("a client that pings each 1.5 s did not stay: {}", halt.reason),
            ..halt
        })?;
    }
    let since = stage.now();
    let due = close_after_silence(2, "its last packet");
    let given_up = 13 * second + stage.tolerance();
    let end = peer.expect_end_by(since + given_up).await.inspect_err(|_| stage.missed(due, given_up))?;
    let took = end.at().saturating_sub(since);
    Ok(graded(stage, due, took, Evidence::of(&connack).and(&end)))
}
