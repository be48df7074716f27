//! Defects that were planted with no test in mind: some test fails or warns behind each.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use squall_codec::version::Version;
use squall_conformance::{
    noticed,
    planted::{self, Planted},
    run::keep_panics_of_tests_quiet,
    select::all,
};

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let arguments = Arguments::from_args();
    let in_each_version = |defect: Planted| defect.versions.iter().map(move |version| is_noticed(defect, *version));
    libtest_mimic::run(&arguments, planted::all().flat_map(in_each_version).collect()).exit_code()
}

fn is_noticed(defect: Planted, version: Version) -> Trial {
    Trial::test(format!("{version}::a server that {}", defect.name), move || {
        noticed::by(&defect, version, &all()).map(drop).ok_or_else(|| Failed::from("no test notices"))
    })
}
