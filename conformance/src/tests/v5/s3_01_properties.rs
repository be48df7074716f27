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
    transcript::What,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, faults, s3_01_connect, s3_02_connack},
    test::{Test, test},
    tests::{
        asking::{id, lasting},
        bytes::{RawConnect, publish, subscribe, unsubscribe},
        clock::{close_after_silence, graded},
        judge::{At, Cases, Unnoticed, closes, formed, offender, refuses},
        offer,
        watch::{collect, message, name, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_packet_exceeds_the_maximum_of_the_client,
        "Messages are published that are just too large for a subscriber; nothing larger than it allows reaches it.",
        ["5.0/MQTT-3.1.2-24"],
        s3_02_connack::sends_packets_of_any_size
    ),
    test!(
        a_packet_too_large_for_the_client_is_dropped,
        "A message is too large for a subscriber; it is dropped, and what follows arrives.",
        ["5.0/MQTT-3.1.2-25"],
        s3_02_connack::waits_for_what_it_dropped
    ),
    test!(
        others_get_what_is_too_large_for_one,
        "A message is too large for one subscriber; another gets it, and the first stays connected.",
        ["5.0/X-MAXPACKET-OTHERS"],
        s3_02_connack::drops_large_messages_for_all
    ),
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

/// A payload that makes a PUBLISH of QoS 1 without properties so many bytes long, fixed header included.
fn payload_for(topic: &str, size: usize) -> Vec<u8> {
    let length = if size > 129 { 2 } else { 1 };
    vec![b'x'; size - 1 - length - 2 - topic.len() - 2 - 1]
}

/// Every frame that this actor received: where, and how long.
fn sizes(stage: &Stage, actor: &str) -> Vec<(At, usize)> {
    let entries = stage.transcript().entries();
    let received = entries.iter().enumerate().filter_map(|(n, entry)| match &entry.what {
        What::Received { bytes, .. } if &*entry.actor == actor => {
            Some((At(squall_scenarios::transcript::EntryId(n)), bytes.len()))
        }
        _ => None,
    });
    received.collect()
}

/// Messages just below and above the limit of the subscriber: no packet to it exceeds that.
async fn no_packet_exceeds_the_maximum_of_the_client(stage: &Stage) -> Outcome {
    const LIMIT: usize = 100;
    let topic = stage.topic("size");
    let mut connect = Peer::hello(stage, "small");
    connect.push_property(Property::MaximumPacketSize(LIMIT as u32));
    let (mut small, connack) = Peer::connect(stage, "small", connect).await.prepared()?;
    offer::qos(&small, Qos::AtLeastOnce)?;
    small.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let taken = offer::packet_size(&publisher);
    for size in [LIMIT - 1, LIMIT, LIMIT + 1, 5000].into_iter().filter(|size| *size <= taken) {
        publisher.published(&topic, Qos::AtLeastOnce, &payload_for(&topic, size), false).await?;
    }
    publisher.published(&topic, Qos::AtLeastOnce, b"marker", false).await?;
    let received =
        collect(&mut small, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await.prepared()?;
    if let Some((at, size)) = sizes(stage, "small").into_iter().find(|(_, size)| *size > LIMIT) {
        return Err(Halt::fail(format!("a packet of {size} bytes came, Maximum Packet Size is {LIMIT}")).at(&at));
    }
    let marker = received.last().ok_or_else(|| Halt::inconclusive("no message came at all").at(&connack))?;
    let evidence = Evidence::of(marker).and_all(&received);
    // A server may add properties, and then they are too large.
    Ok(if received.len() < 3 { evidence.warn("a message that would have fitted did not come") } else { evidence })
}

/// A message that is too large is dropped as if it had been sent: what follows arrives, also with a window of one.
async fn a_packet_too_large_for_the_client_is_dropped(stage: &Stage) -> Outcome {
    let topic = stage.topic("dropped");
    tidied(stage, &["small"], &[], async {
        let mut connect = lasting(stage, "small");
        connect.push_property(Property::MaximumPacketSize(100));
        connect.push_property(Property::ReceiveMaximum(1));
        let (mut small, _) = Peer::connect(stage, "small", connect).await.prepared()?;
        offer::qos(&small, Qos::AtLeastOnce)?;
        small.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        // Little more than that: a server may take only small packets itself.
        let large = vec![b'L'; 200];
        for payload in [&b"first"[..], &large, b"second"] {
            publisher.published(&topic, Qos::AtLeastOnce, payload, false).await?;
        }
        let first = message(&mut small, b"first").await.prepared()?;
        let second = message(&mut small, b"second").await?;
        small.disconnect().await;
        crate::tests::judge::farewell(&mut small).await;
        // With room for it, the dropped one does not come back.
        let (mut roomy, connack) = Peer::connect(stage, "small", lasting(stage, "small")).await.prepared()?;
        publisher.published(&topic, Qos::AtLeastOnce, b"marker", false).await?;
        let received = collect(&mut roomy, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        roomy.disconnect().await;
        if let Some(copy) = received.iter().find(|copy| copy.payload() == large) {
            return Err(Halt::fail("the message that was too large came on a later connection").at(copy));
        }
        Ok(Evidence::of(&first).and(&second).and(&connack).and_all(&received))
    })
    .await
}

/// Two subscribers, one of them limited: the other gets the large message, and the limited one stays.
async fn others_get_what_is_too_large_for_one(stage: &Stage) -> Outcome {
    let topic = stage.topic("large");
    let mut connect = Peer::hello(stage, "small");
    connect.push_property(Property::MaximumPacketSize(100));
    let (mut small, _) = Peer::connect(stage, "small", connect).await.prepared()?;
    small.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut roomy = Peer::connected(stage, "roomy").await?;
    roomy.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    // Little more than the small one takes: a server may take only small packets itself.
    let large = vec![b'L'; 200];
    publisher.published(&topic, Qos::AtMostOnce, &large, false).await?;
    publisher.published(&topic, Qos::AtMostOnce, b"after", false).await?;
    let got = match message(&mut roomy, &large).await {
        Ok(got) => got,
        Err(halt) => {
            passes_where_nobody_is_small(stage, &large).await.prepared()?;
            return Err(halt);
        }
    };
    let after = message(&mut small, b"after").await?;
    Ok(Evidence::of(&got).and(&after))
}

/// The control: the message comes to a reader who is alone on its topic.
async fn passes_where_nobody_is_small(stage: &Stage, payload: &[u8]) -> Result<(), Halt> {
    let topic = stage.topic("large/alone");
    let mut reader = Peer::connected(stage, "reader").await?;
    reader.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut writer = Peer::connected(stage, "writer").await?;
    writer.published(&topic, Qos::AtMostOnce, payload, false).await?;
    message(&mut reader, payload).await.map(drop)
}

/// Many messages on few topics: no alias beyond what the client takes, and an empty topic only with a known alias.
async fn aliases(stage: &Stage, maximum: Option<u16>) -> Outcome {
    let mut connect = Peer::hello(stage, "aliased");
    if let Some(maximum) = maximum {
        connect.push_property(Property::TopicAliasMaximum(maximum));
    }
    let (mut peer, _) = Peer::connect(stage, "aliased", connect).await.prepared()?;
    offer::wildcards(&peer)?;
    peer.subscribed(&stage.topic("alias/+"), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
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
