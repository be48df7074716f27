//! Message Expiry Interval while a message waits in the client.

use std::time::Duration;

use squall_client::core::{
    effect::{Effect, Failure, Input, Outcome},
    record::{Kept, KeptMessage, Record},
};
use squall_client::options::Options;
use squall_codec::{
    packet::{Packet, Publish},
    property::Property,
    qos::Qos,
    time::Now,
    version::Version,
    wire::Text,
};

use crate::{
    durable::restored,
    support::{TestClient, dup, id, lasting, message, offering, options, puback, published, resumed, seconds, success},
};

fn lasting_for(seconds: u32, qos: Qos) -> Publish {
    let mut message = message(qos, "x");
    message.message_expiry_interval = Some(seconds);
    message
}

fn leaving(seconds: u32, packet_id: u16) -> Packet {
    Packet::Publish(lasting_for(seconds, Qos::AtLeastOnce).at(Qos::AtLeastOnce, Some(id(packet_id))))
}

/// It has asked for a connection, and waits an hour for it.
fn offline(version: Version) -> TestClient {
    let mut client = TestClient::new(Options { connect_timeout: seconds(3600), ..options(version) });
    client.input(Input::Connect);
    client
}

#[test]
fn a_message_that_expires_while_there_is_no_connection_is_given_up_when_its_time_is_over() {
    let mut client = offline(Version::V5_0);
    client.expect_open();
    let mut tokens = Vec::new();
    for qos in Qos::ALL {
        tokens.push(client.publish(lasting_for(10, qos)));
    }
    let kept = client.publish(message(Qos::AtLeastOnce, "kept"));
    client.advance(seconds(10) - Duration::from_millis(1));
    client.expect_nothing();
    client.advance(Duration::from_millis(1));
    for token in tokens {
        client.expect_failed(token, Failure::Expired);
    }
    client.expect_nothing();
    assert_eq!(client.client.queued(), 1, "the place is free again");
    client.shake_hands(success());
    client.expect_send(Packet::Publish(message(Qos::AtLeastOnce, "kept").at(Qos::AtLeastOnce, Some(id(1)))));
    client.server(puback(1));
    client.expect_done(kept, published());
    client.expect_nothing();
}

#[test]
fn what_is_left_of_the_interval_leaves_with_the_message() {
    for (waited, left) in [(0, 10), (1, 10), (1000, 9), (9999, 1)] {
        let mut client = offline(Version::V5_0);
        client.expect_open();
        client.publish(lasting_for(10, Qos::AtLeastOnce));
        client.advance(Duration::from_millis(waited));
        client.shake_hands(success());
        client.expect_send(leaving(left, 1));
    }
}

#[test]
fn the_first_to_expire_need_not_be_the_first_in_the_queue() {
    let mut client = offline(Version::V5_0);
    client.expect_open();
    let [third, first, second] = [30, 10, 20].map(|seconds| client.publish(lasting_for(seconds, Qos::AtMostOnce)));
    for token in [first, second, third] {
        client.advance(seconds(10) - Duration::from_millis(1));
        client.expect_nothing();
        client.advance(Duration::from_millis(1));
        client.expect_failed(token, Failure::Expired);
        client.expect_nothing();
    }
}

#[test]
fn a_message_that_expires_behind_receive_maximum_is_given_up_and_the_next_leaves() {
    let connack = offering([Property::ReceiveMaximum(1)]);
    let mut client = TestClient::connected_to(Options { keep_alive: seconds(0), ..options(Version::V5_0) }, connack);
    let first = client.publish(message(Qos::AtLeastOnce, "first"));
    client.expect_sent();
    let second = client.publish(lasting_for(5, Qos::AtLeastOnce));
    client.publish(lasting_for(60, Qos::AtLeastOnce));
    client.advance(seconds(7));
    client.expect_failed(second, Failure::Expired);
    client.server(puback(1));
    client.expect_done(first, published());
    client.expect_send(leaving(53, 2));
    client.expect_nothing();
}

#[test]
fn a_message_of_no_time_at_all_leaves_at_once_or_never() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.publish(lasting_for(0, Qos::AtLeastOnce));
    client.expect_send(leaving(0, 1));
    let mut client = offline(Version::V5_0);
    client.expect_open();
    let token = client.publish(lasting_for(0, Qos::AtLeastOnce));
    client.advance(Duration::ZERO);
    client.expect_failed(token, Failure::Expired);
}

#[test]
fn a_message_that_has_left_is_sent_again_with_what_is_left_and_never_given_up() {
    for (away, left) in [(4, 6), (10, 0), (100, 0)] {
        let mut client = TestClient::connected(Options { keep_alive: seconds(0), ..lasting() });
        let token = client.publish(lasting_for(10, Qos::AtLeastOnce));
        client.expect_send(leaving(10, 1));
        client.advance(seconds(away - 1));
        client.lose_and_wait();
        client.connect_again(resumed([]));
        client.expect_send(dup(leaving(left, 1)));
        client.server(puback(1));
        client.expect_done(token, published());
    }
}

#[test]
fn a_message_of_a_lost_session_is_published_anew_only_in_its_time() {
    for (away, left) in [(4, Some(6)), (10, None)] {
        let mut client = TestClient::connected(Options { keep_alive: seconds(0), ..lasting() });
        let token = client.publish(lasting_for(10, Qos::AtLeastOnce));
        client.expect_sent();
        client.advance(seconds(away - 1));
        client.lose_and_wait();
        client.connect_again(success());
        match left {
            Some(left) => client.expect_send(leaving(left, 1)),
            None => client.expect_failed(token, Failure::Expired),
        }
        client.expect_nothing();
    }
}

#[test]
fn before_5_0_nothing_expires() {
    let mut client = offline(Version::V3_1_1);
    client.expect_open();
    client.publish(lasting_for(1, Qos::AtMostOnce));
    client.advance(seconds(100));
    client.expect_nothing();
    client.shake_hands(success());
    assert!(matches!(client.expect_sent(), Packet::Publish(_)));
}

#[test]
fn the_time_goes_on_while_no_process_runs() {
    let options = || Options { durable: true, ..lasting() };
    let mut client = TestClient::new(options());
    client.input(Input::Connect);
    client.expect_open();
    client.advance(seconds(2));
    let message = lasting_for(10, Qos::AtLeastOnce);
    client.publish(message.clone());
    client.expect_keep(Record::Accepted { number: 0, message: message.clone(), expires: Some(seconds(12)) });

    let kept = |expires: Option<Duration>, sent: bool| {
        let mut kept = Kept { client_id: Some(Text::literal("alice")), ..Kept::default() };
        let waits = KeptMessage::Waiting(message.clone());
        kept.outgoing.insert(0, if sent { KeptMessage::Sent(id(7), message.clone()) } else { waits });
        kept.expires.extend(expires.map(|expires| (0, expires)));
        kept
    };
    let mut client = restored(options(), kept(Some(seconds(3)), false));
    client.connect_again(resumed([]));
    client.expect_keep(Record::Sent { number: 0, packet_id: id(1) });
    client.expect_send(leaving(3, 1));

    let mut client = restored(options(), kept(Some(Duration::ZERO), false));
    client.connect_again(resumed([]));
    client.expect_keep(Record::Finished { number: 0 });
    client.expect_nothing();

    let mut client = restored(options(), kept(Some(Duration::ZERO), true));
    client.connect_again(resumed([]));
    client.expect_send(dup(leaving(0, 7)));
    client.expect_nothing();
}

#[test]
fn a_message_that_is_over_leaves_no_time_behind() {
    let mut kept = Kept::default();
    for (number, last) in [(0, Record::Finished { number: 0 }), (1, Record::Released { number: 1, packet_id: id(2) })] {
        kept.apply(Record::Accepted { number, message: lasting_for(10, Qos::ExactlyOnce), expires: Some(seconds(9)) });
        assert_eq!(kept.expires.get(&number), Some(&seconds(9)));
        kept.apply(last);
    }
    assert!(kept.expires.is_empty());
    assert_eq!(kept.outgoing.len(), 1);
}

#[test]
fn a_timer_that_fires_late_gives_up_what_expired_meanwhile() {
    let mut client = offline(Version::V5_0);
    client.expect_open();
    let token = client.publish(lasting_for(5, Qos::AtLeastOnce));
    let late = Now::simulated(seconds(8));
    let effects: Vec<_> = client.client.handle(late, Input::Tick).collect();
    match &effects[..] {
        [Effect::Done { token: of, outcome: Outcome::Failed(Failure::Expired) }] => assert_eq!(*of, token),
        other => panic!("expected the end of the message, saw {other:?}"),
    }
}
