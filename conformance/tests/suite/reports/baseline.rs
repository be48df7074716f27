//! What a baseline excuses, and what not.

use squall_conformance::{
    baseline::{self, Baseline},
    report::{human, junit, model::Report},
};

use super::report;

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

#[test]
fn a_wrong_line_is_shown_where_it_stands() {
    for (line, expected) in [
        ("statement = \"5.0/MQTT-3.1.0-2\"", "missing field `reason`"),
        ("statement = \"5.0/MQTT-3.1.0-22\"\nreason = \"r\"", "known.toml:3: there is no statement 5.0/MQTT-3.1.0-22"),
        ("statement = \"5.0/MQTT-3.1.0-2\"\nreason = \" \"", "known.toml:4: the reason is empty"),
        ("reason = \"r\"", "expected either `statement` or `test`"),
        (
            "test = \"5.0/a_secnd_connect\"\nreason = \"r\"",
            "known.toml:3: there is no test 5.0/a_secnd_connect; the nearest is",
        ),
        (
            "statement = \"5.0/MQTT-3.1.0-2\"\nreason = \"r\"\nverdict = \"pass\"",
            "known.toml:5: a verdict 'pass' needs no excuse",
        ),
        ("statement = \"5.0/MQTT-3.1.0-2\"\nreason = \"r\"\nexpires = 07:32:00", "known.toml:5: '07:32:00' is no day"),
        ("statment = \"5.0/MQTT-3.1.0-2\"", "unknown field `statment`"),
    ] {
        let list = format!("# accepted\n[[known]]\n{line}\n");
        let complaint = Baseline::parse("known.toml", &list, NOW).expect_err(line);
        assert!(complaint.contains(expected), "{line}: {complaint}");
    }
}

#[test]
fn a_day_that_has_passed_ends_what_was_accepted() {
    let status = |day: &str| {
        let line = "[[known]]\nstatement = \"5.0/MQTT-3.12.4-1\"\nreason = \"r\"";
        compared(&format!("{line}\nexpires = {day}\n")).exit_status()
    };
    assert_eq!(status("2027-01-14"), 1);
    assert_eq!(status("2027-01-15"), 0, "the last day counts");
    assert_eq!(status("2027-02-01"), 0);
}
