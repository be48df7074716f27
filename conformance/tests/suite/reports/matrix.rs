//! Reports for a repository: several side by side, and one without the packets of what went well.

use squall_conformance::report::{json, markdown, matrix, model::Report};
use squall_scenarios::verdict::Verdict;

use super::report;

/// The same broker in a version in which nothing is wrong.
fn healed() -> Report {
    let mut healed = report();
    healed.run.subject = Some("broker 2".to_owned());
    healed.statements.iter_mut().for_each(|entry| entry.verdict = Verdict::Pass);
    healed
}

#[test]
fn brokers_stand_side_by_side_where_they_differ() {
    let (before, after) = (report(), healed());
    let drawn = matrix::write(&[before.clone(), after.clone()]);
    let broken = before.statements.iter().filter(|entry| entry.verdict == Verdict::Fail);
    for entry in broken {
        let row = drawn.lines().find(|line| line.contains(&format!("| {} |", entry.id)));
        assert!(row.is_some_and(|row| row.ends_with("| ✗ | ✓ |")), "{}: {row:?}", entry.id);
    }
    let alone = matrix::write(&[after]);
    assert!(!alone.contains('✗') || alone.matches('✗').count() == alone.matches("✗ fail | 0 |").count(), "{alone}");
}

#[test]
fn a_short_report_draws_the_same_markdown() {
    let whole = report();
    let short = json::read(&json::write(&whole.short())).expect("it reads back");
    assert_eq!(markdown::write(&short), markdown::write(&whole));
    for (short, whole) in short.tests.iter().zip(&whole.tests) {
        assert_eq!(short.transcript.is_empty(), whole.verdict == Verdict::Pass || whole.transcript.is_empty());
    }
}
