//! The stage's view of the actors' host.

use std::{cell::Cell, rc::Rc, time::Duration};

use squall_client::{net::driver, options::Options};
use squall_scenarios::{
    fault::Fault,
    links::Links,
    stage::{ClientActor, LocalFuture, Need, Wire, World},
    transcript::{Transcript, What},
};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    LONGEST,
    client_actor::TurmoilClient,
    sockets::{SimulatedConnector, SimulatedWire, connect},
};
use crate::seed::derive;

/// How long a connection may take: turmoil lets one wait for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The turmoil world. Lives in the actors' host.
pub(super) struct TurmoilWorld {
    seed: u64,
    started: Instant,
    links: Links,
    transcript: Transcript,
    clients: Cell<u64>,
}

impl TurmoilWorld {
    pub(super) fn new(seed: u64, links: Links, transcript: Transcript) -> Self {
        TurmoilWorld { seed, started: Instant::now(), links, transcript, clients: Cell::new(0) }
    }
}

impl World for TurmoilWorld {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, connect(&self.links, &actor, self.started)).await {
                Ok(Ok((stream, link))) => Ok(Box::new(SimulatedWire::new(stream, link)) as Box<dyn Wire>),
                Ok(Err(error)) => Err(format!("{actor} cannot connect: {error}")),
                Err(_) => Err(format!("{actor} cannot connect within {} s", CONNECT_TIMEOUT.as_secs())),
            }
        })
    }

    fn client(&self, actor: &str, options: Options) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        let index = self.clients.get();
        self.clients.set(index + 1);
        let seed = derive(self.seed, &format!("client {actor}"), index);
        let connector =
            SimulatedConnector { links: self.links.clone(), actor: actor.to_owned(), started: self.started };
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
            Need::Client | Need::Network => Ok(()),
            Need::Jump => Err(format!(
                "the turmoil world cannot skip idle time: a script of more than {} virtual seconds takes too long",
                LONGEST.as_secs()
            )),
            Need::Restart => Err("the turmoil world cannot restart the broker".to_owned()),
        }
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let applied = self.links.apply(self.now(), fault);
        Box::pin(std::future::ready(applied))
    }

    fn untouched(&self) -> Vec<String> {
        self.links.unhit()
    }

    fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }
}

impl TurmoilWorld {
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
