//! What a run gives back, in whichever world.

use std::time::Duration;

use squall_scenarios::transcript::Transcript;

use crate::invariants::Breach;

/// From every actor to the broker, one way, where nothing else is asked for: the smallest that turmoil can do.
pub const DEFAULT_LATENCY: Duration = Duration::from_millis(1);

/// What became of a play.
#[derive(Debug)]
pub struct Run<T> {
    /// What it returned, or why it could not end.
    pub outcome: Result<T, RunError>,
    /// Everything that was seen, also where the play could not end.
    pub transcript: Transcript,
    /// The virtual time at its end.
    pub elapsed: Duration,
    /// Faults that were put in place and touched nothing, in words.
    pub untouched: Vec<String>,
    /// Breaches that were noticed while it was played: in storms.
    pub noticed: Vec<Breach>,
}

impl<T> Run<T> {
    /// With something else in the place of what it returned.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Run<U> {
        let Run { outcome, transcript, elapsed, untouched, noticed } = self;
        Run { outcome: outcome.map(make), transcript, elapsed, untouched, noticed }
    }
}

/// Why a play could not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Nobody waits for a time, nothing is under way, and the play is not over.
    #[error("stuck at {:.3} s: the play waits, and nothing will ever happen", .at.as_secs_f64())]
    Stuck {
        /// The virtual time.
        at: Duration,
    },
    /// It goes on and on.
    #[error("the play was not over after {} virtual seconds", .limit.as_secs())]
    TooLong {
        /// Of this world.
        limit: Duration,
    },
    /// It goes in circles.
    #[error("more than {limit} events, and the play was not over at {:.3} s", .at.as_secs_f64())]
    TooManyEvents {
        /// Of the options.
        limit: u64,
        /// The virtual time.
        at: Duration,
    },
    /// The play, the broker or a client panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The world itself broke: the broker's driver ended, say.
    #[error("{0}")]
    Broken(String),
}
