//! 3.3.1.3 RETAIN.

use crate::{
    liars::s3_03_publish,
    test::{Test, test},
    tests::both::s3_03_retain::{
        a_retained_message_of_qos_0_is_stored, a_retained_message_replaces_the_former,
        an_empty_message_is_never_stored, an_empty_retained_message_clears_its_topic,
        overlapping_filters_get_the_retained_message, retain_0_changes_nothing, retain_at_subscribe_is_set_either_way,
        retain_handling_0_sends_each_time, retain_handling_1_sends_if_new, retain_handling_2_sends_nothing,
        with_retain_as_published_the_flag_is_kept, without_retain_as_published_live_copies_have_retain_0,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_retained_message_replaces_the_former,
        "Two messages are retained on a topic, one after the other; a later subscriber gets the second.",
        ["5.0/MQTT-3.3.1-5"],
        s3_03_publish::keeps_the_first_retained
    ),
    test!(
        a_retained_message_of_qos_0_is_stored,
        "A message is retained at QoS 0; a later subscriber gets it.",
        ["5.0/X-RETAIN-QOS0-STORED"],
        s3_03_publish::retains_no_qos_0
    )
    .should(),
    test!(
        an_empty_retained_message_clears_its_topic,
        "An empty retained message is published; it is delivered, and nothing is left on its topic.",
        ["5.0/MQTT-3.3.1-6"],
        s3_03_publish::never_clears_a_topic
    ),
    test!(
        an_empty_message_is_never_stored,
        "An empty message is published with RETAIN 1 on a topic that has none; a later subscriber gets nothing.",
        ["5.0/MQTT-3.3.1-7"],
        s3_03_publish::stores_empty_messages
    ),
    test!(
        retain_0_changes_nothing,
        "Messages with RETAIN 0 follow a retained one; it stays as it was.",
        ["5.0/MQTT-3.3.1-8"],
        s3_03_publish::retains_everything
    ),
    test!(
        overlapping_filters_get_the_retained_message,
        "Two overlapping filters in one SUBSCRIBE; the retained message comes once or twice.",
        ["5.0/X-RETAIN-OVERLAP"],
        s3_03_publish::retains_nothing
    ),
    test!(
        retain_handling_0_sends_each_time,
        "SUBSCRIBE with Retain Handling 0 comes twice; the retained message is sent each time.",
        ["5.0/MQTT-3.3.1-9"],
        s3_03_publish::sends_retained_once
    ),
    test!(
        retain_handling_1_sends_if_new,
        "SUBSCRIBE with Retain Handling 1; the retained message is sent only if the subscription is new.",
        ["5.0/MQTT-3.3.1-10"],
        s3_03_publish::handles_retain_its_own_way
    ),
    test!(
        retain_handling_2_sends_nothing,
        "SUBSCRIBE with Retain Handling 2; the retained message is not sent, later ones are.",
        ["5.0/MQTT-3.3.1-11"],
        s3_03_publish::handles_retain_its_own_way
    ),
    test!(
        without_retain_as_published_live_copies_have_retain_0,
        "A subscription without Retain As Published; live copies have RETAIN 0.",
        ["5.0/MQTT-3.3.1-12"],
        s3_03_publish::always_retains_as_published
    ),
    test!(
        with_retain_as_published_the_flag_is_kept,
        "A subscription with Retain As Published; live copies have the RETAIN with which they were published.",
        ["5.0/MQTT-3.3.1-13"],
        s3_03_publish::never_retains_as_published
    ),
    test!(
        retain_at_subscribe_is_set_either_way,
        "Retained messages sent at SUBSCRIBE have RETAIN 1 whatever Retain As Published says.",
        ["5.0/X-RETAIN-FLAG-AT-SUBSCRIBE"],
        s3_03_publish::says_retain_never
    ),
];
