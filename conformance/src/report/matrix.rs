//! Several reports side by side: the statements on which brokers differ, one column for each.

use std::{collections::BTreeMap, fmt::Write as _};

use squall_scenarios::verdict::Verdict;

use super::{
    markdown::plain,
    model::{Report, StatementEntry},
    words::{date, glyph},
};

/// Draws the matrix as Markdown. What every broker that was asked passes is counted and not listed.
pub fn write(reports: &[Report]) -> String {
    let mut text = "# Statements by brokers\n\n".to_owned();
    let _ = writeln!(text, "| | broker | command | tool | started |\n|--:|---|---|---|---|");
    for (number, report) in reports.iter().enumerate() {
        let run = &report.run;
        let _ = writeln!(
            text,
            "| {} | {} | `{}` | {} {}, commit {} | {} |",
            number + 1,
            plain(name(report)),
            run.command,
            run.tool,
            run.version,
            run.commit,
            date(run.started_unix)
        );
    }
    let mut versions: Vec<&str> =
        reports.iter().flat_map(|report| report.totals.iter().map(|totals| totals.version.as_str())).collect();
    versions.sort_unstable();
    versions.dedup();
    for version in versions {
        of_version(&mut text, reports, version);
    }
    text
}

fn name(report: &Report) -> &str {
    report.run.subject.as_deref().unwrap_or(&report.run.target)
}

fn of_version(text: &mut String, reports: &[Report], version: &str) {
    let speaks = |report: &&Report| report.run.mqtt.iter().any(|spoken| spoken.version == version && spoken.spoken);
    let reports: Vec<&Report> = reports.iter().filter(speaks).collect();
    if reports.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## MQTT {version}\n");
    let names: Vec<_> = reports.iter().map(|report| plain(name(report))).collect();
    let _ = writeln!(text, "| verdict | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    for verdict in [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Unsupported, Verdict::Inconclusive] {
        let counts = reports
            .iter()
            .map(|report| report.of_version(version).filter(|entry| entry.verdict == verdict).count().to_string());
        let _ = writeln!(text, "| {} {verdict} | {} |", glyph(verdict), counts.collect::<Vec<_>>().join(" | "));
    }
    // In the order of the standard, which is that of the first report.
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut rows: Vec<(&StatementEntry, Vec<Verdict>)> = Vec::new();
    for (column, report) in reports.iter().enumerate() {
        for entry in report.of_version(version) {
            let place = *places.entry(&entry.id).or_insert(rows.len());
            if place == rows.len() {
                rows.push((entry, vec![Verdict::Untested; reports.len()]));
            }
            rows[place].1[column] = entry.verdict;
        }
    }
    let is_broken = |verdict: &Verdict| matches!(verdict, Verdict::Fail | Verdict::Warn | Verdict::Inconclusive);
    let (broken, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, row)| row.iter().any(is_broken));
    let _ = writeln!(text, "\n| section | statement | {} |", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}", ":-:|".repeat(names.len()));
    for (entry, row) in broken {
        let signs: Vec<_> = row.into_iter().map(glyph).collect();
        let _ = writeln!(text, "| {} | {} | {} |", entry.section, entry.id, signs.join(" | "));
    }
    let _ = writeln!(text, "\n{} other statements are passed, unsupported or untested everywhere.", others.len());
}
