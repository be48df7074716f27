//! Each test is proven able to fail: it convicts its own liar, in virtual time.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use squall_codec::version::Version;
use squall_conformance::{
    own,
    report::{human::transcript_line, model::TestEntry},
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
};
use squall_scenarios::verdict::Verdict;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let arguments = Arguments::from_args();
    let trials = all()
        .into_iter()
        // A test of 3.1 is that of 3.1.1, and convicts nobody.
        .filter(|planned| planned.version != Version::V3_1)
        .map(convicts)
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
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
