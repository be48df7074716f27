//! What a baseline excuses, and what not.

use squall_conformance::{
    baseline::{self, Baseline},
    report::{human, junit, model::Report},
};

use crate::report;

/// 2027-01-15.
const NOW: u64 = 1_800_000_000;

fn compared(list: &str) -> Report {
    let mut report = report();
    Baseline::parse("known.toml", list, NOW).expect("a list").compare(&mut report);
    report
}

#[test]
fn a_baseline_leaves_only_what_is_new() {
    let known = "[[known]]\nstatement = \"5.0/MQTT-3.12.4-1\"\nreason = \"reported, fixed in 1.1\"\n";
    let report = compared(known);
    assert_eq!(report.exit_status(), 0, "the one failure is accepted");
    assert_eq!(report.statements[2].accepted.as_deref(), Some("reported, fixed in 1.1"));
    assert_eq!(report.tests[0].accepted.as_deref(), Some("reported, fixed in 1.1"));
    assert!(junit::write(&report).contains("accepted by the baseline (reported, fixed in 1.1)"));

    let mut text = anstream::StripStream::new(Vec::new());
    human::write(&mut text, &report).expect("a vector takes everything");
    let text = String::from_utf8(text.into_inner()).expect("text");
    assert!(text.contains("1 deviation is accepted, no other rule is broken: exit status 0"), "{text}");

    let expired = compared(&format!("{known}expires = 2027-01-14\n"));
    assert_eq!(expired.exit_status(), 1, "what has expired counts again");
    let told = expired.baseline.expect("it was compared").expired;
    assert_eq!(told, ["5.0/MQTT-3.12.4-1: fail, accepted until 2027-01-14 (reported, fixed in 1.1)"]);

    let other = compared("[[known]]\nstatement = \"5.0/MQTT-3.1.0-2\"\nreason = \"once\"\n");
    assert_eq!(other.exit_status(), 1, "another statement excuses nothing");
    let better = other.baseline.expect("it was compared").better;
    assert_eq!(better, ["5.0/MQTT-3.1.0-2: pass, the baseline says fail (once)"]);

    let milder = compared("[[known]]\nstatement = \"5.0/MQTT-3.12.4-1\"\nverdict = \"warn\"\nreason = \"mild\"\n");
    assert_eq!(milder.exit_status(), 1, "a failure is worse than the warning that was accepted");
}

#[test]
fn a_baseline_that_was_written_accepts_what_it_was_written_from() {
    let written = baseline::write(&report());
    let again = compared(&written);
    assert_eq!(again.exit_status(), 0, "{written}");
    let kept = compared("[[known]]\nstatement = \"5.0/MQTT-3.12.4-1\"\nreason = \"a \\\"reason\\\"\"\n");
    assert!(baseline::write(&kept).contains("a \"reason\""), "{}", baseline::write(&kept));
    assert_eq!(compared(&baseline::write(&kept)).exit_status(), 0);
}
