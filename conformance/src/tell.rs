//! What can be told without running anything: a rule, the coverage, the list of tests.

use std::{collections::BTreeSet, io::Write};

use owo_colors::OwoColorize;
use squall_codec::version::Version;
use squall_conformance::{
    select::{Planned, all},
    statement::{Chapter, Key, Statement, catalogue},
    tally::{Coverage, coverage as count},
};

use crate::cli::Trouble;

/// Columns of a diagram.
#[cfg(feature = "own-broker")]
const DIAGRAM_WIDTH: usize = 110;

/// The rule, whom it binds, how it is observed, which tests prove it.
pub(crate) fn explain(out: &mut impl Write, text: &str) -> Result<(), Trouble> {
    let (version, id) = match Key::parse(text) {
        Some(key) => (Some(key.version), key.id),
        None => (None, text),
    };
    let asked = |key: &Key<'_>| {
        key.id.eq_ignore_ascii_case(id) && version.is_none_or(|version| version.max(Version::V3_1_1) == key.version)
    };
    let mut found = catalogue().iter().filter(|(key, _)| asked(key)).peekable();
    if found.peek().is_none() {
        let elsewhere = catalogue().iter().find(|(key, _)| key.id.eq_ignore_ascii_case(id));
        return Err(Trouble::new(match elsewhere {
            Some((key, _)) => format!("there is no statement {text}; the id exists as {key}"),
            None => format!("there is no statement {id}; the nearest are {}", catalogue().nearest(id).join(", ")),
        }));
    }
    let mut first = true;
    for (key, statement) in found {
        if !first {
            writeln!(out)?;
        }
        first = false;
        explain_one(out, key, statement)?;
    }
    Ok(())
}

fn joined<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn explain_one(out: &mut impl Write, key: Key<'_>, statement: &Statement) -> Result<(), Trouble> {
    writeln!(out, "{}  {}  section {} {}", key.bold(), statement.level, statement.section, statement.title)?;
    writeln!(out, "  {}", statement.rule)?;
    writeln!(out, "  binds     {}", joined(&statement.applies_to))?;
    writeln!(out, "  seen      {}", joined(&statement.observable))?;
    if let Some(why_not) = &statement.why_not {
        writeln!(out, "  why not   {why_not}")?;
    }
    if let Some(seconds) = statement.wait_s {
        writeln!(out, "  waits     at least {seconds} s")?;
    }
    if statement.why_not.is_none() {
        writeln!(out, "  idea      {}", statement.test_idea)?;
    }

    let decides = |planned: &Planned| planned.statements().any(|(cited, _)| cited == key);
    let tests: Vec<_> =
        all().into_iter().filter(|planned| planned.version == key.version && decides(planned)).collect();
    if tests.is_empty() {
        let why = if statement.why_not.is_some() { "not observable".to_owned() } else { statement.why_untested() };
        writeln!(out, "  tests     none: {why}")?;
    }
    for planned in &tests {
        let slow = if planned.test.slow { " (slow)" } else { "" };
        writeln!(out, "  test      {}{slow}", planned.test.name.bold())?;
        writeln!(out, "            {}", planned.test.about)?;
        let made = if planned.test.should { "warn" } else { "fail" };
        writeln!(out, "            proven able to {made}: a liar breaks just this rule in front of our own broker")?;
        writeln!(out, "            liar: {}", planned.test.liar_name())?;
    }
    for reading in catalogue().readings(key) {
        writeln!(out, "  reading   {}", reading.reading)?;
    }
    for related in &statement.related {
        let of = |version| catalogue().find(Key { version, id: related }).map(|found| (version, found));
        let (other, own) = match key.version {
            Version::V5_0 => (Version::V3_1_1, Version::V5_0),
            _ => (Version::V5_0, Version::V3_1_1),
        };
        // What has no number relates to its own version, what has one to its counterpart in the other.
        let order = if statement.is_numbered() && related.starts_with("MQTT-") { [other, own] } else { [own, other] };
        match order.into_iter().find_map(of) {
            Some((version, found)) => writeln!(out, "  related   {version}/{related}: {}", found.rule)?,
            None => writeln!(out, "  related   {related}")?,
        }
    }
    play(out, tests.first())
}

/// The first of its tests on our own broker, as a diagram.
#[cfg(feature = "own-broker")]
fn play(out: &mut impl Write, planned: Option<&Planned>) -> Result<(), Trouble> {
    let Some(planned) = planned else { return Ok(()) };
    let (entry, diagram) = squall_conformance::own::drawn(planned, DIAGRAM_WIDTH);
    writeln!(out, "\n  {} on our own broker, in virtual time: {}\n", planned.test.name.bold(), entry.verdict)?;
    for line in diagram.lines() {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

#[cfg(not(feature = "own-broker"))]
fn play(_out: &mut impl Write, _planned: Option<&Planned>) -> Result<(), Trouble> {
    Ok(())
}

/// Of `3.1.2.4` the section is 3.1. What has no number stands in no section.
fn section_of(statement: &Statement) -> Option<(u32, u32)> {
    let mut numbers = statement.section.split('.').map_while(|number| number.parse().ok());
    statement.is_numbered().then(|| Some((numbers.next()?, numbers.next()?)))?
}

/// Tested, observable at a server, and all: per version, chapter and section.
pub(crate) fn coverage(out: &mut impl Write) -> Result<(), Trouble> {
    let mut sum = Coverage::default();
    for version in [Version::V3_1_1, Version::V5_0] {
        let heading = format!("MQTT {version}");
        writeln!(out, "{:<26} {:>7} {:>11} {:>7}", heading.bold(), "tested", "observable", "total")?;
        for chapter in Chapter::ALL {
            let counts = count(|key, statement| key.version == version && statement.chapter() == chapter);
            if counts.total > 0 {
                coverage_row(out, chapter.title(), counts)?;
            }
            let sections: BTreeSet<(u32, u32)> = catalogue()
                .iter()
                .filter(|(key, statement)| key.version == version && statement.chapter() == chapter)
                .filter_map(|(_, statement)| section_of(statement))
                .collect();
            for section in sections.iter().filter(|_| sections.len() > 1) {
                let counts = count(|key, statement| {
                    key.version == version && statement.chapter() == chapter && section_of(statement) == Some(*section)
                });
                coverage_row(out, &format!("  {}.{}", section.0, section.1), counts)?;
            }
        }
        coverage_row(out, "all", count(|key, _| key.version == version))?;
        let numbered = count(|key, statement| key.version == version && statement.is_numbered());
        coverage_row(out, "of these, numbered", numbered)?;
        writeln!(out)?;
        sum = Coverage {
            tested: sum.tested + numbered.tested,
            observable: sum.observable + numbered.observable,
            total: sum.total + numbered.total,
        };
    }
    writeln!(
        out,
        "{} of {} numbered statements are tested; {} can be observed at a server.",
        sum.tested, sum.total, sum.observable
    )?;
    Ok(())
}

fn coverage_row(out: &mut impl Write, title: &str, counts: Coverage) -> Result<(), Trouble> {
    Ok(writeln!(out, "{title:<26} {:>7} {:>11} {:>7}", counts.tested, counts.observable, counts.total)?)
}

/// The tests that would run, in the order of the tables.
pub(crate) fn list(out: &mut impl Write, tests: &[Planned]) -> Result<(), Trouble> {
    let mut tests = tests.to_vec();
    tests.sort_by_key(|planned| planned.number);
    for planned in &tests {
        let slow = if planned.test.slow { " (slow)" } else { "" };
        writeln!(
            out,
            "{:<5} {:<5} {}{slow}",
            planned.version.to_string(),
            planned.section.number,
            planned.test.name.bold()
        )?;
        writeln!(out, "            {}", planned.test.about)?;
        writeln!(out, "            {}", joined(planned.statements().map(|(key, _)| key)))?;
    }
    writeln!(out, "{} tests", tests.len())?;
    Ok(())
}
