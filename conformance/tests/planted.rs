//! Defects that were planted with no test in mind: each is noticed by some test.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use squall_codec::version::Version;
use squall_conformance::{
    own,
    planted::{self, Planted},
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    setup::Setup,
};
use squall_scenarios::verdict::Verdict;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let arguments = Arguments::from_args();
    let of_versions = |defect: Planted| defect.versions.iter().map(move |version| noticed(defect, *version));
    libtest_mimic::run(&arguments, planted::all().flat_map(of_versions).collect()).exit_code()
}

/// The tests of a version whose packets pass a proxy.
fn tests(version: Version) -> impl Iterator<Item = Planned> {
    all().into_iter().filter(move |planned| planned.version == version && planned.test.setup != Setup::WebSocket)
}

fn noticed(defect: Planted, version: Version) -> Trial {
    Trial::test(format!("{version}::a server that {}", defect.name), move || {
        for planned in tests(version) {
            let entry = own::in_events(&planned, Some((defect.liar)()));
            if entry.internal_error {
                return Err(Failed::from(format!("{}: {}", planned.test.name, entry.reason.unwrap_or_default())));
            }
            if entry.verdict == Verdict::Fail {
                return Ok(());
            }
        }
        Err(Failed::from("no test fails"))
    })
}
