//! 3.8 SUBSCRIBE and 3.9 SUBACK of 3.1.1.

use crate::{
    liars::{exchanges, faults, subscribing},
    test::{Test, test},
    tests::both::s3_08_subscribe::{
        a_granted_wildcard_matches_and_an_unsupported_one_is_refused,
        a_message_comes_at_the_lower_of_published_and_granted_qos, a_suback_carries_one_of_its_codes,
        a_suback_carries_the_packet_id_of_its_subscribe, a_subscribe_with_wrong_flags_closes_the_connection,
        a_subscribe_without_a_filter_closes_the_connection, an_ill_formed_filter_closes_the_connection,
        one_subscribe_with_three_filters_acts_like_three, reserved_bits_of_the_options_close_the_connection,
        suback_codes_are_in_the_order_of_the_filters, subscribing_again_replaces_the_subscription,
        subscribing_again_sends_the_retained_message_again,
    },
};

pub(crate) const SUBSCRIBE: &[Test] = &[
    test!(
        a_subscribe_with_wrong_flags_closes_the_connection,
        "A SUBSCRIBE whose flags are not 0010 ends the connection.",
        ["3.1.1/MQTT-3.8.1-1"],
        faults::forgives_flags_of_subscribe
    ),
    test!(
        an_ill_formed_filter_closes_the_connection,
        "A SUBSCRIBE whose filter is no UTF-8 ends the connection.",
        ["3.1.1/MQTT-3.8.3-1"],
        faults::grants_ill_formed_filters
    ),
    test!(
        a_granted_wildcard_matches_and_an_unsupported_one_is_refused,
        "Filters with wildcards are granted and match, or are all refused.",
        ["3.1.1/MQTT-3.8.3-2"],
        exchanges::delivers_nothing
    ),
    test!(
        a_subscribe_without_a_filter_closes_the_connection,
        "A SUBSCRIBE with an empty payload ends the connection.",
        ["3.1.1/MQTT-3.8.3-3"],
        faults::grants_no_filter
    ),
    test!(
        reserved_bits_of_the_options_close_the_connection,
        "A SUBSCRIBE with reserved bits in its options ends the connection.",
        ["3.1.1/MQTT-3.8.3-4"],
        faults::forgives_reserved_bits_of_options
    ),
    test!(
        a_suback_carries_the_packet_id_of_its_subscribe,
        "Three SUBSCRIBEs in a row are answered by SUBACKs with their packet ids.",
        ["3.1.1/MQTT-3.8.4-1", "3.1.1/MQTT-3.8.4-2"],
        subscribing::answers_with_another_subscribe_id
    )
    .also_3_1(),
    test!(
        subscribing_again_replaces_the_subscription,
        "A second SUBSCRIBE to the same filter replaces the first: one copy, at the new QoS.",
        ["3.1.1/MQTT-3.8.4-3"],
        subscribing::keeps_the_old_subscription
    ),
    test!(
        subscribing_again_sends_the_retained_message_again,
        "A second SUBSCRIBE to the same filter brings the retained message again.",
        ["3.1.1/MQTT-3.8.4-3"],
        subscribing::keeps_the_old_subscription
    ),
    test!(
        one_subscribe_with_three_filters_acts_like_three,
        "A SUBSCRIBE with three filters gets one SUBACK with three codes, and all three filters work.",
        ["3.1.1/MQTT-3.8.4-4", "3.1.1/MQTT-3.8.4-5"],
        subscribing::loses_the_last_suback_code
    )
    .also_3_1(),
    test!(
        a_message_comes_at_the_lower_of_published_and_granted_qos,
        "Each QoS is published to a subscription of each QoS; it comes at the lower of both.",
        ["3.1.1/MQTT-3.8.4-6", "3.1.1/X-QOS-LOWER-GRANT"],
        exchanges::delivers_at_qos_0
    )
    .also_3_1(),
];

pub(crate) const SUBACK: &[Test] = &[
    test!(
        suback_codes_are_in_the_order_of_the_filters,
        "Filters that ask for different QoS in one SUBSCRIBE are answered in their order.",
        ["3.1.1/MQTT-3.9.3-1"],
        subscribing::reverses_suback_codes
    )
    .also_3_1(),
    test!(
        a_suback_carries_one_of_its_codes,
        "A SUBSCRIBE is answered; the code is one that SUBACK may carry.",
        ["3.1.1/MQTT-3.9.3-2"],
        subscribing::suback_with_a_foreign_code
    ),
];
