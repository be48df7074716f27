//! 3.3.1.3 RETAIN.
//!
//! What is retained is looked up by a client that has never subscribed before. That nothing is there is shown beside a
//! topic where something is.

use squall_codec::{
    packet::{RetainHandling, Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{lasting, lasting_peer},
    judge::farewell,
    offer,
    watch::{Delivery, collect, filter, message, rest, shown, tidied},
};

/// A client that publishes retained messages: the server must offer them.
async fn publisher(stage: &Stage) -> Result<Peer, Halt> {
    let publisher = Peer::connected(stage, "publisher").await?;
    offer::retain(&publisher)?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    Ok(publisher)
}

/// What a new subscriber of these topics gets, asked again until it is what was `wanted` or patience is out: storing may
/// lag behind the acknowledgement.
async fn retained(stage: &Stage, topics: &[&str], wanted: impl Fn(&[Delivery]) -> bool) -> Result<Vec<Delivery>, Halt> {
    let by = stage.now() + stage.patience();
    loop {
        let mut late = Peer::connected(stage, &stage.fresh("late")).await?;
        for topic in topics {
            late.subscribed(topic, Qos::ExactlyOnce).await?;
        }
        let (mut received, _) = rest(&mut late).await.prepared()?;
        if !wanted(&received) {
            received.extend(collect(&mut late, |seen| !seen.is_empty()).await?);
            let (more, _) = rest(&mut late).await.prepared()?;
            received.extend(more);
        }
        late.disconnect().await;
        if wanted(&received) || stage.now() >= by {
            return Ok(received);
        }
    }
}

fn on<'a>(messages: &'a [Delivery], topic: &str) -> Option<&'a Delivery> {
    messages.iter().find(|copy| copy.topic() == topic)
}

/// Stored with its QoS, at 1 and 2; at 0 it should be.
pub(crate) async fn a_retained_message_waits_for_later_subscribers(stage: &Stage) -> Outcome {
    let topics: Vec<String> = Qos::ALL.iter().map(|qos| stage.topic(&format!("stored/{qos}"))).collect();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    tidied(stage, &[], &names, async {
        let mut publisher = publisher(stage).await?;
        let highest = offer::highest_qos(&publisher);
        let mut wanted = Vec::new();
        for (qos, topic) in Qos::ALL.into_iter().zip(&topics).filter(|(qos, _)| *qos <= highest) {
            publisher.published(topic, qos, b"stored", true).await?;
            wanted.push((qos, topic.as_str()));
        }
        let complete = |seen: &[Delivery]| wanted.iter().all(|(_, topic)| on(seen, topic).is_some());
        let received = retained(stage, &names, complete).await?;
        let mut evidence: Option<Evidence> = None;
        let mut warning = None;
        for (qos, topic) in &wanted {
            match on(&received, topic) {
                Some(copy) if copy.payload() == b"stored" && copy.qos == *qos => {
                    evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
                }
                Some(copy) => {
                    let reason = format!("expected the retained message with QoS {qos}, got {}", shown(copy));
                    return Err(Halt::fail(reason).at(copy));
                }
                None if *qos == Qos::AtMostOnce => warning = Some("the retained message of QoS 0 was not kept"),
                None => return Err(Halt::fail(format!("the retained message of QoS {qos} was not there"))),
            }
        }
        let evidence = evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))?;
        Ok(match warning {
            Some(reason) => evidence.warn(reason),
            None => evidence,
        })
    })
    .await
}

/// A message of QoS 0 should be stored as well.
pub(crate) async fn a_retained_message_of_qos_0_is_stored(stage: &Stage) -> Outcome {
    let topic = stage.topic("light");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtMostOnce, b"light", true).await?;
        let received = retained(stage, &[&topic], |seen| !seen.is_empty()).await?;
        match received.first() {
            Some(copy) if copy.payload() == b"light" => Ok(Evidence::of(copy)),
            Some(copy) => Err(Halt::fail(format!("another message is retained: {}", shown(copy))).at(copy)),
            None => Err(Halt::warn("the retained message of QoS 0 was not kept")),
        }
    })
    .await
}

/// Two topics, each retained twice: the newest of each comes.
pub(crate) async fn the_last_retained_message_of_each_topic_comes(stage: &Stage) -> Outcome {
    let (one, two) = (stage.topic("last/1"), stage.topic("last/2"));
    tidied(stage, &[], &[&one, &two], async {
        let mut publisher = publisher(stage).await?;
        offer::wildcards(&publisher)?;
        for payload in ["old", "new"] {
            for topic in [&one, &two] {
                publisher.published(topic, Qos::AtLeastOnce, payload.as_bytes(), true).await?;
            }
        }
        let new = |seen: &[Delivery]| {
            [&one, &two].iter().all(|topic| seen.iter().any(|copy| copy.topic() == **topic && copy.payload() == b"new"))
        };
        let received = retained(stage, &[&stage.topic("last/+")], new).await?;
        if let Some(old) = received.iter().find(|copy| copy.payload() != b"new") {
            return Err(Halt::fail(format!("a message came that was replaced: {}", shown(old))).at(old));
        }
        for topic in [&one, &two] {
            if on(&received, topic).is_none() {
                return Err(Halt::fail(format!("the retained message of {topic} did not come")));
            }
        }
        let evidence = Evidence::of(&received[0]).and_all(&received[1..]);
        Ok(if received.len() > 2 {
            evidence.warn(format!("{} copies came of two messages", received.len()))
        } else {
            evidence
        })
    })
    .await
}

/// A retained message of QoS 0 replaces one of QoS 1, even if it is not kept itself.
pub(crate) async fn a_retained_message_of_qos_0_replaces_the_former(stage: &Stage) -> Outcome {
    let (topic, control) = (stage.topic("replaced"), stage.topic("control"));
    tidied(stage, &[], &[&topic, &control], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"old", true).await?;
        publisher.published(&topic, Qos::AtMostOnce, b"new", true).await?;
        publisher.published(&control, Qos::AtLeastOnce, b"control", true).await?;
        let received =
            retained(stage, &[&topic, &control], |seen| on(seen, &control).is_some() && on(seen, &topic).is_some())
                .await?;
        let beside =
            on(&received, &control).ok_or_else(|| Halt::inconclusive("the control message was not retained"))?;
        match on(&received, &topic) {
            Some(copy) if copy.payload() != b"new" => {
                Err(Halt::fail(format!("a message came that was replaced: {}", shown(copy))).at(copy))
            }
            Some(copy) => Ok(Evidence::of(copy).and(beside)),
            // It may be dropped at any time.
            None => Ok(Evidence::of(beside)),
        }
    })
    .await
}

/// RETAIN 1 on what comes because of a SUBSCRIBE, RETAIN 0 on what comes for a subscription that is there, also later.
pub(crate) async fn retain_is_set_only_on_what_was_retained(stage: &Stage) -> Outcome {
    let topic = stage.topic("flag");
    tidied(stage, &["absent"], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        let mut live = Peer::connected(stage, "live").await?;
        live.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut absent = lasting_peer(stage, "absent").await?;
        let queues = offer::session_expiry(&absent, 300).is_ok();
        absent.subscribed(&topic, Qos::AtLeastOnce).await?;
        absent.disconnect().await;
        farewell(&mut absent).await;
        publisher.published(&topic, Qos::AtLeastOnce, b"flagged", true).await?;
        let at_once = message(&mut live, b"flagged").await.prepared()?;
        if at_once.retain {
            return Err(Halt::fail(format!("the live copy has RETAIN 1: {}", shown(&at_once))).at(&at_once));
        }
        let mut evidence = Evidence::of(&at_once);
        if queues {
            let (mut absent, _) = Peer::connect(stage, "absent", lasting(stage, "absent")).await.prepared()?;
            let queued = message(&mut absent, b"flagged").await.prepared()?;
            absent.disconnect().await;
            if queued.retain {
                return Err(Halt::fail(format!("the copy that waited has RETAIN 1: {}", shown(&queued))).at(&queued));
            }
            evidence = evidence.and(&queued);
        }
        Ok(evidence)
    })
    .await
}

/// A message sent for a SUBSCRIBE has RETAIN 1.
pub(crate) async fn a_message_sent_for_a_subscribe_has_retain(stage: &Stage) -> Outcome {
    let topic = stage.topic("flag");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"flagged", true).await?;
        let received = retained(stage, &[&topic], |seen| !seen.is_empty()).await?;
        match received.first() {
            Some(copy) if copy.retain => Ok(Evidence::of(copy)),
            Some(copy) => Err(Halt::fail(format!("expected RETAIN 1, got {}", shown(copy))).at(copy)),
            None => Err(Halt::inconclusive("nothing was retained")),
        }
    })
    .await
}

/// An empty retained message is delivered to those who are there, and leaves nothing for later.
pub(crate) async fn an_empty_retained_message_clears_its_topic(stage: &Stage) -> Outcome {
    let (topic, control) = (stage.topic("cleared"), stage.topic("control"));
    tidied(stage, &[], &[&topic, &control], async {
        let mut publisher = publisher(stage).await?;
        for topic in [&topic, &control] {
            publisher.published(topic, Qos::AtLeastOnce, b"retained", true).await?;
        }
        let both = |seen: &[Delivery]| on(seen, &topic).is_some() && on(seen, &control).is_some();
        if !both(&retained(stage, &[&topic, &control], both).await?) {
            return Err(Halt::inconclusive("the messages were not retained"));
        }
        let mut live = Peer::connected(stage, "live").await?;
        live.subscribed(&topic, Qos::AtLeastOnce).await?;
        message(&mut live, b"retained").await.prepared()?;
        publisher.published(&topic, Qos::AtLeastOnce, b"", true).await?;
        let empty = message(&mut live, b"").await?;
        if empty.retain {
            return Err(Halt::fail(format!("the live copy has RETAIN 1: {}", shown(&empty))).at(&empty));
        }
        let only_control = |seen: &[Delivery]| on(seen, &control).is_some() && on(seen, &topic).is_none();
        let after = retained(stage, &[&topic, &control], only_control).await?;
        if let Some(copy) = on(&after, &topic) {
            return Err(Halt::fail(format!("expected nothing on the cleared topic, got {}", shown(copy))).at(copy));
        }
        let beside = on(&after, &control).ok_or_else(|| Halt::inconclusive("the control message was not retained"))?;
        Ok(Evidence::of(&empty).and(beside))
    })
    .await
}

/// An empty retained message on a topic that has none.
pub(crate) async fn an_empty_message_is_never_stored(stage: &Stage) -> Outcome {
    let (topic, control) = (stage.topic("void"), stage.topic("control"));
    tidied(stage, &[], &[&topic, &control], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"", true).await?;
        publisher.published(&control, Qos::AtLeastOnce, b"control", true).await?;
        let received = retained(stage, &[&topic, &control], |seen| on(seen, &control).is_some()).await?;
        let beside =
            on(&received, &control).ok_or_else(|| Halt::inconclusive("the control message was not retained"))?;
        match on(&received, &topic) {
            Some(copy) => Err(Halt::fail(format!("an empty message was retained: {}", shown(copy))).at(copy)),
            None => Ok(Evidence::of(beside)),
        }
    })
    .await
}

/// RETAIN 0 leaves what is retained alone, also where there is nothing, also with an empty payload.
pub(crate) async fn retain_0_changes_nothing(stage: &Stage) -> Outcome {
    let (topic, never) = (stage.topic("kept"), stage.topic("never"));
    tidied(stage, &[], &[&topic, &never], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"a", true).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"b", false).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"", false).await?;
        publisher.published(&never, Qos::AtLeastOnce, b"c", false).await?;
        let received = retained(stage, &[&topic, &never], |seen| on(seen, &topic).is_some()).await?;
        if let Some(copy) = on(&received, &never) {
            return Err(Halt::fail(format!("a message with RETAIN 0 was retained: {}", shown(copy))).at(copy));
        }
        match on(&received, &topic) {
            Some(copy) if copy.payload() == b"a" => Ok(Evidence::of(copy)),
            Some(copy) => Err(Halt::fail(format!("a message with RETAIN 0 was retained: {}", shown(copy))).at(copy)),
            None => Err(Halt::fail("a message with RETAIN 0 removed what was retained")),
        }
    })
    .await
}

/// The last of two retained messages is the one that is there.
pub(crate) async fn a_retained_message_replaces_the_former(stage: &Stage) -> Outcome {
    let topic = stage.topic("replaced");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        for payload in ["a", "b"] {
            publisher.published(&topic, Qos::AtLeastOnce, payload.as_bytes(), true).await?;
        }
        let received = retained(stage, &[&topic], |seen| seen.iter().any(|copy| copy.payload() == b"b")).await?;
        if let Some(copy) = received.iter().find(|copy| copy.payload() != b"b") {
            return Err(Halt::fail(format!("a message came that was replaced: {}", shown(copy))).at(copy));
        }
        match received.first() {
            Some(copy) if copy.retain => Ok(Evidence::of(copy)),
            Some(copy) => Err(Halt::fail(format!("expected RETAIN 1, got {}", shown(copy))).at(copy)),
            None => Err(Halt::fail("the retained message did not come")),
        }
    })
    .await
}

/// Two overlapping filters in one SUBSCRIBE: the retained message comes once or twice.
pub(crate) async fn overlapping_filters_get_the_retained_message(stage: &Stage) -> Outcome {
    let topic = stage.topic("overlap/b");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        offer::wildcards(&publisher)?;
        publisher.published(&topic, Qos::AtLeastOnce, b"retained", true).await?;
        let mut late = Peer::connected(stage, "late").await?;
        let filters = [stage.topic("overlap/#"), topic.clone()];
        let subscriptions = filters.iter().map(|text| Subscription::new(filter(text), Qos::AtLeastOnce)).collect();
        let subscribe = Subscribe::new(late.fresh_id(), subscriptions);
        late.subscribe_with(subscribe).await.prepared()?;
        let first = message(&mut late, b"retained").await?;
        let (more, _) = rest(&mut late).await.prepared()?;
        if more.len() > 1 {
            return Err(Halt::fail(format!("{} copies came for two filters", more.len() + 1)).at(&more[1]));
        }
        Ok(Evidence::of(&first).and_all(&more))
    })
    .await
}

/// SUBSCRIBE with this Retain Handling and Retain As Published, in 5.0.
async fn subscribe(peer: &mut Peer, topic: &str, handling: RetainHandling, as_published: bool) -> Result<(), Halt> {
    let mut subscription = Subscription::new(filter(topic), Qos::AtLeastOnce);
    subscription.options.retain_handling = handling;
    subscription.options.retain_as_published = as_published;
    let subscribe = Subscribe::new(peer.fresh_id(), vec![subscription]);
    peer.subscribe_with(subscribe).await.prepared().map(drop)
}

/// Whether the retained message comes for this SUBSCRIBE; and the rest that followed.
async fn sent(
    peer: &mut Peer,
    topic: &str,
    handling: RetainHandling,
    expected: bool,
) -> Result<Option<Delivery>, Halt> {
    subscribe(peer, topic, handling, false).await?;
    let mut received = if expected { collect(peer, |seen| !seen.is_empty()).await? } else { Vec::new() };
    let (more, _) = rest(peer).await.prepared()?;
    received.extend(more);
    Ok(received.into_iter().next())
}

/// 5.0: Retain Handling 0 sends at each SUBSCRIBE.
pub(crate) async fn retain_handling_0_sends_each_time(stage: &Stage) -> Outcome {
    let topic = stage.topic("handled");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"handled", true).await?;
        let mut peer = Peer::connected(stage, "alice").await?;
        let mut evidence: Option<Evidence> = None;
        for time in ["first", "second"] {
            match sent(&mut peer, &topic, RetainHandling::Send, true).await? {
                Some(copy) if copy.retain => {
                    evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
                }
                Some(copy) => return Err(Halt::fail(format!("expected RETAIN 1, got {}", shown(&copy))).at(&copy)),
                None => return Err(Halt::fail(format!("the retained message did not come for the {time} SUBSCRIBE"))),
            }
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
    })
    .await
}

/// 5.0: Retain Handling 1 sends only if the subscription is new.
pub(crate) async fn retain_handling_1_sends_if_new(stage: &Stage) -> Outcome {
    let topic = stage.topic("handled");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"handled", true).await?;
        let mut peer = Peer::connected(stage, "alice").await?;
        let missing = |when: &str| Halt::fail(format!("the retained message did not come for {when}"));
        let first = sent(&mut peer, &topic, RetainHandling::SendIfNew, true).await?;
        let first = first.ok_or_else(|| missing("a new subscription"))?;
        if let Some(copy) = sent(&mut peer, &topic, RetainHandling::SendIfNew, false).await? {
            return Err(Halt::fail("the retained message came again though the subscription existed").at(&copy));
        }
        let leave = squall_codec::packet::Unsubscribe::new(peer.fresh_id(), vec![filter(&topic)]);
        peer.send(squall_codec::packet::Packet::Unsubscribe(leave)).await;
        peer.expect::<squall_codec::packet::Unsuback>().await.prepared()?;
        let again = sent(&mut peer, &topic, RetainHandling::SendIfNew, true).await?;
        let again = again.ok_or_else(|| missing("a subscription that was made anew"))?;
        Ok(Evidence::of(&first).and(&again))
    })
    .await
}

/// 5.0: Retain Handling 2 sends nothing, and what is published later arrives.
pub(crate) async fn retain_handling_2_sends_nothing(stage: &Stage) -> Outcome {
    let topic = stage.topic("handled");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"handled", true).await?;
        if retained(stage, &[&topic], |seen| !seen.is_empty()).await?.is_empty() {
            return Err(Halt::inconclusive("the message was not retained"));
        }
        let mut peer = Peer::connected(stage, "alice").await?;
        if let Some(copy) = sent(&mut peer, &topic, RetainHandling::DoNotSend, false).await? {
            return Err(Halt::fail("the retained message came with Retain Handling 2").at(&copy));
        }
        publisher.published(&topic, Qos::AtLeastOnce, b"live", false).await?;
        let live = super::s3_01_connect::message_alone(&mut peer, b"live").await?;
        Ok(Evidence::of(&live))
    })
    .await
}

/// 5.0: RETAIN of live copies, by Retain As Published.
pub(crate) async fn live_copies_have_retain_as_asked(stage: &Stage, as_published: bool) -> Outcome {
    let topic = stage.topic("published");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        let mut peer = Peer::connected(stage, "alice").await?;
        subscribe(&mut peer, &topic, RetainHandling::Send, as_published).await?;
        let mut evidence: Option<Evidence> = None;
        for retain in [true, false] {
            let payload = if retain { b"with" } else { b"sans" };
            publisher.published(&topic, Qos::AtLeastOnce, payload, retain).await?;
            let copy = message(&mut peer, payload).await.prepared()?;
            let wanted = retain && as_published;
            if copy.retain != wanted {
                let (wanted, sent) = (u8::from(wanted), u8::from(retain));
                let reason = format!("published with RETAIN {sent}, expected RETAIN {wanted}, got {}", shown(&copy));
                return Err(Halt::fail(reason).at(&copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
    })
    .await
}

pub(crate) async fn without_retain_as_published_live_copies_have_retain_0(stage: &Stage) -> Outcome {
    live_copies_have_retain_as_asked(stage, false).await
}

pub(crate) async fn with_retain_as_published_the_flag_is_kept(stage: &Stage) -> Outcome {
    live_copies_have_retain_as_asked(stage, true).await
}

/// 5.0: what is sent for a SUBSCRIBE has RETAIN 1, whatever Retain As Published says.
pub(crate) async fn retain_at_subscribe_is_set_either_way(stage: &Stage) -> Outcome {
    let topic = stage.topic("either");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"either", true).await?;
        let mut evidence: Option<Evidence> = None;
        for as_published in [false, true] {
            let mut peer = Peer::connected(stage, &stage.fresh("late")).await?;
            subscribe(&mut peer, &topic, RetainHandling::Send, as_published).await?;
            let copy = message(&mut peer, b"either").await.prepared()?;
            peer.disconnect().await;
            if !copy.retain {
                return Err(Halt::fail(format!("expected RETAIN 1, got {}", shown(&copy))).at(&copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
    })
    .await
}
