//! Questions and answers.

use std::time::Duration;

use squall_client::{
    net::request::{RequestError, Requester, RequesterError, RespondError},
    options::Options,
};
use squall_codec::{
    packet::{Ack, Packet, Publish, Subscription},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};

use crate::support::{PATIENCE, Peer, World, message, options};

async fn asking() -> (World, Peer, Requester) {
    let world = World::new(options()).await;
    let mut peer = world.accept().await.welcome(false).await;
    let handle = world.handle.clone();
    let requester = tokio::spawn(async move { Requester::new(&handle, TopicName::literal("answers/me")).await });
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    let requester = requester.await.expect("no panic").expect("granted");
    (world, peer, requester)
}

fn ask(requester: &Requester, payload: &'static str, patience: Duration) -> Asking {
    let requester = requester.clone();
    tokio::spawn(async move {
        let answer = requester.ask(message("ask", Qos::AtMostOnce, payload), patience).await?;
        Ok(String::from_utf8_lossy(answer.payload()).into_owned())
    })
}

type Asking = tokio::task::JoinHandle<Result<String, RequestError>>;

fn answer(question: &Publish, payload: &str) -> Packet {
    let asked = question.forwarded_properties();
    assert_eq!(asked.response_topic(), Some(&Text::literal("answers/me")));
    let data = asked.correlation_data().expect("a question has Correlation Data").clone();
    let properties = Properties::new().with(Property::CorrelationData(data));
    Packet::Publish(Publish::new(&TopicName::literal("answers/me"), payload).with_properties(&properties))
}

#[tokio::test]
async fn answers_find_their_questions_in_any_order() {
    let (_world, mut peer, requester) = asking().await;
    let (one, two) = (ask(&requester, "one", PATIENCE), ask(&requester, "two", PATIENCE));
    let questions = [peer.expect_publish().await, peer.expect_publish().await];
    for question in questions.iter().rev() {
        let payload = format!("answer to {}", String::from_utf8_lossy(question.payload()));
        peer.send(answer(question, &payload)).await;
    }
    assert_eq!(one.await.expect("no panic"), Ok("answer to one".to_owned()));
    assert_eq!(two.await.expect("no panic"), Ok("answer to two".to_owned()));
}

#[tokio::test]
async fn an_answer_that_does_not_come_or_comes_late_or_is_nobodys_is_survived() {
    let (_world, mut peer, requester) = asking().await;
    let patience = Duration::from_millis(50);
    let late = ask(&requester, "late", patience);
    let question = peer.expect_publish().await;
    assert_eq!(late.await.expect("no panic"), Err(RequestError::TimedOut(patience)));
    peer.send(answer(&question, "too late")).await;
    peer.publish("answers/me", Qos::AtMostOnce, 0, "no correlation").await;
    let next = ask(&requester, "next", PATIENCE);
    let question = peer.expect_publish().await;
    peer.send(answer(&question, "in time")).await;
    assert_eq!(next.await.expect("no panic"), Ok("in time".to_owned()));
}

#[tokio::test]
async fn a_question_that_nobody_hears_is_told_at_once() {
    let (_world, mut peer, requester) = asking().await;
    let asked = requester.clone();
    let question = tokio::spawn(async move { asked.ask(message("ask", Qos::AtLeastOnce, "?"), PATIENCE).await });
    let packet_id = peer.expect_publish().await.packet_id.expect("QoS 1 has an identifier");
    peer.send(Packet::Puback(Ack::with_reason(packet_id, ReasonCode::NoMatchingSubscribers))).await;
    let error = question.await.expect("no panic").expect_err("nobody hears it");
    assert_eq!(error, RequestError::Nobody { topic: "ask".to_owned() });
}

#[tokio::test]
async fn requests_end_with_their_client_and_need_5_0() {
    let (world, mut peer, requester) = asking().await;
    let waiting = ask(&requester, "?", PATIENCE);
    peer.expect_publish().await;
    let handle = world.handle.clone();
    let leaving = tokio::spawn(async move { handle.disconnect(ReasonCode::Success, None).await });
    assert!(matches!(peer.next().await, Some(Packet::Disconnect(_))));
    drop(peer);
    leaving.await.expect("no panic");
    assert_eq!(waiting.await.expect("no panic"), Err(RequestError::Disconnected));

    let old = World::new(Options { version: Version::V3_1_1, ..options() }).await;
    let error = Requester::new(&old.handle, TopicName::literal("r")).await.expect_err("3.1.1 has no requests");
    assert_eq!(error, RequesterError::Version);
}

#[tokio::test]
async fn a_responder_answers_where_it_was_asked_to() {
    let mut world = World::new(options()).await;
    let mut peer = world.accept().await.welcome(false).await;
    let handle = world.handle.clone();
    let subscribing = tokio::spawn(async move {
        handle
            .subscribe(vec![Subscription::new(TopicFilter::literal("ask"), Qos::AtLeastOnce)], Properties::new())
            .await
    });
    peer.subscribed(&[ReasonCode::GrantedQos1]).await;
    subscribing.await.expect("no panic").expect("SUBACK came");
    let properties = Properties::new()
        .with(Property::ResponseTopic(Text::literal("answers/me")))
        .with(Property::CorrelationData(bytes::Bytes::from_static(b"42")));
    let question = Publish::new(&TopicName::literal("ask"), "?").with_properties(&properties);
    peer.send(Packet::Publish(question)).await;
    let question = world.messages.next().await.expect("the client runs");
    world.handle.respond(&question, "!").await.expect("handed over");
    let answer = peer.expect_publish().await;
    assert_eq!((answer.topic(), answer.payload()), ("answers/me", &b"!"[..]));
    assert_eq!(answer.forwarded_properties().correlation_data().map(|data| &data[..]), Some(&b"42"[..]));
    let error = world.handle.respond(&message("ask", Qos::AtMostOnce, "?"), "!").await.expect_err("nobody asks");
    assert_eq!(error, RespondError::NoResponseTopic);
}
