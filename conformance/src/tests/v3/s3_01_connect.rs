//! 3.1 CONNECT.

use squall_codec::{packet::Packet, reason::ReasonCode};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::{s1_5_data_types, s3_01_connect, s3_02_connack},
    test::{Test, test},
    tests::{
        both::{
            s3_01_connect::{
                a_foreign_protocol_name_is_not_served, a_second_client_of_the_same_identifier_takes_over,
                a_second_connect_closes_the_connection, a_silent_client_is_disconnected, a_valid_connect_is_accepted,
                empty_identifiers_are_told_apart, nothing_after_a_refused_connect_is_processed,
                packets_behind_connect_are_served, payload_fields_are_read_in_their_order,
                short_alphanumeric_identifiers_are_accepted, the_first_packet_must_be_connect,
                the_identifier_is_the_key_of_the_session,
            },
            s3_01_refusals::{
                MALFORMED, a_connect_without_payload_is_refused, a_password_flag_without_password_is_refused,
                a_password_without_its_flag_is_refused, a_user_name_flag_without_user_name_is_refused,
                a_user_name_without_its_flag_is_refused, a_will_qos_without_a_will_is_refused,
                a_will_that_is_flagged_must_be_there, an_ill_formed_client_identifier_is_refused,
                an_ill_formed_user_name_is_refused, an_ill_formed_will_topic_is_refused, nonconforming,
                the_reserved_connect_flag_is_refused, will_qos_3_is_refused, will_retain_without_a_will_is_refused,
            },
        },
        bytes::{RawConnect, flag},
        judge::{Cases, Farewell, farewell, refuses},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        the_first_packet_must_be_connect,
        "PINGREQ, PUBLISH, SUBSCRIBE or DISCONNECT comes before any CONNECT; nothing is answered and the server hangs up.",
        ["3.1.1/MQTT-3.1.0-1"],
        s3_01_connect::answers_strangers
    ),
    test!(
        a_second_connect_closes_the_connection,
        "A connected client says CONNECT again; the server hangs up.",
        ["3.1.1/MQTT-3.1.0-2"],
        s3_01_connect::swallows_second_connect
    ),
    test!(
        a_foreign_protocol_name_is_not_served,
        "A CONNECT carries a protocol name that no MQTT has; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-1"],
        s3_01_connect::reads_any_protocol_name
    ),
    test!(
        the_reserved_connect_flag_is_refused,
        "The reserved bit of the connect flags is set; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-3"],
        s3_01_connect::welcomes_the_reserved_flag
    ),
    test!(
        a_will_that_is_flagged_must_be_there,
        "The will flag is set and the payload has no whole will; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-9"],
        s3_01_connect::welcomes_a_will_that_is_not_there
    ),
    test!(
        will_fields_without_the_will_flag_are_refused,
        "The payload has a will that the flags do not announce; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-11"],
        s3_01_connect::welcomes_unflagged_fields
    ),
    test!(
        a_will_qos_without_a_will_is_refused,
        "Will QoS 1 or 2 stands where there is no will; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-13"],
        s3_01_connect::welcomes_a_qos_without_will
    ),
    test!(
        will_qos_3_is_refused,
        "A will asks for QoS 3; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-14"],
        s3_01_connect::welcomes_will_qos_3
    ),
    test!(
        will_retain_without_a_will_is_refused,
        "Will Retain is set where there is no will; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-15"],
        s3_01_connect::welcomes_retain_without_will
    ),
    test!(
        a_user_name_without_its_flag_is_refused,
        "The payload has a user name that the flags do not announce; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-18"],
        s3_01_connect::welcomes_unflagged_fields
    ),
    test!(
        a_user_name_flag_without_user_name_is_refused,
        "The flags announce a user name that is not there; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-19"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_without_its_flag_is_refused,
        "The payload has a password that the flags do not announce; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-20"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_flag_without_password_is_refused,
        "The flags announce a password that is not there; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-21"],
        s3_01_connect::welcomes_a_password_that_is_not_there
    ),
    test!(
        a_password_without_a_user_name_is_refused,
        "A password comes without a user name; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.2-22"],
        s3_01_connect::welcomes_a_password_alone
    ),
    test!(
        a_silent_client_is_disconnected,
        "A client with Keep Alive 1 says nothing; the server ends its connection after 1.5 s and publishes its will.",
        ["3.1.1/MQTT-3.1.2-24"],
        s3_01_connect::forgets_the_keep_alive
    ).also_3_1(),
    test!(
        payload_fields_are_read_in_their_order,
        "A CONNECT has all five fields in its payload; the will comes out as it went in.",
        ["3.1.1/MQTT-3.1.3-1"],
        s3_01_connect::mixes_fields_up
    ).also_3_1(),
    test!(
        the_identifier_is_the_key_of_the_session,
        "Two clients have sessions; each finds its own by its identifier, which differs only in case.",
        ["3.1.1/MQTT-3.1.3-2"],
        s3_01_connect::ignores_the_case_of_identifiers
    ),
    test!(
        a_connect_without_payload_is_refused,
        "A CONNECT ends before its payload; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.3-3"],
        s3_01_connect::welcomes_no_payload
    ),
    test!(
        an_ill_formed_client_identifier_is_refused,
        "A client identifier is no UTF-8; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.3-4"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        short_alphanumeric_identifiers_are_accepted,
        "Client identifiers of 1, 22 and 23 letters and digits; the server takes all of them.",
        ["3.1.1/MQTT-3.1.3-5"],
        s3_01_connect::refuses_long_identifiers
    )
    .exclusive().also_3_1(),
    test!(
        empty_identifiers_are_told_apart,
        "Two clients come without an identifier; if they are let in, they are two clients.",
        ["3.1.1/MQTT-3.1.3-6"],
        s3_01_connect::has_one_name_for_the_nameless
    ),
    test!(
        an_ill_formed_will_topic_is_refused,
        "A will topic is no UTF-8; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.3-10"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        an_ill_formed_user_name_is_refused,
        "A user name is no UTF-8; the server does not let the client in.",
        ["3.1.1/MQTT-3.1.3-11"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        a_valid_connect_is_accepted,
        "A plain CONNECT; the server accepts it.",
        ["3.1.1/MQTT-3.1.4-4"],
        s3_01_connect::refuses_everybody
    ).also_3_1(),
    test!(
        packets_behind_connect_are_served,
        "SUBSCRIBE, PUBLISH and PINGREQ come in one write with CONNECT; all are served once the client is let in.",
        ["3.1.1/X-PIPELINE-BEFORE-CONNACK"],
        s3_01_connect::loses_what_comes_early
    ),
    test!(
        a_second_client_of_the_same_identifier_takes_over,
        "A second client comes with the identifier of the first; the server ends the first connection and serves the second.",
        ["3.1.1/MQTT-3.1.4-2"],
        s3_01_connect::serves_twins
    ).also_3_1(),
    test!(
        an_unknown_protocol_level_is_refused,
        "A CONNECT asks for a protocol level that does not exist; the server answers CONNACK 0x01 and closes.",
        ["3.1.1/MQTT-3.1.2-2"],
        s3_02_connack::reads_any_protocol_version
    ),
    test!(
        an_empty_identifier_needs_a_clean_session,
        "A client without an identifier wants a session; the server answers CONNACK 0x02 and closes.",
        ["3.1.1/MQTT-3.1.3-8"],
        s3_02_connack::names_the_nameless
    ),
    test!(
        a_connect_that_does_not_conform_is_closed_without_connack,
        "CONNECTs with a fault in their form; the server closes and says nothing.",
        ["3.1.1/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_a_tail
    ),
    test!(
        nothing_behind_a_refused_connect_is_processed,
        "A message comes in one write with a CONNECT that is refused; it is not processed.",
        ["3.1.1/MQTT-3.1.4-5"],
        s3_01_connect::serves_the_refused
    ),
];

/// A CONNECT of a level that nobody speaks. A server of 5.0 may answer in its own way, as 5.0 has a rule for the same
/// packet: CONNACK 0x84 in the form of 5.0, or a close.
async fn an_unknown_protocol_level_is_refused(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for level in [99, 0, 0x7F] {
        let mut peer = Peer::open(stage, "offender").await?;
        let sent = peer.send_bytes(&RawConnect::new(stage, "offender").at_level(level).bytes()).await;
        let seen = farewell(&mut peer).await;
        cases.add(format!("level {level}"), judge_level(stage, &seen, &sent).await);
    }
    cases.finish()
}

async fn judge_level(stage: &Stage, seen: &Farewell, sent: &squall_scenarios::peer::Seen<()>) -> Outcome {
    let Some(end) = &seen.end else {
        return Err(Halt::fail("expected CONNACK 0x01 and a close, but the connection is still open").at(sent));
    };
    match (seen.connack(), &seen.malformed) {
        (Some((connack, at)), _) if connack.reason == ReasonCode::UnsupportedProtocolVersion => {
            Ok(Evidence::of(at).and(end))
        }
        (Some((connack, at)), _) => Err(Halt::fail(format!("expected CONNACK 0x01, got {}", connack.reason)).at(at)),
        (None, Some(what)) if speaks_5_0(stage).await => Ok(Evidence::of(what).and(end)),
        (None, Some(what)) => Err(Halt::fail(format!("expected CONNACK 0x01, got {}", **what)).at(what)),
        (None, None) if speaks_5_0(stage).await => {
            Ok(Evidence::of(end).warn("closed without CONNACK 0x01, as 5.0 allows and 3.1.1 does not"))
        }
        (None, None) => Err(Halt::fail("expected CONNACK 0x01 before the close").at(end)),
    }
}

/// Whether the server takes a CONNECT of 5.0: its CONNACK is then no packet of 3.1.1.
async fn speaks_5_0(stage: &Stage) -> bool {
    let Ok(mut peer) = Peer::open(stage, "modern").await else { return false };
    // Clean Start, no properties.
    let mut connect = RawConnect::without_payload(stage).at_level(5);
    connect = connect.tail(&[0]).field(stage.client_id("modern").as_bytes());
    peer.send_bytes(&connect.bytes()).await;
    match peer.next().await {
        Next::Malformed(_) => {
            // 20, length, flags, reason.
            super::super::both::s3_02_connack::connacks(stage)
                .pop()
                .is_some_and(|(_, bytes)| bytes.len() > 4 && bytes[3] == 0)
        }
        _ => false,
    }
}

/// An empty identifier with Clean Session 0: CONNACK 0x02, then a close.
async fn an_empty_identifier_needs_a_clean_session(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut peer = Peer::open(stage, "nameless").await?;
    let sent = peer.send_bytes(&nameless(stage)).await;
    let seen = farewell(&mut peer).await;
    match (seen.connack(), &seen.end) {
        (Some((connack, at)), Some(end)) if connack.reason == ReasonCode::ClientIdentifierNotValid => {
            Ok(Evidence::of(at).and(end))
        }
        (Some((connack, at)), end) if end.is_some() || !connack.reason.is_failure() => {
            Err(Halt::fail(format!("expected CONNACK 0x02, got {}", connack.reason)).at(at))
        }
        (Some((_, at)), _) => Err(Halt::fail("expected a close after CONNACK, but the connection is open").at(at)),
        (None, Some(end)) => Err(Halt::fail("expected CONNACK 0x02 before the close").at(end)),
        (None, None) => Err(Halt::fail("expected CONNACK 0x02 and a close, but nothing came").at(&sent)),
    }
}

/// A CONNECT with an empty identifier and Clean Session 0.
fn nameless(stage: &Stage) -> Vec<u8> {
    RawConnect::without_payload(stage).unflagged(crate::tests::bytes::flag::CLEAN).field(b"").bytes()
}

/// What does not conform is closed without a CONNACK.
async fn a_connect_that_does_not_conform_is_closed_without_connack(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for (fault, bytes) in nonconforming(stage) {
        let mut peer = Peer::open(stage, "offender").await?;
        let sent = peer.send_bytes(&bytes).await;
        let seen = farewell(&mut peer).await;
        cases.add(
            fault,
            match (seen.packets.first(), &seen.end) {
                (None, Some(end)) if seen.malformed.is_none() => Ok(Evidence::of(end)),
                (None, Some(end)) => Err(Halt::fail("something came before the close").at(end)),
                (Some(first), Some(end)) => match &**first {
                    // The table of return codes has them for what is wrong with an identifier or with user name data.
                    Packet::Connack(connack)
                        if matches!(
                            connack.reason,
                            ReasonCode::ClientIdentifierNotValid | ReasonCode::BadUserNameOrPassword
                        ) =>
                    {
                        Ok(Evidence::of(first).and(end).warn(format!("{fault}: CONNACK {} came", connack.reason)))
                    }
                    other => {
                        Err(Halt::fail(format!("expected a close without a word, got {}", other.kind())).at(first))
                    }
                },
                (Some(first), None) => {
                    Err(Halt::fail(format!("{} came and the connection was not closed", first.kind())).at(first))
                }
                (None, None) => Err(Halt::fail("the connection was left open").at(&sent)),
            },
        );
    }
    cases.finish()
}

/// An empty identifier with Clean Session 0 is refused, and with it what comes behind.
async fn nothing_behind_a_refused_connect_is_processed(stage: &Stage) -> Outcome {
    nothing_after_a_refused_connect_is_processed(stage, nameless(stage), "an empty identifier with Clean Session 0")
        .await
}

/// 3.1.1: two more strings than the flags promise.
async fn will_fields_without_the_will_flag_are_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").field(stage.topic("will").as_bytes()).field(b"gone");
    refuses(stage, "will topic and message without the will flag", &connect.bytes(), MALFORMED).await
}

/// 3.1.1 only: 5.0 allows it.
async fn a_password_without_a_user_name_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::PASSWORD).field(b"secret");
    refuses(stage, "a password without a user name", &connect.bytes(), MALFORMED).await
}
