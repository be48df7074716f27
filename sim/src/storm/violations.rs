//! What no client may send: bytes that are no packet, and packets that are none of a client's, or come at the wrong time.

use bytes::{Bytes, BytesMut};
use squall_broker::core::limits::Limits;
use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    topic::TopicName,
    version::Version,
    wire::PacketId,
};
use squall_scenarios::settings::Settings;

use super::swarm::Draws;

/// What is wrong whatever is spoken.
const ANY: [(&str, &[u8]); 6] = [
    ("a packet that only a server sends", b"\x90\x03\x00\x01\x00"),
    ("a packet without a kind", b"\x00\x00"),
    ("a Remaining Length of five bytes", b"\x30\xFF\xFF\xFF\xFF\x01"),
    ("PUBACK with the packet identifier 0", b"\x40\x02\x00\x00"),
    ("PINGREQ with a payload", b"\xC0\x01\x00"),
    ("PUBLISH that ends within its topic", b"\x30\x03\x00\x04a"),
];

/// What 3.1 does not say: DUP and QoS may stand in the header of any packet there, and a server need not look.
const SINCE_3_1_1: [(&str, &[u8]); 3] = [
    ("SUBSCRIBE with wrong flags", b"\x80\x06\x00\x01\x00\x01a\x00"),
    ("PUBREL with wrong flags", b"\x60\x02\x00\x01"),
    ("DISCONNECT with wrong flags", b"\xE1\x00"),
];

/// The same, as 3.1.1 writes it.
const ONLY_3_1_1: [(&str, &[u8]); 3] = [
    ("PUBLISH of QoS 0 that says that it comes again", b"\x38\x03\x00\x01a"),
    ("PUBLISH to a topic with the letter U+0000", b"\x30\x04\x00\x02\x61\x00"),
    ("PUBLISH to no topic", b"\x30\x02\x00\x00"),
];

/// What 3.1 and 3.1.1 write alike.
const BEFORE_5_0: [(&str, &[u8]); 10] = [
    ("SUBSCRIBE without a filter", b"\x82\x02\x00\x01"),
    ("SUBSCRIBE to an empty filter", b"\x82\x05\x00\x01\x00\x00\x00"),
    ("SUBSCRIBE to a filter with # before its end", b"\x82\x08\x00\x01\x00\x03#/a\x00"),
    ("SUBSCRIBE with QoS 3", b"\x82\x06\x00\x01\x00\x01a\x03"),
    ("SUBSCRIBE with the packet identifier 0", b"\x82\x06\x00\x00\x00\x01a\x00"),
    ("UNSUBSCRIBE without a filter", b"\xA2\x02\x00\x01"),
    ("PUBLISH with QoS 3", b"\x36\x05\x00\x01a\x00\x01"),
    ("PUBLISH of QoS 1 with the packet identifier 0", b"\x32\x05\x00\x01a\x00\x00"),
    ("PUBLISH to a filter", b"\x30\x03\x00\x01#"),
    ("PUBLISH to a topic that is no UTF-8", b"\x30\x04\x00\x02\xC3\x28"),
];

/// The same in 5.0, and what is wrong there alone.
const SINCE_5_0: [(&str, &[u8]); 27] = [
    ("SUBSCRIBE without a filter", b"\x82\x03\x00\x01\x00"),
    ("SUBSCRIBE to an empty filter", b"\x82\x06\x00\x01\x00\x00\x00\x00"),
    ("SUBSCRIBE to a filter with # before its end", b"\x82\x09\x00\x01\x00\x00\x03#/a\x00"),
    ("SUBSCRIBE with QoS 3", b"\x82\x07\x00\x01\x00\x00\x01a\x03"),
    ("SUBSCRIBE with the packet identifier 0", b"\x82\x07\x00\x00\x00\x00\x01a\x00"),
    ("UNSUBSCRIBE without a filter", b"\xA2\x03\x00\x01\x00"),
    ("PUBLISH with QoS 3", b"\x36\x06\x00\x01a\x00\x01\x00"),
    ("PUBLISH of QoS 1 with the packet identifier 0", b"\x32\x06\x00\x01a\x00\x00\x00"),
    ("PUBLISH to a filter", b"\x30\x04\x00\x01#\x00"),
    ("PUBLISH to a topic that is no UTF-8", b"\x30\x05\x00\x02\xC3\x28\x00"),
    ("PUBLISH of QoS 0 that says that it comes again", b"\x38\x04\x00\x01a\x00"),
    ("PUBLISH to a topic with the letter U+0000", b"\x30\x05\x00\x02\x61\x00\x00"),
    ("PUBLISH to no topic", b"\x30\x03\x00\x00\x00"),
    ("PUBLISH with a property that it cannot have", b"\x30\x09\x00\x01a\x05\x11\x00\x00\x00\x01"),
    ("PUBLISH with a property twice", b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00"),
    ("PUBLISH with the Topic Alias 0", b"\x30\x07\x00\x01a\x03\x23\x00\x00"),
    ("PUBLISH with a Topic Alias above the highest", b"\x30\x07\x00\x01a\x03\x23\xFF\xFF"),
    ("PUBLISH with a Subscription Identifier", b"\x30\x06\x00\x01a\x02\x0B\x01"),
    ("PUBLISH with a Response Topic that is a filter", b"\x30\x08\x00\x01a\x04\x08\x00\x01#"),
    ("SUBSCRIBE with the Subscription Identifier 0", b"\x82\x09\x00\x01\x02\x0B\x00\x00\x01a\x00"),
    ("SUBSCRIBE with Retain Handling 3", b"\x82\x07\x00\x01\x00\x00\x01a\x30"),
    ("SUBSCRIBE with reserved options", b"\x82\x07\x00\x01\x00\x00\x01a\xC0"),
    ("SUBSCRIBE to a share with No Local", b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x04"),
    ("SUBSCRIBE to a share without a name", b"\x82\x0F\x00\x01\x00\x00\x09$share//a\x00"),
    ("PUBREL with an unknown reason", b"\x62\x03\x00\x01\x01"),
    ("DISCONNECT with a reason that only a server has", b"\xE0\x01\x8B"),
    ("AUTH without a method", b"\xF0\x00"),
];

/// [MQTT-3.2.2-11] Where that is not QoS 2.
const ABOVE_THE_HIGHEST_QOS: &[u8] = b"\x34\x06\x00\x01a\x00\x01\x00";

/// All, with what is wrong with them.
pub fn violations(version: Version) -> Vec<(&'static str, Bytes)> {
    let tables: &[&[(&'static str, &'static [u8])]] = match version {
        Version::V3_1 => &[&ANY, &BEFORE_5_0],
        Version::V3_1_1 => &[&ANY, &SINCE_3_1_1, &ONLY_3_1_1, &BEFORE_5_0],
        Version::V5_0 => &[&ANY, &SINCE_3_1_1, &SINCE_5_0],
    };
    let written = tables.iter().copied().flatten().map(|(what, bytes)| (*what, Bytes::from_static(bytes)));
    written.chain([("a second CONNECT", Bytes::from_static(second_connect(version)))]).collect()
}

/// [MQTT-3.1.0-2]
const fn second_connect(version: Version) -> &'static [u8] {
    match version {
        Version::V3_1 => b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01a",
        Version::V3_1_1 => b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01a",
        Version::V5_0 => b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01a",
    }
}

/// What a client of 5.0 must not ask a broker for that is set up so, with what it is. Each below the root of a stage: whatever comes of it
/// would be seen.
pub fn not_on_offer(broker: &Settings) -> Vec<(&'static str, Bytes)> {
    let mut all: Vec<(&'static str, &'static [u8])> = Vec::new();
    if broker.retain_available == Some(false) {
        all.push(("PUBLISH of QoS 0 with RETAIN", b"\x31\x0D\x00\x09squall//a\x00!"));
        all.push(("PUBLISH of QoS 1 with RETAIN", b"\x33\x0F\x00\x09squall//a\xEA\x61\x00!"));
        all.push(("PUBLISH of QoS 2 with RETAIN", b"\x35\x0F\x00\x09squall//a\xEA\x61\x00!"));
    }
    if broker.wildcard_subscription_available == Some(false) {
        all.push(("SUBSCRIBE to a wildcard", b"\x82\x0F\xEA\x61\x00\x00\x09squall//#\x02"));
        all.push(("SUBSCRIBE to a topic and a wildcard", TOPIC_AND_WILDCARD));
    }
    if broker.subscription_identifiers_available == Some(false) {
        all.push(("SUBSCRIBE with a Subscription Identifier", b"\x82\x11\xEA\x61\x02\x0B\x01\x00\x09squall//a\x02"));
    }
    if broker.shared_subscription_available == Some(false) {
        all.push(("SUBSCRIBE to a share", b"\x82\x18\xEA\x61\x00\x00\x12$share/g/squall//a\x02"));
    }
    match broker.maximum_qos {
        Some(Qos::AtMostOnce) => {
            all.push(("PUBLISH of QoS 1", b"\x32\x0F\x00\x09squall//a\xEA\x61\x00!"));
            all.push(("PUBLISH of QoS 2", b"\x34\x0F\x00\x09squall//a\xEA\x61\x00!"));
        }
        Some(Qos::AtLeastOnce) => all.push(("PUBLISH of QoS 2", b"\x34\x0F\x00\x09squall//a\xEA\x61\x00!")),
        Some(Qos::ExactlyOnce) | None => {}
    }
    all.into_iter().map(|(what, bytes)| (what, Bytes::from_static(bytes))).collect()
}

const TOPIC_AND_WILDCARD: &[u8] = b"\x82\x1B\xEA\x61\x00\x00\x09squall//a\x02\x00\x09squall//+\x02";

/// DISCONNECT of 5.0 that would keep the session of a CONNECT that said otherwise (section 3.14.2.2.2): where that had no Session Expiry
/// Interval, or 0.
pub(super) fn keeps_after_all() -> Bytes {
    Bytes::from_static(b"\xE0\x07\x00\x05\x11\x00\x00\x00\x3C")
}

/// Topic Aliases that only this broker does not have: one above its highest ([MQTT-3.2.2-17]), and one that was hardly ever set.
fn aliases(broker: &Settings) -> Vec<(&'static str, Bytes)> {
    let most = broker.topic_alias_maximum.unwrap_or(Limits::default().topic_alias_maximum);
    let with = |head: &'static [u8], alias: u16| Bytes::from([head, &alias.to_be_bytes()].concat());
    let mut all = Vec::new();
    if let Some(above) = most.checked_add(1) {
        all.push(("PUBLISH with one Topic Alias more than there are", with(b"\x30\x07\x00\x01a\x03\x23", above)));
    }
    if most > 0 {
        all.push(("PUBLISH with a Topic Alias that stands for no topic", with(b"\x30\x06\x00\x00\x03\x23", most)));
    }
    all
}

/// QoS 2 messages to who takes `most` at once, and one more ([MQTT-3.3.4-7]). Each has a number of its own for a payload, from the
/// count of the plan. Below the root of a stage, as well.
pub(super) fn more_than(most: u16, numbers: &mut usize) -> Bytes {
    let mut bytes = BytesMut::new();
    for place in 0..=most {
        *numbers += 1;
        // Above all that a client's core comes to by itself.
        let id = PacketId::new(60_001 + place).expect("not 0");
        let topic = TopicName::literal("squall//a");
        let message = Publish::new(&topic, numbers.to_string()).at(Qos::ExactlyOnce, Some(id));
        Packet::Publish(message).encode(Version::V5_0, &mut bytes).expect("5.0 can write it");
    }
    bytes.freeze()
}

/// One of them, or what is wrong at a broker that is set up so.
pub(super) fn violation(draws: &mut Draws, version: Version, broker: &Settings) -> Bytes {
    let mut all = violations(version);
    if version.has_properties() && broker.maximum_qos.is_some() {
        all.push(("PUBLISH above the highest QoS", Bytes::from_static(ABOVE_THE_HIGHEST_QOS)));
    }
    if version.has_properties() {
        all.extend(aliases(broker));
    }
    all.swap_remove(draws.below(all.len())).1
}
