//! Hashing of passwords beside everything else: on threads of their own, a few at a time, and refusals that are said late.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use squall_codec::reason::ReasonCode;
use tokio::sync::Semaphore;

use super::clock::Clock;
use crate::{
    core::{access::Answer, effect::AuthenticationOutcome},
    users::workshop::{Job, Workshop},
};

/// Log-ins that may wait for their turn. Beyond: 0x89, without a look at the password.
const WAITING: usize = 10_000;

/// Hashes on the runtime's blocking threads.
///
/// Two turns are taken at once, or as many as there are processors. Those who were wrong of late get at most half of them:
/// who guesses passwords by the thousand keeps others who do the same waiting, and nobody else.
pub struct HashingPool {
    clock: Clock,
    turns: Arc<Semaphore>,
    suspects: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool").field("turns", &self.turns.available_permits()).finish_non_exhaustive()
    }
}

impl Default for HashingPool {
    fn default() -> Self {
        HashingPool::new(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16))
    }
}

impl HashingPool {
    /// So many hashes at once, two at least. Each one takes the memory that its line in the password file asks for.
    pub fn new(at_once: usize) -> Self {
        let at_once = at_once.max(2);
        HashingPool {
            clock: Clock::start(Duration::ZERO),
            turns: Arc::new(Semaphore::new(at_once)),
            suspects: Arc::new(Semaphore::new(at_once / 2)),
            waiting: Arc::default(),
        }
    }
}

/// A place in the queue, given back whatever happens.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workshop for HashingPool {
    fn now(&self) -> Duration {
        self.clock.now().monotonic
    }

    fn work(&self, job: Job) -> Answer {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.waiting));
        if waiting >= WAITING {
            return Answer::Now(AuthenticationOutcome::Refused(ReasonCode::ServerBusy));
        }
        let (turns, suspects) = (Arc::clone(&self.turns), Arc::clone(&self.suspects));
        Answer::Later(Box::pin(async move {
            let Job { is_suspect, run } = job;
            let mut among_suspects = None;
            let turn = loop {
                if among_suspects.is_none() && is_suspect() {
                    among_suspects = suspects.clone().acquire_owned().await.ok();
                }
                let turn = turns.clone().acquire_owned().await.ok();
                // Others from the same address may have been wrong while this one waited.
                if among_suspects.is_some() || !is_suspect() {
                    break turn;
                }
            };
            // Whoever has hung up meanwhile does not free the turn before its hash is done.
            let hashed = tokio::task::spawn_blocking(move || {
                let answer = run();
                drop((turn, among_suspects, place));
                answer
            });
            match hashed.await {
                Ok((outcome, delay)) => {
                    tokio::time::sleep(delay).await;
                    outcome
                }
                Err(_) => AuthenticationOutcome::Refused(ReasonCode::ServerUnavailable),
            }
        }))
    }

    fn after(&self, delay: Duration, outcome: AuthenticationOutcome) -> Answer {
        if delay.is_zero() {
            return Answer::Now(outcome);
        }
        Answer::Later(Box::pin(async move {
            tokio::time::sleep(delay).await;
            outcome
        }))
    }
}
