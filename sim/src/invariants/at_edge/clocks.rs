//! Who is let in with a session, who is taken over, who is silent for too long, and whom the server sends away.

use std::time::Duration;

use squall_codec::{reason::ReasonCode, version::Version};

use super::{
    Found,
    scene::{Line, Scene},
};
use crate::invariants::Invariant;

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    for at in 0..scene.lines.len() {
        session_present(scene, at, found);
        taken_over(scene, at, found);
        stays_open(scene, at, found);
        keep_alive(scene, at, found);
    }
}

/// [MQTT-3.2.2-2] [MQTT-3.2.2-3]
fn session_present(scene: &Scene<'_>, at: usize, found: &mut Found) {
    let line = &scene.lines[at];
    let Some((mark, connack)) = line.granted else { return };
    if line.connect.version() == Version::V3_1 {
        return;
    }
    let present = connack.session_present;
    let said = match expected(scene, at) {
        Some(true) if !present => "0 for a client whose session has not expired",
        Some(false) if present => "1 for a client who has no session",
        _ => return,
    };
    found.broken.push(scene.breach(Invariant::SessionPresent, mark.position, format!("Session Present is {said}")));
}

/// Whether the server has a session for this CONNECT; `None`: nobody knows.
fn expected(scene: &Scene<'_>, at: usize) -> Option<bool> {
    let line = &scene.lines[at];
    if line.connect.clean_start {
        return Some(false);
    }
    if scene.shared.contains(line.client()) {
        return None;
    }
    let before: Vec<&Line<'_>> = scene.lines[..at].iter().filter(|other| other.client() == line.client()).collect();
    let Some(last) = before.last() else { return Some(false) };
    let (granted, _) = last.granted?;
    let (least, most) = last.expiry();
    let asked = line.asked;
    let (answered, _) = line.granted?;
    match last.over.filter(|over| over.mark.position < asked.position) {
        // It is taken over: a session that ends with its connection may have ended or not.
        None => (!least.is_zero()).then_some(true),
        Some(over) if let Some(back) = scene.back_between(over.mark.at, asked.at) => {
            // What it had kept, it has kept. How long that lives counts from its end, or from when it was back.
            let is_alone = last.leaves.is_none();
            let lives = is_alone && answered.at + scene.allowance.lag < granted.at + least;
            let is_over = is_alone && back.saturating_add(most).saturating_add(grace(scene, most)) < asked.at;
            lives.then_some(true).or(is_over.then_some(false))
        }
        Some(over) => {
            // A server that closes it has done so some time before that is read.
            let ended = if last.is_hindered || over.by_server {
                granted.at
            } else {
                last.leaves.map_or(over.mark.at, |(mark, _)| mark.at)
            };
            if answered.at + scene.allowance.lag < ended + least {
                Some(true)
            } else if over.mark.at + most + grace(scene, most) < asked.at {
                Some(false)
            } else {
                None
            }
        }
    }
}

/// A session that ends with its connection needs no clock.
fn grace(scene: &Scene<'_>, expiry: Duration) -> Duration {
    if expiry.is_zero() { 4 * scene.allowance.lag } else { scene.allowance.clock }
}

/// [MQTT-3.1.4-3] 3.1.1 [MQTT-3.1.4-2]
fn taken_over(scene: &Scene<'_>, at: usize, found: &mut Found) {
    let line = &scene.lines[at];
    let Some((granted, _)) = line.granted.filter(|_| line.over.is_none() && !line.may_be_stuck() && !line.fell) else {
        return;
    };
    let newer =
        scene.lines.iter().filter(|other| other.client() == line.client() && other.asked.position > granted.position);
    let Some((taken, _)) = newer.filter_map(|other| other.granted).next() else { return };
    let due = taken.at + scene.allowance.answer;
    if due > scene.until {
        found.runs_until = found.runs_until.max(due);
        return;
    }
    let detail = format!("{}, whose session was taken over, is still open", line.name);
    found.missing.push(scene.breach(Invariant::TakeOver, taken.position, detail));
}

/// Reasons for which a server may send anybody away.
const BOUNDS: [ReasonCode; 10] = [
    ReasonCode::ImplementationSpecificError,
    ReasonCode::ServerBusy,
    ReasonCode::ServerShuttingDown,
    ReasonCode::ReceiveMaximumExceeded,
    ReasonCode::PacketTooLarge,
    ReasonCode::MessageRateTooHigh,
    ReasonCode::QuotaExceeded,
    ReasonCode::AdministrativeAction,
    ReasonCode::UseAnotherServer,
    ReasonCode::MaximumConnectTime,
];

/// A server that closes a connection on which nothing is wrong. What a fault holds up may be a reason.
fn stays_open(scene: &Scene<'_>, at: usize, found: &mut Found) {
    let line = &scene.lines[at];
    let Some(over) = line.over.filter(|over| over.by_server && line.granted.is_some()) else { return };
    let silent_for = over.mark.at.saturating_sub(line.heard);
    let patience = line.keep_alive().map(|keep_alive| keep_alive * 3 / 2);
    // What the client has said at last, the server may not have waited for.
    let silence = silent_for.max(line.silence);
    let is_silent = patience.is_some_and(|patience| silence + scene.allowance.lag >= patience);
    let is_bound = line.sent_away.is_some_and(|reason| BOUNDS.contains(&reason));
    if line.leaves.is_some()
        || line.is_hindered
        || line.fell
        || scene.is_short(over.mark.at)
        || is_silent
        || is_bound
        || scene.may_be_taken_over(at, over.mark.position)
    {
        return;
    }
    let why = line.sent_away.map_or_else(String::new, |reason| format!(" with {reason}"));
    let (invariant, but) = match patience.filter(|_| line.sent_away == Some(ReasonCode::KeepAliveTimeout)) {
        Some(patience) => (
            Invariant::KeepAlive,
            format!(
                "it was heard {:.3} s ago, and the limit is {:.1} s",
                silent_for.as_secs_f64(),
                patience.as_secs_f64()
            ),
        ),
        None => (Invariant::StaysOpen, "nothing was wrong".to_owned()),
    };
    let detail = format!("the server closes the connection{why}: {but}");
    found.broken.push(scene.breach(invariant, over.mark.position, detail));
}

/// [MQTT-3.1.2-22] 3.1.1 [MQTT-3.1.2-24]
fn keep_alive(scene: &Scene<'_>, at: usize, found: &mut Found) {
    let line = &scene.lines[at];
    let Some(keep_alive) = line.keep_alive().filter(|_| !line.may_be_stuck() && !line.fell) else { return };
    // Of a packet that came in part nobody knows when.
    let since = line.heard + if line.is_hindered { keep_alive } else { Duration::ZERO };
    let due = since + keep_alive * 3 / 2 + scene.allowance.clock;
    let end = match line.over {
        Some(over) => over.mark.at,
        None if due <= scene.until => scene.until,
        None => {
            // Whoever is there speaks again; of the others it is waited for.
            let is_there = line.heard + keep_alive * 3 / 2 > scene.until;
            found.runs_until = if is_there { found.runs_until } else { found.runs_until.max(due) };
            return;
        }
    };
    if end > due {
        let detail = format!(
            "a client is silent for {:.1} s and still served, with a Keep Alive of {} s",
            (end - line.heard).as_secs_f64(),
            keep_alive.as_secs()
        );
        let position = line.over.map_or(line.asked.position, |over| over.mark.position);
        found.missing.push(scene.breach(Invariant::KeepAlive, position, detail));
    }
}
