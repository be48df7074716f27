//! Audits a broker from a program of one's own: `cargo run --example audit -- localhost:1883`, or our own broker
//! without an address.

use std::{io, process::ExitCode};

use squall_codec::version::Version;
use squall_conformance::{
    event::{Event, Listener},
    report::summary,
    suite::Suite,
};
use squall_scenarios::verdict::Verdict;

/// Says what fails as soon as it fails.
struct Failures;

impl Listener for Failures {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        if let Event::TestFinished(test) = event
            && test.verdict == Verdict::Fail
        {
            eprintln!("{} {}: {}", test.version, test.name, test.reason.as_deref().unwrap_or_default());
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let suite = Suite::new().versions([Version::V5_0]).filter("MQTT-3.1").listener(Failures);
    let report = match std::env::args().nth(1) {
        Some(target) => suite.run(&target),
        None => suite.run_on_own_broker(),
    };
    match report {
        Ok(report) => {
            print!("{}", summary::write(&report));
            ExitCode::from(report.exit_status())
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
