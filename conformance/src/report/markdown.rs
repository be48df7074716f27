//! The report as Markdown: for a repository or a pull request. Drawn from the model alone, so that it can be redrawn.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::{
    human::transcript_line,
    model::{Counts, Report, StatementEntry, TestEntry},
};
use crate::statement::Chapter;

/// The whole report.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    heading(&mut text, report);
    for totals in &report.totals {
        chapters(&mut text, report, &totals.version);
    }
    accusations(&mut text, report, Verdict::Fail, "Failures");
    accusations(&mut text, report, Verdict::Inconclusive, "Inconclusive");
    listed(&mut text, report, Verdict::Warn, "Warnings");
    listed(&mut text, report, Verdict::Unsupported, "Unsupported");
    statements(&mut text, report);
    text
}

fn heading(text: &mut String, report: &Report) {
    let run = &report.run;
    let subject = run.subject.as_deref().unwrap_or(&run.target);
    let _ = writeln!(text, "# Conformance of {}\n", plain(subject));
    let _ = writeln!(text, "| | |\n|---|---|");
    let _ = writeln!(text, "| target | `{}` ({} world) |", run.target, run.world);
    let _ = writeln!(text, "| command | `{}` |", run.command);
    let _ = writeln!(text, "| tool | {} {}, commit {} |", run.tool, run.version, run.commit);
    let seconds = report.duration_ms as f64 / 1000.0;
    let _ = writeln!(text, "| started | {}, {seconds:.1} s long |", date(run.started_unix));
    for spoken in run.mqtt.iter().filter(|spoken| !spoken.spoken) {
        let _ = writeln!(
            text,
            "| MQTT {} | not spoken: {} |",
            spoken.version,
            plain(spoken.reason.as_deref().unwrap_or_default())
        );
    }
    if let Some(gone) = &report.gone {
        let _ = writeln!(text, "| gone | it could not be reached any more at the end: {} |", plain(gone));
    }
    text.push('\n');
}

fn chapters(text: &mut String, report: &Report, version: &str) {
    let of_version = || report.statements.iter().filter(|entry| entry.version == version);
    if of_version().next().is_none() {
        return;
    }
    let note = if of_version().any(|entry| entry.information) { " (for information)" } else { "" };
    let _ = writeln!(text, "## MQTT {version}{note}\n");
    let _ = writeln!(
        text,
        "| chapter | statements | tested | pass | warn | fail | unsupported | inconclusive | untested |"
    );
    let _ = writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut row = |title: &str, counts: Counts| {
        let Counts { pass, warn, fail, unsupported, inconclusive, untested } = counts;
        let _ = writeln!(
            text,
            "| {title} | {} | {} | {pass} | {warn} | {fail} | {unsupported} | {inconclusive} | {untested} |",
            counts.total(),
            counts.tested()
        );
    };
    for chapter in Chapter::ALL {
        let of_chapter = of_version().filter(|entry| entry.chapter == chapter.title());
        let counts: Counts = of_chapter.map(|entry| entry.verdict).collect();
        if counts.total() > 0 {
            row(chapter.title(), counts);
        }
    }
    row("**all**", of_version().map(|entry| entry.verdict).collect());
    text.push('\n');
}

fn with(report: &Report, verdict: Verdict) -> impl Iterator<Item = &TestEntry> {
    report.tests.iter().filter(move |test| test.verdict == verdict)
}

fn entry<'a>(report: &'a Report, key: &str) -> Option<&'a StatementEntry> {
    report.statements.iter().find(|entry| entry.key() == key)
}

fn accusations(text: &mut String, report: &Report, verdict: Verdict, title: &str) {
    if with(report, verdict).next().is_none() {
        return;
    }
    let _ = writeln!(text, "## {title}\n");
    for test in with(report, verdict) {
        let _ = writeln!(text, "### MQTT {}: {}\n", test.version, test.name.replace('_', " "));
        for entry in test.statements.iter().filter_map(|key| entry(report, key)) {
            let _ = writeln!(text, "- **{}** ({}): {}", entry.key(), entry.level, plain(&entry.rule));
            if let Some(known) = &entry.known {
                let _ = writeln!(text, "  - checked by hand: {}", plain(known));
            }
        }
        let _ = writeln!(text, "- test: {}", plain(&test.about));
        let _ = writeln!(text, "- seen: {}\n", plain(test.reason.as_deref().unwrap_or_default()));
        let _ = writeln!(text, "```text");
        for (position, line) in test.transcript.iter().enumerate() {
            let mark = if test.evidence.contains(&position) { '>' } else { ' ' };
            let _ = writeln!(text, "{mark} {}", transcript_line(line));
        }
        let _ = writeln!(text, "```\n");
    }
}

fn listed(text: &mut String, report: &Report, verdict: Verdict, title: &str) {
    if with(report, verdict).next().is_none() {
        return;
    }
    let _ = writeln!(text, "## {title}\n");
    let _ = writeln!(text, "| statement | seen | test |\n|---|---|---|");
    for test in with(report, verdict) {
        let key = test.statements.first().map_or("", String::as_str);
        let reason = plain(test.reason.as_deref().unwrap_or_default());
        let _ = writeln!(text, "| {key} | {reason} | {} |", test.name.replace('_', " "));
    }
    text.push('\n');
}

fn statements(text: &mut String, report: &Report) {
    for totals in &report.totals {
        let of_version = || report.statements.iter().filter(|entry| entry.version == totals.version);
        if of_version().next().is_none() {
            continue;
        }
        let _ = writeln!(text, "## Every statement of MQTT {}\n", totals.version);
        let _ = writeln!(text, "| statement | level | verdict | reason |\n|---|---|---|---|");
        for entry in of_version() {
            let _ = writeln!(text, "| {} | {} | {} | {} |", entry.id, entry.level, entry.verdict, plain(&entry.reason));
        }
        text.push('\n');
    }
}

/// Text that no table and no formatting of Markdown takes apart.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '*' | '_' | '`' | '<' | '>' | '#' | '[' | ']' | '\\' => {
                plain.push('\\');
                plain.push(letter);
            }
            '\n' | '\r' => plain.push(' '),
            _ => plain.push(letter),
        }
    }
    plain
}

/// A moment as people write it.
fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days since 1 March of the year 0, so that a leap day ends a year; 400 years have 146 097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + later;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(date(1_800_000_000), "2027-01-15 08:00:00 UTC");
    }
}
