//! 4.9 Flow Control of 5.0.

use squall_codec::{
    packet::{Ack, Packet, Suback},
    property::Property,
    qos::Qos,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::exchanges,
    test::{Test, test},
    tests::{
        asking::{id, subscribe},
        offer,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        receive_maximum_is_never_exceeded,
        "A subscriber with Receive Maximum 2 acknowledges nothing: two PUBLISHes come, and the third after a PUBACK.",
        ["5.0/MQTT-4.9.0-2", "5.0/MQTT-4.9.0-1"],
        exchanges::ignores_receive_maximum
    ),
    test!(
        other_packets_are_answered_while_the_quota_is_zero,
        "A subscriber whose quota is used up still gets PINGRESP and SUBACK.",
        ["5.0/MQTT-4.9.0-3"],
        exchanges::stops_answering_when_the_quota_is_used_up
    ),
];

/// A subscriber with this Receive Maximum, and three QoS 1 messages for it.
async fn crowded(stage: &Stage, receive_maximum: u16) -> Result<Peer, Halt> {
    let mut connect = Peer::hello(stage, "alice");
    connect.push_property(Property::ReceiveMaximum(receive_maximum));
    let (mut peer, _) = Peer::connect(stage, "alice", connect).await.prepared()?;
    peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    for payload in ["1", "2", "3"] {
        publisher.published(&stage.topic("t"), Qos::AtLeastOnce, payload.as_bytes(), false).await?;
    }
    Ok(peer)
}

async fn receive_maximum_is_never_exceeded(stage: &Stage) -> Outcome {
    let mut peer = crowded(stage, 2).await?;
    let mut unacknowledged: Vec<Seen<Packet>> = Vec::new();
    for number in 1..=2 {
        match (next_publish(&mut peer, number).await, unacknowledged.last()) {
            (Ok(publish), _) => unacknowledged.push(publish),
            (Err(_), Some(first)) if peer.is_open() => {
                return Err(Halt::unsupported("the server keeps one message in flight").at(first));
            }
            (Err(halt), _) => return Err(halt).prepared(),
        }
    }
    let (rest, fence) = peer.fence().await?;
    if let Some(third) = rest.iter().find(|packet| matches!(&***packet, Packet::Publish(_))) {
        return Err(Halt::fail(
            "expected two PUBLISHes under Receive Maximum 2, seen a third without an acknowledgement",
        )
        .at(third));
    }
    // With one acknowledged there is room for one more.
    if let Packet::Publish(first) = &*unacknowledged[0] {
        let id = first.packet_id.ok_or_else(|| Halt::unsupported("the server delivers at QoS 0"))?;
        peer.send(Packet::Puback(Ack::new(id))).await;
    }
    let third = next_publish(&mut peer, 3).await?;
    Ok(Evidence::of(&unacknowledged[0]).and(&unacknowledged[1]).and(&fence).and(&third))
}

async fn next_publish(peer: &mut Peer, number: u32) -> Result<Seen<Packet>, Halt> {
    match peer.next().await {
        Next::Packet(packet) if matches!(&*packet, Packet::Publish(_)) => Ok(packet),
        other => Err(Halt::fail(format!("expected PUBLISH number {number}, seen {other:?}"))),
    }
}

async fn other_packets_are_answered_while_the_quota_is_zero(stage: &Stage) -> Outcome {
    let mut peer = crowded(stage, 1).await?;
    let held = next_publish(&mut peer, 1).await.prepared()?;
    let (_, pong) = peer.pinged().await?;
    peer.send(subscribe(stage, id(9), &[("other", Qos::AtMostOnce)])).await;
    let suback = peer.expect::<Suback>().await?;
    Ok(Evidence::of(&held).and(&pong).and(&suback))
}
