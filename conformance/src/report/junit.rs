//! The report as JUnit XML, as Jenkins, GitLab and GitHub read it: a suite for each section, a case for each test.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report as Junit, TestCase, TestCaseStatus, TestSuite};
use squall_scenarios::verdict::Verdict;

use super::{
    human::transcript_line,
    model::{Report, TestEntry},
    words::timing,
};

/// The whole report.
pub fn write(report: &Report) -> String {
    let subject = report.run.subject.as_deref().unwrap_or(&report.run.target);
    let mut junit = Junit::new(format!("conformance of {subject}"));
    junit.set_time(Duration::from_millis(report.duration_ms));
    for totals in &report.totals {
        for (section, tests) in report.sections(&totals.version) {
            let mut suite = TestSuite::new(format!("MQTT {} {section}", totals.version));
            suite.set_time(Duration::from_micros(tests.iter().map(|test| test.duration_us).sum()));
            for test in tests {
                suite.add_test_case(case(report, test));
            }
            // Jenkins and GitLab read the word of Surefire, where the library writes `disabled`.
            suite.extra.insert("skipped".into(), suite.disabled.to_string().into());
            junit.add_test_suite(suite);
        }
    }
    let mut text = junit.to_string().expect("text that can be written to a string is XML");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn case(report: &Report, test: &TestEntry) -> TestCase {
    let mut status = status(report, test);
    let told = told(report, test);
    let quiet = matches!(status, TestCaseStatus::Success { .. });
    if !quiet {
        status.set_description(told.clone());
    }
    let mut case = TestCase::new(test.name.clone(), status);
    // The dots of a version and of a section would be taken for packages.
    let dotless = |text: &str| text.replace('.', "_");
    case.set_classname(format!("mqtt_{}.{}", dotless(&test.version), dotless(&test.section)));
    case.set_time(Duration::from_micros(test.duration_us));
    for key in &test.statements {
        case.properties.push(Property::new("statement", key.clone()));
    }
    case.properties.push(Property::new("verdict", test.verdict.to_string()));
    if test.verdict == Verdict::Warn && quiet {
        case.set_system_out(told);
    }
    case
}

/// A test that is not told as a failure never turns a pipeline red that the exit status leaves green.
fn status(report: &Report, test: &TestEntry) -> TestCaseStatus {
    let reason = test.reason.as_deref().unwrap_or("no reason was given");
    let skipped = |message: String| {
        let mut status = TestCaseStatus::skipped();
        status.set_message(message);
        status
    };
    if test.internal_error {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(reason).set_type("internal error");
        return status;
    }
    if report.counts_as_failure(test.verdict, test.information) {
        if let Some(accepted) = &test.accepted {
            return skipped(format!("accepted by the baseline ({accepted}): {reason}"));
        }
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message(reason).set_type(test.verdict.to_string());
        return status;
    }
    match test.verdict {
        Verdict::Inconclusive | Verdict::Unsupported => skipped(format!("{}: {reason}", test.verdict)),
        _ => TestCaseStatus::success(),
    }
}

/// The rules, what was seen, the packets.
fn told(report: &Report, test: &TestEntry) -> String {
    let mut lines = Vec::new();
    for entry in test.statements.iter().filter_map(|key| report.statement(key)) {
        lines.push(format!("rule {} ({}): {}", entry.key(), entry.level, entry.rule));
        lines.extend(entry.known.iter().map(|known| format!("known: {known}")));
    }
    lines.push(format!("test: {}", test.about));
    lines.extend(test.reason.iter().map(|reason| format!("seen: {reason}")));
    lines.extend(test.timings.iter().map(|timed| format!("time: {}", timing(timed))));
    for (position, line) in test.transcript.iter().enumerate() {
        let mark = if test.evidence.contains(&position) { '>' } else { ' ' };
        lines.push(format!("{mark} {}", transcript_line(line)));
    }
    lines.join("\n")
}
