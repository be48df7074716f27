//! The store that keeps nothing: what is in the core's memory is all there is.

use super::{Store, StoreError};
use crate::core::effect::Record;

/// Answers at once: a group of records is kept as soon as it is asked for.
#[derive(Debug, Default)]
pub struct MemoryStore {
    last: u64,
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(Vec::new())
    }

    fn persist(&mut self, seq: u64, record: Record) {
        drop(record);
        self.last = seq;
    }

    fn commit(&mut self) -> Result<u64, StoreError> {
        Ok(self.last)
    }
}
