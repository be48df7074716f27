//! 2 MQTT Control Packet format.

use squall_codec::reason::ReasonCode;
use squall_scenarios::{stage::Stage, verdict::Outcome};

use crate::{
    liars::{faults, s2_packet_format as liar},
    test::{Test, test},
    tests::{
        both::s2_packet_format::{
            a_packet_of_the_other_direction_closes_the_connection, a_qos_0_message_has_no_packet_identifier,
            a_remaining_length_of_five_bytes_closes_the_connection, a_reserved_packet_type_closes_the_connection,
            acknowledgements_carry_the_identifier_of_their_publish, identifiers_of_both_directions_are_independent,
            missing_bytes_close_the_connection, packet_identifier_zero_closes_the_connection, passively,
            property_length_at, reserved_flags_of_the_server_are_as_laid_down,
            suback_and_unsuback_carry_the_identifier_of_their_question,
            the_server_gives_each_message_an_identifier_of_its_own, variable_at,
            wrong_fixed_header_flags_close_the_connection,
        },
        bytes::RawConnect,
        judge::{Cases, refuses},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_reserved_packet_type_closes_the_connection,
        "A connected client sends a packet of type 0; the server hangs up.",
        ["5.0/X-PACKET-TYPE-RESERVED"],
        liar::overlooks_reserved_types
    ),
    test!(
        a_packet_of_the_other_direction_closes_the_connection,
        "A client sends CONNACK, SUBACK, UNSUBACK or PINGRESP, which only a server sends; the server hangs up.",
        ["5.0/X-WRONG-DIRECTION-PACKET"],
        liar::overlooks_the_wrong_direction
    )
    .should(),
    test!(
        reserved_flags_of_the_server_are_as_laid_down,
        "The server sends each of its packets once; the reserved flags of all have their fixed value.",
        ["5.0/MQTT-2.1.3-1"],
        liar::flags_its_pingresp
    ),
    test!(
        wrong_fixed_header_flags_close_the_connection,
        "Each packet of a client is sent with wrong flags in its first byte; the server hangs up.",
        ["5.0/MQTT-2.1.3-1"],
        liar::overlooks_wrong_flags
    ),
    test!(
        a_remaining_length_of_five_bytes_closes_the_connection,
        "The Remaining Length says in its fourth byte that a fifth follows; the server hangs up.",
        ["5.0/X-REMAINING-LENGTH-5-BYTES"],
        faults::overlooks_endless_lengths
    ),
    test!(
        missing_bytes_close_the_connection,
        "A packet ends before its fields do; the server hangs up.",
        ["5.0/X-TRAILING-BYTES"],
        faults::overlooks_missing_bytes
    ),
    test!(
        a_qos_0_message_has_no_packet_identifier,
        "A QoS 0 message arrives with exactly the bytes that were published.",
        ["5.0/MQTT-2.2.1-2"],
        liar::numbers_qos_0
    ),
    test!(
        packet_identifier_zero_closes_the_connection,
        "SUBSCRIBE, UNSUBSCRIBE and PUBLISH come with the packet identifier 0; the server hangs up, or is warned.",
        ["5.0/MQTT-2.2.1-3"],
        faults::overlooks_identifier_zero
    )
    .should(),
    test!(
        the_server_gives_each_message_an_identifier_of_its_own,
        "Five messages stay unacknowledged over a reconnect; their packet identifiers differ and stay the same.",
        ["5.0/MQTT-2.2.1-4"],
        liar::uses_one_identifier_for_all
    ),
    test!(
        acknowledgements_carry_the_identifier_of_their_publish,
        "PUBLISH with small and large packet identifiers; each PUBACK, PUBREC, PUBREL and PUBCOMP has that of its PUBLISH.",
        ["5.0/MQTT-2.2.1-5"],
        liar::mixes_acknowledgements_up
    ),
    test!(
        suback_and_unsuback_carry_the_identifier_of_their_question,
        "SUBSCRIBE and UNSUBSCRIBE in one write; SUBACK and UNSUBACK have the packet identifiers of their questions.",
        ["5.0/MQTT-2.2.1-6"],
        liar::mixes_subacks_up
    ),
    test!(
        packets_without_properties_say_so,
        "The server writes a Property Length where it has no properties, and refuses a CONNECT without one.",
        ["5.0/MQTT-2.2.2-1"],
        liar::leaves_property_lengths_out
    ),
    test!(
        identifiers_of_both_directions_are_independent,
        "A client publishes with the packet identifier of a message that it holds unacknowledged; both exchanges complete.",
        ["5.0/X-INFLIGHT-INDEPENDENT-IDS"],
        liar::has_one_space_of_identifiers
    ),
];

/// 5.0 2.2.2.1
async fn packets_without_properties_say_so(stage: &Stage) -> Outcome {
    let passive = passively(stage, |bytes| {
        let Some((remaining, length, _)) = variable_at(bytes, 1) else { return Ok(()) };
        let Some(at) = property_length_at(bytes, 1 + length) else { return Ok(()) };
        let fits = variable_at(bytes, at)
            .is_some_and(|(properties, size, _)| at + size + properties <= 1 + length + remaining);
        // Behind the properties of SUBACK and UNSUBACK stand reasons: where the first of them is read as the length, it has no
        // properties, and nothing is left. How many there are is another rule.
        let reasons = match (bytes[0] >> 4, variable_at(bytes, at)) {
            (9 | 11, Some((properties, size, _))) => properties > 0 || at + size < 1 + length + remaining,
            _ => true,
        };
        if fits && reasons { Ok(()) } else { Err(format!("expected a Property Length at byte {at} of {bytes:02X?}")) }
    })
    .await;
    let mut cases = Cases::new();
    cases.add("packets of the server", passive);
    let mut connect = RawConnect::new(stage, "offender");
    connect.properties = Vec::new();
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    cases.add("CONNECT", refuses(stage, "a CONNECT without a Property Length", &connect.bytes(), &codes).await);
    cases.finish()
}
