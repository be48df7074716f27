//! 4.8 Handling errors of 3.1.1.

use crate::{
    liars::faults,
    test::{Test, test},
    tests::both::s4_07_topics::a_malformed_packet_ends_its_own_connection_only,
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_malformed_packet_ends_its_own_connection_only,
    "Frames that no version allows end the connection that they came on, and no other.",
    ["3.1.1/MQTT-4.8.0-1"],
    faults::overlooks_long_pings
)];
