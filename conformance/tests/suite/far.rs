//! The whole suite with 600 ms each way in front of an honest broker: what is far away is not wrong.

use std::time::Duration;

use squall_codec::version::Version;
use squall_conformance::{
    own::{in_events_from_afar, side_by_side},
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    setup::Setup,
};
use squall_scenarios::verdict::Verdict;

const ONE_WAY: Duration = Duration::from_millis(600);

#[test]
fn from_afar_nothing_fails_and_nothing_stays_open_that_need_not() {
    keep_panics_of_tests_quiet();
    // The events world has no WebSocket.
    let reachable = |planned: &Planned| planned.version != Version::V3_1 && planned.test.setup != Setup::WebSocket;
    let tests: Vec<Planned> = all().into_iter().filter(reachable).collect();
    let entries = side_by_side(&tests, |planned| in_events_from_afar(planned, ONE_WAY));
    let mut wrong = Vec::new();
    for (planned, entry) in tests.iter().zip(entries) {
        let name = format!("{}/{}", planned.version, planned.test.name);
        if entry.verdict != Verdict::Pass {
            wrong.push(format!("{name}: {} {}", entry.verdict, entry.reason.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
