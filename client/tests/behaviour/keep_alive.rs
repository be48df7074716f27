//! PINGREQ, PINGRESP, and the server that is not there any more.

use squall_client::{
    core::effect::{DisconnectCause, Input},
    options::Options,
};
use squall_codec::{packet::Packet, property::Property, qos::Qos, version::Version};

use crate::support::{TestClient, message, offering, options, published, seconds, success};

fn connected(keep_alive: u64) -> TestClient {
    TestClient::connected(Options { keep_alive: seconds(keep_alive), ..options(Version::V5_0) })
}

#[test]
fn pingreq_leaves_before_keep_alive_has_passed_in_silence() {
    let mut client = connected(10);
    client.advance(seconds(8));
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
    client.server(Packet::Pingresp);
    client.advance(seconds(8));
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
}

#[test]
fn pingreq_leaves_a_tenth_of_keep_alive_early_and_at_most_a_second() {
    for (keep_alive, milliseconds) in [(1, 900), (10, 9000), (60, 59_000), (3600, 3_599_000)] {
        let client = connected(keep_alive);
        assert_eq!(client.client.deadline(), Some(std::time::Duration::from_millis(milliseconds)));
    }
}

#[test]
fn any_packet_puts_the_pingreq_off() {
    let mut client = connected(10);
    client.advance(seconds(5));
    let token = client.publish(message(Qos::AtMostOnce, "x"));
    client.expect_sent();
    client.expect_done(token, published());
    client.advance(seconds(8));
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
}

#[test]
fn a_missing_pingresp_ends_the_connection_without_disconnect_and_another_is_tried() {
    let mut client = connected(10);
    client.advance(seconds(9));
    client.expect_send(Packet::Pingreq);
    client.advance(seconds(9));
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::NoAnswer, true);
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_open();
}

#[test]
fn packets_of_the_application_do_not_hide_a_missing_pingresp() {
    let mut client = connected(10);
    client.advance(seconds(9));
    client.expect_send(Packet::Pingreq);
    for _ in 0..9 {
        client.advance(seconds(1));
        client.publish(message(Qos::AtMostOnce, "x"));
        client.expect_sent();
        assert!(client.next().is_some(), "QoS 0 is done at once");
    }
    client.advance(seconds(1));
    client.expect_close();
}

#[test]
fn keep_alive_zero_is_no_keep_alive() {
    let mut client = connected(0);
    assert_eq!(client.client.deadline(), None);
    client.advance(seconds(1_000_000));
    client.expect_nothing();
}

#[test]
fn server_keep_alive_takes_the_place_of_the_clients() {
    let ordered = offering([Property::ServerKeepAlive(5)]);
    let mut client = TestClient::connected_to(Options { keep_alive: seconds(60), ..options(Version::V5_0) }, ordered);
    client.advance(seconds(5));
    client.expect_send(Packet::Pingreq);

    let off = offering([Property::ServerKeepAlive(0)]);
    let mut client = TestClient::connected_to(Options { keep_alive: seconds(60), ..options(Version::V5_0) }, off);
    client.advance(seconds(600));
    client.expect_nothing();
}

#[test]
fn while_the_driver_does_not_read_no_answer_is_missed_and_pings_go_on() {
    let mut client = connected(10);
    client.input(Input::Paused);
    client.advance(seconds(36));
    for _ in 0..4 {
        client.expect_send(Packet::Pingreq);
    }
    client.expect_nothing();
    client.input(Input::Resumed);
    client.advance(seconds(9));
    client.server(Packet::Pingresp);
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
    client.expect_nothing();
}

#[test]
fn after_reading_began_again_a_missing_answer_counts() {
    let mut client = connected(10);
    client.advance(seconds(9));
    client.expect_send(Packet::Pingreq);
    client.input(Input::Paused);
    client.advance(seconds(1));
    client.input(Input::Resumed);
    client.advance(seconds(9));
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::NoAnswer, true);
    client.advance(seconds(1));
    client.connect_again(success());
}

#[test]
fn reading_that_never_stopped_gives_no_more_time() {
    let mut client = connected(10);
    client.advance(seconds(9));
    client.expect_send(Packet::Pingreq);
    client.advance(seconds(5));
    client.input(Input::Resumed);
    client.advance(seconds(5));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::NoAnswer, true);
}

#[test]
fn reading_that_began_again_misses_no_answer_to_what_was_not_asked() {
    let mut client = connected(10);
    client.advance(seconds(8));
    client.input(Input::Paused);
    client.input(Input::Resumed);
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
    client.server(Packet::Pingresp);
    client.advance(seconds(9));
    client.expect_send(Packet::Pingreq);
    client.expect_nothing();
}

#[test]
fn a_timer_that_fires_early_sends_nothing_early() {
    let mut client = connected(10);
    client.advance(seconds(8));
    client.input(Input::Tick);
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_send(Packet::Pingreq);
    client.input(Input::Tick);
    client.expect_nothing();
}
