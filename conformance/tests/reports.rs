//! What a report looks like: a small run with one of each verdict, drawn as text and as Markdown.

use squall_conformance::{
    report::{
        human, json, markdown,
        model::{Counts, Decided, Direction, Header, Line, Report, SCHEMA, Spoken, StatementEntry, TestEntry, Totals},
    },
    statement::{Key, catalogue},
};
use squall_scenarios::verdict::Verdict;

fn line(at_us: u64, direction: Direction, summary: &str, hex: &str) -> Line {
    let frame = !hex.is_empty();
    Line {
        at_us,
        actor: "alice".to_owned(),
        connection: 1,
        direction,
        summary: summary.to_owned(),
        hex: frame.then(|| hex.to_owned()),
        bytes: frame.then_some(hex.len() / 2),
    }
}

fn test(name: &str, key: &str, verdict: Verdict, reason: Option<&str>) -> TestEntry {
    TestEntry {
        name: name.to_owned(),
        version: key.split('/').next().unwrap_or_default().to_owned(),
        section: "3.12 PINGREQ".to_owned(),
        about: "A PINGREQ is answered.".to_owned(),
        statements: vec![key.to_owned()],
        verdict,
        reason: reason.map(str::to_owned),
        information: false,
        internal_error: false,
        evidence: vec![2],
        duration_us: 1_500,
        transcript: vec![
            line(0, Direction::Opened, "opens a connection", ""),
            line(200, Direction::Sent, "PINGREQ", "c000"),
            line(
                5_000_300,
                Direction::Received,
                "PUBLISH t \"a|b*c\"",
                "3007000174617c622a63ffffffffffffffffffffffffff",
            ),
            line(5_000_400, Direction::Ended, "FIN", ""),
        ],
    }
}

fn statement(key: &str, test: Option<&TestEntry>, reason: &str, known: Option<&str>) -> StatementEntry {
    let parsed = Key::parse(key).expect("a key");
    let rule = catalogue().find(parsed).expect("a statement");
    StatementEntry {
        version: parsed.version.to_string(),
        id: parsed.id.to_owned(),
        verdict: test.map_or(Verdict::Untested, |test| test.verdict),
        reason: reason.to_owned(),
        known: known.map(str::to_owned),
        level: rule.level,
        section: rule.section.clone(),
        title: rule.title.clone(),
        chapter: rule.chapter().title().to_owned(),
        rule: rule.rule.clone(),
        information: false,
        tests: test
            .map(|test| Decided {
                name: test.name.clone(),
                verdict: test.verdict,
                reason: test.reason.clone(),
                evidence: test.evidence_lines(),
            })
            .into_iter()
            .collect(),
    }
}

fn report() -> Report {
    let tests = vec![
        test("a_pingreq_is_answered", "5.0/MQTT-3.12.4-1", Verdict::Fail, Some("expected PINGRESP, but PUBLISH came")),
        test("a_second_connect_closes", "5.0/MQTT-3.1.0-2", Verdict::Pass, None),
        test("a_server_is_polite", "5.0/MQTT-3.1.0-1", Verdict::Warn, Some("it came late")),
        test("nobody_came_so_far", "5.0/MQTT-3.14.4-1", Verdict::Inconclusive, Some("the question was not reached")),
    ];
    let statements = vec![
        statement("5.0/MQTT-3.1.0-1", Some(&tests[2]), "it came late", None),
        statement("5.0/MQTT-3.1.0-2", Some(&tests[1]), "A PINGREQ is answered.", None),
        statement(
            "5.0/MQTT-3.12.4-1",
            Some(&tests[0]),
            "expected PINGRESP, but PUBLISH came",
            Some("seen with netcat too"),
        ),
        statement("5.0/MQTT-3.14.4-1", Some(&tests[3]), "the question was not reached", None),
        statement("5.0/MQTT-4.9.0-1", None, "slow: runs with --slow", None),
    ];
    let counts: Counts = statements.iter().map(|entry| entry.verdict).collect();
    Report {
        schema: SCHEMA.to_owned(),
        run: Header {
            tool: "conformance".to_owned(),
            version: "0.1.0".to_owned(),
            commit: "0123456789ab".to_owned(),
            command: "conformance --target broker:1883".to_owned(),
            started_unix: 1_800_000_000,
            world: "live".to_owned(),
            target: "tcp://broker:1883".to_owned(),
            subject: Some("broker 1.0".to_owned()),
            mqtt: vec![
                Spoken {
                    version: "3.1.1".to_owned(),
                    spoken: false,
                    reason: Some("it closed the connection".to_owned()),
                },
                Spoken { version: "5.0".to_owned(), spoken: true, reason: None },
            ],
        },
        duration_ms: 5_100,
        totals: vec![Totals {
            version: "5.0".to_owned(),
            statements: counts,
            tests: tests.iter().map(|test| test.verdict).collect(),
        }],
        gone: None,
        internal_errors: 0,
        statements,
        tests,
    }
}

#[test]
fn a_report_as_text() {
    let mut text = anstream::StripStream::new(Vec::new());
    human::write(&mut text, &report()).expect("a vector takes everything");
    insta::assert_snapshot!(String::from_utf8(text.into_inner()).expect("text"));
}

#[test]
fn a_report_as_markdown() {
    insta::assert_snapshot!(markdown::write(&report()));
}

#[test]
fn a_report_as_json_reads_back() {
    let text = json::write(&report());
    assert_eq!(json::write(&json::read(&text).expect("a report")), text);
    insta::assert_snapshot!(text);
    let other = text.replace(SCHEMA, "squall-conformance-report/9");
    assert!(json::read(&other).expect_err("another schema").contains("squall-conformance-report/9"));
}

#[test]
fn the_exit_status_is_that_of_the_worst_verdict() {
    let failing = report();
    assert_eq!(failing.exit_status(), 1);
    let broken = Report { internal_errors: 1, ..failing.clone() };
    assert_eq!(broken.exit_status(), 2);
    let gone = Report { gone: Some("connection refused".to_owned()), ..failing.clone() };
    assert_eq!(gone.exit_status(), 2);
    let totals = vec![Totals {
        version: "5.0".to_owned(),
        statements: Counts { pass: 1, inconclusive: 1, warn: 1, ..Counts::default() },
        tests: Counts::default(),
    }];
    assert_eq!(Report { totals, ..failing }.exit_status(), 0);
}
