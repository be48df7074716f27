//! What a broker held, against what its store brings back: each thing that differs, in words.

use std::fmt::Display;

use squall_broker::core::effect::Record;
use squall_codec::packet::{RetainHandling, Subscription};

use crate::{invariants::Invariant, model::words_of};

/// So many things are named; of the others how many they are.
const NAMED: usize = 3;

/// What differs: what the broker has lost with the crash, what it has again though it had let go of it, what has become another.
/// What may have expired meanwhile need not be there.
pub(super) fn differences(had: &[Record], has: &[Record]) -> Vec<(Invariant, String)> {
    if had == has {
        return Vec::new();
    }
    let lost: Vec<&Record> = had.iter().filter(|record| !has.contains(record)).collect();
    let again: Vec<&Record> = has.iter().filter(|record| !had.contains(record)).collect();
    let (mut changed, mut gone) = (Vec::new(), Vec::new());
    for one in &lost {
        match again.iter().find(|other| is_of_one(one, other)) {
            Some(other) => changed.push(format!("{}, and now {}", words(one, had), words(other, has))),
            None if may_expire(one) => {}
            None => gone.push(*one),
        }
    }
    let more: Vec<&Record> =
        again.iter().copied().filter(|record| !lost.iter().any(|other| is_of_one(record, other))).collect();
    let mut found = Vec::new();
    if !more.is_empty() {
        let detail = format!(
            "when all was done the broker was cut off and started again from its store, and it has again what it had let go of: {}",
            list(&more, has)
        );
        found.push((Invariant::Baseline, detail));
    }
    if !gone.is_empty() {
        let detail = format!(
            "when all was done the broker was cut off and started again from its store, and it does not have any more what it had: \
             {} (its store has lost it, or it should have let go of it)",
            list(&gone, had)
        );
        found.push((Invariant::Durable, detail));
    }
    if !changed.is_empty() {
        let detail = format!(
            "when all was done the broker was cut off and started again from its store, and it has something else than before: {}",
            named(&changed)
        );
        found.push((Invariant::Durable, detail));
    }
    let is_there = |record: &&Record| has.contains(record);
    if found.is_empty() && had.iter().filter(is_there).ne(has) {
        let detail = "when all was done the broker was cut off and started again from its store, and it has the same in another order";
        let detail = detail.to_owned();
        found.push((Invariant::Durable, detail));
    }
    found
}

/// Whether both speak of one thing, whatever they say of it.
fn is_of_one(one: &Record, other: &Record) -> bool {
    use Record::{Queued, Received, Released, Retained, Sent, Session, Subscribed, Will};
    match (one, other) {
        (Session { client_id: one, .. }, Session { client_id: other, .. })
        | (Will { client_id: one, .. }, Will { client_id: other, .. }) => one == other,
        (Subscribed { client_id, subscription, .. }, Subscribed { client_id: of, subscription: other, .. }) => {
            client_id == of && subscription.filter == other.filter
        }
        (Queued { client_id, number, .. }, Queued { client_id: of, number: other, .. }) => {
            (client_id, number) == (of, other)
        }
        (
            Sent { client_id, packet_id, .. } | Released { client_id, packet_id, .. },
            Sent { client_id: of, packet_id: other, .. } | Released { client_id: of, packet_id: other, .. },
        )
        | (Received { client_id, packet_id }, Received { client_id: of, packet_id: other }) => {
            (client_id, packet_id) == (of, other)
        }
        (Retained { message: one, .. }, Retained { message: other, .. }) => one.topic() == other.topic(),
        _ => false,
    }
}

/// [MQTT-3.3.2-5] What has expired meanwhile is dropped.
fn may_expire(record: &Record) -> bool {
    match record {
        Record::Queued { message, .. } | Record::Retained { message, .. } => message.message_expiry_interval.is_some(),
        _ => false,
    }
}

/// What stands in a state beside others there.
fn words(record: &Record, state: &[Record]) -> String {
    match record {
        Record::Session { client_id, expiry_seconds: u32::MAX, .. } => {
            format!("the session of {client_id}, without end")
        }
        Record::Session { client_id, expiry_seconds, .. } => {
            format!("the session of {client_id}, with Session Expiry Interval {expiry_seconds}")
        }
        Record::Subscribed { client_id, subscription, identifier } => {
            format!("the subscription of {client_id}: {}", subscribed(subscription, *identifier))
        }
        Record::Queued { client_id, number, message, .. } => {
            let sent = state.iter().find_map(|other| match other {
                Record::Sent { client_id: of, number: other, packet_id } if (of, other) == (client_id, number) => {
                    Some(packet_id)
                }
                _ => None,
            });
            let stage = sent.map_or_else(|| "that waits".to_owned(), |id| format!("in flight with identifier {id}"));
            let qos = message.qos.bits();
            format!(
                "the message {} for {client_id}, with QoS {qos}{}, {stage}",
                words_of(message),
                flags(message.retain)
            )
        }
        Record::Sent { client_id, packet_id, .. } => {
            format!("the identifier {packet_id} of a message that was sent to {client_id}")
        }
        Record::Released { client_id, packet_id, .. } => {
            format!("the PUBREL to {client_id} with identifier {packet_id}")
        }
        Record::Received { client_id, packet_id } => {
            format!("the identifier {packet_id} of a QoS 2 message of {client_id} that PUBREL has not released")
        }
        Record::Will { client_id, message, delay_seconds, .. } => {
            let qos = message.qos.bits();
            let (words, flags) = (words_of(message), flags(message.retain));
            format!("the will {words} of {client_id}, with QoS {qos}{flags} and Will Delay Interval {delay_seconds}")
        }
        Record::Retained { message, .. } => {
            format!("the retained message {}, with QoS {}", words_of(message), message.qos.bits())
        }
        other => format!("{other:?}"),
    }
}

fn flags(retain: bool) -> &'static str {
    if retain { " and RETAIN" } else { "" }
}

fn subscribed(subscription: &Subscription, identifier: Option<u32>) -> String {
    let Subscription { filter, options } = subscription;
    let filter = filter.as_str().replace("squall//", "");
    let mut words = format!("{filter} with QoS {}", options.qos.bits());
    let handling = match options.retain_handling {
        RetainHandling::Send => None,
        other => Some(format!("Retain Handling {}", other as u8)),
    };
    let more = [
        options.no_local.then(|| "No Local".to_owned()),
        options.retain_as_published.then(|| "Retain As Published".to_owned()),
        handling,
        identifier.map(|identifier| format!("Subscription Identifier {identifier}")),
    ];
    for one in more.into_iter().flatten() {
        words = format!("{words}, {one}");
    }
    words
}

/// Of a message that was sent its place in the queue says it all.
fn list(records: &[&Record], state: &[Record]) -> String {
    let is_told = |record: &Record| {
        let Record::Sent { client_id, number, .. } = record else { return false };
        records.iter().any(|other| {
            matches!(other, Record::Queued { client_id: of, number: other, .. } if (client_id, number) == (of, other))
        })
    };
    let told: Vec<String> =
        records.iter().filter(|record| !is_told(record)).map(|record| words(record, state)).collect();
    named(&told)
}

fn named(things: &[impl Display]) -> String {
    let named: Vec<String> = things.iter().take(NAMED).map(ToString::to_string).collect();
    let more = things.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", named.join("; "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall_codec::{
        packet::{Publish, SubscriptionOptions},
        qos::Qos,
        topic::{TopicFilter, TopicName},
        wire::{PacketId, Text},
    };

    use super::*;

    fn session(expiry_seconds: u32) -> Record {
        Record::Session { client_id: Text::literal("anna"), user: None, expiry_seconds, ended: None }
    }

    fn subscription(qos: Qos) -> Record {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let subscription = Subscription { filter: TopicFilter::literal("squall//a/#"), options };
        Record::Subscribed { client_id: Text::literal("anna"), subscription, identifier: Some(7) }
    }

    fn message(number: u64, expiry: Option<u32>) -> Record {
        let mut message = Publish::new(&TopicName::literal("squall//a"), number.to_string()).at(Qos::AtLeastOnce, None);
        message.message_expiry_interval = expiry;
        Record::Queued { client_id: Text::literal("anna"), number, message, arrived: Duration::ZERO, shared: None }
    }

    fn sent(number: u64) -> Record {
        Record::Sent { client_id: Text::literal("anna"), number, packet_id: PacketId::MIN }
    }

    fn told(had: &[Record], has: &[Record]) -> Vec<(Invariant, String)> {
        let found = differences(had, has);
        let plain = |detail: String| detail.rsplit_once("its store, and ").map(|(_, rest)| rest.to_owned());
        found.into_iter().map(|(invariant, detail)| (invariant, plain(detail).expect("how it was seen"))).collect()
    }

    #[test]
    fn the_same_state_is_no_difference_and_neither_is_what_may_have_expired() {
        let state = [session(60), subscription(Qos::AtLeastOnce), message(1, Some(5)), message(2, None)];
        assert_eq!(differences(&state, &state), []);
        let less = [state[0].clone(), state[1].clone(), state[3].clone()];
        assert_eq!(differences(&state, &less), []);
    }

    #[test]
    fn what_is_lost_is_named() {
        let had = [session(60), message(1, None), sent(1), message(2, None)];
        let found = told(&had, &had[..1]);
        let lost = "it does not have any more what it had: the message \"1\" on a for anna, with QoS 1, in flight with identifier 1; \
                    the message \"2\" on a for anna, with QoS 1, that waits (its store has lost it, or it should have let go of it)";
        assert_eq!(found, [(Invariant::Durable, lost.to_owned())]);
    }

    #[test]
    fn what_was_let_go_of_and_comes_back_is_named() {
        let has = [session(u32::MAX), message(1, Some(5))];
        let found = told(&has[..1], &has);
        let again = "it has again what it had let go of: the message \"1\" on a for anna, with QoS 1, that waits";
        assert_eq!(found, [(Invariant::Baseline, again.to_owned())]);
    }

    #[test]
    fn what_has_become_another_is_told_with_what_it_was() {
        let found =
            told(&[session(60), subscription(Qos::ExactlyOnce)], &[session(u32::MAX), subscription(Qos::AtMostOnce)]);
        let other = "it has something else than before: the session of anna, with Session Expiry Interval 60, and now the session of \
                     anna, without end; the subscription of anna: a/# with QoS 2, Subscription Identifier 7, and now the \
                     subscription of anna: a/# with QoS 0, Subscription Identifier 7";
        assert_eq!(found, [(Invariant::Durable, other.to_owned())]);
    }

    #[test]
    fn another_order_is_a_difference_and_of_many_things_three_are_named() {
        let found = told(&[message(1, None), message(2, None)], &[message(2, None), message(1, None)]);
        assert_eq!(found, [(Invariant::Durable, "it has the same in another order".to_owned())]);
        let many: Vec<Record> = (1..=5).map(|number| message(number, None)).collect();
        let found = told(&[], &many);
        assert!(found[0].1.ends_with("; and 2 more"), "{found:?}");
    }
}
