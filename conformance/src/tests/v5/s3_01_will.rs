//! 3.1.2.5 Wills.

use crate::{
    liars::s3_01_session,
    test::{Test, test},
    tests::both::s3_01_will::{
        a_disconnect_with_a_reason_publishes_the_will, a_reconnect_within_the_delay_cancels_the_will,
        a_will_is_delivered_like_any_message, a_will_is_published_as_it_was_given, a_will_is_published_on_take_over,
        a_will_is_published_once, a_will_is_published_promptly, a_will_is_published_when_the_connection_is_cut,
        a_will_is_published_when_the_server_closes_for_an_error, a_will_waits_for_an_absent_client,
        a_will_waits_for_its_delay, a_will_with_retain_is_retained, a_will_without_retain_is_not_retained,
        an_empty_retained_will_clears_its_topic, the_end_of_the_session_ends_the_delay,
        user_properties_of_a_will_keep_their_order,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_will_is_published_when_the_connection_is_cut,
        "A client's connection ends by FIN and by RST without DISCONNECT; its will is published.",
        ["5.0/MQTT-3.1.2-8"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_when_the_server_closes_for_an_error,
        "A client breaks the protocol and is disconnected; its will is published.",
        ["5.0/MQTT-3.1.2-8", "5.0/X-WILL-ON-PROTOCOL-ERROR"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_promptly,
        "A client with a will is cut off; the will is published within two seconds.",
        ["5.0/X-WILL-PROMPT"],
        s3_01_session::is_slow_with_wills
    )
    .should(),
    test!(
        a_will_is_published_on_take_over,
        "A connection is taken over by another of the same client; the will of the first is published.",
        ["5.0/X-WILL-ON-TAKEOVER"],
        s3_01_session::loses_wills
    )
    .should(),
    test!(
        a_will_is_published_as_it_was_given,
        "A will comes with the topic, the payload, the QoS and the properties that it was given.",
        ["5.0/MQTT-3.1.2-7", "5.0/X-WILL-PROPERTIES"],
        s3_01_session::publishes_wills_at_qos_0
    ),
    test!(
        a_will_is_published_once,
        "A will was published; a later connection of the same client without a will publishes nothing.",
        ["5.0/MQTT-3.1.2-10"],
        s3_01_session::inherits_wills
    ),
    test!(
        a_will_without_retain_is_not_retained,
        "A will without Will Retain is published; a later subscriber does not get it.",
        ["5.0/MQTT-3.1.2-14"],
        s3_01_session::retains_each_will
    ),
    test!(
        a_will_with_retain_is_retained,
        "A will with Will Retain is published; a later subscriber gets it as a retained message.",
        ["5.0/MQTT-3.1.2-15"],
        s3_01_session::retains_no_will
    ),
    test!(
        an_empty_retained_will_clears_its_topic,
        "An empty will with Will Retain is published; what was retained on its topic is gone.",
        ["5.0/X-WILL-RETAIN-EMPTY"],
        s3_01_session::retains_no_will
    ),
    test!(
        a_will_is_delivered_like_any_message,
        "Subscribers with wildcards and a lower QoS get a will as they get any message.",
        ["5.0/X-WILL-AS-PUBLISH"],
        s3_01_session::hides_wills_from_wildcards
    ),
    test!(
        a_will_waits_for_an_absent_client,
        "A will is published while a subscriber with a session is away; it gets it when it is back.",
        ["5.0/X-WILL-TO-OFFLINE"],
        s3_01_session::has_no_queues
    ),
    test!(
        user_properties_of_a_will_keep_their_order,
        "A will has user properties with repeated names; they come in the order in which they were given.",
        ["5.0/MQTT-3.1.3-10"],
        s3_01_session::sorts_the_properties_of_wills
    ),
    test!(
        a_will_waits_for_its_delay,
        "A will has a delay of 2 s; it is not published before that time is over.",
        ["5.0/MQTT-3.1.2-8"],
        s3_01_session::does_not_wait_with_wills
    ),
    test!(
        a_reconnect_within_the_delay_cancels_the_will,
        "A client is back before the delay of its will is over; the will is not published, then or later.",
        ["5.0/MQTT-3.1.3-9", "5.0/X-WILL-NOT-INHERITED"],
        s3_01_session::does_not_wait_with_wills
    ),
    test!(
        the_end_of_the_session_ends_the_delay,
        "The session ends before the delay of the will is over; the will is published then.",
        ["5.0/X-WILL-DELAY-VS-EXPIRY"],
        s3_01_session::waits_beyond_the_session
    ),
    test!(
        a_disconnect_with_a_reason_publishes_the_will,
        "DISCONNECT with 0x04 or an error code leaves the will to be published.",
        ["5.0/X-WILL-DISCONNECT-CODES"],
        s3_01_session::takes_each_disconnect_for_normal
    ),
];
