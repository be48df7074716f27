//! 3.12 PINGREQ of 3.1.1.

use crate::{
    liars::exchanges,
    test::{Test, test},
    tests::both::s3_06_pubrel::a_pingreq_is_answered,
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_pingreq_is_answered,
    "Each PINGREQ is answered by a PINGRESP, also between other packets.",
    ["3.1.1/MQTT-3.12.4-1"],
    exchanges::swallows_pingresps
)
.also_3_1()];
