//! What a store is told, and what a client makes of it after its process has ended.

use squall_client::{
    core::{
        client::Client,
        effect::{DisconnectCause, Effect, Failure, Input},
        record::{Kept, KeptMessage, Record},
    },
    options::Options,
};
use squall_codec::{packet::Packet, qos::Qos, reason::ReasonCode, time::Now, wire::Text};

use crate::support::{
    TestClient, dup, id, lasting, message, puback, pubcomp, publish, published, pubrec, pubrel, resumed, success,
};

fn durable() -> Options {
    Options { durable: true, ..lasting() }
}

fn began() -> Record {
    Record::Began { client_id: Text::literal("alice") }
}

fn connected() -> TestClient {
    let mut client = TestClient::connected(durable());
    client.expect_keep(began());
    client
}

#[test]
fn every_change_is_kept_before_the_packet_that_depends_on_it() {
    let mut client = connected();
    let first = client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_keep(Record::Accepted { number: 0, message: message(Qos::AtLeastOnce, "a"), expires: None });
    client.expect_keep(Record::Sent { number: 0, packet_id: id(1) });
    client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
    let second = client.publish(message(Qos::ExactlyOnce, "b"));
    client.expect_keep(Record::Accepted { number: 1, message: message(Qos::ExactlyOnce, "b"), expires: None });
    client.expect_keep(Record::Sent { number: 1, packet_id: id(2) });
    client.expect_send(publish(Qos::ExactlyOnce, 2, "b"));
    client.server(puback(1));
    client.expect_keep(Record::Finished { number: 0 });
    client.expect_done(first, published());
    client.server(pubrec(2));
    client.expect_keep(Record::Released { number: 1, packet_id: id(2) });
    client.expect_send(pubrel(2));
    client.server(pubcomp(2));
    client.expect_keep(Record::Finished { number: 1 });
    client.expect_done(second, published());

    client.server(publish(Qos::ExactlyOnce, 7, "c"));
    client.expect_keep(Record::Received { packet_id: id(7) });
    client.expect_message("c");
    client.expect_send(pubrec(7));
    client.server(pubrel(7));
    client.expect_keep(Record::Completed { packet_id: id(7) });
    client.expect_send(pubcomp(7));
    // QoS 0 and 1 leave nothing behind.
    client.publish(message(Qos::AtMostOnce, "d"));
    client.expect_send(publish(Qos::AtMostOnce, 0, "d"));
    client.next();
    client.server(publish(Qos::AtLeastOnce, 8, "e"));
    client.expect_message("e");
    client.expect_send(puback(8));
    client.expect_nothing();
}

#[test]
fn without_a_store_nothing_is_kept() {
    let mut client = TestClient::connected(lasting());
    client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_nothing();
}

/// Kept by a run that ended at this moment.
fn kept() -> Kept {
    let mut kept = Kept { client_id: Some(Text::literal("alice")), ..Kept::default() };
    kept.outgoing.insert(3, KeptMessage::Sent(id(9), message(Qos::ExactlyOnce, "sent")));
    kept.outgoing.insert(4, KeptMessage::Released(id(5)));
    kept.outgoing.insert(6, KeptMessage::Waiting(message(Qos::AtLeastOnce, "waiting")));
    kept.received.insert(id(2));
    kept
}

pub(crate) fn restored(options: Options, kept: Kept) -> TestClient {
    let mut client = TestClient::with(Client::restored(Now::default(), options, 1, kept));
    client.input(Input::Connect);
    client
}

#[test]
fn the_next_run_goes_on_where_the_last_one_ended() {
    let mut client = restored(durable(), kept());
    let connect = client.connect_again(resumed([]));
    assert!(!connect.clean_start);
    client.expect_send(dup(publish(Qos::ExactlyOnce, 9, "sent")));
    client.expect_send(pubrel(5));
    client.expect_keep(Record::Sent { number: 6, packet_id: id(10) });
    client.expect_send(publish(Qos::AtLeastOnce, 10, "waiting"));
    // Received before, and delivered then.
    client.server(dup(publish(Qos::ExactlyOnce, 2, "old")));
    client.expect_send(pubrec(2));
    client.server(pubrel(2));
    client.expect_keep(Record::Completed { packet_id: id(2) });
    client.expect_send(pubcomp(2));
    client.server(puback(10));
    client.expect_keep(Record::Finished { number: 6 });
    client.publish(message(Qos::AtLeastOnce, "new"));
    client.expect_keep(Record::Accepted { number: 7, message: message(Qos::AtLeastOnce, "new"), expires: None });
}

#[test]
fn when_the_server_has_lost_the_session_all_is_sent_anew_in_order_but_what_it_had_taken() {
    let mut client = restored(durable(), kept());
    client.connect_again(success());
    client.expect_keep(began());
    client.expect_keep(Record::Sent { number: 3, packet_id: id(1) });
    client.expect_send(publish(Qos::ExactlyOnce, 1, "sent"));
    client.expect_keep(Record::Sent { number: 6, packet_id: id(2) });
    client.expect_send(publish(Qos::AtLeastOnce, 2, "waiting"));
    client.expect_nothing();
    client.server(publish(Qos::ExactlyOnce, 2, "another"));
    client.expect_keep(Record::Received { packet_id: id(2) });
    client.expect_message("another");
}

#[test]
fn a_client_of_another_name_takes_over_the_messages_and_no_session() {
    let options = Options { client_id: Text::literal("bob"), clean_start: true, ..durable() };
    let mut client = restored(options, kept());
    let connect = client.connect_again(success());
    assert!(connect.clean_start);
    client.expect_keep(Record::Began { client_id: Text::literal("bob") });
    client.expect_keep(Record::Sent { number: 3, packet_id: id(1) });
    client.expect_send(publish(Qos::ExactlyOnce, 1, "sent"));
}

#[test]
fn what_a_store_accepted_stays_accepted_when_the_application_disconnects() {
    let mut client = TestClient::new(durable());
    client.input(Input::Connect);
    client.expect_open();
    let token = client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_keep(Record::Accepted { number: 0, message: message(Qos::AtLeastOnce, "a"), expires: None });
    client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
    client.expect_close();
    client.expect_failed(token, Failure::Disconnected);
    client.expect_disconnected(DisconnectCause::Application, false);
    client.input(Input::Connect);
    client.connect_again(success());
    client.expect_keep(began());
    client.expect_keep(Record::Sent { number: 0, packet_id: id(1) });
    client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
}

#[test]
fn a_store_that_fails_ends_the_client() {
    let mut client = connected();
    client.input(Input::KeepFailed { reason: "disk full".to_owned() });
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Store("disk full".to_owned()), false);
    assert!(client.client.is_idle());
}

#[test]
fn a_client_that_ends_after_any_effect_loses_no_message_that_was_kept() {
    // A run that publishes and receives at QoS 2, ended after each of its records in turn.
    let mut records = Vec::new();
    let mut client = TestClient::connected(durable());
    client.publish(message(Qos::ExactlyOnce, "out"));
    for packet in [publish(Qos::ExactlyOnce, 1, "in"), pubrec(1), pubrel(1), pubcomp(1)] {
        client.server(packet);
    }
    while let Some(effect) = client.next() {
        if let Effect::Keep(record) = effect {
            records.push(record);
        }
    }
    assert_eq!(records.len(), 7, "{records:?}");
    for end in 1..=records.len() {
        let mut kept = Kept::default();
        records[..end].iter().cloned().for_each(|record| kept.apply(record));
        let sent = matches!(kept.outgoing.get(&0), Some(KeptMessage::Sent(..) | KeptMessage::Waiting(_)));
        let released = matches!(kept.outgoing.get(&0), Some(KeptMessage::Released(_)));
        let knows = kept.received.contains(&id(1));
        let mut client = restored(durable(), kept);
        client.connect_again(resumed([]));
        let mut packets = Vec::new();
        while let Some(effect) = client.next() {
            if let Effect::Send { packet, .. } = effect {
                packets.push(packet);
            }
        }
        assert_eq!(packets.iter().any(|packet| matches!(packet, Packet::Publish(_))), sent, "after {end}");
        assert_eq!(packets.contains(&pubrel(1)), released, "after {end}");
        client.server(dup(publish(Qos::ExactlyOnce, 1, "in")));
        if knows {
            client.expect_send(pubrec(1));
        } else {
            client.expect_keep(Record::Received { packet_id: id(1) });
            client.expect_message("in");
        }
    }
}

#[test]
fn a_session_that_the_application_vouches_for_is_kept_from_its_first_connection_on() {
    let mut client = TestClient::new(Options { existing_session: true, ..durable() });
    client.input(Input::Connect);
    client.connect_again(resumed([]));
    client.expect_keep(began());
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.expect_nothing();
}

#[test]
fn nothing_of_the_session_of_another_name_is_resumed_though_the_server_has_one_for_this_name() {
    let bob = Options { client_id: Text::literal("bob"), existing_session: true, ..durable() };
    let mut client = restored(bob, kept());
    client.connect_again(resumed([]));
    client.expect_keep(Record::Began { client_id: Text::literal("bob") });
    for (number, packet_id, qos, payload) in [(3, 1, Qos::ExactlyOnce, "sent"), (6, 2, Qos::AtLeastOnce, "waiting")] {
        client.expect_keep(Record::Sent { number, packet_id: id(packet_id) });
        client.expect_send(publish(qos, packet_id, payload));
    }
    client.expect_nothing();
}

#[test]
fn a_session_that_begins_makes_messages_wait_again_and_forgets_what_the_server_had_taken() {
    let mut kept = kept();
    kept.apply(Record::Began { client_id: Text::literal("bob") });
    let mut expected = Kept { client_id: Some(Text::literal("bob")), ..Kept::default() };
    expected.outgoing.insert(3, KeptMessage::Waiting(message(Qos::ExactlyOnce, "sent")));
    expected.outgoing.insert(6, KeptMessage::Waiting(message(Qos::AtLeastOnce, "waiting")));
    assert_eq!(kept, expected);
}
