//! The one task of this world and its sleepers. Nothing runs by itself: the loop asks who was woken.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use squall_scenarios::stage::LocalFuture;

/// The play: polled when something woke it, and only then.
pub struct Play<T> {
    future: LocalFuture<'static, T>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What became of the play.
pub enum Turn<T> {
    /// Nothing woke it.
    Idle,
    /// It ran and waits again.
    Ran,
    /// It is over.
    Done(T),
}

impl<T> Play<T> {
    /// It has not begun, and is woken.
    pub fn new(future: LocalFuture<'static, T>) -> Self {
        Play { future, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Runs until it waits, if something woke it since the last turn.
    pub fn turn(&mut self) -> Turn<T> {
        if !self.woken.0.swap(false, Ordering::Relaxed) {
            return Turn::Idle;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Turn::Done(value),
            Poll::Pending => Turn::Ran,
        }
    }
}

/// Who waits for a time, in the order of time and then of asking.
#[derive(Debug, Default)]
pub struct Sleepers {
    waiting: BTreeMap<SleeperId, Waker>,
    asked: u64,
}

/// One sleeper: its time, and its turn among those of the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SleeperId(Duration, u64);

impl Sleepers {
    /// Wakes `waker` when the time is `at`.
    pub fn add(&mut self, at: Duration, waker: Waker) -> SleeperId {
        self.asked += 1;
        let id = SleeperId(at, self.asked);
        self.waiting.insert(id, waker);
        id
    }

    /// Wakes another waker in this sleeper's place.
    pub fn replace(&mut self, id: SleeperId, waker: &Waker) {
        if let Some(old) = self.waiting.get_mut(&id) {
            old.clone_from(waker);
        }
    }

    /// It sleeps no more.
    pub fn remove(&mut self, id: SleeperId) {
        self.waiting.remove(&id);
    }

    /// The earliest time somebody waits for.
    pub fn next(&self) -> Option<Duration> {
        self.waiting.keys().next().map(|id| id.0)
    }

    /// Wakes all whose time has come.
    pub fn wake_due(&mut self, now: Duration) {
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            first.remove().wake();
        }
    }
}
