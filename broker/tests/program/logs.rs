//! What is told on standard error, and what never is.

use std::path::Path;

use bytes::Bytes;
use squall_codec::{
    packet::{Connect, Disconnect, Packet, Will},
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
    wire::Text,
};

use super::support::{Client, Running, tcp};

/// What is logged while alice comes with a password, says something secret, and goes; bob is lost.
fn story(arguments: &[&str]) -> String {
    let mut program = Running::start(Path::new("/"), &[&["--listen", "127.0.0.1:0"], arguments].concat());
    let address = program.address("mqtt");
    let mut alice = Client::over(tcp(address), Version::V5_0);
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.set_username(Some(Text::literal("alice")));
    connect.set_password(Some(Bytes::from_static(b"open sesame")));
    alice.send(&Packet::Connect(connect));
    assert!(matches!(alice.next(), Some(Packet::Connack(_))));
    alice.subscribe("cave/#", Qos::AtMostOnce);
    alice.publish("cave/door", b"forty thieves");
    assert!(matches!(alice.next(), Some(Packet::Publish(_))));
    alice.send(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)));
    assert_eq!(alice.next(), None);
    let mut again = Client::connected(address, Version::V3_1_1, "bob again");
    again.subscribe("gone", Qos::AtMostOnce);
    again.send(&Packet::Pingreq);
    assert_eq!(again.next(), Some(Packet::Pingresp));
    let mut bob = Client::over(tcp(address), Version::V3_1_1);
    let mut connect = Connect::new(Version::V3_1_1, Text::literal("bob"));
    connect.set_will(Some(Will {
        qos: Qos::AtMostOnce,
        retain: false,
        topic: TopicName::new(Text::literal("gone")).expect("a topic"),
        payload: Bytes::new(),
        properties: Properties::default(),
    }));
    bob.send(&Packet::Connect(connect));
    assert!(matches!(bob.next(), Some(Packet::Connack(_))));
    let from = bob.stream.local_addr().expect("an address").to_string();
    drop(bob);
    // The broker has seen bob's end when it publishes his will.
    assert!(matches!(again.next(), Some(Packet::Publish(_))));
    program.signal("-TERM");
    let (status, told) = program.end();
    assert_eq!(status.code(), Some(0), "{told}");
    told.replace(&from, "BOB")
}

#[test]
fn nothing_is_told_when_all_goes_well() {
    assert_eq!(story(&[]), "");
}

#[test]
fn who_comes_and_goes_and_why_is_told_at_info() {
    let told = story(&["--log", "info"]);
    let line = |words: &[&str]| {
        let found = told.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
        assert_eq!(found, 1, "{words:?} in\n{told}");
    };
    line(&["INFO", "connected", "client_id=\"alice\"", "address=127.0.0.1:", "version=5.0"]);
    line(&["INFO", "closed", "client_id=\"alice\"", "address=127.0.0.1:", "cause=the client disconnected"]);
    line(&["INFO", "connected", "client_id=\"bob\"", "address=BOB", "version=3.1.1"]);
    line(&["INFO", "closed", "client_id=\"bob\"", "address=BOB", "cause=\"no DISCONNECT came\""]);
    line(&["INFO", "closed", "client_id=\"bob again\"", "cause=the server is shutting down"]);
    assert!(!told.contains("PUBLISH"), "{told}");
}

#[test]
fn each_packet_is_told_without_payloads_and_passwords() {
    let told = story(&["--log-packets"]);
    for words in [
        ["received CONNECT 5.0 client_id=alice", "password=***", "address=127.0.0.1:"],
        ["sent CONNACK", "client_id=\"alice\"", "DEBUG"],
        ["received SUBSCRIBE", "cave/#", "client_id=\"alice\""],
        ["received PUBLISH cave/door (13 bytes)", "client_id=\"alice\"", "DEBUG"],
        ["sent PUBLISH cave/door (13 bytes)", "client_id=\"alice\"", "DEBUG"],
        ["received DISCONNECT", "client_id=\"alice\"", "DEBUG"],
        ["received CONNECT 3.1.1 client_id=bob", "client_id=\"bob\"", "address=BOB"],
        ["sent PINGRESP", "client_id=\"bob again\"", "DEBUG"],
    ] {
        assert!(told.lines().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} in\n{told}");
    }
    for secret in ["forty", "thieves", "sesame"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn json_lines_have_the_same_as_fields() {
    let told = story(&["--log", "info", "--log-packets", "--log-format", "json"]);
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let of = |client: &str, message: &str| {
        let found = lines.iter().find(|line| line["client_id"] == client && line["message"] == message);
        found.unwrap_or_else(|| panic!("no '{message}' of {client} in\n{told}"))
    };
    assert_eq!(of("alice", "connected")["level"], "INFO");
    assert_eq!(of("alice", "closed")["cause"], "the client disconnected");
    assert_eq!(of("bob", "closed")["address"], "BOB");
    assert_eq!(of("alice", "received PUBLISH cave/door (13 bytes)")["target"], "squall_broker::packets");
    assert!(of("alice", "connected")["timestamp"].is_string());
}
