//! A disk that is full or broken: nothing is said to be kept that is not, and when it is well again everything is kept.

use std::sync::atomic::Ordering;

use squall_broker::{
    core::effect::Record,
    store::{
        Store, StoreError,
        disk::{DiskStore, Durability},
    },
};
use squall_codec::qos::Qos;

use crate::records::*;

fn on(disk: &Disk) -> DiskStore {
    let mut store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    store.load().expect("a good store");
    store
}

fn text(number: u64) -> Record {
    queued("bob", number, message(Qos::AtLeastOnce, "t", &[number as u8; 3000]))
}

#[test]
fn a_group_for_which_there_is_no_room_is_kept_when_there_is() {
    // However far a commit comes before the disk is full.
    for room in 0..12 {
        let disk = Disk::new();
        let mut store = on(&disk);
        store.persist(1, session("bob"));
        assert_eq!(store.commit(), Ok(1));
        disk.room.store(room, Ordering::SeqCst);
        let mut failed = 0;
        for seq in 2..8 {
            store.persist(seq, text(seq));
            match store.commit() {
                Ok(kept) => assert_eq!(kept, seq),
                Err(error) => {
                    failed += 1;
                    assert!(matches!(error, StoreError::Full { .. }), "{error}");
                }
            }
        }
        assert!(failed > 0);
        // What it said to be kept is there after a crash at this moment.
        let copy = Disk::of(&disk.bytes());
        assert!(on(&copy).load().expect("a good store").len() > 6 - failed);
        disk.make_room();
        assert_eq!(store.commit(), Ok(7));
        drop(store);
        assert_eq!(on(&disk).load().map(|records| records.len()), Ok(7), "room for {room} writes");
    }
}

#[test]
fn what_is_settled_while_the_disk_is_full_does_not_come_back() {
    for room in 0..12 {
        let disk = Disk::new();
        let mut store = on(&disk);
        store.persist(1, session("bob"));
        store.commit().expect("room");
        disk.room.store(room, Ordering::SeqCst);
        store.persist(2, text(1));
        store.persist(3, sent("bob", 1, 7));
        let kept = store.commit().is_ok();
        // The group may have reached the disk although the commit failed: that it is settled has to reach it too.
        store.persist(4, settled("bob", 7, Some(1)));
        disk.make_room();
        assert_eq!(store.commit(), Ok(4));
        drop(store);
        assert_eq!(on(&disk).load(), Ok(vec![session("bob")]), "room for {room} writes, first kept: {kept}");
    }
}

#[test]
fn a_broken_disk_is_no_full_one() {
    let disk = Disk::new();
    let mut store = on(&disk);
    store.persist(1, session("bob"));
    disk.broken.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = store.commit().expect_err("it is broken");
        assert!(matches!(error, StoreError::Io { .. }), "{error}");
    }
    disk.broken.store(false, Ordering::SeqCst);
    assert_eq!(store.commit(), Ok(1));
}

#[test]
fn a_store_that_goes_back_in_time_under_its_user_is_noticed() {
    let disk = Disk::new();
    let mut store = on(&disk);
    let early = disk.bytes();
    for seq in 1..5 {
        store.persist(seq, if seq == 1 { session("bob") } else { text(seq) });
        store.commit().expect("room");
    }
    // Somebody puts an old copy there while the disk fails.
    disk.broken.store(true, Ordering::SeqCst);
    store.persist(5, text(5));
    store.commit().expect_err("it is broken");
    disk.replace(&early);
    disk.broken.store(false, Ordering::SeqCst);
    let error = store.commit().expect_err("groups are missing");
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}
