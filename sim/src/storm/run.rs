//! What became of a plan, in whichever world.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use squall_scenarios::transcript::{Transcript, What};

use crate::{
    invariants::Breach,
    model::Tally,
    run::{Run, RunError},
    told::BROKER,
};

/// What became of a plan.
#[derive(Debug)]
pub struct StormRun {
    /// What was wrong, in the order in which it showed.
    pub breaches: Vec<Breach>,
    /// Why it could not be played to its end.
    pub error: Option<RunError>,
    /// xxh3-64 of everything that has passed the broker's edge, as this world writes it down.
    pub digest: u64,
    /// What was seen, in numbers.
    pub tally: Tally,
    /// Faults that hit something, and all of them.
    pub faults: (usize, usize),
    /// Everything that was seen; empty where nothing was written.
    pub transcript: Transcript,
    /// Faults that touched nothing, in words.
    pub untouched: Vec<String>,
    /// Steps of the plan that waited for a packet, and the first byte of the packet that came.
    pub struck: Vec<(usize, u8)>,
    /// Cuts that struck, in words, and what with.
    pub cuts: BTreeMap<String, u8>,
    /// Happenings, of whatever kind.
    pub events: u64,
    /// The virtual time at its end.
    pub elapsed: Duration,
}

/// What shows only when all has come to rest has a line of its own, as everything that shows has; `words` are its.
pub(crate) fn note_the_end(transcript: &Transcript, breaches: &[Breach], at: Duration, words: &str) {
    if breaches.iter().any(|breach| breach.entry.0 >= transcript.len()) {
        let summary = words.to_owned();
        transcript.record(at, &Rc::from(BROKER), 0, What::Fault { summary });
    }
}

impl StormRun {
    /// What a play in any world gives back.
    pub fn into_run(self) -> Run<()> {
        Run {
            outcome: self.error.map_or(Ok(()), Err),
            transcript: self.transcript,
            elapsed: self.elapsed,
            untouched: self.untouched,
            noticed: self.breaches,
        }
    }
}
