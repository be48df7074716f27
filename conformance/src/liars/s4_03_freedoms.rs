//! Liars about deliveries where a server has a choice, and takes a way that is none.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use squall_codec::{packet::Packet, qos::Qos, topic::TopicName};
use squall_scenarios::liar::Liar;

use super::{
    filter::liar,
    kind::{hears, tells},
};

/// A retained message for a new subscription gets lost.
pub(crate) fn loses_what_is_retained() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.retain = false;
        }
    })
}

/// Puts another level behind each topic.
pub(crate) fn adds_a_level_to_topics() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet
            && let Ok(topic) = TopicName::try_from(format!("{}/more", publish.topic()).as_str())
        {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// QoS 0 messages come again on a resumed session, as repeats.
pub(crate) fn keeps_qos_0_as_repeats() -> Box<dyn Liar> {
    let mut kept: Vec<Bytes> = Vec::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.qos == Qos::AtMostOnce
        {
            let mut repeat = passing.raw.to_vec();
            repeat[0] |= 0x08;
            kept.push(repeat.into());
        }
        passing.pass();
        if matches!(passing.from_server(), Some(Packet::Connack(connack)) if connack.session_present) {
            for repeat in kept.drain(..) {
                passing.put_bytes(passing.connection, passing.direction, repeat);
            }
        }
    })
}

/// What comes again on a resumed session comes behind two new messages.
pub(crate) fn sends_new_messages_before_repeats() -> Box<dyn Liar> {
    let mut held: BTreeMap<u64, (usize, Vec<Bytes>)> = BTreeMap::new();
    liar(move |passing| {
        let Some(Packet::Publish(publish)) = passing.from_server() else { return passing.pass() };
        let dup = publish.dup;
        let (connection, direction) = (passing.connection, passing.direction);
        let (new, repeats) = held.entry(connection).or_default();
        if dup && *new < 2 {
            return repeats.push(passing.raw.clone());
        }
        *new += 1;
        passing.pass();
        if *new == 2 {
            for repeat in repeats.drain(..) {
                passing.put_bytes(connection, direction, repeat);
            }
        }
    })
}

/// The third message of a topic and QoS comes behind the fourth.
pub(crate) fn swaps_two_of_a_kind() -> Box<dyn Liar> {
    let mut rows: BTreeMap<(u64, String, Qos), (usize, Option<Bytes>)> = BTreeMap::new();
    liar(move |passing| {
        let Some(Packet::Publish(publish)) = passing.from_server() else { return passing.pass() };
        let key = (passing.connection, publish.topic().to_owned(), publish.qos);
        let (count, held) = rows.entry(key).or_default();
        *count += 1;
        if *count == 3 {
            *held = Some(passing.raw.clone());
            return;
        }
        passing.pass();
        if let Some(held) = held.take() {
            passing.put_bytes(passing.connection, passing.direction, held);
        }
    })
}

/// PUBREL is answered only where there was a PUBREC.
pub(crate) fn answers_known_pubrels_only() -> Box<dyn Liar> {
    let mut known = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Pubrec(ack)) = passing.from_server() {
            known.insert((passing.connection, ack.packet_id));
        }
        match passing.from_client() {
            Some(Packet::Pubrel(ack))
                if passing.connections.contains_key(&passing.connection)
                    && !known.contains(&(passing.connection, ack.packet_id)) => {}
            _ => passing.pass(),
        }
    })
}

/// Sends a message again after a while as if it were new.
pub(crate) fn repeats_without_dup() -> Box<dyn Liar> {
    liar(|passing| {
        if matches!(passing.from_server(), Some(Packet::Publish(publish)) if publish.qos == Qos::AtLeastOnce) {
            let at = passing.now + Duration::from_secs(5);
            passing.pass_at(at);
        }
        passing.pass();
    })
}
