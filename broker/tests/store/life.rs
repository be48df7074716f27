//! What a store is given comes back, in the order in which it can be replayed.

use std::path::Path;

use squall_broker::{
    core::effect::Record,
    store::{
        Store, StoreError,
        disk::{DiskStore, Durability},
    },
};
use squall_codec::{qos::Qos, topic::TopicFilter};

use crate::records::*;

fn open(directory: &Path) -> DiskStore {
    DiskStore::open(directory, Durability::Os).expect("a store")
}

fn keep(store: &mut impl Store, records: &[Record]) {
    for (seq, record) in (1..).zip(records) {
        store.persist(seq, record.clone());
    }
    assert_eq!(store.commit(), Ok(records.len() as u64));
}

/// What is there after these groups, each kept by itself, and the store dropped and opened again.
#[track_caller]
fn after(groups: &[&[Record]]) -> Vec<Record> {
    let directory = tempfile::tempdir().expect("a directory");
    for group in groups {
        let mut store = open(directory.path());
        store.load().expect("a good store");
        keep(&mut store, group);
    }
    let apart = open(directory.path()).load().expect("a good store");
    // Together in one group it is the same.
    let disk = Disk::new();
    let mut store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    store.load().expect("a good store");
    keep(&mut store, &groups.concat());
    drop(store);
    let together = DiskStore::with_backend(disk, "memory", Durability::Disk).expect("a store").load();
    assert_eq!(together, Ok(apart.clone()));
    apart
}

#[test]
fn every_kind_of_record_comes_back_as_it_was() {
    assert_eq!(after(&[&everything()]), everything());
}

#[test]
fn a_new_store_is_empty_and_so_is_one_from_which_everything_has_gone() {
    let gone = [
        Record::SessionEnded { client_id: client("bob") },
        Record::SessionEnded { client_id: client("carol") },
        Record::WillCleared { client_id: client("dave") },
        Record::RetainedCleared { topic: "x".try_into().expect("a topic") },
        Record::RetainedCleared { topic: "a/rich/topic".try_into().expect("a topic") },
    ];
    assert_eq!(after(&[]), []);
    assert_eq!(after(&[&everything(), &gone]), []);
}

#[test]
fn a_message_goes_through_its_states() {
    let bob = || client("bob");
    let hi = message(Qos::ExactlyOnce, "t", b"hi");
    let begin = [session("bob"), queued("bob", 1, hi.clone())];
    let send = [sent("bob", 1, 7)];
    let release = [Record::Released { client_id: bob(), packet_id: id(7), number: 1 }];
    let settle = [settled("bob", 7, None)];
    assert_eq!(after(&[&begin]), begin);
    assert_eq!(after(&[&begin, &send]), [&begin[..], &send].concat());
    let released = Record::Released { client_id: bob(), packet_id: id(7), number: 0 };
    assert_eq!(after(&[&begin, &send, &release]), [session("bob"), released]);
    assert_eq!(after(&[&begin, &send, &release, &settle]), [session("bob")]);
    assert_eq!(after(&[&begin, &send, &[settled("bob", 7, Some(1))]]), [session("bob")]);
    assert_eq!(after(&[&begin, &[Record::Dropped { client_id: bob(), number: 1 }]]), [session("bob")]);
}

#[test]
fn an_identifier_that_is_used_again_stands_for_the_later_message() {
    let first = [session("bob"), queued("bob", 1, message(Qos::AtLeastOnce, "t", b"1")), sent("bob", 1, 7)];
    let second = queued("bob", 2, message(Qos::AtLeastOnce, "t", b"2"));
    let again = [settled("bob", 7, Some(1)), second.clone(), sent("bob", 2, 7)];
    assert_eq!(after(&[&first, &again]), [session("bob"), second, sent("bob", 2, 7)]);
    let received = Record::Received { client_id: client("bob"), packet_id: id(3) };
    let completed = Record::Completed { client_id: client("bob"), packet_id: id(3) };
    let records = [session("bob"), received.clone()];
    assert_eq!(after(&[&records, std::slice::from_ref(&completed), &records]), records);
    assert_eq!(after(&[&records, &[completed.clone(), received, completed]]), [session("bob")]);
}

#[test]
fn a_subscription_is_replaced_and_taken_out_by_its_filter() {
    let filter = TopicFilter::literal("a/+/#");
    let unsubscribed = Record::Unsubscribed { client_id: client("bob"), filter: filter.clone() };
    let made = [session("bob"), subscribed("bob", filter)];
    assert_eq!(after(&[&made, &made]), made);
    assert_eq!(after(&[&made, &[unsubscribed]]), [session("bob")]);
}

#[test]
fn a_client_that_begins_anew_has_nothing_of_its_session_before() {
    let ended = Record::SessionEnded { client_id: client("bob") };
    let anew = [ended.clone(), session("bob"), queued("bob", 1, message(Qos::AtLeastOnce, "t", b"new"))];
    let old = &everything()[..12];
    assert_eq!(after(&[old, &anew]), anew[1..]);
    assert_eq!(after(&[&anew[1..], &[ended.clone(), session("bob"), ended]]), []);
}

#[test]
fn sessions_come_back_in_the_order_in_which_they_began_and_messages_in_theirs() {
    let mut records = Vec::new();
    for name in ["zoe", "adam", "mia"] {
        records.push(session(name));
        for number in [1, 2, 255, 256, 65_536] {
            records.push(queued(name, number, message(Qos::AtLeastOnce, "t", &[number as u8])));
        }
        // The order in which they were sent is not that of their identifiers.
        for (number, packet_id) in [(1, 900), (2, 5), (255, 6)] {
            records.push(sent(name, number, packet_id));
        }
    }
    assert_eq!(after(&[&records]), records);
}

#[test]
fn a_large_message_is_kept_whole() {
    let payload: Vec<u8> = (0..3_000_000).map(|index| index as u8).collect();
    let records = [session("bob"), queued("bob", 1, message(Qos::ExactlyOnce, "t", &payload))];
    assert_eq!(after(&[&records]), records);
}

#[test]
fn what_comes_and_goes_within_one_group_is_never_written() {
    let disk = Disk::new();
    let mut store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    store.load().expect("a good store");
    keep(&mut store, &[session("bob")]);
    let before = disk.syncs.load(std::sync::atomic::Ordering::SeqCst);
    let passing: Vec<Record> = (1..100)
        .flat_map(|number| {
            let hi = message(Qos::AtLeastOnce, "t", b"hi");
            [queued("bob", number, hi), sent("bob", number, 7), settled("bob", 7, Some(number))]
        })
        .collect();
    keep(&mut store, &passing);
    assert_eq!(disk.syncs.load(std::sync::atomic::Ordering::SeqCst), before);
}

#[test]
fn only_the_durability_of_the_disk_waits_for_the_disk() {
    for (durability, waits) in [(Durability::None, false), (Durability::Os, false), (Durability::Disk, true)] {
        let disk = Disk::new();
        let mut store = DiskStore::with_backend(disk.clone(), "memory", durability).expect("a store");
        keep(&mut store, &[session("bob")]);
        let synced = disk.syncs.load(std::sync::atomic::Ordering::SeqCst) > 0;
        assert_eq!((synced, store.is_awaited()), (waits, durability != Durability::None), "{durability:?}");
        // Whatever it waits for, a process that dies leaves what it has written.
        let copy = Disk::of(&disk.bytes());
        std::mem::forget(store);
        let mut store = DiskStore::with_backend(copy, "memory", durability).expect("a store");
        assert_eq!(store.load(), Ok(vec![session("bob")]), "{durability:?}");
    }
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = open(directory.path());
    let second = DiskStore::open(directory.path(), Durability::Os);
    let error = second.expect_err("it is taken");
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(first);
    open(directory.path());
}

#[test]
fn a_store_that_was_being_made_when_the_program_died_is_made_again() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("squall.redb.new"), b"half a stor").expect("a file");
    assert_eq!(open(directory.path()).load(), Ok(vec![]));
    assert!(!directory.path().join("squall.redb.new").exists());
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    drop(open(&directory.path().join("made")));
    let file = directory.path().join("made/squall.redb");
    assert_eq!(std::fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_closed_store_has_kept_its_last_group() {
    let disk = Disk::new();
    let mut store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    store.persist(1, session("bob"));
    assert_eq!(store.close(), Ok(()));
    let mut store = DiskStore::with_backend(disk, "memory", Durability::Disk).expect("a store");
    assert_eq!(store.load(), Ok(vec![session("bob")]));
}
