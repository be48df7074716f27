//! The report as people read it: progress while it runs, then a table, then what is wrong with the packets under it.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use owo_colors::{OwoColorize, Style};
use squall_scenarios::verdict::Verdict;

use super::{
    model::{Counts, CutShort, Direction, Header, Line, Report, StatementEntry, TestEntry},
    words::timing,
};
use crate::event::{Event, Listener};

/// So many bytes of a frame are shown on a line.
const SHOWN_BYTES: usize = 16;
/// A running test is named when it has run so long.
const WORTH_A_WORD: Duration = Duration::from_secs(1);
/// So many running tests are named.
const SLOWEST: usize = 2;
/// So many lines of a transcript are shown: the beginning, and the end where things went wrong.
const SHOWN_LINES: usize = 40;

/// Tests that are running now: version, name, since when.
type Running = Arc<Mutex<Vec<(String, String, Instant)>>>;

/// The tests that have been running longest, as far as that is worth a word.
fn slowest(running: &Running) -> String {
    let running = running.lock().unwrap_or_else(PoisonError::into_inner);
    let oldest = running.iter().filter(|(_, _, since)| since.elapsed() >= WORTH_A_WORD).take(SLOWEST);
    let oldest = oldest.map(|(version, name, since)| format!("{version} {name} {} s", since.elapsed().as_secs()));
    oldest.collect::<Vec<_>>().join(", ")
}

/// Writes for a person. Whether colours come through is the writer's business.
pub struct Human<W: Write> {
    out: W,
    progress: Option<ProgressBar>,
    running: Running,
    failed: usize,
    /// A line for each test as it finishes: where nobody sees a progress bar move.
    lines: bool,
}

impl<W: Write> Human<W> {
    /// Writes to `out`. `progress`: a moving bar on standard error. `lines`: a line for each test.
    pub fn new(out: W, progress: bool, lines: bool) -> Self {
        let running = Running::default();
        let progress = progress.then(|| {
            let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {msg}{slowest}");
            let shown = Arc::clone(&running);
            let style = style.expect("the template is part of the program").with_key(
                "slowest",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = out.write_str(&slowest(&shown));
                },
            );
            let bar = ProgressBar::new(0).with_style(style);
            // The seconds of a slow test go on while nothing happens.
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Human { out, progress, running, failed: 0, lines }
    }
}

impl<W: Write> Listener for Human<W> {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::RunStarted(header, tests) => {
                writeln!(self.out, "{}", opening(header, tests))?;
                for note in &header.notes {
                    writeln!(self.out, "{}: {note}.", "Note".style(style(Verdict::Warn)))?;
                }
                if let Some(progress) = &self.progress {
                    progress.set_length(tests as u64);
                }
                self.out.flush()
            }
            Event::TestStarted(planned) => {
                let test = (planned.version.to_string(), planned.test.name.to_owned(), Instant::now());
                self.running.lock().unwrap_or_else(PoisonError::into_inner).push(test);
                Ok(())
            }
            Event::TestFinished(entry) => {
                let ended =
                    |(version, name, _): &(String, String, Instant)| *version == entry.version && *name == entry.name;
                self.running.lock().unwrap_or_else(PoisonError::into_inner).retain(|test| !ended(test));
                if entry.verdict == Verdict::Fail {
                    self.failed += 1;
                }
                if let Some(progress) = &self.progress {
                    progress.inc(1);
                    if self.failed > 0 {
                        progress.set_message(format!("{} failed  ", self.failed));
                    }
                }
                if self.lines {
                    writeln!(self.out, "{:<12} {:<5} {}", entry.verdict, entry.version, entry.name)?;
                }
                Ok(())
            }
            Event::RunFinished(report) => {
                if let Some(progress) = self.progress.take() {
                    progress.finish_and_clear();
                }
                write(&mut self.out, report)?;
                self.out.flush()
            }
        }
    }
}

fn opening(header: &Header, tests: usize) -> String {
    let versions: Vec<_> = header.mqtt.iter().map(|spoken| spoken.version.as_str()).collect();
    let versions = versions.join(" and ");
    let tests = counted(tests);
    if header.world == "events" {
        return format!(
            "No --target: auditing our own broker in the events world (virtual time). MQTT {versions}, {tests}."
        );
    }
    let subject = header.subject.as_ref().map(|subject| format!(" ({subject})")).unwrap_or_default();
    format!("Auditing {}{subject}. MQTT {versions}, {tests}.", header.target)
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => Style::new().green(),
        Verdict::Warn => Style::new().yellow(),
        Verdict::Fail => Style::new().red().bold(),
        Verdict::Inconclusive => Style::new().magenta().bold(),
        Verdict::Unsupported | Verdict::Untested => Style::new().dimmed(),
    }
}

/// Writes the whole report.
///
/// # Errors
/// The writer's.
pub fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for spoken in report.run.mqtt.iter().filter(|spoken| !spoken.spoken) {
        let reason = spoken.reason.as_deref().unwrap_or("not spoken");
        writeln!(out, "MQTT {} is not spoken there: {reason}.", spoken.version)?;
    }
    table(out, report)?;

    let of = |verdict| report.tests.iter().filter(move |test| test.verdict == verdict);
    for test in of(Verdict::Fail).chain(of(Verdict::Inconclusive)) {
        accusation(out, report, test)?;
    }
    let warnings: Vec<_> = of(Verdict::Warn).collect();
    if !warnings.is_empty() {
        writeln!(out, "\n{}", "Warnings".style(style(Verdict::Warn)))?;
    }
    for test in warnings {
        let key = test.statements.first().map_or("", String::as_str);
        writeln!(out, "  {}  {}: {}", key.bold(), test.name, test.reason.as_deref().unwrap_or_default())?;
        for timed in &test.timings {
            writeln!(out, "      {}", timing(timed))?;
        }
    }
    let cured: Vec<_> =
        report.statements.iter().filter(|entry| entry.known.is_some() && entry.verdict == Verdict::Pass).collect();
    for entry in cured {
        writeln!(
            out,
            "\n{} passes, though its profile knows it as a failure: {}",
            entry.key(),
            entry.known.as_deref().unwrap_or_default()
        )?;
    }
    if let Some(baseline) = &report.baseline {
        for (word, lines) in [("better", &baseline.better), ("expired", &baseline.expired)] {
            for line in lines {
                writeln!(out, "\n{}  {line}", word.bold())?;
            }
        }
    }
    closing(out, report)
}

fn table(out: &mut impl Write, report: &Report) -> io::Result<()> {
    for totals in &report.totals {
        if report.of_version(&totals.version).next().is_none() {
            continue;
        }
        let heading = format!("MQTT {}", totals.version);
        writeln!(
            out,
            "\n{:<26} {:>10} {:>6} {:>6} {:>6} {:>6} {:>12} {:>13} {:>9}",
            heading.bold(),
            "statements",
            "tested",
            "pass",
            "warn",
            "fail",
            "unsupported",
            "inconclusive",
            "untested"
        )?;
        for (chapter, counts) in report.chapters(&totals.version) {
            row(out, chapter, counts)?;
        }
        row(out, "all", totals.statements)?;
    }
    Ok(())
}

fn row(out: &mut impl Write, title: &str, counts: Counts) -> io::Result<()> {
    write!(out, "{title:<26} {:>10} {:>6}", counts.total(), counts.tested())?;
    let columns = [
        (counts.pass, 6, Verdict::Pass),
        (counts.warn, 6, Verdict::Warn),
        (counts.fail, 6, Verdict::Fail),
        (counts.unsupported, 12, Verdict::Unsupported),
        (counts.inconclusive, 13, Verdict::Inconclusive),
        (counts.untested, 9, Verdict::Untested),
    ];
    for (count, width, verdict) in columns {
        let cell = if count == 0 { format!("{:>width$}", "·") } else { format!("{count:>width$}") };
        let style = if count == 0 { Style::new().dimmed() } else { style(verdict) };
        write!(out, " {}", cell.style(style))?;
    }
    writeln!(out)
}

fn accusation(out: &mut impl Write, report: &Report, test: &TestEntry) -> io::Result<()> {
    let word = test.verdict.to_string().to_uppercase();
    writeln!(
        out,
        "\n{}  MQTT {}, {}: {}",
        word.style(style(test.verdict)),
        test.version,
        test.section,
        test.name.bold()
    )?;
    for key in &test.statements {
        if let Some(entry) = report.statement(key) {
            writeln!(out, "  {:<9}{} ({}) {}", "rule", key.bold(), entry.level, entry.rule)?;
            if let Some(known) = &entry.known {
                writeln!(out, "  {:<9}{known}", "known")?;
            }
        }
    }
    writeln!(out, "  {:<9}{}", "test", test.about)?;
    writeln!(out, "  {:<9}{}", "seen", test.reason.as_deref().unwrap_or_default())?;
    for timed in &test.timings {
        writeln!(out, "  {:<9}{}", "time", timing(timed))?;
    }
    if let Some(accepted) = &test.accepted {
        writeln!(out, "  {:<9}{accepted}", "accepted")?;
    }
    let hidden = test.transcript.len().saturating_sub(SHOWN_LINES);
    for (position, line) in test.transcript.iter().enumerate() {
        if hidden > 0 && position == SHOWN_LINES / 2 {
            writeln!(out, "      … {hidden} lines …")?;
        }
        if position < SHOWN_LINES / 2 || position >= SHOWN_LINES / 2 + hidden {
            let mark = if test.evidence.contains(&position) { ">" } else { " " };
            let line = transcript_line(line);
            let style = if mark == ">" { style(test.verdict) } else { Style::new() };
            writeln!(out, "  {mark} {}", line.style(style))?;
        }
    }
    Ok(())
}

/// A line of a transcript as text: time, who, which way, what, bytes.
pub fn transcript_line(line: &Line) -> String {
    let arrow = match line.direction {
        Direction::Opened => "○",
        Direction::Sent => "→",
        Direction::Received => "←",
        Direction::Closed => "→",
        Direction::Ended => "←",
        Direction::Fault => "⚡",
        Direction::Told => "•",
    };
    let actor = format!("{}#{}", line.actor, line.connection);
    let at = line.at_us as f64 / 1e6;
    let mut text = format!("{at:>9.3}  {actor:<12} {arrow} {}", line.summary);
    if let (Some(hex), Some(bytes)) = (&line.hex, line.bytes) {
        let shown: Vec<_> =
            hex.as_bytes().chunks(2).take(SHOWN_BYTES).filter_map(|pair| std::str::from_utf8(pair).ok()).collect();
        let rest = if bytes > SHOWN_BYTES { format!(" … {bytes} bytes") } else { String::new() };
        text.push_str(&format!("  [{}{rest}]", shown.join(" ")));
    }
    text
}

fn closing(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let statements = report.sum(|totals| totals.statements);
    let tests = report.sum(|totals| totals.tests);
    let mut failed: Vec<&StatementEntry> = report.broken().collect();
    failed.retain(|entry| entry.known.is_none());
    let accepted = report.statements.iter().filter(|entry| entry.accepted.is_some()).count();
    let verdict = match (report.exit_status(), &report.gone) {
        (130, _) => "interrupted: exit status 130".to_owned(),
        (2, Some(gone)) => format!("{} was gone at the end ({gone}): exit status 2", report.run.target),
        (2, None) if report.internal_errors > 0 => {
            format!("{} of our tests broke down: exit status 2", report.internal_errors)
        }
        (2, None) => "most questions were not reached: exit status 2".to_owned(),
        (1, _) if failed.is_empty() => "rules are broken, all of them known to the profile: exit status 1".to_owned(),
        (1, _) if report.cut_short == Some(CutShort::FirstFailure) => {
            "stopped at the first failure: exit status 1".to_owned()
        }
        (1, _) if report.baseline.is_some() => {
            format!("{} rules are broken beyond the baseline: exit status 1", report.broken().count())
        }
        (1, _) if statements.fail == 0 => "warnings count as failures: exit status 1".to_owned(),
        (1, _) => "rules are broken: exit status 1".to_owned(),
        _ if accepted == 1 => "1 deviation is accepted, no other rule is broken: exit status 0".to_owned(),
        _ if accepted > 1 => format!("{accepted} deviations are accepted, no other rule is broken: exit status 0"),
        _ => "no rule is broken: exit status 0".to_owned(),
    };
    writeln!(
        out,
        "\n{} of {} statements tested ({} in {:.1} s): {} pass, {} warn, {} fail, {} unsupported, {} inconclusive; {verdict}",
        statements.tested(),
        statements.total(),
        counted(tests.tested()),
        report.duration_ms as f64 / 1000.0,
        statements.pass,
        statements.warn,
        statements.fail,
        statements.unsupported,
        statements.inconclusive,
    )
}

fn counted(tests: usize) -> String {
    if tests == 1 { "1 test".to_owned() } else { format!("{tests} tests") }
}
