//! What the events world plays in a second of one core: storms (a plan from a seed, a broker, five clients, twelve virtual seconds
//! of faults and forty of calm, judged), idle hours, fleets. Beside the storms: how much is in them.
//!
//! `cargo bench -p squall-sim --bench figures` measures the same for the report.

use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use squall_sim::{
    events::fleet::Fleet,
    storm::{generate, sweep::play_quietly},
};

fn main() {
    let mut accepted: Vec<u64> = Vec::new();
    let mut hits: Vec<usize> = Vec::new();
    for seed in 0..SEEDS {
        let run = play_quietly(&generate::plan(seed), None);
        accepted.push(run.tally.accepted.iter().sum());
        hits.push(run.faults.0);
    }
    accepted.sort_unstable();
    hits.sort_unstable();
    let middle = accepted.len() / 2;
    println!("median storm: {} PUBLISH accepted, {} faults that hit", accepted[middle], hits[middle]);
    divan::main();
}

const SEEDS: u64 = 100;

#[divan::bench]
fn storms(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(SEEDS))
        .bench(|| (0..SEEDS).map(|seed| play_quietly(&generate::plan(seed), None).digest).fold(0, u64::wrapping_add));
}

#[divan::bench]
fn plans(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(SEEDS))
        .bench(|| (0..SEEDS).map(|seed| generate::plan(seed).steps.len()).sum::<usize>());
}

/// An hour of five clients who only ask once a minute whether the server is there.
#[divan::bench]
fn idle_hour(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| Fleet::connected(5, 1)).bench_refs(|fleet| fleet.run(Duration::from_secs(3_600)));
}

/// A second in which each of them says one message.
#[divan::bench(args = [10, 100, 1_000, 10_000], sample_count = 20, sample_size = 1)]
fn fleet(bencher: Bencher<'_, '_>, clients: usize) {
    bencher
        .counter(ItemsCount::new(clients))
        .with_inputs(|| Fleet::connected(clients, 1))
        .bench_refs(|fleet| fleet.talk(Duration::from_secs(1)));
}
