//! 2 MQTT Control Packet format.

use squall_scenarios::{stage::Stage, verdict::Outcome};

use crate::{
    liars::{faults, s2_packet_format as liar},
    test::{Test, test},
    tests::both::s2_packet_format::{
        a_packet_of_the_other_direction_closes_the_connection, a_qos_0_message_has_no_packet_identifier,
        a_remaining_length_of_five_bytes_closes_the_connection, a_reserved_packet_type_closes_the_connection,
        acknowledgements_carry_the_identifier_of_their_publish, identifiers_of_both_directions_are_independent,
        missing_bytes_close_the_connection, packet_identifier_zero_closes_the_connection, passively,
        reserved_flags_of_the_server_are_as_laid_down, suback_and_unsuback_carry_the_identifier_of_their_question,
        the_server_gives_each_message_an_identifier_of_its_own, wrong_fixed_header_flags_close_the_connection,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_reserved_packet_type_closes_the_connection,
        "A connected client sends a packet of type 0 or 15; the server hangs up.",
        ["3.1.1/X-PACKET-TYPE-RESERVED"],
        liar::overlooks_reserved_types
    ),
    test!(
        a_packet_of_the_other_direction_closes_the_connection,
        "A client sends CONNACK, SUBACK, UNSUBACK or PINGRESP, which only a server sends; the server hangs up.",
        ["3.1.1/X-WRONG-DIRECTION-PACKET"],
        liar::overlooks_the_wrong_direction
    )
    .should(),
    test!(
        reserved_flags_of_the_server_are_as_laid_down,
        "The server sends each of its packets once; the reserved flags of all have their fixed value.",
        ["3.1.1/MQTT-2.2.2-1"],
        liar::flags_its_pingresp
    ),
    test!(
        packets_of_fixed_size_have_that_size,
        "The server sends each of its packets once; no reason code or property makes one longer than 3.1.1 says.",
        ["3.1.1/X-311-FIXED-LENGTHS"],
        liar::lengthens_its_puback
    ),
    test!(
        wrong_fixed_header_flags_close_the_connection,
        "Each packet of a client is sent with wrong flags in its first byte; the server hangs up.",
        ["3.1.1/MQTT-2.2.2-2"],
        liar::overlooks_wrong_flags
    ),
    test!(
        a_remaining_length_of_five_bytes_closes_the_connection,
        "The Remaining Length says in its fourth byte that a fifth follows; the server hangs up.",
        ["3.1.1/X-REMAINING-LENGTH-5-BYTES"],
        faults::overlooks_endless_lengths
    ),
    test!(
        missing_bytes_close_the_connection,
        "A packet ends before its fields do; the server hangs up.",
        ["3.1.1/X-TRAILING-BYTES"],
        faults::overlooks_missing_bytes
    ),
    test!(
        packet_identifier_zero_closes_the_connection,
        "SUBSCRIBE, UNSUBSCRIBE and PUBLISH come with the packet identifier 0; the server hangs up.",
        ["3.1.1/MQTT-2.3.1-1"],
        faults::overlooks_identifier_zero
    ),
    test!(
        the_server_gives_each_message_an_identifier_of_its_own,
        "Five messages stay unacknowledged over a reconnect; their packet identifiers differ and stay the same.",
        ["3.1.1/MQTT-2.3.1-4"],
        liar::uses_one_identifier_for_all
    ),
    test!(
        a_qos_0_message_has_no_packet_identifier,
        "A QoS 0 message arrives with exactly the bytes that were published.",
        ["3.1.1/MQTT-2.3.1-5"],
        liar::numbers_qos_0
    ).also_3_1(),
    test!(
        acknowledgements_carry_the_identifier_of_their_publish,
        "PUBLISH with small and large packet identifiers; each PUBACK, PUBREC, PUBREL and PUBCOMP has that of its PUBLISH.",
        ["3.1.1/MQTT-2.3.1-6"],
        liar::mixes_acknowledgements_up
    ).also_3_1(),
    test!(
        suback_and_unsuback_carry_the_identifier_of_their_question,
        "SUBSCRIBE and UNSUBSCRIBE in one write; SUBACK and UNSUBACK have the packet identifiers of their questions.",
        ["3.1.1/MQTT-2.3.1-7"],
        liar::mixes_subacks_up
    ).also_3_1(),
    test!(
        identifiers_of_both_directions_are_independent,
        "A client publishes with the packet identifier of a message that it holds unacknowledged; both exchanges complete.",
        ["3.1.1/X-INFLIGHT-INDEPENDENT-IDS"],
        liar::has_one_space_of_identifiers
    ).also_3_1(),
];

/// 3.1.1: no reason code and no property may leak into packets of a fixed size.
async fn packets_of_fixed_size_have_that_size(stage: &Stage) -> Outcome {
    passively(stage, |bytes| {
        let wanted = match bytes[0] >> 4 {
            2 | 4..=7 | 11 => 2,
            9 => 3,
            13 => 0,
            _ => return Ok(()),
        };
        let length = bytes.get(1).copied();
        if length == Some(wanted) { Ok(()) } else { Err(format!("expected Remaining Length {wanted}, got {length:?}")) }
    })
    .await
}
