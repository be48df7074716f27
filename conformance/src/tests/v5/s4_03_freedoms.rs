//! 3.8 to 4.6 of 5.0, where a server has more than one way.

use crate::{
    liars::{exchanges, s4_03_freedoms as liar, subscribing},
    test::{Test, test},
    tests::both::s4_03_freedoms::{
        a_message_around_the_suback_is_not_lost, a_message_keeps_its_topic, a_pubrel_for_nothing_is_answered,
        a_qos_0_message_waits_as_what_it_is_or_not_at_all, a_qos_2_message_comes_once_at_qos_0,
        a_qos_2_message_is_passed_on_once, only_what_was_on_its_way_comes_after_unsuback,
        order_is_kept_within_each_topic_and_qos, order_outlives_a_reconnect,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_message_around_the_suback_is_not_lost,
        "A retained message and the SUBACK come in any order; both come.",
        ["5.0/X-PUBLISH-BEFORE-SUBACK"],
        liar::loses_what_is_retained
    ),
    test!(
        only_what_was_on_its_way_comes_after_unsuback,
        "A client unsubscribes while messages are on their way; what is published after the UNSUBACK does not come.",
        ["5.0/X-UNSUBSCRIBE-BUFFERED"],
        subscribing::never_unsubscribes
    ),
    test!(
        a_message_keeps_its_topic,
        "A message is delivered on its own topic, or on another one that the filter matches.",
        ["5.0/X-TOPIC-REWRITE"],
        liar::adds_a_level_to_topics
    ),
    test!(
        a_qos_0_message_waits_as_what_it_is_or_not_at_all,
        "A QoS 0 message is published while a session is away; it is dropped, or comes later with QoS 0 and DUP 0.",
        ["5.0/X-QOS0-OFFLINE"],
        liar::keeps_qos_0_as_repeats
    ),
    test!(
        a_qos_2_message_comes_once_at_qos_0,
        "Messages of QoS 1 and 2 are delivered at QoS 0; that of QoS 2 comes once.",
        ["5.0/X-QOS-DOWNGRADE-DUP"],
        exchanges::delivers_qos_0_twice
    )
    .should(),
    test!(
        order_outlives_a_reconnect,
        "Five messages are unacknowledged when the connection ends, and five more follow; the last copies come in order.",
        ["5.0/X-ORDER-ACROSS-RETRY"],
        liar::sends_new_messages_before_repeats
    ),
    test!(
        order_is_kept_within_each_topic_and_qos,
        "Messages of each QoS on two topics are mixed; within one topic and QoS they keep their order.",
        ["5.0/X-ORDER-QOS-INTERLEAVE"],
        liar::swaps_two_of_a_kind
    ),
    test!(
        a_pubrel_for_nothing_is_answered,
        "A PUBREL comes for a packet id that was never used; a PUBCOMP answers it.",
        ["5.0/X-PUBREL-UNKNOWN"],
        liar::answers_known_pubrels_only
    ),
    test!(
        a_qos_2_message_is_passed_on_once,
        "A QoS 2 message is passed on at its PUBLISH or at its PUBREL, and once.",
        ["5.0/X-QOS2-FORWARD-TIMING"],
        exchanges::delivers_qos_0_twice
    ),
];
