//! The report in few lines, for a comment on a pull request.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::{
    markdown::plain,
    model::{Counts, CutShort, Report, StatementEntry},
};

/// So many failures are named; the others are counted.
const NAMED: usize = 20;
/// So much of a reason is shown.
const REASON_LETTERS: usize = 200;

/// The whole comment.
pub fn write(report: &Report) -> String {
    let mut text = String::new();
    let subject = plain(report.run.subject.as_deref().unwrap_or(&report.run.target));
    let broken: Vec<_> = report.broken().collect();
    let (sign, said) = headline(report, broken.len());
    let _ = writeln!(text, "### {sign} MQTT conformance of {subject}: {said}\n");

    let _ = writeln!(text, "| MQTT | tested | pass | warn | fail | unsupported | inconclusive |");
    let _ = writeln!(text, "|---|--:|--:|--:|--:|--:|--:|");
    for totals in &report.totals {
        let Counts { pass, warn, fail, unsupported, inconclusive, .. } = totals.statements;
        let (tested, all) = (totals.statements.tested(), totals.statements.total());
        let version = &totals.version;
        let _ = writeln!(
            text,
            "| {version} | {tested} of {all} | {pass} | {warn} | {fail} | {unsupported} | {inconclusive} |"
        );
    }
    for spoken in report.run.mqtt.iter().filter(|spoken| !spoken.spoken) {
        let reason = plain(spoken.reason.as_deref().unwrap_or("not spoken"));
        let _ = writeln!(text, "\nMQTT {} is not spoken: {reason}.", spoken.version);
    }
    for note in &report.run.notes {
        let _ = writeln!(text, "\nNote: {}.", plain(note));
    }
    listed(&mut text, "Broken", broken.into_iter());
    let of =
        |verdict| report.statements.iter().filter(move |entry| entry.verdict == verdict && entry.accepted.is_none());
    listed(&mut text, "Never reached", of(Verdict::Inconclusive));
    if let Some(baseline) = &report.baseline {
        for (title, lines) in [("Better than the baseline", &baseline.better), ("Expired", &baseline.expired)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n**{title}**\n");
                lines.iter().for_each(|line| {
                    let _ = writeln!(text, "- {}", plain(line));
                });
            }
        }
    }
    let accepted = report.statements.iter().filter(|entry| entry.accepted.is_some()).count();
    match accepted {
        0 => {}
        1 => text.push_str("\n1 deviation is accepted by the baseline.\n"),
        _ => {
            let _ = writeln!(text, "\n{accepted} deviations are accepted by the baseline.");
        }
    }
    let seconds = report.duration_ms as f64 / 1000.0;
    let _ = writeln!(text, "\n`{}` took {seconds:.1} s.", report.run.command);
    text
}

fn headline(report: &Report, broken: usize) -> (&'static str, String) {
    let several =
        |count: usize| if count == 1 { "1 statement is".to_owned() } else { format!("{count} statements are") };
    if let Some(gone) = &report.gone {
        return ("⚠️", format!("it was gone at the end ({})", plain(gone)));
    }
    if report.internal_errors > 0 {
        return ("⚠️", "tests of ours broke down".to_owned());
    }
    match (report.cut_short, broken) {
        (Some(CutShort::Interrupted), _) => ("⚠️", format!("interrupted; {} broken so far", several(broken))),
        (Some(CutShort::FirstFailure), _) => ("❌", "stopped at the first failure".to_owned()),
        (None, 0) if report.is_undecided() => ("⚠️", "most questions were not reached".to_owned()),
        (None, 0) => ("✅", "no rule is broken".to_owned()),
        (None, _) => ("❌", format!("{} broken", several(broken))),
    }
}

fn listed<'a>(text: &mut String, title: &str, entries: impl Iterator<Item = &'a StatementEntry>) {
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n**{title}**\n");
    for entry in entries.iter().take(NAMED) {
        let mut reason: String = entry.reason.chars().take(REASON_LETTERS).collect();
        if reason.len() < entry.reason.len() {
            reason.push('…');
        }
        let _ = writeln!(text, "- `{}` ({}) {}", entry.key(), entry.level, plain(&reason));
    }
    if entries.len() > NAMED {
        let _ = writeln!(text, "- and {} more", entries.len() - NAMED);
    }
}
