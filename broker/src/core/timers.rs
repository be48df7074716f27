//! Every deadline of the core, on the monotonic clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{effect::ConnectionId, session::SessionKey};

/// What a deadline is for. There is at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// No CONNECT came in time.
    Connect(ConnectionId),
    /// Publishers have waited long enough for this reader.
    Patience(ConnectionId),
    /// One and a half Keep Alive may have passed: the last packet decides.
    KeepAlive(ConnectionId),
    /// The Will Delay Interval is over.
    WillDelay(SessionKey),
    /// The Session Expiry Interval is over.
    SessionExpiry(SessionKey),
    /// The figures below `$SYS` are due.
    Figures,
}

/// The deadlines, soonest first; those of one moment in the order of `Timer`, so that equal inputs give equal effects.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeSet<(Duration, Timer)>,
    set: BTreeMap<Timer, Duration>,
    /// Of the first in `queue`: it is asked for at each input.
    soonest: Option<Duration>,
}

impl Timers {
    /// Sets the deadline, in place of an earlier setting.
    pub(super) fn set(&mut self, timer: Timer, at: Duration) {
        self.cancel(timer);
        self.set.insert(timer, at);
        self.queue.insert((at, timer));
        self.look();
    }

    /// Forgets the deadline.
    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.set.remove(&timer) {
            self.queue.remove(&(at, timer));
            self.look();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.set.clear();
        self.look();
    }

    /// The soonest.
    pub(super) fn next(&self) -> Option<Duration> {
        self.soonest
    }

    /// Takes out one that is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Timer> {
        self.soonest.filter(|at| *at <= now)?;
        let (_, timer) = self.queue.pop_first()?;
        self.set.remove(&timer);
        self.look();
        Some(timer)
    }

    fn look(&mut self) {
        self.soonest = self.queue.first().map(|(at, _)| *at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_fires_once_and_at_the_new_time() {
        let mut timers = Timers::default();
        let timer = Timer::Connect(ConnectionId(1));
        timers.set(timer, Duration::from_secs(1));
        timers.set(timer, Duration::from_secs(3));
        assert_eq!(timers.next(), Some(Duration::from_secs(3)));
        assert_eq!(timers.take_due(Duration::from_secs(2)), None);
        assert_eq!(timers.take_due(Duration::from_secs(3)), Some(timer));
        assert_eq!(timers.next(), None);
    }
}
