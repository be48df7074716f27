//! 1.5 Data representation.

use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Halt, Outcome, Preparing},
};

use crate::{
    liars::{faults, s1_5_data_types as liar, s2_packet_format},
    test::{Test, test},
    tests::{
        both::{
            s1_5_data_types::{
                a_byte_order_mark_is_a_character_like_any_other, a_null_character_in_connect_is_refused,
                a_null_character_in_topics_closes_the_connection, ill_formed_utf8_in_connect_is_refused,
                ill_formed_utf8_in_topics_closes_the_connection,
            },
            s2_packet_format::{passively, property_length_at, variable_at},
        },
        bytes::{RawConnect, publish, user_property},
        judge::{Cases, Unnoticed, closes, offender, refuses},
        watch::{message, name, shown, up_to_marker},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        ill_formed_utf8_in_connect_is_refused,
        "A client identifier, a will topic or a user name is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-1.5.4-1"],
        liar::welcomes_ill_formed_strings
    ),
    test!(
        ill_formed_utf8_in_topics_closes_the_connection,
        "A topic or a filter is no UTF-8; the server hangs up. Whether it looks is its own affair: a warning if not.",
        ["5.0/MQTT-1.5.4-1"],
        faults::overlooks_ill_formed_topics
    )
    .should(),
    test!(
        a_null_character_in_connect_is_refused,
        "A client identifier, a will topic or a user name holds U+0000; the server does not let the client in.",
        ["5.0/MQTT-1.5.4-2"],
        liar::welcomes_null_characters
    ),
    test!(
        a_null_character_in_topics_closes_the_connection,
        "A topic or a filter holds U+0000; the server hangs up. Whether it looks is its own affair: a warning if not.",
        ["5.0/MQTT-1.5.4-2", "5.0/MQTT-4.7.3-2"],
        liar::overlooks_null_characters
    )
    .should(),
    test!(
        a_byte_order_mark_is_a_character_like_any_other,
        "Topics and properties hold U+FEFF; it stays, and makes the topics other topics.",
        ["5.0/MQTT-1.5.4-3"],
        liar::strips_byte_order_marks
    ),
    test!(
        variable_byte_integers_of_the_server_are_minimal,
        "The server sends each of its packets once; no length takes more bytes than it needs.",
        ["5.0/MQTT-1.5.5-1"],
        s2_packet_format::writes_long_lengths
    ),
    test!(
        an_ill_formed_user_property_in_connect_is_refused,
        "A user property of CONNECT or of its will is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-1.5.7-1"],
        liar::welcomes_ill_formed_strings
    ),
    test!(
        an_ill_formed_user_property_is_not_forwarded,
        "A user property of a message is no UTF-8; the server hangs up, and no subscriber gets the message.",
        ["5.0/MQTT-1.5.7-1"],
        liar::forwards_ill_formed_user_properties
    ),
];

/// 5.0 1.5.7: a User Property of CONNECT with a bad name or a bad value.
async fn an_ill_formed_user_property_in_connect_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket];
    let mut cases = Cases::new();
    for (part, content) in pairs_with_a_fault() {
        let connect = RawConnect::new(stage, "offender").with_properties(&content);
        let offence = format!("a user property with a bad {part}");
        cases.add(part, refuses(stage, &offence, &connect.bytes(), &codes).await);
        let connect = RawConnect::new(stage, "offender").will(&content, stage.topic("will").as_bytes(), b"gone");
        let offence = format!("a user property of the will with a bad {part}");
        cases.add(part, refuses(stage, &offence, &connect.bytes(), &codes).await);
    }
    cases.finish()
}

/// 5.0 1.5.7: a User Property of PUBLISH with a bad name or a bad value must not reach a subscriber.
async fn an_ill_formed_user_property_is_not_forwarded(stage: &Stage) -> Outcome {
    let topic = stage.topic("pair");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut cases = Cases::new();
    for (part, content) in pairs_with_a_fault() {
        let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &content, b"bad");
        let mut peer = offender(stage).await?;
        let offence = format!("a user property with a bad {part}");
        cases.add(part, closes(&mut peer, &offence, &bytes, &[ReasonCode::MalformedPacket], Unnoticed::Warns).await);
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    match received.split_last() {
        Some((marker, [])) if marker.payload() == b"marker" => cases.finish().map(|evidence| evidence.and(marker)),
        Some((first, _)) if first.payload() != b"marker" => {
            Err(Halt::fail(format!("the ill-formed message was handed on: {}", shown(first))).at(first))
        }
        Some((_, before)) => {
            Err(Halt::fail(format!("the ill-formed message was handed on: {}", shown(&before[0]))).at(&before[0]))
        }
        None => Err(Halt::inconclusive("the marker message did not reach the watcher")).prepared(),
    }
}

fn pairs_with_a_fault() -> [(&'static str, Vec<u8>); 2] {
    [("name", user_property(b"n\xFF", b"value")), ("value", user_property(b"name", b"v\xC0\x80"))]
}

/// 5.0 1.5.5
async fn variable_byte_integers_of_the_server_are_minimal(stage: &Stage) -> Outcome {
    let long = publish_something_long(stage).await;
    let outcome = passively(stage, |bytes| {
        let Some((_, length, overlong)) = variable_at(bytes, 1) else { return Ok(()) };
        if overlong {
            return Err(format!("the Remaining Length takes more bytes than it needs: {length}"));
        }
        match property_length_at(bytes, 1 + length).and_then(|at| variable_at(bytes, at)) {
            Some((_, length, true)) => Err(format!("the Property Length takes more bytes than it needs: {length}")),
            _ => Ok(()),
        }
    })
    .await;
    outcome.and_then(|evidence| long.prepared().map(|()| evidence))
}

/// A message whose Remaining Length takes two bytes.
async fn publish_something_long(stage: &Stage) -> Result<(), Halt> {
    let topic = stage.topic("long");
    let mut peer = Peer::connected(stage, "long").await?;
    peer.subscribed(&topic, Qos::AtMostOnce).await?;
    peer.send(Packet::Publish(Publish::new(&name(&topic), [b'x'; 200]))).await;
    message(&mut peer, &[b'x'; 200]).await.map(drop)
}
