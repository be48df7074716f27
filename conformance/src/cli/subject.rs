//! What is audited: the words of the command line that name it, and how an audit gets there.

use std::{future::Future, path::PathBuf, rc::Rc, time::Duration};

use clap::Args;
use squall_client::net::tls::Trust;
use squall_conformance::{
    dial::Access,
    launch::launcher::Launcher,
    preflight::{Subject, probe},
    profile::Profile,
    report::model::{Report, Spoken},
    run::{Audience, Audit, Bounds},
    setup::Setup,
    target::Target,
    test::Isolation,
};
use tokio::task::LocalSet;

use super::{server::ServerArgs, trouble::Trouble};

#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    /// What is known of this broker: brokers/*.toml
    #[arg(long, value_name = "FILE", conflicts_with = "launch")]
    profile: Option<PathBuf>,
    /// Tests at a time [default: what the profile says, else 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
    #[command(flatten)]
    server: ServerArgs,
}

/// What was named.
pub(super) struct Named {
    pub(super) profile: Option<Profile>,
    target: Option<Target>,
    access: Access,
    launched: bool,
}

impl SubjectArgs {
    /// Looks up what was named; a target on the command line goes before that of the profile.
    pub(super) fn named(&self) -> Result<Named, Trouble> {
        let profile = self.server.launched()?;
        if profile.is_some() {
            return Ok(Named { profile, target: None, access: Access::default(), launched: true });
        }
        let profile = self.profile.as_deref().map(Profile::load).transpose().map_err(Trouble::new)?;
        let target = match (self.server.target(), &profile) {
            (Some(target), _) => Some(target.clone()),
            (None, Some(profile)) => Some(
                profile.target.parse().map_err(|error| Trouble::new(format!("the target of the profile: {error}")))?,
            ),
            (None, None) => None,
        };
        let access = target.as_ref().map(|target| self.server.access(target)).transpose()?;
        Ok(Named { profile, target, access: access.unwrap_or_default(), launched: false })
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { patience: Duration::from_secs(self.patience.into()), ..Bounds::default() }
    }
}

impl Named {
    /// How many tests run at a time: as many as were asked for, else as the subject bears.
    pub(super) fn jobs(&self, asked: &SubjectArgs) -> usize {
        Profile::jobs(self.profile.as_ref(), asked.jobs.map(usize::from))
    }

    /// With what the profile says of the subject's clocks.
    pub(super) fn bounds(&self, bounds: Bounds) -> Bounds {
        match &self.profile {
            Some(profile) => Bounds { tolerance: profile.tolerance(), ..bounds },
            None => bounds,
        }
    }
}

/// Carries an audit out, at a real address or on our own broker.
pub(super) fn audit(audit: Audit<'_>, named: &Named, audience: &mut Audience) -> Result<Report, Trouble> {
    match (&named.target, &named.profile) {
        (_, Some(profile)) if named.launched => in_real_time(launched(audit, profile, audience)),
        (Some(target), _) => in_real_time(live(audit, target, &named.access, audience)),
        (None, _) => own(audit, audience),
    }
}

pub(super) fn in_real_time<T>(play: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("the runtime cannot start: {error}")))?;
    let outcome = LocalSet::new().block_on(&runtime, play);
    // A look-up of a name may still be waiting for an answer, and nobody waits for it any more.
    runtime.shutdown_background();
    outcome
}

async fn live(audit: Audit<'_>, target: &Target, access: &Access, audience: &mut Audience) -> Result<Report, Trouble> {
    let versions = &audit.selection.versions;
    let subject = probe(target, access, versions).await.map_err(|error| Trouble::new(error.to_string()))?;
    let mut name = subject.target.to_string();
    if matches!(access.tls.trust, Trust::Anybody) {
        name.push_str(" (whose certificate was not checked)");
    }
    let known = subject.profile();
    let mut audit = audit.knowing(known.as_ref());
    describe(&mut audit, &subject, name);
    let stop = audit.stop.clone();
    tokio::select! {
        biased;
        () = stop.left() => Err(Trouble::interrupted()),
        report = audit.live(&subject, None, audience) => Ok(report?),
    }
}

/// The brokers end with this future. The first interruption ends the run, the second at once; before the first test they
/// are the same.
async fn launched(mut audit: Audit<'_>, profile: &Profile, audience: &mut Audience) -> Result<Report, Trouble> {
    let launcher = Rc::new(Launcher::new(profile, &audit.selection.versions).map_err(Trouble::new)?);
    let stop = audit.stop.clone();
    let plain = tokio::select! {
        biased;
        () = stop.asked() => return Err(Trouble::interrupted()),
        plain = launcher.instance(Setup::Plain, Isolation::Shared) => plain.map_err(Trouble::new)?,
    };
    describe(&mut audit, plain.subject(), format!("{}, launched here", profile.name));
    tokio::select! {
        biased;
        () = stop.left() => Err(Trouble::interrupted()),
        report = audit.live(plain.subject(), Some(Rc::clone(&launcher)), audience) => Ok(report?),
    }
}

fn describe(audit: &mut Audit<'_>, subject: &Subject, target: String) {
    let header = &mut audit.header;
    header.world = "live".to_owned();
    header.target = target;
    header.subject = Profile::subject(audit.profile, subject.identity.as_deref());
    header.mqtt = subject
        .spoken
        .iter()
        .map(|(version, spoken)| Spoken {
            version: version.to_string(),
            spoken: spoken.is_ok(),
            reason: spoken.as_ref().err().cloned(),
        })
        .collect();
}

#[cfg(feature = "own-broker")]
fn own(mut audit: Audit<'_>, audience: &mut Audience) -> Result<Report, Trouble> {
    audit.header.subject = Some(format!("squall-broker {}", env!("CARGO_PKG_VERSION")));
    Ok(squall_conformance::own::audit(audit, audience)?)
}

#[cfg(not(feature = "own-broker"))]
fn own(_audit: Audit<'_>, _audience: &mut Audience) -> Result<Report, Trouble> {
    Err(Trouble::new("this build has no broker of its own: name one with --target HOST:PORT"))
}
