//! What changed between two reports: for a pipeline that compares a broker with itself, and for a reader.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use owo_colors::OwoColorize;
use serde::Serialize;
use squall_scenarios::verdict::Verdict;

use super::{model::Report, words::date};

/// The shape of its JSON.
pub const SCHEMA: &str = "squall-conformance-diff/1";

/// All that differs. A statement or test whose verdict is the same in both is not here.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The first report.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// Fails now, and did not or was not there.
    pub newly_failing: Vec<Change>,
    /// Passed or only warned, and is inconclusive now: nobody knows any more whether it holds.
    pub newly_open: Vec<Change>,
    /// Failed, and passes or only warns now.
    pub fixed: Vec<Change>,
    /// Another verdict in any other way.
    pub changed: Vec<Change>,
    /// Only in the second report, and it does not fail.
    pub added: Vec<Change>,
    /// Only in the first.
    pub removed: Vec<Change>,
}

/// One of the reports.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// What the subject says that it is, or its address.
    pub subject: String,
    /// When.
    pub started_unix: u64,
    /// Of the tool.
    pub commit: String,
}

/// A statement or a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `statement` or `test`.
    pub kind: &'static str,
    /// `5.0/MQTT-3.1.0-2` or `5.0/name_of_the_test`.
    pub name: String,
    /// In the first report.
    pub before: Option<Verdict>,
    /// In the second.
    pub after: Option<Verdict>,
    /// Why it is as it is now, or as it was.
    pub reason: String,
}

type Told<'a> = BTreeMap<(&'static str, String), (Verdict, &'a str)>;

fn told(report: &Report) -> Told<'_> {
    let statements =
        report.statements.iter().map(|entry| (("statement", entry.key()), (entry.verdict, entry.reason.as_str())));
    let tests = report.tests.iter().map(|test| {
        let reason = test.reason.as_deref().unwrap_or(&test.about);
        (("test", format!("{}/{}", test.version, test.name)), (test.verdict, reason))
    });
    statements.chain(tests).collect()
}

/// Compares two reports.
pub fn diff(before: &Report, after: &Report) -> Difference {
    let side = |report: &Report| Side {
        subject: report.run.subject.clone().unwrap_or_else(|| report.run.target.clone()),
        started_unix: report.run.started_unix,
        commit: report.run.commit.clone(),
    };
    let mut difference = Difference {
        schema: SCHEMA,
        before: side(before),
        after: side(after),
        newly_failing: Vec::new(),
        newly_open: Vec::new(),
        fixed: Vec::new(),
        changed: Vec::new(),
        added: Vec::new(),
        removed: Vec::new(),
    };
    let (old, new) = (told(before), told(after));
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        let verdict = |told: Option<&(Verdict, &str)>| told.map(|(verdict, _)| *verdict);
        let change = Change {
            kind: name.0,
            name: name.1.clone(),
            before: verdict(before),
            after: verdict(after),
            reason: after.or(before).map(|(_, reason)| (*reason).to_owned()).unwrap_or_default(),
        };
        let group = match (change.before, change.after) {
            (was, is) if was == is => continue,
            (_, Some(Verdict::Fail)) => &mut difference.newly_failing,
            (Some(Verdict::Pass | Verdict::Warn), Some(Verdict::Inconclusive)) => &mut difference.newly_open,
            (Some(Verdict::Fail), Some(Verdict::Pass | Verdict::Warn)) => &mut difference.fixed,
            (Some(_), Some(_)) => &mut difference.changed,
            (None, _) => &mut difference.added,
            (_, None) => &mut difference.removed,
        };
        group.push(change);
    }
    difference
}

impl Difference {
    /// 1 if something newly fails, or held and is inconclusive now. What is unsupported or untested now follows from what
    /// the subject says that it offers and from what was asked for, and is only told.
    pub fn exit_status(&self) -> u8 {
        u8::from(!self.newly_failing.is_empty() || !self.newly_open.is_empty())
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a difference is plain data");
        text.push('\n');
        text
    }

    /// For a person.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (word, side) in [("before", &self.before), ("after", &self.after)] {
            writeln!(out, "{word:<7} {}, {}", side.subject, date(side.started_unix))?;
        }
        let groups = [
            ("newly failing", &self.newly_failing),
            ("newly open", &self.newly_open),
            ("fixed", &self.fixed),
            ("changed", &self.changed),
            ("added", &self.added),
            ("removed", &self.removed),
        ];
        for (title, changes) in groups.iter().filter(|(_, changes)| !changes.is_empty()) {
            writeln!(out, "\n{} ({})", title.bold(), changes.len())?;
            for change in *changes {
                let word =
                    |verdict: Option<Verdict>| verdict.map_or("not there".to_owned(), |verdict| verdict.to_string());
                let (before, after) = (word(change.before), word(change.after));
                writeln!(out, "  {:<9} {}: {before} → {after}", change.kind, change.name.bold())?;
                writeln!(out, "            {}", change.reason)?;
            }
        }
        let counts: Vec<_> = groups.iter().map(|(title, changes)| format!("{} {title}", changes.len())).collect();
        writeln!(out, "\n{}: exit status {}", counts.join(", "), self.exit_status())
    }
}
