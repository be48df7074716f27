//! Each test is proven able to fail: it convicts its own liar, and three crude liars do not all get away.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use libtest_mimic::{Arguments, Failed, Trial};
use squall_codec::version::Version;
use squall_conformance::{
    crude, own,
    report::{human::transcript_line, model::TestEntry},
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
};
use squall_scenarios::verdict::Verdict;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let arguments = Arguments::from_args();
    let deceived = Arc::new(Mutex::new(Vec::new()));
    let trials = all()
        .into_iter()
        // A test of 3.1 is that of 3.1.1, and convicts nobody.
        .filter(|planned| planned.version != Version::V3_1)
        .flat_map(|planned| [convicts(planned), sees_through_the_crude(planned, Arc::clone(&deceived))])
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut deceived = std::mem::take(&mut *deceived.lock().unwrap_or_else(PoisonError::into_inner));
    deceived.sort_unstable();
    if !deceived.is_empty() {
        println!("What one crude liar alone can get past (the others are caught):");
        deceived.iter().for_each(|line| println!("  {line}"));
    }
    conclusion.exit_code()
}

fn shown(entry: &TestEntry) -> String {
    let lines: Vec<_> = entry.transcript.iter().map(transcript_line).collect();
    format!("{}: {}\n{}", entry.verdict, entry.reason.as_deref().unwrap_or("as if all were well"), lines.join("\n"))
}

fn convicts(planned: Planned) -> Trial {
    Trial::test(format!("liar::{}::{}", planned.version, planned.test.name), move || {
        let due = if planned.test.should { Verdict::Warn } else { Verdict::Fail };
        let entry = own::in_events(&planned, Some((planned.test.liar)()));
        if entry.verdict == due && !entry.internal_error {
            return Ok(());
        }
        Err(Failed::from(format!("its liar should have made it {due}, and it said {}", shown(&entry))))
    })
}

fn sees_through_the_crude(planned: Planned, deceived: Arc<Mutex<Vec<String>>>) -> Trial {
    Trial::test(format!("crude::{}::{}", planned.version, planned.test.name), move || {
        let passed: Vec<_> = crude::ALL
            .iter()
            .filter(|(_, liar)| own::in_events(&planned, Some(liar())).verdict == Verdict::Pass)
            .map(|(name, _)| *name)
            .collect();
        if passed.len() == crude::ALL.len() {
            return Err(Failed::from("it passes whatever the broker does: it checks nothing"));
        }
        let lines = passed.iter().map(|name| format!("{name}: {} {}", planned.version, planned.test.name));
        deceived.lock().unwrap_or_else(PoisonError::into_inner).extend(lines);
        Ok(())
    })
}
