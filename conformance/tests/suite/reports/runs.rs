//! What runs report that are no audit from the command line: the self-test, a clock that is measured, the library.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use squall_codec::version::Version;
use squall_conformance::{
    event::{Event, Listener},
    expected::{Needless, implied, needless},
    own,
    select::all,
    selftest::{self, Depth},
    stop::Stop,
    suite::Suite,
};
use squall_scenarios::{timing::Punctuality, verdict::Verdict};

#[test]
fn a_self_test_tells_who_notices_whose_liar() {
    let chosen: Vec<_> = all()
        .into_iter()
        .filter(|planned| planned.version == Version::V5_0 && planned.section.number == "3.12")
        .collect();
    assert!(!chosen.is_empty());
    let table = selftest::run(&chosen, Depth::All, &Stop::default(), &|_, _| {});
    assert_eq!(table.exit_status(), 0, "{}", table.json());
    assert!(table.complete);
    assert_eq!(table.tests.len(), chosen.len());
    for crude in &table.crude {
        assert!(crude.passed.is_empty() || !crude.nothing_may_pass, "{}: {:?}", crude.liar, crude.passed);
    }
    let mut broken = table.clone();
    broken.tests[0].deceived = Verdict::Pass;
    assert_eq!(broken.exit_status(), 1, "a liar that gets away");
    let mut broken = table.clone();
    broken.tests[0].honest = Verdict::Fail;
    assert_eq!(broken.exit_status(), 1, "a false accusation");
    let mut broken = table.clone();
    broken.needless = needless(&BTreeSet::new());
    assert_eq!(broken.exit_status(), 1, "an excuse that nobody needs");
    let mut broken = table;
    broken.crude[0].passed.push("5.0/a_test".to_owned());
    assert_eq!(broken.exit_status(), 1, "a test that passes where nobody answers");
}

#[test]
fn an_excuse_is_needed_by_the_test_that_convicts() {
    let all: BTreeSet<_> =
        implied().iter().flat_map(|line| line.tests.iter().map(|test| (line.liar.as_str(), test.as_str()))).collect();
    assert!(needless(&all).is_empty());
    let mut fewer = all.clone();
    let (liar, test) = fewer.pop_first().expect("there are some");
    assert_eq!(needless(&fewer), [Needless { liar: liar.to_owned(), test: test.to_owned() }]);
}

#[test]
fn a_clock_is_measured_and_late_is_not_missing() {
    let planned = all().into_iter().find(|planned| planned.test.name == "a_will_waits_for_its_delay");
    let played = own::in_events(&planned.expect("the test is there"), None);
    assert_eq!(played.verdict, Verdict::Pass, "{:?}", played.reason);
    let timing = played.timings.first().expect("what was measured");
    assert_eq!((timing.due_us, timing.grade), (2_000_000, Punctuality::InTime));
    assert!(timing.measured_us.is_some_and(|us| (2_000_000..3_000_000).contains(&us)), "{timing:?}");
}

#[test]
fn the_library_audits_our_own_broker() {
    let heard = Arc::new(Mutex::new(0));
    let count = Arc::clone(&heard);
    struct Count(Arc<Mutex<usize>>);
    impl Listener for Count {
        fn hear(&mut self, event: Event<'_>) -> std::io::Result<()> {
            if let Event::TestFinished(_) = event {
                *self.0.lock().expect("nobody panicked") += 1;
            }
            Ok(())
        }
    }
    let report = Suite::new().versions([Version::V5_0]).filter("MQTT-3.12").listener(Count(count)).run_on_own_broker();
    let report = report.expect("a report");
    assert_eq!(report.exit_status(), 0);
    assert!(!report.tests.is_empty());
    assert_eq!(*heard.lock().expect("nobody panicked"), report.tests.len());
    let nothing = Suite::new().filter("MQTT-9.9").run_on_own_broker().expect_err("no such statement");
    assert!(nothing.to_string().contains("the nearest are"), "{nothing}");
    let nowhere = Suite::new().run("a:0").expect_err("no such port");
    assert!(nowhere.to_string().contains("is no port"), "{nowhere}");
}
