//! A file that is not ours, of a later format, or damaged in any place: an error that names it, never a panic and never an
//! empty store.

use std::{fs, path::Path, sync::OnceLock};

use proptest::prelude::*;
use squall_broker::store::{
    Store, StoreError,
    disk::{DiskStore, Durability},
};
use squall_codec::qos::Qos;

use crate::records::*;

fn refused(directory: &Path) -> StoreError {
    let error = DiskStore::open(directory, Durability::Os).expect_err("it is refused");
    let sentence = error.to_string();
    assert!(sentence.contains("squall.redb"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    error
}

#[test]
fn a_file_of_somebody_else_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("squall.redb");
    for content in [&b"SQLite format 3\0 and more of it"[..], b"r", &[0; 8192]] {
        fs::write(&file, content).expect("a file");
        assert!(matches!(refused(directory.path()), StoreError::Foreign { .. }));
        assert_eq!(fs::read(&file).expect("a file"), content);
    }
}

#[test]
fn a_database_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let table = redb::TableDefinition::<u64, u64>::new("numbers");
    let database = redb::Database::create(directory.path().join("squall.redb")).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(table).expect("a table").insert(1, 2).expect("a row");
    transaction.commit().expect("a commit");
    drop(database);
    assert!(matches!(refused(directory.path()), StoreError::Foreign { .. }));
}

#[test]
fn a_file_that_was_emptied_is_no_new_store() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("squall.redb"), b"").expect("a file");
    assert!(matches!(refused(directory.path()), StoreError::Damaged { .. }));
}

#[test]
fn a_store_of_a_later_program_is_refused_with_both_formats() {
    let directory = tempfile::tempdir().expect("a directory");
    drop(DiskStore::open(directory.path(), Durability::Os).expect("a store"));
    let meta = redb::TableDefinition::<&str, u64>::new("squall");
    let database = redb::Database::open(directory.path().join("squall.redb")).expect("a database");
    let transaction = database.begin_write().expect("a transaction");
    transaction.open_table(meta).expect("a table").insert("format", 7).expect("a row");
    transaction.commit().expect("a commit");
    drop(database);
    assert!(matches!(refused(directory.path()), StoreError::Newer { found: 7, known: 1, .. }));
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("taken");
    fs::write(&file, b"").expect("a file");
    let error = DiskStore::open(&file, Durability::Os).expect_err("it is no directory");
    assert!(error.to_string().contains("taken"), "{error}");
}

/// A store with some history, closed or left as a crash leaves it.
fn store(closed: bool) -> Vec<u8> {
    static STORES: [OnceLock<Vec<u8>>; 2] = [OnceLock::new(), OnceLock::new()];
    STORES[usize::from(closed)].get_or_init(|| make_store(closed)).clone()
}

fn make_store(closed: bool) -> Vec<u8> {
    let disk = Disk::new();
    let mut store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    store.load().expect("a good store");
    for (seq, record) in (1..).zip(everything()) {
        store.persist(seq, record);
    }
    store.commit().expect("room");
    for number in 400..440 {
        store.persist(number, queued("bob", number, message(Qos::AtLeastOnce, "t", &[number as u8; 500])));
        store.commit().expect("room");
    }
    if closed {
        store.close().expect("room");
        return disk.bytes();
    }
    let bytes = disk.bytes();
    drop(store);
    bytes
}

/// What a store says of these bytes: all that was kept, all but the last group (which redb cannot tell from one that was
/// cut off by a crash), or an error. Anything else is a loss in silence.
fn judge(bytes: &[u8], kept: usize, closed: bool) -> Result<(), TestCaseError> {
    let opened = DiskStore::with_backend(Disk::of(bytes), "memory", Durability::Disk);
    match opened.and_then(|mut store| store.load()) {
        Err(error) => prop_assert!(error.to_string().contains("memory"), "{}", error),
        Ok(records) => {
            let lost = kept - records.len();
            prop_assert!(lost <= usize::from(!closed), "{} records of {} are lost in silence", lost, kept);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_are_noticed_or_harmless(
        closed in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
        whole_sector in any::<bool>(),
    ) {
        let mut bytes = store(closed);
        let kept = everything().len() + 40;
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            if whole_sector {
                let end = (at / 512 * 512 + 512).min(bytes.len());
                bytes[at / 512 * 512..end].fill(flip);
            } else {
                bytes[at] ^= flip;
            }
        }
        judge(&bytes, kept, closed)?;
    }

    #[test]
    fn flipped_bytes_of_the_header_are_noticed_or_harmless(at in 0..512usize, flip in 1..=255u8, closed in any::<bool>()) {
        let mut bytes = store(closed);
        bytes[at] ^= flip;
        judge(&bytes, everything().len() + 40, closed)?;
    }

    #[test]
    fn a_file_that_was_cut_off_is_noticed(length in any::<prop::sample::Index>(), closed in any::<bool>()) {
        let mut bytes = store(closed);
        bytes.truncate(length.index(bytes.len()));
        if !bytes.is_empty() {
            judge(&bytes, everything().len() + 40, closed)?;
        }
    }
}
