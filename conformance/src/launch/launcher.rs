//! The brokers of one run: each setup that a test asks for is launched once, when the first test asks. One that crashes is
//! launched again, and that is remembered.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use squall_codec::version::Version;
use tokio::sync::{OnceCell, Semaphore};

use super::{
    instance::{HANGS, Instance},
    recipe::Launch,
};
use crate::{profile::Profile, setup::Setup, test::Isolation};

/// After so many crashes it is not launched again.
const MOST_CRASHES: usize = 60;
/// So many start beside each other: some of them take many seconds of a core, and would take minutes all at once.
const STARTS_AT_A_TIME: usize = 4;
/// So many tests that brought it down are named.
const MOST_NAMED: usize = 5;

type Slot = Rc<OnceCell<Result<Rc<Instance>, String>>>;

/// Launches brokers from one profile. All of them end with it.
#[derive(Debug)]
pub struct Launcher {
    name: String,
    launch: Launch,
    versions: Vec<Version>,
    slots: RefCell<BTreeMap<Setup, Slot>>,
    starts: Semaphore,
    /// How each that ended by itself did.
    crashes: RefCell<Vec<String>>,
    /// What one did after which it was no more, with nobody beside.
    culprits: RefCell<Vec<String>>,
    /// Something went wrong with one: it is asked whether it still answers before it is used again.
    suspects: RefCell<BTreeSet<Setup>>,
}

impl Launcher {
    /// From a profile.
    ///
    /// # Errors
    /// One sentence: it does not say how its broker is launched.
    pub fn new(profile: &Profile, versions: &[Version]) -> Result<Self, String> {
        let launch = profile.launch.clone();
        let launch = launch.ok_or_else(|| format!("the profile {} does not say how to launch it", profile.name))?;
        let name = profile.name.clone();
        let versions = versions.to_vec();
        Ok(Launcher {
            name,
            launch,
            versions,
            slots: RefCell::default(),
            starts: Semaphore::new(STARTS_AT_A_TIME),
            crashes: RefCell::default(),
            culprits: RefCell::default(),
            suspects: RefCell::default(),
        })
    }

    /// Whether it can be set up so.
    ///
    /// # Errors
    /// Why not, in one sentence.
    pub fn offers(&self, setup: Setup) -> Result<(), String> {
        match self.launch.has(setup) {
            true => Ok(()),
            false => Err(format!("the profile {} has no server {}", self.name, setup.wanted())),
        }
    }

    /// The broker with this setup: the one for all tests of it, or one for this test alone.
    ///
    /// # Errors
    /// One sentence: why there is none.
    pub async fn instance(&self, setup: Setup, isolation: Isolation) -> Result<Rc<Instance>, String> {
        let start = || async {
            let _turn = self.starts.acquire().await.map_err(|error| error.to_string())?;
            Instance::start(&self.name, &self.launch, setup, &self.versions).await.map(Rc::new)
        };
        if isolation == Isolation::Own {
            return start().await;
        }
        loop {
            let slot = Rc::clone(self.slots.borrow_mut().entry(setup).or_default());
            let instance = slot.get_or_init(start).await.clone()?;
            let suspected = self.suspects.borrow_mut().remove(&setup);
            let hangs = suspected && instance.crashed().is_none() && !instance.subject().answers().await;
            let end = instance.crashed().or_else(|| hangs.then(|| HANGS.to_owned()));
            let Some(end) = end else { return Ok(instance) };
            // Several may see it: the first clears the place for the next one.
            let mut slots = self.slots.borrow_mut();
            if slots.get(&setup).is_some_and(|current| Rc::ptr_eq(current, &slot)) {
                slots.remove(&setup);
                self.list(&instance, &end);
            }
            if self.crashes.borrow().len() > MOST_CRASHES {
                return Err(format!("{} crashed {MOST_CRASHES} times and is not launched again", self.name));
            }
        }
    }

    /// A test on it went wrong.
    pub(crate) fn suspect(&self, setup: Setup) {
        self.suspects.borrow_mut().insert(setup);
    }

    /// One of them ended or hung, by itself.
    pub(crate) fn list(&self, instance: &Instance, end: &str) {
        if instance.is_news() {
            self.crashes.borrow_mut().push(end.to_owned());
        }
    }

    /// Notes how one ended by itself, or that it hangs.
    pub async fn look_after(&self, instance: &Instance) {
        if let Some(end) = instance.fell().await {
            self.list(instance, &end);
        }
    }

    /// What was done to one, with nobody beside, that ended so.
    pub(crate) fn accuse(&self, deed: &str, end: &str) {
        self.culprits.borrow_mut().push(format!("{deed} it {end}"));
    }

    /// How many ended or hung though nobody asked them to.
    pub(crate) fn crashes(&self) -> usize {
        self.crashes.borrow().len()
    }

    /// What befell those that should have gone on: that they crashed, or that the usual one takes no connections any more.
    pub async fn trouble(&self) -> Option<String> {
        let slots: Vec<Slot> = self.slots.borrow().values().cloned().collect();
        let running = slots.iter().filter_map(|slot| slot.get()?.as_ref().ok());
        let mut ends = self.crashes.borrow().clone();
        let ended = running.filter_map(|instance| Some((instance, instance.crashed()?)));
        ends.extend(ended.filter(|(instance, _)| instance.is_news()).map(|(_, end)| end));
        let times = match ends.len() {
            0 => {
                let plain = self.instance(Setup::Plain, Isolation::Shared).await;
                return match plain {
                    Ok(plain) => plain.subject().is_there().await.err(),
                    Err(reason) => Some(reason),
                };
            }
            1 => "it crashed while it was audited".to_owned(),
            several => format!("it crashed {several} times while it was audited"),
        };
        let culprits = self.culprits.borrow();
        Some(match (&culprits[..], &ends[..]) {
            ([], [end]) => format!("{times}: it {end}"),
            ([], _) => format!("{times}: first it {}", ends[0]),
            _ => {
                let named = culprits.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
                let more = culprits.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!("; and {more} more") } else { String::new() };
                format!("{times}: {named}{more}")
            }
        })
    }
}
