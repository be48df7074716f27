//! A store without a disk: it keeps whole groups of records, in their order, and forgets none. What a store promises, and not
//! how it is done: a broker that goes down has what was committed, and the group under way or not.
//!
//! A commit costs nothing here, and a hundred microseconds on the simulated disk. Most storms ask what the broker makes of its
//! store; what the store makes of a disk is asked by those that have one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use squall_broker::{
    core::effect::Record,
    store::{Store, StoreError},
};
use squall_scenarios::outage::DiskState;

/// What is kept. A cheap clone; it outlives the broker that writes to it.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    kept: Vec<Record>,
    /// How many were kept when the commit began that is still under way.
    commit: Option<usize>,
    /// The run of the broker that may write.
    run: u64,
    state: DiskState,
    draws: ChaCha8Rng,
}

/// The journal as one run of the broker holds it.
#[derive(Debug)]
struct JournalStore {
    journal: Journal,
    run: u64,
    group: Vec<Record>,
    last: u64,
}

impl Journal {
    /// An empty one. Whether a group under way is kept when the broker goes down comes from this seed.
    pub fn new(seed: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Journal(Arc::new(Mutex::new(State {
            kept: Vec::new(),
            commit: None,
            run: 0,
            state: DiskState::Well,
            draws: ChaCha8Rng::from_seed(key),
        })))
    }

    /// For the next run of the broker. A store of an earlier run keeps nothing more.
    pub fn store(&self) -> Box<dyn Store> {
        let mut state = self.lock();
        state.run += 1;
        Box::new(JournalStore { journal: self.clone(), run: state.run, group: Vec::new(), last: 0 })
    }

    /// A commit begins that takes its time.
    pub fn begin_commit(&self) {
        let mut state = self.lock();
        state.commit = Some(state.kept.len());
    }

    /// The commit is over.
    pub fn end_commit(&self) {
        self.lock().commit = None;
    }

    /// The broker goes down without a word: the group under way is kept whole, or not at all.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.run += 1;
        if let Some(before) = state.commit.take()
            && state.draws.next_u64().is_multiple_of(2)
        {
            state.kept.truncate(before);
        }
    }

    /// From now on it takes what it is given, or does not.
    pub fn set_state(&self, new: DiskState) {
        self.lock().state = new;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for JournalStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        Ok(self.journal.lock().kept.clone())
    }

    fn persist(&mut self, seq: u64, record: Record) {
        self.group.push(record);
        self.last = seq;
    }

    fn commit(&mut self) -> Result<u64, StoreError> {
        let mut state = self.journal.lock();
        let file = || "the journal".into();
        if state.run != self.run {
            return Err(StoreError::Io { file: file(), detail: "the broker that had it has ended".to_owned() });
        }
        match state.state {
            DiskState::Well => state.kept.append(&mut self.group),
            DiskState::Full => return Err(StoreError::Full { file: file(), detail: "it is full".to_owned() }),
            DiskState::Broken => return Err(StoreError::Io { file: file(), detail: "it is broken".to_owned() }),
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use squall_codec::wire::Text;

    use super::*;

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
}
