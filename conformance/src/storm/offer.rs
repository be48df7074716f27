//! What a plan may ask of a server: what was seen to work when it was asked for.

use squall_codec::{qos::Qos, version::Version};
use squall_sim::storm::fit::Offer;

use crate::{
    capabilities::{Card, card},
    preflight::Subject,
    run::Bounds,
};

/// What was found out.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What plans may ask for.
    pub offer: Offer,
    /// What they may not, and why: "shared subscriptions: does not work: SUBACK 0x9E".
    pub missing: Vec<String>,
}

/// Asks a server what it offers.
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
        outages: false,
        disks: false,
        versions,
    };
    Ok(Asked { offer, missing })
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
