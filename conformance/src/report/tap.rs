//! The report in the Test Anything Protocol, version 14: one test point for each test, the packets in its YAML block.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::{
    human::transcript_line,
    model::{Report, TestEntry},
    words::{sentence, timing},
};

/// The whole report.
pub fn write(report: &Report) -> String {
    let mut text = String::from("TAP version 14\n");
    let _ = writeln!(text, "1..{}", report.tests.len());
    for (index, test) in report.tests.iter().enumerate() {
        point(&mut text, report, index + 1, test);
    }
    if let Some(gone) = &report.gone {
        let _ = writeln!(text, "Bail out! {} was gone at the end: {}", report.run.target, on_one_line(gone));
    }
    text
}

fn point(text: &mut String, report: &Report, number: usize, test: &TestEntry) {
    let failed = test.internal_error || report.counts_as_failure(test.verdict, test.information);
    let reason = test.reason.as_deref().unwrap_or_default();
    // What is marked TODO may be `not ok` and makes no run fail; what was never offered is skipped.
    let (ok, directive) = match (test.verdict, &test.accepted) {
        _ if test.internal_error => (false, String::new()),
        (_, Some(accepted)) if failed => (false, format!(" # TODO {}", escaped(accepted))),
        _ if failed => (false, String::new()),
        (Verdict::Inconclusive, _) => (false, format!(" # TODO inconclusive: {}", escaped(reason))),
        (Verdict::Unsupported, _) => (true, format!(" # SKIP {}", escaped(reason))),
        _ => (true, String::new()),
    };
    let name = escaped(&format!("MQTT {} {}: {}", test.version, test.section, sentence(&test.name)));
    let _ = writeln!(text, "{} {number} - {name}{directive}", if ok { "ok" } else { "not ok" });
    if test.verdict == Verdict::Pass || test.verdict == Verdict::Unsupported {
        return;
    }
    let _ = writeln!(text, "  ---");
    let _ = writeln!(text, "  verdict: {}", test.verdict);
    let _ = writeln!(text, "  message: {}", quoted(reason));
    let _ = writeln!(text, "  duration_ms: {}", test.duration_us / 1000);
    let _ = writeln!(text, "  statements:");
    for key in &test.statements {
        let rule = report.statement(key).map_or("", |entry| &entry.rule);
        let _ = writeln!(text, "    {}: {}", quoted(key), quoted(rule));
    }
    if !test.timings.is_empty() {
        let _ = writeln!(text, "  times:");
        for timed in &test.timings {
            let _ = writeln!(text, "    - {}", quoted(&timing(timed)));
        }
    }
    let _ = writeln!(text, "  packets:");
    for line in &test.transcript {
        let _ = writeln!(text, "    - {}", quoted(transcript_line(line).trim_start()));
    }
    let _ = writeln!(text, "  ...");
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// `#` begins a directive unless it is escaped.
fn escaped(text: &str) -> String {
    on_one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}
