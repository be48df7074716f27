//! Messages that were acknowledged, and that the subscribers who are there must have by now.

use squall_codec::qos::Qos;

use super::{
    Found,
    scene::{Scene, Sub},
};
use crate::invariants::{Invariant, walk::Published};

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    for message in &scene.walked.published {
        let is_sure = !message.is_will && !message.expires && message.qos > Qos::AtMostOnce;
        if !is_sure || scene.only(&message.key).is_none() || scene.shared.contains(message.publisher.as_str()) {
            continue;
        }
        let Some(settled) = scene.settled(message) else { continue };
        let due = settled.at + scene.allowance.answer;
        if due > scene.until {
            found.runs_until = found.runs_until.max(due);
        }
        to_sessions(scene, message, found);
        to_shares(scene, message, found);
    }
}

/// Granted before the message was sent, and never given up.
fn stands(scene: &Scene<'_>, sub: &Sub<'_>, message: &Published) -> bool {
    sub.granted.is_some_and(|(mark, qos)| mark.position < message.position && qos > Qos::AtMostOnce)
        && sub.leaves.is_none()
        && !sub.is_replaced
        && scene.session_at_the_end(sub.client) == sub.session
        && scene.is_present(sub.client)
        && !scene.shared.contains(sub.client)
        && scene.takes_all_sizes(sub.client)
}

fn to_sessions(scene: &Scene<'_>, message: &Published, found: &mut Found) {
    let mut owed: Vec<&str> = Vec::new();
    for sub in &scene.subs {
        let is_own = sub.options.no_local && sub.client == message.publisher;
        let is_meant = sub.filter.share_name().is_none() && !is_own && sub.filter.matches(&message.key.0);
        if is_meant && stands(scene, sub, message) && !owed.contains(&sub.client) {
            owed.push(sub.client);
        }
    }
    for client in owed {
        if scene.deliveries(client, &message.key, message.position).next().is_none() {
            let invariant = match message.qos {
                Qos::ExactlyOnce => Invariant::ExactlyOnce,
                _ => Invariant::AtLeastOnce,
            };
            let detail = format!("a message on {} was acknowledged, and never came to {client}", message.key.0);
            found.missing.push(scene.breach(invariant, message.position, detail));
        }
    }
}

/// [MQTT-4.8.2-4] Where every member was there all the time, one of them must have it.
fn to_shares(scene: &Scene<'_>, message: &Published, found: &mut Found) {
    let shares = scene.subs.iter().filter(|sub| sub.filter.share_name().is_some());
    let mut matching: Vec<&str> =
        shares.filter(|sub| sub.filter.matches(&message.key.0)).map(|sub| sub.filter.as_str()).collect();
    matching.sort_unstable();
    matching.dedup();
    for share in matching {
        let members: Vec<&Sub<'_>> = scene.subs.iter().filter(|sub| sub.filter.as_str() == share).collect();
        let stays = |sub: &&Sub<'_>| stands(scene, sub, message) && scene.lines[sub.line].over.is_none();
        let has_come = |sub: &&Sub<'_>| scene.deliveries(sub.client, &message.key, message.position).next().is_some();
        if members.iter().all(stays) && !members.iter().any(has_come) {
            let detail = format!("a message on {} came to no member of {share}", message.key.0);
            found.missing.push(scene.breach(Invariant::SharedOnce, message.position, detail));
        }
    }
}
