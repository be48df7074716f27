//! 3.3.2.3.3 Message Expiry Interval: what waits too long is gone, and what does not says how long it is still good.

use std::time::Duration;

use squall_codec::{
    packet::Publish,
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use super::s3_03_properties::copies;
use crate::{
    liars::{documented, s3_03_publish},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        clock::{end_after, gone},
        judge::{At, farewell},
        offer,
        watch::{Delivery, collect, message, name, rest, shown, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_expired_message_is_not_delivered,
        "A message waits longer than it may live; it is neither delivered nor retained.",
        ["5.0/MQTT-3.3.2-5", "5.0/X-RETAIN-EXPIRY"],
        s3_03_publish::ignores_message_expiry
    ),
    test!(
        the_message_expiry_is_reduced_by_the_wait,
        "A message waits 3 s for an absent client; its Message Expiry Interval is less by that.",
        ["5.0/MQTT-3.3.2-6"],
        s3_03_publish::ignores_message_expiry
    ),
    test!(
        a_message_in_its_last_second_still_says_so,
        "A message that lives for 1 s is fetched about the end of it; whenever it comes, it has a Message Expiry Interval.",
        ["5.0/MQTT-3.3.2-6"],
        documented::leaves_out_the_last_second
    ),
    test!(
        no_message_expiry_is_added,
        "A message does not expire; its copies have no Message Expiry Interval.",
        ["5.0/X-EXPIRY-ABSENT-NOT-ADDED"],
        s3_03_publish::adds_a_message_expiry
    )
    .should(),
];

/// Who come back one by one, and when: 1 s is over, also for a clock of whole seconds.
const ABSENT: [&str; 3] = ["absent", "later", "last"];
const LOOKS: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(7), Duration::from_secs(12)];

/// More than servers keep in flight for one client, and fewer than they queue.
const MANY: usize = 25;

/// A message that waits longer than it may live: not delivered, not retained. One that may live longer is.
async fn an_expired_message_is_not_delivered(stage: &Stage) -> Outcome {
    let topic = stage.topic("expiring");
    let sessions = [&ABSENT[..], &["reader"]].concat();
    tidied(stage, &sessions, &[&topic], async {
        for actor in ABSENT {
            let mut absent = lasting_peer(stage, actor).await?;
            offer::qos(&absent, Qos::AtLeastOnce)?;
            offer::session_expiry(&absent, 300)?;
            absent.subscribed(&topic, Qos::AtLeastOnce).await?;
            absent.disconnect().await;
            farewell(&mut absent).await;
        }
        let mut publisher = Peer::connected(stage, "publisher").await?;
        let retains = offer::retain(&publisher).is_ok();
        // Those that expire are many: what comes behind them must not wait for a place that they had.
        let waiting = [("first", 60)].into_iter().chain([("short", 1); MANY]).chain([("long", 60)]);
        for (payload, expiry) in waiting {
            let properties = Properties::new().with(Property::MessageExpiryInterval(expiry));
            let id = publisher.fresh_id();
            let waiting =
                Publish::new(&name(&topic), payload).at(Qos::AtLeastOnce, Some(id)).with_properties(&properties);
            publisher.publish_with(waiting).await.prepared()?;
        }
        let since = stage.now();
        if retains {
            let properties = Properties::new().with(Property::MessageExpiryInterval(1));
            let id = publisher.fresh_id();
            let mut kept =
                Publish::new(&name(&topic), "retained").at(Qos::AtLeastOnce, Some(id)).with_properties(&properties);
            kept.retain = true;
            publisher.publish_with(kept).await.prepared()?;
        }
        let due = end_after("the end of the message", 1, "its publication");
        gone(stage, due, since, &LOOKS, "an expired message is still delivered", async |number| {
            let actor = ABSENT[number];
            let (mut absent, _) = Peer::connect(stage, actor, lasting(stage, actor)).await.prepared()?;
            let long = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"long");
            let mut received = collect(&mut absent, long).await?;
            let (more, _) = rest(&mut absent).await.prepared()?;
            received.extend(more);
            absent.disconnect().await;
            if let Some(copy) = received.iter().find(|copy| !matches!(copy.payload(), b"first" | b"long")) {
                return Ok((true, At(copy.entry())));
            }
            let Some(long) = received.iter().find(|copy| copy.payload() == b"long") else {
                let reason = "a message that may live longer did not come";
                let Some(first) = received.first() else {
                    return Err(Halt::inconclusive(format!("{reason} either")));
                };
                queues_so_many(stage).await?;
                return Err(Halt::fail(format!("{reason} behind {MANY} that expired")).at(first));
            };
            if retains {
                let mut late = Peer::connected(stage, &stage.fresh("late")).await?;
                late.subscribed(&topic, Qos::AtLeastOnce).await?;
                let (found, _) = rest(&mut late).await.prepared()?;
                if let Some(copy) = found.first() {
                    return Ok((true, At(copy.entry())));
                }
            }
            Ok((false, At(long.entry())))
        })
        .await
    })
    .await
}

/// The control: as many messages that do not expire wait for an absent client. A server may bound what it queues, and then the
/// place is taken by what has not expired yet.
async fn queues_so_many(stage: &Stage) -> Result<(), Halt> {
    let topic = stage.topic("queued");
    let mut reader = lasting_peer(stage, "reader").await?;
    reader.subscribed(&topic, Qos::AtLeastOnce).await?;
    reader.disconnect().await;
    farewell(&mut reader).await;
    let mut writer = Peer::connected(stage, "writer").await?;
    for payload in std::iter::repeat_n(&b"waits"[..], MANY + 1).chain([&b"last"[..]]) {
        writer.published(&topic, Qos::AtLeastOnce, payload, false).await?;
    }
    let (mut reader, _) = Peer::connect(stage, "reader", lasting(stage, "reader")).await.prepared()?;
    let last = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"last");
    let received = collect(&mut reader, last).await?;
    reader.disconnect().await;
    if last(&received) {
        return Ok(());
    }
    let reason = format!("the server keeps only {} of {} messages for an absent client", received.len(), MANY + 2);
    Err(received.first().map_or_else(|| Halt::inconclusive(&reason), |first| Halt::inconclusive(&reason).at(first)))
}

/// What is left of the Message Expiry Interval: at once nearly all, after a wait what the wait left.
async fn the_message_expiry_is_reduced_by_the_wait(stage: &Stage) -> Outcome {
    const GIVEN: u32 = 60;
    let (topic, kept_topic) = (stage.topic("expiring"), stage.topic("kept"));
    tidied(stage, &["absent"], &[&kept_topic], async {
        let mut live = Peer::connected(stage, "live").await?;
        offer::qos(&live, Qos::AtLeastOnce)?;
        live.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut absent = lasting_peer(stage, "absent").await?;
        offer::session_expiry(&absent, 300)?;
        absent.subscribed(&topic, Qos::AtLeastOnce).await?;
        absent.disconnect().await;
        farewell(&mut absent).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        let properties = Properties::new().with(Property::MessageExpiryInterval(GIVEN));
        let id = publisher.fresh_id();
        let waiting = Publish::new(&name(&topic), "waits").at(Qos::AtLeastOnce, Some(id)).with_properties(&properties);
        let before = stage.now();
        publisher.publish_with(waiting).await.prepared()?;
        let retains = offer::retain(&publisher).is_ok();
        if retains {
            let id = publisher.fresh_id();
            let mut kept =
                Publish::new(&name(&kept_topic), "kept").at(Qos::AtLeastOnce, Some(id)).with_properties(&properties);
            kept.retain = true;
            publisher.publish_with(kept).await.prepared()?;
        }
        let after = stage.now();
        let at_once = message(&mut live, b"waits").await.prepared()?;
        let mut evidence = judge_expiry(&at_once, GIVEN, Duration::ZERO, at_once.at.saturating_sub(before))?;
        stage.pass(Duration::from_secs(3)).await;
        let (mut absent, _) = Peer::connect(stage, "absent", lasting(stage, "absent")).await.prepared()?;
        let connected = stage.now();
        let queued = message(&mut absent, b"waits").await.prepared()?;
        absent.disconnect().await;
        let least = connected.saturating_sub(after).saturating_sub(stage.patience());
        let waited = queued.at.saturating_sub(before);
        evidence =
            evidence.and(&judge_expiry(&queued, GIVEN, least.max(Duration::from_secs(3)), waited).map(|_| queued)?);
        // To be asked for it does not make it older.
        for actor in ["late", "later"].into_iter().filter(|_| retains) {
            let mut late = Peer::connected(stage, actor).await?;
            late.subscribed(&kept_topic, Qos::AtLeastOnce).await?;
            let kept = message(&mut late, b"kept").await.prepared()?;
            late.disconnect().await;
            let waited = kept.at.saturating_sub(before);
            evidence = evidence.and(&judge_expiry(&kept, GIVEN, Duration::from_secs(3), waited).map(|_| kept)?);
        }
        Ok(evidence)
    })
    .await
}

/// Who fetch a message of one second, and when: clocks of whole seconds have nothing left of it somewhere in between.
const FETCHERS: [&str; 4] = ["early", "nearly", "just", "after"];
const FETCHED: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_millis(900), Duration::from_millis(1050), Duration::from_millis(1400)];

/// Whether it still comes is another rule's business. If it does, it says that it expires.
async fn a_message_in_its_last_second_still_says_so(stage: &Stage) -> Outcome {
    let topic = stage.topic("brief");
    tidied(stage, &FETCHERS, &[], async {
        for actor in FETCHERS {
            let mut absent = lasting_peer(stage, actor).await?;
            offer::qos(&absent, Qos::AtLeastOnce)?;
            absent.subscribed(&topic, Qos::AtLeastOnce).await?;
            absent.disconnect().await;
            farewell(&mut absent).await;
        }
        let mut live = Peer::connected(stage, "live").await?;
        live.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        let since = stage.now();
        for (payload, expiry) in [("brief", 1), ("long", 60)] {
            let properties = Properties::new().with(Property::MessageExpiryInterval(expiry));
            let id = publisher.fresh_id();
            let message = Publish::new(&name(&topic), payload).at(Qos::AtLeastOnce, Some(id));
            publisher.publish_with(message.with_properties(&properties)).await.prepared()?;
        }
        let at_once = says_that_it_expires(&mut live).await?;
        let mut evidence = at_once;
        for (actor, after) in FETCHERS.into_iter().zip(FETCHED) {
            stage.world().sleep_until(since + after).await;
            let (mut absent, _) = Peer::connect(stage, actor, lasting(stage, actor)).await.prepared()?;
            evidence = evidence.join(says_that_it_expires(&mut absent).await?);
            absent.disconnect().await;
        }
        Ok(evidence)
    })
    .await
}

/// Every message up to the long one, which has a Message Expiry Interval in any case.
async fn says_that_it_expires(peer: &mut Peer) -> Outcome {
    let long = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"long");
    let received = collect(peer, long).await?;
    if let Some(silent) = received.iter().find(|copy| copy.message_expiry_interval.is_none()) {
        let reason = format!("a message that expires came without a Message Expiry Interval: {}", shown(silent));
        return Err(Halt::fail(reason).at(silent));
    }
    match received.split_first() {
        Some((first, others)) => Ok(Evidence::of(first).and_all(others)),
        None => Err(Halt::inconclusive(format!("{} received no message", peer.actor()))),
    }
}

/// The message waited between `least` and `most`; a second either way is accepted.
fn judge_expiry(copy: &Delivery, given: u32, least: Duration, most: Duration) -> Result<Evidence, Halt> {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let (low, high) =
        (given.saturating_sub(seconds(most) + 2), given.saturating_sub(seconds(least).saturating_sub(1)).min(given));
    match copy.message_expiry_interval {
        Some(left) if (low..=high).contains(&left) => Ok(Evidence::of(copy)),
        other => {
            let reason = format!("expected a Message Expiry Interval of {low} to {high}, got {other:?}");
            Err(Halt::fail(reason).at(copy))
        }
    }
}

/// A message without a Message Expiry Interval does not get one.
async fn no_message_expiry_is_added(stage: &Stage) -> Outcome {
    tidied(stage, &["absent"], &[], async {
        let mut evidence: Option<Evidence> = None;
        let mut added = false;
        for (_, copy) in copies(stage, &Properties::new()).await? {
            added |= copy.message_expiry_interval.is_some();
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
        let evidence = evidence.ok_or_else(|| Halt::inconclusive("no copy came"))?;
        Ok(if added { evidence.warn("a Message Expiry Interval was added that nobody asked for") } else { evidence })
    })
    .await
}
