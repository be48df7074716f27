//! One broken statement as Markdown for a maintainer: the rule, the packets, what works, and how to see it again.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::{
    control::control,
    dissect::exhibits,
    human::transcript_line,
    markdown::plain,
    model::{Report, StatementEntry, TestEntry},
    replay,
    words::{expected_and_seen, sentence, timing},
};
use crate::statement::{Key, catalogue};

/// What a lawful server made of the same test: ours, in virtual time.
pub type Reference<'a> = &'a dyn Fn(&TestEntry) -> Option<TestEntry>;

/// The tests that accuse a subject of breaking this statement.
pub fn accusers<'a>(report: &'a Report, key: &str) -> Vec<&'a TestEntry> {
    let accuses = |test: &&TestEntry| {
        matches!(test.verdict, Verdict::Fail | Verdict::Warn) && test.statements.iter().any(|cited| cited == key)
    };
    let mut accusers: Vec<_> = report.tests.iter().filter(accuses).collect();
    accusers.sort_by_key(|test| test.verdict);
    accusers
}

/// The whole text, about this statement and the first test that accuses. `None` where nothing does.
pub fn write(report: &Report, entry: &StatementEntry, reference: Reference<'_>) -> Option<String> {
    let accusers = accusers(report, &entry.key());
    let test = *accusers.first()?;
    let mut text = String::new();
    let run = &report.run;
    let subject = run.subject.as_deref().unwrap_or(&run.target);
    let reason = test.reason.as_deref().unwrap_or(&test.about);
    let _ = writeln!(text, "# {}: {}\n", entry.key(), plain(&entry.rule));
    let _ = writeln!(text, "Seen on {} at `{}`.\n", plain(subject), run.target);
    let _ = writeln!(text, "## The rule\n");
    let _ = writeln!(
        text,
        "MQTT {}, section {} {}, {} ({}): {}\n",
        entry.version,
        entry.section,
        plain(&entry.title),
        entry.id,
        entry.level,
        plain(&entry.rule)
    );
    let key = entry.key();
    for reading in Key::parse(&key).into_iter().flat_map(|key| catalogue().readings(key)) {
        let _ = writeln!(text, "About the words of this rule: {}\n", plain(&reading.reading));
    }
    let _ = writeln!(text, "## What is wrong\n");
    let _ = writeln!(text, "{}\n", plain(&test.about));
    let (expected, seen) = expected_and_seen(reason);
    let _ = writeln!(text, "- expected: {}", plain(expected.unwrap_or(&entry.rule)));
    let _ = writeln!(text, "- observed: {}", plain(seen));
    for timed in &test.timings {
        let _ = writeln!(text, "- measured: {}", plain(&timing(timed)));
    }
    if test.verdict == Verdict::Warn {
        let _ = writeln!(text, "- weight: a warning; the standard advises it, or leaves the rigour to the server");
    }
    text.push('\n');
    frames(&mut text, test);

    let _ = writeln!(text, "## The packets\n\n```text");
    let marked: Vec<_> = test.evidence.iter().filter_map(|position| test.transcript.get(*position)).collect();
    for line in replay::minimal(test) {
        let mark = if marked.iter().any(|decisive| std::ptr::eq(*decisive, line)) { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {}", transcript_line(line));
    }
    let _ = writeln!(text, "```\n");
    what_works(&mut text, report, test, reference(test));

    let _ = writeln!(text, "## See it again\n");
    let _ = writeln!(text, "With the tool: `conformance --target HOST:PORT {}`.\n", entry.key());
    let _ = writeln!(
        text,
        "Without it: save this as `replay.py` and run `python3 replay.py HOST PORT`; it needs Python 3 alone.\n"
    );
    let _ = writeln!(text, "```python\n{}```", replay::script(test, &entry.key(), &entry.rule));
    let others: Vec<_> = accusers[1..].iter().map(|test| sentence(&test.name)).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "\nOther tests see it too: {}.", others.join("; "));
    }
    Some(text)
}

fn frames(text: &mut String, test: &TestEntry) {
    for exhibit in exhibits(test) {
        let Some(marked) = exhibit.fields.get(exhibit.marked) else { continue };
        let hex: Vec<_> =
            exhibit.bytes[marked.range.clone()].iter().take(32).map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(
            text,
            "- {}: `{}`; look at {}, byte {}: `{}`",
            exhibit.role,
            exhibit.line.summary.replace('`', "'"),
            marked.name,
            marked.range.start,
            hex.join(" ")
        );
    }
    text.push('\n');
}

fn what_works(text: &mut String, report: &Report, test: &TestEntry, reference: Option<TestEntry>) {
    let _ = writeln!(text, "## The control arm: what works\n");
    let control = control(report, test);
    if !control.lines.is_empty() {
        let _ = writeln!(text, "The same client, the same broker, before or without the offence:\n\n```text");
        for line in control.lines.iter().take(30) {
            let _ = writeln!(text, "  {}", transcript_line(line));
        }
        let _ = writeln!(text, "```\n");
    }
    if !control.passed.is_empty() {
        let _ = writeln!(text, "In the same run this broker passed:\n");
        for passed in &control.passed {
            let _ = writeln!(text, "- {}: {}", sentence(&passed.name), plain(&passed.about));
        }
        text.push('\n');
    }
    if let Some(reference) = reference.filter(|reference| reference.verdict == Verdict::Pass) {
        let decisive: BTreeLines<'_> = reference.evidence_positions();
        let _ =
            writeln!(text, "The same test against a server that follows the rule (ours, in virtual time):\n\n```text");
        for (position, line) in decisive {
            let mark = if reference.evidence.contains(&position) { '>' } else { ' ' };
            let _ = writeln!(text, "{mark} {}", transcript_line(line));
        }
        let _ = writeln!(text, "```\n");
    }
}

type BTreeLines<'a> = Vec<(usize, &'a super::model::Line)>;

impl TestEntry {
    /// The lines of the connections on which the verdict was decided, with their positions.
    fn evidence_positions(&self) -> BTreeLines<'_> {
        const SHOWN: usize = 30;
        let decisive: Vec<_> = self.evidence_lines().into_iter().map(|line| (line.actor, line.connection)).collect();
        let of_them = |line: &super::model::Line| {
            decisive.iter().any(|(actor, connection)| *actor == line.actor && *connection == line.connection)
        };
        self.transcript.iter().enumerate().filter(|(_, line)| of_them(line)).take(SHOWN).collect()
    }
}
