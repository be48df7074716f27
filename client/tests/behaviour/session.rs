//! What outlives a connection, and what becomes of it when the server has forgotten.

use squall_client::{
    core::effect::{DisconnectCause, Event, Failure, Input},
    options::{OnSessionLost, Options, Reconnect},
};
use squall_codec::{
    packet::{Connack, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    version::Version,
};

use crate::support::{
    TestClient, by_server, dup, lasting, message, offering, options, puback, pubcomp, publish, published, pubrec,
    pubrel, resumed, seconds, success,
};

#[test]
fn a_resumed_session_sends_again_in_the_first_order_before_anything_new() {
    for version in Version::ALL {
        let mut client = TestClient::connected(Options { version, ..lasting() });
        let first = client.publish(message(Qos::AtLeastOnce, "a"));
        let second = client.publish(message(Qos::ExactlyOnce, "b"));
        let third = client.publish(message(Qos::ExactlyOnce, "c"));
        for _ in 0..3 {
            client.expect_sent();
        }
        client.server(pubrec(2));
        client.expect_send(pubrel(2));
        client.lose_and_wait();
        let fresh = client.publish(message(Qos::AtLeastOnce, "d"));
        let connack = if version == Version::V3_1 { success() } else { resumed([]) };
        let connect = client.connect_again(connack);
        assert!(!connect.clean_start);
        client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "a")));
        client.expect_send(dup(publish(Qos::ExactlyOnce, 3, "c")));
        client.expect_send(pubrel(2));
        client.expect_send(publish(Qos::AtLeastOnce, 4, "d"));
        client.expect_nothing();
        client.server(puback(1));
        client.expect_done(first, published());
        client.server(pubcomp(2));
        client.expect_done(second, published());
        client.server(pubrec(3));
        client.expect_send(pubrel(3));
        client.server(pubcomp(3));
        client.expect_done(third, published());
        client.server(puback(4));
        client.expect_done(fresh, published());
        client.expect_nothing();
    }
}

#[test]
fn nothing_is_sent_again_while_the_connection_stands() {
    let mut client = TestClient::connected(Options { keep_alive: seconds(0), ..lasting() });
    client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_sent();
    client.advance(seconds(10_000));
    client.expect_nothing();
}

#[test]
fn what_is_sent_again_obeys_the_receive_maximum_of_the_new_connection() {
    let mut client = TestClient::connected(lasting());
    for payload in ["a", "b", "c", "d"] {
        client.publish(message(Qos::ExactlyOnce, payload));
        client.expect_sent();
    }
    client.server(pubrec(4));
    client.expect_send(pubrel(4));
    client.lose_and_wait();
    client.connect_again(resumed([Property::ReceiveMaximum(2)]));
    client.expect_send(dup(publish(Qos::ExactlyOnce, 1, "a")));
    // The released exchange takes one of the two; PUBREL itself waits for nothing.
    client.expect_send(pubrel(4));
    client.expect_nothing();
    client.publish(message(Qos::AtLeastOnce, "new"));
    client.expect_nothing();
    client.server(pubcomp(4));
    assert!(client.next().is_some(), "done");
    client.expect_send(dup(publish(Qos::ExactlyOnce, 2, "b")));
    client.expect_nothing();
    for (packet_id, next) in [(1, Some(dup(publish(Qos::ExactlyOnce, 3, "c")))), (2, None)] {
        client.server(pubrec(packet_id));
        client.expect_send(pubrel(packet_id));
        client.server(pubcomp(packet_id));
        assert!(client.next().is_some(), "done");
        if let Some(next) = next {
            client.expect_send(next);
            client.expect_nothing();
        }
    }
    client.expect_send(publish(Qos::AtLeastOnce, 5, "new"));
    client.expect_nothing();
}

#[test]
fn a_lost_session_publishes_anew_what_was_not_acknowledged() {
    let mut client = TestClient::connected(lasting());
    let first = client.publish(message(Qos::AtLeastOnce, "a"));
    let second = client.publish(message(Qos::ExactlyOnce, "b"));
    let third = client.publish(message(Qos::ExactlyOnce, "c"));
    for _ in 0..3 {
        client.expect_sent();
    }
    client.server(pubrec(2));
    client.expect_send(pubrel(2));
    client.lose_and_wait();
    client.publish(message(Qos::AtLeastOnce, "d"));
    client.connect_again(success());
    // The server had the message, so publishing it anew would double it; that it is fulfilled nobody can say.
    client.expect_failed(second, Failure::SessionLost);
    client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
    client.expect_send(publish(Qos::ExactlyOnce, 2, "c"));
    client.expect_send(publish(Qos::AtLeastOnce, 3, "d"));
    client.server(puback(1));
    client.expect_done(first, published());
    client.server(pubrec(2));
    client.expect_send(pubrel(2));
    client.server(pubcomp(2));
    client.expect_done(third, published());
}

#[test]
fn a_lost_session_gives_up_what_was_not_acknowledged_where_the_options_say_so() {
    let mut client = TestClient::connected(Options { on_session_lost: OnSessionLost::GiveUp, ..lasting() });
    let token = client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_sent();
    client.lose_and_wait();
    client.connect_again(success());
    client.expect_failed(token, Failure::SessionLost);
    client.expect_nothing();
    assert_eq!(client.client.in_flight(), 0);
}

#[test]
fn clean_start_is_for_the_first_connection_where_the_session_outlives_it() {
    let options = Options { clean_start: true, ..lasting() };
    let mut client = TestClient::new(options);
    client.input(Input::Connect);
    assert!(client.connect_again(success()).clean_start);
    client.lose_and_wait();
    assert!(!client.connect_again(resumed([])).clean_start);
}

#[test]
fn a_session_that_ends_with_its_connection_is_begun_anew_each_time() {
    for version in Version::ALL {
        let mut client = TestClient::connected(options(version));
        client.publish(message(Qos::AtLeastOnce, "a"));
        client.expect_sent();
        client.lose_and_wait();
        assert!(client.connect_again(success()).clean_start, "{version}");
        client.expect_send(publish(Qos::AtLeastOnce, 1, "a"));
    }
}

#[test]
fn the_server_may_deny_the_session_a_life_of_its_own() {
    let options = Options { clean_start: true, ..lasting() };
    let mut client = TestClient::connected_to(options, offering([Property::SessionExpiryInterval(0)]));
    client.lose_and_wait();
    assert!(client.connect_again(success()).clean_start);
}

#[test]
fn the_applications_next_connection_resumes_what_it_was_told_is_lost() {
    let mut client = TestClient::connected(Options { reconnect: Reconnect::Never, ..lasting() });
    let token = client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_sent();
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_failed(token, Failure::ConnectionLost);
    client.expect_disconnected(DisconnectCause::Network("reset".to_owned()), false);
    client.input(Input::Connect);
    client.connect_again(resumed([]));
    client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.server(puback(1));
    client.expect_nothing();
    assert_eq!(client.client.in_flight(), 0);
}

#[test]
fn a_disconnect_answers_everyone_who_waits() {
    let mut client = TestClient::connected_to(lasting(), offering([Property::ReceiveMaximum(1)]));
    let sent = client.publish(message(Qos::AtLeastOnce, "a"));
    let held = client.publish(message(Qos::AtLeastOnce, "b"));
    client.expect_sent();
    client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
    client.expect_sent();
    client.expect_close();
    client.expect_failed(sent, Failure::Disconnected);
    client.expect_failed(held, Failure::Disconnected);
    client.expect_disconnected(DisconnectCause::Application, false);
}

#[test]
fn what_the_new_server_does_not_offer_is_not_sent_again() {
    let mut client = TestClient::connected(lasting());
    let first = client.publish(message(Qos::AtLeastOnce, "a"));
    let second = client.publish(message(Qos::ExactlyOnce, "b"));
    client.expect_sent();
    client.expect_sent();
    client.lose_and_wait();
    client.connect_again(resumed([Property::MaximumQos(1)]));
    client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.expect_failed(second, Failure::NotOffered { feature: "QoS 2" });
    client.expect_nothing();
    client.server(puback(1));
    client.expect_done(first, published());
    assert_eq!(client.client.in_flight(), 0);
}

#[test]
fn a_refused_reconnect_keeps_the_session_for_the_next() {
    let mut client = TestClient::connected(lasting());
    client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_sent();
    client.lose_and_wait();
    client.expect_open();
    client.input(Input::Opened);
    client.expect_connect();
    client.server(Packet::Connack(Box::new(Connack::new(ReasonCode::ServerBusy))));
    assert!(client.next().is_some(), "Event::Refused");
    client.expect_close();
    client.expect_disconnected(by_server(ReasonCode::ServerBusy), true);
    client.advance(seconds(2));
    client.connect_again(resumed([]));
    client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "a")));
}

#[test]
fn in_3_1_a_session_is_resumed_only_where_this_client_has_one() {
    let mut client = TestClient::new(Options { version: Version::V3_1, ..lasting() });
    client.input(Input::Connect);
    for expected in [false, true] {
        client.expect_open();
        client.input(Input::Opened);
        assert!(!client.expect_connect().clean_start);
        client.server(Packet::Connack(Box::new(success())));
        client.expect_event(Event::Connected { connack: success(), resumed: expected });
        client.lose_and_wait();
    }
}

#[test]
fn a_message_that_was_given_up_with_its_client_does_not_leave_on_a_later_connection() {
    let mut client = TestClient::new(lasting());
    client.input(Input::Connect);
    client.expect_open();
    let token = client.publish(message(Qos::AtLeastOnce, "x"));
    client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
    client.expect_close();
    client.expect_failed(token, Failure::Disconnected);
    client.expect_disconnected(DisconnectCause::Application, false);
    client.input(Input::Connect);
    client.connect_again(success());
    client.expect_nothing();
}
