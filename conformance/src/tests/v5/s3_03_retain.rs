//! 3.3.1.3 RETAIN.

use squall_codec::{
    packet::{RetainHandling, Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, s3_03_publish, s3_03_retained},
    test::{Test, test},
    tests::{
        both::{
            s3_01_connect::message_alone,
            s3_03_retain::{
                a_retained_message_of_qos_0_is_stored, an_empty_message_is_never_stored,
                an_empty_retained_message_clears_its_topic, overlapping_filters_get_the_retained_message, publisher,
                retain_0_changes_nothing, retained,
            },
            s3_03_retained_deliveries::{
                every_wildcard_finds_what_is_retained, the_delivery_of_a_retained_message_goes_on,
            },
            s3_03_retained_names::{
                a_retained_message_passes_between_the_versions, a_wildcard_finds_every_branch_of_what_is_retained,
                each_name_keeps_a_message_of_its_own,
            },
        },
        watch::{Delivery, collect, filter, message, rest, shown, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_retained_message_replaces_the_former,
        "Two messages are retained on a topic, one after the other; a later subscriber gets the second.",
        ["5.0/MQTT-3.3.1-5"],
        s3_03_publish::keeps_the_first_retained
    ),
    test!(
        a_retained_message_of_qos_0_is_stored,
        "A message is retained at QoS 0; a later subscriber gets it.",
        ["5.0/X-RETAIN-QOS0-STORED"],
        s3_03_publish::retains_no_qos_0
    )
    .should(),
    test!(
        an_empty_retained_message_clears_its_topic,
        "An empty retained message is published; it is delivered, and nothing is left on its topic.",
        ["5.0/MQTT-3.3.1-6"],
        s3_03_publish::never_clears_a_topic
    ),
    test!(
        an_empty_message_is_never_stored,
        "An empty message is published with RETAIN 1 on a topic that has none; a later subscriber gets nothing.",
        ["5.0/MQTT-3.3.1-7"],
        s3_03_publish::stores_empty_messages
    ),
    test!(
        retain_0_changes_nothing,
        "Messages with RETAIN 0 follow a retained one; it stays as it was.",
        ["5.0/MQTT-3.3.1-8"],
        s3_03_publish::retains_everything
    ),
    test!(
        overlapping_filters_get_the_retained_message,
        "Two overlapping filters in one SUBSCRIBE; the retained message comes once or twice.",
        ["5.0/X-RETAIN-OVERLAP"],
        s3_03_publish::retains_nothing
    ),
    test!(
        retain_handling_0_sends_each_time,
        "SUBSCRIBE with Retain Handling 0 comes twice; the retained message is sent each time.",
        ["5.0/MQTT-3.3.1-9"],
        s3_03_publish::sends_retained_once
    ),
    test!(
        retain_handling_1_sends_if_new,
        "SUBSCRIBE with Retain Handling 1; the retained message is sent only if the subscription is new.",
        ["5.0/MQTT-3.3.1-10"],
        s3_03_publish::handles_retain_its_own_way
    ),
    test!(
        retain_handling_2_sends_nothing,
        "SUBSCRIBE with Retain Handling 2; the retained message is not sent, later ones are.",
        ["5.0/MQTT-3.3.1-11"],
        s3_03_publish::handles_retain_its_own_way
    ),
    test!(
        without_retain_as_published_live_copies_have_retain_0,
        "A subscription without Retain As Published; live copies have RETAIN 0.",
        ["5.0/MQTT-3.3.1-12"],
        s3_03_publish::always_retains_as_published
    ),
    test!(
        with_retain_as_published_the_flag_is_kept,
        "A subscription with Retain As Published; live copies have the RETAIN with which they were published.",
        ["5.0/MQTT-3.3.1-13"],
        s3_03_publish::never_retains_as_published
    ),
    test!(
        retain_at_subscribe_is_set_either_way,
        "Retained messages sent at SUBSCRIBE have RETAIN 1 whatever Retain As Published says.",
        ["5.0/X-RETAIN-FLAG-AT-SUBSCRIBE"],
        s3_03_publish::says_retain_never
    ),
    test!(
        every_wildcard_finds_what_is_retained,
        "A topic and one below it are retained; subscriptions to '#', '+/#' and other wildcards bring both at QoS 0.",
        ["5.0/MQTT-3.3.1-9", "5.0/MQTT-3.8.4-8"],
        s3_03_retained::retains_nothing_for_leading_wildcards
    )
    .exclusive(),
    test!(
        the_delivery_of_a_retained_message_goes_on,
        "A retained message comes to a lasting session and is not acknowledged; it comes again on the next connection.",
        ["5.0/MQTT-4.4.0-1"],
        s3_03_retained::forgets_deliveries_of_retained_messages
    ),
    test!(
        each_name_keeps_a_message_of_its_own,
        "Topics that differ by dots, spaces, case and empty levels keep a message each; each is found under its own name.",
        ["5.0/X-TOPIC-CASE-SPACE-SLASH", "5.0/MQTT-3.3.1-9"],
        documented::takes_retained_dots_for_slashes
    ),
    test!(
        a_wildcard_finds_every_branch_of_what_is_retained,
        "A filter 'tree/+/b/#' is subscribed to; what is retained in each matching branch comes, and nothing else.",
        ["5.0/MQTT-3.3.1-9"],
        documented::looks_into_one_branch
    ),
    test!(
        a_retained_message_passes_between_the_versions,
        "Clients of 3.1.1 and of 5.0 retain a message each; later clients of both versions find both.",
        ["5.0/X-CROSS-VERSION-DELIVERY"],
        documented::retains_for_its_own_version
    ),
];

/// The last of two retained messages is the one that is there.
async fn a_retained_message_replaces_the_former(stage: &Stage) -> Outcome {
    let topic = stage.topic("replaced");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        for payload in ["a", "b"] {
            publisher.published(&topic, Qos::AtLeastOnce, payload.as_bytes(), true).await?;
        }
        let last =
            |seen: &[Delivery]| !seen.is_empty() && seen.iter().all(|copy| copy.payload() == b"b" && copy.retain);
        let received = retained(stage, &[&topic], last).await?;
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

/// SUBSCRIBE with this Retain Handling and Retain As Published, in 5.0.
pub(super) async fn subscribe(
    peer: &mut Peer,
    topic: &str,
    handling: RetainHandling,
    as_published: bool,
) -> Result<(), Halt> {
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
async fn retain_handling_0_sends_each_time(stage: &Stage) -> Outcome {
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
async fn retain_handling_1_sends_if_new(stage: &Stage) -> Outcome {
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
async fn retain_handling_2_sends_nothing(stage: &Stage) -> Outcome {
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
        let live = message_alone(&mut peer, b"live").await?;
        Ok(Evidence::of(&live))
    })
    .await
}

/// 5.0: RETAIN of live copies, by Retain As Published.
async fn live_copies_have_retain_as_asked(stage: &Stage, as_published: bool) -> Outcome {
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

async fn without_retain_as_published_live_copies_have_retain_0(stage: &Stage) -> Outcome {
    live_copies_have_retain_as_asked(stage, false).await
}

async fn with_retain_as_published_the_flag_is_kept(stage: &Stage) -> Outcome {
    live_copies_have_retain_as_asked(stage, true).await
}

/// 5.0: what is sent for a SUBSCRIBE has RETAIN 1, whatever Retain As Published says.
async fn retain_at_subscribe_is_set_either_way(stage: &Stage) -> Outcome {
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
