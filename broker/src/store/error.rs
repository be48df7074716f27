//! Why a store cannot do its work. Each sentence names the file and says what to do.

use std::path::PathBuf;

use squall_codec::reason::ReasonCode;

/// Why a store cannot do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file is there, and it is not ours.
    #[error("'{}' is no store of squall: {detail}; move it away, or keep the data in another directory", file.display())]
    Foreign {
        /// Which.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file is ours, and damaged.
    #[error(
        "the store '{}' is damaged: {detail}; put a copy in its place, or move it away to begin with an empty one",
        file.display()
    )]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The file was written by a later program.
    #[error("the store '{}' has format {found} and this program knows formats up to {known}: it needs a later program", file.display())]
    Newer {
        /// Which.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The last one that is known here.
        known: u32,
    },
    /// Another process has it.
    #[error("the store '{}' is in use by another process: stop that one, or keep the data in another directory", file.display())]
    InUse {
        /// Which.
        file: PathBuf,
    },
    /// The disk is full.
    #[error("there is no room for the store '{}': {detail}", file.display())]
    Full {
        /// Which.
        file: PathBuf,
        /// What the system said.
        detail: String,
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

impl StoreError {
    /// What clients are told who ask for something that cannot be kept.
    pub fn reason_code(&self) -> ReasonCode {
        match self {
            StoreError::Full { .. } => ReasonCode::QuotaExceeded,
            _ => ReasonCode::ImplementationSpecificError,
        }
    }
}
