//! Liars about subscriptions: SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK and what is delivered because of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use squall_codec::{
    packet::{Packet, Suback, Subscribe, Subscription, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::{Passing, liar};

/// The SUBACK names another SUBSCRIBE.
pub(crate) fn answers_with_another_subscribe_id() -> Box<dyn Liar> {
    rewrites_subacks(|suback| suback.packet_id = suback.packet_id.next())
}

/// The last filter of a SUBSCRIBE gets no code.
pub(crate) fn loses_the_last_suback_code() -> Box<dyn Liar> {
    rewrites_subacks(|suback| {
        suback.reasons.pop();
    })
}

/// The codes stand in the opposite order.
pub(crate) fn reverses_suback_codes() -> Box<dyn Liar> {
    rewrites_subacks(|suback| suback.reasons.reverse())
}

fn rewrites_subacks(rewrite: impl Fn(&mut Suback) + 'static) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server() {
        Some(Packet::Suback(suback)) => {
            let mut suback = suback.clone();
            rewrite(&mut suback);
            passing.put(&Packet::Suback(suback));
        }
        _ => passing.pass(),
    })
}

/// A second SUBSCRIBE to the same filter is granted and changes nothing.
pub(crate) fn keeps_the_old_subscription() -> Box<dyn Liar> {
    let mut known: BTreeSet<(u64, TopicFilter)> = BTreeSet::new();
    liar(move |passing| {
        let Some(Packet::Subscribe(subscribe)) = passing.from_client() else { return passing.pass() };
        let again = subscribe.subscriptions.iter().all(|one| known.contains(&(passing.connection, one.filter.clone())));
        known.extend(subscribe.subscriptions.iter().map(|one| (passing.connection, one.filter.clone())));
        if !again {
            return passing.pass();
        }
        let codes = subscribe.subscriptions.iter().map(|one| granted(one.options.qos)).collect();
        let suback = Packet::Suback(Suback::new(subscribe.packet_id, codes));
        passing.answer(&suback);
    })
}

fn granted(qos: Qos) -> ReasonCode {
    ReasonCode::from_value(qos.bits()).expect("0, 1 and 2 are grants")
}

/// No Local is not looked at.
pub(crate) fn forgets_no_local() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Subscribe(subscribe)) => {
            let mut subscribe = subscribe.clone();
            for subscription in &mut subscribe.subscriptions {
                subscription.options.no_local = false;
            }
            passing.put(&Packet::Subscribe(subscribe));
        }
        _ => passing.pass(),
    })
}

/// A filter that begins with '+' also gets what is published below the same words behind a '$'.
pub(crate) fn lets_a_leading_wildcard_match_dollar_topics() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Subscribe(subscribe)) => {
            let mut subscribe = subscribe.clone();
            let hidden: Vec<Subscription> = subscribe
                .subscriptions
                .iter()
                .filter_map(|one| one.filter.as_str().strip_prefix('+'))
                .filter_map(|rest| TopicFilter::try_from(format!("$squall{rest}").as_str()).ok())
                .map(|filter| Subscription::new(filter, Qos::AtMostOnce))
                .collect();
            subscribe.subscriptions.extend(hidden);
            passing.put(&Packet::Subscribe(subscribe));
        }
        _ => passing.pass(),
    })
}

/// An UNSUBACK names another UNSUBSCRIBE.
pub(crate) fn answers_with_another_unsubscribe_id() -> Box<dyn Liar> {
    rewrites_unsubacks(|unsuback| unsuback.packet_id = unsuback.packet_id.next())
}

/// The codes of an UNSUBACK stand in the opposite order.
pub(crate) fn reverses_unsuback_codes() -> Box<dyn Liar> {
    rewrites_unsubacks(|unsuback| unsuback.reasons.rotate_left(1))
}

fn rewrites_unsubacks(rewrite: impl Fn(&mut Unsuback) + 'static) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server() {
        Some(Packet::Unsuback(unsuback)) => {
            let mut unsuback = unsuback.clone();
            rewrite(&mut unsuback);
            passing.put(&Packet::Unsuback(unsuback));
        }
        _ => passing.pass(),
    })
}

/// UNSUBSCRIBE is never answered.
pub(crate) fn swallows_unsubacks() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Unsuback(_)) => {}
        _ => passing.pass(),
    })
}

/// UNSUBSCRIBE is answered and changes nothing.
pub(crate) fn never_unsubscribes() -> Box<dyn Liar> {
    liar(|passing| {
        let Some(Packet::Unsubscribe(unsubscribe)) = passing.from_client() else { return passing.pass() };
        let reasons = match passing.version {
            Version::V5_0 => vec![ReasonCode::Success; unsubscribe.filters.len()],
            _ => Vec::new(),
        };
        let unsuback = Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, reasons));
        passing.answer(&unsuback);
    })
}

/// Who unsubscribes from a filter that ends in `/#` still has the level above it.
pub(crate) fn keeps_the_root_of_a_subtree() -> Box<dyn Liar> {
    const OWN: PacketId = PacketId::MAX;
    let mut asked: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| match (passing.from_client(), passing.from_server()) {
        (Some(Packet::Unsubscribe(unsubscribe)), _) => {
            let root = |filter: &TopicFilter| filter.filter().strip_suffix("/#").map(str::to_owned);
            let roots: Vec<String> = unsubscribe.filters.iter().filter_map(root).collect();
            passing.pass();
            let filters = roots.into_iter().filter_map(|root| TopicFilter::new(Text::new(root).ok()?).ok());
            let wanted: Vec<_> = filters.map(|filter| Subscription::new(filter, Qos::AtMostOnce)).collect();
            if !wanted.is_empty() {
                asked.insert(passing.connection);
                passing.put(&Packet::Subscribe(Subscribe::new(OWN, wanted)));
            }
        }
        (_, Some(Packet::Suback(suback))) if suback.packet_id == OWN && asked.remove(&passing.connection) => {}
        _ => passing.pass(),
    })
}

/// Whatever filter an UNSUBSCRIBE names, all subscriptions of the connection go.
pub(crate) fn unsubscribes_from_everything() -> Box<dyn Liar> {
    let mut known: BTreeMap<u64, Vec<TopicFilter>> = BTreeMap::new();
    liar(move |passing| match passing.from_client() {
        Some(Packet::Subscribe(subscribe)) => {
            let filters = subscribe.subscriptions.iter().map(|one| one.filter.clone());
            known.entry(passing.connection).or_default().extend(filters);
            passing.pass();
        }
        Some(Packet::Unsubscribe(unsubscribe)) => {
            let mut unsubscribe = unsubscribe.clone();
            unsubscribe.filters.extend(known.remove(&passing.connection).unwrap_or_default());
            passing.put(&Packet::Unsubscribe(unsubscribe));
        }
        _ => passing.pass(),
    })
}

/// Only the first filter of an UNSUBSCRIBE is looked at.
pub(crate) fn unsubscribes_from_the_first_filter_only() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Unsubscribe(unsubscribe)) => {
            let mut unsubscribe = unsubscribe.clone();
            unsubscribe.filters.truncate(1);
            passing.put(&Packet::Unsubscribe(unsubscribe));
        }
        _ => passing.pass(),
    })
}

/// A delivery that was begun is abandoned when the client unsubscribes.
pub(crate) fn abandons_deliveries_at_unsubscribe() -> Box<dyn Liar> {
    let mut left: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| match passing.from_client() {
        Some(Packet::Unsubscribe(_)) => {
            left.insert(passing.connection);
            passing.pass();
        }
        Some(Packet::Pubrec(_)) if left.contains(&passing.connection) => {}
        _ => passing.pass(),
    })
}

/// A message also goes to other connections that have a filter of which this says so.
fn delivers_also(matches: impl Fn(&str, &str) -> bool + 'static) -> Box<dyn Liar> {
    let mut filters: BTreeMap<u64, Vec<TopicFilter>> = BTreeMap::new();
    liar(move |passing| {
        match passing.from_client() {
            Some(Packet::Subscribe(subscribe)) => {
                let theirs = subscribe.subscriptions.iter().map(|one| one.filter.clone());
                filters.entry(passing.connection).or_default().extend(theirs);
            }
            Some(Packet::Publish(publish)) => {
                let copy = Packet::Publish(publish.clone().at(Qos::AtMostOnce, None));
                let matching =
                    |theirs: &[TopicFilter]| theirs.iter().any(|filter| matches(filter.as_str(), publish.topic()));
                let others = filters.iter().filter(|(_, theirs)| matching(theirs)).map(|(connection, _)| *connection);
                let others: Vec<u64> = others
                    .filter(|other| *other != passing.connection && passing.connections.contains_key(other))
                    .collect();
                for other in others {
                    passing.put_to(other, Direction::ToClient, &copy);
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Names that differ only in case match.
pub(crate) fn ignores_the_case_of_topics() -> Box<dyn Liar> {
    delivers_also(|filter, topic| filter != topic && filter.eq_ignore_ascii_case(topic))
}

/// What clients publish below `$SYS` goes to those who subscribed to it.
pub(crate) fn lets_clients_talk_below_dollar_sys() -> Box<dyn Liar> {
    delivers_also(|filter, topic| topic.starts_with("$SYS/") && filter.starts_with("$SYS/"))
}

/// Every member of a group gets what the group subscribed to.
pub(crate) fn delivers_to_each_member() -> Box<dyn Liar> {
    delivers_also(|filter, topic| {
        let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
        shared.is_some_and(|(_, filter)| filter == topic)
    })
}

/// A packet of 5.0 whose reason code (of each filter) is one that it must not carry.
pub(crate) fn unsuback_with_a_foreign_code() -> Box<dyn Liar> {
    liar(|passing| {
        let is_unsuback = matches!(passing.from_server(), Some(Packet::Unsuback(_)));
        if is_unsuback { put_with_last_byte(passing, 0x92) } else { passing.pass() }
    })
}

/// As `unsuback_with_a_foreign_code`, in SUBACK.
pub(crate) fn suback_with_a_foreign_code() -> Box<dyn Liar> {
    liar(|passing| {
        let is_suback = matches!(passing.from_server(), Some(Packet::Suback(_)));
        if is_suback { put_with_last_byte(passing, 0x92) } else { passing.pass() }
    })
}

fn put_with_last_byte(passing: &mut Passing<'_>, last: u8) {
    let mut raw = passing.raw.to_vec();
    if let Some(byte) = raw.last_mut() {
        *byte = last;
    }
    passing.put_bytes(passing.connection, passing.direction, Bytes::from(raw));
}
