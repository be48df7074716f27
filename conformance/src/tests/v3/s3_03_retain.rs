//! 3.3.1.3 RETAIN.

use squall_codec::qos::Qos;
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, s3_03_publish, s3_03_retained},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        both::s3_03_retain::{
            a_retained_message_of_qos_0_is_stored, an_empty_message_is_never_stored,
            an_empty_retained_message_clears_its_topic, on, overlapping_filters_get_the_retained_message, publisher,
            retain_0_changes_nothing, retained,
        },
        both::s3_03_retained_deliveries::{
            every_wildcard_finds_what_is_retained, the_delivery_of_a_retained_message_goes_on,
        },
        both::s3_03_retained_names::{
            a_retained_message_passes_between_the_versions, a_wildcard_finds_every_branch_of_what_is_retained,
            each_name_keeps_a_message_of_its_own,
        },
        judge::farewell,
        offer,
        watch::{Delivery, message, shown, tidied},
        without_qos_2::highest_qos,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_retained_message_waits_for_later_subscribers,
        "Messages are retained at each QoS; a later subscriber gets them with the QoS that they had.",
        ["3.1.1/MQTT-3.3.1-5"],
        s3_03_publish::retains_nothing
    )
    .also_3_1(),
    test!(
        the_last_retained_message_of_each_topic_comes,
        "Two topics have retained messages; a new subscription to both gets the last of each.",
        ["3.1.1/MQTT-3.3.1-6"],
        s3_03_publish::keeps_the_first_retained
    )
    .also_3_1(),
    test!(
        a_retained_message_of_qos_0_replaces_the_former,
        "A retained message of QoS 0 follows one of QoS 1; the old one does not come any more.",
        ["3.1.1/MQTT-3.3.1-7"],
        s3_03_publish::retains_no_qos_0
    ),
    test!(
        a_retained_message_of_qos_0_is_stored,
        "A message is retained at QoS 0; a later subscriber gets it.",
        ["3.1.1/X-RETAIN-QOS0-STORED"],
        s3_03_publish::retains_no_qos_0
    )
    .should(),
    test!(
        a_message_sent_for_a_subscribe_has_retain,
        "A retained message comes for a new subscription; it has RETAIN 1.",
        ["3.1.1/MQTT-3.3.1-8"],
        s3_03_publish::says_retain_never
    )
    .also_3_1(),
    test!(
        retain_is_set_only_on_what_was_retained,
        "A retained message comes to subscribers who were there before, one of them away; it has RETAIN 0.",
        ["3.1.1/MQTT-3.3.1-9"],
        s3_03_publish::says_retain_always
    ),
    test!(
        an_empty_retained_message_clears_its_topic,
        "An empty retained message is published; it is delivered, and nothing is left on its topic.",
        ["3.1.1/MQTT-3.3.1-10"],
        s3_03_publish::never_clears_a_topic
    ),
    test!(
        an_empty_message_is_never_stored,
        "An empty message is published with RETAIN 1 on a topic that has none; a later subscriber gets nothing.",
        ["3.1.1/MQTT-3.3.1-11"],
        s3_03_publish::stores_empty_messages
    ),
    test!(
        retain_0_changes_nothing,
        "Messages with RETAIN 0 follow a retained one; it stays as it was.",
        ["3.1.1/MQTT-3.3.1-12"],
        s3_03_publish::retains_everything
    ),
    test!(
        overlapping_filters_get_the_retained_message,
        "Two overlapping filters in one SUBSCRIBE; the retained message comes once or twice.",
        ["3.1.1/X-RETAIN-OVERLAP"],
        s3_03_publish::retains_nothing
    ),
    test!(
        every_wildcard_finds_what_is_retained,
        "A topic and one below it are retained; subscriptions to '#', '+/#' and other wildcards bring both at QoS 0.",
        ["3.1.1/MQTT-3.3.1-6", "3.1.1/MQTT-3.8.4-6"],
        s3_03_retained::retains_nothing_for_leading_wildcards
    )
    .exclusive(),
    test!(
        the_delivery_of_a_retained_message_goes_on,
        "A retained message comes to a lasting session and is not acknowledged; it comes again on the next connection.",
        ["3.1.1/MQTT-4.4.0-1"],
        s3_03_retained::forgets_deliveries_of_retained_messages
    ),
    test!(
        each_name_keeps_a_message_of_its_own,
        "Topics that differ by dots, spaces, case and empty levels keep a message each; each is found under its own name.",
        ["3.1.1/X-TOPIC-CASE-SPACE-SLASH", "3.1.1/MQTT-3.3.1-6"],
        documented::takes_retained_dots_for_slashes
    ),
    test!(
        a_wildcard_finds_every_branch_of_what_is_retained,
        "A filter 'tree/+/b/#' is subscribed to; what is retained in each matching branch comes, and nothing else.",
        ["3.1.1/MQTT-3.3.1-6"],
        documented::looks_into_one_branch
    ),
    test!(
        a_retained_message_passes_between_the_versions,
        "Clients of 3.1.1 and of 5.0 retain a message each; later clients of both versions find both.",
        ["3.1.1/X-CROSS-VERSION-DELIVERY"],
        documented::retains_for_its_own_version
    ),
];

/// Stored with its QoS, at 1 and 2; at 0 it should be.
async fn a_retained_message_waits_for_later_subscribers(stage: &Stage) -> Outcome {
    let topics: Vec<String> = Qos::ALL.iter().map(|qos| stage.topic(&format!("stored/{qos}"))).collect();
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    tidied(stage, &[], &names, async {
        let mut publisher = publisher(stage).await?;
        let highest = highest_qos(stage, &publisher).await;
        // A subscriber gets it at no more than it is granted.
        let suback = publisher.subscribed(&stage.topic("granted"), Qos::ExactlyOnce).await?;
        let granted = offer::granted_qos(&suback);
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
                Some(copy) if copy.payload() == b"stored" && copy.qos == granted.min(*qos) => {
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

/// Two topics, each retained twice: the newest of each comes.
async fn the_last_retained_message_of_each_topic_comes(stage: &Stage) -> Outcome {
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
            let is_there = |topic: &&String| seen.iter().any(|copy| copy.topic() == **topic);
            [&one, &two].iter().all(is_there) && seen.iter().all(|copy| copy.payload() == b"new")
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

/// A server that stores the one message beside the other may keep the wrong one now and then, and most of all from a client
/// that has just come: it is asked so often.
const REPLACED: usize = 8;

/// A retained message of QoS 0 replaces one of QoS 1, even if it is not kept itself.
async fn a_retained_message_of_qos_0_replaces_the_former(stage: &Stage) -> Outcome {
    let topics: Vec<String> = (0..REPLACED).map(|number| stage.topic(&format!("replaced/{number}"))).collect();
    let control = stage.topic("control");
    let all: Vec<&str> = topics.iter().chain([&control]).map(String::as_str).collect();
    tidied(stage, &[], &all, async {
        let mut publisher = publisher(stage).await?;
        for topic in &topics {
            let mut fresh = Peer::connected(stage, &stage.fresh("fresh")).await?;
            fresh.published(topic, Qos::AtLeastOnce, b"old", true).await?;
            fresh.published(topic, Qos::AtMostOnce, b"new", true).await?;
            fresh.disconnect().await;
        }
        publisher.published(&control, Qos::AtLeastOnce, b"control", true).await?;
        // What was there before may linger for a moment: the acknowledgement does not say that it is stored.
        let is_old = |copy: &&Delivery| copy.topic() != control && copy.payload() != b"new";
        let replaced = |seen: &[Delivery]| on(seen, &control).is_some() && !seen.iter().any(|copy| is_old(&copy));
        let received = retained(stage, &all, replaced).await?;
        let beside =
            on(&received, &control).ok_or_else(|| Halt::inconclusive("the control message was not retained"))?;
        match received.iter().find(is_old) {
            Some(copy) => Err(Halt::fail(format!("a message came that was replaced: {}", shown(copy))).at(copy)),
            // What is new may be dropped at any time.
            None => Ok(received.iter().fold(Evidence::of(beside), |evidence, copy| evidence.and(copy))),
        }
    })
    .await
}

/// RETAIN 1 on what comes because of a SUBSCRIBE, RETAIN 0 on what comes for a subscription that is there, also later.
async fn retain_is_set_only_on_what_was_retained(stage: &Stage) -> Outcome {
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
async fn a_message_sent_for_a_subscribe_has_retain(stage: &Stage) -> Outcome {
    let topic = stage.topic("flag");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"flagged", true).await?;
        let flagged = |seen: &[Delivery]| !seen.is_empty() && seen.iter().all(|copy| copy.retain);
        let received = retained(stage, &[&topic], flagged).await?;
        match received.iter().min_by_key(|copy| copy.retain) {
            Some(copy) if copy.retain => Ok(Evidence::of(copy)),
            Some(copy) => Err(Halt::fail(format!("expected RETAIN 1, got {}", shown(copy))).at(copy)),
            None => Err(Halt::inconclusive("nothing was retained")),
        }
    })
    .await
}
