//! What is retained: that it comes to those who subscribe, and nothing that was replaced before.

use squall_codec::{packet::RetainHandling, qos::Qos};

use super::{
    Found,
    scene::{Mark, Scene, Sub},
};
use crate::invariants::{Invariant, walk::Published};

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    for delivered in scene.walked.delivered.iter().filter(|delivered| !delivered.is_repeat) {
        let event = &scene.history.events[delivered.position];
        let Some(line) = scene.line_of(&event.connection).map(|line| &scene.lines[line]) else { continue };
        let Some(publish) = scene.publish(delivered.position).filter(|publish| publish.retain && !publish.dup) else {
            continue;
        };
        let (Some(message), topic) = (scene.only(&delivered.key), publish.topic()) else { continue };
        if scene.shared.contains(line.client()) {
            continue;
        }
        let asked = || scene.matching(line.client(), line.session, &delivered.key.0, delivered.position);
        // With Retain As Published it may have come for a share: from a member who is gone, and long after it was published.
        if asked().any(|sub| sub.filter.share_name().is_some()) {
            continue;
        }
        let Some(first) = asked().map(|sub| sub.asked).min_by_key(|mark| mark.position) else { continue };
        if is_replaced(scene, message, first) {
            let detail = format!("a message on {topic} comes as retained, and was replaced before SUBSCRIBE");
            found.broken.push(scene.breach(Invariant::Retained, delivered.position, detail));
        }
    }
    for place in 0..scene.subs.len() {
        owed(scene, place, found);
    }
}

/// All others that were published to its topic with RETAIN; `None` where a will may have been.
fn others<'s>(scene: &'s Scene<'_>, message: &'s Published) -> Option<Vec<&'s Published>> {
    let to_topic = || scene.walked.published.iter().filter(|other| other.retain && other.key.0 == message.key.0);
    if to_topic().any(|other| other.is_will) {
        return None;
    }
    Some(to_topic().filter(|other| other.position != message.position).collect())
}

/// Whether the server has dealt with one before the other was sent.
fn comes_before(scene: &Scene<'_>, one: &Published, other: &Published) -> bool {
    scene.settled(one).is_some_and(|mark| {
        let sent = scene.history.events[other.position].at;
        mark.position < other.position && mark.at + scene.allowance.lag < sent
    }) || is_ahead(scene, one, other)
}

/// On one connection the order is known.
fn is_ahead(scene: &Scene<'_>, one: &Published, other: &Published) -> bool {
    let events = &scene.history.events;
    one.position < other.position
        && one.qos == other.qos
        && events[one.position].connection == events[other.position].connection
}

/// [MQTT-3.3.1-5] [MQTT-3.3.1-6] Another took its place, or took it away, before this moment.
fn is_replaced(scene: &Scene<'_>, message: &Published, before: Mark) -> bool {
    let Some(others) = others(scene, message) else { return false };
    others.into_iter().any(|other| {
        let is_settled = scene
            .settled(other)
            .is_some_and(|mark| mark.position < before.position && mark.at + scene.allowance.lag < before.at);
        is_settled && comes_before(scene, message, other)
    })
}

/// [MQTT-3.3.1-9] [MQTT-3.3.1-10] What was surely retained when SUBSCRIBE came.
fn owed(scene: &Scene<'_>, place: usize, found: &mut Found) {
    let sub = &scene.subs[place];
    let Some((granted, qos)) = sub.granted else { return };
    let client = sub.client;
    let has_properties = scene.lines[sub.line].connect.version().has_properties();
    // Perhaps in the same SUBSCRIBE.
    let is_same =
        |other: &Sub<'_>| other.client == client && other.session == sub.session && other.filter == sub.filter;
    let was_there = scene.subs[..place].iter().any(is_same);
    let is_wanted = match sub.options.retain_handling {
        _ if sub.filter.share_name().is_some() => false,
        _ if !has_properties => true,
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => !was_there,
        RetainHandling::DoNotSend => false,
    };
    let is_there = scene.is_present(client) && scene.session_at_the_end(client) == sub.session;
    if !is_wanted
        || !is_there
        || sub.leaves.is_some()
        || scene.shared.contains(client)
        || !scene.takes_all_sizes(client)
    {
        return;
    }
    let stays = scene.lines[sub.line].over.is_none();
    for message in &scene.walked.published {
        if !message.retain || message.is_will || message.key.1.is_empty() || message.expires {
            continue;
        }
        // What was published at QoS 0 may be discarded at any time.
        let goes_with = message.qos.min(qos);
        if message.qos == Qos::AtMostOnce || (goes_with == Qos::AtMostOnce && !stays) {
            continue;
        }
        let Some(settled) = scene.settled(message) else { continue };
        let is_kept = settled.position < sub.asked.position && settled.at + scene.allowance.lag < sub.asked.at;
        let is_own = sub.options.no_local && message.publisher == client;
        if !is_kept || is_own || !sub.filter.matches(&message.key.0) || scene.only(&message.key).is_none() {
            continue;
        }
        let Some(others) = others(scene, message) else { continue };
        let is_last = others.into_iter().all(|other| {
            let sent = scene.history.events[other.position].at;
            sent > granted.at + scene.allowance.lag || comes_before(scene, other, message)
        });
        if !is_last || scene.deliveries(client, &message.key, sub.asked.position).next().is_some() {
            continue;
        }
        let due = granted.at + scene.allowance.answer;
        if due > scene.until {
            found.runs_until = found.runs_until.max(due);
            continue;
        }
        let detail = format!("a message retained on {} never came for {}", message.key.0, sub.filter.as_str());
        found.missing.push(scene.breach(Invariant::Retained, sub.asked.position, detail));
    }
}
