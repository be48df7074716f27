//! Where a test of an audit finds its subject: at the address that was named, or at a broker launched as it wants it.

use std::rc::Rc;

use squall_scenarios::{stage::Credentials, verdict::Halt};

use crate::{
    launch::{instance::Instance, launcher::Launcher},
    live::Live,
    preflight::Subject,
    select::Planned,
    setup::Setup,
};

/// Where subjects are. A cheap clone.
#[derive(Clone)]
pub(crate) enum Places {
    /// One, as it is.
    Named(Rc<Subject>),
    /// As many as are wanted.
    Launched(Rc<Launcher>),
}

impl Places {
    /// The world in which a test plays, what its clients show, and their Keep Alive.
    pub(crate) async fn of(&self, planned: &Planned) -> Result<(Live, Option<Credentials>, u16), Halt> {
        let setup = planned.test.setup;
        match self {
            Places::Named(subject) if setup.shows() => {
                Ok((Live::at(subject, planned.version), subject.credentials.clone(), subject.keep_alive))
            }
            Places::Named(_) => {
                Err(Halt::unsupported(format!("needs a server {}: --launch starts one", setup.wanted())))
            }
            Places::Launched(launcher) => {
                launcher.offers(setup).map_err(Halt::unsupported)?;
                let instance: Rc<Instance> =
                    launcher.instance(setup, planned.test.isolation).await.map_err(Halt::inconclusive)?;
                if setup != Setup::Plain {
                    instance.subject().speaks(planned.version).map_err(Halt::unsupported)?;
                }
                let (credentials, keep_alive) = (instance.subject().credentials.clone(), instance.subject().keep_alive);
                Ok((Live::launched(instance, planned.version), credentials, keep_alive))
            }
        }
    }
}
