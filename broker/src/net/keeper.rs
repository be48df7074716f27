//! The store's side of the core's task: records in, answers out. A prompt store is asked on the spot; any other commits on
//! a thread where it may block, one group at a time, and what comes meanwhile is the next group.

use std::{future, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::clock;
use crate::{
    core::effect::{Input, Record},
    store::{Store, StoreError},
};

/// Memory of records that wait for a commit. Beyond it nothing is read from clients until the store has caught up.
const WAITING_BYTES: usize = 64 << 20;
/// Memory that a record takes beside its message.
const RECORD_BYTES: usize = 256;
/// The pause after a commit that failed, before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The store, and what it has not kept yet.
pub(super) struct Keeper {
    place: Place,
    is_prompt: bool,
    is_awaited: bool,
    /// Records that the store was not given yet.
    waiting: Vec<(u64, Record)>,
    waiting_bytes: usize,
    /// The last record, and the last that the core knows to be kept.
    given: u64,
    answered: u64,
    /// When a commit that failed is tried again.
    retry: Option<Instant>,
    /// The last commit failed: it is said once, not at each try.
    is_failing: bool,
}

/// Where the store is.
enum Place {
    Here(Box<dyn Store>),
    /// With a commit under way.
    Away(JoinHandle<(Box<dyn Store>, Result<u64, StoreError>)>),
    /// A commit never came back.
    Lost,
}

impl Keeper {
    pub(super) fn new(store: Box<dyn Store>) -> Self {
        Keeper {
            is_prompt: store.is_prompt(),
            is_awaited: store.is_awaited(),
            place: Place::Here(store),
            waiting: Vec::new(),
            waiting_bytes: 0,
            given: 0,
            answered: 0,
            retry: None,
            is_failing: false,
        }
    }

    /// What was kept before.
    pub(super) fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        match &mut self.place {
            Place::Here(store) => store.load(),
            Place::Away(_) | Place::Lost => Ok(Vec::new()),
        }
    }

    pub(super) fn persist(&mut self, seq: u64, record: Record) {
        self.given = seq;
        match &mut self.place {
            // A group that cannot be kept yet grows with what there is to keep, not with what happens.
            Place::Here(store) if self.is_prompt || self.retry.is_some() => store.persist(seq, record),
            Place::Here(_) | Place::Away(_) => {
                self.waiting_bytes += size_bytes(&record);
                self.waiting.push((seq, record));
            }
            Place::Lost => {}
        }
    }

    /// Whether more waits than may wait. Not while the disk is full: then the core refuses what would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes > WAITING_BYTES && self.retry.is_none()
    }

    /// Whether nothing is under way, and nothing can be done at once.
    pub(super) fn is_idle(&self) -> bool {
        match self.place {
            Place::Here(_) => self.retry.is_some() || (self.waiting.is_empty() && self.answered == self.given),
            Place::Away(_) => false,
            Place::Lost => true,
        }
    }

    /// Begins a commit if there is something to keep. The answer, if it is there at once.
    pub(super) fn begin(&mut self) -> Option<Input> {
        let told = self.answered;
        if !self.is_awaited {
            // Nobody waits for it, and nobody is told how it ended.
            self.answered = self.given;
        }
        let settled = (self.answered > told).then_some(Input::Persisted { up_to: self.answered });
        if self.retry.is_some() || (settled.is_none() && self.answered == self.given && self.waiting.is_empty()) {
            return settled;
        }
        let answer = self.commit();
        settled.or(answer)
    }

    fn commit(&mut self) -> Option<Input> {
        self.retry = None;
        let mut store = match std::mem::replace(&mut self.place, Place::Lost) {
            Place::Here(store) => store,
            elsewhere => {
                self.place = elsewhere;
                return None;
            }
        };
        let group = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let work = move || {
            for (seq, record) in group {
                store.persist(seq, record);
            }
            let outcome = store.commit();
            (store, outcome)
        };
        if self.is_prompt {
            let (store, outcome) = work();
            self.place = Place::Here(store);
            return self.answer(outcome);
        }
        self.place = Place::Away(tokio::task::spawn_blocking(work));
        None
    }

    /// The answer to a commit, whenever it comes. May be dropped and called again.
    pub(super) async fn answered(&mut self) -> Input {
        loop {
            let answer = match (&mut self.place, self.retry) {
                (Place::Away(commit), _) => match commit.await {
                    Ok((store, outcome)) => {
                        self.place = Place::Here(store);
                        self.answer(outcome)
                    }
                    Err(error) => {
                        tracing::error!(%error, "the store is lost");
                        self.place = Place::Lost;
                        Some(Input::PersistFailed { seq: self.given, reason: error.to_string() })
                    }
                },
                (Place::Here(_), Some(retry)) => {
                    sleep_until(retry).await;
                    self.commit()
                }
                (Place::Here(_) | Place::Lost, _) => future::pending().await,
            };
            match answer {
                Some(answer) => return answer,
                None => continue,
            }
        }
    }

    /// What the core is told of a commit.
    fn answer(&mut self, outcome: Result<u64, StoreError>) -> Option<Input> {
        match outcome {
            Ok(up_to) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::warn!("everything is kept again");
                }
                let news = up_to > self.answered;
                self.answered = self.answered.max(up_to);
                news.then_some(Input::Persisted { up_to })
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "nothing can be kept until this is mended");
                }
                self.retry = Some(clock::read() + RETRY_PAUSE);
                self.waiting_bytes = 0;
                if let Place::Here(store) = &mut self.place {
                    self.waiting.drain(..).for_each(|(seq, record)| store.persist(seq, record));
                }
                let reason = error.to_string();
                self.is_awaited.then_some(Input::PersistFailed { seq: self.given, reason })
            }
        }
    }

    /// The end: what is left is kept, and the store closed.
    pub(super) async fn close(&mut self) {
        if let Place::Away(commit) = &mut self.place {
            self.place = commit.await.map_or(Place::Lost, |(store, _)| Place::Here(store));
        }
        let Place::Here(mut store) = std::mem::replace(&mut self.place, Place::Lost) else { return };
        let group = std::mem::take(&mut self.waiting);
        let work = move || {
            for (seq, record) in group {
                store.persist(seq, record);
            }
            store.close()
        };
        let outcome = match self.is_prompt {
            true => work(),
            false => tokio::task::spawn_blocking(work).await.unwrap_or(Ok(())),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "the store could not be closed in order");
        }
    }
}

fn size_bytes(record: &Record) -> usize {
    RECORD_BYTES
        + match record {
            Record::Queued { message, .. } | Record::Will { message, .. } | Record::Retained { message, .. } => {
                message.size_bytes()
            }
            _ => 0,
        }
}
