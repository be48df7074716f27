//! A server that lies byte by byte: whatever form a packet must not have, the client hangs up, hands the application
//! nothing of it, acknowledges nothing, and comes back later.

use squall_client::{
    core::effect::{DisconnectCause, Effect, Event, Input},
    options::Options,
};
use squall_codec::{
    packet::{Packet, PacketKind},
    reason::Side,
    stream::Decoder,
    version::Version,
};

use crate::support::{TestClient, options};

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hexadecimal");
    digits.chunks(2).map(byte).collect()
}

fn limited(version: Version) -> Options {
    Options { topic_alias_maximum: 2, maximum_packet_size: 60, ..options(version) }
}

/// Hands the client what a server wrote.
fn hear(client: &mut TestClient, hex: &str) {
    let options = client.client.options();
    let mut decoder = Decoder::new(Side::Server, Some(options.version), options.maximum_packet_size);
    decoder.extend(&bytes(hex));
    loop {
        match decoder.next_packet() {
            Ok(None) => return,
            Ok(Some(packet)) => client.server(packet),
            Err(error) => return client.input(Input::Malformed { error }),
        }
    }
}

/// Only a DISCONNECT that blames the server may leave, and then the connection ends.
#[track_caller]
fn expect_hang_up(client: &mut TestClient, what: &str) {
    let mut closed = false;
    while let Some(effect) = client.next() {
        match effect {
            Effect::Send { packet: Packet::Disconnect(disconnect), version } if !closed => {
                assert_eq!(version, Version::V5_0, "{what}: DISCONNECT takes the will back before 5.0");
                assert!(disconnect.reason.is_failure(), "{what}: {}", disconnect.reason);
                assert!(disconnect.reason.allowed_in(PacketKind::Disconnect, Side::Client), "{what}");
            }
            Effect::Close if !closed => closed = true,
            Effect::Event(Event::Disconnected { cause: DisconnectCause::Violation(_), reconnecting }) if closed => {
                assert!(reconnecting, "{what}: the client gives up");
                return client.expect_nothing();
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    panic!("{what}: the client does not mind");
}

/// After CONNACK, in 5.0.
const LIES: &[(&str, &str)] = &[
    ("packet type 0", "00 00"),
    ("a Remaining Length of five bytes", "30 80 80 80 80 01"),
    ("a Remaining Length longer than it need be", "D0 80 00"),
    ("a packet above this client's Maximum Packet Size", "30 7F"),
    ("PUBLISH with QoS 3", "36 06 0001 74 0001 00"),
    ("PUBLISH with QoS 0 and DUP", "38 05 0001 74 00 78"),
    ("PUBLISH with packet identifier 0", "32 06 0001 74 0000 00"),
    ("PUBLISH without a topic", "30 03 0000 00"),
    ("PUBLISH to a wildcard", "30 04 0001 23 00"),
    ("PUBLISH to U+0000", "30 04 0001 00 00"),
    ("PUBLISH to ill-formed UTF-8", "30 05 0002 C328 00"),
    ("PUBLISH to a surrogate", "30 06 0003 EDA080 00"),
    ("PUBLISH that ends in its topic", "30 03 0005 74"),
    ("PUBLISH whose properties are longer than it is", "30 05 0001 74 09 01"),
    ("PUBLISH with Topic Alias 0", "30 07 0001 74 03 230000"),
    ("PUBLISH with a Topic Alias above the maximum", "30 07 0001 74 03 230003"),
    ("PUBLISH with an unknown Topic Alias", "30 06 0000 03 230001"),
    ("PUBLISH with two Topic Aliases", "30 0A 0001 74 06 230001 230001"),
    ("PUBLISH with Payload Format Indicator 2", "30 06 0001 74 02 0102"),
    ("PUBLISH with Subscription Identifier 0", "30 06 0001 74 02 0B00"),
    ("PUBLISH with a wildcard as Response Topic", "30 08 0001 74 04 08 0001 2B"),
    ("PUBLISH with a property of CONNECT", "30 07 0001 74 03 210001"),
    ("PUBLISH with a property that there is not", "30 06 0001 74 02 7F00"),
    ("PUBLISH with an ill-formed User Property", "30 0A 0001 74 06 26 0001 FF 0000"),
    ("PUBACK with flags", "41 02 0001"),
    ("PUBACK with packet identifier 0", "40 02 0000"),
    ("PUBACK with a reason of SUBACK", "40 03 0001 01"),
    ("PUBACK of one byte", "40 01 00"),
    ("PUBREC with flags", "52 02 0001"),
    ("PUBREL without its flags", "60 02 0001"),
    ("PUBREL with a reason of PUBACK", "62 03 0001 10"),
    ("PUBCOMP with flags", "71 02 0001"),
    ("SUBACK with flags", "91 04 0001 00 00"),
    ("SUBACK with a reason that there is not", "90 04 0001 00 03"),
    ("SUBACK that nobody asked for", "90 04 0001 00 00"),
    ("UNSUBACK that nobody asked for", "B0 04 0001 00 00"),
    ("UNSUBACK with a reason of SUBACK", "B0 04 0001 00 01"),
    ("PINGRESP with flags", "D1 00"),
    ("PINGRESP with content", "D0 01 00"),
    ("PINGREQ", "C0 00"),
    ("CONNECT", "10 0D 0004 4D515454 05 02 0000 00 0000"),
    ("SUBSCRIBE", "82 07 0001 00 0001 74 00"),
    ("UNSUBSCRIBE", "A2 06 0001 00 0001 74"),
    ("a second CONNACK", "20 03 00 00 00"),
    ("DISCONNECT with flags", "E1 00"),
    ("DISCONNECT with a reason of a client", "E0 01 04"),
    ("DISCONNECT with a Session Expiry Interval", "E0 07 00 05 11 00000001"),
    ("AUTH with flags", "F1 00"),
    ("AUTH with a reason of a client", "F0 0A 19 08 15 0005 4F54484552"),
    ("AUTH with data and no method", "F0 05 18 03 16 0000"),
    ("AUTH that nobody asked for", "F0 0A 18 08 15 0005 4F54484552"),
];

/// After CONNACK, in 3.1.1.
const LIES_3_1_1: &[(&str, &str)] = &[
    ("packet type 15", "F0 00"),
    ("DISCONNECT", "E0 00"),
    ("PUBLISH with QoS 3", "36 05 0001 74 0001"),
    ("PUBLISH with QoS 0 and DUP", "38 04 0001 74 78"),
    ("PUBLISH without a topic", "30 02 0000"),
    ("PUBLISH to a wildcard", "30 03 0001 2B"),
    ("PUBACK with content", "40 03 0001 00"),
    ("PUBREL without its flags", "60 02 0001"),
    ("SUBACK with return code 3", "90 03 0001 03"),
    ("UNSUBACK with content", "B0 03 0001 00"),
    ("PINGRESP with content", "D0 01 00"),
    ("a second CONNACK", "20 02 00 00"),
];

/// In place of CONNACK, in 5.0.
const LIES_AT_FIRST: &[(&str, &str)] = &[
    ("CONNACK with reserved flags", "20 03 02 00 00"),
    ("CONNACK with flags in its header", "21 03 00 00 00"),
    ("CONNACK with a reason that there is not", "20 03 00 01 00"),
    ("CONNACK with Session Present and a refusal", "20 03 01 87 00"),
    ("CONNACK with Session Present for a clean start", "20 03 01 00 00"),
    ("CONNACK without properties", "20 02 00 00"),
    ("CONNACK with Receive Maximum 0", "20 06 00 00 03 210000"),
    ("CONNACK with Maximum QoS 2", "20 05 00 00 02 2402"),
    ("CONNACK with Retain Available 2", "20 05 00 00 02 2502"),
    ("CONNACK with Maximum Packet Size 0", "20 08 00 00 05 27 00000000"),
    ("CONNACK with two Server Keep Alives", "20 09 00 00 06 130001 130001"),
    ("CONNACK with a property of PUBLISH", "20 06 00 00 03 230001"),
    ("CONNACK with a method that nobody asked for", "20 0B 00 00 08 15 0005 4F54484552"),
    ("PUBLISH before CONNACK", "30 04 0001 74 00"),
    ("PINGRESP before CONNACK", "D0 00"),
    ("DISCONNECT before CONNACK", "E0 00"),
    ("AUTH before CONNACK", "F0 0A 18 08 15 0005 4F54484552"),
];

/// In place of CONNACK, in 3.1.1.
const LIES_AT_FIRST_3_1_1: &[(&str, &str)] = &[
    ("CONNACK with reserved flags", "20 02 02 00"),
    ("CONNACK with return code 6", "20 02 00 06"),
    ("CONNACK with Session Present and a refusal", "20 02 01 05"),
    ("CONNACK with Session Present for a clean start", "20 02 01 00"),
    ("CONNACK with properties", "20 03 00 00 00"),
    ("PUBLISH before CONNACK", "30 03 0001 74"),
    ("SUBACK before CONNACK", "90 03 0001 00"),
];

#[test]
fn no_form_that_a_packet_must_not_have_is_taken() {
    for (version, lies) in [(Version::V5_0, LIES), (Version::V3_1_1, LIES_3_1_1)] {
        for (what, hex) in lies {
            let mut client = TestClient::connected(limited(version));
            hear(&mut client, hex);
            expect_hang_up(&mut client, what);
            // What follows on the same connection is not heard.
            hear(&mut client, "D0 00");
            client.expect_nothing();
        }
    }
}

#[test]
fn no_other_answer_to_connect_is_taken() {
    for (version, lies) in [(Version::V5_0, LIES_AT_FIRST), (Version::V3_1_1, LIES_AT_FIRST_3_1_1)] {
        for (what, hex) in lies {
            let mut client = TestClient::new(limited(version));
            client.input(Input::Connect);
            client.expect_open();
            client.input(Input::Opened);
            client.expect_connect();
            hear(&mut client, hex);
            expect_hang_up(&mut client, what);
        }
    }
}

#[test]
fn the_control_arm_is_taken() {
    for (what, hex) in [
        ("PUBLISH", "30 05 0001 74 00 78"),
        ("PUBLISH with a Topic Alias", "30 07 0001 74 03 230002"),
        ("PUBLISH at QoS 1", "32 07 0001 74 0001 00 78"),
        ("PUBACK that nobody waits for", "40 02 0001"),
        ("PINGRESP that nobody waits for", "D0 00"),
    ] {
        let mut client = TestClient::connected(limited(Version::V5_0));
        hear(&mut client, hex);
        assert!(client.client.is_connected(), "{what} ends the connection");
    }
}
