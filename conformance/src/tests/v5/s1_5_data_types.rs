//! 1.5 Data representation.

use crate::{
    liars::{s1_5_data_types as liar, s2_packet_format},
    test::{Test, test},
    tests::both::{
        s1_5_data_types::{
            a_byte_order_mark_is_a_character_like_any_other, a_null_character_in_connect_is_refused,
            a_null_character_in_topics_closes_the_connection, an_ill_formed_user_property_in_connect_is_refused,
            an_ill_formed_user_property_is_not_forwarded, ill_formed_utf8_in_connect_is_refused,
            ill_formed_utf8_in_topics_closes_the_connection,
        },
        s2_packet_format::variable_byte_integers_of_the_server_are_minimal,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        ill_formed_utf8_in_connect_is_refused,
        "A client identifier, a will topic or a user name is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-1.5.4-1"],
        liar::welcomes_ill_formed_strings
    ),
    test!(
        ill_formed_utf8_in_topics_closes_the_connection,
        "A topic or a filter is no UTF-8; the server hangs up. Whether it looks is its own affair: a warning if not.",
        ["5.0/MQTT-1.5.4-1"],
        liar::overlooks_ill_formed_strings
    )
    .should(),
    test!(
        a_null_character_in_connect_is_refused,
        "A client identifier, a will topic or a user name holds U+0000; the server does not let the client in.",
        ["5.0/MQTT-1.5.4-2"],
        liar::welcomes_null_characters
    ),
    test!(
        a_null_character_in_topics_closes_the_connection,
        "A topic or a filter holds U+0000; the server hangs up. Whether it looks is its own affair: a warning if not.",
        ["5.0/MQTT-1.5.4-2"],
        liar::overlooks_null_characters
    )
    .should(),
    test!(
        a_byte_order_mark_is_a_character_like_any_other,
        "Topics and properties hold U+FEFF; it stays, and makes the topics other topics.",
        ["5.0/MQTT-1.5.4-3"],
        liar::strips_byte_order_marks
    ),
    test!(
        variable_byte_integers_of_the_server_are_minimal,
        "The server sends each of its packets once; no length takes more bytes than it needs.",
        ["5.0/MQTT-1.5.5-1"],
        s2_packet_format::writes_long_lengths
    ),
    test!(
        an_ill_formed_user_property_in_connect_is_refused,
        "A user property of CONNECT or of its will is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-1.5.7-1"],
        liar::welcomes_ill_formed_strings
    ),
    test!(
        an_ill_formed_user_property_is_not_forwarded,
        "A user property of a message is no UTF-8; the server hangs up, and no subscriber gets the message.",
        ["5.0/MQTT-1.5.7-1"],
        liar::forwards_ill_formed_user_properties
    ),
];
