//! What a broker held, against what its store brings back: each thing that differs, in words.

use std::fmt::Display;

use squall_broker::core::effect::Record;
use squall_codec::{
    packet::{Publish, Subscription},
    wire::Text,
};

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
            Some(other) => changed.push(change(one, other)),
            None if may_expire(one) => {}
            None => gone.push(*one),
        }
    }
    let more: Vec<&Record> =
        again.iter().copied().filter(|record| !lost.iter().any(|other| is_of_one(record, other))).collect();
    let mut found = Vec::new();
    let mut is_found = |invariant, detail: String| {
        found.push((invariant, format!("started again with what its store has, the broker {detail}")));
    };
    if !more.is_empty() {
        is_found(Invariant::Baseline, format!("has again what it had let go of: {}", list(&more, has)));
    }
    if !gone.is_empty() {
        is_found(Invariant::Durable, format!("lacks what it had: {}", list(&gone, had)));
    }
    if !changed.is_empty() {
        is_found(Invariant::Durable, format!("has something otherwise than before: {}", named(&changed)));
    }
    let is_there = |record: &&Record| has.contains(record);
    if found.is_empty() && had.iter().filter(is_there).ne(has) {
        let detail = "started again with what its store has, the broker has the same in another order";
        found.push((Invariant::Durable, detail.to_owned()));
    }
    found
}

/// What was so before and is otherwise now.
fn change(one: &Record, other: &Record) -> String {
    let (was, is) = (facts(one), facts(other));
    let differs = |((name, was), (_, is)): (&(&str, String), &(&str, String))| {
        (was != is).then(|| format!("{name} was {was} and is {is}"))
    };
    let mut changes: Vec<String> = was.iter().zip(&is).filter_map(differs).collect();
    if changes.is_empty() {
        changes.push("its properties are others".to_owned());
    }
    format!("{}: {}", name(one), changes.join(", "))
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

/// What it is, without what is said of it.
fn name(record: &Record) -> String {
    match record {
        Record::Session { client_id, .. } => format!("the session of {client_id}"),
        Record::Subscribed { client_id, subscription, .. } => {
            format!("the subscription of {client_id} to {}", subscription.filter.as_str().replace("squall//", ""))
        }
        Record::Queued { client_id, message, .. } => format!("the message {} for {client_id}", words_of(message)),
        Record::Sent { client_id, packet_id, .. } | Record::Released { client_id, packet_id, .. } => {
            format!("the exchange with identifier {packet_id} that goes to {client_id}")
        }
        Record::Received { client_id, packet_id } => {
            format!("that a QoS 2 message of {client_id} has come with identifier {packet_id}, and no PUBREL yet")
        }
        Record::Will { client_id, message, .. } => format!("the will {} of {client_id}", words_of(message)),
        Record::Retained { message, .. } => format!("the retained message {}", words_of(message)),
        other => format!("{other:?}"),
    }
}

/// What is said of it; in one order for those of a kind.
fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let yes = |is: bool| u8::from(is).to_string();
    let of_message = |message: &Publish| {
        let expiry = message.message_expiry_interval.map_or_else(|| "none".to_owned(), |seconds| seconds.to_string());
        vec![
            ("what it says", words_of(message)),
            ("QoS", message.qos.bits().to_string()),
            ("RETAIN", yes(message.retain)),
            ("Message Expiry Interval", expiry),
        ]
    };
    let of_user = |user: &Option<Text>| ("the user", user.as_ref().map_or("nobody", |user| user.as_str()).to_owned());
    match record {
        Record::Session { user, expiry_seconds, .. } => vec![seconds(*expiry_seconds), of_user(user)],
        Record::Subscribed { subscription: Subscription { options, .. }, identifier, .. } => vec![
            ("QoS", options.qos.bits().to_string()),
            ("No Local", yes(options.no_local)),
            ("Retain As Published", yes(options.retain_as_published)),
            ("Retain Handling", (options.retain_handling as u8).to_string()),
            ("Subscription Identifier", identifier.map_or_else(|| "none".to_owned(), |one| one.to_string())),
        ],
        Record::Queued { message, shared, .. } => {
            let share = shared.as_ref().map_or("none", |shared| shared.filter.as_str());
            let mut facts = of_message(message);
            facts.push(("its share", share.replace("squall//", "")));
            facts
        }
        Record::Sent { .. } => vec![("the next packet", "PUBLISH".to_owned())],
        Record::Released { .. } => vec![("the next packet", "PUBREL".to_owned())],
        Record::Will { message, delay_seconds, user, .. } => {
            let mut facts = of_message(message);
            facts.extend([("Will Delay Interval", delay_seconds.to_string()), of_user(user)]);
            facts
        }
        Record::Retained { message, .. } => of_message(message),
        _ => Vec::new(),
    }
}

fn seconds(expiry_seconds: u32) -> (&'static str, String) {
    let words = if expiry_seconds == u32::MAX { "without end".to_owned() } else { expiry_seconds.to_string() };
    ("Session Expiry Interval", words)
}

/// What stands in a state beside others there: with where it is on its way.
fn words(record: &Record, state: &[Record]) -> String {
    let Record::Queued { client_id, number, .. } = record else { return name(record) };
    let sent = state.iter().find_map(|other| match other {
        Record::Sent { client_id: of, number: other, packet_id } if (of, other) == (client_id, number) => {
            Some(packet_id)
        }
        _ => None,
    });
    match sent {
        Some(packet_id) => format!("{}, which was sent with identifier {packet_id}", name(record)),
        None => format!("{}, which waits", name(record)),
    }
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
        packet::SubscriptionOptions,
        qos::Qos,
        topic::{TopicFilter, TopicName},
        wire::PacketId,
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
        let plain = |detail: String| detail.split_once("the broker ").map(|(_, rest)| rest.to_owned());
        let found = differences(had, has).into_iter();
        found.map(|(invariant, detail)| (invariant, plain(detail).expect("whose state it is"))).collect()
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
        let lost = "lacks what it had: the message \"1\" on a for anna, which was sent with identifier 1; the message \"2\" on a for \
                    anna, which waits";
        assert_eq!(found, [(Invariant::Durable, lost.to_owned())]);
    }

    #[test]
    fn what_was_let_go_of_and_comes_back_is_named() {
        let has = [session(u32::MAX), message(1, Some(5))];
        let found = told(&has[..1], &has);
        let again = "has again what it had let go of: the message \"1\" on a for anna, which waits";
        assert_eq!(found, [(Invariant::Baseline, again.to_owned())]);
    }

    #[test]
    fn of_what_has_become_another_that_alone_is_told_which_differs() {
        let had = [session(60), subscription(Qos::ExactlyOnce)];
        let found = told(&had, &[session(u32::MAX), subscription(Qos::AtMostOnce)]);
        let other = "has something otherwise than before: the session of anna: Session Expiry Interval was 60 and is without end; the \
                     subscription of anna to a/#: QoS was 2 and is 0";
        assert_eq!(found, [(Invariant::Durable, other.to_owned())]);
    }

    #[test]
    fn another_order_is_a_difference_and_of_many_things_three_are_named() {
        let found = told(&[message(1, None), message(2, None)], &[message(2, None), message(1, None)]);
        assert_eq!(found, [(Invariant::Durable, "has the same in another order".to_owned())]);
        let many: Vec<Record> = (1..=5).map(|number| message(number, None)).collect();
        let found = told(&[], &many);
        assert!(found[0].1.ends_with("; and 2 more"), "{found:?}");
    }
}
