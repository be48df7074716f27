//! Subscriptions that the server has forgotten are asked for again.

use squall_client::{
    core::effect::{Event, Input, Outcome},
    options::Options,
};
use squall_codec::{
    packet::{Packet, Suback, Subscribe, Subscription, Unsuback},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
};

use crate::support::{TestClient, id, lasting, message, offering, publish, resumed, seconds, success};

fn subscription(filter: &'static str) -> Subscription {
    Subscription::new(TopicFilter::literal(filter), Qos::AtLeastOnce)
}

fn subscribe(client: &mut TestClient, packet_id: u16, filters: &[&'static str], reasons: &[ReasonCode]) {
    let token = client.token();
    let subscriptions: Vec<_> = filters.iter().map(|filter| subscription(filter)).collect();
    client.input(Input::Subscribe { token, subscriptions: subscriptions.clone(), properties: Properties::new() });
    client.expect_send(Packet::Subscribe(Subscribe::new(id(packet_id), subscriptions)));
    client.server(Packet::Suback(Suback::new(id(packet_id), reasons.to_vec())));
    client.expect_done(token, Outcome::Subscribed { reasons: reasons.to_vec() });
}

const GRANTED: ReasonCode = ReasonCode::GrantedQos1;

#[test]
fn what_was_granted_is_asked_for_before_anything_else_when_the_session_is_lost() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a", "b", "c"], &[GRANTED, ReasonCode::NotAuthorized, GRANTED]);
    let token = client.token();
    client.input(Input::Unsubscribe { token, filters: vec![TopicFilter::literal("a")] });
    client.expect_sent();
    client.server(Packet::Unsuback(Unsuback::new(id(2), vec![ReasonCode::Success])));
    client.expect_done(token, Outcome::Unsubscribed { reasons: vec![ReasonCode::Success] });
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_sent();
    client.lose_and_wait();
    client.connect_again(success());
    let renewed = client.expect_sent();
    let Packet::Subscribe(renewed) = renewed else { panic!("expected SUBSCRIBE, saw {renewed}") };
    assert_eq!(renewed.subscriptions, [subscription("c")]);
    let again = client.expect_sent();
    assert!(matches!(&again, Packet::Publish(publish) if !publish.dup), "{again}");
    client.server(Packet::Suback(Suback::new(renewed.packet_id, vec![GRANTED])));
    client.expect_event(Event::Resubscribed { refused: vec![] });
    client.expect_nothing();
}

#[test]
fn what_a_server_may_have_lost_between_two_answers_is_asked_for_again() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a"], &[GRANTED]);
    client.lose_and_wait();
    client.expect_open();
    // Had the session been gone, this CONNECT would have begun another: Session Present is 1 in either case.
    client.connect_in_vain();
    client.shake_hands(resumed([]));
    let Packet::Subscribe(renewed) = client.expect_sent() else { panic!("expected SUBSCRIBE") };
    assert_eq!(renewed.subscriptions, [subscription("a")]);
    client.server(Packet::Suback(Suback::new(renewed.packet_id, vec![GRANTED])));
    client.expect_event(Event::Resubscribed { refused: vec![] });
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.wait_for_open();
    client.shake_hands(resumed([]));
    client.expect_nothing();
}

#[test]
fn a_resumed_session_needs_no_renewal_and_neither_does_who_wants_none() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a"], &[GRANTED]);
    client.lose_and_wait();
    client.connect_again(resumed([]));
    client.expect_nothing();

    let mut client = TestClient::connected(Options { resubscribe: false, ..lasting() });
    subscribe(&mut client, 1, &["a"], &[GRANTED]);
    client.lose_and_wait();
    client.connect_again(success());
    client.expect_nothing();
}

#[test]
fn a_renewal_that_was_cut_off_is_made_up_for_on_the_next_connection_though_it_resumes() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a"], &[GRANTED]);
    client.lose_and_wait();
    client.connect_again(success());
    client.expect_sent();
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.next();
    client.advance(seconds(2));
    client.connect_again(resumed([]));
    let again = client.expect_sent();
    let Packet::Subscribe(again) = again else { panic!("expected SUBSCRIBE, saw {again}") };
    client.server(Packet::Suback(Suback::new(again.packet_id, vec![GRANTED])));
    client.expect_event(Event::Resubscribed { refused: vec![] });
}

#[test]
fn what_is_refused_now_is_told_and_not_asked_for_again() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a", "b"], &[GRANTED, GRANTED]);
    client.lose_and_wait();
    client.connect_again(success());
    client.expect_sent();
    client.server(Packet::Suback(Suback::new(id(1), vec![GRANTED, ReasonCode::NotAuthorized])));
    let refused = vec![(TopicFilter::literal("b"), ReasonCode::NotAuthorized)];
    client.expect_event(Event::Resubscribed { refused });
    client.input(Input::Lost { reason: "reset".to_owned() });
    client.next();
    client.advance(seconds(2));
    client.connect_again(success());
    let Packet::Subscribe(renewed) = client.expect_sent() else { panic!("expected SUBSCRIBE") };
    assert_eq!(renewed.subscriptions, [subscription("a")]);
}

#[test]
fn a_renewal_that_is_too_large_for_the_server_of_now_leaves_in_pieces() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["first/filter", "second/filter"], &[GRANTED, GRANTED]);
    client.lose_and_wait();
    client.connect_again(offering([Property::MaximumPacketSize(30)]));
    for filter in ["first/filter", "second/filter"] {
        let Packet::Subscribe(renewed) = client.expect_sent() else { panic!("expected SUBSCRIBE") };
        assert_eq!(renewed.subscriptions, [subscription(filter)]);
    }
    client.expect_nothing();

    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a/+"], &[GRANTED]);
    client.lose_and_wait();
    client.connect_again(offering([Property::WildcardSubscriptionAvailable(0)]));
    let refused = vec![(TopicFilter::literal("a/+"), ReasonCode::ImplementationSpecificError)];
    client.expect_event(Event::Resubscribed { refused });
    client.publish(message(Qos::AtLeastOnce, "x"));
    client.expect_send(publish(Qos::AtLeastOnce, 1, "x"));
}

#[test]
fn a_new_wish_that_is_refused_leaves_what_was_granted_before() {
    let mut client = TestClient::connected(lasting());
    subscribe(&mut client, 1, &["a"], &[ReasonCode::GrantedQos1]);
    subscribe(&mut client, 2, &["a"], &[ReasonCode::NotAuthorized]);
    client.lose_and_wait();
    client.connect_again(success());
    let Packet::Subscribe(again) = client.expect_sent() else { panic!("expected SUBSCRIBE") };
    assert_eq!(again.subscriptions, [subscription("a")]);
}

#[test]
fn a_subscription_that_the_server_of_now_cannot_take_is_told_with_its_reason() {
    for (offer, reason) in [
        (Property::MaximumPacketSize(8), ReasonCode::PacketTooLarge),
        (Property::WildcardSubscriptionAvailable(0), ReasonCode::ImplementationSpecificError),
    ] {
        let mut client = TestClient::connected(lasting());
        subscribe(&mut client, 1, &["a/+"], &[ReasonCode::GrantedQos1]);
        client.lose_and_wait();
        client.connect_again(offering([offer]));
        client.expect_event(Event::Resubscribed { refused: vec![(TopicFilter::literal("a/+"), reason)] });
        client.expect_nothing();
    }
}
