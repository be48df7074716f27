//! 3.3.1.3 RETAIN: where a retained message is found again, by its name, by wildcards, and in the other version.

use squall_codec::{
    packet::Publish,
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use super::{
    s3_01_identifiers::{other_version, speaks_both},
    s3_03_retain::{on, publisher, retained},
};
use crate::tests::{
    asking::is_v5,
    offer,
    watch::{Delivery, collect_strictly, name, rest, shown, text, tidied},
};

/// Names that other protocols would take for one another: each keeps its own message.
pub(crate) async fn each_name_keeps_a_message_of_its_own(stage: &Stage) -> Outcome {
    let names = ["a/b", "a.b", "A/b", "a*b", "a>", "a b", "a//b", "a/b/"].map(|below| stage.topic(below));
    let topics: Vec<&str> = names.iter().map(String::as_str).collect();
    tidied(stage, &[], &topics, async {
        let mut publisher = publisher(stage).await?;
        for topic in &topics {
            publisher.published(topic, Qos::AtLeastOnce, topic.as_bytes(), true).await?;
        }
        let mut evidence: Option<Evidence> = None;
        for (number, topic) in topics.iter().enumerate() {
            let its_own = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == topic.as_bytes());
            let found = retained(stage, &[*topic], its_own).await?;
            if let Some(other) = found.iter().find(|copy| copy.payload() != topic.as_bytes() || copy.topic() != *topic)
            {
                let reason = format!("a subscription to '{topic}' brought {}", shown(other));
                return Err(Halt::fail(reason).at(other));
            }
            match (found.first(), number) {
                (Some(copy), _) => {
                    evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |before| before.and(copy)));
                }
                (None, 0) => return Err(Halt::inconclusive("nothing was retained")),
                (None, _) => return Err(Halt::fail(format!("what was retained on '{topic}' did not come"))),
            }
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was retained"))
    })
    .await
}

/// A wildcard between names, and one behind them: every branch that matches is found, and no other.
pub(crate) async fn a_wildcard_finds_every_branch_of_what_is_retained(stage: &Stage) -> Outcome {
    let matching = ["tree/x/b", "tree/x/b/c", "tree/y/b/c", "tree/z/b"].map(|below| stage.topic(below));
    let others = ["tree/y/d", "tree/b"].map(|below| stage.topic(below));
    let topics: Vec<&str> = matching.iter().chain(&others).map(String::as_str).collect();
    tidied(stage, &[], &topics, async {
        let mut publisher = publisher(stage).await?;
        offer::wildcards(&publisher)?;
        for topic in &topics {
            publisher.published(topic, Qos::AtLeastOnce, topic.as_bytes(), true).await?;
        }
        for topic in &topics {
            let found = retained(stage, &[*topic], |seen| on(seen, topic).is_some()).await?;
            if on(&found, topic).is_none() {
                return Err(Halt::inconclusive("the messages were not retained"));
            }
        }
        let wild = stage.topic("tree/+/b/#");
        let mut late = Peer::connected(stage, "late").await?;
        late.subscribed(&wild, Qos::AtLeastOnce).await?;
        let every = |seen: &[Delivery]| matching.iter().all(|topic| on(seen, topic).is_some());
        let mut found = collect_strictly(&mut late, every).await?;
        found.extend(rest(&mut late).await.prepared()?.0);
        if let Some(missing) = matching.iter().find(|topic| on(&found, topic).is_none()) {
            let halt = Halt::fail(format!("a subscription to '{wild}' brought nothing of '{missing}'"));
            return Err(match found.first() {
                Some(copy) => halt.at(copy),
                None => halt,
            });
        }
        if let Some(other) = found.iter().find(|copy| others.iter().any(|topic| copy.topic() == topic)) {
            return Err(Halt::fail(format!("a subscription to '{wild}' brought {}", shown(other))).at(other));
        }
        Ok(Evidence::of(&found[0]).and_all(&found[1..]))
    })
    .await
}

/// Retained by a client of each version, found by clients of both.
pub(crate) async fn a_retained_message_passes_between_the_versions(stage: &Stage) -> Outcome {
    let other = other_version(stage);
    speaks_both(&other).await?;
    let (old, new) = if is_v5(stage) { (&other, stage) } else { (stage, &other) };
    let (plain, rich) = (stage.topic("plain"), stage.topic("rich"));
    tidied(stage, &[], &[&plain, &rich], async {
        let mut new_publisher = publisher(new).await?;
        let properties = Properties::new()
            .with(Property::ContentType(text("text/plain")))
            .with(Property::MessageExpiryInterval(600))
            .with(Property::UserProperty((text("name"), text("value"))));
        let packet_id = new_publisher.fresh_id();
        let mut kept =
            Publish::new(&name(&rich), "rich").at(Qos::AtLeastOnce, Some(packet_id)).with_properties(&properties);
        kept.retain = true;
        new_publisher.publish_with(kept).await.prepared()?;
        new_publisher.disconnect().await;
        let mut old_publisher = publisher(old).await?;
        old_publisher.published(&plain, Qos::AtLeastOnce, b"plain", true).await?;
        old_publisher.disconnect().await;
        let both = |seen: &[Delivery]| on(seen, &plain).is_some() && on(seen, &rich).is_some();
        let mut evidence: Option<Evidence> = None;
        for asked in [new, old] {
            let found = retained(asked, &[&plain, &rich], both).await?;
            let (own, foreign) = if is_v5(asked) { (&rich, &plain) } else { (&plain, &rich) };
            for topic in [own, foreign] {
                let payload = if topic == &rich { "rich" } else { "plain" };
                let version = asked.version();
                match on(&found, topic) {
                    Some(copy) if copy.payload() == payload.as_bytes() => {
                        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |before| before.and(copy)));
                    }
                    Some(copy) => {
                        let reason =
                            format!("a client of {version} got another message than {payload}: {}", shown(copy));
                        return Err(Halt::fail(reason).at(copy));
                    }
                    None if topic == own => return Err(Halt::inconclusive("the message was not retained at all")),
                    None => {
                        return Err(Halt::fail(format!(
                            "the message \"{payload}\" did not come to a client of {version}"
                        )));
                    }
                }
            }
        }
        evidence.ok_or_else(|| Halt::inconclusive("nobody looked"))
    })
    .await
}
