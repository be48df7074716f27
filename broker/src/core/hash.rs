//! The key of every hash: maps whose keys come from the network cannot be flooded by someone who does not know it.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip::SipHasher13;

/// A secret that is handed in. It keys the maps and seeds the Client Identifiers that the server assigns; what the core
/// does depends on it in no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashKey(pub [u64; 2]);

/// The map for keys that come from the network. Its order must never be visible.
pub(super) type Map<K, V> = hashbrown::HashMap<K, V, HashKey>;

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
