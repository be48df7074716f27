//! The stage's view of the actors' host.

use std::{cell::Cell, rc::Rc, time::Duration};

use squall_client::{net::driver, options::Options};
use squall_scenarios::{
    armed::Armed,
    fault::{Fault, Moment, Triggered},
    links::Links,
    outage::{ClockJump, DiskState, Outage},
    stage::{ClientActor, LocalFuture, Need, Wire, World},
    transcript::{Transcript, What},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    LONGEST,
    client_actor::TurmoilClient,
    power::Power,
    sockets::{BROKER, PORT, SimulatedConnector, SimulatedWire, WEB_SOCKET_PORT, connect},
};
use crate::{seed::derive, told};

/// How long a connection may take: turmoil lets one wait for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The turmoil world. Lives in the actors' host.
pub(super) struct TurmoilWorld {
    seed: u64,
    /// From the actors' host to the broker's, one way.
    distance: Duration,
    started: Instant,
    links: Links,
    transcript: Transcript,
    clients: Cell<u64>,
    power: Power,
}

impl TurmoilWorld {
    pub(super) fn new(seed: u64, distance: Duration, links: Links, transcript: Transcript, power: Power) -> Self {
        TurmoilWorld { seed, distance, started: Instant::now(), links, transcript, clients: Cell::new(0), power }
    }
}

impl World for TurmoilWorld {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        self.connect_at(PORT, actor)
    }

    fn web_socket(&self) -> Result<String, String> {
        let uri = self.power.has_web_socket().then(|| format!("ws://{BROKER}:{WEB_SOCKET_PORT}/mqtt"));
        uri.ok_or_else(|| "the broker of this story has no WebSocket".to_owned())
    }

    fn connect_below(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        self.connect_at(WEB_SOCKET_PORT, actor)
    }

    fn client(&self, actor: &str, options: Options) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        let index = self.clients.get();
        self.clients.set(index + 1);
        let seed = derive(self.seed, &format!("client {actor}"), index);
        let power = self.power.clone();
        let connector =
            SimulatedConnector { links: self.links.clone(), actor: actor.to_owned(), started: self.started, power };
        let (handle, messages, events, driver) = driver::start(options, connector, seed);
        tokio::spawn(driver);
        let client = TurmoilClient::start(self.recorder(actor), handle, messages, events);
        Box::pin(std::future::ready(Ok(Rc::new(client) as Rc<dyn ClientActor>)))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()> {
        Box::pin(sleep_until(self.started + at))
    }

    fn offers(&self, need: Need) -> Result<(), String> {
        match need {
            Need::Client
            | Need::Clock
            | Need::Invariants
            | Need::Network
            | Need::Restart
            | Need::PowerLoss
            | Need::Arrival
            | Need::OwnBroker
            | Need::WholeTree
            | Need::Configuration => Ok(()),
            Need::Jump => Err(format!(
                "the turmoil world cannot skip idle time: a script of more than {} virtual seconds takes too long",
                LONGEST.as_secs()
            )),
        }
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let applied = self.links.apply(self.now(), fault);
        Box::pin(std::future::ready(applied))
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.strike(outage.to_string());
            self.power.outage(outage).await?;
            self.strike(told::RUNS_AGAIN.to_owned());
            Ok(())
        })
    }

    fn set_disk(&self, state: DiskState) -> Result<(), String> {
        let medium = self.power.medium().ok_or("the broker of this story has no disk")?;
        medium.set_state(state);
        self.strike(state.to_string());
        Ok(())
    }

    fn set_clock(&self, jump: ClockJump) -> Result<(), String> {
        self.power.set_wall_clock(jump);
        self.strike(jump.to_string());
        Ok(())
    }

    fn arm(&self, moment: &Moment, what: Triggered) -> Result<Armed, String> {
        self.links.arm(moment, what)
    }

    fn distance(&self) -> Duration {
        self.distance
    }

    fn untouched(&self) -> Vec<String> {
        self.links.unhit()
    }

    fn why_untouched(&self, fault: &str) -> Option<String> {
        self.links.why_unhit(fault)
    }

    fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }
}

impl TurmoilWorld {
    fn connect_at(&self, port: u16, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, connect(&self.links, &actor, self.started, (&self.power, port))).await {
                Ok(Ok((stream, link))) => Ok(Box::new(SimulatedWire::new(stream, link)) as Box<dyn Wire>),
                Ok(Err(error)) => Err(format!("{actor} cannot connect: {error}")),
                Err(_) => Err(format!("{actor} cannot connect within {} s", CONNECT_TIMEOUT.as_secs())),
            }
        })
    }

    /// Something befell the broker itself.
    fn strike(&self, summary: String) {
        self.transcript.record(self.now(), &Rc::from(told::BROKER), 0, What::Fault { summary });
    }

    fn recorder(&self, actor: &str) -> Recorder {
        Recorder {
            actor: Rc::from(actor),
            started: self.started,
            links: self.links.clone(),
            transcript: self.transcript.clone(),
        }
    }
}

/// Writes what one client tells its application.
pub(super) struct Recorder {
    actor: Rc<str>,
    started: Instant,
    links: Links,
    transcript: Transcript,
}

impl Recorder {
    pub(super) fn tell(&self, summary: String) {
        let connection = self.links.connection_number(&self.actor);
        self.transcript.record(self.started.elapsed(), &self.actor, connection, What::Told { summary });
    }
}
