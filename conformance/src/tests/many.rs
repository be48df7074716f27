//! Many offences of one kind at once, each on a connection of its own: they wait for the server together.

use squall_codec::{
    packet::{Connack, Connect, Packet},
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::{End, Stage},
    verdict::{Halt, Outcome, Preparing},
};

use crate::tests::judge::{Cases, Farewell, GRACE, LAG, Unnoticed, farewells, judge_close, judge_refusal, listen};

/// What one connection does.
#[derive(Clone, Debug)]
pub(crate) struct Offence {
    /// In words.
    pub(crate) name: String,
    /// What has to be said before, and is answered.
    pub(crate) before: Vec<u8>,
    /// The bytes with the fault.
    pub(crate) bytes: Vec<u8>,
}

impl Offence {
    pub(crate) fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Offence { name: name.into(), before: Vec::new(), bytes }
    }
}

/// Connections that are open at once.
const AT_ONCE: usize = 64;

/// As `judge::closes`, for many.
pub(crate) async fn all_close(
    stage: &Stage,
    offences: &[Offence],
    codes: &[ReasonCode],
    unnoticed: Unnoticed,
) -> Outcome {
    let mut cases = Cases::new();
    for group in offences.chunks(AT_ONCE) {
        let hellos = group.iter().map(|_| stage.fresh("offender")).map(|actor| (Peer::hello(stage, &actor), actor));
        let mut peers = all_connected(stage, hellos.collect()).await?;
        for (peer, offence) in peers.iter_mut().zip(group) {
            if !offence.before.is_empty() {
                peer.send_bytes(&offence.before).await;
            }
            peer.send(Packet::Pingreq).await;
        }
        for peer in &mut peers {
            answered(peer).await?;
        }
        let mut sent = Vec::new();
        for (peer, offence) in peers.iter_mut().zip(group) {
            sent.push(peer.send_bytes(&offence.bytes).await);
        }
        let heard = partings(stage, &mut peers).await;
        for (((offence, sent), (seen, pong)), peer) in group.iter().zip(&sent).zip(&heard).zip(&mut peers) {
            let outcome = judge_close(stage, &offence.name, codes, unnoticed, (seen, pong.as_ref()), sent);
            cases.add(&offence.name, outcome);
            if peer.is_open() {
                peer.close(End::Reset).await;
            }
        }
    }
    cases.finish()
}

/// Clients that connect beside each other: all have asked before the first answer is awaited.
pub(crate) async fn all_connected(stage: &Stage, hellos: Vec<(Connect, String)>) -> Result<Vec<Peer>, Halt> {
    let mut peers = Vec::new();
    for (connect, actor) in hellos {
        let mut peer = Peer::open(stage, &actor).await?;
        peer.send(Packet::Connect(connect)).await;
        peers.push(peer);
    }
    for peer in &mut peers {
        let connack = peer.expect::<Connack>().await.prepared()?;
        if connack.reason.is_failure() {
            return Err(Halt::inconclusive(format!("{} was not let in: {}", peer.actor(), connack.reason)).at(&connack));
        }
    }
    Ok(peers)
}

/// The answer to a PINGREQ that was sent, whatever comes before.
async fn answered(peer: &mut Peer) -> Result<(), Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) if *packet == Packet::Pingresp => return Ok(()),
            Next::Packet(_) => {}
            other => {
                let reason =
                    format!("{} was not served before its offence: expected PINGRESP, but {other}", peer.actor());
                return Err(Halt { entry: other.entry(), ..Halt::inconclusive(reason) });
            }
        }
    }
}

/// What comes on each connection after an offence, and the answer to a PINGREQ that follows it.
async fn partings(stage: &Stage, peers: &mut [Peer]) -> Vec<(Farewell, Option<Seen<Packet>>)> {
    let mut heard: Vec<_> =
        peers.iter().map(|_| (Farewell { packets: Vec::new(), malformed: None, end: None }, None)).collect();
    let by = stage.now() + GRACE;
    for (peer, (seen, pong)) in peers.iter_mut().zip(&mut heard) {
        listen(peer, by, seen, pong).await;
    }
    for (peer, (seen, _)) in peers.iter_mut().zip(&heard) {
        if seen.end.is_none() {
            peer.send(Packet::Pingreq).await;
        }
    }
    let by = stage.now() + stage.patience();
    for (peer, (seen, pong)) in peers.iter_mut().zip(&mut heard) {
        if seen.end.is_none() && pong.is_none() {
            listen(peer, by, seen, pong).await;
        }
    }
    let by = stage.now() + LAG;
    for (peer, (seen, pong)) in peers.iter_mut().zip(&mut heard) {
        if seen.end.is_none() && pong.is_some() {
            listen(peer, by, seen, &mut None).await;
        }
        // A refusal is no answer as if nothing were wrong.
        seen.packets.retain(|packet| !refuses(packet));
    }
    heard
}

/// An answer with nothing but failures in it.
fn refuses(packet: &Packet) -> bool {
    match packet {
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack.reason.is_failure()
        }
        Packet::Suback(suback) => suback.reasons.iter().all(|reason| reason.is_failure()),
        Packet::Unsuback(unsuback) => unsuback.reasons.iter().all(|reason| reason.is_failure()),
        _ => false,
    }
}

/// As `judge::refuses`, for many CONNECTs.
pub(crate) async fn all_refused(stage: &Stage, offences: &[Offence], codes: &[ReasonCode]) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for group in offences.chunks(AT_ONCE) {
        let mut peers = Vec::new();
        for offence in group {
            let mut peer = Peer::open(stage, &stage.fresh("offender")).await?;
            peer.send_bytes(&offence.bytes).await;
            peers.push(peer);
        }
        let heard = farewells(stage, &mut peers).await;
        for ((peer, offence), seen) in peers.iter_mut().zip(group).zip(&heard) {
            cases.add(&offence.name, judge_refusal(stage, &offence.name, codes, seen));
            if peer.is_open() {
                peer.close(End::Reset).await;
            }
        }
    }
    cases.finish()
}
