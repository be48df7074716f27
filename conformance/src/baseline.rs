//! Deviations that somebody accepted, with the reason and perhaps a day on which that ends (`--baseline known.toml`).
//!
//! A run against a baseline fails only for what is new in it. What has become better is told, so that the list shrinks.

use std::{ops::Range, path::Path};

use serde::Deserialize;
use squall_scenarios::verdict::Verdict;
use toml::{Spanned, value::Datetime};

use crate::{
    report::{
        model::{Compared, Report, StatementEntry, TestEntry},
        words::day,
    },
    select::all,
    statement::{Key, catalogue},
};

/// The list, as it was read.
#[derive(Clone, Debug)]
pub struct Baseline {
    file: String,
    lines: Vec<Accepted>,
    /// The day of the run: `2027-01-15`.
    today: String,
}

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// `5.0/MQTT-3.1.0-2`.
    Statement(String),
    /// The version and the name of a test.
    Test(String, String),
}

#[derive(Clone, Debug)]
struct Accepted {
    about: About,
    verdict: Verdict,
    reason: String,
    expires: Option<String>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Spanned<Line>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    statement: Option<Spanned<String>>,
    test: Option<Spanned<String>>,
    #[serde(default = "fails")]
    verdict: Spanned<Verdict>,
    reason: Spanned<String>,
    expires: Option<Spanned<Datetime>>,
}

fn fails() -> Spanned<Verdict> {
    Spanned::new(0..0, Verdict::Fail)
}

/// The beginning of a file that `write` makes.
const HEAD: &str = "\
# Deviations that are accepted: a run with --baseline fails only for what is not here.
# Each has the statement (or `test = \"5.0/name_of_the_test\"`), the verdict, and the reason of a person who looked at it;
# `expires = 2027-03-01` makes it count again after that day.
";

impl Baseline {
    /// Reads a list. `now_unix` says which day it is.
    ///
    /// # Errors
    /// One sentence with the line of the file.
    pub fn load(path: &Path, now_unix: u64) -> Result<Self, String> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {file}: {error}"))?;
        Baseline::parse(&file, &text, now_unix)
    }

    /// Reads a list from text.
    ///
    /// # Errors
    /// One sentence with the line of the file.
    pub fn parse(file: &str, text: &str, now_unix: u64) -> Result<Self, String> {
        let wrong = |at: Range<usize>, what: String| {
            let line = 1 + text[..at.start.min(text.len())].matches('\n').count();
            let excerpt = text.lines().nth(line - 1).unwrap_or_default();
            format!("{file}:{line}: {what}\n{line:>4} | {excerpt}")
        };
        let read: File =
            toml::from_str(text).map_err(|error| wrong(error.span().unwrap_or(0..0), error.message().to_owned()))?;
        let mut lines = Vec::new();
        for entry in read.known {
            let span = entry.span();
            let line = entry.into_inner();
            let about = match (&line.statement, &line.test) {
                (Some(key), None) => statement(key.get_ref()).map_err(|what| wrong(key.span(), what))?,
                (None, Some(name)) => test(name.get_ref()).map_err(|what| wrong(name.span(), what))?,
                _ => return Err(wrong(span, "expected either `statement` or `test`".to_owned())),
            };
            if !matches!(line.verdict.get_ref(), Verdict::Fail | Verdict::Warn) {
                let what = format!("a verdict '{}' needs no excuse, expected fail or warn", line.verdict.get_ref());
                return Err(wrong(line.verdict.span(), what));
            }
            if line.reason.get_ref().trim().is_empty() {
                return Err(wrong(line.reason.span(), "the reason is empty: say why this is accepted".to_owned()));
            }
            let expires = line.expires.map(|day| match day.get_ref() {
                Datetime { date: Some(date), time: None, offset: None } => Ok(date.to_string()),
                other => Err(wrong(day.span(), format!("'{other}' is no day, expected one like 2027-03-01"))),
            });
            lines.push(Accepted {
                about,
                verdict: line.verdict.into_inner(),
                reason: line.reason.into_inner().trim().to_owned(),
                expires: expires.transpose()?,
            });
        }
        Ok(Baseline { file: file.to_owned(), lines, today: day(now_unix) })
    }

    fn has_expired(&self, line: &Accepted) -> bool {
        // Days of the same form compare as their text does.
        line.expires.as_ref().is_some_and(|expires| *expires < self.today)
    }

    fn reason(&self, about: &About, verdict: Verdict) -> Option<String> {
        let fits = |line: &&Accepted| line.about == *about && line.verdict == verdict && !self.has_expired(line);
        self.lines.iter().find(fits).map(|line| line.reason.clone())
    }

    fn of_statement(&self, entry: &StatementEntry) -> Option<String> {
        self.reason(&About::Statement(entry.key()), entry.verdict)
    }

    /// Why this verdict of a test is accepted, as far as the test alone can tell.
    pub fn of_test(&self, entry: &TestEntry) -> Option<String> {
        let by_name = self.reason(&About::Test(entry.version.clone(), entry.name.clone()), entry.verdict);
        by_name.or_else(|| {
            let reasons = entry.statements.iter().map(|key| self.reason(&About::Statement(key.clone()), entry.verdict));
            reasons.collect::<Option<Vec<_>>>().and_then(|reasons| reasons.into_iter().next())
        })
    }

    /// Writes into a report which verdicts are accepted, what is better than the list says, and what has expired.
    pub fn compare(&self, report: &mut Report) {
        let strict = report.run.strict;
        let counts = move |verdict: Verdict, information: bool| {
            verdict == Verdict::Fail || (strict && verdict == Verdict::Warn && !information)
        };
        for test in report.tests.iter_mut().filter(|test| counts(test.verdict, test.information)) {
            test.accepted = self.of_test(test);
        }
        let tests = &report.tests;
        for entry in report.statements.iter_mut().filter(|entry| counts(entry.verdict, entry.information)) {
            let blamed = entry.tests.iter().filter(|test| test.verdict == entry.verdict);
            let of = |name: &str| {
                tests.iter().find(|test| test.version == entry.version && test.name == name)?.accepted.clone()
            };
            let by_tests: Option<Vec<String>> = blamed.map(|test| of(&test.name)).collect();
            entry.accepted =
                self.of_statement(entry).or_else(|| by_tests.and_then(|reasons| reasons.into_iter().next()));
        }
        let (mut better, mut expired) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let (name, verdict) = match &line.about {
                About::Statement(key) => (key.clone(), report.statement(key).map(|entry| entry.verdict)),
                About::Test(version, name) => {
                    (format!("{version}/{name}"), report.test(version, name).map(|test| test.verdict))
                }
            };
            let Some(verdict) = verdict else { continue };
            if verdict > line.verdict && matches!(verdict, Verdict::Pass | Verdict::Warn) {
                better.push(format!("{name}: {verdict}, the baseline says {} ({})", line.verdict, line.reason));
            } else if verdict == line.verdict && self.has_expired(line) {
                let day = line.expires.as_deref().unwrap_or_default();
                expired.push(format!("{name}: {verdict}, accepted until {day} ({})", line.reason));
            }
        }
        report.baseline = Some(Compared { file: self.file.clone(), better, expired });
    }
}

fn statement(key: &str) -> Result<About, String> {
    let parsed = Key::parse(key).ok_or_else(|| format!("'{key}' is no version and id like 5.0/MQTT-3.1.0-2"))?;
    match catalogue().find(parsed) {
        Some(_) => Ok(About::Statement(parsed.to_string())),
        None => {
            Err(format!("there is no statement {key}; the nearest are {}", catalogue().nearest(parsed.id).join(", ")))
        }
    }
}

fn test(text: &str) -> Result<About, String> {
    let wanted = Key::parse(text).ok_or_else(|| format!("'{text}' is no version and name of a test like 5.0/name"))?;
    let all = all();
    let known = || all.iter().filter(|planned| planned.version == wanted.version).map(|planned| planned.test.name);
    if known().any(|name| name == wanted.id) {
        return Ok(About::Test(wanted.version.to_string(), wanted.id.to_owned()));
    }
    let nearest = known().min_by_key(|name| strsim::damerau_levenshtein(name, wanted.id)).unwrap_or_default();
    Err(format!("there is no test {text}; the nearest is {}/{nearest}", wanted.version))
}

/// What a run found, as a list to start from. Reasons of a baseline that was used are kept.
pub fn write(report: &Report) -> String {
    let mut text = HEAD.to_owned();
    let mut push = |kind: &str, name: &str, verdict: Verdict, reason: &str| {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        text.push_str(&format!(
            "\n[[known]]\n{kind} = {}\nverdict = \"{verdict}\"\nreason = {}\n",
            quoted(name),
            quoted(reason)
        ));
    };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let counts = |verdict, information| report.counts_as_failure(verdict, information);
    for entry in report.statements.iter().filter(|entry| counts(entry.verdict, entry.information)) {
        let reason =
            entry.accepted.clone().unwrap_or_else(|| format!("not looked at yet: {}", one_line(&entry.reason)));
        push("statement", &entry.key(), entry.verdict, &reason);
    }
    // A statement takes the worst verdict of its tests: a test with a milder one needs a line of its own.
    for test in report.tests.iter().filter(|test| counts(test.verdict, test.information)) {
        let told = |key: &String| report.statement(key).is_some_and(|entry| entry.verdict == test.verdict);
        if !test.statements.iter().all(told) {
            let seen = one_line(test.reason.as_deref().unwrap_or_default());
            let reason = test.accepted.clone().unwrap_or_else(|| format!("not looked at yet: {seen}"));
            push("test", &format!("{}/{}", test.version, test.name), test.verdict, &reason);
        }
    }
    text
}
