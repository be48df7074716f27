//! 3.3.2.3 PUBLISH Properties.

use std::time::Duration;

use squall_codec::{
    packet::{Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::{faults, s3_03_publish},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        bytes::publish,
        clock::{end_after, gone},
        judge::{At, Cases, Unnoticed, closes, farewell, offender, parting},
        offer,
        watch::{Delivery, collect, message, name, no_other, rest, text, tidied, up_to_marker},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        the_payload_format_is_forwarded,
        "A message says what its payload is; live, queued and retained copies say so too.",
        ["5.0/MQTT-3.3.2-4"],
        s3_03_publish::loses_the_payload_format
    ),
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
        no_message_expiry_is_added,
        "A message does not expire; its copies have no Message Expiry Interval.",
        ["5.0/X-EXPIRY-ABSENT-NOT-ADDED"],
        s3_03_publish::adds_a_message_expiry
    )
    .should(),
    test!(
        an_alias_ends_with_its_connection,
        "A client uses a Topic Alias of its former connection; nobody gets the message.",
        ["5.0/MQTT-3.3.2-7"],
        s3_03_publish::remembers_aliases
    ),
    test!(
        a_topic_alias_of_zero_is_not_handed_on,
        "A message has the Topic Alias 0; the server hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-8"],
        faults::relays_the_alias_0
    ),
    test!(
        a_topic_alias_beyond_the_maximum_is_not_handed_on,
        "A message has a Topic Alias beyond what the server takes; it hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-9"],
        faults::relays_large_aliases
    ),
    test!(
        every_alias_up_to_the_maximum_is_taken,
        "A client sets, uses and sets anew the least and the greatest Topic Alias; each message comes on its topic.",
        ["5.0/MQTT-3.3.2-12", "5.0/X-ALIAS-REMAP"],
        s3_03_publish::never_maps_an_alias_anew
    ),
    test!(
        an_ill_formed_response_topic_is_not_handed_on,
        "The Response Topic of a message is no UTF-8; the server hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-13"],
        faults::relays_ill_formed_response_topics
    ),
    test!(
        a_response_topic_with_wildcards_is_refused,
        "The Response Topic of a message has a wildcard; the server refuses it.",
        ["5.0/MQTT-3.3.2-14"],
        faults::takes_wildcards_to_respond_to
    )
    .should(),
    test!(
        the_response_topic_is_forwarded,
        "A message has a Response Topic; live, queued and retained copies have it too.",
        ["5.0/MQTT-3.3.2-15"],
        s3_03_publish::loses_the_response_topic
    ),
    test!(
        correlation_data_is_forwarded,
        "A message has Correlation Data with all byte values; live, queued and retained copies have the same.",
        ["5.0/MQTT-3.3.2-16"],
        s3_03_publish::cuts_correlation_data
    ),
    test!(
        user_properties_are_forwarded,
        "A message has none, one or fifty user properties; each comes as often as it was sent.",
        ["5.0/MQTT-3.3.2-17"],
        s3_03_publish::merges_user_properties
    ),
    test!(
        user_properties_keep_their_order,
        "A message has user properties with repeated names; they come in their order.",
        ["5.0/MQTT-3.3.2-18"],
        s3_03_publish::sorts_user_properties
    ),
    test!(
        an_ill_formed_content_type_is_not_handed_on,
        "The Content Type of a message is no UTF-8; the server hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-19"],
        faults::relays_ill_formed_content_types
    ),
    test!(
        the_content_type_is_forwarded,
        "A message has a Content Type; live, queued and retained copies have it too.",
        ["5.0/MQTT-3.3.2-20"],
        s3_03_publish::loses_the_content_type
    ),
    test!(
        a_retained_message_keeps_its_properties,
        "A message has all its properties; live, queued and retained copies have them too.",
        ["5.0/X-RETAIN-PROPERTIES", "5.0/X-QUEUE-KEEPS-PROPERTIES"],
        s3_03_publish::loses_the_content_type
    ),
];

/// Publishes this with these properties, and has the copies: live, from the queue of a session, and retained.
async fn copies(stage: &Stage, properties: &Properties) -> Result<Vec<(&'static str, Delivery)>, Halt> {
    let topic = stage.topic(&stage.fresh("carried"));
    let mut live = Peer::connected(stage, "live").await?;
    offer::qos(&live, Qos::AtLeastOnce)?;
    live.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut absent = lasting_peer(stage, "absent").await?;
    let queues = offer::session_expiry(&absent, 300).is_ok();
    absent.subscribed(&topic, Qos::AtLeastOnce).await?;
    absent.disconnect().await;
    farewell(&mut absent).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let retains = offer::retain(&publisher).is_ok();
    let id = publisher.fresh_id();
    let mut carried = Publish::new(&name(&topic), "carried").at(Qos::AtLeastOnce, Some(id)).with_properties(properties);
    carried.retain = retains;
    publisher.publish_with(carried).await.prepared()?;
    let mut copies = vec![("live", message(&mut live, b"carried").await.prepared()?)];
    live.disconnect().await;
    if queues {
        let (mut absent, _) = Peer::connect(stage, "absent", lasting(stage, "absent")).await.prepared()?;
        copies.push(("queued", message(&mut absent, b"carried").await.prepared()?));
        absent.disconnect().await;
    }
    if retains {
        let mut late = Peer::connected(stage, "late").await?;
        late.subscribed(&topic, Qos::AtLeastOnce).await?;
        copies.push(("retained", message(&mut late, b"carried").await.prepared()?));
        late.disconnect().await;
        publisher.published(&topic, Qos::AtLeastOnce, b"", true).await?;
    }
    publisher.disconnect().await;
    Ok(copies)
}

/// Every copy must satisfy this.
async fn carried(stage: &Stage, properties: Properties, judge: impl Fn(&Properties) -> Result<(), String>) -> Outcome {
    tidied(stage, &["absent"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for (which, copy) in copies(stage, &properties).await? {
            judge(&copy.forwarded_properties())
                .map_err(|reason| Halt::fail(format!("the {which} copy: {reason}")).at(&copy))?;
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
        evidence.ok_or_else(|| Halt::inconclusive("no copy came"))
    })
    .await
}

/// What was given, and what came.
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, got: &T) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("expected {what} {wanted:?}, got {got:?}")) }
}

async fn the_payload_format_is_forwarded(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for given in [Some(1), Some(0), None] {
        let properties = given.map(Property::PayloadFormatIndicator).into_iter().collect();
        // 0 says the same as none.
        let outcome = carried(stage, properties, |came| {
            let got = came.payload_format_indicator();
            if given == Some(0) && got.is_none() { Ok(()) } else { equal("Payload Format Indicator", &given, &got) }
        })
        .await;
        cases.add(format!("{given:?}"), outcome);
    }
    cases.finish()
}

async fn the_response_topic_is_forwarded(stage: &Stage) -> Outcome {
    let given = text("answers/to/me");
    carried(stage, Properties::new().with(Property::ResponseTopic(given.clone())), |came| {
        equal("Response Topic", &Some(&given), &came.response_topic())
    })
    .await
}

/// All byte values, none, and a great many.
async fn correlation_data_is_forwarded(stage: &Stage) -> Outcome {
    /// More than topic, payload and the fixed header of these messages take.
    const REST: usize = 200;
    let mut cases = Cases::new();
    let taken = offer::packet_size(&Peer::connected(stage, "probe").await?);
    let every: Vec<u8> = (0..=255).collect();
    let sizes = [every.clone(), Vec::new(), every.repeat(16)];
    for given in sizes.into_iter().filter(|given| given.len().saturating_add(REST) <= taken) {
        let given = bytes::Bytes::from(given);
        let size = given.len();
        let outcome =
            carried(stage, Properties::new().with(Property::CorrelationData(given.clone())), |came| {
                match came.correlation_data() {
                    Some(data) if *data == given => Ok(()),
                    Some(data) => {
                        Err(format!("expected {size} bytes of Correlation Data as given, got {}", data.len()))
                    }
                    None => Err("the Correlation Data is missing".to_owned()),
                }
            })
            .await;
        cases.add(format!("{size} bytes"), outcome);
    }
    cases.finish()
}

async fn the_content_type_is_forwarded(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for given in ["text/plain", "", "Größe/Ω"] {
        let given = text(given);
        let outcome = carried(stage, Properties::new().with(Property::ContentType(given.clone())), |came| {
            equal("Content Type", &Some(&given), &came.content_type())
        })
        .await;
        cases.add(format!("\"{given}\""), outcome);
    }
    cases.finish()
}

type Pairs = Vec<(String, String)>;

fn pairs(properties: &Properties) -> Pairs {
    properties.user_properties().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn as_properties(pairs: &Pairs) -> Properties {
    pairs.iter().map(|(name, value)| Property::UserProperty((text(name), text(value)))).collect()
}

/// None, one, fifty, repeated ones, empty ones: each as often as it was sent.
async fn user_properties_are_forwarded(stage: &Stage) -> Outcome {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fifty: Pairs = (0..50).map(|n| pair(&format!("name{n}"), "value")).collect();
    let mut cases = Cases::new();
    for given in [Pairs::new(), vec![pair("one", "1")], vec![pair("a", "1"), pair("a", "1"), pair("", "")], fifty] {
        let outcome = carried(stage, as_properties(&given), |came| {
            let came = pairs(came);
            let count = |pairs: &Pairs, one: &(String, String)| pairs.iter().filter(|other| *other == one).count();
            match given.iter().find(|one| count(&given, one) != count(&came, one)) {
                Some((name, value)) => {
                    Err(format!("the user property {name:?}={value:?} did not come as often as sent"))
                }
                None => Ok(()),
            }
        })
        .await;
        cases.add(format!("{} user properties", given.len()), outcome);
    }
    cases.finish()
}

async fn user_properties_keep_their_order(stage: &Stage) -> Outcome {
    let given: Pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("a", "0")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    carried(stage, as_properties(&given), |came| {
        // A server may add some of its own.
        let came: Pairs = pairs(came).into_iter().filter(|pair| given.contains(pair)).collect();
        equal("the user properties", &given, &came)
    })
    .await
}

/// A message that waits longer than it may live: not delivered, not retained. One that may live longer is.
/// More than servers keep in flight for one client, and fewer than they queue.
const MANY: usize = 25;

async fn an_expired_message_is_not_delivered(stage: &Stage) -> Outcome {
    let topic = stage.topic("expiring");
    tidied(stage, &ABSENT, &[&topic], async {
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
                return Err(match received.first() {
                    Some(first) => Halt::fail(format!("{reason} behind {MANY} that expired")).at(first),
                    None => Halt::inconclusive(format!("{reason} either")),
                });
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

/// Who come back one by one, and when: 1 s is over, also for a clock of whole seconds.
const ABSENT: [&str; 3] = ["absent", "later", "last"];
const LOOKS: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(7), Duration::from_secs(12)];

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
        if retains {
            let mut late = Peer::connected(stage, "late").await?;
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

/// What an offender sends must not reach the watcher: a marker is all that comes.
async fn not_handed_on(
    stage: &Stage,
    offences: Vec<(&'static str, Vec<u8>)>,
    topic: &str,
    codes: &[ReasonCode],
) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(topic, Qos::AtMostOnce).await?;
    let mut cases = Cases::new();
    for (offence, bytes) in offences {
        let mut peer = offender(stage).await?;
        cases.add(offence, closes(&mut peer, offence, &bytes, codes, Unnoticed::Warns).await);
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(topic, Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    no_other(&received, b"marker")?;
    let marker = received.first().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
    cases.finish().map(|evidence| evidence.and(marker))
}

async fn a_topic_alias_of_zero_is_not_handed_on(stage: &Stage) -> Outcome {
    let topic = stage.topic("alias");
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x23, 0, 0], b"bad");
    let codes = [ReasonCode::TopicAliasInvalid, ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    not_handed_on(stage, vec![("Topic Alias 0", bytes)], &topic, &codes).await
}

async fn a_topic_alias_beyond_the_maximum_is_not_handed_on(stage: &Stage) -> Outcome {
    let control = Peer::connected(stage, "control").await?;
    let maximum = control.connack().and_then(|connack| connack.properties.topic_alias_maximum()).unwrap_or(0);
    let Some(beyond) = maximum.checked_add(1) else {
        return Err(Halt::unsupported("the server takes every Topic Alias"));
    };
    let topic = stage.topic("alias");
    let [high, low] = beyond.to_be_bytes();
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x23, high, low], b"bad");
    let codes = [ReasonCode::TopicAliasInvalid, ReasonCode::ProtocolError];
    not_handed_on(stage, vec![("a Topic Alias beyond the maximum", bytes)], &topic, &codes).await
}

async fn an_ill_formed_response_topic_is_not_handed_on(stage: &Stage) -> Outcome {
    let topic = stage.topic("response");
    let content = [&[0x08][..], &crate::tests::asking::string(b"a\xFF")].concat();
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &content, b"bad");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    not_handed_on(stage, vec![("a Response Topic that is no UTF-8", bytes)], &topic, &codes).await
}

async fn an_ill_formed_content_type_is_not_handed_on(stage: &Stage) -> Outcome {
    let topic = stage.topic("content");
    let content = [&[0x03][..], &crate::tests::asking::string(b"a\xC0\x80")].concat();
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &content, b"bad");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    not_handed_on(stage, vec![("a Content Type that is no UTF-8", bytes)], &topic, &codes).await
}

/// Advice: the rule is for whoever sets it.
async fn a_response_topic_with_wildcards_is_refused(stage: &Stage) -> Outcome {
    let topic = stage.topic("response");
    let content = [&[0x08][..], &crate::tests::asking::string(b"a/#")].concat();
    let bytes = publish(stage.version(), 0x32, topic.as_bytes(), Some(1), &content, b"wild");
    let mut peer = offender(stage).await?;
    offer::qos(&peer, Qos::AtLeastOnce)?;
    let sent = peer.send_bytes(&bytes).await;
    let (seen, _) = parting(&mut peer).await;
    let puback: Option<(ReasonCode, &Seen<Packet>)> = seen.packets.iter().find_map(|packet| match &**packet {
        Packet::Puback(ack) => Some((ack.reason, packet)),
        _ => None,
    });
    match (&seen.end, puback) {
        (Some(end), _) => Ok(Evidence::of(end)),
        (None, Some((reason, at))) if reason.is_failure() => Ok(Evidence::of(at)),
        (None, Some((_, at))) => Ok(Evidence::of(at).warn("a Response Topic with a wildcard was accepted")),
        (None, None) => {
            Ok(Evidence::of(&sent).warn("a Response Topic with a wildcard was neither refused nor acknowledged"))
        }
    }
}

/// Messages by alias: one that has a topic and an alias, then the alias alone.
fn by_alias(topic: Option<&str>, alias: u16, payload: &str) -> Vec<u8> {
    let [high, low] = alias.to_be_bytes();
    let topic = topic.unwrap_or("").as_bytes().to_vec();
    publish(squall_codec::version::Version::V5_0, 0x30, &topic, None, &[0x23, high, low], payload.as_bytes())
}

/// The least and the greatest alias that the server takes: set, used, and set anew.
async fn every_alias_up_to_the_maximum_is_taken(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    let mut peer = Peer::connected(stage, "aliased").await?;
    let maximum = offer::topic_aliases(&peer)?;
    let (one, two) = (stage.topic("one"), stage.topic("two"));
    for topic in [&one, &two] {
        watcher.subscribed(topic, Qos::AtMostOnce).await?;
    }
    let mut evidence: Option<Evidence> = None;
    for alias in [1, maximum] {
        for (topic, payload, wanted) in [
            (Some(one.as_str()), "set", &one),
            (None, "used", &one),
            (Some(two.as_str()), "set anew", &two),
            (None, "used anew", &two),
        ] {
            peer.send_bytes(&by_alias(topic, alias, payload)).await;
            let copy = message(&mut watcher, payload.as_bytes()).await?;
            if copy.topic() != wanted.as_str() {
                let reason = format!("alias {alias}, {payload}: expected the topic {wanted}, got {}", copy.topic());
                return Err(Halt::fail(reason).at(&copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

/// An alias ends with its connection: on the next one it stands for nothing.
async fn an_alias_ends_with_its_connection(stage: &Stage) -> Outcome {
    let topic = stage.topic("aliased");
    tidied(stage, &["aliased"], &[], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtMostOnce).await?;
        let mut peer = lasting_peer(stage, "aliased").await?;
        offer::topic_aliases(&peer)?;
        peer.send_bytes(&by_alias(Some(&topic), 1, "set")).await;
        let set = message(&mut watcher, b"set").await.prepared()?;
        peer.close(End::Fin).await;
        farewell(&mut peer).await;
        let (mut peer, _) = Peer::connect(stage, "aliased", lasting(stage, "aliased")).await.prepared()?;
        let codes = [ReasonCode::ProtocolError, ReasonCode::TopicAliasInvalid];
        let offence = "an alias of a former connection";
        let closed = closes(&mut peer, offence, &by_alias(None, 1, "carried over"), &codes, Unnoticed::Warns).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
        let received =
            collect(&mut watcher, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        no_other(&received, b"marker")?;
        closed.map(|evidence| evidence.and(&set).and_all(&received))
    })
    .await
}

/// A User Property with bad UTF-8 in a message is tried with the data types; here a message with many is carried whole.
async fn a_retained_message_keeps_its_properties(stage: &Stage) -> Outcome {
    let given = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(text("text/plain")))
        .with(Property::ResponseTopic(text("answers")))
        .with(Property::CorrelationData(vec![1, 2, 3].into()))
        .with(Property::UserProperty((text("a"), text("1"))));
    let mut wanted: Vec<Property> = given.iter().cloned().collect();
    wanted.sort_by_key(|property| format!("{property:?}"));
    carried(stage, given, |came| {
        let mut came: Vec<Property> = came.iter().filter(|property| wanted.contains(property)).cloned().collect();
        came.sort_by_key(|property| format!("{property:?}"));
        equal("the properties", &wanted, &came)
    })
    .await
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
