//! The catalogue: every normative statement of 3.1.1 and 5.0, and the behaviour that is expected without a number.
//!
//! It is data (`statements/*.yaml`) and never names tests: a test names its statements, coverage is computed.
//! The key is the version *and* the id, because the same id means different things in the two standards.

use std::{collections::BTreeMap, fmt, sync::LazyLock};

use serde::{Deserialize, Serialize};
use squall_codec::version::Version;

/// A version and an id, written `5.0/MQTT-3.1.0-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a> {
    /// Of the protocol.
    pub version: Version,
    /// `MQTT-3.1.0-2`, or `X-…` for what has no number.
    pub id: &'a str,
}

impl<'a> Key<'a> {
    /// Reads `5.0/MQTT-3.1.0-2`. `None` without a version that exists; whether the id exists is the catalogue's to say.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (version, id) = text.split_once('/')?;
        Some(Key { version: version.parse().ok()?, id })
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.id)
    }
}

/// The strongest keyword of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the keywords")]
pub enum Level {
    #[serde(rename = "MUST")]
    Must,
    #[serde(rename = "MUST NOT")]
    MustNot,
    #[serde(rename = "SHOULD")]
    Should,
    #[serde(rename = "SHOULD NOT")]
    ShouldNot,
    #[serde(rename = "MAY")]
    May,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Must => "MUST",
            Level::MustNot => "MUST NOT",
            Level::Should => "SHOULD",
            Level::ShouldNot => "SHOULD NOT",
            Level::May => "MAY",
        })
    }
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Party {
    Server,
    Client,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Party::Server => "server",
            Party::Client => "client",
        })
    }
}

/// How a statement can be observed from outside, and what that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observable {
    /// By clients, at a server.
    WireServer,
    /// By a server, at a client.
    WireClient,
    /// The subject has to be configured for it.
    NeedsConfig,
    /// A clock of the standard has to run.
    NeedsTime,
    /// The subject has to be stopped and started again.
    NeedsRestart,
    /// Not at all; `why_not` says why.
    NotObservable,
}

impl fmt::Display for Observable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Observable::WireServer => "on the wire at a server",
            Observable::WireClient => "on the wire at a client",
            Observable::NeedsConfig => "needs configuration",
            Observable::NeedsTime => "needs time",
            Observable::NeedsRestart => "needs a restart",
            Observable::NotObservable => "not observable",
        })
    }
}

/// A statement, its fields as they are in the data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// `MQTT-3.1.0-2`, or `X-…` for what has no number.
    pub id: String,
    /// Which versions it holds for: only given for what has no number.
    #[serde(default)]
    pub versions: Vec<String>,
    /// Of the standard, where the label stands.
    pub section: String,
    /// Of that section.
    pub title: String,
    /// The strongest keyword.
    pub level: Level,
    /// Who has to fulfil it.
    pub applies_to: Vec<Party>,
    /// The rule in plain words.
    #[serde(rename = "statement")]
    pub rule: String,
    /// How it can be observed.
    pub observable: Vec<Observable>,
    /// How it could be tested, and what then fails it.
    pub test_idea: String,
    /// The least sensible wait of a test, in seconds.
    #[serde(default)]
    pub wait_s: Option<u64>,
    /// Its counterparts in the other version, and what touches it.
    #[serde(default)]
    pub related: Vec<String>,
    /// Why it cannot be observed.
    #[serde(default)]
    pub why_not: Option<String>,
}

impl Statement {
    /// Whether a tester that plays the clients can decide it.
    pub fn at_server(&self) -> bool {
        self.observable.contains(&Observable::WireServer)
    }

    /// Whether it carries a number of the standard.
    pub fn is_numbered(&self) -> bool {
        self.id.starts_with("MQTT-")
    }

    /// Whether a clock has to run for it.
    pub fn takes_time(&self) -> bool {
        self.observable.contains(&Observable::NeedsTime) || self.wait_s.is_some_and(|seconds| seconds > 1)
    }

    /// The chapter of the standard that it belongs to.
    pub fn chapter(&self) -> Chapter {
        match self.section.split('.').next().and_then(|number| number.parse().ok()) {
            Some(number) if self.is_numbered() => Chapter(Some(number)),
            _ => Chapter(None),
        }
    }

    /// Why nobody wrote a test that decides it at a server.
    pub fn why_untested(&self) -> String {
        if let Some(why_not) = &self.why_not {
            return format!("not observable: {why_not}");
        }
        if !self.at_server() {
            return "binds the client: a server cannot show it".to_owned();
        }
        if self.observable.contains(&Observable::NeedsRestart) {
            return "not written: needs a restart of the server".to_owned();
        }
        if self.observable.contains(&Observable::NeedsConfig) {
            return "not written: needs a server configured for it".to_owned();
        }
        "not written".to_owned()
    }
}

/// A chapter of the standard, or what has no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chapter(Option<u8>);

impl Chapter {
    /// Every chapter that has statements, in order; last what has no number.
    pub const ALL: [Chapter; 7] = [
        Chapter(Some(1)),
        Chapter(Some(2)),
        Chapter(Some(3)),
        Chapter(Some(4)),
        Chapter(Some(6)),
        Chapter(Some(7)),
        Chapter(None),
    ];

    /// Its name in the standard.
    pub const fn title(self) -> &'static str {
        match self.0 {
            Some(1) => "1 Introduction",
            Some(2) => "2 Control Packet format",
            Some(3) => "3 Control Packets",
            Some(4) => "4 Operational behavior",
            Some(6) => "6 WebSocket",
            Some(7) => "7 Conformance",
            _ => "without a number",
        }
    }
}

/// What is disputed about a statement, and which side the tests take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Of the statement.
    pub version: String,
    /// Of the statement.
    pub id: String,
    /// In plain words.
    pub reading: String,
}

/// Every statement of every version.
#[derive(Debug)]
pub struct Catalogue {
    statements: Vec<(Version, Statement)>,
    readings: Vec<Reading>,
    index: BTreeMap<(Version, String), usize>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::read);

/// The catalogue that is built in.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Catalogue {
    fn read() -> Self {
        let file = |name: &str, text: &str| -> Vec<Statement> {
            serde_saphyr::from_str(text)
                .unwrap_or_else(|error| panic!("statements/{name} is part of the program: {error}"))
        };
        let unnumbered = file("non-normative.yaml", include_str!("../statements/non-normative.yaml"));
        let numbered = [
            (Version::V3_1_1, file("mqtt-3.1.1.yaml", include_str!("../statements/mqtt-3.1.1.yaml"))),
            (Version::V5_0, file("mqtt-5.0.yaml", include_str!("../statements/mqtt-5.0.yaml"))),
        ];
        let mut statements = Vec::new();
        for (version, numbered) in numbered {
            statements.extend(numbered.into_iter().map(|statement| (version, statement)));
            let holds = |statement: &&Statement| statement.versions.contains(&version.to_string());
            statements.extend(unnumbered.iter().filter(holds).map(|statement| (version, statement.clone())));
        }
        let index = statements
            .iter()
            .enumerate()
            .map(|(position, (version, statement))| ((*version, statement.id.clone()), position))
            .collect();
        let readings: Vec<Reading> = serde_saphyr::from_str(include_str!("../statements/readings.yaml"))
            .unwrap_or_else(|error| panic!("statements/readings.yaml is part of the program: {error}"));
        Catalogue { statements, readings, index }
    }

    /// Every statement once for each version it holds for, in the order of the standard, those without a number last.
    pub fn iter(&self) -> impl Iterator<Item = (Key<'_>, &Statement)> {
        self.statements.iter().map(|(version, statement)| (Key { version: *version, id: &statement.id }, statement))
    }

    /// What is known of disputes about a statement.
    pub fn readings(&self, key: Key<'_>) -> impl Iterator<Item = &Reading> {
        let version = key.version.max(Version::V3_1_1).to_string();
        self.readings.iter().filter(move |reading| reading.version == version && reading.id == key.id)
    }

    /// All of them.
    pub fn all_readings(&self) -> &[Reading] {
        &self.readings
    }

    /// Those of one version.
    pub fn of(&self, version: Version) -> impl Iterator<Item = (Key<'_>, &Statement)> {
        self.iter().filter(move |(key, _)| key.version == version)
    }

    /// The statement with this key. A rule for 3.1 is that of 3.1.1: 3.1 has no numbers of its own.
    pub fn find(&self, key: Key<'_>) -> Option<&Statement> {
        let version = key.version.max(Version::V3_1_1);
        self.index.get(&(version, key.id.to_owned())).map(|position| &self.statements[*position].1)
    }

    /// The ids that look most like this one, best first.
    pub fn nearest(&self, id: &str) -> Vec<&str> {
        let id = id.to_ascii_uppercase();
        let mut ids: Vec<_> = self.statements.iter().map(|(_, statement)| statement.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut ranked: Vec<_> =
            ids.into_iter().map(|known| (strsim::damerau_levenshtein(&id, known), known)).collect();
        ranked.sort_unstable();
        let best = ranked.first().map_or(0, |(distance, _)| *distance);
        ranked.into_iter().take_while(|(distance, _)| *distance <= best + 1).take(3).map(|(_, known)| known).collect()
    }
}
