//! What is audited: the words of the command line that name it, and how an audit gets there.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use squall_conformance::{
    profile::Profile,
    report::model::{Report, Spoken},
    run::{Audience, Audit, Bounds},
    target::{Subject, Target, probe},
};
use tokio::task::LocalSet;

use super::trouble::Trouble;

#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    /// The broker to audit: HOST:PORT, tcp:// or mqtt://; without it, our own broker in virtual time
    #[arg(long, value_name = "HOST:PORT")]
    target: Option<Target>,
    /// What is known of this broker: brokers/*.toml
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Tests at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
}

/// What was named.
pub(super) struct Named {
    pub(super) profile: Option<Profile>,
    target: Option<Target>,
}

impl SubjectArgs {
    /// Looks up what was named; a target on the command line goes before that of the profile.
    pub(super) fn named(&self) -> Result<Named, Trouble> {
        let profile = self.profile.as_deref().map(Profile::load).transpose().map_err(Trouble::new)?;
        let target = match (&self.target, &profile) {
            (Some(target), _) => Some(target.clone()),
            (None, Some(profile)) => Some(
                profile.target.parse().map_err(|error| Trouble::new(format!("the target of the profile: {error}")))?,
            ),
            (None, None) => None,
        };
        Ok(Named { profile, target })
    }

    pub(super) fn jobs(&self) -> usize {
        self.jobs.into()
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds { patience: Duration::from_secs(self.patience.into()), ..Bounds::default() }
    }
}

impl Named {
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
    match &named.target {
        Some(target) => live(audit, target, audience),
        None => own(audit, audience),
    }
}

fn live(mut audit: Audit<'_>, target: &Target, audience: &mut Audience) -> Result<Report, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("the runtime cannot start: {error}")))?;
    let outcome = LocalSet::new().block_on(&runtime, async {
        let subject =
            probe(target, &audit.selection.versions).await.map_err(|error| Trouble::new(error.to_string()))?;
        describe(&mut audit, &subject);
        Ok(audit.live(&subject, audience).await?)
    });
    // A look-up of a name may still be waiting for an answer, and nobody waits for it any more.
    runtime.shutdown_background();
    outcome
}

fn describe(audit: &mut Audit<'_>, subject: &Subject) {
    let header = &mut audit.header;
    header.world = "live".to_owned();
    header.target = subject.target.to_string();
    header.subject = subject.identity.clone().or_else(|| audit.profile.map(|profile| profile.name.clone()));
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
