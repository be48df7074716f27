//! What a report holds. Every form of it, and every total, comes from here.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use squall_scenarios::{
    timing::Timing,
    transcript::{Entry, What},
    verdict::Verdict,
};

use crate::statement::{Chapter, Level};

/// The shape of the JSON. It grows by fields; what is taken away or changes its meaning makes a new number.
pub const SCHEMA: &str = "squall-conformance-report/1";

/// A whole report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// What was run, on what.
    pub run: Header,
    /// From the first to the last test.
    pub duration_ms: u64,
    /// By version.
    pub totals: Vec<Totals>,
    /// How the subject could not be reached any more at the end: what was inconclusive then says nothing about rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<String>,
    /// Why not all of the chosen tests ran: the run was interrupted, or it stopped at the first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<CutShort>,
    /// What the baseline says to all this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Compared>,
    /// How many tests broke down by a fault of ours.
    pub internal_errors: usize,
    /// One entry for each version and id.
    pub statements: Vec<StatementEntry>,
    /// One entry for each test that ran.
    pub tests: Vec<TestEntry>,
}

/// Why not all of the chosen tests ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutShort {
    /// By the person who started it.
    Interrupted,
    /// At the first failure, as was asked.
    FirstFailure,
}

/// What a list of accepted deviations says to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The file.
    pub file: String,
    /// Lines whose deviation is not there any more, each told in one sentence.
    pub better: Vec<String>,
    /// Lines that count no more since their day has passed, each told in one sentence.
    pub expired: Vec<String>,
}

/// What was run, on what.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// `conformance`.
    pub tool: String,
    /// Of the tool.
    pub version: String,
    /// Of the tool's source; `unknown` where it was not built from a checkout.
    pub commit: String,
    /// The words of the command line.
    pub command: String,
    /// Seconds since 1970.
    pub started_unix: u64,
    /// `live` or `events`.
    pub world: String,
    /// The address, or `squall-broker`.
    pub target: String,
    /// What the subject says that it is, or what its profile says.
    pub subject: Option<String>,
    /// What was asked for, and whether the subject speaks it.
    pub mqtt: Vec<Spoken>,
    /// Warnings count as failures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// What a reader has to know before the verdicts, each in one sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A version of the protocol, and whether the subject speaks it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoken {
    /// `5.0`.
    pub version: String,
    /// Whether a CONNECT of this version was accepted.
    pub spoken: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// The totals of one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// `5.0`.
    pub version: String,
    /// Of the statements.
    pub statements: Counts,
    /// Of the tests.
    pub tests: Counts,
}

/// How often each verdict was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the verdicts")]
pub struct Counts {
    pub pass: usize,
    pub warn: usize,
    pub fail: usize,
    pub unsupported: usize,
    pub inconclusive: usize,
    pub untested: usize,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, verdict: Verdict) {
        *self.slot(verdict) += 1;
    }

    fn slot(&mut self, verdict: Verdict) -> &mut usize {
        match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Warn => &mut self.warn,
            Verdict::Fail => &mut self.fail,
            Verdict::Unsupported => &mut self.unsupported,
            Verdict::Inconclusive => &mut self.inconclusive,
            Verdict::Untested => &mut self.untested,
        }
    }

    /// All but the untested.
    pub fn tested(&self) -> usize {
        self.pass + self.warn + self.fail + self.unsupported + self.inconclusive
    }

    /// All.
    pub fn total(&self) -> usize {
        self.tested() + self.untested
    }
}

impl FromIterator<Verdict> for Counts {
    fn from_iter<I: IntoIterator<Item = Verdict>>(verdicts: I) -> Self {
        let mut counts = Counts::default();
        for verdict in verdicts {
            counts.add(verdict);
        }
        counts
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Counts>>(all: I) -> Self {
        all.fold(Counts::default(), |sum, counts| Counts {
            pass: sum.pass + counts.pass,
            warn: sum.warn + counts.warn,
            fail: sum.fail + counts.fail,
            unsupported: sum.unsupported + counts.unsupported,
            inconclusive: sum.inconclusive + counts.inconclusive,
            untested: sum.untested + counts.untested,
        })
    }
}

/// The verdict on one statement of one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementEntry {
    /// `5.0`.
    pub version: String,
    /// `MQTT-3.1.0-2`.
    pub id: String,
    /// The first of fail, inconclusive, warn, pass, unsupported that its tests gave, else untested.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// What a person found out about this failure, from the profile of the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Why the baseline accepts this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// The strongest keyword.
    pub level: Level,
    /// Of the standard.
    pub section: String,
    /// Of that section.
    pub title: String,
    /// The chapter, for tables.
    pub chapter: String,
    /// The rule in plain words.
    pub rule: String,
    /// Only told, never failed: 3.1 has no conformance statements.
    pub information: bool,
    /// The tests that decided it.
    pub tests: Vec<Decided>,
}

impl StatementEntry {
    /// `5.0/MQTT-3.1.0-2`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.version, self.id)
    }
}

/// What one test says about a statement.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// Of the test.
    pub name: String,
    /// Of the test.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: Option<String>,
    /// The lines of the test's transcript that prove it.
    pub evidence: Vec<Line>,
}

/// The verdict of one test.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestEntry {
    /// A sentence.
    pub name: String,
    /// The version that it spoke.
    pub version: String,
    /// `3.1 CONNECT`.
    pub section: String,
    /// What it does and what must come of it.
    pub about: String,
    /// `5.0/MQTT-3.1.0-2`: what it decides.
    pub statements: Vec<String>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in one line; nothing for a pass.
    pub reason: Option<String>,
    /// Only told, never failed.
    pub information: bool,
    /// The verdict is a fault of ours.
    pub internal_error: bool,
    /// The positions in the transcript that prove it.
    pub evidence: Vec<usize>,
    /// Why the baseline accepts this verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// What had to come in time, and when it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timings: Vec<Timing>,
    /// Since the run began. A virtual world has its own time: there every test begins at 0.
    #[serde(default)]
    pub started_us: u64,
    /// From its first to its last packet, in the time of the world.
    pub duration_us: u64,
    /// Everything that was seen.
    pub transcript: Vec<Line>,
}

impl TestEntry {
    /// The lines that prove the verdict.
    pub fn evidence_lines(&self) -> Vec<Line> {
        self.evidence.iter().filter_map(|position| self.transcript.get(*position).cloned()).collect()
    }

    /// Lets the whole frames go: a report keeps what it shows of them.
    pub fn forget_frames(&mut self) {
        self.transcript.iter_mut().for_each(|line| line.frame = None);
    }
}

/// Which way something went, as seen by the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The actor opened a connection.
    Opened,
    /// From the actor to the subject.
    Sent,
    /// From the subject to the actor.
    Received,
    /// The actor ended the connection.
    Closed,
    /// The subject ended the connection.
    Ended,
    /// A fault took effect on the actor's link.
    Fault,
    /// A whole client told its application.
    Told,
}

/// A line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Since the test began.
    pub at_us: u64,
    /// Who.
    pub actor: String,
    /// Which of the actor's connections, from 1.
    pub connection: u32,
    /// Which way.
    pub direction: Direction,
    /// In words.
    pub summary: String,
    /// The bytes; those of a very long frame up to [`HEX_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hex: Option<String>,
    /// How many bytes there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<usize>,
    /// All of them, while the run goes on: a report keeps the first [`HEX_BYTES`].
    #[serde(skip)]
    pub frame: Option<Bytes>,
}

/// So many bytes of a frame are kept in a report.
pub const HEX_BYTES: usize = 1024;

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        let (direction, summary, bytes) = match &entry.what {
            What::Opened => (Direction::Opened, "opens a connection".to_owned(), None),
            What::Sent { summary, bytes } => (Direction::Sent, summary.clone(), Some(bytes)),
            What::Received { summary, bytes } => (Direction::Received, summary.clone(), Some(bytes)),
            What::Closed { how } => (Direction::Closed, (*how).to_owned(), None),
            What::Ended { how } => (Direction::Ended, (*how).to_owned(), None),
            What::Fault { summary } => (Direction::Fault, summary.clone(), None),
            What::Told { summary } => (Direction::Told, summary.clone(), None),
        };
        Line {
            at_us: micros(entry.at),
            actor: entry.actor.to_string(),
            connection: entry.connection,
            direction,
            summary,
            hex: bytes.map(|bytes| hex(&bytes[..bytes.len().min(HEX_BYTES)])),
            bytes: bytes.map(Bytes::len),
            frame: bytes.cloned(),
        }
    }
}

/// Which failures there are, and what each group of statements comes to: nobody else counts.
impl Report {
    /// Of all versions that count: 3.1 is only told.
    pub fn sum(&self, of: impl Fn(&Totals) -> Counts) -> Counts {
        self.totals.iter().map(of).sum()
    }

    /// The statements of one version.
    pub fn of_version<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a StatementEntry> {
        self.statements.iter().filter(move |entry| entry.version == version)
    }

    /// Without the packets of the tests that went well: what they prove keeps its evidence.
    #[must_use]
    pub fn short(&self) -> Report {
        let mut short = self.clone();
        for test in &mut short.tests {
            if matches!(test.verdict, Verdict::Pass | Verdict::Unsupported) {
                test.transcript.clear();
                test.evidence.clear();
            }
        }
        short
    }

    /// The statement with this key: `5.0/MQTT-3.1.0-2`.
    pub fn statement(&self, key: &str) -> Option<&StatementEntry> {
        let (version, id) = key.split_once('/')?;
        self.statements.iter().find(|entry| entry.version == version && entry.id == id)
    }

    /// The test of this name that spoke this version.
    pub fn test(&self, version: &str, name: &str) -> Option<&TestEntry> {
        self.tests.iter().find(|entry| entry.version == version && entry.name == name)
    }

    /// The statements of a version by chapter, in the standard's order; no empty ones.
    pub fn chapters(&self, version: &str) -> Vec<(&'static str, Counts)> {
        let of_chapter = |chapter: &Chapter| {
            let entries = self.of_version(version).filter(|entry| entry.chapter == chapter.title());
            (chapter.title(), entries.map(|entry| entry.verdict).collect::<Counts>())
        };
        Chapter::ALL.iter().map(of_chapter).filter(|(_, counts)| counts.total() > 0).collect()
    }

    /// The tests of a version by section, in the order of the tables.
    pub fn sections(&self, version: &str) -> Vec<(&str, Vec<&TestEntry>)> {
        let mut sections: Vec<(&str, Vec<&TestEntry>)> = Vec::new();
        for test in self.tests.iter().filter(|test| test.version == version) {
            match sections.iter_mut().find(|(section, _)| *section == test.section) {
                Some((_, tests)) => tests.push(test),
                None => sections.push((&test.section, vec![test])),
            }
        }
        sections
    }

    /// Of the numbered statements of a version that something MUST hold: what was decided.
    pub fn required(&self, version: &str) -> Counts {
        let required = |entry: &&StatementEntry| {
            entry.id.starts_with("MQTT-") && matches!(entry.level, Level::Must | Level::MustNot)
        };
        self.of_version(version).filter(required).map(|entry| entry.verdict).collect()
    }

    /// Whether only some of the tests were chosen.
    pub fn is_partial(&self) -> bool {
        self.cut_short.is_some() || self.statements.iter().any(|entry| entry.reason == FILTERED_OUT)
    }

    /// A verdict that makes the exit status 1 unless the baseline accepts it.
    pub fn counts_as_failure(&self, verdict: Verdict, information: bool) -> bool {
        match verdict {
            Verdict::Fail => true,
            Verdict::Warn => self.run.strict && !information,
            _ => false,
        }
    }

    /// The statements that are broken and that the baseline does not accept.
    pub fn broken(&self) -> impl Iterator<Item = &StatementEntry> {
        let broken = |entry: &&StatementEntry| {
            entry.accepted.is_none() && self.counts_as_failure(entry.verdict, entry.information)
        };
        self.statements.iter().filter(broken)
    }

    /// The tests that failed and whose verdict the baseline does not accept.
    pub fn failed(&self) -> impl Iterator<Item = &TestEntry> {
        let failed =
            |test: &&TestEntry| test.accepted.is_none() && self.counts_as_failure(test.verdict, test.information);
        self.tests.iter().filter(failed)
    }

    /// More questions were not reached than were answered: that no rule is broken then says nothing.
    pub fn is_undecided(&self) -> bool {
        let tests: Counts = self.tests.iter().map(|test| test.verdict).collect();
        tests.inconclusive > tests.pass + tests.warn + tests.fail
    }

    /// 0: no rule is broken that the baseline does not accept. 1: one is. 2: a test of ours broke down, the subject was
    /// gone at the end, or most questions were not reached. 130: the run was interrupted.
    pub fn exit_status(&self) -> u8 {
        if self.cut_short == Some(CutShort::Interrupted) {
            130
        } else if self.internal_errors > 0 || self.gone.is_some() {
            2
        } else {
            match self.broken().next().is_some() || self.failed().next().is_some() {
                true => 1,
                false if self.is_undecided() => 2,
                false => 0,
            }
        }
    }

    /// Tests by version and name.
    pub(crate) fn tests_by_name(&self) -> BTreeMap<(&str, &str), &TestEntry> {
        self.tests.iter().map(|test| ((&*test.version, &*test.name), test)).collect()
    }
}

/// The reason of a statement whose tests were not chosen.
pub(crate) const FILTERED_OUT: &str = "filtered out";

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).expect("half a byte is one digit");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]).collect()
}
