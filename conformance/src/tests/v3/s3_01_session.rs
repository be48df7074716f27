//! 3.1.2.4 Clean Session and Clean Start.

use crate::{
    liars::s3_01_session,
    test::{Test, test},
    tests::both::s3_01_session::{
        a_clean_start_begins_with_nothing, a_session_is_resumed, a_take_over_keeps_what_is_in_flight,
        a_take_over_resumes_or_clears_the_session, an_empty_session_is_present_as_well,
        messages_wait_for_an_absent_client, no_session_is_not_present, resuming_brings_no_retained_messages,
        retained_messages_outlive_the_session,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_is_resumed,
        "A client comes back to its session; the subscription is there and so is the message that waited.",
        ["3.1.1/MQTT-3.1.2-4"],
        s3_01_session::forgets_sessions
    ),
    test!(
        messages_wait_for_an_absent_client,
        "Messages of QoS 1 and 2 are published while a client with a session is away; all of them reach it when it is back.",
        ["3.1.1/MQTT-3.1.2-5"],
        s3_01_session::loses_every_second_message
    ).also_3_1(),
    test!(
        a_clean_start_begins_with_nothing,
        "A client asks for a fresh session; nothing of the old one shows up, and it does not come back later.",
        ["3.1.1/MQTT-3.1.2-6"],
        s3_01_session::never_cleans_a_session
    ),
    test!(
        retained_messages_outlive_the_session,
        "A publisher's session ends; what it retained is still there.",
        ["3.1.1/MQTT-3.1.2-7", "3.1.1/X-RETAIN-KEPT"],
        s3_01_session::takes_retained_messages_back
    ).also_3_1(),
    test!(
        no_session_is_not_present,
        "A new client, and one whose session has ended, ask for a session; CONNACK says that none is present.",
        ["3.1.1/MQTT-3.2.2-3"],
        s3_01_session::says_present
    ),
    test!(
        an_empty_session_is_present_as_well,
        "A session without subscriptions and messages is kept; CONNACK says that it is there.",
        ["3.1.1/MQTT-3.2.2-2", "3.1.1/X-SESSION-EMPTY-EXISTS"],
        s3_01_session::says_absent
    ),
    test!(
        a_take_over_resumes_or_clears_the_session,
        "A second connection of a client takes over; it finds the session, or a fresh one, as it asks.",
        ["3.1.1/MQTT-3.1.4-3"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_take_over_keeps_what_is_in_flight,
        "A connection is taken over with a message unacknowledged; the new one gets it again with DUP.",
        ["3.1.1/X-SESSION-TAKEOVER-STATE"],
        s3_01_session::forgets_what_was_in_flight
    ),
    test!(
        resuming_brings_no_retained_messages,
        "A session with a subscription is resumed; no retained message is sent for that.",
        ["3.1.1/X-RETAIN-NOT-ON-RESUME"],
        s3_01_session::repeats_retained_on_resume
    )
    .should(),
];
