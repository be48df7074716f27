//! Malformed packets of 5.0, systematically.

use crate::{
    liars::{faults, s2_packet_format, s3_01_connect},
    test::{Test, test},
    tests::both::s4_08_malformed::{
        a_length_that_lies_is_refused, a_packet_cut_at_any_byte_is_refused, every_wrong_flag_nibble_is_refused,
        no_packet_but_connect_comes_first,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_packet_but_connect_comes_first,
        "Each packet but CONNECT is the first of a connection; none is answered, and the connection ends.",
        ["5.0/MQTT-3.1.0-1"],
        s3_01_connect::answers_strangers
    ),
    test!(
        every_wrong_flag_nibble_is_refused,
        "Every packet of a client comes with every wrong flag nibble; the server hangs up.",
        ["5.0/MQTT-2.1.3-1"],
        s2_packet_format::overlooks_wrong_flags
    ),
    test!(
        a_packet_cut_at_any_byte_is_refused,
        "Every packet of a client is cut at each of its bytes; the server hangs up.",
        ["5.0/MQTT-4.13.1-1"],
        faults::grants_what_breaks_off
    ),
    test!(
        a_length_that_lies_is_refused,
        "Packets and their fields are longer or shorter than they say; the server hangs up.",
        ["5.0/MQTT-4.13.1-1"],
        faults::unsubscribes_by_wrong_lengths
    ),
];
