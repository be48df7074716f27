//! Many faults of one kind, told as one: rows of faults that are tried at once.

use std::{future::Future, pin::Pin, task::Poll};

use squall_codec::reason::ReasonCode;
use squall_scenarios::{
    peer::Peer,
    stage::{LocalFuture, Stage},
    verdict::{Evidence, Halt, Outcome},
};

use super::judge::{Cases, Unnoticed, closes, farewell, judge_refusal, offender};

/// What a server may say of a packet that it cannot read, or that must not come.
const CODES: &[ReasonCode] = &[
    ReasonCode::MalformedPacket,
    ReasonCode::ProtocolError,
    ReasonCode::TopicNameInvalid,
    ReasonCode::TopicFilterInvalid,
    ReasonCode::QosNotSupported,
    ReasonCode::PacketTooLarge,
    ReasonCode::ClientIdentifierNotValid,
    ReasonCode::BadUserNameOrPassword,
    // Of a CONNECT that breaks off before it says its version.
    ReasonCode::UnsupportedProtocolVersion,
];

/// The faults of one kind in one kind of packet. They are tried one after the other, each on a new connection, until one
/// goes unnoticed: what is known then is enough.
pub(crate) struct Row {
    /// What the faults have in common, the beginning of a sentence.
    pub(crate) name: &'static str,
    /// The bytes, with what is wrong: the rest of the sentence.
    pub(crate) faults: Vec<(String, Vec<u8>)>,
    /// What becomes of a server that does not notice one.
    pub(crate) unnoticed: Unnoticed,
}

/// Tries all rows at once. A fault in a CONNECT is its connection's first packet; any other comes from a client that is
/// connected and was answered.
pub(crate) async fn all(stage: &Stage, rows: Vec<Row>) -> Outcome {
    // Whoever turns everybody away learns nothing from the faults.
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let outcomes =
        together(rows.iter().map(|row| Box::pin(one_after_the_other(stage, row)) as LocalFuture<'_, _>)).await;
    let mut cases = Cases::new();
    for (row, outcome) in rows.iter().zip(outcomes) {
        cases.add(row.name, outcome);
    }
    cases.finish()
}

async fn one_after_the_other(stage: &Stage, row: &Row) -> Outcome {
    let mut evidence: Option<Evidence> = None;
    for (number, (fault, bytes)) in row.faults.iter().enumerate() {
        let offence = format!("{} {fault}", row.name);
        let is_connect = bytes.first().is_some_and(|first| first >> 4 == 1);
        let mut peer =
            if is_connect { Peer::open(stage, &stage.fresh("offender")).await? } else { offender(stage).await? };
        let outcome = if is_connect {
            peer.send_bytes(bytes).await;
            let seen = farewell(&mut peer).await;
            judge_refusal(stage, &offence, CODES, &seen)
        } else {
            closes(&mut peer, &offence, bytes, CODES, row.unnoticed).await
        };
        let seen = outcome.map_err(|halt| Halt {
            reason: format!("{} (fault {} of {})", halt.reason, number + 1, row.faults.len()),
            ..halt
        })?;
        evidence = Some(match evidence {
            Some(before) => before.join(seen),
            None => seen,
        });
        if peer.is_open() {
            break;
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was tried"))
}

/// Plays several stories on the test's own task, none waiting for another; what they came to, in their order.
pub(crate) async fn together<'a, T>(
    stories: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + 'a>>>,
) -> Vec<T> {
    let mut stories: Vec<_> = stories.into_iter().map(|story| (Some(story), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (story, ended) in &mut stories {
            if let Some(running) = story {
                match running.as_mut().poll(context) {
                    Poll::Ready(value) => {
                        *ended = Some(value);
                        *story = None;
                    }
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    stories.into_iter().filter_map(|(_, ended)| ended).collect()
}
