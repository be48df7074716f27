//! A stream for each subscription, acknowledgement by hand, and futures that are dropped.

use squall_client::{
    core::effect::{Event, Failure},
    net::{handle::SubscribeError, messages::Message},
    options::{Acknowledge, Options},
};
use squall_codec::{
    packet::{Ack, Packet, Publish, Subscription},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    wire::PacketId,
};
use tokio::time::timeout;

use crate::support::{PATIENCE, Peer, World, lasting, message, options};

fn wanted(filters: &[&'static str]) -> Vec<Subscription> {
    filters.iter().map(|filter| Subscription::new(TopicFilter::literal(filter), Qos::AtLeastOnce)).collect()
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

/// Two streams, `a/#` and `+/x`, of a client that is connected.
async fn two_streams(
    options: Options,
    properties: [Properties; 2],
) -> (World, Peer, squall_client::net::messages::Subscribed, squall_client::net::messages::Subscribed) {
    let world = World::new(options).await;
    let mut peer = world.accept().await.welcome(false).await;
    let [first, second] = properties;
    let handle = world.handle.clone();
    let streams = tokio::spawn(async move {
        let first = handle.stream(wanted(&["a/#"]), first).await.expect("granted");
        let second = handle.stream(wanted(&["+/x"]), second).await.expect("granted");
        (first, second)
    });
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    let (first, second) = streams.await.expect("no panic");
    (world, peer, first, second)
}

async fn payload(stream: &mut squall_client::net::messages::Subscribed) -> String {
    let message = timeout(PATIENCE, stream.next()).await.expect("in time").expect("the client runs");
    String::from_utf8_lossy(message.payload()).into_owned()
}

#[tokio::test]
async fn each_stream_gets_what_matches_and_the_rest_is_left_over() {
    let none = || [Properties::new(), Properties::new()];
    let (mut world, mut peer, mut first, mut second) = two_streams(options(), none()).await;
    assert_eq!(first.results(), [(TopicFilter::literal("a/#"), ReasonCode::GrantedQos1)]);
    for (topic, payload) in [("a/b", "first"), ("b/x", "second"), ("a/x", "both"), ("c", "neither")] {
        peer.publish(topic, Qos::AtMostOnce, 0, payload).await;
    }
    assert_eq!((payload(&mut first).await, payload(&mut first).await), ("first".to_owned(), "both".to_owned()));
    assert_eq!((payload(&mut second).await, payload(&mut second).await), ("second".to_owned(), "both".to_owned()));
    let rest = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(rest.payload(), b"neither");

    // Without its stream a message is left over too.
    drop(second);
    peer.publish("b/x", Qos::AtMostOnce, 0, "late").await;
    let rest = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(rest.payload(), b"late");

    let leaving = tokio::spawn(first.unsubscribe());
    let Some(Packet::Unsubscribe(unsubscribe)) = peer.next().await else { panic!("expected UNSUBSCRIBE") };
    assert_eq!(unsubscribe.filters, [TopicFilter::literal("a/#")]);
    let unsuback = squall_codec::packet::Unsuback::new(unsubscribe.packet_id, vec![ReasonCode::Success]);
    peer.send(Packet::Unsuback(unsuback)).await;
    assert_eq!(leaving.await.expect("no panic"), Ok(vec![ReasonCode::Success]));
}

#[tokio::test]
async fn a_subscription_identifier_says_which_stream_was_meant() {
    let identified = |id| Properties::new().with(Property::SubscriptionIdentifier(id));
    let (_world, mut peer, mut first, mut second) = two_streams(options(), [identified(1), identified(2)]).await;
    for (identifier, payload) in [(2, "for the second"), (1, "for the first")] {
        let mut publish = Publish::new(&TopicName::literal("a/x"), payload);
        publish.subscription_identifiers = vec![identifier];
        peer.send(Packet::Publish(publish)).await;
    }
    peer.publish("a/x", Qos::AtMostOnce, 0, "end").await;
    assert_eq!((payload(&mut first).await, payload(&mut first).await), ("for the first".to_owned(), "end".to_owned()));
    assert_eq!(
        (payload(&mut second).await, payload(&mut second).await),
        ("for the second".to_owned(), "end".to_owned())
    );
}

/// A QoS 1 message with the identifier 7 that two streams were given, to be acknowledged by hand.
async fn given_to_both() -> (World, Peer, [Message; 2]) {
    let options = Options { acknowledge: Acknowledge::ByHand, ..lasting() };
    let (world, mut peer, mut first, mut second) = two_streams(options, [Properties::new(), Properties::new()]).await;
    peer.publish("a/x", Qos::AtLeastOnce, 7, "x").await;
    let one = timeout(PATIENCE, first.next()).await.expect("in time").expect("the client runs");
    let other = timeout(PATIENCE, second.next()).await.expect("in time").expect("the client runs");
    (world, peer, [one, other])
}

#[tokio::test]
async fn a_message_of_two_streams_is_acknowledged_when_both_have_done_their_work() {
    let (world, mut peer, [one, other]) = given_to_both().await;
    one.ack();
    // Had it left, it would have left before this.
    let fence = fence(&world, &mut peer).await;
    assert_eq!(fence.payload(), b"fence");
    other.ack();
    assert_eq!(peer.next().await, Some(Packet::Puback(Ack::new(id(7)))));
}

#[tokio::test]
async fn a_message_that_one_of_two_streams_refuses_is_refused_when_both_have_done_their_work() {
    let (world, mut peer, [one, other]) = given_to_both().await;
    one.refuse(ReasonCode::QuotaExceeded);
    // Had it left, it would have left before this.
    let fence = fence(&world, &mut peer).await;
    assert_eq!(fence.payload(), b"fence");
    other.ack();
    assert_eq!(peer.next().await, Some(Packet::Puback(Ack::with_reason(id(7), ReasonCode::QuotaExceeded))));
}

/// The next packet of the client is this one.
async fn fence(world: &World, peer: &mut Peer) -> Publish {
    world.handle.publish(message("f", Qos::AtMostOnce, "fence")).await.expect("handed over");
    peer.expect_publish().await
}

#[tokio::test]
async fn a_late_acknowledgement_of_a_lost_session_acknowledges_nothing() {
    let options = Options { acknowledge: Acknowledge::ByHand, ..lasting() };
    let mut world = World::new(options).await;
    let mut peer = world.accept().await.welcome(false).await;
    peer.publish("t", Qos::AtLeastOnce, 1, "old").await;
    let old = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    drop(peer);
    let mut peer = world.accept().await.welcome(false).await;
    peer.publish("t", Qos::AtLeastOnce, 1, "new").await;
    let new = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(new.payload(), b"new");
    old.ack();
    let fence = fence(&world, &mut peer).await;
    assert_eq!(fence.payload(), b"fence");
    new.ack();
    assert_eq!(peer.next().await, Some(Packet::Puback(Ack::new(id(1)))));
}

#[tokio::test]
async fn what_nobody_wants_holds_up_no_acknowledgement() {
    let World { listener, handle, messages, events: _events } =
        World::new(Options { acknowledge: Acknowledge::ByHand, ..lasting() }).await;
    drop(messages);
    let mut peer = crate::support::accept(&listener).await.welcome(false).await;
    peer.publish("t", Qos::AtLeastOnce, 1, "unwanted").await;
    assert_eq!(peer.next().await, Some(Packet::Puback(Ack::new(id(1)))));
    drop(handle);
}

#[tokio::test]
async fn a_subscription_that_is_refused_in_full_is_an_error_and_in_part_is_told() {
    let world = World::new(options()).await;
    let mut peer = world.accept().await.welcome(false).await;
    let handle = world.handle.clone();
    let asking = tokio::spawn(async move { handle.stream(wanted(&["a", "b"]), Properties::new()).await });
    peer.subscribed(&[ReasonCode::NotAuthorized, ReasonCode::QuotaExceeded]).await;
    let reasons = vec![ReasonCode::NotAuthorized, ReasonCode::QuotaExceeded];
    let error = asking.await.expect("no panic").expect_err("refused");
    assert_eq!(error, SubscribeError::Refused { reasons });
    assert_eq!(error.to_string(), "the server refused the subscription: 0x87 Not authorized, 0x97 Quota exceeded");

    let handle = world.handle.clone();
    let asking = tokio::spawn(async move { handle.stream(wanted(&["a", "b"]), Properties::new()).await });
    peer.subscribed(&[ReasonCode::NotAuthorized, ReasonCode::GrantedQos1]).await;
    let stream = asking.await.expect("no panic").expect("one was granted");
    let results: Vec<_> = stream.results().iter().map(|(_, reason)| *reason).collect();
    assert_eq!(results, [ReasonCode::NotAuthorized, ReasonCode::GrantedQos1]);
}

#[tokio::test]
async fn a_stream_goes_on_over_a_lost_session() {
    let mut world = World::new(lasting()).await;
    let mut peer = world.accept().await.welcome(false).await;
    let handle = world.handle.clone();
    let asking = tokio::spawn(async move { handle.stream(wanted(&["a"]), Properties::new()).await });
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    let mut stream = asking.await.expect("no panic").expect("granted");
    drop(peer);
    let mut peer = world.accept().await.welcome(false).await;
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    peer.publish("a", Qos::AtMostOnce, 0, "again").await;
    assert_eq!(payload(&mut stream).await, "again");
    let mut told = false;
    while !told {
        let event = timeout(PATIENCE, world.events.next()).await.expect("in time").expect("the client runs");
        told = event == Event::Resubscribed { refused: vec![] };
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_everything_in_order() {
    let mut world = World::new(lasting()).await;
    let mut peer = world.accept().await.welcome(false).await;
    // Each is polled until the server has seen the request, and then forgotten.
    {
        let asking = world.handle.stream(wanted(&["a"]), Properties::new());
        let mut asking = std::pin::pin!(asking);
        tokio::select! {
            biased;
            _ = &mut asking => panic!("nobody has answered"),
            () = peer.subscribed(&[ReasonCode::GrantedQos1]) => {}
        }
    }
    {
        let publishing = world.handle.publish(message("t", Qos::ExactlyOnce, "x"));
        let mut publishing = std::pin::pin!(publishing);
        tokio::select! {
            biased;
            _ = &mut publishing => panic!("nobody has acknowledged"),
            publish = peer.expect_publish() => assert_eq!(publish.payload(), b"x"),
        }
    }
    // The exchange goes on without its future, and so does the subscription, whose messages are left over.
    peer.send(Packet::Pubrec(Ack::new(id(2)))).await;
    assert_eq!(peer.next().await, Some(Packet::Pubrel(Ack::new(id(2)))));
    peer.send(Packet::Pubcomp(Ack::new(id(2)))).await;
    peer.publish("a", Qos::AtLeastOnce, 1, "for nobody in particular").await;
    assert_eq!(peer.next().await, Some(Packet::Puback(Ack::new(id(1)))));
    let rest = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(rest.payload(), b"for nobody in particular");
    // A future of `next` that is dropped takes no message along.
    {
        let next = world.messages.next();
        let mut next = std::pin::pin!(next);
        tokio::select! {
            biased;
            _ = &mut next => panic!("nothing has come"),
            () = std::future::ready(()) => {}
        }
    }
    peer.publish("t", Qos::AtMostOnce, 0, "whole").await;
    let rest = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
    assert_eq!(rest.payload(), b"whole");
}

#[tokio::test]
async fn a_client_that_has_ended_says_so_to_everyone() {
    let world = World::new(options()).await;
    let mut peer = world.accept().await.welcome(false).await;
    let handle = world.handle.clone();
    let asking = tokio::spawn(async move { handle.stream(wanted(&["a"]), Properties::new()).await });
    peer.subscribed(&[ReasonCode::Success]).await;
    let mut stream = asking.await.expect("no panic").expect("granted");
    let handle = world.handle.clone();
    let leaving = tokio::spawn(async move { handle.disconnect(ReasonCode::Success, None).await });
    assert!(matches!(peer.next().await, Some(Packet::Disconnect(_))));
    drop(peer);
    leaving.await.expect("no panic");
    assert!(timeout(PATIENCE, stream.next()).await.expect("in time").is_none());
    let error = world.handle.stream(wanted(&["a"]), Properties::new()).await.expect_err("it has ended");
    assert_eq!(error, SubscribeError::Failed(Failure::Disconnected));
    assert_eq!(world.handle.reauthenticate().await.expect_err("it has ended").0, Failure::Disconnected);
}
