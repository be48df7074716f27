//! What a server makes of a SUBSCRIBE that it should not grant.

use squall_codec::{
    packet::{Packet, Suback},
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    verdict::{Evidence, Halt, Outcome, Verdict, Witness},
};

use crate::tests::judge::{At, listed};

/// How a SUBSCRIBE with a fault may be answered while the connection stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grades {
    /// A SUBACK that grants it: `Fail` or `Warn`.
    pub(crate) granted: Verdict,
    /// A SUBACK with 0x80 or above: `Fail`, `Warn` or `Pass`.
    pub(crate) refused: Verdict,
}

/// Sends this SUBSCRIBE with a fault. That the connection ends is right, another reason than one of `codes` a warning;
/// a SUBACK is graded; no answer at all is a warning.
pub(crate) async fn not_granted(
    peer: &mut Peer,
    offence: &str,
    bytes: &[u8],
    codes: &[ReasonCode],
    grades: Grades,
) -> Outcome {
    let sent = peer.send_bytes(bytes).await;
    let by = peer.stage().now() + peer.stage().patience();
    let mut said: Option<(ReasonCode, Seen<Packet>)> = None;
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) => match &*packet {
                Packet::Suback(suback) => return judge_suback(offence, suback, &packet, grades),
                Packet::Disconnect(disconnect) => said = Some((disconnect.reason, packet.clone())),
                _ => {}
            },
            Next::Malformed(what) => {
                return Err(Halt::inconclusive(format!("{offence}: the answer is no packet: {}", *what)).at(&what));
            }
            Next::End(end) => {
                let evidence = Evidence::of(&end);
                return Ok(match said {
                    None => evidence,
                    Some((reason, at)) if codes.contains(&reason) => evidence.and(&at),
                    Some((reason, at)) => evidence
                        .and(&at)
                        .warn(format!("{offence}: expected DISCONNECT {}, got {reason}", listed(codes))),
                });
            }
            Next::Nothing => {
                let reason = format!("{offence}: expected the connection to end, but nothing came at all");
                return Ok(Evidence::of(&sent).warn(reason));
            }
        }
    }
}

fn judge_suback(offence: &str, suback: &Suback, at: &impl Witness, grades: Grades) -> Outcome {
    let granted = suback.reasons.iter().any(|reason| !reason.is_failure());
    let (grade, reason) = if granted {
        (grades.granted, format!("expected {offence} to close the connection, but SUBACK granted it"))
    } else {
        (grades.refused, format!("expected {offence} to close the connection, but SUBACK refused it"))
    };
    match grade {
        Verdict::Fail => Err(Halt::fail(reason).at(at)),
        Verdict::Warn => Ok(Evidence::of(&At(at.entry())).warn(reason)),
        _ => Ok(Evidence::of(&At(at.entry()))),
    }
}
