//! 3.2.2.3 What a server announces in CONNACK that it does not take, and what becomes of it when it comes all the same.

use std::time::Duration;

use squall_codec::{
    packet::{Connack, Connect, Packet, Subscribe, Subscription, Will},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Puback, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::limits,
    setup::Setup,
    test::{Test, test},
    tests::{
        asking::{bytes_of, id, publish},
        bytes,
        clock::{close_after_silence, graded},
        judge::{At, Cases, Unnoticed, closes, farewell, judge_close, judge_refusal, listed, parting},
        offer,
        watch::{fenced, filter, shown, will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        any_qos_may_be_subscribed_to_below_the_maximum,
        "A server announces Maximum QoS 0 or 1; subscriptions with QoS 0, 1 and 2 are granted all the same.",
        ["5.0/MQTT-3.2.2-10"],
        limits::grants_only_what_may_be_published
    )
    .on(Setup::Qos0),
    test!(
        a_will_above_the_maximum_qos_is_refused,
        "A server announces Maximum QoS 0 or 1; a CONNECT with a will of QoS 2 is refused.",
        ["5.0/MQTT-3.2.2-12"],
        limits::takes_any_will
    )
    .on(Setup::Qos0),
    test!(
        a_publish_above_the_maximum_qos_closes_the_connection,
        "A server announces Maximum QoS 0 or 1; a PUBLISH above it is not taken.",
        ["5.0/X-MAXQOS-EXCEEDED"],
        limits::acknowledges_any_qos
    )
    .on(Setup::Qos0),
    test!(
        a_retained_will_is_refused_where_nothing_is_retained,
        "A server announces Retain Available 0; a CONNECT with a retained will is refused.",
        ["5.0/MQTT-3.2.2-13"],
        limits::takes_any_will
    )
    .on(Setup::NoRetain),
    test!(
        a_retained_message_closes_the_connection_where_nothing_is_retained,
        "A server announces Retain Available 0; a retained PUBLISH ends the connection and reaches nobody.",
        ["5.0/X-RETAIN-UNAVAILABLE-PUBLISH"],
        limits::forwards_what_it_cannot_retain
    )
    .on(Setup::NoRetain),
    test!(
        a_subscription_identifier_is_refused_where_there_are_none,
        "A server announces Subscription Identifier Available 0; a SUBSCRIBE with one is not granted.",
        ["5.0/X-SUBID-UNSUPPORTED"],
        limits::grants_any_subscription
    )
    .on(Setup::NoSubscriptionIdentifiers),
    test!(
        a_wildcard_is_refused_where_there_are_none,
        "A server announces Wildcard Subscription Available 0; a SUBSCRIBE with a wildcard is not granted.",
        ["5.0/X-WILDCARD-UNSUPPORTED"],
        limits::grants_any_subscription
    )
    .on(Setup::NoWildcards),
    test!(
        a_shared_subscription_is_refused_where_there_are_none,
        "A server announces Shared Subscription Available 0; a shared SUBSCRIBE is not granted.",
        ["5.0/X-SHARED-UNSUPPORTED"],
        limits::grants_any_subscription
    )
    .on(Setup::NoShared),
    test!(
        a_packet_above_the_maximum_packet_size_closes_the_connection,
        "A server announces a Maximum Packet Size; a packet of just that size works, one byte more ends the connection.",
        ["5.0/X-MAXPACKET-EXCEEDED"],
        limits::takes_packets_of_any_size
    )
    .on(Setup::SmallPackets),
    test!(
        the_server_keep_alive_takes_the_place_of_the_clients,
        "A server announces a Server Keep Alive below the client's; a silent client is closed after 1.5 times that.",
        ["5.0/X-SERVER-KEEPALIVE-HONOURED"],
        limits::keeps_silent_clients
    )
    .on(Setup::KeepAlive)
    .slow(),
    test!(
        a_client_identifier_that_is_rejected_ends_the_connection,
        "A server takes no client without an identifier; such a CONNECT is refused and the connection closed.",
        ["5.0/MQTT-3.1.3-8"],
        limits::stays_after_a_refusal
    )
    .on(Setup::Named),
];

/// A connected client, and what it was told.
async fn told(stage: &Stage, actor: &str) -> Result<(Peer, Seen<Connack>), Halt> {
    Peer::connect(stage, actor, Peer::hello(stage, actor)).await.prepared()
}

/// The server does not have what the test is about off: nothing can be learned.
fn offered(setup: Setup, connack: &Seen<Connack>) -> Halt {
    Halt::unsupported(format!("needs a server {}, and CONNACK says nothing of that", setup.wanted())).at(connack)
}

/// A connected client of a server that does not have all QoS, and the lowest that it does not have.
async fn limited_qos(stage: &Stage, actor: &str) -> Result<(Peer, Qos), Halt> {
    let (peer, connack) = told(stage, actor).await?;
    match offer::highest_qos(&peer) {
        Qos::AtMostOnce => Ok((peer, Qos::AtLeastOnce)),
        Qos::AtLeastOnce => Ok((peer, Qos::ExactlyOnce)),
        Qos::ExactlyOnce => Err(offered(Setup::Qos0, &connack)),
    }
}

async fn any_qos_may_be_subscribed_to_below_the_maximum(stage: &Stage) -> Outcome {
    let (mut peer, _) = limited_qos(stage, "alice").await?;
    let all = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    let subscriptions = all.map(|qos| Subscription::new(filter(&stage.topic(&format!("q{qos}"))), qos));
    let suback = peer.subscribe_with(Subscribe::new(id(1), subscriptions.into())).await?;
    if suback.reasons.len() != all.len() {
        return Err(Halt::fail(format!("expected 3 codes in SUBACK, got {}", suback.reasons.len())).at(&suback));
    }
    Ok(Evidence::of(&suback))
}

/// A CONNECT that must be refused, after one that was accepted.
async fn refused(stage: &Stage, connect: Connect, offence: &str, codes: &[ReasonCode]) -> Outcome {
    let mut peer = Peer::open(stage, "offender").await?;
    peer.send(Packet::Connect(connect)).await;
    judge_refusal(stage, offence, codes, &farewell(&mut peer).await)
}

async fn a_will_above_the_maximum_qos_is_refused(stage: &Stage) -> Outcome {
    let (mut control, _) = limited_qos(stage, "control").await?;
    control.disconnect().await;
    let mut connect = Peer::hello(stage, "offender");
    connect.set_will(Some(Will { qos: Qos::ExactlyOnce, ..will(&stage.topic("will"), b"gone") }));
    refused(stage, connect, "a CONNECT with a will of QoS 2", &[ReasonCode::QosNotSupported]).await
}

/// Refused, with or without a word; never acknowledged as if it were taken.
async fn a_publish_above_the_maximum_qos_closes_the_connection(stage: &Stage) -> Outcome {
    let (mut peer, beyond) = limited_qos(stage, "offender").await?;
    let sent = peer.send(Packet::Publish(publish(stage, "t", beyond, id(7), "too much"))).await;
    let (seen, pong) = parting(&mut peer).await;
    let offence = format!("a PUBLISH with QoS {beyond}");
    for packet in &seen.packets {
        let (Packet::Puback(ack) | Packet::Pubrec(ack)) = &**packet else { continue };
        if !ack.reason.is_failure() {
            return Err(Halt::fail(format!("{offence} was acknowledged with {}", ack.reason)).at(packet));
        }
        let reason = format!("{offence}: expected DISCONNECT {}, got {}", ReasonCode::QosNotSupported, **packet);
        return Ok(Evidence::of(packet).warn(reason));
    }
    let codes = [ReasonCode::QosNotSupported];
    judge_close(stage, &offence, &codes, Unnoticed::Warns, (&seen, pong.as_ref()), &sent)
}

/// A connected client of a server that retains nothing.
async fn unretained(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
    let (peer, connack) = told(stage, actor).await?;
    offer::retain(&peer).err().map(|_| peer).ok_or_else(|| offered(Setup::NoRetain, &connack))
}

async fn a_retained_will_is_refused_where_nothing_is_retained(stage: &Stage) -> Outcome {
    unretained(stage, "control").await?.disconnect().await;
    let mut connect = Peer::hello(stage, "offender");
    connect.set_will(Some(Will { qos: Qos::AtMostOnce, retain: true, ..will(&stage.topic("will"), b"gone") }));
    refused(stage, connect, "a CONNECT with a retained will", &[ReasonCode::RetainNotSupported]).await
}

/// What is dropped without a close is only told; what is delivered was taken.
async fn a_retained_message_closes_the_connection_where_nothing_is_retained(stage: &Stage) -> Outcome {
    let mut peer = unretained(stage, "offender").await?;
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    let retained = bytes::publish(stage.version(), 0x31, stage.topic("t").as_bytes(), None, &[], b"keep me");
    let codes = [ReasonCode::RetainNotSupported];
    let outcome = closes(&mut peer, "a PUBLISH with RETAIN 1", &retained, &codes, Unnoticed::Warns).await;
    if let Some(message) = fenced(&mut watcher).await.prepared()?.first() {
        let reason = format!("a retained PUBLISH was forwarded where nothing is retained: {}", shown(message));
        return Err(Halt::fail(reason).at(message));
    }
    outcome
}

/// A SUBSCRIBE that asks for what is not there: closed, or refused in SUBACK with this code.
async fn not_granted(peer: &mut Peer, offence: &str, subscribe: Subscribe, code: ReasonCode) -> Outcome {
    let sent = peer.send(Packet::Subscribe(subscribe)).await;
    let (seen, pong) = parting(peer).await;
    for packet in &seen.packets {
        let Packet::Suback(suback) = &**packet else { continue };
        return match suback.reasons.first() {
            Some(reason) if !reason.is_failure() => {
                Err(Halt::fail(format!("{offence} was granted with {reason}")).at(packet))
            }
            Some(reason) if *reason != code => {
                let said = format!("{offence}: expected {}, got SUBACK {reason}", listed(&[code]));
                Ok(Evidence::of(packet).warn(said))
            }
            // The table of SUBACK has the code as well.
            _ => Ok(Evidence::of(packet)),
        };
    }
    judge_close(peer.stage(), offence, &[code], Unnoticed::Fails, (&seen, pong.as_ref()), &sent)
}

fn one(text: &str) -> Subscribe {
    Subscribe::new(id(1), vec![Subscription::new(filter(text), Qos::AtMostOnce)])
}

async fn a_subscription_identifier_is_refused_where_there_are_none(stage: &Stage) -> Outcome {
    let (mut peer, connack) = told(stage, "offender").await?;
    if offer::subscription_identifiers(&peer).is_ok() {
        return Err(offered(Setup::NoSubscriptionIdentifiers, &connack));
    }
    let mut subscribe = one(&stage.topic("t"));
    subscribe.properties.push(Property::SubscriptionIdentifier(1));
    let code = ReasonCode::SubscriptionIdentifiersNotSupported;
    not_granted(&mut peer, "a SUBSCRIBE with a Subscription Identifier", subscribe, code).await
}

async fn a_wildcard_is_refused_where_there_are_none(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for below in ["a/+/c", "a/#"] {
        let (mut peer, connack) = told(stage, &stage.fresh("offender")).await?;
        if offer::wildcards(&peer).is_ok() {
            return Err(offered(Setup::NoWildcards, &connack));
        }
        let code = ReasonCode::WildcardSubscriptionsNotSupported;
        let offence = format!("a SUBSCRIBE to {below}");
        cases.add(below, not_granted(&mut peer, &offence, one(&stage.topic(below)), code).await);
    }
    cases.finish()
}

async fn a_shared_subscription_is_refused_where_there_are_none(stage: &Stage) -> Outcome {
    let (mut peer, connack) = told(stage, "offender").await?;
    if connack.properties.shared_subscription_available() != Some(0) {
        return Err(offered(Setup::NoShared, &connack));
    }
    let subscribe = one(&format!("$share/group/{}", stage.topic("t")));
    let code = ReasonCode::SharedSubscriptionsNotSupported;
    not_granted(&mut peer, "a shared SUBSCRIBE", subscribe, code).await
}

/// Larger ones are not sent for a test.
const LARGEST: usize = 2 << 20;

/// A PUBLISH of QoS 1 that has so many bytes in all.
fn publish_of(stage: &Stage, packet_id: u16, size: usize) -> Vec<u8> {
    let topic = stage.topic("t");
    let frame = |length: usize| {
        bytes::publish(stage.version(), 0x32, topic.as_bytes(), Some(packet_id), &[], &vec![b'x'; length])
    };
    let mut length = size.saturating_sub(frame(0).len());
    // The Remaining Length takes more bytes when there is more behind it.
    while frame(length).len() > size {
        length -= 1;
    }
    frame(length)
}

async fn a_packet_above_the_maximum_packet_size_closes_the_connection(stage: &Stage) -> Outcome {
    let (mut peer, connack) = told(stage, "offender").await?;
    let limit = offer::packet_size(&peer);
    if limit > LARGEST {
        let said = connack.properties.maximum_packet_size().map_or("none".to_owned(), |size| size.to_string());
        let reason = format!("needs a server {}; its Maximum Packet Size is {said}", Setup::SmallPackets.wanted());
        return Err(Halt::unsupported(reason).at(&connack));
    }
    offer::qos(&peer, Qos::AtLeastOnce)?;
    let whole = publish_of(stage, 1, limit);
    if whole.len() != limit {
        return Err(Halt::inconclusive(format!("no PUBLISH has exactly {limit} bytes")));
    }
    peer.send_bytes(&whole).await;
    let puback = peer.expect::<Puback>().await.map_err(|halt| Halt {
        reason: format!("a PUBLISH of {limit} bytes, as many as the server takes: {}", halt.reason),
        ..halt
    })?;
    if puback.reason.is_failure() {
        let reason = format!("a PUBLISH of {limit} bytes, as many as the server takes, got PUBACK {}", puback.reason);
        return Err(Halt::fail(reason).at(&puback));
    }
    let beyond = publish_of(stage, 2, limit + 1);
    let offence = format!("a PUBLISH of {} bytes, one more than the server takes,", beyond.len());
    let codes = [ReasonCode::PacketTooLarge];
    Ok(Evidence::of(&puback).join(closes(&mut peer, &offence, &beyond, &codes, Unnoticed::FailsIfAnswered).await?))
}

/// Keep Alive in seconds that the client asks for.
const ASKED: u16 = 60;
/// A Server Keep Alive in seconds for which a test waits.
const LONGEST: u16 = 20;
/// A server may look for silent clients now and then only.
const LATE: Duration = Duration::from_secs(10);

async fn the_server_keep_alive_takes_the_place_of_the_clients(stage: &Stage) -> Outcome {
    let mut connect = Peer::hello(stage, "silent");
    connect.keep_alive = ASKED;
    let (mut peer, connack) = Peer::connect(stage, "silent", connect).await.prepared()?;
    let seconds = match connack.properties.server_keep_alive() {
        Some(seconds) if (1..=LONGEST).contains(&seconds) => seconds,
        other => {
            let said = other.map_or("none".to_owned(), |seconds| format!("{seconds} s"));
            let reason = format!("needs a server whose Server Keep Alive is at most {LONGEST} s; it says {said}");
            return Err(Halt::unsupported(reason).at(&connack));
        }
    };
    let due = close_after_silence(seconds, "CONNACK");
    let given_up = due.due + LATE + stage.tolerance();
    let end = peer.expect_end_by(connack.at() + given_up).await.map_err(|halt| {
        stage.missed(due, given_up);
        let reason =
            format!("Server Keep Alive {seconds}, expected a close {:?} after CONNACK: {}", due.due, halt.reason);
        Halt { reason, ..halt.at(&At(connack.entry())) }
    })?;
    let took = end.at().saturating_sub(connack.at());
    Ok(graded(stage, due, took, Evidence::of(&connack).and(&end)))
}

async fn a_client_identifier_that_is_rejected_ends_the_connection(stage: &Stage) -> Outcome {
    Peer::connected(stage, "control").await?.disconnect().await;
    let mut peer = Peer::open(stage, "offender").await?;
    let connect = Peer::hello(stage, "offender").with_client_id(squall_codec::wire::Text::literal(""));
    peer.send(Packet::Connect(connect.clone())).await;
    let seen = farewell(&mut peer).await;
    if let Some((_, at)) = seen.connack().filter(|(connack, _)| !connack.reason.is_failure()) {
        return Err(Halt::unsupported(format!("needs a server {}", Setup::Named.wanted())).at(at));
    }
    let offence =
        format!("a CONNECT without a Client Identifier ({} bytes)", bytes_of(stage, &Packet::Connect(connect)).len());
    judge_refusal(stage, &offence, &[ReasonCode::ClientIdentifierNotValid], &seen)
}
