//! From `Connect` to CONNACK.

use squall_client::{
    core::effect::{DisconnectCause, Effect, Event, Failure, Input},
    options::{LARGEST_FRAME, Options, Reconnect},
};
use squall_codec::{
    packet::{Connack, Packet, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
    wire::Text,
};

use crate::support::{
    TestClient, by_server, disconnect, dup, lasting, message, offering, options, puback, pubcomp, publish, published,
    pubrec, pubrel, resumed, seconds, success,
};

#[test]
fn connect_is_the_first_packet_and_carries_the_options() {
    let will = Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("gone"),
        payload: "bye".into(),
        properties: Properties::new(),
    };
    let mut client = TestClient::new(Options {
        keep_alive: seconds(30),
        session_expiry_seconds: Some(60),
        receive_maximum: Some(5),
        maximum_packet_size: 1000,
        topic_alias_maximum: 3,
        will: Some(will.clone()),
        username: Some(Text::literal("user")),
        password: Some("secret".into()),
        user_properties: vec![(Text::literal("k"), Text::literal("v"))],
        ..options(Version::V5_0)
    });
    client.input(Input::Connect);
    let connect = client.connect_again(success());
    assert_eq!(connect.client_id(), "alice");
    assert!(connect.clean_start);
    assert_eq!(connect.keep_alive, 30);
    assert_eq!(connect.will().map(|will| will.to_owned()), Some(will));
    assert_eq!(connect.username().as_deref(), Some("user"));
    assert_eq!(connect.password(), Some(&b"secret"[..]));
    let expected = Properties::new()
        .with(Property::SessionExpiryInterval(60))
        .with(Property::ReceiveMaximum(5))
        .with(Property::MaximumPacketSize(1000))
        .with(Property::TopicAliasMaximum(3))
        .with(Property::UserProperty((Text::literal("k"), Text::literal("v"))));
    assert_eq!(connect.properties().to_owned(), expected);
    assert!(client.client.is_connected());
}

#[test]
fn before_5_0_connect_has_no_properties() {
    for version in [Version::V3_1, Version::V3_1_1] {
        let options = Options { session_expiry_seconds: Some(60), receive_maximum: Some(5), ..options(version) };
        let mut client = TestClient::new(options);
        client.input(Input::Connect);
        let connect = client.connect_again(success());
        assert_eq!(connect.version(), version);
        assert!(connect.properties().is_empty());
    }
}

#[test]
fn before_5_0_a_password_without_a_user_name_stays_at_home() {
    let mut client = TestClient::new(Options { password: Some("secret".into()), ..options(Version::V3_1_1) });
    client.input(Input::Connect);
    assert_eq!(client.connect_again(success()).password(), None);
}

#[test]
fn an_empty_client_id_in_3_1_1_goes_with_clean_session() {
    let anonymous = Options::new(Version::V3_1_1, Text::default());
    let mut client = TestClient::new(Options { clean_start: false, ..anonymous });
    client.input(Input::Connect);
    assert!(client.connect_again(success()).clean_start);
}

#[test]
fn an_assigned_client_id_is_kept_for_the_next_connection() {
    let mut client = TestClient::connected_to(
        Options::new(Version::V5_0, Text::default()),
        offering([Property::AssignedClientIdentifier(Text::literal("given"))]),
    );
    assert_eq!(client.client.client_id(), "given");
    client.lose_and_wait();
    assert_eq!(client.connect_again(success()).client_id(), "given");
}

#[test]
fn a_refusal_closes_and_is_not_repeated_where_that_is_useless() {
    for (reason, again) in [
        (ReasonCode::BadUserNameOrPassword, false),
        (ReasonCode::NotAuthorized, false),
        (ReasonCode::UnsupportedProtocolVersion, false),
        (ReasonCode::ServerUnavailable, true),
        (ReasonCode::ServerBusy, true),
    ] {
        let mut client = TestClient::new(options(Version::V5_0));
        client.input(Input::Connect);
        client.expect_open();
        client.input(Input::Opened);
        client.expect_connect();
        client.server(Packet::Connack(Box::new(Connack::new(reason))));
        client.expect_event(Event::Refused { reason });
        client.expect_close();
        client.expect_disconnected(by_server(reason), again);
        client.expect_nothing();
        assert_eq!(client.client.is_idle(), !again, "{reason}");
    }
}

#[test]
fn session_present_after_clean_start_is_a_violation() {
    for version in [Version::V3_1_1, Version::V5_0] {
        let mut client = TestClient::new(options(version));
        client.input(Input::Connect);
        client.expect_open();
        client.input(Input::Opened);
        client.expect_connect();
        client.server(Packet::Connack(Box::new(resumed([]))));
        client.expect_violation(ReasonCode::ProtocolError);
    }
}

#[test]
fn session_present_without_a_session_here_closes_in_5_0() {
    let mut client = TestClient::new(Options { clean_start: false, ..options(Version::V5_0) });
    client.input(Input::Connect);
    client.expect_open();
    client.input(Input::Opened);
    client.expect_connect();
    client.server(Packet::Connack(Box::new(resumed([]))));
    client.expect_violation(ReasonCode::ProtocolError);
}

#[test]
fn session_present_for_a_session_of_an_earlier_run_is_welcome_where_the_application_vouches_for_it() {
    let options = Options { clean_start: false, existing_session: true, ..options(Version::V5_0) };
    let client = TestClient::connected_to(options, resumed([]));
    assert!(client.client.is_connected());
}

/// CONNACK with Session Present 1, from `Input::Opened` on, and whether the client says that both carry on a session.
#[track_caller]
fn session_present(client: &mut TestClient) -> bool {
    client.input(Input::Opened);
    assert!(!client.expect_connect().clean_start);
    client.server(Packet::Connack(Box::new(resumed([]))));
    match client.next() {
        Some(Effect::Event(Event::Connected { resumed, .. })) => resumed,
        other => panic!("expected Event::Connected, saw {other:?}"),
    }
}

/// The same, to a client that has no session.
#[track_caller]
fn unknown_session_present(client: &mut TestClient) {
    client.input(Input::Opened);
    client.expect_connect();
    client.server(Packet::Connack(Box::new(resumed([]))));
    client.expect_violation(ReasonCode::ProtocolError);
}

/// A client that has asked for its first connection.
fn opening(options: Options) -> TestClient {
    let mut client = TestClient::new(options);
    client.input(Input::Connect);
    client.expect_open();
    client
}

#[test]
fn a_session_that_an_unanswered_connect_began_is_no_surprise_and_has_nothing_in_it() {
    for version in [Version::V3_1_1, Version::V5_0] {
        for tries in 1..=3 {
            let mut client = opening(Options { version, ..lasting() });
            let token = client.publish(message(Qos::ExactlyOnce, "a"));
            for _ in 0..tries {
                assert!(!client.connect_in_vain().clean_start);
            }
            assert!(!session_present(&mut client), "nothing goes on that was never there");
            client.expect_send(publish(Qos::ExactlyOnce, 1, "a"));
            client.server(pubrec(1));
            client.expect_send(pubrel(1));
            client.server(pubcomp(1));
            client.expect_done(token, published());
            // From here on it is a session like any other.
            client.input(Input::Lost { reason: "reset".to_owned() });
            client.wait_for_open();
            assert!(session_present(&mut client));
            client.expect_nothing();
        }
    }
}

/// It has received "old" under identifier 4, waits for PUBREL, and is about to connect again.
fn back_with_one_unreleased() -> TestClient {
    let mut client = TestClient::connected(lasting());
    client.server(publish(Qos::ExactlyOnce, 4, "old"));
    client.expect_message("old");
    client.expect_send(pubrec(4));
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.wait_for_open();
    client
}

#[test]
fn after_an_unanswered_connect_what_comes_without_dup_is_new_whatever_its_identifier_stood_for() {
    let mut repeated = publish(Qos::ExactlyOnce, 4, "old");
    if let Packet::Publish(publish) = &mut repeated {
        publish.dup = true;
    }
    for (is_in_doubt, packet, is_new) in [
        (true, publish(Qos::ExactlyOnce, 4, "new"), true),
        (true, repeated.clone(), false),
        (false, repeated, false),
        (false, publish(Qos::ExactlyOnce, 4, "new"), false),
    ] {
        let mut client = back_with_one_unreleased();
        if is_in_doubt {
            client.connect_in_vain();
        }
        assert!(session_present(&mut client));
        client.server(packet);
        if is_new {
            client.expect_message("new");
        }
        client.expect_send(pubrec(4));
        client.server(pubrel(4));
        client.expect_send(pubcomp(4));
        client.expect_nothing();
    }
}

#[test]
fn the_doubt_stays_until_the_server_repeats_or_sends_something_new() {
    let dup = |id, payload: &'static str| dup(publish(Qos::ExactlyOnce, id, payload));
    for has_sent_new in [false, true] {
        let mut client = back_with_one_unreleased();
        client.connect_in_vain();
        assert!(session_present(&mut client));
        if has_sent_new {
            // Who still knew 4 would have repeated it before.
            client.server(publish(Qos::AtLeastOnce, 1, "new"));
            client.expect_message("new");
            client.expect_send(puback(1));
        }
        client.input(Input::Lost { reason: "reset".to_owned() });
        client.wait_for_open();
        assert!(session_present(&mut client));
        let packet = if has_sent_new { dup(4, "another") } else { publish(Qos::ExactlyOnce, 4, "another") };
        client.server(packet);
        client.expect_message("another");
        client.expect_send(pubrec(4));
        // And from now on it is known.
        client.server(dup(4, "another"));
        client.expect_send(pubrec(4));
        client.expect_nothing();
    }
}

#[test]
fn however_connect_went_unanswered_the_session_is_in_doubt() {
    type End = fn(&mut TestClient);
    let ends: [(&str, End); 3] = [
        ("no answer in time", |client| client.advance(seconds(5))),
        ("not CONNACK", |client| client.server(puback(1))),
        ("the application disconnects", |client| {
            client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
            client.input(Input::Connect);
        }),
    ];
    for (what, end) in ends {
        let mut client = opening(Options { connect_timeout: seconds(5), ..lasting() });
        client.input(Input::Opened);
        client.expect_connect();
        end(&mut client);
        client.wait_for_open();
        assert!(!session_present(&mut client), "{what}");
    }
}

#[test]
fn a_refusal_settles_no_doubt_and_makes_none() {
    for is_in_doubt in [false, true] {
        let mut client = opening(lasting());
        if is_in_doubt {
            client.connect_in_vain();
        }
        client.input(Input::Opened);
        client.expect_connect();
        client.server(Packet::Connack(Box::new(Connack::new(ReasonCode::ServerBusy))));
        client.expect_event(Event::Refused { reason: ReasonCode::ServerBusy });
        client.wait_for_open();
        if is_in_doubt {
            assert!(!session_present(&mut client));
        } else {
            unknown_session_present(&mut client);
        }
    }
}

#[test]
fn a_session_that_is_unknown_here_stays_unknown() {
    let mut client = opening(lasting());
    for _ in 0..3 {
        unknown_session_present(&mut client);
        client.wait_for_open();
    }
}

#[test]
fn an_unanswered_clean_start_is_asked_for_again_and_leaves_no_room_for_a_session() {
    for version in [Version::V3_1_1, Version::V5_0] {
        let mut client = opening(Options { version, clean_start: true, ..lasting() });
        assert!(client.connect_in_vain().clean_start);
        unknown_session_present(&mut client);
    }
}

#[test]
fn under_an_identifier_that_the_server_was_to_assign_no_session_is_found_again() {
    let mut client = opening(Options { client_id: Text::literal(""), ..lasting() });
    client.connect_in_vain();
    unknown_session_present(&mut client);
}

#[test]
fn what_an_older_session_left_open_is_sent_again_though_an_answer_was_lost() {
    let mut client = TestClient::connected(lasting());
    client.publish(message(Qos::AtLeastOnce, "a"));
    client.expect_sent();
    client.publish(message(Qos::ExactlyOnce, "b"));
    client.expect_sent();
    client.server(pubrec(2));
    client.expect_send(pubrel(2));
    client.lose_and_wait();
    client.expect_open();
    client.connect_in_vain();
    assert!(session_present(&mut client), "it may be the old one");
    client.expect_send(dup(publish(Qos::AtLeastOnce, 1, "a")));
    client.expect_send(pubrel(2));
    client.expect_nothing();
}

#[test]
fn a_server_that_never_answers_connect_is_left() {
    let mut client = TestClient::new(Options { connect_timeout: seconds(5), ..options(Version::V5_0) });
    client.input(Input::Connect);
    client.expect_open();
    client.advance(seconds(3));
    client.input(Input::Opened);
    client.expect_connect();
    // The five seconds began with the wish to connect.
    client.advance(seconds(2));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::NoAnswer, true);
}

#[test]
fn a_connection_that_opens_too_late_is_closed() {
    let mut client =
        TestClient::new(Options { connect_timeout: seconds(5), reconnect: Reconnect::Never, ..options(Version::V5_0) });
    client.input(Input::Connect);
    client.expect_open();
    client.advance(seconds(5));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::NoAnswer, false);
    client.input(Input::Opened);
    client.expect_close();
    client.expect_nothing();
}

#[test]
fn disconnect_is_the_last_packet_and_nothing_follows_it() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.input(Input::Disconnect { reason: ReasonCode::DisconnectWithWillMessage, session_expiry_seconds: None });
    client.expect_send(disconnect(ReasonCode::DisconnectWithWillMessage));
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Application, false);
    let token = client.publish(message(Qos::AtMostOnce, "late"));
    client.expect_failed(token, Failure::Disconnected);
    client.advance(seconds(600));
    client.expect_nothing();
}

#[test]
fn before_5_0_the_will_is_asked_for_by_silence() {
    let mut client = TestClient::connected(options(Version::V3_1_1));
    client.input(Input::Disconnect { reason: ReasonCode::DisconnectWithWillMessage, session_expiry_seconds: None });
    client.expect_close();
    client.expect_disconnected(DisconnectCause::Application, false);
}

#[test]
fn disconnect_changes_the_session_expiry_only_where_connect_had_one() {
    for (asked, expected) in [(Some(60), true), (None, false)] {
        let mut client = TestClient::connected(Options { session_expiry_seconds: asked, ..options(Version::V5_0) });
        client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: Some(10) });
        let Packet::Disconnect(disconnect) = client.expect_sent() else { panic!("expected DISCONNECT") };
        assert_eq!(disconnect.properties.session_expiry_interval(), expected.then_some(10));
    }
}

#[test]
fn a_disconnect_between_two_tries_ends_the_trying() {
    let mut client = TestClient::connected(options(Version::V5_0));
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.expect_disconnected(DisconnectCause::Network("reset".to_owned()), true);
    client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None });
    client.expect_disconnected(DisconnectCause::Application, false);
    client.advance(seconds(600));
    client.expect_nothing();
}

#[test]
fn connect_says_no_more_than_the_options() {
    let plain = Options {
        receive_maximum: Some(0),
        maximum_packet_size: LARGEST_FRAME,
        topic_alias_maximum: 0,
        ..options(Version::V5_0)
    };
    for size in [LARGEST_FRAME, u32::MAX, 0] {
        let mut client = TestClient::new(Options { maximum_packet_size: size, ..plain.clone() });
        client.input(Input::Connect);
        assert_eq!(client.connect_again(success()).properties().to_owned(), Properties::new(), "{size}");
    }
    let small = Options { maximum_packet_size: LARGEST_FRAME - 1, receive_maximum: Some(1), ..plain };
    let mut client = TestClient::new(small);
    client.input(Input::Connect);
    let expected =
        Properties::new().with(Property::ReceiveMaximum(1)).with(Property::MaximumPacketSize(LARGEST_FRAME - 1));
    assert_eq!(client.connect_again(success()).properties().to_owned(), expected);
}

#[test]
fn before_5_0_no_password_leaves_without_a_user_name() {
    let (name, password) = (Some(Text::literal("user")), Some(bytes::Bytes::from("secret")));
    for (version, username, sent) in
        [(Version::V5_0, None, true), (Version::V3_1_1, None, false), (Version::V3_1_1, name.clone(), true)]
    {
        let mut client =
            TestClient::new(Options { username: username.clone(), password: password.clone(), ..options(version) });
        client.input(Input::Connect);
        let connect = client.connect_again(success());
        assert_eq!(connect.password().is_some(), sent, "{version}, {username:?}");
        assert_eq!(connect.username().as_deref(), username.as_deref());
    }
}

#[test]
fn the_effects_are_counted_before_they_are_carried_out_and_the_requests_while_they_wait() {
    let mut client = squall_client::core::client::Client::new(options(Version::V5_0), 1);
    let now = squall_codec::time::Now::default();
    assert_eq!(client.handle(now, Input::Tick).size_hint(), (0, Some(0)));
    let mut effects = client.handle(now, Input::Connect);
    assert_eq!(effects.size_hint(), (1, Some(1)));
    effects.next();
    assert_eq!(effects.size_hint(), (0, Some(0)));
    drop(effects);
    let disconnect = Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: None };
    assert_eq!(client.handle(now, disconnect).count(), 2);

    let mut client = TestClient::new(options(Version::V5_0));
    client.input(Input::Connect);
    assert_eq!(client.client.queued(), 0);
    for waiting in 1..=3 {
        client.publish(message(Qos::AtMostOnce, "x"));
        assert_eq!(client.client.queued(), waiting);
    }
}

#[test]
fn a_disconnect_too_large_for_the_server_leaves_without_what_makes_it_so() {
    for (most, expected) in [(8, None), (9, Some(10))] {
        let options = Options { session_expiry_seconds: Some(60), ..options(Version::V5_0) };
        let mut client = TestClient::connected_to(options, offering([Property::MaximumPacketSize(most)]));
        client.input(Input::Disconnect { reason: ReasonCode::Success, session_expiry_seconds: Some(10) });
        let Packet::Disconnect(disconnect) = client.expect_sent() else { panic!("expected DISCONNECT") };
        assert_eq!(disconnect.properties.session_expiry_interval(), expected, "at most {most} bytes");
    }
}
