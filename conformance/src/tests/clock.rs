//! The clocks of the standard, graded in one way: early and late are warnings, missing is a failure.

use std::time::Duration;

use squall_scenarios::{
    stage::Stage,
    timing::{Due, Punctuality},
    verdict::{Evidence, Halt, Outcome},
};

use super::judge::At;

/// On the way a tenth of a second may be lost: the server's clock started before or after ours.
const WAY: Duration = Duration::from_millis(100);

/// The close of a client that says nothing any more for one and a half times its keep alive. A clock of whole seconds rounds
/// that half down; sooner than after the keep alive itself it would end clients that keep their promise.
pub(crate) fn close_after_silence(keep_alive_seconds: u16, since: &'static str) -> Due<'static> {
    let keep_alive = Duration::from_secs(keep_alive_seconds.into());
    let due = keep_alive * 3 / 2;
    Due { what: "the close", since, earliest: keep_alive - WAY, due, latest: due + Duration::from_secs(2) }
}

/// The end of something that lasts so many seconds. Clocks of whole seconds may round, and sweep now and then.
pub(crate) fn end_after(what: &'static str, seconds: u32, since: &'static str) -> Due<'static> {
    let due = Duration::from_secs(seconds.into());
    Due { what, since, earliest: due - WAY, due, latest: due + Duration::from_secs(3) }
}

/// The end of something that ends at once. A server may need a moment to notice.
pub(crate) fn end_at_once(what: &'static str, since: &'static str) -> Due<'static> {
    Due { what, since, earliest: Duration::ZERO, due: Duration::ZERO, latest: Duration::from_millis(500) }
}

/// Writes down when it came, and warns where that was early or late.
pub(crate) fn graded(stage: &Stage, due: Due<'_>, took: Duration, evidence: Evidence) -> Evidence {
    let told =
        |grade: &str| format!("{grade}: {} came {took:?} after {}, due after {:?}", due.what, due.since, due.due);
    match stage.came(due, took) {
        Punctuality::Early => evidence.warn(told("early")),
        Punctuality::Late => evidence.warn(told("late")),
        Punctuality::InTime | Punctuality::Missing => evidence,
    }
}

/// What ends by a clock and shows only when it is looked at: it is looked at after each of these times, until it is gone.
/// A first look before its end must find it; after the last look it is missing, and `still` says so.
pub(crate) async fn gone(
    stage: &Stage,
    due: Due<'_>,
    since: Duration,
    looks: &[Duration],
    still: &str,
    mut look: impl AsyncFnMut(usize) -> Result<(bool, At), Halt>,
) -> Outcome {
    let mut evidence: Option<Evidence> = None;
    let mut last = None;
    for (number, after) in looks.iter().enumerate() {
        // Whoever grants the server more time looks later.
        let after = if *after > due.due { *after + stage.tolerance() / 2 } else { *after };
        stage.world().sleep_until(since + after).await;
        let asked = stage.now().saturating_sub(since);
        let (there, at) = look(number).await?;
        let answered = stage.now().saturating_sub(since);
        evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |before| before.and(&at)));
        last = Some(at);
        if there {
            continue;
        }
        if answered < due.earliest {
            stage.came(due, answered);
            return Err(Halt::inconclusive(format!("{answered:?} after {} nothing was there", due.since)).at(&at));
        }
        let evidence = evidence.expect("it was just looked at");
        return Ok(graded(stage, due, asked.max(due.due), evidence));
    }
    stage.missed(due, stage.now().saturating_sub(since));
    let halt = Halt::fail(format!("{still} {:?} after {}, due after {:?}", stage.now() - since, due.since, due.due));
    Err(match last {
        Some(at) => halt.at(&at),
        None => halt,
    })
}
