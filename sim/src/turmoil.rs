//! The turmoil world: the real drivers of the broker and the clients on turmoil's hosts, over its TCP.
//!
//! One host for the broker, one for all actors. What goes wrong comes from each actor's own link, in front of its socket:
//! turmoil's message loss stalls a TCP stream for ever, and its crash is a graceful close. Time is virtual, in steps of
//! 1 ms, and every step is taken: it cannot jump.

mod client_actor;
mod power;
mod sockets;
pub mod storm;
mod world;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::{Duration, UNIX_EPOCH},
};

use squall_broker::core::config::Config;
use squall_scenarios::{
    links::Links,
    stage::{LocalFuture, World},
};

use self::{
    power::{Order, Power},
    sockets::BROKER,
    world::TurmoilWorld,
};
use crate::{
    panics,
    run::{DEFAULT_LATENCY, Run, RunError},
    subject::Subject,
};

/// How far time moves at once: tokio's timers know nothing finer.
const TICK: Duration = Duration::from_millis(1);
/// Segments that a socket and a listener hold; turmoil panics when as many connections come in one step.
const TCP_CAPACITY: usize = 4096;

/// The longest script in this world, and the reason why there is one.
pub const LONGEST: Duration = Duration::from_secs(120);

/// How a run in this world is set up.
#[derive(Clone, Debug)]
pub struct TurmoilOptions {
    /// Everything random comes from it.
    pub seed: u64,
    /// The broker.
    pub subject: Subject,
    /// From every actor to the broker, one way, in whole milliseconds, beside what the actor's own link adds.
    pub latency: Duration,
    /// A play that is not over by then waits for something that never comes.
    pub time_limit: Duration,
}

impl TurmoilOptions {
    /// The broker as it is by default, 1 ms away; a play has as long as a script may take, and some patience.
    pub fn new(seed: u64) -> Self {
        TurmoilOptions {
            seed,
            subject: Subject::new(Config::default()),
            latency: DEFAULT_LATENCY,
            time_limit: LONGEST + Duration::from_secs(10),
        }
    }
}

/// Plays to the end, or to the time limit. Panics in any task of the broker or of a client are errors of the run.
pub fn run<T: 'static>(
    options: TurmoilOptions,
    play: impl FnOnce(Rc<dyn World>) -> LocalFuture<'static, T> + 'static,
) -> Run<T> {
    let links = Links::new(options.seed);
    let transcript = links.transcript();
    let mut elapsed = Duration::ZERO;
    let (told, noted) = (transcript.clone(), links.clone());
    let (seed, distance) = (options.seed, options.latency);
    let outcome = simulated(&options, &links, &mut elapsed, move |power| {
        let played = play(Rc::new(TurmoilWorld::new(seed, distance, noted, told.clone(), power)));
        // What ends with the host is no part of the play. It ends in the order of tokio's numbers for its tasks, which are
        // those of the whole process.
        Box::pin(async move { (played.await, told.so_far()) })
    });
    let (outcome, transcript) = match outcome {
        Ok((played, so_far)) => (Ok(played), so_far),
        Err(error) => (Err(error), transcript),
    };
    Run { outcome, transcript, elapsed, untouched: links.unhit(), noticed: Vec::new() }
}

/// The same for a play on the actors' host that needs no stage; `links` are told where the broker loses its power.
fn simulated<T: 'static>(
    options: &TurmoilOptions,
    links: &Links,
    elapsed: &mut Duration,
    play: impl FnOnce(Power) -> LocalFuture<'static, T> + 'static,
) -> Result<T, RunError> {
    panics::watch();
    catch_unwind(AssertUnwindSafe(|| simulate(options, links, elapsed, play)))
        .unwrap_or_else(|panic| Err(RunError::Panicked(panics::message(&*panic))))
}

fn simulate<T: 'static>(
    options: &TurmoilOptions,
    links: &Links,
    elapsed: &mut Duration,
    play: impl FnOnce(Power) -> LocalFuture<'static, T> + 'static,
) -> Result<T, RunError> {
    let mut sim = turmoil::Builder::new()
        .rng_seed(options.seed)
        .epoch(UNIX_EPOCH)
        .tick_duration(TICK)
        // Equal bounds: jitter comes from the links, each from a stream of its own.
        .min_message_latency(options.latency)
        .max_message_latency(options.latency)
        .tcp_capacity(TCP_CAPACITY)
        .simulation_duration(options.time_limit + Duration::from_secs(3600))
        .build();

    let power = Power::new(options.subject.clone(), options.seed, links.clone());
    let host = power.clone();
    sim.host(BROKER, move || host.clone().run());

    let outcome = Rc::new(RefCell::new(None));
    let (slot, switch) = (Rc::clone(&outcome), power.clone());
    sim.client("actors", async move {
        let played = play(switch).await;
        *slot.borrow_mut() = Some(played);
        Ok(())
    });

    loop {
        match power.take_order() {
            None => {}
            Some(Order::Kill) => sim.crash(BROKER),
            Some(Order::Start) => sim.bounce(BROKER),
        }
        let step = sim.step();
        *elapsed = sim.elapsed();
        power.set_clock(*elapsed);
        if let Some(panic) = panics::seen() {
            return Err(RunError::Panicked(panic));
        }
        if let Err(error) = step {
            return Err(RunError::Broken(error.to_string()));
        }
        if let Some(played) = outcome.borrow_mut().take() {
            return Ok(played);
        }
        if !sim.is_host_running(BROKER) && power.is_wanted() {
            return Err(RunError::Broken("the broker has ended".to_owned()));
        }
        if *elapsed > options.time_limit {
            return Err(RunError::TooLong { limit: options.time_limit });
        }
    }
}
