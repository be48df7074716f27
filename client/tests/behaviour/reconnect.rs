//! When the next connection is tried.

use std::time::Duration;

use squall_client::{
    core::effect::{DisconnectCause, Input},
    options::{Options, Reconnect},
};
use squall_codec::version::Version;

use crate::support::{TestClient, options, seconds, success};

fn lose(client: &mut TestClient) {
    client.input(Input::Lost { reason: "refused".to_owned() });
    client.expect_disconnected(DisconnectCause::Network("refused".to_owned()), true);
}

#[test]
fn tries_come_later_and_later_up_to_the_longest_delay() {
    let reconnect = Reconnect::Backoff { first: seconds(1), max: seconds(4) };
    let mut client = TestClient::new(Options { reconnect, ..options(Version::V5_0) });
    client.input(Input::Connect);
    for longest in [1, 2, 4, 4, 4] {
        client.expect_open();
        lose(&mut client);
        let longest = seconds(longest);
        client.advance(longest / 2 - Duration::from_millis(1));
        client.expect_nothing();
        client.advance(longest / 2 + Duration::from_millis(1));
    }
    client.expect_open();
}

#[test]
fn a_connection_that_stood_starts_the_delays_over() {
    let patient = Options { keep_alive: seconds(0), connect_timeout: seconds(1000), ..options(Version::V5_0) };
    let mut client = TestClient::new(patient);
    client.input(Input::Connect);
    for _ in 0..6 {
        client.expect_open();
        lose(&mut client);
        client.advance(seconds(60));
    }
    client.connect_again(success());
    client.advance(seconds(61));
    lose(&mut client);
    client.advance(seconds(1));
    client.expect_open();
}

#[test]
fn without_a_policy_a_lost_connection_is_the_end() {
    let mut client = TestClient::connected(Options { reconnect: Reconnect::Never, ..options(Version::V5_0) });
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_disconnected(DisconnectCause::Network("reset".to_owned()), false);
    assert!(client.client.is_idle());
    assert_eq!(client.client.deadline(), None);
}

#[test]
fn connecting_twice_is_connecting_once() {
    let mut client = TestClient::new(options(Version::V5_0));
    client.input(Input::Connect);
    client.input(Input::Connect);
    client.expect_open();
    client.expect_nothing();
    client.input(Input::Opened);
    client.expect_connect();
    client.input(Input::Opened);
    client.input(Input::Connect);
    client.expect_nothing();
}

#[test]
fn a_timer_that_fires_early_tries_nothing_early() {
    let mut client = TestClient::new(options(Version::V5_0));
    client.input(Input::Connect);
    client.expect_open();
    lose(&mut client);
    client.input(Input::Tick);
    client.expect_nothing();
    client.advance(seconds(1));
    client.expect_open();
}
