//! Where the expensive and the slow parts of an answer happen, and the clock beside it: handed in, so that nothing here needs
//! a runtime.

use std::{fmt, time::Duration};

use squall_codec::wire::Text;

use crate::core::{access::Answer, effect::AuthenticationOutcome};

/// Does what takes its time.
pub trait Workshop: fmt::Debug + Send + Sync {
    /// This moment on a clock that never goes back.
    fn now(&self) -> Duration;

    /// Does the job when its turn comes, and answers as it says.
    fn work(&self, job: Job) -> Answer;

    /// Answers this after a while.
    fn after(&self, delay: Duration, outcome: AuthenticationOutcome) -> Answer;
}

/// Something that costs milliseconds.
pub struct Job {
    /// The user whom it is about: suspects do not wait for those who name somebody else.
    pub name: Text,
    /// Whether those who ask for it have been wrong of late. Asked when its turn comes: what waits meanwhile may have
    /// learned something.
    pub is_suspect: Box<dyn Fn() -> bool + Send + Sync>,
    /// The job: what is to be answered, and how much later.
    pub run: Box<dyn FnOnce() -> (AuthenticationOutcome, Duration) + Send>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

/// Everything at once, and time stands still: for virtual worlds.
#[derive(Clone, Copy, Debug, Default)]
pub struct AtOnce;

impl Workshop for AtOnce {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn work(&self, job: Job) -> Answer {
        let (outcome, _) = (job.run)();
        Answer::Now(outcome)
    }

    fn after(&self, _delay: Duration, outcome: AuthenticationOutcome) -> Answer {
        Answer::Now(outcome)
    }
}
