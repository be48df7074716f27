//! 1.5 Data representation: strings.

use squall_codec::{
    packet::{Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::is_v5,
    bytes::{RawConnect, flag, publish, subscribe, unsubscribe},
    judge::Unnoticed,
    rows::{Row, all},
    watch::{collect, message, name, rest, shown, text},
};

/// Each way of being no UTF-8.
pub(crate) const ILL_FORMED: [(&str, &[u8]); 15] = [
    ("the byte FF", b"a\xFF"),
    ("the byte FE", b"a\xFE"),
    ("a sequence of five bytes", b"a\xF8\x88\x80\x80\x80"),
    ("a continuation that continues nothing", b"a\x80"),
    ("U+0000 in two bytes", b"a\xC0\x80"),
    ("'/' in two bytes", b"a\xC0\xAF"),
    ("'/' in three bytes", b"a\xE0\x80\xAF"),
    ("'/' in four bytes", b"a\xF0\x80\x80\xAF"),
    ("the surrogate U+D800", b"a\xED\xA0\x80"),
    ("the surrogate U+DFFF", b"a\xED\xBF\xBF"),
    ("a pair of surrogates", b"a\xED\xA0\xBD\xED\xB8\x80"),
    ("a number beyond U+10FFFF", b"a\xF4\x90\x80\x80"),
    ("a sequence of two that breaks off", b"a\xC3"),
    ("a sequence of three that breaks off", b"a\xE2\x82"),
    ("a sequence of three that is broken", b"a\xE2\x28\xA1"),
];

/// U+0000 within a string and at its end.
pub(crate) const WITH_NULL: [(&str, &[u8]); 2] = [("U+0000", b"a\0b"), ("U+0000 at its end", b"a\0b\0")];

fn row(name: &'static str, unnoticed: Unnoticed, strings: &[(&str, &[u8])], packet: impl Fn(&[u8]) -> Vec<u8>) -> Row {
    let faults = strings.iter().map(|(what, bad)| (format!("with {what}"), packet(bad)));
    Row { name, faults: faults.collect(), unnoticed }
}

/// The string fields of CONNECT with each of these.
async fn bad_strings_in_connect(stage: &Stage, strings: &[(&str, &[u8])]) -> Outcome {
    let row =
        |name, packet: &dyn Fn(&[u8]) -> RawConnect| row(name, Unnoticed::Fails, strings, |bad| packet(bad).bytes());
    let rows = vec![
        row("a client identifier", &|bad| RawConnect::without_payload(stage).field(bad)),
        row("a will topic", &|bad| RawConnect::new(stage, "offender").will(&[], bad, b"gone")),
        row("a user name", &|bad| RawConnect::new(stage, "offender").flagged(flag::USER_NAME).field(bad)),
    ];
    all(stage, rows).await
}

pub(crate) async fn ill_formed_utf8_in_connect_is_refused(stage: &Stage) -> Outcome {
    bad_strings_in_connect(stage, &ILL_FORMED).await
}

pub(crate) async fn a_null_character_in_connect_is_refused(stage: &Stage) -> Outcome {
    bad_strings_in_connect(stage, &WITH_NULL).await
}

/// Topic and filters with each of these.
async fn bad_strings_in_topics(stage: &Stage, strings: &[(&str, &[u8])]) -> Outcome {
    let version = stage.version();
    // 5.0 binds the sender here; what the receiver overlooks is a warning (4.13.1).
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let below = |bad: &[u8]| [stage.topic("").as_bytes(), bad].concat();
    let rows = vec![
        row("a PUBLISH to a topic", unnoticed, strings, |bad| publish(version, 0x30, &below(bad), None, &[], b"bad")),
        row("a SUBSCRIBE to a filter", unnoticed, strings, |bad| subscribe(version, 0x82, 1, &[], &[(&below(bad), 0)])),
        row("a SUBSCRIBE to a second filter", unnoticed, strings, |bad| {
            subscribe(version, 0x82, 1, &[], &[(&below(b"good"), 0), (&below(bad), 0)])
        }),
        row("an UNSUBSCRIBE from a filter", unnoticed, strings, |bad| {
            unsubscribe(version, 0xA2, 1, &[], &[&below(bad)])
        }),
    ];
    all(stage, rows).await
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
            let mut pairs = properties.user_properties().map(|(name, value)| (name.as_str(), value.as_str()));
            if properties.content_type().map(|kind| kind.as_str()) != Some("\u{FEFF}type")
                || pairs.all(|pair| pair != ("\u{FEFF}name", "value\u{FEFF}"))
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
