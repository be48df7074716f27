//! The packets that tests ask with, on topics below the test's own root.

use bytes::BytesMut;
use squall_codec::{
    packet::{Connect, Packet, Publish, Subscribe, Subscription, Unsubscribe},
    property::Property,
    qos::Qos,
    version::Version,
    wire::PacketId,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Halt, Preparing},
};

use super::{
    bytes::variable,
    judge::Unnoticed,
    offer,
    watch::{filter, name},
};

/// Whether the test speaks 5.0.
pub(crate) fn is_v5(stage: &Stage) -> bool {
    stage.version() == Version::V5_0
}

/// What becomes of a server that does not notice a fault which 5.0 calls one, in words that bind the client only: it fails
/// when it answers as if nothing were wrong. 3.1.1 has it close in any case ([MQTT-4.8.0-1]).
pub(crate) fn answered(stage: &Stage) -> Unnoticed {
    if is_v5(stage) { Unnoticed::FailsIfAnswered } else { Unnoticed::Fails }
}

/// A packet identifier that stands in the source.
pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("a test's packet identifiers are not zero")
}

/// A SUBSCRIBE to filters below the test's own root.
pub(crate) fn subscribe(stage: &Stage, packet_id: PacketId, filters: &[(&str, Qos)]) -> Packet {
    let subscriptions = filters.iter().map(|(below, qos)| Subscription::new(filter(&stage.topic(below)), *qos));
    Packet::Subscribe(Subscribe::new(packet_id, subscriptions.collect()))
}

/// An UNSUBSCRIBE from filters below the test's own root.
pub(crate) fn unsubscribe(stage: &Stage, packet_id: PacketId, filters: &[&str]) -> Packet {
    Packet::Unsubscribe(Unsubscribe::new(packet_id, filters.iter().map(|below| filter(&stage.topic(below))).collect()))
}

/// A PUBLISH on a topic below the test's own root; `packet_id` is left out at QoS 0.
pub(crate) fn publish(stage: &Stage, below: &str, qos: Qos, packet_id: PacketId, payload: &str) -> Publish {
    Publish::new(&name(&stage.topic(below)), payload).at(qos, (qos != Qos::AtMostOnce).then_some(packet_id))
}

/// How long a lasting session of a test lives, in seconds.
const LASTING_SECONDS: u32 = 300;

/// A CONNECT whose session outlives the connection. It does not ask for a fresh one.
pub(crate) fn lasting(stage: &Stage, actor: &str) -> Connect {
    let mut connect = Peer::hello(stage, actor);
    connect.clean_start = false;
    if is_v5(stage) {
        connect.push_property(Property::SessionExpiryInterval(LASTING_SECONDS));
    }
    connect
}

/// A client whose session outlives the connection; `unsupported` where the server announces that it does not.
pub(crate) async fn lasting_peer(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
    let (peer, _) = Peer::connect(stage, actor, lasting(stage, actor)).await.prepared()?;
    offer::session_expiry(&peer, LASTING_SECONDS)?;
    Ok(peer)
}

/// The lasting session of an actor again, on a new connection: `inconclusive` if the server does not have it any more.
pub(crate) async fn resumed(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
    let (peer, connack) = Peer::connect(stage, actor, lasting(stage, actor)).await.prepared()?;
    if !connack.session_present {
        return Err(Halt::inconclusive("the server did not keep the session (Session Present 0)").at(&connack));
    }
    Ok(peer)
}

/// The bytes of a packet, for changing some of them.
pub(crate) fn bytes_of(stage: &Stage, packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(stage.version(), &mut out).expect("a test begins with a packet that can be written");
    out.to_vec()
}

/// A frame: the first byte, the Remaining Length, the rest.
pub(crate) fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    [vec![first], variable(body.len()), body.to_vec()].concat()
}

/// A string or Binary Data: two bytes of length, then the bytes, whatever they are.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a field of a test is short");
    [&length.to_be_bytes(), bytes].concat()
}
