//! The two virtual worlds by their names.

use std::{fmt, rc::Rc, str::FromStr};

use squall_scenarios::stage::{LocalFuture, World};

use crate::{
    events::{self, EventsOptions},
    run::Run,
    subject::Subject,
    turmoil::{self, TurmoilOptions},
};

/// A world in which time is virtual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VirtualWorld {
    /// The discrete-event loop over the cores.
    Events,
    /// The real drivers in turmoil's network.
    Turmoil,
}

impl VirtualWorld {
    /// Both, the faster first.
    pub const ALL: [VirtualWorld; 2] = [VirtualWorld::Events, VirtualWorld::Turmoil];

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            VirtualWorld::Events => "events",
            VirtualWorld::Turmoil => "turmoil",
        }
    }

    /// Plays in this world with this broker.
    pub fn run<T: 'static>(
        self,
        seed: u64,
        subject: Subject,
        play: impl FnOnce(Rc<dyn World>) -> LocalFuture<'static, T> + 'static,
    ) -> Run<T> {
        match self {
            VirtualWorld::Events => events::run(EventsOptions { subject, ..EventsOptions::new(seed) }, play),
            VirtualWorld::Turmoil => turmoil::run(TurmoilOptions { subject, ..TurmoilOptions::new(seed) }, play),
        }
    }
}

impl fmt::Display for VirtualWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for VirtualWorld {
    type Err = UnknownWorld;

    fn from_str(text: &str) -> Result<Self, UnknownWorld> {
        let found = VirtualWorld::ALL.into_iter().find(|world| world.name() == text);
        found.ok_or_else(|| UnknownWorld(text.to_owned()))
    }
}

/// The text names no world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown world '{0}', expected one of events, turmoil")]
pub struct UnknownWorld(String);
