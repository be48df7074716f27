//! What a message costs by the size of its group, and by what a group survives. `cargo bench -p squall-broker`.
//!
//! The figure of a row is that of a whole group; the items a second are messages.

use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use squall_broker::{
    core::effect::Record,
    store::{
        Store,
        disk::{DiskStore, Durability},
    },
};
use squall_codec::{
    packet::Publish,
    qos::Qos,
    topic::TopicName,
    wire::{PacketId, Text},
};

fn main() {
    divan::main();
}

/// Messages in a group: one that is alone, and what waits for the disk under load.
const GROUPS: [u64; 4] = [1, 20, 200, 2000];

/// They wait in a session whose client is away.
#[divan::bench(args = GROUPS, max_time = 2)]
fn queued_os(bencher: Bencher<'_, '_>, group: u64) {
    measure(bencher, Durability::Os, group, |number| vec![queued(number)]);
}

/// They wait in a session whose client is away, and survive a loss of power.
#[divan::bench(args = GROUPS, max_time = 2)]
fn queued_disk(bencher: Bencher<'_, '_>, group: u64) {
    measure(bencher, Durability::Disk, group, |number| vec![queued(number)]);
}

/// They come, are sent and are acknowledged within their group.
#[divan::bench(args = GROUPS, max_time = 2)]
fn passing_os(bencher: Bencher<'_, '_>, group: u64) {
    measure(bencher, Durability::Os, group, passing);
}

/// They come, are sent and are acknowledged within their group, and the group survives a loss of power.
#[divan::bench(args = GROUPS, max_time = 2)]
fn passing_disk(bencher: Bencher<'_, '_>, group: u64) {
    measure(bencher, Durability::Disk, group, passing);
}

fn bob() -> Text {
    Text::literal("bob")
}

fn queued(number: u64) -> Record {
    let message = Publish::new(&TopicName::literal("sensors/one"), vec![7; 64]).at(Qos::AtLeastOnce, None);
    let arrived = Duration::from_secs(1_700_000_000 + number);
    Record::Queued { client_id: bob(), number, message, arrived, shared: None }
}

fn passing(number: u64) -> Vec<Record> {
    let packet_id = PacketId::MIN;
    vec![
        queued(number),
        Record::Sent { client_id: bob(), number, packet_id },
        Record::Settled { client_id: bob(), packet_id, number: Some(number) },
    ]
}

fn measure(bencher: Bencher<'_, '_>, durability: Durability, group: u64, records: impl Fn(u64) -> Vec<Record>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = DiskStore::open(directory.path(), durability).expect("a store");
    store.load().expect("a good store");
    store.persist(1, Record::Session { client_id: bob(), user: None, expiry_seconds: 60, ended: None });
    store.commit().expect("room");
    let mut number = 0;
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        for _ in 0..group {
            number += 1;
            for record in records(number) {
                store.persist(number, record);
            }
        }
        store.commit().expect("room");
    });
}
