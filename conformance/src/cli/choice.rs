//! Which tests: the words of the command line that choose them.

use clap::Args;
use squall_codec::version::Version;
use squall_conformance::{
    run::DEFAULT_VERSIONS,
    select::{Filter, Selection},
};

#[derive(Debug, Args)]
pub(super) struct ChoiceArgs {
    /// Versions to speak, repeatable: 3.1 (for information), 3.1.1, 5.0 [default: 3.1.1 and 5.0]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    mqtt: Vec<Version>,
    /// Run also tests that need more than 5 s on a healthy broker
    #[arg(long)]
    slow: bool,
    /// Beginnings of ids (MQTT-3.1, 5.0/MQTT-3.3.1-2) or words of a test's name
    #[arg(value_name = "FILTER")]
    filters: Vec<Filter>,
}

impl ChoiceArgs {
    pub(super) fn selection(&self) -> Selection {
        let mut versions = if self.mqtt.is_empty() { DEFAULT_VERSIONS.to_vec() } else { self.mqtt.clone() };
        versions.sort_unstable();
        versions.dedup();
        Selection { versions, filters: self.filters.clone(), slow: self.slow }
    }
}
