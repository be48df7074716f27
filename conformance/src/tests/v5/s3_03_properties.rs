//! 3.3.2.3 PUBLISH Properties.

use squall_codec::{
    packet::{Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{faults, s3_03_publish},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        bytes::publish,
        judge::{Cases, Unnoticed, closes, farewell, offender, parting},
        offer,
        watch::{Delivery, message, name, no_other, text, tidied, up_to_marker},
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
pub(crate) async fn copies(stage: &Stage, properties: &Properties) -> Result<Vec<(&'static str, Delivery)>, Halt> {
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

/// More bytes than topic, payload and the fixed header of these messages take.
const REST: usize = 200;

/// All byte values, none, and a great many.
async fn correlation_data_is_forwarded(stage: &Stage) -> Outcome {
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
    let size = |given: &Pairs| given.iter().map(|(name, value)| 5 + name.len() + value.len()).sum::<usize>();
    let mut cases = Cases::new();
    let taken = offer::packet_size(&Peer::connected(stage, "probe").await?);
    let all = [Pairs::new(), vec![pair("one", "1")], vec![pair("a", "1"), pair("a", "1"), pair("", "")], fifty];
    for given in all.into_iter().filter(|given| size(given).saturating_add(REST) <= taken) {
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

/// What an offender sends must not reach the watcher: a marker is all that comes.
pub(crate) async fn not_handed_on(
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
