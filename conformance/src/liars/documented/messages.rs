//! Messages that are retained, copied or about to expire, and what goes wrong with them on their way.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar};

use crate::liars::{
    filter::liar,
    kind::{hears, tells},
};

/// What is retained on a name with a dot is kept under the name with a slash.
pub(crate) fn takes_retained_dots_for_slashes() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet
            && publish.retain
            && let Ok(topic) = TopicName::try_from(publish.topic().replace('.', "/").as_str())
        {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// Of what is retained a wildcard between names finds the first branch only.
pub(crate) fn looks_into_one_branch() -> Box<dyn Liar> {
    let mut wild: BTreeMap<u64, usize> = BTreeMap::new();
    let mut branches: BTreeMap<u64, String> = BTreeMap::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Subscribe(subscribe)) => {
                let plus = |one: &TopicFilter| one.filter().split('/').position(|level| level == "+");
                if let Some(level) = subscribe.subscriptions.iter().find_map(|one| plus(&one.filter)) {
                    wild.insert(passing.connection, level);
                }
            }
            Some(Packet::Publish(publish)) if publish.retain && passing.direction == Direction::ToClient => {
                if let Some(level) = wild.get(&passing.connection) {
                    let branch = publish.topic().split('/').nth(*level).unwrap_or_default().to_owned();
                    let first = branches.entry(passing.connection).or_insert_with(|| branch.clone());
                    if *first != branch {
                        return;
                    }
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

/// What a client of one version retained is there for clients of that version only.
pub(crate) fn retains_for_its_own_version() -> Box<dyn Liar> {
    let mut origins: BTreeMap<String, Version> = BTreeMap::new();
    liar(move |passing| {
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToServer) if publish.retain => {
                origins.insert(publish.topic().to_owned(), passing.version);
            }
            (Some(Packet::Publish(publish)), Direction::ToClient)
                if publish.retain && origins.get(publish.topic()).is_some_and(|origin| *origin != passing.version) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A message that was delivered to somebody at QoS 0 is lowered to that for all who get it after them.
pub(crate) fn lowers_one_copy_and_all_that_follow() -> Box<dyn Liar> {
    let mut lowered: BTreeSet<(String, Vec<u8>)> = BTreeSet::new();
    let mut cut: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_server().cloned() {
            Some(Packet::Publish(publish)) if !publish.retain && !publish.dup => {
                let key = (publish.topic().to_owned(), publish.payload().to_vec());
                match (publish.qos, publish.packet_id) {
                    (Qos::AtMostOnce, _) => drop(lowered.insert(key)),
                    (qos, Some(id)) if lowered.contains(&key) => {
                        let answer = match qos {
                            Qos::ExactlyOnce => Packet::Pubrec(Ack::new(id)),
                            _ => Packet::Puback(Ack::new(id)),
                        };
                        cut.insert((connection, id));
                        passing.answer(&answer);
                        return passing.put(&Packet::Publish(publish.at(Qos::AtMostOnce, None)));
                    }
                    _ => {}
                }
            }
            Some(Packet::Pubrel(ack)) if cut.remove(&(connection, ack.packet_id)) => {
                return passing.answer(&Packet::Pubcomp(Ack::new(ack.packet_id)));
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A message with a second left, or less, does not say so.
pub(crate) fn leaves_out_the_last_second() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.message_expiry_interval = publish.message_expiry_interval.filter(|seconds| *seconds > 1);
        }
    })
}

/// An UNSUBSCRIBE from a share is taken for one from the filter behind it.
pub(crate) fn takes_a_share_for_its_filter() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Unsubscribe(unsubscribe) = packet {
            for filter in &mut unsubscribe.filters {
                if let Ok(plain) = TopicFilter::try_from(filter.filter()) {
                    *filter = plain;
                }
            }
        }
    })
}

/// Whoever asks for Response Information gets it in a CONNACK that cannot be read.
pub(crate) fn garbles_response_information() -> Box<dyn Liar> {
    let mut curious: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) if connect.properties().request_response_information() == Some(1) => {
                curious.insert(passing.connection);
            }
            Some(Packet::Connack(_)) if curious.contains(&passing.connection) => {
                // Response Information, and a string that is longer than the packet.
                let garbled: &'static [u8] = &[0x20, 0x07, 0x00, 0x00, 0x04, 0x1A, 0x00, 0x05, b'a'];
                return passing.put_bytes(passing.connection, passing.direction, garbled.into());
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A SUBACK that refuses a filter is followed by what is retained there.
pub(crate) fn shows_what_is_retained_to_everybody() -> Box<dyn Liar> {
    let mut kept: BTreeMap<String, Publish> = BTreeMap::new();
    let mut asked: BTreeMap<(u64, PacketId), Vec<TopicFilter>> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        passing.pass();
        match passing.packet.clone() {
            Some(Packet::Publish(publish)) if passing.direction == Direction::ToServer && publish.retain => {
                kept.insert(publish.topic().to_owned(), publish);
            }
            Some(Packet::Subscribe(subscribe)) => {
                let filters = subscribe.subscriptions.iter().map(|one| one.filter.clone()).collect();
                asked.insert((connection, subscribe.packet_id), filters);
            }
            Some(Packet::Suback(suback)) => {
                let filters = asked.remove(&(connection, suback.packet_id)).unwrap_or_default();
                for (filter, _) in filters.iter().zip(&suback.reasons).filter(|(_, reason)| reason.is_failure()) {
                    for publish in kept.values().filter(|publish| filter.matches(publish.topic())) {
                        passing.put(&Packet::Publish(publish.clone().at(Qos::AtMostOnce, None)));
                    }
                }
            }
            _ => {}
        }
    })
}
