//! 3.6 PUBREL of 3.1.1.

use crate::{
    liars::faults,
    test::{Test, test},
    tests::both::s3_06_pubrel::a_pubrel_with_wrong_flags_closes_the_connection,
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_pubrel_with_wrong_flags_closes_the_connection,
    "A PUBREL whose flags are not 0010 ends the connection.",
    ["3.1.1/MQTT-3.6.1-1"],
    faults::forgives_flags_of_pubrel
)];
