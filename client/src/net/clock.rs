//! The only place that reads a clock: tokio's, which a simulation can turn.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use squall_codec::time::Now;
use tokio::time::{Instant, Sleep, sleep_until};

/// Time since the driver started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    /// Time since 1970 at the start.
    unix: Duration,
}

impl Clock {
    /// A clock that starts now.
    #[expect(clippy::new_without_default, reason = "a clock that starts by default would read the time unasked")]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn new() -> Self {
        Clock { start: Instant::now(), unix: Duration::ZERO }
    }

    /// A clock that starts now, and knows the date.
    pub fn with_calendar() -> Self {
        Clock { unix: since_1970(), ..Clock::new() }
    }

    /// What the core is told. Without a calendar nothing is kept over a restart, and its two clocks are one.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> Now {
        let monotonic = Instant::now().saturating_duration_since(self.start);
        Now { monotonic, unix: self.unix + monotonic }
    }
}

/// How long something has waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(super) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub(super) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }
}

/// A seed that differs from run to run, for a program that is not simulated.
pub fn seed_of_this_run() -> u64 {
    // The lower half holds what differs most.
    since_1970().as_nanos() as u64 ^ (u64::from(std::process::id()) << 32)
}

/// Time since 1970, for what a person reads. It may jump.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Fires at the core's deadline. A deadline that moves on, as it does with every packet, costs no timer.
#[derive(Debug)]
pub(super) struct Timer {
    clock: Clock,
    sleep: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Timer {
    pub(super) fn new(clock: Clock) -> Self {
        Timer { clock, sleep: None }
    }

    /// Waits until the deadline, or a little less: the core takes an early tick for nothing. For ever without one.
    pub(super) async fn wait(&mut self, deadline: Option<Duration>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        let start = self.clock.start;
        let (_, sleep) = match &mut self.sleep {
            Some(armed) if armed.0 <= deadline => armed,
            Some((at, sleep)) => {
                sleep.as_mut().reset(start + deadline);
                *at = deadline;
                self.sleep.as_mut().expect("it was there a line before")
            }
            none => none.insert((deadline, Box::pin(sleep_until(start + deadline)))),
        };
        sleep.as_mut().await;
        self.sleep = None;
    }
}
