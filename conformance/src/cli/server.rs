//! The part of the command line that names a server: one that is there, or one that is started.

use std::rc::Rc;

use clap::Args;
use squall_codec::version::Version;
use squall_conformance::{
    dial::Access,
    launch::{built_in, launcher::Launcher},
    preflight::probe,
    profile::Profile,
    stories::Place,
    target::Target,
};

#[cfg(feature = "own-broker")]
use super::access::without_secrets;
use super::{access::AccessArgs, trouble::Trouble};

/// An address or a profile, and how to get in.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server: HOST:PORT, tcp://, tls://, ws:// or wss://
    #[arg(long, value_name = "URL")]
    target: Option<Target>,
    /// Start the broker of this profile on a free port, set up as is needed, and stop it at the end
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "target")]
    launch: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
}

impl ServerArgs {
    /// The address on the command line.
    pub(super) fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// How to get in there.
    pub(super) fn access(&self, target: &Target) -> Result<Access, Trouble> {
        self.access.at(target).map_err(Trouble::new)
    }

    /// The profile of the broker that is to be started.
    pub(super) fn launched(&self) -> Result<Option<Profile>, Trouble> {
        self.launch.as_deref().map(|name| built_in::find(name).map_err(Trouble::new)).transpose()
    }

    /// The same again, as words of a command line. A password is not told.
    #[cfg(feature = "own-broker")]
    pub(super) fn words(&self) -> String {
        let target = self.target.iter().flat_map(|target| ["--target".to_owned(), target.to_string()]);
        let launch = self.launch.iter().flat_map(|name| ["--launch".to_owned(), name.clone()]);
        let words: Vec<_> = without_secrets(target.chain(launch)).into_iter().chain(self.access.words()).collect();
        words.join(" ")
    }

    /// A server that answers, or one that is started when it is asked for.
    pub(super) async fn place(&self, versions: &[Version]) -> Result<Place, Trouble> {
        if let Some(profile) = self.launched()? {
            return Ok(Place::Launched(Rc::new(Launcher::new(&profile, versions).map_err(Trouble::new)?)));
        }
        let target = self.target().ok_or_else(|| Trouble::new("no server was named: --target or --launch"))?;
        let subject = probe(target, &self.access(target)?, versions).await;
        Ok(Place::Named(Rc::new(subject.map_err(|error| Trouble::new(error.to_string()))?)))
    }
}
