//! 3.3.1.3 RETAIN.
//!
//! What is retained is looked up by a client that has never subscribed before. That nothing is there is shown beside a
//! topic where something is.

use squall_codec::{
    packet::{Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    judge::LAG,
    offer,
    watch::{Delivery, collect_by, filter, message, rest, shown, tidied},
};

/// A client that publishes retained messages: the server must offer them.
pub(crate) async fn publisher(stage: &Stage) -> Result<Peer, Halt> {
    let publisher = Peer::connected(stage, "publisher").await?;
    offer::retain(&publisher)?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    Ok(publisher)
}

/// What a new subscriber of these topics gets, asked again until it is what was `wanted` or patience is out: storing and
/// delivering may lag behind the acknowledgement, and whoever subscribes between them is one more who gets what is new.
pub(crate) async fn retained(
    stage: &Stage,
    topics: &[&str],
    wanted: impl Fn(&[Delivery]) -> bool,
) -> Result<Vec<Delivery>, Halt> {
    let by = stage.now() + stage.patience();
    loop {
        let mut late = Peer::connected(stage, &stage.fresh("late")).await?;
        let mut received = Vec::new();
        for topic in topics {
            late.subscribed(topic, Qos::ExactlyOnce).await?;
            // A server may wait for the acknowledgements of what it retained before it reads on.
            let (came, _) = rest(&mut late).await.prepared()?;
            if came.iter().any(|copy| copy.qos == Qos::ExactlyOnce) {
                let (more, _) = rest(&mut late).await.prepared()?;
                received.extend(more);
            }
            received.extend(came);
        }
        if !wanted(&received) {
            let wait = if received.is_empty() { stage.patience() } else { LAG };
            received.extend(collect_by(&mut late, stage.now() + wait, |seen| !seen.is_empty()).await?);
            let (more, _) = rest(&mut late).await.prepared()?;
            received.extend(more);
        }
        late.disconnect().await;
        if wanted(&received) || stage.now() >= by {
            return Ok(received);
        }
    }
}

/// The message on this topic, if there is one.
pub(crate) fn on<'a>(messages: &'a [Delivery], topic: &str) -> Option<&'a Delivery> {
    messages.iter().find(|copy| copy.topic() == topic)
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
        let only_control = |seen: &[Delivery]| on(seen, &control).is_some() && on(seen, &topic).is_none();
        let received = retained(stage, &[&topic, &control], only_control).await?;
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
        let only_kept = |seen: &[Delivery]| {
            on(seen, &topic).is_some_and(|copy| copy.payload() == b"a") && on(seen, &never).is_none()
        };
        let received = retained(stage, &[&topic, &never], only_kept).await?;
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
