//! Messages from the server, and what they are answered with.

use squall_client::options::{Acknowledge, Options};
use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
    wire::PacketId,
};

use crate::support::{
    TestClient, dup, id, lasting, options, puback, pubcomp, publish, pubrec, pubrel, resumed, success,
};

fn by_hand() -> Options {
    Options { acknowledge: Acknowledge::ByHand, ..lasting() }
}

#[test]
fn qos_0_is_delivered_and_not_answered() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    client.server(publish(Qos::AtMostOnce, 0, "x"));
    client.expect_message("x");
    client.expect_nothing();
}

#[test]
fn qos_1_is_delivered_and_answered_with_puback() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    client.server(publish(Qos::AtLeastOnce, 7, "x"));
    client.expect_message("x");
    client.expect_send(puback(7));
    // After PUBACK the same identifier is a new message, DUP or not.
    client.server(dup(publish(Qos::AtLeastOnce, 7, "x")));
    client.expect_message("x");
    client.expect_send(puback(7));
    client.expect_nothing();
}

#[test]
fn qos_2_is_delivered_once_however_often_it_comes() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    client.server(publish(Qos::ExactlyOnce, 7, "x"));
    client.expect_message("x");
    client.expect_send(pubrec(7));
    client.server(dup(publish(Qos::ExactlyOnce, 7, "x")));
    client.expect_send(pubrec(7));
    client.expect_nothing();
    client.server(pubrel(7));
    client.expect_send(pubcomp(7));
    client.server(publish(Qos::ExactlyOnce, 7, "y"));
    client.expect_message("y");
    client.expect_send(pubrec(7));
    client.expect_nothing();
}

#[test]
fn qos_2_is_delivered_once_over_a_reconnect_too() {
    let mut client = TestClient::connected(lasting());
    client.server(publish(Qos::ExactlyOnce, 7, "x"));
    client.expect_message("x");
    client.expect_send(pubrec(7));
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.server(dup(publish(Qos::ExactlyOnce, 7, "x")));
    client.expect_send(pubrec(7));
    client.server(pubrel(7));
    client.expect_send(pubcomp(7));
    client.expect_nothing();
}

#[test]
fn in_a_new_session_an_old_identifier_is_a_new_message() {
    let mut client = TestClient::connected(lasting());
    client.server(publish(Qos::ExactlyOnce, 7, "x"));
    client.expect_message("x");
    client.expect_send(pubrec(7));
    client.lose_and_wait();
    client.connect_again(success());
    client.server(publish(Qos::ExactlyOnce, 7, "y"));
    client.expect_message("y");
    client.expect_send(pubrec(7));
}

#[test]
fn pubrel_for_nothing_is_answered_all_the_same() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        client.server(pubrel(3));
        let reason = if version.has_properties() { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
        client.expect_send(Packet::Pubcomp(Ack::with_reason(id(3), reason)));
        client.expect_nothing();
    }
}

#[test]
fn by_hand_acknowledgements_leave_when_asked_and_in_the_order_of_arrival() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.server(publish(Qos::AtLeastOnce, 2, "b"));
    client.server(publish(Qos::ExactlyOnce, 3, "c"));
    for payload in ["a", "b", "c"] {
        client.expect_message(payload);
    }
    client.expect_nothing();
    client.acknowledge(2);
    client.expect_nothing();
    // The order of PUBRECs is apart from that of PUBACKs.
    client.acknowledge(3);
    client.expect_send(pubrec(3));
    client.acknowledge(1);
    client.expect_send(puback(1));
    client.expect_send(puback(2));
    client.expect_nothing();
}

#[test]
fn by_hand_a_qos_1_message_that_comes_again_before_puback_is_one_message() {
    let mut client = TestClient::connected(Options { version: Version::V3_1_1, ..by_hand() });
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.server(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.expect_message("a");
    client.expect_nothing();
    client.acknowledge(1);
    client.expect_send(puback(1));
    client.expect_nothing();
}

#[test]
fn by_hand_a_qos_2_message_acknowledged_while_away_is_answered_when_it_comes_again() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.server(publish(Qos::ExactlyOnce, 2, "b"));
    client.expect_message("a");
    client.expect_message("b");
    client.lose_and_wait();
    client.acknowledge(2);
    client.connect_again(resumed([]));
    client.server(dup(publish(Qos::ExactlyOnce, 1, "a")));
    client.server(dup(publish(Qos::ExactlyOnce, 2, "b")));
    client.expect_nothing();
    client.acknowledge(1);
    client.expect_send(pubrec(1));
    client.expect_send(pubrec(2));
    client.expect_nothing();
}

#[test]
fn by_hand_a_qos_1_message_is_delivered_again_on_the_next_connection() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_message("a");
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.server(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.expect_message("a");
    client.expect_nothing();
    client.acknowledge(1);
    client.expect_send(puback(1));
}

#[test]
fn more_than_receive_maximum_in_flight_is_a_violation() {
    let mut client = TestClient::connected(Options { receive_maximum: Some(2), ..by_hand() });
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.server(publish(Qos::ExactlyOnce, 2, "b"));
    client.expect_message("a");
    client.expect_message("b");
    client.server(publish(Qos::AtLeastOnce, 3, "c"));
    client.expect_violation(ReasonCode::ReceiveMaximumExceeded);
}

#[test]
fn an_acknowledged_message_counts_no_more() {
    let mut client = TestClient::connected(Options { receive_maximum: Some(2), ..lasting() });
    for packet_id in 1..=5 {
        client.server(publish(Qos::AtLeastOnce, packet_id, "x"));
        client.expect_message("x");
        client.expect_send(puback(packet_id));
    }
    for packet_id in 6..=9 {
        client.server(publish(Qos::ExactlyOnce, packet_id, "x"));
        client.expect_message("x");
        client.expect_send(pubrec(packet_id));
        client.server(pubrel(packet_id));
        client.expect_send(pubcomp(packet_id));
    }
}

#[test]
fn by_hand_a_qos_2_message_that_comes_again_before_pubrec_gets_one_pubrec() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.server(dup(publish(Qos::ExactlyOnce, 1, "a")));
    client.expect_message("a");
    client.expect_nothing();
    client.acknowledge(1);
    client.expect_send(pubrec(1));
    client.expect_nothing();
}

#[test]
fn by_hand_nothing_is_answered_on_a_connection_on_which_it_did_not_come() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.expect_message("a");
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.acknowledge(1);
    client.expect_nothing();
    client.server(dup(publish(Qos::ExactlyOnce, 1, "a")));
    client.expect_send(pubrec(1));
    client.expect_nothing();
}

#[test]
fn a_refused_message_is_answered_with_its_reason_in_its_turn_and_its_identifier_is_free() {
    for (qos, answer) in [(Qos::AtLeastOnce, Packet::Puback as fn(Ack) -> Packet), (Qos::ExactlyOnce, Packet::Pubrec)] {
        let mut client = TestClient::connected(by_hand());
        client.server(publish(qos, 1, "a"));
        client.server(publish(qos, 2, "b"));
        client.expect_message("a");
        client.expect_message("b");
        client.refuse(2, ReasonCode::QuotaExceeded);
        client.expect_nothing();
        client.acknowledge(1);
        client.expect_send(answer(Ack::new(id(1))));
        client.expect_send(answer(Ack::with_reason(id(2), ReasonCode::QuotaExceeded)));
        // [MQTT-4.3.3-9] Whatever comes with it now is another message.
        client.server(publish(qos, 2, "c"));
        client.expect_message("c");
        client.acknowledge(2);
        client.expect_send(answer(Ack::new(id(2))));
    }
}

#[test]
fn a_qos_2_message_that_was_refused_while_away_is_refused_when_it_comes_again() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.expect_message("a");
    client.lose_and_wait();
    client.refuse(1, ReasonCode::NotAuthorized);
    client.connect_again(resumed([]));
    client.server(dup(publish(Qos::ExactlyOnce, 1, "a")));
    client.expect_send(Packet::Pubrec(Ack::with_reason(id(1), ReasonCode::NotAuthorized)));
    client.expect_nothing();
}

#[test]
fn a_refusal_without_a_word_for_it_is_an_acknowledgement_and_a_wrong_word_is_replaced() {
    let mut client = TestClient::connected(Options { version: Version::V3_1_1, ..by_hand() });
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.expect_message("a");
    client.refuse(1, ReasonCode::QuotaExceeded);
    client.expect_send(pubrec(1));
    client.server(pubrel(1));
    client.expect_send(pubcomp(1));

    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_message("a");
    client.refuse(1, ReasonCode::ServerBusy);
    client.expect_send(Packet::Puback(Ack::with_reason(id(1), ReasonCode::UnspecifiedError)));
}

#[test]
fn by_hand_a_message_that_was_released_unasked_is_answered_once() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::ExactlyOnce, 1, "a"));
    client.expect_message("a");
    client.server(pubrel(1));
    client.expect_send(pubcomp(1));
    client.acknowledge(1);
    client.expect_nothing();
}

#[test]
fn by_hand_what_waits_for_its_turn_and_was_released_unasked_is_answered_once() {
    for refuses in [false, true] {
        let mut client = TestClient::connected(by_hand());
        client.server(publish(Qos::ExactlyOnce, 1, "a"));
        client.server(publish(Qos::ExactlyOnce, 2, "b"));
        client.expect_message("a");
        client.expect_message("b");
        match refuses {
            true => client.refuse(2, ReasonCode::QuotaExceeded),
            false => client.acknowledge(2),
        }
        client.server(pubrel(2));
        client.expect_send(pubcomp(2));
        client.acknowledge(1);
        client.expect_send(pubrec(1));
        client.expect_nothing();
    }
}

#[test]
fn by_hand_an_acknowledgement_of_a_lost_session_never_meets_a_message_with_the_same_identifier() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let mut client = TestClient::connected(by_hand());
        client.server(publish(qos, 1, "old"));
        client.expect_message("old");
        client.lose_and_wait();
        client.connect_again(success());
        client.server(publish(qos, 1, "new"));
        client.expect_message("new");
        client.acknowledge_nth(0);
        client.expect_nothing();
        client.acknowledge_nth(1);
        client.expect_send(if qos == Qos::AtLeastOnce { puback(1) } else { pubrec(1) });
    }
}

#[test]
fn by_hand_an_acknowledgement_of_an_older_delivery_does_not_meet_the_repetition() {
    let mut client = TestClient::connected(by_hand());
    client.server(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_message("a");
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.server(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.expect_message("a");
    client.acknowledge_nth(0);
    client.expect_nothing();
    client.acknowledge_nth(1);
    client.expect_send(puback(1));
}

fn aliased(topic: Option<&'static str>, alias: u16, payload: &str) -> Packet {
    let name = TopicName::literal(topic.unwrap_or("unused"));
    let mut publish = Publish::new(&name, payload).at(Qos::AtLeastOnce, PacketId::new(1));
    if topic.is_none() {
        publish = publish.without_topic();
    }
    publish.topic_alias = Some(alias);
    Packet::Publish(publish)
}

fn with_aliases() -> TestClient {
    TestClient::connected(Options { topic_alias_maximum: 2, ..lasting() })
}

#[test]
fn the_application_sees_the_topic_where_the_server_used_an_alias() {
    let mut client = with_aliases();
    for (packet, topic) in [
        (aliased(Some("one"), 1, "x"), "one"),
        (aliased(Some("two"), 2, "x"), "two"),
        (aliased(None, 1, "x"), "one"),
        (aliased(Some("three"), 1, "x"), "three"),
        (aliased(None, 1, "x"), "three"),
        (aliased(None, 2, "x"), "two"),
    ] {
        client.server(packet);
        let message = client.expect_message("x");
        assert_eq!((message.topic(), message.topic_alias), (topic, None));
        client.expect_send(puback(1));
    }
}

#[test]
fn an_alias_beyond_the_maximum_is_a_violation() {
    let mut client = with_aliases();
    client.server(aliased(Some("one"), 3, "x"));
    client.expect_violation(ReasonCode::TopicAliasInvalid);
}

#[test]
fn aliases_end_with_their_connection() {
    let mut client = with_aliases();
    client.server(aliased(Some("one"), 1, "x"));
    client.expect_message("x");
    client.expect_sent();
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.server(aliased(None, 1, "x"));
    client.expect_violation(ReasonCode::ProtocolError);
}
