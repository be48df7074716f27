//! 4.1 to 4.6 of 3.1.1: state, quality of service, retry, receipt, order.

use crate::{
    liars::{documented, exchanges, s3_03_retained},
    test::{Test, test},
    tests::both::{
        s4_03_many::acknowledged_messages_come_however_many_are_open,
        s4_03_qos::{
            a_packet_id_is_new_after_its_puback, a_qos_0_message_goes_out_with_dup_0,
            a_repeated_qos_2_message_is_delivered_once, a_session_lasts_over_several_connections,
            a_session_lasts_while_its_connection_is_open,
            an_unacknowledged_qos_1_message_is_sent_again_on_the_resumed_session,
            an_unfinished_qos_2_delivery_goes_on_where_it_stopped, every_matching_session_gets_the_message,
            messages_of_one_topic_and_qos_keep_their_order,
        },
        s4_03_repeats::{
            a_held_message_outlives_an_exchange_of_its_number, a_message_for_nobody_frees_its_identifier,
            a_newcomer_completes_a_qos_2_message, every_repeat_of_a_qos_2_message_is_acknowledged,
            what_came_at_qos_0_does_not_come_again,
        },
        s4_04_resumption::a_message_released_on_the_next_connection_is_whole,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_lasts_over_several_connections,
        "A session is resumed three times with its subscription and, where there is QoS 2, an open exchange.",
        ["3.1.1/MQTT-4.1.0-1"],
        exchanges::denies_the_session
    ),
    test!(
        a_session_lasts_while_its_connection_is_open,
        "A client that stays connected for longer than its session expiry keeps its subscription.",
        ["3.1.1/MQTT-4.1.0-2"],
        exchanges::forgets_an_open_session
    ),
    test!(
        a_qos_0_message_goes_out_with_dup_0,
        "A QoS 0 delivery has QoS 0 and DUP 0, also where the message was published at QoS 1.",
        ["3.1.1/MQTT-4.3.1-1"],
        exchanges::marks_qos_0_as_duplicate
    )
    .also_3_1(),
    test!(
        an_unacknowledged_qos_1_message_is_sent_again_on_the_resumed_session,
        "A QoS 1 delivery without PUBACK is sent again on the resumed session with its packet id and DUP 1; with PUBACK it is not.",
        ["3.1.1/MQTT-4.3.2-1", "3.1.1/MQTT-4.4.0-1"],
        exchanges::never_sends_a_publish_again
    ),
    test!(
        a_packet_id_is_new_after_its_puback,
        "A packet id is used again after its PUBACK, with DUP 1: the second message is delivered too.",
        ["3.1.1/MQTT-4.3.2-2"],
        exchanges::trusts_dup
    )
    .also_3_1(),
    test!(
        an_unfinished_qos_2_delivery_goes_on_where_it_stopped,
        "A QoS 2 delivery is cut after each step; PUBLISH, then PUBREL is sent again, and never PUBLISH after PUBREL.",
        ["3.1.1/MQTT-4.3.3-1", "3.1.1/MQTT-4.4.0-1"],
        exchanges::never_sends_a_pubrel_again
    ),
    test!(
        a_repeated_qos_2_message_is_delivered_once,
        "A QoS 2 PUBLISH that is sent twice is delivered once; after PUBCOMP its packet id is new.",
        ["3.1.1/MQTT-4.3.3-2"],
        exchanges::delivers_qos_0_twice
    )
    .also_3_1(),
    test!(
        every_matching_session_gets_the_message,
        "A message reaches every matching session, also the one that was away.",
        ["3.1.1/MQTT-4.5.0-1"],
        exchanges::forgets_those_who_were_away
    ),
    test!(
        acknowledged_messages_come_however_many_are_open,
        "A client sends many QoS 2 messages before it releases any, and one of QoS 1; all that are acknowledged come.",
        ["3.1.1/MQTT-4.5.0-1"],
        exchanges::loses_what_it_has_no_room_for
    ),
    test!(
        messages_of_one_topic_and_qos_keep_their_order,
        "Twenty numbered messages of each QoS come in the order in which they were published.",
        ["3.1.1/MQTT-4.6.0-6", "3.1.1/MQTT-4.6.0-5"],
        exchanges::swaps_two_messages
    )
    .also_3_1(),
    test!(
        a_message_released_on_the_next_connection_is_whole,
        "A retained QoS 2 PUBLISH comes on one connection, its PUBREL on the next; it is delivered at QoS 2 and retained.",
        ["3.1.1/MQTT-4.4.0-1", "3.1.1/MQTT-3.3.1-5", "3.1.1/MQTT-3.8.4-6"],
        s3_03_retained::lowers_what_is_released_later
    ),
    test!(
        every_repeat_of_a_qos_2_message_is_acknowledged,
        "A QoS 2 PUBLISH is sent again three times before its PUBREL; each gets a PUBREC, and it is delivered once.",
        ["3.1.1/MQTT-4.3.3-2"],
        documented::has_enough_of_repeats
    ),
    test!(
        a_newcomer_completes_a_qos_2_message,
        "The first packet of a connection is a QoS 2 PUBLISH, and PUBREL follows its PUBREC at once; PUBCOMP comes.",
        ["3.1.1/MQTT-4.3.3-2"],
        documented::stumbles_over_a_hasty_pubrel
    ),
    test!(
        a_held_message_outlives_an_exchange_of_its_number,
        "A client publishes with the packet identifier of a message that it holds, and reconnects; that message comes again.",
        ["3.1.1/X-INFLIGHT-INDEPENDENT-IDS", "3.1.1/MQTT-4.4.0-1"],
        documented::forgets_what_shares_a_number
    ),
    test!(
        a_message_for_nobody_frees_its_identifier,
        "A QoS 2 message has no subscriber; its packet identifier is free for a new message on the next connection.",
        ["3.1.1/MQTT-4.3.3-2"],
        documented::remembers_what_nobody_wanted
    ),
    test!(
        what_came_at_qos_0_does_not_come_again,
        "A client fetches what waited for it at QoS 0; on its next connections it does not come once more.",
        ["3.1.1/X-QOS-DOWNGRADE-DUP"],
        documented::replays_what_came_at_qos_0
    )
    .should(),
];
