//! How many storms a second one core plays and judges: a plan from a seed, a broker, five clients, twelve virtual seconds of storm
//! and thirty of calm. Beside each: how much is in it.

use divan::{Bencher, counter::ItemsCount};
use squall_sim::storm::{generate, report::Report, sweep::play_quietly};

fn main() {
    let mut report = Report::new(0..SEEDS, (1, 1));
    let mut accepted: Vec<u64> = Vec::new();
    let mut hits: Vec<usize> = Vec::new();
    for seed in 0..SEEDS {
        let run = play_quietly(&generate::plan(seed), None);
        accepted.push(run.tally.accepted.iter().sum());
        hits.push(run.faults.0);
        report.count(&run);
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
