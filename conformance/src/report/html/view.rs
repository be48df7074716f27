//! What the page shows, as plain data for its template.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use squall_scenarios::verdict::Verdict;

use super::diagram;
use crate::{
    report::{
        control::control,
        dissect::{Exhibit, exhibits},
        human::transcript_line,
        model::{Counts, CutShort, Report, StatementEntry, TestEntry},
        words::{date, expected_and_seen, glyph, sentence, timing},
    },
    statement::{Key, catalogue},
};

/// So many lines of a transcript are drawn: the beginning, and the end where things went wrong.
const DRAWN: usize = 60;
/// A pass needs fewer to be believed.
const DRAWN_OF_A_PASS: usize = 16;
/// So many bytes of a frame are shown.
const BYTES: usize = 256;

#[derive(Serialize)]
pub(super) struct Page<'a> {
    title: String,
    report: &'a Report,
    started: String,
    seconds: String,
    exit_status: u8,
    conclusion: String,
    cut_short: Option<&'static str>,
    versions: Vec<Version<'a>>,
    verdicts: Vec<Legend>,
}

#[derive(Serialize)]
struct Legend {
    verdict: Verdict,
    glyph: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
    information: bool,
    counts: Counts,
    tested: usize,
    total: usize,
    rows: Vec<Row<'a>>,
    statements: Vec<Statement<'a>>,
}

/// A row of the heat map.
#[derive(Serialize)]
struct Row<'a> {
    section: String,
    title: String,
    cells: Vec<Cell<'a>>,
}

#[derive(Serialize)]
struct Cell<'a> {
    anchor: String,
    id: &'a str,
    verdict: Verdict,
    glyph: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Statement<'a> {
    anchor: String,
    glyph: &'static str,
    words: String,
    readings: Vec<&'static str>,
    entry: &'a StatementEntry,
    tests: Vec<Played<'a>>,
}

#[derive(Serialize)]
struct Played<'a> {
    sentence: String,
    verdict: Verdict,
    glyph: &'static str,
    about: &'a str,
    expected: Option<&'a str>,
    seen: Option<&'a str>,
    accepted: Option<&'a str>,
    timings: Vec<String>,
    /// The statement under which this test is drawn, where that is another.
    elsewhere: Option<String>,
    diagram: String,
    hidden: usize,
    frames: Vec<Frame>,
    control: Vec<String>,
    controls: Vec<Link>,
}

#[derive(Serialize)]
struct Frame {
    role: &'static str,
    summary: String,
    fields: Vec<Field>,
    marked: &'static str,
    marked_at: usize,
    more: usize,
}

#[derive(Serialize)]
struct Field {
    name: &'static str,
    hex: String,
    text: String,
    marked: bool,
}

#[derive(Serialize)]
struct Link {
    sentence: String,
    anchor: Option<String>,
}

pub(super) fn page(report: &Report) -> Page<'_> {
    let subject = report.run.subject.as_deref().unwrap_or(&report.run.target);
    let sum = report.sum(|totals| totals.statements);
    let broken = report.broken().count();
    let conclusion = match (report.exit_status(), &report.gone) {
        (2, Some(gone)) => format!("It was gone at the end: {gone}"),
        (2, None) if report.internal_errors > 0 => format!("{} of our tests broke down", report.internal_errors),
        (2, None) => "Most questions were not reached".to_owned(),
        (130, _) => format!("Interrupted; {broken} statements broken so far"),
        (0, _) => "No rule is broken".to_owned(),
        _ if broken == 1 => "1 statement is broken".to_owned(),
        _ => format!("{broken} statements are broken"),
    };
    let verdicts = [
        (Verdict::Pass, sum.pass),
        (Verdict::Warn, sum.warn),
        (Verdict::Fail, sum.fail),
        (Verdict::Inconclusive, sum.inconclusive),
        (Verdict::Unsupported, sum.unsupported),
        (Verdict::Untested, sum.untested),
    ];
    Page {
        title: format!("MQTT conformance of {subject}"),
        report,
        started: date(report.run.started_unix),
        seconds: format!("{:.1}", report.duration_ms as f64 / 1000.0),
        exit_status: report.exit_status(),
        conclusion,
        cut_short: report.cut_short.map(|why| match why {
            CutShort::Interrupted => "interrupted: only a part of the tests ran",
            CutShort::FirstFailure => "stopped at the first failure: only a part of the tests ran",
        }),
        versions: versions(report),
        verdicts: verdicts.map(|(verdict, count)| Legend { verdict, glyph: glyph(verdict), count }).into(),
    }
}

fn versions(report: &Report) -> Vec<Version<'_>> {
    let tests = report.tests_by_name();
    let mut shown = BTreeSet::new();
    report
        .totals
        .iter()
        .map(|totals| {
            let version = totals.version.as_str();
            Version {
                version,
                information: report.of_version(version).any(|entry| entry.information),
                counts: totals.statements,
                tested: totals.statements.tested(),
                total: totals.statements.total(),
                rows: rows(report, version),
                statements: report
                    .of_version(version)
                    .map(|entry| statement(report, entry, &tests, &mut shown))
                    .collect(),
            }
        })
        .collect()
}

fn anchor(entry: &StatementEntry) -> String {
    format!("s-{}-{}", entry.version, entry.id)
}

/// Sections to two numbers deep: `3.1.2.3` stands in the row of `3.1`.
fn rows<'a>(report: &'a Report, version: &'a str) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = Vec::new();
    for entry in report.of_version(version) {
        let numbered = entry.id.starts_with("MQTT-");
        let section = if numbered {
            let numbers = entry.section.split(['.', ' ']).take(2);
            numbers.collect::<Vec<_>>().join(".")
        } else {
            String::new()
        };
        let cell = Cell {
            anchor: anchor(entry),
            id: &entry.id,
            verdict: entry.verdict,
            glyph: glyph(entry.verdict),
            reason: &entry.reason,
        };
        match rows.iter_mut().find(|row| row.section == section) {
            Some(row) => row.cells.push(cell),
            None => {
                let title = if numbered { title(&section, &entry.title) } else { "without a number".to_owned() };
                rows.push(Row { section, title, cells: vec![cell] });
            }
        }
    }
    let order =
        |section: &str| section.split('.').map(|number| number.parse::<u32>().unwrap_or(u32::MAX)).collect::<Vec<_>>();
    rows.sort_by_key(|row| order(&row.section));
    rows
}

/// The name of a section, where its first statement stands deeper.
fn title(section: &str, first: &str) -> String {
    const PACKETS: [&str; 15] = [
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ];
    let packet = section.strip_prefix("3.").and_then(|number| number.parse::<usize>().ok());
    packet
        .and_then(|number| PACKETS.get(number.checked_sub(1)?))
        .map_or_else(|| first.to_owned(), |name| (*name).to_owned())
}

fn statement<'a>(
    report: &'a Report,
    entry: &'a StatementEntry,
    tests: &BTreeMap<(&str, &str), &'a TestEntry>,
    shown: &mut BTreeSet<(String, String)>,
) -> Statement<'a> {
    let played = entry.tests.iter().filter_map(|decided| {
        let test = tests.get(&(&*entry.version, &*decided.name))?;
        let first = shown.insert((entry.version.clone(), decided.name.clone()));
        Some(self::played(report, entry, test, first))
    });
    let tests: Vec<_> = played.collect();
    let names: Vec<_> = tests.iter().map(|test| test.sentence.as_str()).collect();
    let words = format!(
        "{} {} {} {} {} {} {}",
        entry.key(),
        entry.level,
        entry.section,
        entry.title,
        entry.rule,
        entry.reason,
        names.join(" ")
    );
    let key = entry.key();
    let readings =
        Key::parse(&key).into_iter().flat_map(|key| catalogue().readings(key)).map(|reading| reading.reading.as_str());
    Statement {
        anchor: anchor(entry),
        glyph: glyph(entry.verdict),
        words: words.to_lowercase(),
        readings: readings.collect(),
        entry,
        tests,
    }
}

fn played<'a>(report: &'a Report, entry: &StatementEntry, test: &'a TestEntry, first: bool) -> Played<'a> {
    let passed = test.verdict == Verdict::Pass;
    let most = if passed { DRAWN_OF_A_PASS } else { DRAWN };
    let hidden = test.transcript.len().saturating_sub(most);
    let lines: Vec<_> = test
        .transcript
        .iter()
        .enumerate()
        .filter(|(position, _)| *position < most / 2 || *position >= most / 2 + hidden)
        .collect();
    let (expected, seen) = match test.reason.as_deref().map(expected_and_seen) {
        Some((expected, seen)) => (expected, Some(seen)),
        None => (None, None),
    };
    let proof = if passed || !first { None } else { Some(control(report, test)) };
    let first_of = test.statements.first().and_then(|key| report.statement(key));
    let home = first_of.filter(|home| !first && home.key() != entry.key());
    Played {
        sentence: sentence(&test.name),
        verdict: test.verdict,
        glyph: glyph(test.verdict),
        about: &test.about,
        expected,
        seen,
        accepted: test.accepted.as_deref(),
        timings: test.timings.iter().map(timing).collect(),
        elsewhere: if first { None } else { Some(home.map_or_else(|| anchor(entry), anchor)) },
        diagram: if first && !lines.is_empty() {
            diagram::svg(&lines, &test.evidence, &test.about)
        } else {
            String::new()
        },
        hidden,
        frames: if passed || !first { Vec::new() } else { exhibits(test).iter().map(frame).collect() },
        control: proof.iter().flat_map(|proof| proof.lines.iter().map(|line| transcript_line(line))).collect(),
        controls: proof.iter().flat_map(|proof| &proof.passed).map(|test| link(report, test)).collect(),
    }
}

fn link(report: &Report, test: &TestEntry) -> Link {
    let home = test.statements.first().and_then(|key| report.statement(key));
    Link { sentence: sentence(&test.name), anchor: home.map(anchor) }
}

fn frame(exhibit: &Exhibit<'_>) -> Frame {
    let shown = exhibit.bytes.len().min(BYTES);
    let fields = exhibit.fields.iter().enumerate().filter(|(_, field)| field.range.start < shown);
    let field = |(index, field): (usize, &squall_scenarios::dissect::Field)| {
        let bytes = &exhibit.bytes[field.range.start..field.range.end.min(shown)];
        let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let printable = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '·' };
        Field {
            name: field.name,
            hex: hex.join(" "),
            text: bytes.iter().map(printable).collect(),
            marked: index == exhibit.marked,
        }
    };
    let marked = exhibit.fields.get(exhibit.marked);
    Frame {
        role: exhibit.role,
        summary: exhibit.line.summary.clone(),
        fields: fields.map(field).collect(),
        marked: marked.map_or("", |field| field.name),
        marked_at: marked.map_or(0, |field| field.range.start),
        more: exhibit.line.bytes.unwrap_or(0).saturating_sub(shown),
    }
}
