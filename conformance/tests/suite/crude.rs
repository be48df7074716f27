//! Servers that are hardly any: what still passes on them is looked at statement by statement, and no test hangs on them.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use squall_codec::version::Version;
use squall_conformance::{
    crude,
    expected::{by_acknowledging, implied},
    own::{in_virtual_time, side_by_side},
    report::model::TestEntry,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    statement::{Key, catalogue},
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    verdict::Verdict,
};

/// Every test but those of 3.1, which are those of 3.1.1.
fn tests() -> Vec<Planned> {
    all().into_iter().filter(|planned| planned.version != Version::V3_1).collect()
}

fn on(liar: fn() -> Box<dyn Liar>) -> Vec<(Planned, TestEntry)> {
    keep_panics_of_tests_quiet();
    let tests = tests();
    let entries = side_by_side(&tests, |planned| in_virtual_time(planned, Some(liar())));
    tests.into_iter().zip(entries).collect()
}

/// Statements of which all tests pass.
fn fulfilled(played: &[(Planned, TestEntry)]) -> BTreeSet<&'static str> {
    let cited = |wanted: bool| {
        played
            .iter()
            .filter(move |(_, entry)| (entry.verdict == Verdict::Pass) == wanted)
            .flat_map(|(planned, _)| planned.test.statements.iter().copied())
    };
    let broken: BTreeSet<_> = cited(false).collect();
    cited(true).filter(|key| !broken.contains(key)).collect()
}

#[test]
fn what_passes_on_a_server_that_acknowledges_everything_is_what_the_data_says() {
    let played = on(crude::acknowledges);
    let passing = fulfilled(&played);
    let expected: BTreeSet<_> = by_acknowledging().into_keys().collect();
    let vacuous: Vec<_> = passing.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&passing).collect();
    assert!(
        vacuous.is_empty() && gone.is_empty(),
        "pass and must not: {vacuous:#?}\nare listed and do not pass: {gone:#?}"
    );
}

#[test]
fn the_reasons_are_sentences_about_statements_that_exist() {
    for (key, because) in by_acknowledging() {
        let known = Key::parse(key).and_then(|key| catalogue().find(key));
        assert!(known.is_some(), "there is no statement {key}");
        assert!(because.ends_with('.'), "{key}: '{because}' is no sentence");
    }
}

#[test]
fn what_a_lie_implies_is_about_liars_and_tests_that_exist() {
    let tests = tests();
    let names: BTreeSet<_> = tests.iter().map(|planned| planned.test.name).collect();
    let liars: BTreeSet<_> = tests.iter().map(|planned| planned.test.liar_name()).collect();
    let mut told = BTreeSet::new();
    for line in implied() {
        assert!(liars.contains(line.liar.as_str()), "there is no liar {}", line.liar);
        assert!(line.because.ends_with('.'), "{}: '{}' is no sentence", line.liar, line.because);
        for test in &line.tests {
            assert!(names.contains(test.as_str()), "{}: there is no test {test}", line.liar);
            assert!(told.insert((&line.liar, test)), "{}: {test} stands there twice", line.liar);
        }
    }
}

#[test]
fn nothing_passes_on_a_server_that_hangs_up() {
    let passed: Vec<_> =
        on(crude::hangs_up).into_iter().filter(|(_, entry)| entry.verdict == Verdict::Pass).map(named).collect();
    assert_eq!(passed, [""; 0]);
}

fn named((planned, entry): (Planned, TestEntry)) -> String {
    format!("{} {}: {}", planned.version, planned.test.name, entry.reason.unwrap_or_default())
}

/// A test is over after this long, beyond what its rule has to wait.
const BOUND: Duration = Duration::from_secs(180);

/// All end in time, and none passes. Whoever fails asks whether a CONNECT is answered at all.
fn ends_in_bounded_time(liar: fn() -> Box<dyn Liar>) {
    const ASKS_FOR_AN_ANSWER: [&str; 2] = ["CONNACK", "no answer came"];
    for (planned, entry) in on(liar) {
        let bound = BOUND + 4 * Duration::from_secs(planned.wait_seconds());
        let name = format!("{} {}", planned.version, planned.test.name);
        assert!(entry.duration_us <= bound.as_micros() as u64, "{name} took {} s", entry.duration_us / 1_000_000);
        assert_ne!(entry.verdict, Verdict::Pass, "{name} passes");
        assert!(!entry.internal_error, "{name}: {:?}", entry.reason);
        let reason = entry.reason.unwrap_or_default();
        assert!(
            entry.verdict != Verdict::Fail || ASKS_FOR_AN_ANSWER.iter().any(|words| reason.contains(words)),
            "{name} fails: {reason}"
        );
    }
}

#[test]
fn a_server_that_answers_nothing_is_left_in_bounded_time() {
    ends_in_bounded_time(crude::mute);
}

#[test]
fn a_server_that_sends_one_byte_a_minute_is_left_in_bounded_time() {
    ends_in_bounded_time(crude::drips);
}

/// Answers as it should, and sends messages without end besides.
#[derive(Default)]
struct Flood {
    is_open: BTreeSet<u64>,
}

impl Liar for Flood {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let is_connack = raw.first() == Some(&0x20);
        out.push(Lie::Frame(connection, direction, raw));
        if direction == Direction::ToClient && is_connack && self.is_open.insert(connection) {
            let message = Bytes::from_static(b"\x30\x06\x00\x01a\x00yy");
            out.extend(std::iter::repeat_n(Lie::Frame(connection, direction, message), 30_000));
        }
    }
}

#[test]
fn who_sends_without_end_is_read_no_further() {
    keep_panics_of_tests_quiet();
    let named = |name: &str| all().into_iter().find(|planned| planned.test.name == name).expect(name);
    for name in ["a_session_is_resumed", "a_publisher_gets_its_own_message"] {
        let entry = in_virtual_time(&named(name), Some(Box::new(Flood::default())));
        let reason = entry.reason.unwrap_or_default();
        assert_eq!(entry.verdict, Verdict::Inconclusive, "{name}: {reason}");
        assert!(reason.contains("sends without end"), "{name}: {reason}");
        assert!(entry.transcript.len() <= 100, "{name}: {} lines are kept", entry.transcript.len());
    }
}
