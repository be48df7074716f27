//! 3.1.2.4 Clean Session and Clean Start.

use crate::{
    liars::s3_01_session,
    test::{Test, test},
    tests::both::s3_01_session::{
        a_clean_start_begins_with_nothing, a_disconnect_can_end_the_session, a_session_is_resumed,
        a_session_that_is_not_there_is_created, a_session_with_an_expiry_is_kept, a_take_over_keeps_what_is_in_flight,
        a_take_over_resumes_or_clears_the_session, an_empty_session_is_present_as_well,
        resuming_brings_no_retained_messages, retained_messages_outlive_the_session,
        session_present_tells_whether_there_is_one, the_latest_expiry_counts,
        without_an_expiry_the_session_ends_with_its_connection,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_is_resumed,
        "A client comes back to its session; the subscription is there and so is the message that waited.",
        ["5.0/MQTT-3.1.2-5"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_clean_start_begins_with_nothing,
        "A client asks for a fresh session; nothing of the old one shows up, and it does not come back later.",
        ["5.0/MQTT-3.1.2-4"],
        s3_01_session::never_clears_a_session
    ),
    test!(
        retained_messages_outlive_the_session,
        "A publisher's session ends; what it retained is still there.",
        ["5.0/X-RETAIN-SURVIVES-SESSION"],
        s3_01_session::takes_retained_messages_back
    ),
    test!(
        a_session_that_is_not_there_is_created,
        "A client asks to resume a session that does not exist; one is created and is there the next time.",
        ["5.0/MQTT-3.1.2-6"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_session_with_an_expiry_is_kept,
        "A session is asked to outlive its connection; it is there after a DISCONNECT and after a cut.",
        ["5.0/MQTT-3.1.2-23"],
        s3_01_session::forgets_sessions
    ),
    test!(
        session_present_tells_whether_there_is_one,
        "CONNACK tells whether a session was there: for a new client, for a kept one, for one that ended.",
        ["5.0/MQTT-3.2.2-3"],
        s3_01_session::says_present
    ),
    test!(
        an_empty_session_is_present_as_well,
        "A session without subscriptions and messages is kept; CONNACK says that it is there.",
        ["5.0/X-SESSION-EMPTY-EXISTS"],
        s3_01_session::says_absent
    ),
    test!(
        a_take_over_resumes_or_clears_the_session,
        "A second connection of a client takes over; it finds the session, or a fresh one, as it asks.",
        ["5.0/MQTT-3.1.4-4"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_take_over_keeps_what_is_in_flight,
        "A connection is taken over with a message unacknowledged; the new one gets it again with DUP.",
        ["5.0/X-SESSION-TAKEOVER-STATE"],
        s3_01_session::forgets_what_was_in_flight
    ),
    test!(
        without_an_expiry_the_session_ends_with_its_connection,
        "A session has no expiry, or 0; it is gone when its connection is.",
        ["5.0/X-SESSION-EXPIRY-ABSENT"],
        s3_01_session::keeps_sessions_that_end
    ),
    test!(
        a_disconnect_can_end_the_session,
        "DISCONNECT sets the expiry of the session to 0; it is gone at once.",
        ["5.0/X-SESSION-EXPIRY-ON-DISCONNECT"],
        s3_01_session::keeps_sessions_that_end
    ),
    test!(
        the_latest_expiry_counts,
        "A session is resumed by a client that asks for no expiry; it ends with that connection.",
        ["5.0/X-SESSION-EXPIRY-LATEST"],
        s3_01_session::keeps_the_first_expiry
    ),
    test!(
        resuming_brings_no_retained_messages,
        "A session with a subscription is resumed; no retained message is sent for that.",
        ["5.0/X-RETAIN-NOT-ON-RESUME"],
        s3_01_session::repeats_retained_on_resume
    )
    .should(),
];
