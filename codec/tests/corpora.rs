//! The corpora of the fuzz targets, replayed without a fuzzer: what was found once stays found.

use std::{fs, path::PathBuf};

use squall_codec::fuzzing;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("no corpus in {}: {error}", folder.display()));
    let mut seeds: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    seeds.sort();
    assert!(seeds.len() >= 20, "only {} seeds in {}", seeds.len(), folder.display());
    for seed in seeds {
        let data = fs::read(&seed).expect("a readable seed");
        // A panic names no file of itself.
        println!("{}", seed.display());
        body(&data);
    }
}

#[test]
fn decode() {
    replay("decode", fuzzing::decode);
}

#[test]
fn round_trip() {
    replay("round_trip", fuzzing::round_trip);
}

#[test]
fn topic_match() {
    replay("topic_match", fuzzing::topic_match);
}
