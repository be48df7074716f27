//! What a profile says about starting its broker: words with placeholders, and what they come to for one setup.
//!
//! `{folder}` is the broker's own, `{port}` a free one, `{spare}` and `{third}` others; `{username}`, `{password}`, `{password_lines}`
//! (as our broker keeps it), `{packet_bytes}` and `{keep_alive}` are what the tests know. Everything else in braces is a value of the profile, or is left as it stands.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use squall_codec::version::Version;

use crate::{
    setup::{KEEP_ALIVE_SECONDS, PACKET_BYTES, PASSWORD, PASSWORD_LINES, Setup, USERNAME},
    target::Target,
};

/// How a broker is started.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Beside this program, or on the PATH.
    pub program: String,
    /// Looked through before those, where what is on the PATH is another program around it.
    #[serde(default)]
    pub folders: Vec<PathBuf>,
    /// Its words.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Beside the environment of this program.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files in its folder.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Commands that run before it, one after the other.
    #[serde(default)]
    pub prepare: Vec<Vec<String>>,
    /// Programs that it needs while it runs: they start before it and end with it.
    #[serde(default)]
    pub companions: Vec<Vec<String>>,
    /// Where it is reached.
    #[serde(default = "default_target")]
    pub target: String,
    /// By the version: where it speaks that one, if each has an address of its own.
    #[serde(default)]
    pub targets: BTreeMap<String, String>,
    /// It answers by then.
    #[serde(default = "default_seconds")]
    pub seconds: u64,
    /// What stands for other placeholders unless a setup says otherwise.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
    /// By the name of the setup: what is different then.
    #[serde(default)]
    pub setups: BTreeMap<String, Changes>,
}

fn default_target() -> String {
    "tcp://127.0.0.1:{port}".to_owned()
}

const fn default_seconds() -> u64 {
    10
}

/// What a setup changes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Changes {
    /// In place of those of the same name.
    pub values: BTreeMap<String, String>,
    /// Beside the others.
    pub files: BTreeMap<String, String>,
    /// Behind the others.
    pub arguments: Vec<String>,
    /// After the others.
    pub prepare: Vec<Vec<String>>,
    /// In place of all others.
    pub target: Option<String>,
}

/// How a broker is started for one setup, in one folder, on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// Beside this program, or on the PATH.
    pub program: String,
    /// Its words.
    pub arguments: Vec<String>,
    /// Beside the environment of this program.
    pub environment: BTreeMap<String, String>,
    /// By name.
    pub files: BTreeMap<String, String>,
    /// Before it.
    pub prepare: Vec<Vec<String>>,
    /// Beside it.
    pub companions: Vec<Vec<String>>,
    /// Where it is reached.
    pub target: String,
    /// By the version: where else.
    pub targets: BTreeMap<String, String>,
}

impl Launch {
    /// Whether it can be carried out at all.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), String> {
        for version in self.targets.keys() {
            version.parse::<Version>().map_err(|error| error.to_string())?;
        }
        let known = |name: &str| Setup::ALL.iter().any(|setup| *setup != Setup::Plain && setup.name() == name);
        match self.setups.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let names: Vec<_> = Setup::ALL[1..].iter().map(|setup| setup.name()).collect();
                Err(format!("there is no setup '{name}', expected one of {}", names.join(", ")))
            }
        }
    }

    /// Whether it can be set up so.
    pub fn has(&self, setup: Setup) -> bool {
        setup == Setup::Plain || self.setups.contains_key(setup.name())
    }

    /// What it comes to; `None` where it cannot be set up so.
    pub fn recipe(&self, setup: Setup, folder: &Path, [port, spare, third]: [u16; 3]) -> Option<Recipe> {
        let none = Changes::default();
        let changes = if setup == Setup::Plain { &none } else { self.setups.get(setup.name())? };
        let given = [
            ("folder", folder.display().to_string()),
            ("port", port.to_string()),
            ("spare", spare.to_string()),
            ("third", third.to_string()),
            ("password_lines", PASSWORD_LINES.to_owned()),
            ("username", USERNAME.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("packet_bytes", PACKET_BYTES.to_string()),
            ("keep_alive", KEEP_ALIVE_SECONDS.to_string()),
        ];
        let given: BTreeMap<_, _> = given.map(|(name, value)| (name.to_owned(), value)).into();
        // Values may hold what is given, and are put in first.
        let mut values = self.values.clone();
        values.extend(changes.values.clone());
        let fill = |text: &String| filled(&filled(text, &values), &given);
        let all = |words: &[String]| words.iter().map(fill).collect::<Vec<_>>();
        Some(Recipe {
            program: fill(&self.program),
            arguments: all(&[&self.arguments[..], &changes.arguments].concat()),
            environment: self.environment.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            files: self.files.iter().chain(&changes.files).map(|(name, text)| (name.clone(), fill(text))).collect(),
            prepare: self.prepare.iter().chain(&changes.prepare).map(|words| all(words)).collect(),
            companions: self.companions.iter().map(|words| all(words)).collect(),
            target: fill(changes.target.as_ref().unwrap_or(&self.target)),
            targets: match changes.target {
                Some(_) => BTreeMap::new(),
                None => self.targets.iter().map(|(version, target)| (version.clone(), fill(target))).collect(),
            },
        })
    }
}

impl Recipe {
    /// Where which of these versions are to be asked for.
    ///
    /// # Errors
    /// One sentence: what is no address.
    pub fn places(&self, versions: &[Version]) -> Result<Vec<(Target, Vec<Version>)>, String> {
        let mut places: Vec<(&String, Vec<Version>)> = Vec::new();
        for version in versions {
            let target = self.targets.get(&version.to_string()).unwrap_or(&self.target);
            match places.iter_mut().find(|(known, _)| *known == target) {
                Some((_, spoken)) => spoken.push(*version),
                None => places.push((target, vec![*version])),
            }
        }
        let parsed = |target: &String| target.parse().map_err(|error| format!("the target of the profile: {error}"));
        places.into_iter().map(|(target, versions)| Ok((parsed(target)?, versions))).collect()
    }
}

/// The text with each `{name}` that has a value in its place.
fn filled(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let value = rest.find('}').and_then(|close| Some((close, values.get(&rest[1..close])?)));
        match value {
            Some((close, value)) => {
                out.push_str(value);
                rest = &rest[close + 1..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}
