//! What a report looks like: a small run with one of each verdict, in every form.

mod baseline;
mod capture;
mod matrix;
mod runs;
mod words;

use std::time::Duration;

use squall_conformance::{
    report::{
        badge,
        diff::diff,
        html, human, json, junit, markdown,
        model::{
            Compared, Counts, CutShort, Decided, Direction, Header, Line, Report, SCHEMA, Spoken, StatementEntry,
            TestEntry, Totals,
        },
        summary, tap,
    },
    statement::{Key, catalogue},
};
use squall_scenarios::{
    timing::{Due, Timing},
    verdict::Verdict,
};

const WILL: Due<'static> = Due {
    what: "the will",
    since: "the end of the connection",
    earliest: Duration::from_secs(1),
    due: Duration::from_secs(2),
    latest: Duration::from_secs(3),
};

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
        frame: None,
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
        accepted: None,
        timings: Vec::new(),
        started_us: 250,
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
        accepted: None,
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
        TestEntry {
            timings: vec![Timing::came(WILL, Duration::ZERO, Duration::from_millis(3412))],
            ..test("a_server_is_polite", "5.0/MQTT-3.1.0-1", Verdict::Warn, Some("it came late"))
        },
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
            notes: Vec::new(),
            strict: false,
        },
        duration_ms: 5_100,
        totals: vec![Totals {
            version: "5.0".to_owned(),
            statements: counts,
            tests: tests.iter().map(|test| test.verdict).collect(),
        }],
        gone: None,
        cut_short: None,
        baseline: None,
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
fn a_report_as_junit_xml() {
    let text = junit::write(&report());
    // What wrote it reads it back: it is well-formed, and its sums are those of its cases.
    let read = quick_junit::Report::deserialize_from_str(&text).expect("JUnit XML");
    assert_eq!((read.tests, read.failures, read.errors), (4, 1, 0));
    for suite in &read.test_suites {
        assert_eq!(suite.tests, suite.test_cases.len());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn nothing_that_a_broker_says_breaks_xml_or_html() {
    let mut hostile = report();
    let said = "</failure></script><script>alert(1)</script>]]>\u{0}\u{1b}[31m\u{fffe}&\"'";
    hostile.run.subject = Some(said.to_owned());
    hostile.tests[0].reason = Some(said.to_owned());
    hostile.tests[0].transcript[2].summary = said.to_owned();
    hostile.statements[2].reason = said.to_owned();
    hostile.statements[2].rule = said.to_owned();
    let xml = junit::write(&hostile);
    quick_junit::Report::deserialize_from_str(&xml).expect("JUnit XML");
    assert!(!xml.contains('\u{0}') && !xml.contains('\u{1b}'), "{xml}");
    let page = html::write(&hostile);
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own script");
    assert!(!page.contains("alert(1)</script>"), "what a broker says is text");
}

#[test]
fn a_report_in_the_test_anything_protocol() {
    let mut accepted = report();
    insta::assert_snapshot!(tap::write(&accepted));
    accepted.tests[0].accepted = Some("until # 2".to_owned());
    assert!(
        tap::write(&accepted).contains("not ok 1 - MQTT 5.0 3.12 PINGREQ: a pingreq is answered # TODO until \\# 2")
    );
    accepted.gone = Some("connection refused".to_owned());
    assert!(tap::write(&accepted).ends_with("Bail out! tcp://broker:1883 was gone at the end: connection refused\n"));
}

#[test]
fn a_report_for_a_pull_request() {
    let text = summary::write(&report());
    assert!(text.lines().count() < 40, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_badge_names_the_version_and_what_was_asked() {
    let read = |report: &Report, version| -> serde_json::Value {
        serde_json::from_str(&badge::write(report, version)).expect("JSON")
    };
    let failing = report();
    let badge = read(&failing, Some("5.0"));
    // Of the four with MUST that were asked one passes and one warns.
    assert_eq!(
        (&badge["label"], &badge["message"], &badge["color"]),
        (&"MQTT 5.0 core".into(), &"2/4".into(), &"red".into())
    );
    assert_eq!(badge["schemaVersion"], 1);
    let mut clean = failing.clone();
    for entry in clean.statements.iter_mut().filter(|entry| entry.verdict != Verdict::Untested) {
        entry.verdict = Verdict::Pass;
    }
    let badge = read(&clean, None);
    assert_eq!((&badge["message"], &badge["color"]), (&"4/4".into(), &"brightgreen".into()));
    clean.statements[4].reason = "filtered out".to_owned();
    assert_eq!(read(&clean, None)["label"], "MQTT 5.0 part");
    clean.gone = Some("connection refused".to_owned());
    assert_eq!(read(&clean, None)["color"], "lightgrey");
}

/// What stands between two tags, in order: enough of a parser for a page that we write ourselves.
fn tags(page: &str) -> Vec<&str> {
    page.split('<').skip(1).filter_map(|rest| rest.split('>').next()).collect()
}

#[test]
fn a_report_as_a_page_needs_nothing_else() {
    let page = html::write(&report());
    let tags = tags(&page);
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page asks for {outside}");
    }
    // Every tag that opens closes, in order.
    let void = ["meta", "input", "br", "!DOCTYPE"];
    let mut open = Vec::new();
    for tag in &tags {
        let name = tag.split([' ', '/', '\n']).find(|name| !name.is_empty()).unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "</{closed}>");
        } else if !void.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
    // Each cell of the map leads somewhere, and each statement has its cell.
    let anchors: Vec<_> = tags.iter().filter_map(|tag| tag.split("href=\"#").nth(1)?.split('"').next()).collect();
    let ids: Vec<_> = tags.iter().filter_map(|tag| tag.split(" id=\"").nth(1)?.split('"').next()).collect();
    for anchor in &anchors {
        assert!(ids.contains(anchor), "#{anchor} leads nowhere");
    }
    for entry in &report().statements {
        let anchor = format!("s-{}-{}", entry.version, entry.id);
        assert!(anchors.contains(&anchor.as_str()), "{anchor} has no cell");
    }
    // The failure is there with its rule, its arrows, its byte, its control arm.
    for part in [
        "PINGREQ is answered by PINGRESP.",
        "<svg class=\"seq\"",
        "<b>Expected</b>: PINGRESP",
        "<b>Observed</b>: PUBLISH came",
        "class=\"field marked\"",
        "Control: what the same broker answered",
        "the will: due 2.000 s after the end of the connection, it came after 3.412 s: late (3.000 s at most)",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for (verdict, glyph) in [("fail", "✗"), ("pass", "✓"), ("warn", "!"), ("inconclusive", "?"), ("untested", "·")]
    {
        let cell = format!("class=\"cell {verdict}\"");
        let cell = page.split(&cell).nth(1).unwrap_or_else(|| panic!("no cell for {verdict}"));
        assert!(cell.split("</a>").next().is_some_and(|cell| cell.contains(glyph)), "{verdict} has another sign");
    }
}

fn schema() -> jsonschema::Validator {
    let text = include_str!("../../../report.schema.json");
    jsonschema::validator_for(&serde_json::from_str(text).expect("JSON")).expect("a schema")
}

/// Everything that a report can hold, once.
fn full() -> Report {
    let mut full = report();
    full.gone = Some("connection refused".to_owned());
    full.cut_short = Some(CutShort::FirstFailure);
    full.baseline = Some(Compared { file: "known.toml".to_owned(), better: vec!["a".to_owned()], expired: Vec::new() });
    full.run.strict = true;
    full.statements[2].accepted = Some("accepted".to_owned());
    full.tests[0].accepted = Some("accepted".to_owned());
    full.tests[0].timings = vec![Timing::missing(WILL, Duration::from_secs(1), Duration::from_secs(9))];
    full
}

#[test]
fn a_report_is_what_the_schema_says() {
    let schema = schema();
    for report in [report(), full()] {
        let value = serde_json::to_value(&report).expect("JSON");
        let errors: Vec<_> =
            schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path)).collect();
        assert!(errors.is_empty(), "{errors:?}");
        for spoilt in
            ["/totals/0/version", "/tests/0/verdict", "/statements/0/level", "/tests/0/transcript/0/direction"]
        {
            let mut value = value.clone();
            *value.pointer_mut(spoilt).expect("it is there") = "nonsense".into();
            assert!(!schema.is_valid(&value), "{spoilt} may be nonsense");
        }
        let mut more = value.clone();
        more["tests"][0]["news"] = true.into();
        assert!(!schema.is_valid(&more), "a field that the schema does not know");
    }
}

#[test]
fn warnings_count_where_that_was_asked() {
    let mut strict = report();
    for entry in &mut strict.statements {
        entry.verdict = Verdict::Warn;
    }
    for test in &mut strict.tests {
        test.verdict = Verdict::Warn;
    }
    assert_eq!(strict.exit_status(), 0);
    strict.run.strict = true;
    assert_eq!(strict.exit_status(), 1);
    assert!(junit::write(&strict).contains("type=\"warn\""));
    for entry in &mut strict.statements {
        entry.information = true;
    }
    for test in &mut strict.tests {
        test.information = true;
    }
    assert_eq!(strict.exit_status(), 0, "3.1 is only told");
}

#[test]
fn the_exit_status_is_that_of_the_worst_verdict() {
    let failing = report();
    assert_eq!(failing.exit_status(), 1);
    let broken = Report { internal_errors: 1, ..failing.clone() };
    assert_eq!(broken.exit_status(), 2);
    let gone = Report { gone: Some("connection refused".to_owned()), ..failing.clone() };
    assert_eq!(gone.exit_status(), 2);
    let interrupted = Report { cut_short: Some(CutShort::Interrupted), ..failing.clone() };
    assert_eq!(interrupted.exit_status(), 130);
    let mut well = failing;
    well.tests.retain(|test| test.verdict != Verdict::Fail);
    well.statements.retain(|entry| entry.verdict != Verdict::Fail);
    assert_eq!(well.exit_status(), 0, "neither a warning nor what was not reached breaks a rule");
}

#[test]
fn a_run_that_found_hardly_anything_out_is_no_success() {
    let mut run = report();
    run.tests.retain(|test| test.verdict != Verdict::Fail);
    run.statements.retain(|entry| entry.verdict != Verdict::Fail);
    let with = |verdicts: &[Verdict]| {
        let tests = verdicts.iter().map(|verdict| TestEntry { verdict: *verdict, ..run.tests[0].clone() }).collect();
        Report { tests, ..run.clone() }
    };
    for (verdicts, status) in [
        (&[Verdict::Inconclusive][..], 2),
        (&[Verdict::Inconclusive, Verdict::Unsupported, Verdict::Unsupported], 2),
        (&[Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Pass], 2),
        (&[Verdict::Inconclusive, Verdict::Pass], 0),
        (&[Verdict::Inconclusive, Verdict::Warn], 0),
        (&[Verdict::Unsupported], 0),
        (&[Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Fail], 1),
    ] {
        assert_eq!(with(verdicts).exit_status(), status, "{verdicts:?}");
    }
    let nothing = with(&[Verdict::Inconclusive]);
    let mut text = anstream::StripStream::new(Vec::new());
    human::write(&mut text, &nothing).expect("a vector takes everything");
    let text = String::from_utf8(text.into_inner()).expect("text");
    assert!(text.contains("most questions were not reached: exit status 2"), "{text}");
    assert!(summary::write(&nothing).contains("most questions were not reached"));
    assert!(html::write(&nothing).contains("Most questions were not reached"));
}

#[test]
fn two_reports_are_compared() {
    let before = report();
    let same = diff(&before, &before);
    assert_eq!(same.exit_status(), 0);
    assert!(same.newly_failing.is_empty() && same.fixed.is_empty() && same.changed.is_empty());

    let mut after = report();
    // The failure is fixed, the pass fails, what was not reached is gone, something new passes, what was new is open.
    (after.statements[2].verdict, after.tests[0].verdict) = (Verdict::Pass, Verdict::Pass);
    (after.statements[1].verdict, after.tests[1].verdict) = (Verdict::Fail, Verdict::Fail);
    after.tests.remove(3);
    after.statements[3].verdict = Verdict::Pass;
    after.tests.push(test("a_new_test", "5.0/MQTT-3.14.4-1", Verdict::Pass, None));
    let difference = diff(&before, &after);
    assert_eq!(difference.exit_status(), 1);
    let mut text = anstream::StripStream::new(Vec::new());
    difference.write(&mut text).expect("a vector takes everything");
    insta::assert_snapshot!(String::from_utf8(text.into_inner()).expect("text"));
    let json: serde_json::Value = serde_json::from_str(&difference.json()).expect("JSON");
    assert_eq!(json["schema"], "squall-conformance-diff/1");
    assert_eq!(json["newly_failing"][0]["after"], "fail");
    assert_eq!(diff(&after, &before).fixed.len(), difference.newly_failing.len(), "the other way round it is the fix");
}

#[test]
fn what_held_and_is_inconclusive_now_is_a_step_back() {
    let before = report();
    let now = |verdict: Verdict| {
        let mut after = report();
        after.tests[0].verdict = Verdict::Warn;
        let mut was = after.clone();
        after.tests[0].verdict = verdict;
        was.tests[1].verdict = Verdict::Pass;
        after.tests[1].verdict = verdict;
        diff(&was, &after)
    };
    let open = now(Verdict::Inconclusive);
    assert_eq!((open.newly_open.len(), open.changed.len(), open.exit_status()), (2, 0, 1));
    let mut text = anstream::StripStream::new(Vec::new());
    open.write(&mut text).expect("a vector takes everything");
    let text = String::from_utf8(text.into_inner()).expect("text");
    assert!(
        text.contains("newly open (2)") && text.contains("2 newly open") && text.contains("pass → inconclusive"),
        "{text}"
    );
    // What is not offered any more, or was not asked for, is told.
    for verdict in [Verdict::Unsupported, Verdict::Untested] {
        let less = now(verdict);
        assert_eq!((less.newly_open.len(), less.changed.len(), less.exit_status()), (0, 2, 0), "{verdict}");
    }
    // A failure that is not reached any more is no step back, and no fix.
    let mut after = before.clone();
    let failed = after.statements.iter_mut().find(|entry| entry.verdict == Verdict::Fail).expect("one fails");
    failed.verdict = Verdict::Inconclusive;
    let difference = diff(&before, &after);
    assert_eq!((difference.fixed.len(), difference.changed.len(), difference.exit_status()), (0, 1, 0));
}
