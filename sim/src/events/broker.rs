//! The broker of this world: its core while it runs, its store, and the time that a commit takes.

use std::{collections::VecDeque, time::Duration};

use squall_broker::{
    core::{
        broker::Broker,
        effect::{Effect, Input, Record},
        statistics::Statistics,
    },
    store::{Store, StoreError},
};
use squall_codec::time::Now;
use squall_scenarios::outage::{ClockJump, Stop};

use super::agenda::sooner;
use crate::{
    subject::{self, Medium, Subject},
    wall_clock::WallClock,
};

/// The broker, whether it runs or not.
pub(super) struct BrokerHost {
    subject: Subject,
    seed: u64,
    /// How often it was started.
    starts: u64,
    wall_clock: WallClock,
    run: Option<Run>,
}

/// From a start to an end.
struct Run {
    core: Broker,
    store: Box<dyn Store>,
    /// Its monotonic clock begins here.
    started: Duration,
    /// What the clock on the wall showed then: from there its driver counts on by itself.
    unix_start: Duration,
    /// The last record that the store was given, and the last that it has kept.
    given: u64,
    kept: u64,
    commit: Option<Commit>,
    /// When a commit that failed is tried again.
    retry: Option<Duration>,
}

/// A commit under way.
struct Commit {
    due: Duration,
    outcome: Result<u64, StoreError>,
}

/// As long as the driver waits.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

impl BrokerHost {
    pub(super) fn new(subject: Subject, seed: u64) -> Self {
        BrokerHost { subject, seed, starts: 0, wall_clock: WallClock::default(), run: None }
    }

    pub(super) fn maximum_packet_size(&self) -> u32 {
        self.subject.config.limits.maximum_packet_size
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Sets the clock on its wall.
    pub(super) fn set_clock(&mut self, jump: ClockJump) {
        self.wall_clock.set(jump);
    }

    /// Its figures, while it runs.
    pub(super) fn statistics(&self) -> Option<Statistics> {
        self.run.as_ref().map(|run| run.core.statistics())
    }

    /// All that it keeps for clients, while it runs.
    pub(super) fn state(&self) -> Option<Vec<Record>> {
        self.run.as_ref().map(|run| run.core.state())
    }

    pub(super) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Starts it with what its store has kept.
    pub(super) fn start(&mut self, now: Duration) -> Result<(), String> {
        let mut store = self.subject.store().map_err(|error| error.to_string())?;
        let records = store.load().map_err(|error| error.to_string())?;
        let key = subject::key(self.seed, self.starts);
        self.starts += 1;
        let unix_start = self.wall_clock.shows(now);
        let clock = Now { monotonic: Duration::ZERO, unix: unix_start };
        let core =
            Broker::restore(clock, self.subject.config.clone(), key, records).map_err(|error| error.to_string())?;
        self.run = Some(Run { core, store, started: now, unix_start, given: 0, kept: 0, commit: None, retry: None });
        Ok(())
    }

    /// It is no more. What its store does while it is dropped reaches the disk only where the broker was asked to end.
    pub(super) fn stop(&mut self, how: Stop) {
        let medium = self.subject.medium.as_ref();
        match how {
            // What cannot be kept now is lost: nobody was told that it was.
            Stop::Restart => drop(self.run.as_mut().map(|run| run.store.close())),
            Stop::Crash => medium.into_iter().for_each(Medium::crash),
            Stop::PowerLoss => medium.into_iter().for_each(Medium::lose_power),
        }
        self.run = None;
    }

    /// One input, and what it asks for, into a queue that is empty. A broker that does not run hears nothing.
    pub(super) fn handle(&mut self, now: Duration, input: Input, effects: &mut VecDeque<Effect>) {
        if let Some(run) = &mut self.run {
            let clock = run.clock(now);
            run.core.handle(clock, input).swap_into(effects);
        }
    }

    /// The store takes a record into the group at hand.
    pub(super) fn persist(&mut self, seq: u64, record: Record) {
        if let Some(run) = &mut self.run {
            run.given = seq;
            run.store.persist(seq, record);
        }
    }

    /// Commits the group at hand, unless a commit is under way or has just failed. The answer, if it is there at once.
    pub(super) fn commit(&mut self, now: Duration) -> Option<Input> {
        let run = self.run.as_mut().filter(|run| run.commit.is_none() && run.kept < run.given)?;
        if run.retry.is_some_and(|retry| retry > now) {
            return None;
        }
        run.retry = None;
        if self.subject.sync.is_zero() {
            let outcome = run.store.commit();
            return Some(run.answer(now, outcome));
        }
        self.subject.medium.as_ref().inspect(|medium| medium.begin_commit());
        run.commit = Some(Commit { due: now + self.subject.sync, outcome: run.store.commit() });
        None
    }

    /// The answer of a commit whose time is over, or of one that is tried again.
    pub(super) fn committed(&mut self, now: Duration) -> Option<Input> {
        let run = self.run.as_mut()?;
        if run.retry.is_some_and(|retry| retry <= now) {
            return self.commit(now);
        }
        let commit = run.commit.take_if(|commit| commit.due <= now)?;
        self.subject.medium.as_ref().inspect(|medium| medium.end_commit());
        Some(run.answer(now, commit.outcome))
    }

    /// Whether the store owes no answer, or none that is worth waiting for.
    pub(super) fn is_settled(&self) -> bool {
        self.run.as_ref().is_none_or(|run| run.commit.is_none() && (run.kept == run.given || run.retry.is_some()))
    }

    /// When the core wants a tick.
    pub(super) fn tick_due(&self) -> Option<Duration> {
        let run = self.run.as_ref()?;
        run.core.deadline().map(|deadline| deadline + run.started)
    }

    /// When something happens here by itself.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let run = self.run.as_ref()?;
        sooner(sooner(run.commit.as_ref().map(|commit| commit.due), run.retry), self.tick_due())
    }
}

impl Run {
    fn clock(&self, now: Duration) -> Now {
        let monotonic = now - self.started;
        Now { monotonic, unix: self.unix_start + monotonic }
    }

    fn answer(&mut self, now: Duration, outcome: Result<u64, StoreError>) -> Input {
        match outcome {
            Ok(up_to) => {
                self.kept = up_to;
                Input::Persisted { up_to }
            }
            Err(error) => {
                self.retry = Some(now + RETRY_PAUSE);
                Input::PersistFailed { seq: self.given, reason: error.to_string() }
            }
        }
    }
}
