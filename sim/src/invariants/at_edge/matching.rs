//! What is delivered, against the subscriptions of the session: whether there is one, and as it was asked for.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{packet::Publish, qos::Qos};

use super::{
    Found,
    scene::{Line, Scene, Sub},
};
use crate::invariants::{
    Invariant,
    exchanges::Key,
    passed_on::is_passed_on,
    walk::{Delivered, Published},
};

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    let mut shared: BTreeMap<(String, &Key), &Delivered> = BTreeMap::new();
    for delivered in &scene.walked.delivered {
        let topic = delivered.key.0.as_str();
        let event = &scene.history.events[delivered.position];
        let Some(line) = scene.line_of(&event.connection).map(|line| &scene.lines[line]) else { continue };
        if topic.starts_with('$') || topic.is_empty() || scene.shared.contains(line.client()) {
            continue;
        }
        let Some(publish) = scene.publish(delivered.position) else { continue };
        let subs: Vec<&Sub<'_>> = scene.matching(line.client(), line.session, topic, delivered.position).collect();
        for (invariant, detail) in wrongs(scene, line, delivered, publish, &subs) {
            found.broken.push(scene.breach(invariant, delivered.position, detail));
        }
        if !delivered.is_repeat
            && let Some((invariant, detail)) = twice_shared(scene, line, delivered, &subs, &mut shared)
        {
            found.broken.push(scene.breach(invariant, delivered.position, detail));
        }
    }
}

fn wrongs(
    scene: &Scene<'_>,
    line: &Line<'_>,
    delivered: &Delivered,
    publish: &Publish,
    subs: &[&Sub<'_>],
) -> Vec<(Invariant, String)> {
    let topic = &delivered.key.0;
    let mut wrongs = Vec::new();
    // [MQTT-3.3.4-1]
    if subs.is_empty() {
        wrongs.push((
            Invariant::Subscribed,
            format!("a message on {topic} comes to a session without a subscription for it"),
        ));
        return wrongs;
    }
    let messages = scene.published(&delivered.key);
    // [MQTT-3.10.4-2]
    let left = |sub: &&Sub<'_>| sub.left.map(|mark| mark.position);
    if let Some(left) = subs.iter().map(left).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max())
        && !messages.is_empty()
        && messages.iter().all(|message| message.position > left && !message.is_will)
        && !is_again(scene, line, topic, left)
    {
        wrongs.push((
            Invariant::Subscribed,
            format!("a message on {topic} was published after UNSUBACK and still comes"),
        ));
    }
    let published = messages.iter().map(|message| message.qos).max();
    let asked = subs.iter().map(|sub| sub.options.qos).max();
    if let (Some(published), Some(asked)) = (published, asked)
        && publish.qos > published.min(asked)
    {
        let detail = format!(
            "a message on {topic} comes with QoS {} where QoS {} was published and QoS {} asked for",
            publish.qos.bits(),
            published.bits(),
            asked.bits()
        );
        wrongs.push((Invariant::AsSubscribed, detail));
    }
    let Some(message) = scene.only(&delivered.key) else { return wrongs };
    if publish.retain && !message.retain {
        wrongs.push((Invariant::AsSubscribed, format!("a message on {topic} has RETAIN, and was published without")));
    }
    if line.connect.version().has_properties()
        && let Some(said) = scene.publish(message.position).filter(|_| !message.is_will)
        && !is_passed_on(said, publish)
    {
        let detail = format!("a message on {topic} comes with other properties than it was published with");
        wrongs.push((Invariant::AsPublished, detail));
    }
    // [MQTT-3.8.3-3] Nobody says whether that holds for what is retained.
    if !publish.retain && message.publisher == line.client() && subs.iter().all(|sub| sub.options.no_local) {
        wrongs.push((
            Invariant::AsSubscribed,
            format!("a message on {topic} comes back to its publisher, who has No Local"),
        ));
    }
    if let [sub] = subs
        && sub.leaves.is_none_or(|mark| mark.position > delivered.position)
    {
        wrongs.extend(of_one(line, message, publish, sub, topic));
    }
    wrongs.extend(expiry(scene, line, message, publish, subs, delivered));
    wrongs
}

/// Whether the filters were asked for again behind a position, on whichever line of the session.
fn is_again(scene: &Scene<'_>, line: &Line<'_>, topic: &str, behind: usize) -> bool {
    scene.matching(line.client(), line.session, topic, usize::MAX).any(|sub| sub.asked.position > behind)
}

/// The one filter that ever matched says exactly how it has to come.
fn of_one(
    line: &Line<'_>,
    message: &Published,
    publish: &Publish,
    sub: &Sub<'_>,
    topic: &str,
) -> Vec<(Invariant, String)> {
    let mut wrongs = Vec::new();
    let mut wrong = |detail| wrongs.push((Invariant::AsSubscribed, detail));
    let has_properties = line.connect.version().has_properties();
    if let Some((granted, qos)) = sub.granted {
        // 3.1.1 [MQTT-3.8.4-6] [MQTT-3.8.4-8]
        let right = message.qos.min(qos);
        if publish.qos != right {
            let detail = format!("a message on {topic} comes with QoS {} and not {}", publish.qos.bits(), right.bits());
            wrong(detail);
        }
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13] 3.1.1 [MQTT-3.3.1-9]
        let right = message.retain && has_properties && sub.options.retain_as_published;
        if granted.position < message.position && publish.retain != right {
            let detail = format!(
                "a message on {topic} comes with RETAIN {} and not {}",
                u8::from(publish.retain),
                u8::from(right)
            );
            wrong(detail);
        }
    }
    // [MQTT-3.3.4-3]
    if has_properties && !publish.subscription_identifiers.iter().copied().eq(sub.identifier) {
        let detail = format!(
            "a message on {topic} has Subscription Identifiers {:?} and not {:?}",
            publish.subscription_identifiers,
            Vec::from_iter(sub.identifier)
        );
        wrong(detail);
    }
    wrongs
}

/// [MQTT-3.3.2-5] [MQTT-3.3.2-6]
fn expiry(
    scene: &Scene<'_>,
    line: &Line<'_>,
    message: &Published,
    publish: &Publish,
    subs: &[&Sub<'_>],
    delivered: &Delivered,
) -> Option<(Invariant, String)> {
    let topic = &delivered.key.0;
    let sent = scene.publish(message.position)?;
    let seconds = sent.message_expiry_interval?;
    if publish.dup || delivered.is_repeat {
        return None;
    }
    // It cannot have left before the connection stood, nor before it was asked for.
    let first = subs.iter().map(|sub| sub.asked.at).min().unwrap_or_default();
    let left_after = line.asked.at.max(first);
    let had = match message.qos {
        Qos::AtMostOnce => scene.history.events[message.position].at + scene.allowance.answer,
        _ => scene.settled(message)?.at,
    };
    let expires = had + Duration::from_secs(seconds.into());
    if left_after > expires + 4 * scene.allowance.lag {
        return Some((Invariant::MessageExpiry, format!("a message on {topic} has expired and is sent")));
    }
    if !line.connect.version().has_properties() {
        return None;
    }
    let most = u64::from(seconds) - left_after.saturating_sub(had).as_secs().min(seconds.into());
    let said = publish.message_expiry_interval;
    if said.is_some_and(|said| u64::from(said) <= most + 1) {
        return None;
    }
    // In its last second a server may find nothing to say.
    let events = &scene.history.events;
    let waited = events[delivered.position].at.saturating_sub(events[message.position].at);
    if said.is_none() && waited + Duration::from_secs(2) > Duration::from_secs(seconds.into()) {
        return None;
    }
    let said = said.map_or("nothing".to_owned(), |said| format!("{said} s"));
    Some((Invariant::MessageExpiry, format!("a message on {topic} may wait for {most} s at most and says {said}")))
}

/// [MQTT-4.8.2-4] [MQTT-4.8.2-5] A message that came for a share, and for nothing else, goes to one member.
fn twice_shared<'s>(
    scene: &Scene<'s>,
    line: &Line<'_>,
    delivered: &'s Delivered,
    subs: &[&Sub<'_>],
    seen: &mut BTreeMap<(String, &'s Key), &'s Delivered>,
) -> Option<(Invariant, String)> {
    scene.only(&delivered.key)?;
    let [first, others @ ..] = subs else { return None };
    let share = first.filter.as_str();
    first.filter.share_name()?;
    let publish = scene.publish(delivered.position)?;
    // What comes as retained came for a SUBSCRIBE.
    if others.iter().any(|other| other.filter.as_str() != share)
        || publish.dup
        || publish.retain
        || scene.resent.contains(&delivered.key.1)
    {
        return None;
    }
    let before = *seen.entry((share.to_owned(), &delivered.key)).or_insert(delivered);
    if before.position == delivered.position {
        return None;
    }
    // Who has left before it was done may be replaced.
    let connection = &scene.history.events[before.position].connection;
    let first_line = &scene.lines[scene.line_of(connection)?];
    let came = scene.history.events[delivered.position].at;
    let has_stayed = first_line.over.is_none_or(|over| over.mark.at > came + scene.allowance.lag)
        && !scene.may_be_taken_over(scene.line_of(connection)?, delivered.position);
    // A server that went down may have forgotten that it had given to another what was to go to this member.
    let may_have_forgotten = scene.back_between(scene.history.events[before.position].at, came).is_some();
    let is_wrong = (has_stayed || before.qos == Qos::AtMostOnce) && !may_have_forgotten;
    is_wrong.then(|| {
        let detail =
            format!("a message on {} comes to {} and to {} for {share}", delivered.key.0, connection, line.name);
        (Invariant::SharedOnce, detail)
    })
}
