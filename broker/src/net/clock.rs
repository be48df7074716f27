//! The only place that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use squall_codec::time::Now;
use tokio::time::Instant;

/// Both clocks of `Now`: the monotonic one is tokio's, which is virtual in a simulated network; the other is counted on
/// from a moment that is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    unix_start: Duration,
}

impl Clock {
    /// Starts now, and calls this moment `unix_start` since 1970-01-01T00:00:00Z.
    pub fn start(unix_start: Duration) -> Self {
        Clock { start: read(), unix_start }
    }

    /// This moment.
    pub fn now(&self) -> Now {
        let monotonic = read().saturating_duration_since(self.start);
        Now { monotonic, unix: self.unix_start + monotonic }
    }

    /// When tokio's clock shows this monotonic time.
    pub fn instant(&self, monotonic: Duration) -> Instant {
        self.start + monotonic
    }
}

/// tokio's clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads tokio's clock")]
pub(super) fn read() -> Instant {
    Instant::now()
}

/// The time of the machine since 1970-01-01T00:00:00Z: what a real server hands in as `unix_start`.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock, once at the start")]
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
