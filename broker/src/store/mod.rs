//! What carries out `Effect::Persist`: keeps records, and gives them back after a restart.

#[cfg(feature = "store")]
mod backend;
#[cfg(feature = "store")]
mod changes;
#[cfg(feature = "store")]
pub mod disk;
mod error;
#[cfg(feature = "store")]
mod load;
pub mod memory;
#[cfg(feature = "store")]
mod value;

pub use error::StoreError;

use crate::core::effect::Record;

/// Keeps records. It knows nothing of tasks and threads: `net` decides where it runs, a virtual world when.
pub trait Store: Send {
    /// What was kept, as records that give the same state when they are replayed in this order. Asked once, before the
    /// first input.
    ///
    /// # Errors
    /// A store that cannot be read, is damaged, or is of another kind.
    fn load(&mut self) -> Result<Vec<Record>, StoreError>;

    /// Takes a record into the group at hand. Numbers count up by one. Between two commits go all the records of whole
    /// inputs.
    fn persist(&mut self, seq: u64, record: Record);

    /// Keeps the group at hand: the number of the last record that a crash does not take away.
    ///
    /// # Errors
    /// A disk that is full or broken. The group stays at hand and is tried again with the next commit.
    fn commit(&mut self) -> Result<u64, StoreError>;

    /// Whether a commit takes no time worth mentioning, so that it may be made where everything else happens. Otherwise it
    /// is made where it keeps nobody from anything.
    fn is_prompt(&self) -> bool {
        true
    }

    /// Whether what a crash could contradict waits for the commit. Otherwise a record counts as kept when it is taken.
    fn is_awaited(&self) -> bool {
        true
    }

    /// Keeps the group at hand and lets go of everything.
    ///
    /// # Errors
    /// As for a commit; the group is then lost.
    fn close(&mut self) -> Result<(), StoreError> {
        self.commit().map(drop)
    }
}
