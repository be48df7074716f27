//! What a group costs: `cargo test --release -p squall-broker --test store -- --ignored --nocapture cost`.

use std::time::Duration;

use squall_broker::{
    core::effect::Record,
    store::{
        Store,
        disk::{DiskStore, Durability},
    },
};
use squall_codec::qos::Qos;

use crate::records::*;

#[test]
#[ignore = "it measures, and takes a while"]
fn cost_of_a_message_by_the_size_of_its_group() {
    println!("durability  group  µs a message (kept)  µs a message (queued, sent and settled in one group)");
    for durability in [Durability::Os, Durability::Disk] {
        for group in [1_u64, 20, 200, 2000] {
            let kept = measure(durability, group, |number| vec![text(number)]);
            let passing = measure(durability, group, |number| {
                vec![text(number), sent("bob", number, 7), settled("bob", 7, Some(number))]
            });
            println!("{durability:<10?}  {group:>5}  {kept:>19.2}  {passing:>19.2}");
        }
    }
}

fn text(number: u64) -> Record {
    queued("bob", number, message(Qos::AtLeastOnce, "sensors/one", &[7; 64]))
}

#[expect(clippy::disallowed_methods, reason = "a measurement needs the clock of the machine")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Microseconds for each message.
fn measure(durability: Durability, group: u64, records: impl Fn(u64) -> Vec<Record>) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = DiskStore::open(directory.path(), durability).expect("a store");
    store.load().expect("a good store");
    store.persist(1, session("bob"));
    store.commit().expect("room");
    let start = now();
    let mut number = 0;
    while start.elapsed() < Duration::from_secs(2) && number < 200_000 {
        for _ in 0..group {
            number += 1;
            for record in records(number) {
                store.persist(number, record);
            }
        }
        store.commit().expect("room");
    }
    start.elapsed().as_secs_f64() * 1e6 / number as f64
}
