//! What carries out `Effect::Persist`: keeps records, and gives them back after a restart.

pub mod memory;

use std::path::PathBuf;

use crate::core::effect::Record;

/// Keeps records. It knows nothing of tasks and threads: `net` decides where it runs, a virtual world when.
pub trait Store: Send {
    /// What was kept, as records that give the same state when they are replayed in this order. Asked once, before the
    /// first input.
    ///
    /// # Errors
    /// A store that cannot be read, is damaged, or is of another kind.
    fn load(&mut self) -> Result<Vec<Record>, StoreError>;

    /// Takes a record into the group at hand. Numbers count up by one.
    fn persist(&mut self, seq: u64, record: Record);

    /// Keeps the group at hand: the number of the last record that a crash does not take away.
    ///
    /// # Errors
    /// A disk that is full or broken. The group stays at hand and is tried again with the next commit.
    fn commit(&mut self) -> Result<u64, StoreError>;
}

/// Why a store cannot do its work. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is there, and it is not ours.
    #[error("'{}' is no store of squall: {detail}", file.display())]
    Foreign {
        /// Which.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file is ours, and damaged.
    #[error("the store '{}' is damaged: {detail}", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The disk is full.
    #[error("there is no room for the store '{}'", file.display())]
    Full {
        /// Which.
        file: PathBuf,
    },
    /// Anything else that the system says.
    #[error("failed to use the store '{}': {detail}", file.display())]
    Io {
        /// Which.
        file: PathBuf,
        /// What the system said.
        detail: String,
    },
}
