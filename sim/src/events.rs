//! The events world: a discrete-event loop over the cores of the broker and the clients. Nothing of tokio is in it.
//!
//! Time is virtual and jumps to whatever is due next, so that an idle hour costs nothing. One thread, one order.

mod afterwards;
pub mod agenda;
mod broker;
mod client;
mod client_actor;
mod connection;
pub mod executor;
pub mod fleet;
mod network;
mod outage;
pub mod outcomes;
mod stored;
pub mod storm;
mod world;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use squall_broker::core::config::Config;
use squall_scenarios::{
    liar::Liar,
    stage::{LocalFuture, World},
    transcript::Transcript,
};

use self::{
    executor::{Play, Turn},
    network::{Network, Setup},
    world::EventsWorld,
};
use crate::{
    panics,
    run::{DEFAULT_LATENCY, Run, RunError},
    subject::Subject,
};

/// How a run in this world is set up.
pub struct EventsOptions {
    /// Everything random comes from it.
    pub seed: u64,
    /// The broker.
    pub subject: Subject,
    /// A filter on the broker's side of every link. Connections are numbered from 0, in the order of their opening.
    pub liar: Option<Box<dyn Liar>>,
    /// From every actor to the broker, one way, beside what the actor's own link adds.
    pub latency: Duration,
    /// More happenings than this are a run that goes in circles.
    pub event_limit: u64,
    /// A play that is not over by then waits for something that never comes, while clients keep their connections alive.
    pub time_limit: Duration,
}

impl EventsOptions {
    /// An honest broker as it is by default, 1 ms away.
    pub fn new(seed: u64) -> Self {
        EventsOptions {
            seed,
            subject: Subject::new(Config::default()),
            liar: None,
            latency: DEFAULT_LATENCY,
            event_limit: 5_000_000,
            time_limit: Duration::from_secs(400 * 24 * 3600),
        }
    }
}

/// Plays to the end, or until nothing can happen any more.
///
/// ```
/// use std::time::Duration;
/// use squall_codec::version::Version;
/// use squall_scenarios::{peer::Peer, stage::Stage};
/// use squall_sim::events::{EventsOptions, run};
///
/// let run = run(EventsOptions::new(1), |world| {
///     let stage = Stage::new(world, Version::V5_0, "doc", Duration::from_secs(2));
///     Box::pin(async move { Peer::connected(&stage, "alice").await.is_ok() })
/// });
/// assert_eq!(run.outcome, Ok(true));
/// ```
pub fn run<T: 'static>(options: EventsOptions, play: impl FnOnce(Rc<dyn World>) -> LocalFuture<'static, T>) -> Run<T> {
    let EventsOptions { seed, subject, liar, latency, event_limit, time_limit } = options;
    let transcript = Transcript::new();
    let transcript_of_world = transcript.clone();
    let setup = Setup {
        seed,
        subject,
        latency,
        liar,
        transcript: transcript_of_world,
        witness: None,
        is_quiet: false,
        has_applications: true,
    };
    let network = Rc::new(RefCell::new(Network::new(setup)));
    let world = Rc::new(EventsWorld::new(Rc::clone(&network)));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut play = Play::new(play(world));
        drive(&mut play, &network, event_limit, time_limit)
    }))
    .unwrap_or_else(|panic| Err(RunError::Panicked(panics::message(&*panic))));
    // A panic may have left the network in the middle of something.
    let network = network.try_borrow();
    let (elapsed, untouched) =
        network.map_or_else(|_| (Duration::ZERO, Vec::new()), |network| (network.now, network.untouched()));
    Run { outcome, transcript, elapsed, untouched, noticed: Vec::new() }
}

fn drive<T>(
    play: &mut Play<T>,
    network: &RefCell<Network>,
    event_limit: u64,
    time_limit: Duration,
) -> Result<T, RunError> {
    loop {
        match play.turn() {
            Turn::Done(outcome) => return Ok(outcome),
            Turn::Ran => network.borrow_mut().events += 1,
            Turn::Idle => {
                let mut network = network.borrow_mut();
                let now = network.now;
                match network.next() {
                    None => return Err(RunError::Stuck { at: now }),
                    Some(due) if due > time_limit => return Err(RunError::TooLong { limit: time_limit }),
                    Some(due) => network.now = due.max(now),
                }
                network.events += 1;
            }
        }
        let mut network = network.borrow_mut();
        network.settle(event_limit);
        network.wake_sleepers();
        if network.events > event_limit {
            return Err(RunError::TooManyEvents { limit: event_limit, at: network.now });
        }
    }
}
