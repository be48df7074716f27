//! 3.10 UNSUBSCRIBE of 3.1.1.

use crate::{
    liars::{faults, subscribing},
    test::{Test, test},
    tests::both::s3_10_unsubscribe::{
        a_delivery_begun_before_is_completed, an_ill_formed_filter_to_unsubscribe_from_closes_the_connection,
        an_unknown_filter_is_answered_too, an_unsuback_carries_the_packet_id_of_its_unsubscribe,
        an_unsubscribe_with_wrong_flags_closes_the_connection, an_unsubscribe_without_a_filter_closes_the_connection,
        nothing_new_comes_after_the_unsuback, one_unsubscribe_with_three_filters_acts_like_three,
        only_an_equal_filter_is_deleted, who_leaves_a_subtree_leaves_its_root,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_unsubscribe_with_wrong_flags_closes_the_connection,
        "An UNSUBSCRIBE whose flags are not 0010 ends the connection.",
        ["3.1.1/MQTT-3.10.1-1"],
        faults::forgives_flags_of_unsubscribe
    ),
    test!(
        an_ill_formed_filter_to_unsubscribe_from_closes_the_connection,
        "An UNSUBSCRIBE whose filter is no UTF-8 ends the connection.",
        ["3.1.1/MQTT-3.10.3-1"],
        faults::unsubscribes_from_ill_formed_filters
    ),
    test!(
        an_unsubscribe_without_a_filter_closes_the_connection,
        "An UNSUBSCRIBE with an empty payload ends the connection.",
        ["3.1.1/MQTT-3.10.3-2"],
        faults::unsubscribes_from_no_filter
    ),
    test!(
        only_an_equal_filter_is_deleted,
        "UNSUBSCRIBE from filters that are similar deletes nothing; from the same filter it does.",
        ["3.1.1/MQTT-3.10.4-1"],
        subscribing::unsubscribes_from_everything
    )
    .also_3_1(),
    test!(
        nothing_new_comes_after_the_unsuback,
        "What is published after the UNSUBACK does not come.",
        ["3.1.1/MQTT-3.10.4-2"],
        subscribing::never_unsubscribes
    )
    .also_3_1(),
    test!(
        who_leaves_a_subtree_leaves_its_root,
        "A client unsubscribes from a filter that ends in /#; no message comes any more, also not on the level above.",
        ["3.1.1/MQTT-3.10.4-2"],
        subscribing::keeps_the_root_of_a_subtree
    )
    .also_3_1(),
    test!(
        a_delivery_begun_before_is_completed,
        "A QoS 2 delivery that was begun before the UNSUBSCRIBE is finished after it.",
        ["3.1.1/MQTT-3.10.4-3"],
        subscribing::abandons_deliveries_at_unsubscribe
    ),
    test!(
        an_unsuback_carries_the_packet_id_of_its_unsubscribe,
        "An UNSUBSCRIBE is answered by an UNSUBACK with its packet id.",
        ["3.1.1/MQTT-3.10.4-4"],
        subscribing::answers_with_another_unsubscribe_id
    )
    .also_3_1(),
    test!(
        an_unknown_filter_is_answered_too,
        "An UNSUBSCRIBE that deletes nothing is answered by an UNSUBACK too.",
        ["3.1.1/MQTT-3.10.4-5"],
        subscribing::swallows_unsubacks
    )
    .also_3_1(),
    test!(
        one_unsubscribe_with_three_filters_acts_like_three,
        "An UNSUBSCRIBE with three filters gets one UNSUBACK and deletes all three.",
        ["3.1.1/MQTT-3.10.4-6"],
        subscribing::unsubscribes_from_the_first_filter_only
    ),
];
