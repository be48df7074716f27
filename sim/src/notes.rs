//! What links note goes into the transcript.

use std::rc::Rc;

use squall_scenarios::{links::Links, transcript::Transcript};

/// Moves all notes since the last call; how many there were.
pub(crate) fn record(links: &Links, transcript: &Transcript) -> u64 {
    let notes = links.take_notes();
    let count = notes.len() as u64;
    for note in notes {
        transcript.record(note.at, &Rc::from(&*note.actor), note.connection, note.what);
    }
    count
}
