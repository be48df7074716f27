//! Many streams of randomness from one seed: each has a name and a number, so that removing one never shifts another.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of the `n`-th stream with this name.
pub fn derive(seed: u64, stream: &str, n: u64) -> u64 {
    const SHORT: usize = 48;
    let (name, number) = (stream.as_bytes(), n.to_le_bytes());
    let length = name.len() + number.len();
    if length > SHORT {
        return xxh3_64_with_seed(&[name, &number].concat(), seed);
    }
    let mut bytes = [0; SHORT];
    bytes[..name.len()].copy_from_slice(name);
    bytes[name.len()..length].copy_from_slice(&number);
    xxh3_64_with_seed(&bytes[..length], seed)
}
