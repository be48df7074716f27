//! 3.8 SUBSCRIBE: Subscription Options and Subscription Identifiers; and what UNSUBACK and SUBACK say in odd cases.

use squall_codec::{
    packet::{Packet, Publish, RetainHandling, Suback, Subscribe, Subscription, Unsuback},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    wire::Text,
};
use squall_scenarios::{
    peer::{Next, Peer, Pubrec, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::{
    liars::subscription_options as liar,
    test::{Test, test},
    tests::{
        asking::{id, lasting, lasting_peer, publish, resumed, unsubscribe},
        bytes::subscribe,
        granting::{Grades, not_granted},
        judge::{Cases, farewell, offender},
        offer,
        v5::s3_03_retain as retain,
        watch::{Delivery, collect, filter, message, rest, shown, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        qos_3_in_subscription_options_closes_the_connection,
        "A SUBSCRIBE asks for QoS 3; the server hangs up.",
        ["5.0/X-SUB-QOS3"],
        liar::grants_qos_3
    ),
    test!(
        retain_handling_3_closes_the_connection,
        "A SUBSCRIBE asks for Retain Handling 3; the server hangs up.",
        ["5.0/X-SUB-RH3"],
        liar::grants_retain_handling_3
    ),
    test!(
        a_subscription_identifier_has_its_range,
        "A SUBSCRIBE has the identifier 0, or two of them: refused. The least and the greatest come back as given.",
        ["5.0/X-SUBID-RANGE"],
        liar::grants_the_identifier_0
    ),
    test!(
        subscribing_again_replaces_the_identifier,
        "A client subscribes with an identifier, with another, and with none; messages have the latest.",
        ["5.0/X-SUBID-REPLACED"],
        liar::keeps_the_first_identifier
    ),
    test!(
        subscribing_again_replaces_no_local,
        "A client subscribes with No Local and again without, and the other way round; its own message comes as the latest says.",
        ["5.0/MQTT-3.8.4-3"],
        liar::keeps_the_first_no_local
    ),
    test!(
        subscribing_again_replaces_retain_as_published,
        "A client subscribes with Retain As Published and again without, and the other way round; RETAIN is as the latest says.",
        ["5.0/MQTT-3.8.4-3"],
        liar::keeps_the_first_retain_as_published
    ),
    test!(
        only_matching_subscriptions_give_their_identifier,
        "Several subscriptions have identifiers and some match; a message has no identifier of the others.",
        ["5.0/X-SUBID-ONLY-CAUSE"],
        liar::tells_every_identifier
    ),
    test!(
        a_session_keeps_the_identifiers_of_its_subscriptions,
        "A client with a subscription identifier comes back; queued and live messages have it.",
        ["5.0/X-SUBID-SESSION"],
        liar::forgets_identifiers_with_the_connection
    ),
    test!(
        a_retained_message_has_the_identifier_of_its_subscription,
        "A client subscribes with an identifier to a retained message; it comes with that.",
        ["5.0/X-RETAIN-SUBID"],
        liar::forgets_identifiers_of_retained_messages
    ),
    test!(
        no_local_goes_by_the_client_identifier,
        "A client with No Local publishes and comes back: its message does not. Another's with the same user name does.",
        ["5.0/X-NOLOCAL-CLIENTID"],
        liar::takes_no_local_for_nothing
    ),
    test!(
        unsuback_tells_that_there_was_no_subscription,
        "A client unsubscribes from what it never subscribed to; UNSUBACK says 0x11.",
        ["5.0/X-UNSUBACK-NO-SUBSCRIPTION"],
        liar::unsubscribes_from_anything
    )
    .should(),
    test!(
        a_packet_identifier_in_use_gets_an_answer,
        "A SUBSCRIBE has the packet identifier of a message under way; granted, refused or closed, it is answered.",
        ["5.0/X-PACKET-ID-IN-USE"],
        liar::overlooks_identifiers_in_use
    )
    .should(),
    test!(
        a_session_keeps_the_options_of_its_subscriptions,
        "A client with Retain As Published and No Local comes back; both hold for what waited and for what is new.",
        ["5.0/MQTT-3.1.2-5", "5.0/MQTT-3.3.1-13", "5.0/MQTT-3.8.3-3"],
        liar::forgets_options_of_those_who_were_away
    ),
];

/// Subscribes with this identifier.
async fn identified(peer: &mut Peer, below: &str, qos: Qos, identifier: Option<u32>) -> Result<Seen<Suback>, Halt> {
    offer::subscription_identifiers(peer)?;
    let topic = peer.stage().topic(below);
    let mut subscribe = Subscribe::new(peer.fresh_id(), vec![Subscription::new(filter(&topic), qos)]);
    if let Some(identifier) = identifier {
        subscribe.properties.push(Property::SubscriptionIdentifier(identifier));
    }
    peer.subscribe_with(subscribe).await
}

/// A copy must have these identifiers and no others.
fn has_identifiers(copy: &Delivery, wanted: &[u32]) -> Result<(), Halt> {
    if copy.subscription_identifiers == wanted {
        return Ok(());
    }
    let reason = format!("expected the Subscription Identifiers {wanted:?}, got {:?}", copy.subscription_identifiers);
    Err(Halt::fail(reason).at(copy))
}

async fn refused_options(stage: &Stage, offence: &str, options: u8, refused: Verdict) -> Outcome {
    let mut peer = offender(stage).await?;
    peer.subscribed(&stage.topic("control"), Qos::AtMostOnce).await?;
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let bytes = subscribe(stage.version(), 0x82, 7, &[], &[(stage.topic("t").as_bytes(), options)]);
    not_granted(&mut peer, offence, &bytes, &codes, Grades { granted: Verdict::Fail, refused }).await
}

async fn qos_3_in_subscription_options_closes_the_connection(stage: &Stage) -> Outcome {
    refused_options(stage, "QoS 3 in the options", 0x03, Verdict::Fail).await
}

async fn retain_handling_3_closes_the_connection(stage: &Stage) -> Outcome {
    refused_options(stage, "Retain Handling 3", 0x30, Verdict::Warn).await
}

async fn a_subscription_identifier_has_its_range(stage: &Stage) -> Outcome {
    let topic = stage.topic("t");
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let mut cases = Cases::new();
    for (offence, content, granted) in [
        ("the Subscription Identifier 0", &[0x0B, 0][..], Verdict::Fail),
        ("two Subscription Identifiers", &[0x0B, 1, 0x0B, 2], Verdict::Warn),
    ] {
        let mut peer = offender(stage).await?;
        offer::subscription_identifiers(&peer)?;
        let bytes = subscribe(stage.version(), 0x82, 7, content, &[(topic.as_bytes(), 0)]);
        let grades = Grades { granted, refused: Verdict::Warn };
        cases.add(offence, not_granted(&mut peer, offence, &bytes, &codes, grades).await);
    }
    for identifier in [1, 127, 128, 16_383, 16_384, 268_435_455] {
        cases.add(format!("identifier {identifier}"), returned(stage, identifier).await);
    }
    cases.finish()
}

async fn returned(stage: &Stage, identifier: u32) -> Outcome {
    let below = format!("id{identifier}");
    let mut peer = Peer::connected(stage, "legal").await?;
    let subscribed = identified(&mut peer, &below, Qos::AtMostOnce, Some(identifier)).await;
    if subscribed.is_err() && !peer.is_open() {
        // It was lost for the identifier only where a subscription without one is served.
        let mut control = Peer::connected(stage, "plain").await?;
        control.subscribed(&stage.topic(&below), Qos::AtMostOnce).await.prepared()?;
        control.disconnect().await;
    }
    subscribed?;
    peer.published(&stage.topic(&below), Qos::AtMostOnce, b"x", false).await?;
    let copy = message(&mut peer, b"x").await?;
    has_identifiers(&copy, &[identifier])?;
    peer.disconnect().await;
    farewell(&mut peer).await;
    Ok(Evidence::of(&copy))
}

async fn subscribing_again_replaces_the_identifier(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    let mut evidence: Option<Evidence> = None;
    for (identifier, payload) in [(Some(1), "one"), (Some(2), "two"), (None, "none")] {
        identified(&mut peer, "t", Qos::AtMostOnce, identifier).await.prepared()?;
        publisher.published(&stage.topic("t"), Qos::AtMostOnce, payload.as_bytes(), false).await?;
        let copy = message(&mut peer, payload.as_bytes()).await.prepared()?;
        has_identifiers(&copy, &identifier.into_iter().collect::<Vec<_>>())?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came"))
}

/// The client's own copy of what it publishes behind a SUBSCRIBE with or without No Local.
async fn own_copy(alice: &mut Peer, bob: &mut Peer, topic: &str, no_local: bool) -> Result<Option<Delivery>, Halt> {
    let mut subscription = Subscription::new(filter(topic), Qos::AtMostOnce);
    subscription.options.no_local = no_local;
    let subscribe = Subscribe::new(alice.fresh_id(), vec![subscription]);
    alice.subscribe_with(subscribe).await.prepared()?;
    let (mine, theirs) = (format!("mine, {no_local}"), format!("theirs, {no_local}"));
    alice.published(topic, Qos::AtMostOnce, mine.as_bytes(), false).await?;
    bob.published(topic, Qos::AtMostOnce, theirs.as_bytes(), false).await?;
    let is_there = |seen: &[Delivery], words: &str| seen.iter().any(|copy| copy.payload() == words.as_bytes());
    let received =
        collect(alice, |seen| is_there(seen, &theirs) && (no_local || is_there(seen, &mine))).await.prepared()?;
    if !is_there(&received, &theirs) {
        return Err(Halt::inconclusive("the message of another did not come"));
    }
    Ok(received.into_iter().find(|copy| copy.payload() == mine.as_bytes()))
}

async fn subscribing_again_replaces_no_local(stage: &Stage) -> Outcome {
    let mut alice = Peer::connected(stage, "alice").await?;
    let mut bob = Peer::connected(stage, "bob").await?;
    let mut evidence: Option<Evidence> = None;
    let cases = [(stage.topic("without"), true), (stage.topic("with"), false)];
    for (topic, first) in &cases {
        // What No Local does at all is the matter of another test.
        if own_copy(&mut alice, &mut bob, topic, *first).await?.is_some() == *first {
            return Err(Halt::inconclusive("the first SUBSCRIBE does not have the No Local that it asks for"));
        }
    }
    for (topic, first) in &cases {
        match own_copy(&mut alice, &mut bob, topic, !first).await? {
            Some(copy) if *first => evidence = Some(Evidence::of(&copy)),
            Some(copy) => {
                return Err(Halt::fail("No Local came with the second SUBSCRIBE, and its own message came").at(&copy));
            }
            None if *first => {
                return Err(Halt::fail("No Local is not in the second SUBSCRIBE, and its own message did not come"));
            }
            None => {}
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came"))
}

async fn subscribing_again_replaces_retain_as_published(stage: &Stage) -> Outcome {
    let topics = [stage.topic("without"), stage.topic("with")];
    tidied(stage, &[], &[&topics[0], &topics[1]], async {
        let mut publisher = Peer::connected(stage, "bob").await?;
        offer::retain(&publisher)?;
        let mut peer = Peer::connected(stage, "alice").await?;
        let mut witness = Peer::connected(stage, "carol").await?;
        for topic in &topics {
            retain::subscribe(&mut witness, topic, RetainHandling::DoNotSend, true).await?;
        }
        let mut evidence: Option<Evidence> = None;
        let cases = [(&topics[0], true), (&topics[1], false)];
        for (payload, is_first) in [(&b"before"[..], true), (b"after", false)] {
            for (topic, first) in cases {
                let asked = first == is_first;
                retain::subscribe(&mut peer, topic, RetainHandling::DoNotSend, asked).await?;
                publisher.published(topic, Qos::AtMostOnce, payload, true).await?;
                if !message(&mut witness, payload).await.prepared()?.retain {
                    return Err(Halt::inconclusive("who subscribes once with Retain As Published gets RETAIN 0"));
                }
                let copy = message(&mut peer, payload).await.prepared()?;
                if copy.retain == asked {
                    evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
                } else if is_first {
                    // What Retain As Published does at all is the matter of another test.
                    let reason = "the first SUBSCRIBE does not have the Retain As Published that it asks for";
                    return Err(Halt::inconclusive(reason));
                } else {
                    let reason = format!("Retain As Published is {first} as in the first SUBSCRIBE: {}", shown(&copy));
                    return Err(Halt::fail(reason).at(&copy));
                }
            }
        }
        evidence.ok_or_else(|| Halt::inconclusive("no message came"))
    })
    .await
}

async fn only_matching_subscriptions_give_their_identifier(stage: &Stage) -> Outcome {
    let mut alice = Peer::connected(stage, "alice").await?;
    let mut bob = Peer::connected(stage, "bob").await?;
    let mut due = vec![1];
    identified(&mut alice, "a/t", Qos::AtMostOnce, Some(1)).await.prepared()?;
    identified(&mut alice, "b/t", Qos::AtMostOnce, Some(2)).await.prepared()?;
    if offer::wildcards(&alice).is_ok() {
        identified(&mut alice, "a/+", Qos::AtMostOnce, Some(3)).await.prepared()?;
        identified(&mut alice, "b/+", Qos::AtMostOnce, Some(4)).await.prepared()?;
        due.push(3);
    }
    identified(&mut bob, "a/t", Qos::AtMostOnce, Some(9)).await.prepared()?;
    identified(&mut bob, "c/t", Qos::AtMostOnce, Some(8)).await.prepared()?;
    let mut publisher = Peer::connected(stage, "carol").await?;
    publisher.published(&stage.topic("a/t"), Qos::AtMostOnce, b"x", false).await?;
    let mut evidence: Option<Evidence> = None;
    for (peer, due) in [(&mut alice, due.as_slice()), (&mut bob, &[9])] {
        // In one copy, or one for each subscription.
        let mut copies = collect(peer, |seen| !seen.is_empty()).await?;
        copies.extend(rest(peer).await.prepared()?.0);
        for copy in &copies {
            if let Some(foreign) = copy.subscription_identifiers.iter().find(|one| !due.contains(one)) {
                let reason = format!("expected no identifier but {due:?}, got {foreign} in {}", shown(copy));
                return Err(Halt::fail(reason).at(copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
        }
        if copies.iter().all(|copy| copy.subscription_identifiers.is_empty()) {
            return Err(Halt::inconclusive("no copy with an identifier came"));
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came"))
}

async fn a_session_keeps_the_identifiers_of_its_subscriptions(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut peer = lasting_peer(stage, "alice").await?;
        identified(&mut peer, "t", Qos::AtLeastOnce, Some(9)).await.prepared()?;
        peer.close(End::Fin).await;
        farewell(&mut peer).await;
        let mut publisher = Peer::connected(stage, "bob").await?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"queued", false).await?;
        let mut back = resumed(stage, "alice").await?;
        let queued = message(&mut back, b"queued").await.prepared()?;
        has_identifiers(&queued, &[9])?;
        publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"live", false).await?;
        let live = message(&mut back, b"live").await.prepared()?;
        has_identifiers(&live, &[9])?;
        back.disconnect().await;
        Ok(Evidence::of(&queued).and(&live))
    })
    .await
}

async fn a_session_keeps_the_options_of_its_subscriptions(stage: &Stage) -> Outcome {
    let (kept, own) = (stage.topic("kept"), stage.topic("own"));
    tidied(stage, &["alice"], &[&kept], async {
        let mut publisher = Peer::connected(stage, "bob").await?;
        offer::retain(&publisher)?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        let mut alice = lasting_peer(stage, "alice").await?;
        let mut as_published = Subscription::new(filter(&kept), Qos::AtLeastOnce);
        as_published.options.retain_as_published = true;
        let mut no_local = Subscription::new(filter(&own), Qos::AtLeastOnce);
        no_local.options.no_local = true;
        let subscribe = Subscribe::new(alice.fresh_id(), vec![as_published, no_local]);
        alice.subscribe_with(subscribe).await.prepared()?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        publisher.published(&kept, Qos::AtLeastOnce, b"waiting", true).await?;
        let mut alice = resumed(stage, "alice").await?;
        let mut evidence: Option<Evidence> = None;
        for payload in [&b"waiting"[..], b"live"] {
            if payload == b"live" {
                publisher.published(&kept, Qos::AtLeastOnce, payload, true).await?;
            }
            let copy = message(&mut alice, payload).await.prepared()?;
            if !copy.retain {
                let reason = format!("after a new connection Retain As Published is forgotten: {}", shown(&copy));
                return Err(Halt::fail(reason).at(&copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |before| before.and(&copy)));
        }
        alice.published(&own, Qos::AtLeastOnce, b"mine", false).await?;
        publisher.published(&own, Qos::AtLeastOnce, b"theirs", false).await?;
        let theirs = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"theirs");
        let received = collect(&mut alice, theirs).await?;
        alice.disconnect().await;
        if let Some(copy) = received.iter().find(|copy| copy.payload() == b"mine") {
            return Err(Halt::fail("after a new connection No Local is forgotten: its own message came").at(copy));
        }
        let last = received.last().ok_or_else(|| Halt::inconclusive("the message of another did not come"))?;
        evidence.map(|evidence| evidence.and(last)).ok_or_else(|| Halt::inconclusive("nothing was published"))
    })
    .await
}

async fn a_retained_message_has_the_identifier_of_its_subscription(stage: &Stage) -> Outcome {
    let topic = stage.topic("retained");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = Peer::connected(stage, "bob").await?;
        offer::retain(&publisher)?;
        publisher.published(&topic, Qos::AtMostOnce, b"retained", true).await?;
        let mut peer = Peer::connected(stage, "alice").await?;
        identified(&mut peer, "retained", Qos::AtMostOnce, Some(7)).await.prepared()?;
        let copy = message(&mut peer, b"retained").await.prepared()?;
        has_identifiers(&copy, &[7])?;
        Ok(Evidence::of(&copy))
    })
    .await
}

/// A client under this user name; without one where the server does not know it.
async fn under_one_name(stage: &Stage, actor: &str, lasts: bool) -> Result<Peer, Halt> {
    let plain = if lasts { lasting(stage, actor) } else { Peer::hello(stage, actor) };
    let mut named = plain.clone();
    named.set_username(Some(Text::literal("squall")));
    match Peer::connect(stage, actor, named).await {
        Ok((peer, _)) => Ok(peer),
        Err(_) => Peer::connect(stage, actor, plain).await.prepared().map(|(peer, _)| peer),
    }
}

async fn no_local_goes_by_the_client_identifier(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut alice = under_one_name(stage, "alice", true).await?;
        offer::qos(&alice, Qos::AtLeastOnce)?;
        offer::session_expiry(&alice, 300)?;
        let mut subscription = Subscription::new(filter(&stage.topic("t")), Qos::AtLeastOnce);
        subscription.options.no_local = true;
        alice.subscribe_with(Subscribe::new(id(9), vec![subscription])).await.prepared()?;
        // It leaves at once: its message may meet a session without a connection.
        alice.send(Packet::Publish(publish(stage, "t", Qos::AtLeastOnce, id(10), "own"))).await;
        alice.close(End::Fin).await;
        farewell(&mut alice).await;
        let mut bob = under_one_name(stage, "bob", false).await?;
        bob.published(&stage.topic("t"), Qos::AtLeastOnce, b"other", false).await?;
        let mut back = under_one_name(stage, "alice", true).await?;
        if !back.connack().is_some_and(|connack| connack.session_present) {
            return Err(Halt::inconclusive("the server did not keep the session (Session Present 0)"));
        }
        let other = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"other");
        let mut got = collect(&mut back, other).await?;
        let (more, pong) = rest(&mut back).await.prepared()?;
        got.extend(more);
        back.disconnect().await;
        if !other(&got) {
            return Err(Halt::fail("No Local withheld the message of another client").at(&pong));
        }
        let evidence = Evidence::of(&pong).and_all(&got);
        Ok(match got.iter().find(|copy| copy.payload() == b"own") {
            Some(own) => evidence.warn(format!("after a reconnect its own message came back: {}", shown(own))),
            None => evidence,
        })
    })
    .await
}

async fn unsuback_tells_that_there_was_no_subscription(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.send(unsubscribe(stage, id(1), &["never"])).await;
    let unsuback = peer.expect::<Unsuback>().await?;
    Ok(match unsuback.reasons.first() {
        Some(ReasonCode::NoSubscriptionExisted) => Evidence::of(&unsuback),
        Some(reason) if reason.is_failure() => Evidence::of(&unsuback),
        other => {
            let came = other.map_or_else(|| "no code".to_owned(), ToString::to_string);
            Evidence::of(&unsuback)
                .warn(format!("expected UNSUBACK 0x11 for a filter that was not subscribed, got {came}"))
        }
    })
}

/// SUBACK of any kind, or the end: only silence is odd.
async fn a_packet_identifier_in_use_gets_an_answer(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let pending: Publish = publish(stage, "t", Qos::ExactlyOnce, id(3), "pending");
    peer.send(Packet::Publish(pending)).await;
    peer.expect::<Pubrec>().await.prepared()?;
    let bytes = subscribe(stage.version(), 0x82, 3, &[], &[(stage.topic("t").as_bytes(), 0)]);
    let sent = peer.send_bytes(&bytes).await;
    loop {
        match peer.next().await {
            Next::Packet(packet) => match &*packet {
                Packet::Suback(suback) if suback.packet_id == id(3) => return Ok(Evidence::of(&packet)),
                Packet::Suback(suback) => {
                    return Err(Halt::fail(format!("SUBACK {} answers no SUBSCRIBE", suback.packet_id)).at(&packet));
                }
                _ => {}
            },
            Next::End(end) => return Ok(Evidence::of(&end)),
            Next::Malformed(what) => return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
            Next::Nothing => {
                return Ok(Evidence::of(&sent).warn("a SUBSCRIBE whose identifier is in use was not answered at all"));
            }
        }
    }
}
