//! 1.5 Data representations.

use crate::{
    liars::{faults, s1_5_data_types as liar},
    test::{Test, test},
    tests::both::s1_5_data_types::{
        a_byte_order_mark_is_a_character_like_any_other, a_null_character_in_connect_is_refused,
        a_null_character_in_topics_closes_the_connection, ill_formed_utf8_in_connect_is_refused,
        ill_formed_utf8_in_topics_closes_the_connection,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        ill_formed_utf8_in_connect_is_refused,
        "A client identifier, a will topic or a user name is no UTF-8; the server does not let the client in.",
        ["3.1.1/MQTT-1.5.3-1"],
        liar::welcomes_ill_formed_strings
    ),
    test!(
        ill_formed_utf8_in_topics_closes_the_connection,
        "A topic or a filter is no UTF-8; the server hangs up.",
        ["3.1.1/MQTT-1.5.3-1"],
        faults::overlooks_ill_formed_topics
    ),
    test!(
        a_null_character_in_connect_is_refused,
        "A client identifier, a will topic or a user name holds U+0000; the server does not let the client in.",
        ["3.1.1/MQTT-1.5.3-2"],
        liar::welcomes_null_characters
    ),
    test!(
        a_null_character_in_topics_closes_the_connection,
        "A topic or a filter holds U+0000; the server hangs up.",
        ["3.1.1/MQTT-1.5.3-2", "3.1.1/MQTT-4.7.3-2"],
        liar::overlooks_null_characters
    ),
    test!(
        a_byte_order_mark_is_a_character_like_any_other,
        "Topics hold U+FEFF at the beginning, in the middle and at the end; it stays and makes them other topics.",
        ["3.1.1/MQTT-1.5.3-3"],
        liar::strips_byte_order_marks
    ),
];
