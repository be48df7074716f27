//! Wills: how many must have been published, and how many may have been.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{packet::WillView, qos::Qos, reason::ReasonCode};

use super::{
    Found,
    scene::{Line, Mark, Scene, Sub},
};
use crate::invariants::{Invariant, exchanges::Key};

/// What becomes of the will of one connection.
enum Fate {
    /// It goes, at this time at the latest.
    Goes(Mark, Duration),
    /// It is discarded.
    Never,
    /// Nobody knows.
    Perhaps,
    /// Nobody knows, and a server that went down in between may not know that it has published it.
    PerhapsAgain,
}

/// All wills of the same words.
#[derive(Default)]
struct Wills {
    at_most: usize,
    going: Vec<(Mark, Duration)>,
    qos: Option<Qos>,
    is_retained: bool,
}

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    let mut wills: BTreeMap<Key, Wills> = BTreeMap::new();
    for at in 0..scene.lines.len() {
        let line = &scene.lines[at];
        let Some(will) = line.connect.will() else { continue };
        let of = wills.entry((will.topic.as_str().to_owned(), will.payload.to_vec().into())).or_default();
        of.qos = of.qos.max(Some(will.qos));
        of.is_retained |= will.retain;
        match fate(scene, at, &will) {
            Fate::Never => {}
            Fate::Perhaps => of.at_most += 1,
            Fate::PerhapsAgain => of.at_most += 1 + scene.history.outages.len(),
            Fate::Goes(mark, by) => {
                of.at_most += 1;
                of.going.push((mark, by));
            }
        }
    }
    for (key, wills) in &wills {
        too_many(scene, key, wills, found);
        for sub in &scene.subs {
            too_few(scene, key, wills, sub, found);
        }
    }
}

fn fate(scene: &Scene<'_>, at: usize, will: &WillView<'_>) -> Fate {
    let line = &scene.lines[at];
    if line.is_answered && line.granted.is_none() {
        return Fate::Never;
    }
    if line.fell {
        return Fate::PerhapsAgain;
    }
    let (Some((granted, _)), Some(over)) = (line.granted, line.over) else { return Fate::Perhaps };
    if scene.shared.contains(line.client()) || scene.may_be_taken_over(at, over.mark.position) {
        return Fate::Perhaps;
    }
    if let Some((_, disconnect)) = line.leaves {
        // [MQTT-3.14.4-3] But for RST, which may have overtaken it.
        let is_read = !over.is_reset && !line.is_hindered;
        return match disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
            true if is_read => Fate::Never,
            _ => Fate::Perhaps,
        };
    }
    let delay = will.properties.will_delay_interval().filter(|_| line.connect.version().has_properties()).unwrap_or(0);
    let waits = Duration::from_secs(delay.into()).min(line.expiry().1);
    let end = over.mark.at + waits;
    if scene.back_between(over.mark.at, end + scene.allowance.answer).is_some() {
        return Fate::PerhapsAgain;
    }
    if scene.is_short(over.mark.at) || scene.is_short(end) {
        return Fate::Perhaps;
    }
    // The server may learn of the end after it has met the next connection.
    let soon = if waits.is_zero() { scene.allowance.lag } else { 2 * scene.allowance.lag };
    let is_back = |other: &Line<'_>| {
        other.client() == line.client() && other.asked.position > granted.position && other.asked.at < end + soon
    };
    match scene.lines.iter().any(is_back) {
        true => Fate::Perhaps,
        false => Fate::Goes(line.asked, end),
    }
}

/// [MQTT-3.1.2-10] Only first deliveries count: DUP may be a repeat of what is under way.
fn too_many(scene: &Scene<'_>, key: &Key, wills: &Wills, found: &mut Found) {
    let mut counts: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for delivered in scene.walked.delivered.iter().filter(|delivered| delivered.key == *key && !delivered.is_repeat) {
        let event = &scene.history.events[delivered.position];
        let Some(line) = scene.line_of(&event.connection).map(|line| &scene.lines[line]) else { continue };
        let Some(publish) = scene.publish(delivered.position).filter(|publish| !publish.dup) else { continue };
        if scene.published(key).iter().any(|message| !message.is_will) || scene.shared.contains(line.client()) {
            continue;
        }
        let subs = scene.matching(line.client(), line.session, &key.0, delivered.position).count();
        let asked = if wills.is_retained { subs } else { 0 };
        let most = wills.at_most * subs + asked;
        let count = counts.entry((line.client(), line.session)).or_default();
        *count += 1;
        if *count > most {
            let detail = match wills.at_most {
                0 => format!("the will on {} comes, though its client has said DISCONNECT each time", publish.topic()),
                at_most => format!(
                    "the will on {} comes {count} times, and {at_most} may have been published",
                    publish.topic()
                ),
            };
            found.broken.push(scene.breach(Invariant::Will, delivered.position, detail));
        }
    }
}

/// [MQTT-3.1.2-8] For a subscriber who was there before the connections with the will, and is there at the end.
fn too_few(scene: &Scene<'_>, key: &Key, wills: &Wills, sub: &Sub<'_>, found: &mut Found) {
    let (Some((granted, qos)), client) = (sub.granted, sub.client) else { return };
    let is_there = scene.is_present(client) && scene.session_at_the_end(client) == sub.session;
    let is_owed = qos > Qos::AtMostOnce
        && wills.qos > Some(Qos::AtMostOnce)
        && is_there
        && sub.leaves.is_none()
        && !sub.is_replaced
        && sub.filter.share_name().is_none()
        && sub.filter.matches(&key.0)
        && !sub.options.no_local
        && !scene.shared.contains(client)
        && scene.takes_all_sizes(client);
    if !is_owed {
        return;
    }
    let behind: Vec<_> = wills.going.iter().filter(|(mark, _)| mark.position > granted.position).collect();
    let due = behind.iter().map(|(_, by)| *by + scene.allowance.answer).max().unwrap_or_default();
    if due > scene.until {
        found.runs_until = found.runs_until.max(due);
    }
    let by_now = behind.iter().filter(|(_, by)| *by + scene.allowance.answer <= scene.until).count();
    let came = scene.deliveries(client, key, granted.position).filter(|delivered| !delivered.is_repeat).count();
    if came < by_now {
        let detail = format!("{by_now} wills on {} must have been published, and {came} came to {client}", key.0);
        let last = behind.last().map_or(granted, |(mark, _)| *mark);
        found.missing.push(scene.breach(Invariant::Will, last.position, detail));
    }
}
