//! Where salts and nonces come from: the machine, or a seed.

use std::{
    fmt, io,
    sync::atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

/// A source of bytes that nobody can guess.
pub trait Entropy: fmt::Debug + Send + Sync {
    /// Fills `out`.
    ///
    /// # Errors
    /// When the source has none.
    fn fill(&self, out: &mut [u8]) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> io::Result<()> {
        getrandom::fill(out).map_err(|error| io::Error::other(format!("the system has no random bytes: {error}")))
    }
}

/// The same bytes for the same seed, in the order in which they are asked for: for simulations.
#[derive(Debug, Default)]
pub struct SeededEntropy {
    seed: u64,
    blocks: AtomicU64,
}

impl SeededEntropy {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        SeededEntropy { seed, blocks: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) -> io::Result<()> {
        for chunk in out.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            let bytes =
                Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(block.to_le_bytes()).finalize();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}
