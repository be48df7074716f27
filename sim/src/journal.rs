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

/// Whether a record is lost: what makes a store a broken one.
pub type Forgets = fn(&Record) -> bool;

#[derive(Debug)]
struct State {
    kept: Vec<Record>,
    forgets: Option<Forgets>,
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
            forgets: None,
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

    /// From now on it loses these records, and says nothing.
    pub fn forgets(&self, these: Forgets) {
        self.lock().forgets = Some(these);
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
            DiskState::Well => {
                if let Some(forgets) = state.forgets {
                    self.group.retain(|record| !forgets(record));
                }
                state.kept.append(&mut self.group);
            }
            DiskState::Full => return Err(StoreError::Full { file: file(), detail: "it is full".to_owned() }),
            DiskState::Broken => return Err(StoreError::Io { file: file(), detail: "it is broken".to_owned() }),
        }
        Ok(self.last)
    }
}
