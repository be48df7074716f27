//! 3.14 DISCONNECT.

use crate::{
    liars::{s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::both::{
        s3_01_will::{a_disconnect_discards_the_will, a_flagged_disconnect_is_none},
        s3_14_disconnect::{nothing_after_disconnect_is_processed, the_receiver_of_disconnect_closes},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_disconnect_discards_the_will,
        "A client with a will says DISCONNECT; its will is not published.",
        ["5.0/MQTT-3.14.4-3"],
        s3_01_session::publishes_wills_after_disconnect
    ),
    test!(
        a_flagged_disconnect_is_none,
        "DISCONNECT comes with a reserved flag; the connection ends as for an error and the will is published.",
        ["5.0/MQTT-3.14.1-1"],
        s3_01_session::takes_each_disconnect_for_normal
    ),
    test!(
        the_receiver_of_disconnect_closes,
        "A client says DISCONNECT and keeps its side open; the server closes.",
        ["5.0/X-DISCONNECT-RECEIVER-CLOSES"],
        s3_02_connack::stays_after_disconnect
    )
    .should(),
    test!(
        nothing_after_disconnect_is_processed,
        "A retained message comes behind a DISCONNECT in one write; it is not processed.",
        ["5.0/X-AFTER-DISCONNECT-IGNORED"],
        s3_02_connack::reads_behind_disconnect
    )
    .should(),
];
