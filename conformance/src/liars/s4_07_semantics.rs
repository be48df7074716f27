//! Liars about topics: what wildcards match, and which names are names.

use squall_codec::{
    packet::{Packet, Subscription},
    qos::Qos,
    topic::{TopicFilter, TopicName},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{bends, hears, tells},
};

/// Subscribes to other filters than those that were asked for.
fn subscribes_to(change: impl Fn(&str) -> Option<String> + 'static) -> Box<dyn Liar> {
    hears(move |packet| {
        let Packet::Subscribe(subscribe) = packet else { return };
        for subscription in &mut subscribe.subscriptions {
            let changed =
                change(subscription.filter.as_str()).and_then(|text| TopicFilter::try_from(text.as_str()).ok());
            if let Some(filter) = changed {
                subscription.filter = filter;
            }
        }
    })
}

/// Takes messages for another topic than that on which they were published.
fn publishes_on(change: impl Fn(&str) -> String + 'static) -> Box<dyn Liar> {
    hears(move |packet| {
        if let Packet::Publish(publish) = packet
            && let Ok(topic) = TopicName::try_from(change(publish.topic()).as_str())
            && topic.as_str() != publish.topic()
        {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// `a/#` does not match `a`.
pub(crate) fn misses_the_parent() -> Box<dyn Liar> {
    subscribes_to(|filter| filter.strip_suffix("/#").map(|parent| format!("{parent}/+/#")))
}

/// `+` at the end of a filter matches any number of levels.
pub(crate) fn lets_plus_match_more_levels() -> Box<dyn Liar> {
    subscribes_to(|filter| filter.strip_suffix('+').map(|parent| format!("{parent}#")))
}

/// An empty level at the end of a topic does not count.
pub(crate) fn ignores_trailing_slashes() -> Box<dyn Liar> {
    publishes_on(|topic| topic.trim_end_matches('/').to_owned())
}

/// Reads fifty levels of a topic.
pub(crate) fn reads_fifty_levels() -> Box<dyn Liar> {
    publishes_on(|topic| topic.split('/').take(50).collect::<Vec<_>>().join("/"))
}

/// Writes the first thousand letters of a topic.
pub(crate) fn shortens_topics() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet
            && let Some(start) = publish.topic().get(..1000)
            && let Ok(topic) = TopicName::try_from(start)
        {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// The wildcards of a will's topic on their way in, and their stand-ins on their way out.
const STAND_INS: [(&[u8], &[u8]); 2] = [(b"wild/#", b"wild/H"), (b"wild/+", b"wild/P")];

/// Publishes wills on topics with wildcards.
pub(crate) fn publishes_wills_on_wildcards() -> Box<dyn Liar> {
    liar(|passing| {
        let mut bytes = passing.raw.to_vec();
        for (wild, tame) in STAND_INS {
            let (from, to) = match (passing.direction, passing.raw[0] >> 4) {
                (Direction::ToServer, 1) => (wild, tame),
                (Direction::ToClient, 3) => (tame, wild),
                _ => continue,
            };
            if let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
                bytes[at..at + from.len()].copy_from_slice(to);
            }
        }
        passing.put_bytes(passing.connection, passing.direction, bytes.into());
    })
}

/// Puts `?` in the place of U+0001.
pub(crate) fn replaces_control_characters() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        // Behind the fixed header and the length of the topic: no test has a topic of more than 127 bytes here.
        if bytes[0] >> 4 == 3 && bytes.len() > 4 && bytes[1] < 0x80 {
            let topic = usize::from(bytes[3]);
            for byte in bytes.iter_mut().skip(4).take(topic).filter(|byte| **byte == 1) {
                *byte = b'?';
            }
        }
    })
}

/// `#` also gets what the server tells of itself.
pub(crate) fn lets_hash_match_dollar_sys() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Subscribe(subscribe) = packet
            && subscribe.subscriptions.iter().any(|one| one.filter.as_str() == "#")
        {
            subscribe.subscriptions.push(Subscription::new(TopicFilter::literal("$SYS/#"), Qos::AtMostOnce));
        }
    })
}
