//! A run that ends at the first failure.

use std::{net::SocketAddr, time::Duration};

use squall_conformance::{report::model::CutShort, suite::Suite};

use crate::{storm::broker, stubs::acknowledges_everything};

pub(crate) const TESTS: &[crate::Test] = tests![a_connection_that_was_cut_is_asked_about_before_more_is_begun,];

/// At a time.
const JOBS: usize = 2;

fn a_connection_that_was_cut_is_asked_about_before_more_is_begun() {
    let run = |suite: Suite, address: SocketAddr| {
        // The first that fails is one whose connection ends: that is believed only when it was asked again, alone.
        let suite = suite.filter("a_pingreq_is_answered").filter("MQTT-4.7").jobs(JOBS);
        let suite = suite.patience(Duration::from_millis(500));
        suite.run(&address.to_string()).expect("it is reached")
    };
    // Where nothing fails the same questions cost little.
    let whole = run(Suite::new(), broker(None));
    assert_eq!(whole.cut_short, None);
    let short = run(Suite::new().fail_fast(), acknowledges_everything(true));
    assert_eq!(short.cut_short, Some(CutShort::FirstFailure));
    let names: Vec<_> = short.tests.iter().map(|test| (&test.name, test.verdict)).collect();
    assert!(names.len() * 2 < whole.tests.len(), "{} of {}: {names:?}", names.len(), whole.tests.len());
}
