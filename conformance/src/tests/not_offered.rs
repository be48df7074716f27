//! What a server does not offer, and before 5.0 has no way to deny: in CONNACK of 5.0 it may say so.

use std::collections::BTreeSet;

use squall_codec::{packet::Packet, qos::Qos, reason::Side};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    transcript::What,
    verdict::{Halt, Verdict},
};

use super::{both::s3_01_identifiers::other_version, offer};

/// What was asked for on a connection that the server ended.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    retain: bool,
    qos: Option<Qos>,
}

impl Asked {
    fn add(&mut self, retain: bool, qos: Qos) {
        self.retain |= retain;
        self.qos = self.qos.max(Some(qos));
    }
}

/// What became of a test of 3.1.1. One whose connection was ended after a RETAIN or a QoS which the same server denies in CONNACK
/// of 5.0, while it only led up to its question, is `unsupported`.
pub(crate) async fn excused(stage: &Stage, halt: Halt) -> Halt {
    if stage.version().has_properties() || halt.verdict != Verdict::Inconclusive {
        return halt;
    }
    let asked = asked(stage);
    if !asked.retain && asked.qos.is_none_or(|qos| qos == Qos::AtMostOnce) {
        return halt;
    }
    let newer = other_version(stage);
    let Ok(mut peer) = Peer::connected(&newer, &stage.fresh("newer")).await else { return halt };
    let retain = if asked.retain { offer::retain(&peer) } else { Ok(()) };
    let denied = retain.and_then(|()| offer::qos(&peer, asked.qos.unwrap_or(Qos::AtMostOnce)));
    peer.disconnect().await;
    match denied {
        Ok(()) => halt,
        Err(denied) => {
            let reason = format!("{} to clients of {}: {}", denied.reason, newer.version(), halt.reason);
            Halt { verdict: Verdict::Unsupported, reason, ..halt }
        }
    }
}

/// On the connections that the server ended.
fn asked(stage: &Stage) -> Asked {
    let entries = stage.transcript().entries();
    let ended: BTreeSet<_> = entries
        .iter()
        .filter(|entry| matches!(entry.what, What::Ended { .. }))
        .map(|entry| (&*entry.actor, entry.connection))
        .collect();
    let mut asked = Asked::default();
    for entry in entries.iter().filter(|entry| ended.contains(&(&*entry.actor, entry.connection))) {
        let What::Sent { bytes, .. } = &entry.what else { continue };
        match Packet::decode(stage.version(), Side::Client, bytes.clone()) {
            Ok(Packet::Publish(publish)) => asked.add(publish.retain, publish.qos),
            Ok(Packet::Connect(connect)) => {
                connect.will().into_iter().for_each(|will| asked.add(will.retain, will.qos));
            }
            _ => {}
        }
    }
    asked
}
