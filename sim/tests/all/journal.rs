//! What a journal keeps when its broker goes down.

use squall_broker::{core::effect::Record, store::StoreError};
use squall_codec::wire::Text;
use squall_scenarios::outage::DiskState;
use squall_sim::journal::Journal;

fn ended(client_id: &str) -> Record {
    Record::SessionEnded { client_id: Text::new(client_id.to_owned()).expect("a name") }
}

fn names(journal: &Journal) -> Vec<String> {
    let records = journal.store().load().expect("it can be read");
    let name = |record: Record| match record {
        Record::SessionEnded { client_id } => client_id.to_string(),
        other => panic!("nobody has written {other:?}"),
    };
    records.into_iter().map(name).collect()
}

#[test]
fn what_was_committed_is_there_and_what_was_only_handed_over_is_not() {
    let journal = Journal::new(1);
    let mut store = journal.store();
    store.persist(1, ended("anna"));
    store.persist(2, ended("bela"));
    assert_eq!(store.commit(), Ok(2));
    store.persist(3, ended("cleo"));
    journal.stop();
    assert_eq!(names(&journal), ["anna", "bela"]);
    assert!(store.commit().is_err(), "its run has ended");
}

#[test]
fn a_group_under_way_is_kept_whole_or_not_at_all() {
    let mut seen = [0, 0];
    for seed in 0..50 {
        let journal = Journal::new(seed);
        let mut store = journal.store();
        journal.begin_commit();
        store.persist(1, ended("anna"));
        store.persist(2, ended("bela"));
        store.commit().expect("it is well");
        journal.stop();
        let kept = names(&journal).len();
        assert!(kept == 0 || kept == 2, "seed {seed}: {kept} of 2");
        seen[kept / 2] += 1;
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn a_group_that_could_not_be_kept_goes_with_the_next() {
    let journal = Journal::new(1);
    let mut store = journal.store();
    journal.set_state(DiskState::Full);
    store.persist(1, ended("anna"));
    assert!(matches!(store.commit(), Err(StoreError::Full { .. })));
    journal.set_state(DiskState::Well);
    store.persist(2, ended("bela"));
    assert_eq!(store.commit(), Ok(2));
    assert_eq!(names(&journal), ["anna", "bela"]);
}
