//! 3.2 CONNACK.

use squall_scenarios::{
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::{
        both::s3_02_connack::{
            a_clean_session_has_session_present_0, a_refusal_has_session_present_0, connack_comes_first,
            connack_flags_have_no_reserved_bit, connack_is_in_the_format_of_its_version, connacks, refused_connack,
        },
        bytes::{RawConnect, flag},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        connack_comes_first,
        "A session with waiting messages is resumed, with packets right behind the CONNECT; CONNACK comes before all else.",
        ["3.1.1/MQTT-3.2.0-1"],
        s3_01_session::speaks_before_connack
    ),
    test!(
        connack_flags_have_no_reserved_bit,
        "All CONNACKs have 0 or 1 as their flags.",
        ["3.1.1/X-311-CONNACK-RESERVED-BITS"],
        s3_01_session::flags_its_connack
    ),
    test!(
        a_clean_session_has_session_present_0,
        "A session is stored and a fresh one asked for; CONNACK says that none is present.",
        ["3.1.1/MQTT-3.2.2-1"],
        s3_01_session::says_present
    ),
    test!(
        connack_is_in_the_format_of_its_version,
        "CONNACK is written in the format of the version that CONNECT asked for.",
        ["3.1.1/X-PROTOCOL-MIX"],
        s3_02_connack::mixes_formats
    ),
    test!(
        the_server_closes_after_a_refusal,
        "A CONNECT is refused by CONNACK; the server closes.",
        ["3.1.1/MQTT-3.2.2-5"],
        s3_01_session::refuses_and_stays
    ),
    test!(
        a_refused_client_has_no_session_present,
        "A client has a session and is refused; CONNACK does not say that it is present.",
        ["3.1.1/MQTT-3.2.2-4"],
        s3_01_session::says_present_in_refusals
    ),
    test!(
        return_codes_are_those_of_the_table,
        "CONNACKs of accepted and refused clients have a return code of the table.",
        ["3.1.1/MQTT-3.2.2-6"],
        s3_02_connack::says_a_return_code_beyond_5
    ),
];

/// A CONNECT that is well-formed and refused: an empty identifier with Clean Session 0.
fn refused(stage: &Stage) -> Vec<u8> {
    RawConnect::without_payload(stage).unflagged(flag::CLEAN).field(b"").bytes()
}

async fn the_server_closes_after_a_refusal(stage: &Stage) -> Outcome {
    refused_connack(stage, &refused(stage)).await
}

/// Refused for its level, with the identifier of a stored session.
async fn a_refused_client_has_no_session_present(stage: &Stage) -> Outcome {
    a_refusal_has_session_present_0(stage, RawConnect::new(stage, "alice").at_level(99).bytes()).await
}

/// Every CONNACK of an accepted and of refused CONNECTs has a code of the table: 0 to 5.
async fn return_codes_are_those_of_the_table(stage: &Stage) -> Outcome {
    let played = refused_connack(stage, &refused(stage)).await;
    // The form of 5.0 in answer to an unknown level is not looked at here.
    let mut evidence: Option<Evidence> = None;
    for (at, bytes) in connacks(stage) {
        if bytes.get(3).is_some_and(|code| *code > 5) {
            return Err(Halt::fail(format!("a CONNACK has the return code 0x{:02X}", bytes[3])).at(&at));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |evidence| evidence.and(&at)));
    }
    // Without a refusal the codes of refusals were not seen.
    played.prepared()?;
    evidence.ok_or_else(|| Halt::inconclusive("no CONNACK came"))
}
