//! What a plan may ask of a server: what was seen to work when it was asked for.

use std::rc::Rc;

use squall_codec::{qos::Qos, version::Version};
use squall_scenarios::{outage::Stop, stage::Stage};
use squall_sim::storm::fit::Offer;

use crate::{
    capabilities::{Card, card},
    launch::{instance::Instance, launcher::Launcher},
    live::Live,
    preflight::Subject,
    run::{Bounds, storm_namespace},
    setup::Setup,
    test::Isolation,
    tests::both::s4_01_restart::outlives_a_kill,
};

/// What was found out.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What plans may ask for.
    pub offer: Offer,
    /// What they may not, and why: "shared subscriptions: does not work: SUBACK 0x9E".
    pub missing: Vec<String>,
}

/// Asks a server what it offers. How it can be taken down is asked with [`outages`].
///
/// # Errors
/// It speaks no version in which a storm could be played.
pub async fn asked(subject: &Subject, bounds: Bounds) -> Result<Asked, String> {
    let card = card(subject, bounds).await?;
    let mut missing = Vec::new();
    let mut spoken = |version: Version| match subject.speaks(version) {
        Ok(()) => true,
        Err(reason) => {
            missing.push(reason);
            false
        }
    };
    let versions: Vec<Version> = [Version::V3_1_1, Version::V5_0].into_iter().filter(|one| spoken(*one)).collect();
    if versions.is_empty() {
        return Err(format!("a storm needs MQTT 3.1.1 or 5.0: {}", missing.join("; ")));
    }
    let speaks_properties = versions.contains(&Version::V5_0);
    let mut works = |name: &str| works(&card, name, &mut missing);
    let maximum_qos = match (works("QoS 1"), works("QoS 2")) {
        (_, true) => Qos::ExactlyOnce,
        (true, false) => Qos::AtLeastOnce,
        (false, false) => Qos::AtMostOnce,
    };
    let offer = Offer {
        maximum_qos,
        retained: works("retained messages"),
        wildcards: works("wildcard subscriptions"),
        shared: speaks_properties && works("shared subscriptions"),
        identifiers: speaks_properties && works("subscription identifiers"),
        outages: Vec::new(),
        disks: false,
        versions,
    };
    Ok(Asked { offer, missing })
}

/// How a server that is launched can be taken down: a kill only where a session outlives it, for the standard lets a failure take it.
///
/// # Errors
/// One sentence: why it cannot.
pub async fn outages(launcher: &Launcher, versions: &[Version], bounds: Bounds) -> Result<Vec<Stop>, String> {
    launcher.offers(Setup::Persistence)?;
    let instance = server_of_its_own(launcher).await?;
    let (subject, version) = (instance.subject().clone(), versions.last().copied().unwrap_or(Version::V5_0));
    let world = Rc::new(Live::launched(instance, version));
    let stage = Stage::new(world, version, &storm_namespace(0), bounds.patience)
        .with_credentials(subject.credentials)
        .with_keep_alive(subject.keep_alive)
        .with_topic_root(&subject.topic_root);
    Ok(match outlives_a_kill(&stage).await {
        Ok(true) => vec![Stop::Restart, Stop::Crash],
        // One that does not come back from a kill may well restart.
        Ok(false) | Err(_) => vec![Stop::Restart],
    })
}

/// A server for one storm alone, which may be taken down.
///
/// # Errors
/// One sentence: why there is none.
pub async fn server_of_its_own(launcher: &Launcher) -> Result<Rc<Instance>, String> {
    launcher.instance(Setup::Persistence, Isolation::Own).await
}

fn works(card: &Card, name: &str, missing: &mut Vec<String>) -> bool {
    let Some(capability) = card.capabilities.iter().find(|capability| capability.name == name) else { return false };
    let observed = capability.observed.as_deref().unwrap_or_default();
    let works = observed == "works";
    if !works {
        missing.push(format!("{name}: {observed}"));
    }
    works
}
