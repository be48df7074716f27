//! The key of every hash: maps whose keys come from the network cannot be flooded by someone who does not know it. And the map
//! whose keys are numbers of the driver's.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;

/// A secret that is handed in. It keys the maps and seeds the Client Identifiers that the server assigns; what the core
/// does depends on it in no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub [u64; 2]);

/// The map for keys that come from the network. Its order must never be visible.
pub(super) type Map<K, V> = hashbrown::HashMap<K, V, HashKey>;

/// The map for numbers that the driver counts up: nobody on the network can choose them, and they are looked up many times for
/// each message. Its order must never be visible.
pub(super) type NumberMap<K, V> = hashbrown::HashMap<K, V, Spread>;

/// Builds a [`Spreading`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread;

/// Spreads numbers that follow each other over all bits (Fibonacci hashing).
#[derive(Debug)]
pub(super) struct Spreading(u64);

const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

impl BuildHasher for Spread {
    type Hasher = Spreading;
    fn build_hasher(&self) -> Spreading {
        Spreading(0)
    }
}

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(GOLDEN_RATIO);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

impl HashKey {
    /// The `count`-th number of the stream that this key stands for.
    pub(super) fn number(self, count: u64) -> u64 {
        let mut hasher = self.build_hasher();
        hasher.write_u64(count);
        hasher.finish()
    }
}
