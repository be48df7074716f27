//! Each test is proven able to fail: it convicts its own liar, in virtual time. And no other test does, but for a reason
//! that the data gives.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use squall_codec::version::Version;
use squall_conformance::{
    own,
    report::{human::transcript_line, model::TestEntry},
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    selftest::{self, Depth},
    setup::Setup,
    stop::Stop,
};
use squall_scenarios::verdict::Verdict;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let arguments = Arguments::from_args();
    // A test of 3.1 is that of 3.1.1, and convicts nobody.
    let tests: Vec<_> = all().into_iter().filter(|planned| planned.version != Version::V3_1).collect();
    let mut trials: Vec<_> = tests.iter().copied().map(convicts).collect();
    trials.push(Trial::test("no_other_test_convicts_a_liar_without_a_reason", move || undeclared(&tests)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Of the plays of a test on the liar of another each one in so many is played here. `conformance self-test` plays all.
const ONE_IN: usize = 23;

fn undeclared(tests: &[Planned]) -> Result<(), Failed> {
    // Below a WebSocket all is slow: nothing of the events world.
    let tests: Vec<_> = tests.iter().copied().filter(|planned| planned.test.setup != Setup::WebSocket).collect();
    let table = selftest::run(&tests, Depth::Sample(ONE_IN), &Stop::default(), &|_, _| {});
    let accusations = table.tests.iter().flat_map(|row| {
        let undeclared = row.others.iter().filter(|other| !other.related);
        undeclared.map(move |other| format!("{} on {}: {}: {}", other.name, row.liar, other.verdict, other.reason))
    });
    let accusations: Vec<_> = accusations.chain(table.broken.iter().map(|broken| format!("{broken:?}"))).collect();
    if accusations.is_empty() { Ok(()) } else { Err(accusations.join("\n").into()) }
}

fn shown(entry: &TestEntry) -> String {
    let lines: Vec<_> = entry.transcript.iter().map(transcript_line).collect();
    format!("{}: {}\n{}", entry.verdict, entry.reason.as_deref().unwrap_or("as if all were well"), lines.join("\n"))
}

fn convicts(planned: Planned) -> Trial {
    Trial::test(format!("liar::{}::{}", planned.version, planned.test.name), move || {
        let due = if planned.test.should { Verdict::Warn } else { Verdict::Fail };
        let entry = own::in_virtual_time(&planned, Some((planned.test.liar)()));
        if entry.verdict == due && !entry.internal_error {
            return Ok(());
        }
        Err(Failed::from(format!("its liar should have made it {due}, and it said {}", shown(&entry))))
    })
}
