//! 3.1.2.5 to 3.1.2.7 and 3.1.3.2: wills.
//!
//! That no will comes is shown by another one: a client with a will of its own is cut off afterwards, and when that will
//! has come, the first had every chance to.

use std::time::Duration;

use squall_codec::{
    packet::{Packet, Will},
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    timing::{Due, Punctuality},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{is_v5, lasting, lasting_peer},
    bytes::publish,
    judge::{Cases, farewell, farewells},
    many::all_connected,
    offer,
    watch::{
        Delivery, carries, collect, collect_by, message, message_by, no_other, rest, shown, text, tidied, will,
        with_will,
    },
};

/// How long a will without a clock may take to be called late and not missing.
pub(crate) const GIVEN_UP: Duration = Duration::from_secs(5);

/// A will comes promptly; later it is a warning.
pub(crate) const PROMPT: Duration = Duration::from_secs(2);

/// A client that watches the wills of this test.
pub(crate) async fn watcher(stage: &Stage, topic: &str, qos: Qos) -> Result<Peer, Halt> {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::qos(&watcher, Qos::AtLeastOnce)?;
    watcher.subscribed(topic, qos).await?;
    Ok(watcher)
}

/// The will that is due since now: later than promptly is a warning, not at all is a failure.
pub(crate) async fn due(
    watcher: &mut Peer,
    payload: &[u8],
    since: Duration,
) -> Result<(Delivery, Option<String>), Halt> {
    let stage = watcher.stage().clone();
    let given_up = GIVEN_UP;
    let came = message_by(watcher, payload, since + given_up).await;
    if came.as_ref().is_err_and(|halt| halt.verdict == Verdict::Fail) {
        stage.missed(PROMPTLY, given_up);
    }
    let came = came?;
    let late = late(&stage, &came, since);
    Ok((came, late))
}

/// Several wills that are due since now, in any order: each is a case.
pub(crate) async fn all_due(watcher: &mut Peer, payloads: &[String], since: Duration) -> Result<Cases, Halt> {
    let is_there = |seen: &[Delivery], payload: &String| seen.iter().any(|copy| copy.payload() == payload.as_bytes());
    let all = |seen: &[Delivery]| payloads.iter().all(|payload| is_there(seen, payload));
    let stage = watcher.stage().clone();
    let given_up = GIVEN_UP;
    let mut received = collect_by(watcher, since + given_up, all).await?;
    if !all(&received) {
        // Who misses them is still served.
        received.extend(rest(watcher).await.prepared()?.0);
    }
    let mut cases = Cases::new();
    for payload in payloads {
        let came = received.iter().find(|copy| copy.payload() == payload.as_bytes());
        cases.add(
            payload.as_str(),
            match came {
                Some(came) => Ok(graded(came, late(&stage, came, since))),
                None => {
                    stage.missed(PROMPTLY, given_up);
                    Err(Halt::fail(format!("the will did not come within {given_up:?}")))
                }
            },
        );
    }
    Ok(cases)
}

/// A will without a delay.
const PROMPTLY: Due<'static> = Due {
    what: "the will",
    since: "the end of the connection",
    earliest: Duration::ZERO,
    due: Duration::ZERO,
    // A second more, for clocks of whole seconds.
    latest: Duration::from_secs(PROMPT.as_secs() + 1),
};

/// Later than promptly, in words.
fn late(stage: &Stage, came: &Delivery, since: Duration) -> Option<String> {
    let took = came.at.saturating_sub(since);
    let grade = stage.came(PROMPTLY, took);
    (grade == Punctuality::Late).then(|| format!("the will came {took:?} after the end of the connection"))
}

/// Evidence with what was late.
fn graded(came: &Delivery, late: Option<String>) -> Evidence {
    match late {
        None => Evidence::of(came),
        Some(reason) => Evidence::of(came).warn(reason),
    }
}

/// The will of a client that is cut off now: whatever was due before it has come, or does not come.
pub(crate) async fn control_will(stage: &Stage, watcher: &mut Peer, topic: &str) -> Result<Vec<Delivery>, Halt> {
    let connect = with_will(stage, "control", will(topic, b"control"));
    let (mut control, _) = Peer::connect(stage, "control", connect).await.prepared()?;
    control.close(End::Fin).await;
    let by = stage.now() + GIVEN_UP;
    let is_control = |seen: &[Delivery]| seen.last().is_some_and(|last| last.payload() == b"control");
    let mut received = collect_by(watcher, by, is_control).await.prepared()?;
    if !is_control(&received) {
        return Err(Halt::inconclusive("not even the will of the control client came"));
    }
    let (more, _) = rest(watcher).await.prepared()?;
    received.extend(more);
    Ok(received)
}

pub(crate) async fn a_will_is_published_when_the_connection_is_cut(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let mut cases = Cases::new();
    for (how, payload) in [(End::Fin, "cut by FIN"), (End::Reset, "cut by RST")] {
        let connect = with_will(stage, "mortal", will(&topic, payload.as_bytes()));
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        mortal.close(how).await;
        let came = due(&mut watcher, payload.as_bytes(), stage.now()).await;
        cases.add(how.name(), came.map(|(came, late)| graded(&came, late)));
    }
    cases.finish()
}

/// Promptly: within two seconds, and a patience for the way.
pub(crate) async fn a_will_is_published_promptly(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let connect = with_will(stage, "mortal", will(&topic, b"prompt"));
    let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
    mortal.close(End::Fin).await;
    let (came, late) = due(&mut watcher, b"prompt", stage.now()).await.prepared()?;
    Ok(graded(&came, late))
}

pub(crate) async fn a_will_is_published_when_the_server_closes_for_an_error(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let version = stage.version();
    let second = crate::tests::asking::bytes_of(stage, &Packet::Connect(Peer::hello(stage, "mortal")));
    let mut closed = Vec::new();
    for (what, bytes) in [
        ("a PUBLISH with QoS 3", publish(version, 0x36, stage.topic("t").as_bytes(), Some(1), &[], b"x")),
        ("a second CONNECT", second),
    ] {
        let connect = with_will(stage, "mortal", will(&topic, what.as_bytes()));
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        mortal.send_bytes(&bytes).await;
        if farewell(&mut mortal).await.end.is_some() {
            closed.push(what.to_owned());
        }
    }
    if closed.is_empty() {
        return Err(Halt::inconclusive("the server did not close the connection for any error"));
    }
    all_due(&mut watcher, &closed, stage.now()).await?.finish()
}

/// 3.1.1: the old connection was closed by the server, so its will is due. In 5.0 the texts leave room: a warning.
pub(crate) async fn a_will_is_published_on_take_over(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    tidied(stage, &["mortal", "immortal"], &[], async {
        let mut payloads = Vec::new();
        for (clean, actor, payload) in
            [(true, "mortal", "taken over, clean"), (false, "immortal", "taken over, resumed")]
        {
            let mut connect = if clean { Peer::hello(stage, actor) } else { lasting(stage, actor) };
            let successor = connect.clone();
            connect.set_will(Some(will(&topic, payload.as_bytes())));
            let (mut old, _) = Peer::connect(stage, actor, connect).await.prepared()?;
            let (mut new, _) = Peer::connect(stage, actor, successor).await.prepared()?;
            farewell(&mut old).await;
            new.disconnect().await;
            payloads.push(payload.to_owned());
        }
        match all_due(&mut watcher, &payloads, stage.now()).await?.finish() {
            Err(halt) if is_v5(stage) && halt.verdict == Verdict::Fail => Err(Halt { verdict: Verdict::Warn, ..halt }),
            other => other,
        }
    })
    .await
}

/// Topic, payload and QoS of the will; in 5.0 its properties too. The watcher is granted QoS 2.
pub(crate) async fn a_will_is_published_as_it_was_given(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    let granted = watcher.subscribed(&topic, Qos::ExactlyOnce).await?;
    let highest = offer::highest_qos(&watcher);
    let mut evidence: Option<Evidence> = None;
    for qos in Qos::ALL.into_iter().filter(|qos| *qos <= highest) {
        let payload = format!("at QoS {qos}").into_bytes();
        let mut last = Will { qos, ..will(&topic, &payload) };
        if is_v5(stage) {
            last.properties = given();
        }
        let (mut mortal, _) = Peer::connect(stage, "mortal", with_will(stage, "mortal", last)).await.prepared()?;
        mortal.close(End::Fin).await;
        let came = due(&mut watcher, &payload, stage.now()).await.map_err(|halt| match watcher.is_open() {
            true => halt,
            false => Halt {
                verdict: Verdict::Fail,
                reason: format!("when the will was due, the connection of a subscriber ended: {}", halt.reason),
                ..halt
            },
        });
        let (came, _) = came?;
        let granted = granted.reasons.first().map_or(0, |reason| reason.value());
        let wanted = qos.bits().min(granted);
        if came.qos.bits() != wanted || came.topic() != topic || came.retain {
            let reason = format!("expected the will on {topic} with QoS {wanted} and RETAIN 0, got {}", shown(&came));
            return Err(Halt::fail(reason).at(&came));
        }
        if is_v5(stage) && !carries(&came.forwarded_properties(), &given()) {
            let reason = format!("expected the properties {:?}, got {:?}", given(), came.forwarded_properties());
            return Err(Halt::fail(reason).at(&came));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&came), |evidence| evidence.and(&came)));
    }
    rest(&mut watcher).await.prepared()?;
    evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
}

/// The properties that a will carries to its receivers.
fn given() -> Properties {
    Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(text("text/plain")))
        .with(Property::ResponseTopic(text("answers/here")))
        .with(Property::CorrelationData(vec![0, 1, 0xFF].into()))
        .with(Property::UserProperty((text("a"), text("1"))))
}

/// Published once; a later connection of the same client without a will has none.
pub(crate) async fn a_will_is_published_once(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let (mut mortal, _) =
        Peer::connect(stage, "mortal", with_will(stage, "mortal", will(&topic, b"once"))).await.prepared()?;
    mortal.close(End::Fin).await;
    let (came, _) = due(&mut watcher, b"once", stage.now()).await?;
    let mut again = Peer::connected(stage, "mortal").await?;
    again.close(End::Fin).await;
    farewell(&mut again).await;
    let after = control_will(stage, &mut watcher, &topic).await?;
    no_other(&after, b"control")?;
    Ok(Evidence::of(&came).and_all(&after))
}

/// DISCONNECT discards the will; a connection without one has none, though an earlier one had.
pub(crate) async fn a_disconnect_discards_the_will(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let (mut mortal, _) =
        Peer::connect(stage, "mortal", with_will(stage, "mortal", will(&topic, b"discarded"))).await.prepared()?;
    mortal.disconnect().await;
    farewell(&mut mortal).await;
    let after = control_will(stage, &mut watcher, &topic).await?;
    no_other(&after, b"control")?;
    Ok(Evidence::of(&after[0]).and_all(&after[1..]))
}

/// What a fresh subscriber finds on the topic after the will was published. `None`: nothing.
async fn found_afterwards(stage: &Stage, topic: &str, expected: bool) -> Result<Option<Delivery>, Halt> {
    let mut late = Peer::connected(stage, &stage.fresh("late")).await?;
    late.subscribed(topic, Qos::AtLeastOnce).await?;
    let mut received = if expected { collect(&mut late, |seen| !seen.is_empty()).await? } else { Vec::new() };
    let (more, _) = rest(&mut late).await.prepared()?;
    received.extend(more);
    late.disconnect().await;
    Ok(received.into_iter().next())
}

pub(crate) async fn a_will_without_retain_is_not_retained(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &[], &[&topic], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let (mut mortal, _) =
            Peer::connect(stage, "mortal", with_will(stage, "mortal", will(&topic, b"passing"))).await.prepared()?;
        mortal.close(End::Fin).await;
        let (came, _) = due(&mut watcher, b"passing", stage.now()).await.prepared()?;
        if came.retain {
            return Err(Halt::fail("the live copy of the will has RETAIN 1").at(&came));
        }
        match found_afterwards(stage, &topic, false).await? {
            None => Ok(Evidence::of(&came)),
            Some(found) => Err(Halt::fail(format!("the will was retained: {}", shown(&found))).at(&found)),
        }
    })
    .await
}

pub(crate) async fn a_will_with_retain_is_retained(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &[], &[&topic], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        offer::retain(&watcher)?;
        let last = Will { retain: true, ..will(&topic, b"staying") };
        let (mut mortal, _) = Peer::connect(stage, "mortal", with_will(stage, "mortal", last)).await.prepared()?;
        mortal.close(End::Fin).await;
        let (came, _) = due(&mut watcher, b"staying", stage.now()).await.prepared()?;
        match found_afterwards(stage, &topic, true).await? {
            Some(found) if found.retain && found.payload() == b"staying" => Ok(Evidence::of(&came).and(&found)),
            Some(found) => {
                Err(Halt::fail(format!("expected the will with RETAIN 1, got {}", shown(&found))).at(&found))
            }
            None => Err(Halt::fail("expected the will to be retained, but a later subscriber got nothing").at(&came)),
        }
    })
    .await
}

/// An empty will; and an empty retained will clears what was retained on its topic.
pub(crate) async fn an_empty_retained_will_clears_its_topic(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = Peer::connected(stage, "publisher").await?;
        offer::retain(&publisher)?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        publisher.published(&topic, Qos::AtLeastOnce, b"before", true).await?;
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        message(&mut watcher, b"before").await.prepared()?;
        // A will with a payload is taken, and discarded.
        let control = Will { retain: true, ..will(&topic, b"full") };
        let (mut mortal, _) = Peer::connect(stage, "mortal", with_will(stage, "mortal", control)).await.prepared()?;
        mortal.disconnect().await;
        farewell(&mut mortal).await;
        let last = Will { retain: true, ..will(&topic, b"") };
        let (mut mortal, _) =
            Peer::connect(stage, "mortal", with_will(stage, "mortal", last)).await.map_err(|halt| Halt {
                reason: format!("a client with an empty will was not let in: {}", halt.reason),
                ..halt
            })?;
        mortal.close(End::Fin).await;
        let (came, _) = due(&mut watcher, b"", stage.now()).await?;
        match found_afterwards(stage, &topic, false).await? {
            None => Ok(Evidence::of(&came)),
            Some(found) => {
                Err(Halt::fail(format!("expected nothing to be retained, got {}", shown(&found))).at(&found))
            }
        }
    })
    .await
}

/// A will is a message like any other: a wildcard matches it, and the QoS that was granted is its upper bound.
pub(crate) async fn a_will_is_delivered_like_any_message(stage: &Stage) -> Outcome {
    let topic = stage.topic("will/of/one");
    let mut low = Peer::connected(stage, "low").await?;
    offer::qos(&low, Qos::ExactlyOnce)?;
    offer::wildcards(&low)?;
    low.subscribed(&stage.topic("will/+/one"), Qos::AtMostOnce).await?;
    let mut middle = Peer::connected(stage, "middle").await?;
    middle.subscribed(&stage.topic("will/#"), Qos::AtLeastOnce).await?;
    let last = Will { qos: Qos::ExactlyOnce, ..will(&topic, b"like any") };
    let (mut mortal, _) = Peer::connect(stage, "mortal", with_will(stage, "mortal", last)).await.prepared()?;
    mortal.close(End::Fin).await;
    let since = stage.now();
    let (first, _) = due(&mut low, b"like any", since).await?;
    let (second, _) = due(&mut middle, b"like any", since).await?;
    for (copy, wanted) in [(&first, Qos::AtMostOnce), (&second, Qos::AtLeastOnce)] {
        if copy.qos != wanted {
            return Err(Halt::fail(format!("expected the will with QoS {wanted}, got {}", shown(copy))).at(copy));
        }
    }
    Ok(Evidence::of(&first).and(&second))
}

pub(crate) async fn a_will_waits_for_an_absent_client(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["absent"], &[], async {
        let mut absent = lasting_peer(stage, "absent").await?;
        offer::qos(&absent, Qos::AtLeastOnce)?;
        offer::session_expiry(&absent, 300)?;
        absent.subscribed(&topic, Qos::AtLeastOnce).await?;
        absent.disconnect().await;
        farewell(&mut absent).await;
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let (mut mortal, _) =
            Peer::connect(stage, "mortal", with_will(stage, "mortal", will(&topic, b"for both"))).await.prepared()?;
        mortal.close(End::Fin).await;
        let (came, _) = due(&mut watcher, b"for both", stage.now()).await.prepared()?;
        let (mut absent, connack) = Peer::connect(stage, "absent", lasting(stage, "absent")).await.prepared()?;
        let queued = message(&mut absent, b"for both").await?;
        absent.disconnect().await;
        Ok(Evidence::of(&came).and(&connack).and(&queued))
    })
    .await
}

/// DISCONNECT with reserved flags is none, whichever they are: the connection ends and the will is published.
pub(crate) async fn a_flagged_disconnect_is_none(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let firsts: Vec<u8> = (0xE1..=0xEF).collect();
    let told = |first: u8| format!("flagged {first:02X}");
    let hellos = firsts.iter().map(|first| {
        let actor = stage.fresh("mortal");
        (with_will(stage, &actor, will(&topic, told(*first).as_bytes())), actor)
    });
    let mut mortals = all_connected(stage, hellos.collect()).await?;
    for (mortal, first) in mortals.iter_mut().zip(&firsts) {
        mortal.send_bytes(&[*first, 0x00]).await;
    }
    let seen = farewells(stage, &mut mortals).await;
    let received = collect_by(&mut watcher, stage.now() + GIVEN_UP, |seen| seen.len() >= firsts.len()).await?;
    let mut cases = Cases::new();
    for (first, seen) in firsts.iter().zip(seen) {
        let offence = format!("DISCONNECT with the first byte 0x{first:02X}");
        let came = received.iter().find(|came| came.payload() == told(*first).as_bytes());
        let outcome = match (&seen.end, came) {
            (None, _) => Err(Halt::fail(format!("expected {offence} to close the connection, it is still open"))),
            (Some(end), Some(came)) => Ok(Evidence::of(end).and(came)),
            (Some(end), None) => {
                let reason =
                    format!("{offence}: the connection ended, but no will came: it passed for a normal DISCONNECT");
                // 3.1.1 wants the client disconnected, which it was.
                if is_v5(stage) { Err(Halt::fail(reason).at(end)) } else { Ok(Evidence::of(end).warn(reason)) }
            }
        };
        cases.add(offence, outcome);
    }
    cases.finish()
}
