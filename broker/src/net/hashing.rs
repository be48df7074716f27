//! Hashing of passwords beside everything else: on threads of their own, a few at a time, and refusals that are said late.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use squall_codec::{reason::ReasonCode, wire::Text};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::clock::Clock;
use crate::{
    core::{access::Answer, effect::AuthenticationOutcome},
    users::workshop::{Job, Workshop},
};

/// Log-ins that may wait for their turn. Beyond: 0x89, without a look at the password.
const WAITING: usize = 10_000;

/// Hashes on the runtime's blocking threads.
///
/// Two turns are taken at once, or as many as there are processors. Those who come from where somebody was wrong of late get at
/// most half of them, and one user's name has one place among those: who guesses a password by the thousand keeps others who
/// guess the same one waiting, and hardly anybody else.
pub struct HashingPool {
    clock: Clock,
    turns: Arc<Semaphore>,
    suspects: Arc<Semaphore>,
    lanes: Arc<Lanes>,
    waiting: Arc<AtomicUsize>,
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (turns, lanes) = (self.turns.available_permits(), self.lanes.map().len());
        f.debug_struct("HashingPool").field("turns", &turns).field("lanes", &lanes).finish_non_exhaustive()
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
            lanes: Arc::default(),
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

/// One place for each name that suspects wait for.
#[derive(Default)]
struct Lanes(Mutex<BTreeMap<Text, Arc<Semaphore>>>);

/// The place of a name, as long as it is held.
struct Lane {
    lanes: Arc<Lanes>,
    name: Text,
    /// Taken out before the lane is given up.
    place: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    fn map(&self) -> MutexGuard<'_, BTreeMap<Text, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(self: Arc<Self>, name: Text) -> Lane {
        let semaphore = Arc::clone(self.map().entry(name.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        // Made first, so that who gives up waiting leaves nothing behind.
        let mut lane = Lane { lanes: self, name, place: None };
        lane.place = semaphore.acquire_owned().await.ok();
        lane
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.place.take();
        let mut map = self.lanes.map();
        // Whoever waits holds the semaphore too.
        if map.get(&self.name).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            map.remove(&self.name);
        }
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
        let (turns, suspects, lanes) = (Arc::clone(&self.turns), Arc::clone(&self.suspects), Arc::clone(&self.lanes));
        Answer::Later(Box::pin(async move {
            let Job { name, is_suspect, run } = job;
            let mut among_suspects = None;
            let turn = loop {
                if among_suspects.is_none() && is_suspect() {
                    let lane = lanes.clone().enter(name.clone()).await;
                    among_suspects = Some((suspects.clone().acquire_owned().await.ok(), lane));
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
