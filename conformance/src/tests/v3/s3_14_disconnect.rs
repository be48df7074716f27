//! 3.14 DISCONNECT.

use squall_scenarios::{
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::{documented, s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::{
        both::{
            s3_01_connect::taken_over,
            s3_01_lasting_wills::a_disconnect_right_behind_a_message_counts,
            s3_01_will::{a_disconnect_discards_the_will, a_flagged_disconnect_is_none},
            s3_14_disconnect::{nothing_after_disconnect_is_processed, the_receiver_of_disconnect_closes},
        },
        judge::At,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_disconnect_discards_the_will,
        "A client with a will says DISCONNECT; its will is not published.",
        ["3.1.1/MQTT-3.14.4-3"],
        s3_01_session::publishes_wills_after_disconnect
    )
    .also_3_1(),
    test!(
        a_flagged_disconnect_is_none,
        "DISCONNECT comes with a reserved flag; the connection ends as for an error and the will is published.",
        ["3.1.1/MQTT-3.14.1-1"],
        s3_01_session::takes_each_disconnect_for_normal
    )
    .should(),
    test!(
        the_receiver_of_disconnect_closes,
        "A client says DISCONNECT and keeps its side open; the server closes.",
        ["3.1.1/X-DISCONNECT-RECEIVER-CLOSES"],
        s3_02_connack::stays_after_disconnect
    )
    .should(),
    test!(
        nothing_after_disconnect_is_processed,
        "A retained message comes behind a DISCONNECT in one write; it is not processed.",
        ["3.1.1/X-AFTER-DISCONNECT-IGNORED"],
        s3_02_connack::reads_behind_disconnect
    )
    .should(),
    test!(
        a_server_of_3_1_1_just_closes,
        "A connection is taken over; the server of 3.1.1 closes it without a word.",
        ["3.1.1/X-311-NO-SERVER-DISCONNECT"],
        s3_02_connack::says_disconnect_to_3_1_1
    ),
    test!(
        a_disconnect_right_behind_a_message_counts,
        "A message, DISCONNECT and the end of the connection come in one breath; the will is not published.",
        ["3.1.1/MQTT-3.14.4-3"],
        documented::overlooks_a_hasty_disconnect
    ),
];

/// 3.1.1: a server never says DISCONNECT.
async fn a_server_of_3_1_1_just_closes(stage: &Stage) -> Outcome {
    let (seen, mut new) = taken_over(stage).await.prepared()?;
    new.disconnect().await;
    let last = seen.packets.last().map(|packet| (packet.kind().to_string(), At(packet.entry())));
    let malformed = seen.malformed.as_ref().map(|what| ((**what).clone(), At(what.entry())));
    match (last.or(malformed), seen.end) {
        (Some((what, at)), _) => Err(Halt::fail(format!("expected a close without a word, got {what}")).at(&at)),
        (None, Some(end)) => Ok(Evidence::of(&end)),
        (None, None) => Err(Halt::inconclusive("the end was not seen")),
    }
}
