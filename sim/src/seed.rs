//! Many streams of randomness from one seed: each has a name and a number, so that removing one never shifts another.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of the `n`-th stream with this name.
pub fn derive(seed: u64, stream: &str, n: u64) -> u64 {
    let mut bytes = Vec::with_capacity(stream.len() + 8);
    bytes.extend_from_slice(stream.as_bytes());
    bytes.extend_from_slice(&n.to_le_bytes());
    xxh3_64_with_seed(&bytes, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_name_and_number_alone() {
        assert_eq!(derive(1, "client alice", 1), derive(1, "client alice", 1));
        let others = [derive(2, "client alice", 1), derive(1, "client bob", 1), derive(1, "client alice", 2)];
        assert!(others.iter().all(|other| *other != derive(1, "client alice", 1)));
    }
}
