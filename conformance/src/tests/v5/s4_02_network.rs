//! 4.2 Network Connections of 5.0, and 4.13: what one connection must not feel of another.

use crate::{
    liars::{s3_01_connect, s4_02_network as liar},
    test::{Test, test},
    tests::both::s4_02_network::{
        a_stuck_connection_is_taken_over_at_once, a_stuck_subscriber_holds_nobody_up,
        an_acknowledgement_of_nothing_does_no_harm, errors_of_one_connection_touch_no_other,
        packets_are_found_in_any_segments,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        packets_are_found_in_any_segments,
        "Packets come byte by byte, in pieces, and a hundred in one segment; all are served as if they had come one by one.",
        ["5.0/X-TCP-SEGMENTATION"],
        liar::sees_the_beginning_of_a_segment
    ),
    test!(
        a_stuck_connection_is_taken_over_at_once,
        "A client that stopped reading comes back on a new connection; it is served at once, and the old connection ends.",
        ["5.0/X-HALF-OPEN-TAKEOVER"],
        s3_01_connect::serves_twins
    ),
    test!(
        a_stuck_subscriber_holds_nobody_up,
        "A client does not read megabytes of messages; others go on exchanging theirs.",
        ["5.0/X-SLOW-CONSUMER-ISOLATION"],
        liar::waits_for_the_slowest
    )
    .should(),
    test!(
        errors_of_one_connection_touch_no_other,
        "One client breaks the protocol in many ways; another misses nothing of a stream of QoS 1 messages.",
        ["5.0/X-ERROR-ISOLATION"],
        liar::lets_others_pay
    ),
    test!(
        an_acknowledgement_of_nothing_does_no_harm,
        "PUBACK, PUBREC and PUBCOMP come for messages that were never sent; the flows of others go on.",
        ["5.0/X-ACK-UNKNOWN-ID"],
        liar::is_thrown_by_an_acknowledgement_of_nothing
    ),
];
