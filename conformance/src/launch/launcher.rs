//! The brokers of one run: each setup that a test asks for is launched once, when the first test asks.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use squall_codec::version::Version;
use tokio::sync::OnceCell;

use super::{instance::Instance, recipe::Launch};
use crate::{profile::Profile, setup::Setup, test::Isolation};

type Slot = Rc<OnceCell<Result<Rc<Instance>, String>>>;

/// Launches brokers from one profile. All of them end with it.
#[derive(Debug)]
pub struct Launcher {
    name: String,
    launch: Launch,
    versions: Vec<Version>,
    slots: RefCell<BTreeMap<Setup, Slot>>,
}

impl Launcher {
    /// From a profile.
    ///
    /// # Errors
    /// One sentence: it does not say how its broker is launched.
    pub fn new(profile: &Profile, versions: &[Version]) -> Result<Self, String> {
        let launch = profile.launch.clone();
        let launch = launch.ok_or_else(|| format!("the profile {} does not say how to launch it", profile.name))?;
        Ok(Launcher { name: profile.name.clone(), launch, versions: versions.to_vec(), slots: RefCell::default() })
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
        let start = || async { Instance::start(&self.name, &self.launch, setup, &self.versions).await.map(Rc::new) };
        if isolation == Isolation::Own {
            return start().await;
        }
        let slot = Rc::clone(self.slots.borrow_mut().entry(setup).or_default());
        slot.get_or_init(start).await.clone()
    }
}
