//! How often and in which order messages came, against what was published.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{packet::Packet, qos::Qos};

use super::{
    Breach, Invariant,
    exchanges::{Key, key_of},
    walk::{Delivered, Published, Subscribed, Walked},
};
use crate::history::{Event, Happened, History};

/// More than was published, in another order, or what nobody has published.
pub(super) fn excess(history: &History, walked: &Walked) -> Vec<Breach> {
    let mut published: BTreeMap<&Key, Vec<&Published>> = BTreeMap::new();
    for message in &walked.published {
        published.entry(&message.key).or_default().push(message);
    }
    let mut breaches = Vec::new();
    let mut counts: BTreeMap<(&str, &Key, Qos), usize> = BTreeMap::new();
    for delivered in walked.delivered.iter().filter(|delivered| !is_the_servers_own(&delivered.key)) {
        let event = &history.events[delivered.position];
        let before = |message: &&&Published| message.position < delivered.position;
        let messages: Vec<&&Published> = published.get(&delivered.key).into_iter().flatten().filter(before).collect();
        let topic = &delivered.key.0;
        if messages.is_empty() {
            let detail = format!("a message on {topic} was delivered that nobody has published");
            breaches.push(Breach::new(Invariant::NothingInvented, event, detail));
            continue;
        }
        if delivered.is_repeat {
            continue;
        }
        let invariant = match delivered.qos {
            Qos::ExactlyOnce => Invariant::ExactlyOnce,
            // What was published above QoS 0 may be doubled where QoS 0 was granted.
            Qos::AtMostOnce if messages.iter().all(|message| message.qos == Qos::AtMostOnce) => Invariant::AtMostOnce,
            _ => continue,
        };
        let count = counts.entry((&delivered.client, &delivered.key, delivered.qos)).or_default();
        *count += 1;
        let most = allowed(walked, delivered, &messages);
        if *count > most {
            let detail = format!("a message on {topic} came {count} times and was published for {most}");
            breaches.push(Breach::new(invariant, event, detail));
        }
    }
    breaches.extend(disorder(history, walked, &published));
    breaches
}

/// As often as it was published, once for each filter that matches, and once for each subscription to what is retained.
fn allowed(walked: &Walked, delivered: &Delivered, messages: &[&&Published]) -> usize {
    let filters: BTreeSet<&str> = matching(walked, delivered).map(|subscribed| subscribed.filter.as_str()).collect();
    let published = messages.iter().filter(|message| message.qos >= delivered.qos).count() * filters.len().max(1);
    let is_kept = messages.iter().any(|message| message.retain);
    let asked = matching(walked, delivered).filter(|subscribed| subscribed.asked < delivered.position);
    published + if is_kept { asked.count() } else { 0 }
}

fn matching<'a>(walked: &'a Walked, delivered: &'a Delivered) -> impl Iterator<Item = &'a Subscribed> {
    walked
        .subscribed
        .iter()
        .filter(|subscribed| subscribed.client == delivered.client && subscribed.filter.matches(&delivered.key.0))
}

/// First deliveries against the order of publishing. Only messages that can be told apart, and no shares: their members
/// work side by side.
fn disorder(history: &History, walked: &Walked, published: &BTreeMap<&Key, Vec<&Published>>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    // For the server a repeat at QoS 1 is a new message, which may find a subscription that the first one did not.
    let again = |event: &Event| match &event.what {
        Happened::Sent(Packet::Publish(publish)) if publish.dup && publish.qos == Qos::AtLeastOnce => {
            Some(key_of(publish))
        }
        _ => None,
    };
    let again: BTreeSet<Key> = history.events.iter().filter_map(again).collect();
    let mut seen: BTreeSet<(&str, Qos, &Key)> = BTreeSet::new();
    let mut last: BTreeMap<(&str, Qos, &str, &str, Qos), &Published> = BTreeMap::new();
    for delivered in &walked.delivered {
        let Some([message]) = published.get(&delivered.key).map(Vec::as_slice) else { continue };
        let is_shared = matching(walked, delivered).any(|subscribed| subscribed.filter.share_name().is_some());
        if message.is_will
            || message.retain
            || message.refused
            || again.contains(&message.key)
            || is_shared
            || !seen.insert((&delivered.client, delivered.qos, &delivered.key))
        {
            continue;
        }
        let line = (&*delivered.client, delivered.qos, &*message.publisher, &*delivered.key.0, message.qos);
        match last.get(&line) {
            Some(before) if before.position > message.position => {
                let event = &history.events[delivered.position];
                let detail = format!("a message on {} came behind one that was published later", delivered.key.0);
                breaches.push(Breach::new(Invariant::Order, event, detail));
            }
            _ => drop(last.insert(line, message)),
        }
    }
    breaches
}

/// Messages that a subscriber who is there should have by now.
pub(super) fn outstanding(history: &History, walked: &Walked) -> Vec<Breach> {
    let mut owed: BTreeMap<(&str, &Key), (usize, &Published, Qos)> = BTreeMap::new();
    for message in walked.published.iter().filter(|message| message.accepted && !message.is_will && !message.expires) {
        let mut best: BTreeMap<&str, Qos> = BTreeMap::new();
        for subscribed in walked.subscribed.iter().filter(|subscribed| is_owed(walked, message, subscribed)) {
            if let Some((_, qos)) = subscribed.granted {
                let best = best.entry(&subscribed.client).or_default();
                *best = qos.min(message.qos).max(*best);
            }
        }
        for (client, qos) in best.into_iter().filter(|(_, qos)| *qos > Qos::AtMostOnce) {
            let owed = owed.entry((client, &message.key)).or_insert((0, message, qos));
            owed.0 += 1;
        }
    }
    let mut breaches = Vec::new();
    for ((client, key), (owed, message, qos)) in owed {
        let came = |delivered: &&Delivered| !delivered.is_repeat && delivered.client == client && delivered.key == *key;
        let count = walked.delivered.iter().filter(came).count();
        if count < owed {
            let invariant = if qos == Qos::ExactlyOnce { Invariant::ExactlyOnce } else { Invariant::AtLeastOnce };
            let detail = format!("{owed} messages on {} were acknowledged, and {count} have come to {client}", key.0);
            breaches.push(Breach::new(invariant, &history.events[message.position], detail));
        }
    }
    breaches
}

/// A subscription that stood before the message was sent and to the end.
fn is_owed(walked: &Walked, message: &Published, subscribed: &Subscribed) -> bool {
    let is_own = subscribed.no_local && subscribed.client == message.publisher;
    subscribed.granted.is_some_and(|(granted, _)| granted < message.position)
        && !subscribed.ended
        && !is_own
        && subscribed.filter.share_name().is_none()
        && subscribed.filter.matches(&message.key.0)
        && walked.present.contains(&subscribed.client)
}

fn is_the_servers_own(key: &Key) -> bool {
    key.0.starts_with('$')
}
