//! How a refused CONNECT, a closed connection and a set of cases are judged: every lawful outcome passes.

use std::time::Duration;

use squall_codec::{
    packet::{Connack, Packet},
    reason::{ReasonCode, Side},
    version::Version,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::{End, Stage},
    transcript::{EntryId, What},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict, Witness},
};

/// An entry of the transcript as a witness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At(pub(crate) EntryId);

impl Witness for At {
    fn entry(&self) -> EntryId {
        self.0
    }
}

/// All that came until the connection ended, or until the stage's patience ran out.
#[derive(Clone, Debug)]
pub(crate) struct Farewell {
    pub(crate) packets: Vec<Seen<Packet>>,
    /// Bytes that are no packet of this version.
    pub(crate) malformed: Option<Seen<String>>,
    pub(crate) end: Option<Seen<End>>,
}

/// Listens until the connection ends, or until a CONNACK lets the client in: who is let in is not bidden farewell, and to wait
/// for that would be in vain. Answers nothing.
pub(crate) async fn farewell(peer: &mut Peer) -> Farewell {
    farewell_or(peer, lets_in).await
}

fn lets_in(packet: &Packet) -> bool {
    matches!(packet, Packet::Connack(connack) if !connack.reason.is_failure())
}

/// Listens until the connection ends, or until a packet comes that says enough.
pub(crate) async fn farewell_or(peer: &mut Peer, enough: impl Fn(&Packet) -> bool) -> Farewell {
    let by = peer.stage().now() + peer.stage().patience();
    farewell_by(peer, by, enough).await
}

/// The same of many, who have one patience in common. One after the other they would each have their own.
pub(crate) async fn farewells(stage: &Stage, peers: &mut [Peer]) -> Vec<Farewell> {
    let by = stage.now() + stage.patience();
    let mut seen = Vec::new();
    for peer in peers {
        seen.push(farewell_by(peer, by, lets_in).await);
    }
    seen
}

async fn farewell_by(peer: &mut Peer, by: Duration, enough: impl Fn(&Packet) -> bool) -> Farewell {
    let mut farewell = Farewell { packets: Vec::new(), malformed: None, end: None };
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                let is_enough = enough(&packet);
                farewell.packets.push(packet);
                if is_enough {
                    return farewell;
                }
            }
            Next::Malformed(what) => {
                if farewell.malformed.replace(what).is_some() {
                    return farewell;
                }
            }
            Next::End(end) => {
                farewell.end = Some(end);
                return farewell;
            }
            Next::Nothing => return farewell,
        }
    }
}

impl Farewell {
    /// The CONNACK, if there is one.
    pub(crate) fn connack(&self) -> Option<(&Connack, &Seen<Packet>)> {
        self.packets.iter().find_map(|seen| match &**seen {
            Packet::Connack(connack) => Some((&**connack, seen)),
            _ => None,
        })
    }

    /// The reason of the DISCONNECT, if there is one.
    pub(crate) fn disconnect(&self) -> Option<(ReasonCode, &Seen<Packet>)> {
        self.packets.iter().find_map(|seen| match &**seen {
            Packet::Disconnect(disconnect) => Some((disconnect.reason, seen)),
            _ => None,
        })
    }
}

/// REFUSE: these bytes are a CONNECT with a fault. The connection must be closed and never be accepted. In 5.0 a CONNACK
/// may come first: another reason than one of `codes` is a warning.
///
/// A faultless CONNECT is accepted first, so that a server which turns everybody away learns nothing from it.
pub(crate) async fn refuses(stage: &Stage, offence: &str, bytes: &[u8], codes: &[ReasonCode]) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut peer = Peer::open(stage, "offender").await?;
    peer.send_bytes(bytes).await;
    let farewell = farewell(&mut peer).await;
    judge_refusal(stage, offence, codes, &farewell)
}

/// What a server made of a CONNECT with a fault.
pub(crate) fn judge_refusal(stage: &Stage, offence: &str, codes: &[ReasonCode], seen: &Farewell) -> Outcome {
    if let Some((connack, at)) = seen.connack().filter(|(connack, _)| !connack.reason.is_failure()) {
        let reason = format!("expected {offence} to be refused, but CONNACK {} came", connack.reason);
        return Err(Halt::fail(reason).at(at));
    }
    let Some(end) = &seen.end else {
        let said = match seen.connack() {
            Some((connack, _)) => format!("CONNACK {} came and the connection stayed open", connack.reason),
            None => format!("the connection was still open after {:?}", stage.patience()),
        };
        let halt = Halt::fail(format!("expected {offence} to end in a closed connection, but {said}"));
        return Err(match seen.connack() {
            Some((_, at)) => halt.at(at),
            None => halt,
        });
    };
    let mut evidence = Evidence::of(end);
    if stage.version() == Version::V5_0 {
        if let Some((connack, at)) = seen.connack() {
            evidence = evidence.and(at);
            if !codes.contains(&connack.reason) {
                evidence =
                    evidence.warn(format!("{offence}: expected CONNACK {}, got {}", listed(codes), connack.reason));
            }
        }
        if let Some((_, at)) = seen.disconnect() {
            // That it comes before any CONNACK has a test of its own: 5.0 [MQTT-3.14.0-1].
            evidence = evidence.and(at);
        }
    }
    if let Some(what) = &seen.malformed {
        let reason = format!("{offence}: what came before the close is no packet of {}: {}", stage.version(), **what);
        evidence = evidence.and(what).warn(reason);
    }
    Ok(evidence)
}

/// What becomes of a server that does not notice the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unnoticed {
    /// A numbered rule makes it look.
    Fails,
    /// 5.0 4.13.1 leaves the rigour of its checks to the receiver.
    Warns,
    /// As `Warns`; but the text calls it an error, so that answering as if nothing were wrong fails.
    FailsIfAnswered,
}

/// A connected client that was answered: whoever closes on it later does so for a reason.
pub(crate) async fn offender(stage: &Stage) -> Result<Peer, Halt> {
    // A name for each: a server may be slow to forget the one before.
    offender_as(stage, &stage.fresh("offender")).await
}

/// As `offender`, under this name.
pub(crate) async fn offender_as(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
    let mut peer = Peer::connected(stage, actor).await?;
    peer.fence().await.prepared()?;
    Ok(peer)
}

/// How long a server has the word before it is asked whether it is still there: a PINGREQ on its way to a socket that
/// is being closed may cost the DISCONNECT that came before.
pub(crate) const GRACE: Duration = Duration::from_millis(300);

/// How long the close may lag behind the answer to a PINGREQ: not every server does one thing after the other.
pub(crate) const LAG: Duration = Duration::from_millis(500);

/// All that comes after an offence, and the answer to a PINGREQ that follows it: a server that goes on serving has not
/// noticed, and need not be waited for any longer.
pub(crate) async fn parting(peer: &mut Peer) -> (Farewell, Option<Seen<Packet>>) {
    let patience = peer.stage().patience();
    let mut seen = Farewell { packets: Vec::new(), malformed: None, end: None };
    let mut pong = None;
    listen(peer, peer.stage().now() + GRACE, &mut seen, &mut pong).await;
    if seen.end.is_none() {
        peer.send(Packet::Pingreq).await;
        listen(peer, peer.stage().now() + patience, &mut seen, &mut pong).await;
    }
    if seen.end.is_none() && pong.is_some() {
        listen(peer, peer.stage().now() + LAG, &mut seen, &mut None).await;
    }
    (seen, pong)
}

/// Collects until the connection ends, PINGRESP comes, or the time has come.
pub(crate) async fn listen(peer: &mut Peer, by: Duration, seen: &mut Farewell, pong: &mut Option<Seen<Packet>>) {
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) if matches!(*packet, Packet::Pingresp) => {
                *pong = Some(packet);
                return;
            }
            Next::Packet(packet) => seen.packets.push(packet),
            Next::Malformed(what) => {
                if seen.malformed.replace(what).is_some() {
                    return;
                }
            }
            Next::End(end) => {
                seen.end = Some(end);
                return;
            }
            Next::Nothing => return,
        }
    }
}

/// CLOSE: these bytes break the protocol. The connection must be closed. In 5.0 a DISCONNECT may come first: another
/// reason than one of `codes` is a warning.
pub(crate) async fn closes(
    peer: &mut Peer,
    offence: &str,
    bytes: &[u8],
    codes: &[ReasonCode],
    unnoticed: Unnoticed,
) -> Outcome {
    let sent = peer.send_bytes(bytes).await;
    let (seen, pong) = parting(peer).await;
    judge_close(peer.stage(), offence, codes, unnoticed, (&seen, pong.as_ref()), &sent)
}

/// What a server made of an offence: what came after it, and whether a PINGREQ was answered.
pub(crate) fn judge_close(
    stage: &Stage,
    offence: &str,
    codes: &[ReasonCode],
    unnoticed: Unnoticed,
    (seen, pong): (&Farewell, Option<&Seen<Packet>>),
    sent: &impl Witness,
) -> Outcome {
    let Some(end) = &seen.end else {
        let (served, witness) = match pong {
            Some(pong) => ("it is still served (PINGREQ was answered)", pong.entry()),
            None => ("it is still open", seen.packets.last().map_or(sent.entry(), Witness::entry)),
        };
        let answer = seen.packets.iter().find(|packet| !matches!(***packet, Packet::Disconnect(_)));
        let reason = format!("expected {offence} to close the connection, but {served}");
        return match (unnoticed, answer) {
            (Unnoticed::FailsIfAnswered, Some(answer)) => {
                Err(Halt::fail(format!("expected {offence} to close the connection, but {} came", **answer)).at(answer))
            }
            (Unnoticed::Fails, _) => Err(Halt::fail(reason).at(&At(witness))),
            (Unnoticed::Warns | Unnoticed::FailsIfAnswered, _) => Ok(Evidence::of(&At(witness)).warn(reason)),
        };
    };
    let mut evidence = Evidence::of(end);
    for packet in &seen.packets {
        match (&**packet, stage.version()) {
            (Packet::Disconnect(disconnect), Version::V5_0) => {
                evidence = evidence.and(packet);
                if !codes.contains(&disconnect.reason) {
                    let reason = format!("{offence}: expected DISCONNECT {}, got {}", listed(codes), disconnect.reason);
                    evidence = evidence.warn(reason);
                }
            }
            (packet_before, _) => {
                let reason = format!("{offence}: a {} came before the close", packet_before.kind());
                evidence = evidence.and(packet).warn(reason);
            }
        }
    }
    if let Some(what) = &seen.malformed {
        let reason = format!("{offence}: what came before the close is no packet of {}: {}", stage.version(), **what);
        evidence = evidence.and(what).warn(reason);
    }
    Ok(evidence)
}

/// What became of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Served {
    /// A PINGREQ was answered.
    Yes(At),
    /// Its connection was ended.
    Ended(At),
    /// Neither, in the stage's patience.
    Neither,
}

/// Whether a client is still served. What comes meanwhile is passed over.
pub(crate) async fn served(peer: &mut Peer) -> Served {
    peer.send(Packet::Pingreq).await;
    match answer_or_end(peer, |packet| matches!(packet, Packet::Pingresp)).await {
        Next::Packet(packet) => Served::Yes(At(packet.entry())),
        Next::End(end) => Served::Ended(At(end.entry())),
        Next::Malformed(_) | Next::Nothing => Served::Neither,
    }
}

/// The first packet that is wanted, or the end of the connection, or nothing in the stage's patience. What comes before is
/// passed over.
pub(crate) async fn answer_or_end(peer: &mut Peer, wanted: impl Fn(&Packet) -> bool) -> Next {
    let by = peer.stage().now() + peer.stage().patience();
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) if !wanted(&packet) => {}
            Next::Malformed(_) => {}
            next => return next,
        }
    }
}

/// The answer to a PUBLISH. A server that does not authorise it may close the connection instead (3.1.1 [MQTT-3.3.5-2];
/// 5.0 may say DISCONNECT): nothing is learned then.
pub(crate) fn unless_closed<T>(answer: Result<T, Halt>, peer: &Peer) -> Result<T, Halt> {
    answer.map_err(|halt| match (peer.is_open(), halt.verdict) {
        (false, Verdict::Fail) => Halt {
            verdict: Verdict::Inconclusive,
            reason: format!(
                "the server closed the connection, as it may on a message that it does not authorise: {}",
                halt.reason
            ),
            ..halt
        },
        _ => halt,
    })
}

/// An answer whose form is the question: bytes that are no packet `fail`, where elsewhere they leave the question open.
pub(crate) fn formed<T>(stage: &Stage, answer: Result<T, Halt>) -> Result<T, Halt> {
    let no_packet = |at: EntryId| match stage.transcript().entries().get(at.0).map(|entry| &entry.what) {
        Some(What::Received { bytes, .. }) => Packet::decode(stage.version(), Side::Server, bytes.clone()).is_err(),
        _ => false,
    };
    answer.map_err(|halt| match (halt.verdict, halt.entry) {
        (Verdict::Inconclusive, Some(at)) if no_packet(at) => Halt { verdict: Verdict::Fail, ..halt },
        _ => halt,
    })
}

/// Codes in words.
pub(crate) fn listed(codes: &[ReasonCode]) -> String {
    codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Several cases of one rule: all are tried, and all that went wrong is told.
#[derive(Debug, Default)]
pub(crate) struct Cases {
    passed: Vec<Evidence>,
    halted: Vec<(String, Halt)>,
}

impl Cases {
    pub(crate) fn new() -> Self {
        Cases::default()
    }

    /// One case.
    pub(crate) fn add(&mut self, name: impl Into<String>, outcome: Outcome) {
        match outcome {
            Ok(evidence) => self.passed.push(evidence),
            Err(halt) => self.halted.push((name.into(), halt)),
        }
    }

    /// The worst of all; a case that the server does not offer counts only if it offers none.
    pub(crate) fn finish(mut self) -> Outcome {
        if !self.passed.is_empty() {
            self.halted.retain(|(_, halt)| halt.verdict != Verdict::Unsupported);
        }
        if let Some(verdict) = self.halted.iter().map(|(_, halt)| halt.verdict).min() {
            let worst: Vec<_> = self.halted.into_iter().filter(|(_, halt)| halt.verdict == verdict).collect();
            let reasons: Vec<_> = worst.iter().map(|(name, halt)| format!("{name}: {}", halt.reason)).collect();
            let entry = worst.iter().find_map(|(_, halt)| halt.entry);
            // What all of them waited for, else nothing: each has a reason of its own then.
            let missed = worst.first().and_then(|(_, halt)| halt.missed);
            let missed = missed.filter(|kind| worst.iter().all(|(_, halt)| halt.missed == Some(*kind)));
            return Err(Halt { verdict, reason: reasons.join("; "), entry, missed });
        }
        let mut evidence: Option<Evidence> = None;
        let mut warnings = Vec::new();
        for passed in &self.passed {
            warnings.extend(passed.warning().map(str::to_owned));
            for entry in passed.entries() {
                evidence = Some(match evidence {
                    None => Evidence::of(&At(*entry)),
                    Some(evidence) => evidence.and(&At(*entry)),
                });
            }
        }
        match (evidence, warnings.is_empty()) {
            (None, _) => Err(Halt::inconclusive("no case was tried")),
            (Some(evidence), true) => Ok(evidence),
            (Some(evidence), false) => Ok(evidence.warn(warnings.join("; "))),
        }
    }
}
