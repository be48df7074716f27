//! The report as Markdown: for a repository or a pull request. Drawn from the model alone, so that it can be redrawn.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::{
    human::transcript_line,
    model::{Counts, Report, TestEntry, Totals},
    words::{date, timing},
};

/// So many lines are shown at the beginning and at the end of a transcript, and around each that proves something.
const SHOWN_AROUND: usize = 20;

/// The whole report.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    heading(&mut text, report);
    for totals in &report.totals {
        chapters(&mut text, report, totals);
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
    for note in &run.notes {
        let _ = writeln!(text, "| note | {} |", plain(note));
    }
    if let Some(gone) = &report.gone {
        let _ = writeln!(text, "| gone | it could not be reached any more at the end: {} |", plain(gone));
    }
    text.push('\n');
}

fn chapters(text: &mut String, report: &Report, totals: &Totals) {
    let version = &totals.version;
    let of_version = || report.of_version(version);
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
    for (chapter, counts) in report.chapters(version) {
        row(chapter, counts);
    }
    row("**all**", totals.statements);
    text.push('\n');
}

fn with(report: &Report, verdict: Verdict) -> impl Iterator<Item = &TestEntry> {
    report.tests.iter().filter(move |test| test.verdict == verdict)
}

fn accusations(text: &mut String, report: &Report, verdict: Verdict, title: &str) {
    if with(report, verdict).next().is_none() {
        return;
    }
    let _ = writeln!(text, "## {title}\n");
    for test in with(report, verdict) {
        let _ = writeln!(text, "### MQTT {}: {}\n", test.version, test.name.replace('_', " "));
        for entry in test.statements.iter().filter_map(|key| report.statement(key)) {
            let _ = writeln!(text, "- **{}** ({}): {}", entry.key(), entry.level, plain(&entry.rule));
            if let Some(known) = &entry.known {
                let _ = writeln!(text, "  - checked by hand: {}", plain(known));
            }
        }
        let _ = writeln!(text, "- test: {}", plain(&test.about));
        let _ = writeln!(text, "- seen: {}", plain(test.reason.as_deref().unwrap_or_default()));
        for timed in &test.timings {
            let _ = writeln!(text, "- time: {}", plain(&timing(timed)));
        }
        if let Some(accepted) = &test.accepted {
            let _ = writeln!(text, "- accepted by the baseline: {}", plain(accepted));
        }
        text.push('\n');
        let _ = writeln!(text, "```text");
        let shown = |position: usize| {
            let near = test.evidence.iter().any(|proof| proof.abs_diff(position) <= SHOWN_AROUND);
            near || position < SHOWN_AROUND || position + SHOWN_AROUND >= test.transcript.len()
        };
        for (position, line) in test.transcript.iter().enumerate() {
            if !shown(position) {
                if shown(position - 1) {
                    let _ = writeln!(text, "  …");
                }
                continue;
            }
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
        let of_version = || report.of_version(&totals.version);
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
pub(crate) fn plain(text: &str) -> String {
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
