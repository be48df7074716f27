//! The profiles that are part of the program, so that `--launch mosquitto` works wherever it was copied to.

use std::path::Path;

use strsim::damerau_levenshtein;

use crate::profile::Profile;

/// By the name on the command line.
pub const PROFILES: &[(&str, &str)] = &[
    ("squall", include_str!("../../brokers/squall.toml")),
    ("mosquitto", include_str!("../../brokers/mosquitto.toml")),
    ("nats-server", include_str!("../../brokers/nats-server.toml")),
    ("rabbitmq", include_str!("../../brokers/rabbitmq.toml")),
    ("amqtt", include_str!("../../brokers/amqtt.toml")),
    ("aedes", include_str!("../../brokers/aedes.toml")),
    ("mosca", include_str!("../../brokers/mosca.toml")),
    ("mqttv5", include_str!("../../brokers/mqttv5.toml")),
    ("rumqttd", include_str!("../../brokers/rumqttd.toml")),
    ("rmqttd", include_str!("../../brokers/rmqttd.toml")),
    ("iotcore", include_str!("../../brokers/iotcore.toml")),
    ("nanomq", include_str!("../../brokers/nanomq.toml")),
    ("emqx", include_str!("../../brokers/emqx.toml")),
    ("hivemq", include_str!("../../brokers/hivemq.toml")),
    ("vernemq", include_str!("../../brokers/vernemq.toml")),
];

/// The profile of a server that says this of itself.
pub fn of_identity(identity: &str) -> Option<Profile> {
    let profiles = PROFILES.iter().filter_map(|(_, text)| Profile::parse(text).ok());
    let is_it =
        |profile: &Profile| profile.identity.as_ref().is_some_and(|begins| identity.starts_with(begins.as_str()));
    profiles.into_iter().find(is_it)
}

/// The profile of this name, or in this file.
///
/// # Errors
/// One sentence: there is no such profile, or it is wrong.
pub fn find(name: &str) -> Result<Profile, String> {
    if let Some((_, text)) = PROFILES.iter().find(|(known, _)| *known == name) {
        return Profile::parse(text).map_err(|error| format!("the profile {name}: {error}"));
    }
    let is_file =
        name.contains(['/', '\\']) || Path::new(name).extension().is_some_and(|extension| extension == "toml");
    if is_file {
        return Profile::load(Path::new(name));
    }
    let nearest = PROFILES.iter().map(|(known, _)| *known).min_by_key(|known| damerau_levenshtein(known, name));
    let known = PROFILES.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
    let nearest = nearest.filter(|near| damerau_levenshtein(near, name) <= 2);
    let hint = nearest.map(|near| format!(", did you mean {near}?")).unwrap_or_default();
    Err(format!("there is no profile '{name}'{hint} (known: {known}, and files that end with .toml)"))
}
