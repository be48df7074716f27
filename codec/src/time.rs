//! A moment, handed in as a value. Nothing in the cores reads a clock.

use std::time::Duration;

/// A moment on both clocks that the cores know.
///
/// Timers use `monotonic`; what must survive a restart uses `unix`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since the program (or the simulation) started.
    pub monotonic: Duration,
    /// Time since 1970-01-01T00:00:00Z.
    pub unix: Duration,
}

impl Now {
    /// A moment whose two clocks agree, as in a simulation that starts in 1970.
    pub const fn simulated(since_start: Duration) -> Self {
        Now { monotonic: since_start, unix: since_start }
    }
}
