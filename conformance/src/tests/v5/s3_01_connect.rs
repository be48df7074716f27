//! 3.1 CONNECT.

use crate::{
    liars::{s1_5_data_types, s3_01_connect},
    test::{Test, test},
    tests::both::s3_01_connect::{
        a_connect_without_payload_is_refused, a_foreign_protocol_name_is_not_served,
        a_password_flag_without_password_is_refused, a_password_without_its_flag_is_refused,
        a_second_client_of_the_same_identifier_takes_over, a_second_connect_closes_the_connection,
        a_silent_client_is_disconnected, a_user_name_flag_without_user_name_is_refused,
        a_user_name_without_its_flag_is_refused, a_valid_connect_is_accepted, a_will_qos_without_a_will_is_refused,
        a_will_that_is_flagged_must_be_there, an_ill_formed_client_identifier_is_refused,
        an_ill_formed_user_name_is_refused, an_ill_formed_will_topic_is_refused, empty_identifiers_are_told_apart,
        packets_behind_connect_are_served, payload_fields_are_read_in_their_order,
        short_alphanumeric_identifiers_are_accepted, the_first_packet_must_be_connect,
        the_identifier_is_the_key_of_the_session, the_reserved_connect_flag_is_refused, will_qos_3_is_refused,
        will_retain_without_a_will_is_refused,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        the_first_packet_must_be_connect,
        "PINGREQ, PUBLISH, SUBSCRIBE or DISCONNECT comes before any CONNECT; nothing is answered and the server hangs up.",
        ["5.0/MQTT-3.1.0-1"],
        s3_01_connect::answers_strangers
    ),
    test!(
        a_second_connect_closes_the_connection,
        "A connected client says CONNECT again; the server hangs up.",
        ["5.0/MQTT-3.1.0-2"],
        s3_01_connect::swallows_second_connect
    ),
    test!(
        a_foreign_protocol_name_is_not_served,
        "A CONNECT carries a protocol name that no MQTT has; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-1"],
        s3_01_connect::reads_any_protocol_name
    ),
    test!(
        the_reserved_connect_flag_is_refused,
        "The reserved bit of the connect flags is set; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-3"],
        s3_01_connect::welcomes_the_reserved_flag
    ),
    test!(
        a_will_that_is_flagged_must_be_there,
        "The will flag is set and the payload has no whole will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-9"],
        s3_01_connect::welcomes_a_will_that_is_not_there
    ),
    test!(
        a_will_qos_without_a_will_is_refused,
        "Will QoS 1 or 2 stands where there is no will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-11"],
        s3_01_connect::welcomes_a_qos_without_will
    ),
    test!(
        will_qos_3_is_refused,
        "A will asks for QoS 3; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-12"],
        s3_01_connect::welcomes_will_qos_3
    ),
    test!(
        will_retain_without_a_will_is_refused,
        "Will Retain is set where there is no will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-13"],
        s3_01_connect::welcomes_retain_without_will
    ),
    test!(
        a_user_name_without_its_flag_is_refused,
        "The payload has a user name that the flags do not announce; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-16"],
        s3_01_connect::welcomes_unflagged_fields
    ),
    test!(
        a_user_name_flag_without_user_name_is_refused,
        "The flags announce a user name that is not there; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-17"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_without_its_flag_is_refused,
        "The payload has a password that the flags do not announce; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-18"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_flag_without_password_is_refused,
        "The flags announce a password that is not there; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-19"],
        s3_01_connect::welcomes_a_password_that_is_not_there
    ),
    test!(
        a_silent_client_is_disconnected,
        "A client with Keep Alive 1 says nothing; the server ends its connection after 1.5 s and publishes its will.",
        ["5.0/MQTT-3.1.2-22"],
        s3_01_connect::forgets_the_keep_alive
    ),
    test!(
        payload_fields_are_read_in_their_order,
        "A CONNECT has all five fields in its payload; the will comes out as it went in.",
        ["5.0/MQTT-3.1.3-1"],
        s3_01_connect::mixes_fields_up
    ),
    test!(
        the_identifier_is_the_key_of_the_session,
        "Two clients have sessions; each finds its own by its identifier, which differs only in case.",
        ["5.0/MQTT-3.1.3-2"],
        s3_01_connect::ignores_the_case_of_identifiers
    ),
    test!(
        a_connect_without_payload_is_refused,
        "A CONNECT ends before its payload; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-3"],
        s3_01_connect::welcomes_no_payload
    ),
    test!(
        an_ill_formed_client_identifier_is_refused,
        "A client identifier is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-4"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        short_alphanumeric_identifiers_are_accepted,
        "Client identifiers of 1, 22 and 23 letters and digits; the server takes all of them.",
        ["5.0/MQTT-3.1.3-5"],
        s3_01_connect::refuses_long_identifiers
    ),
    test!(
        empty_identifiers_are_told_apart,
        "Two clients come without an identifier; if they are let in, they are two clients.",
        ["5.0/MQTT-3.1.3-6"],
        s3_01_connect::has_one_name_for_the_nameless
    ),
    test!(
        an_ill_formed_will_topic_is_refused,
        "A will topic is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-11"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        an_ill_formed_user_name_is_refused,
        "A user name is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-12"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        a_valid_connect_is_accepted,
        "A plain CONNECT; the server accepts it.",
        ["5.0/MQTT-3.1.4-5"],
        s3_01_connect::refuses_everybody
    ),
    test!(
        packets_behind_connect_are_served,
        "SUBSCRIBE, PUBLISH and PINGREQ come in one write with CONNECT; all are served once the client is let in.",
        ["5.0/X-PIPELINE-BEFORE-CONNACK"],
        s3_01_connect::loses_what_comes_early
    ),
    test!(
        a_second_client_of_the_same_identifier_takes_over,
        "A second client comes with the identifier of the first; the server ends the first connection and serves the second.",
        ["5.0/MQTT-3.1.4-3"],
        s3_01_connect::serves_twins
    ),
];
