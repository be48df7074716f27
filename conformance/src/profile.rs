//! What is known of a broker: how to launch and reach it, and which failures a person has checked (`brokers/*.toml`).

use std::{num::NonZeroU16, path::Path, time::Duration};

use serde::Deserialize;
use squall_scenarios::verdict::Verdict;

use crate::{
    launch::recipe::Launch,
    report::model::Report,
    statement::{Key, catalogue},
};

/// What is later than this is no coarse clock.
const LARGEST_TOLERANCE_S: f64 = 60.0;

/// Tests at a time where nobody says otherwise.
pub const JOBS: usize = 64;

/// A profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// For the head of a report.
    pub name: String,
    /// How what it says of itself below `$SYS` begins: who audits such a server by its address need not name the profile.
    pub identity: Option<String>,
    /// The words that start it; `{folder}` is the profile's own.
    #[serde(default)]
    pub start: Vec<String>,
    /// Where it then listens.
    pub target: String,
    /// How many seconds later than usual its clocks may be before they are late: it runs them coarsely.
    #[serde(default)]
    pub tolerance_s: f64,
    /// How many tests it bears at a time, where that is fewer than the program runs unasked: `--jobs` goes before it.
    pub jobs: Option<NonZeroU16>,
    /// How `--launch` starts it.
    pub launch: Option<Launch>,
    /// Failures that were looked at.
    #[serde(default)]
    pub known: Vec<Known>,
}

/// A failure that a person checked against the statement and the packets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// `5.0/MQTT-3.1.0-2`.
    pub statement: String,
    /// Of the broker: in which it was seen.
    pub versions: Vec<String>,
    /// What is really wrong, in one line.
    pub reason: String,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// One sentence, with the line where the file is wrong.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Profile::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Reads a profile from text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let profile: Profile = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if let Some(launch) = &profile.launch {
            launch.check()?;
        }
        for known in &profile.known {
            if Key::parse(&known.statement).and_then(|key| catalogue().find(key)).is_none() {
                return Err(format!("there is no statement {}", known.statement));
            }
        }
        if !(0.0..=LARGEST_TOLERANCE_S).contains(&profile.tolerance_s) {
            return Err(format!("tolerance_s is {}, expected 0 to {LARGEST_TOLERANCE_S}", profile.tolerance_s));
        }
        Ok(profile)
    }

    /// How many tests run at a time: as many as were asked for, else as many as a broker with this profile bears.
    pub fn jobs(profile: Option<&Profile>, asked: Option<usize>) -> usize {
        let borne = profile.and_then(|profile| profile.jobs).map(|jobs| jobs.get().into());
        asked.or(borne).unwrap_or(JOBS)
    }

    /// What a report calls a server: what that says it is, behind the name of its profile where it says a number and no name.
    pub fn subject(profile: Option<&Profile>, identity: Option<&str>) -> Option<String> {
        let name = profile.map(|profile| profile.name.as_str());
        match (name, identity) {
            (Some(name), Some(number)) if number.starts_with(|first: char| first.is_ascii_digit()) => {
                Some(format!("{name} {number}"))
            }
            (_, Some(identity)) => Some(identity.to_owned()),
            (name, None) => name.map(str::to_owned),
        }
    }

    /// How much later than usual its clocks may be before they are late.
    pub fn tolerance(&self) -> Duration {
        Duration::from_secs_f64(self.tolerance_s)
    }

    /// Writes what is known beside the verdicts. A known failure that passes keeps its line, so that the list shrinks.
    pub fn annotate(&self, report: &mut Report) {
        let identity = report.run.subject.clone().unwrap_or_default();
        for known in &self.known {
            let concerns = |version: &String| identity.is_empty() || identity.contains(version.as_str());
            if !known.versions.iter().any(concerns) {
                continue;
            }
            for entry in report.statements.iter_mut().filter(|entry| entry.key() == known.statement) {
                if !matches!(entry.verdict, Verdict::Untested | Verdict::Unsupported) {
                    entry.known = Some(known.reason.clone());
                }
            }
        }
    }
}
