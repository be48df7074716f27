//! 3.2 CONNACK.

use crate::{
    liars::{s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::both::s3_02_connack::{
        a_clean_session_has_session_present_0, connack_comes_first, connack_flags_have_no_reserved_bit,
        connack_is_in_the_format_of_its_version,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        connack_comes_first,
        "A session with waiting messages is resumed, with packets right behind the CONNECT; CONNACK comes before all else.",
        ["3.1.1/MQTT-3.2.0-1"],
        s3_01_session::speaks_before_connack
    ),
    test!(
        connack_flags_have_no_reserved_bit,
        "All CONNACKs have 0 or 1 as their flags.",
        ["3.1.1/X-311-CONNACK-RESERVED-BITS"],
        s3_01_session::flags_its_connack
    ),
    test!(
        a_clean_session_has_session_present_0,
        "A session is stored and a fresh one asked for; CONNACK says that none is present.",
        ["3.1.1/MQTT-3.2.2-1"],
        s3_01_session::says_present
    ),
    test!(
        connack_is_in_the_format_of_its_version,
        "CONNACK is written in the format of the version that CONNECT asked for.",
        ["3.1.1/X-PROTOCOL-MIX"],
        s3_02_connack::mixes_formats
    ),
];
