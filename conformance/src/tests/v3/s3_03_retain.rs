//! 3.3.1.3 RETAIN.

use crate::{
    liars::s3_03_publish,
    test::{Test, test},
    tests::both::s3_03_retain::{
        a_message_sent_for_a_subscribe_has_retain, a_retained_message_of_qos_0_is_stored,
        a_retained_message_of_qos_0_replaces_the_former, a_retained_message_waits_for_later_subscribers,
        an_empty_message_is_never_stored, an_empty_retained_message_clears_its_topic,
        overlapping_filters_get_the_retained_message, retain_0_changes_nothing,
        retain_is_set_only_on_what_was_retained, the_last_retained_message_of_each_topic_comes,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_retained_message_waits_for_later_subscribers,
        "Messages are retained at each QoS; a later subscriber gets them with the QoS that they had.",
        ["3.1.1/MQTT-3.3.1-5"],
        s3_03_publish::retains_nothing
    )
    .also_3_1(),
    test!(
        the_last_retained_message_of_each_topic_comes,
        "Two topics have retained messages; a new subscription to both gets the last of each.",
        ["3.1.1/MQTT-3.3.1-6"],
        s3_03_publish::keeps_the_first_retained
    )
    .also_3_1(),
    test!(
        a_retained_message_of_qos_0_replaces_the_former,
        "A retained message of QoS 0 follows one of QoS 1; the old one does not come any more.",
        ["3.1.1/MQTT-3.3.1-7"],
        s3_03_publish::retains_no_qos_0
    ),
    test!(
        a_retained_message_of_qos_0_is_stored,
        "A message is retained at QoS 0; a later subscriber gets it.",
        ["3.1.1/X-RETAIN-QOS0-STORED"],
        s3_03_publish::retains_no_qos_0
    )
    .should(),
    test!(
        a_message_sent_for_a_subscribe_has_retain,
        "A retained message comes for a new subscription; it has RETAIN 1.",
        ["3.1.1/MQTT-3.3.1-8"],
        s3_03_publish::says_retain_never
    )
    .also_3_1(),
    test!(
        retain_is_set_only_on_what_was_retained,
        "A retained message comes to subscribers who were there before, one of them away; it has RETAIN 0.",
        ["3.1.1/MQTT-3.3.1-9"],
        s3_03_publish::says_retain_always
    ),
    test!(
        an_empty_retained_message_clears_its_topic,
        "An empty retained message is published; it is delivered, and nothing is left on its topic.",
        ["3.1.1/MQTT-3.3.1-10"],
        s3_03_publish::never_clears_a_topic
    ),
    test!(
        an_empty_message_is_never_stored,
        "An empty message is published with RETAIN 1 on a topic that has none; a later subscriber gets nothing.",
        ["3.1.1/MQTT-3.3.1-11"],
        s3_03_publish::stores_empty_messages
    ),
    test!(
        retain_0_changes_nothing,
        "Messages with RETAIN 0 follow a retained one; it stays as it was.",
        ["3.1.1/MQTT-3.3.1-12"],
        s3_03_publish::retains_everything
    ),
    test!(
        overlapping_filters_get_the_retained_message,
        "Two overlapping filters in one SUBSCRIBE; the retained message comes once or twice.",
        ["3.1.1/X-RETAIN-OVERLAP"],
        s3_03_publish::retains_nothing
    ),
];
