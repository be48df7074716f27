//! Which tests: the words of the command line that choose them.

use clap::Args;
use squall_codec::version::Version;
use squall_conformance::{
    run::DEFAULT_VERSIONS,
    select::{Filter, Grade, Selection, Tag},
};

#[derive(Debug, Args)]
pub(super) struct ChoiceArgs {
    /// Versions to speak, repeatable: 3.1 (for information), 3.1.1, 5.0 [default: 3.1.1 and 5.0]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    mqtt: Vec<Version>,
    /// Run also tests that need more than 5 s on a healthy broker
    #[arg(long)]
    slow: bool,
    /// Sections of the standard, repeatable: 3.1 takes 3.1.2.4 too
    #[arg(long = "section", value_name = "NUMBER", value_delimiter = ',')]
    sections: Vec<String>,
    /// Only tests of rules of this weight, repeatable: MUST, SHOULD or MAY
    #[arg(long = "grade", value_name = "GRADE", value_delimiter = ',')]
    grades: Vec<Grade>,
    /// Only tests with such a mark, repeatable: time, configuration, restart, slow, exclusive, numbered, unnumbered or
    /// client (rules that bind the client alone)
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<Tag>,
    /// Beginnings of ids (MQTT-3.1, 5.0/MQTT-3.3.1-2) or words of a test's name
    #[arg(value_name = "FILTER")]
    filters: Vec<Filter>,
}

impl ChoiceArgs {
    pub(super) fn selection(&self) -> Selection {
        let mut versions = if self.mqtt.is_empty() { DEFAULT_VERSIONS.to_vec() } else { self.mqtt.clone() };
        versions.sort_unstable();
        versions.dedup();
        Selection {
            versions,
            filters: self.filters.clone(),
            sections: self.sections.clone(),
            grades: self.grades.clone(),
            tags: self.tags.clone(),
            // Who asks for the slow ones by their mark wants them to run.
            slow: self.slow || self.tags.contains(&Tag::Slow),
        }
    }
}
