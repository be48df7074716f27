//! The store that keeps nothing: what is in the core's memory is all there is.

use crate::core::effect::{Input, Record};

/// Answers at once: a group of records is kept as soon as it is asked for.
#[derive(Debug, Default)]
pub struct MemoryStore {
    last: u64,
    answered: u64,
}

impl MemoryStore {
    /// Takes a record.
    pub fn persist(&mut self, seq: u64, record: Record) {
        drop(record);
        self.last = seq;
    }

    /// The answer for all records taken since the last answer, if there are any.
    pub fn answer(&mut self) -> Option<Input> {
        if self.answered == self.last {
            return None;
        }
        self.answered = self.last;
        Some(Input::Persisted { up_to: self.last })
    }
}
