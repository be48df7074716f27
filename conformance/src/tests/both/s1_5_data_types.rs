//! 1.5 Data representation: strings.

use squall_codec::{
    packet::{Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::is_v5,
    bytes::{RawConnect, flag, publish, subscribe, unsubscribe},
    judge::{Cases, Unnoticed, closes, offender, refuses},
    watch::{collect, message, name, rest, shown, text},
};

/// Not UTF-8 at all, an overlong form, a surrogate, beyond U+10FFFF, a sequence that breaks off.
const ILL_FORMED: [&[u8]; 5] = [b"a\xFF", b"a\xC0\x80", b"a\xED\xA0\x80", b"a\xF4\x90\x80\x80", b"a\xE2\x82"];

const WITH_NULL: [&[u8]; 1] = [b"a\0b"];

/// The string fields of CONNECT, one after the other, with each of these.
async fn bad_strings_in_connect(stage: &Stage, strings: &[&[u8]]) -> Outcome {
    let mut cases = Cases::new();
    for bad in strings {
        let hex = shown_bytes(bad);
        let id = RawConnect::without_payload(stage).field(bad);
        let codes = [ReasonCode::MalformedPacket, ReasonCode::ClientIdentifierNotValid];
        cases
            .add("client identifier", refuses(stage, &format!("a client identifier {hex}"), &id.bytes(), &codes).await);
        let will = RawConnect::new(stage, "offender").will(&[], bad, b"gone");
        let codes = [ReasonCode::MalformedPacket, ReasonCode::TopicNameInvalid];
        cases.add("will topic", refuses(stage, &format!("a will topic {hex}"), &will.bytes(), &codes).await);
        let user = RawConnect::new(stage, "offender").flagged(flag::USER_NAME).field(bad);
        let codes = [ReasonCode::MalformedPacket, ReasonCode::BadUserNameOrPassword];
        cases.add("user name", refuses(stage, &format!("a user name {hex}"), &user.bytes(), &codes).await);
    }
    cases.finish()
}

pub(crate) async fn ill_formed_utf8_in_connect_is_refused(stage: &Stage) -> Outcome {
    bad_strings_in_connect(stage, &ILL_FORMED).await
}

pub(crate) async fn a_null_character_in_connect_is_refused(stage: &Stage) -> Outcome {
    bad_strings_in_connect(stage, &WITH_NULL).await
}

/// Topic and filters with each of these. What a watcher of everything below the test's root receives would be the
/// fault handed on.
async fn bad_strings_in_topics(stage: &Stage, strings: &[&[u8]]) -> Outcome {
    let version = stage.version();
    // 5.0 binds the sender here; what the receiver overlooks is a warning (4.13.1).
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let mut cases = Cases::new();
    for bad in strings {
        let hex = shown_bytes(bad);
        let topic = [stage.topic("").as_bytes(), bad].concat();
        let bytes = publish(version, 0x30, &topic, None, &[], b"bad");
        let mut peer = offender(stage).await?;
        let codes = [ReasonCode::MalformedPacket, ReasonCode::TopicNameInvalid];
        cases.add("PUBLISH", closes(&mut peer, &format!("a topic with {hex}"), &bytes, &codes, unnoticed).await);

        let codes = [ReasonCode::MalformedPacket, ReasonCode::TopicFilterInvalid];
        let bytes = subscribe(version, 0x82, 1, &[], &[(&topic, 0)]);
        let mut peer = offender(stage).await?;
        cases.add("SUBSCRIBE", closes(&mut peer, &format!("a filter with {hex}"), &bytes, &codes, unnoticed).await);

        let bytes = unsubscribe(version, 0xA2, 1, &[], &[&topic]);
        let mut peer = offender(stage).await?;
        let offence = format!("a filter to unsubscribe with {hex}");
        cases.add("UNSUBSCRIBE", closes(&mut peer, &offence, &bytes, &codes, unnoticed).await);
    }
    cases.finish()
}

pub(crate) async fn ill_formed_utf8_in_topics_closes_the_connection(stage: &Stage) -> Outcome {
    bad_strings_in_topics(stage, &ILL_FORMED).await
}

pub(crate) async fn a_null_character_in_topics_closes_the_connection(stage: &Stage) -> Outcome {
    bad_strings_in_topics(stage, &WITH_NULL).await
}

/// U+FEFF at the beginning of a whole string, in its middle and at its end: the topic, and in 5.0 other strings.
pub(crate) async fn a_byte_order_mark_is_a_character_like_any_other(stage: &Stage) -> Outcome {
    const MARK: &str = "\u{FEFF}";
    let root = stage.topic("mark");
    let plain = format!("{root}/t");
    // The root of the test is the beginning of the second: the first begins with the mark itself.
    let marked = [format!("{MARK}{plain}"), format!("{root}/{MARK}t"), format!("{root}/t{MARK}")];
    let mut watcher = Peer::connected(stage, "watcher").await?;
    let mut unmarked = Peer::connected(stage, "unmarked").await?;
    unmarked.subscribed(&plain, Qos::AtMostOnce).await?;
    for topic in &marked {
        watcher.subscribed(topic, Qos::AtMostOnce).await?;
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&plain, Qos::AtMostOnce, b"plain", false).await?;
    let control = message(&mut unmarked, b"plain").await.prepared()?;
    for (n, topic) in marked.iter().enumerate() {
        let mut message = Publish::new(&name(topic), n.to_string());
        if is_v5(stage) {
            let properties = Properties::new()
                .with(Property::ContentType(text("\u{FEFF}type")))
                .with(Property::UserProperty((text("\u{FEFF}name"), text("value\u{FEFF}"))));
            message = message.with_properties(&properties);
        }
        publisher.send(Packet::Publish(message)).await;
    }
    // 5.0 lets a server turn a topic away for reasons of its own.
    let served = publisher.fence().await;
    if is_v5(stage) {
        served.prepared()?
    } else {
        served?
    };
    let received = collect(&mut watcher, |seen| seen.len() == marked.len()).await?;
    let mut evidence: Option<Evidence> = None;
    for (n, topic) in marked.iter().enumerate() {
        let Some(copy) = received.iter().find(|copy| copy.payload() == n.to_string().as_bytes()) else {
            return Err(Halt::fail(format!("expected the message on {topic:?}, but it did not come")));
        };
        if copy.topic() != topic {
            return Err(Halt::fail(format!("expected the topic {topic:?}, got {:?}", copy.topic())).at(copy));
        }
        if is_v5(stage) {
            let properties = copy.forwarded_properties();
            let pair = properties.user_properties().next().map(|(name, value)| (name.as_str(), value.as_str()));
            if properties.content_type().map(|kind| kind.as_str()) != Some("\u{FEFF}type")
                || pair != Some(("\u{FEFF}name", "value\u{FEFF}"))
            {
                return Err(
                    Halt::fail(format!("expected U+FEFF to stay in the properties, got {properties:?}")).at(copy)
                );
            }
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
    }
    let (others, _) = rest(&mut unmarked).await?;
    if let Some(other) = others.first() {
        return Err(Halt::fail(format!("the filter {plain:?} matched {}", shown(other))).at(other));
    }
    evidence.map(|evidence| evidence.and(&control)).ok_or_else(|| Halt::inconclusive("nothing was published"))
}

fn shown_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}
