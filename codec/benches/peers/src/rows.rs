//! The streams that are measured, written by our encoder; a codec that writes other bytes for the same packets is told.

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Subscribe, Subscription, Unsubscribe, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version::{self, V3_1_1, V5_0},
    wire::{PacketId, Text},
};

/// A stream of packets of one version.
pub struct Row {
    pub name: String,
    pub version: Version,
    pub packets: usize,
    pub stream: Vec<u8>,
}

/// The same packet so often that the clock's own cost does not matter.
const REPEATED: usize = 256;

const BOTH: [Version; 2] = [V3_1_1, V5_0];

/// What is compared with the peers.
pub fn compared() -> Vec<Row> {
    let mut rows = vec![
        same("PUBLISH 3.1.1, QoS 0, 64 B", V3_1_1, Packet::Publish(publish(64))),
        same("PUBLISH 3.1.1, QoS 1, 1 KiB", V3_1_1, Packet::Publish(at_qos_1(publish(1024)))),
        same("PUBLISH 5.0, QoS 0, 64 B, no property", V5_0, Packet::Publish(publish(64))),
        same("PUBLISH 5.0, QoS 0, 64 B, 5 properties", V5_0, Packet::Publish(publish(64).with_properties(&five()))),
        same("PUBLISH 5.0, QoS 1, 1 KiB, no property", V5_0, Packet::Publish(at_qos_1(publish(1024)))),
    ];
    for version in BOTH {
        rows.push(same(&format!("CONNECT {version}, will{}", properties(version)), version, connect(version)));
    }
    for version in BOTH {
        rows.push(same(&format!("SUBSCRIBE {version}, 8 filters"), version, subscribe(8)));
    }
    rows.push(same("PUBACK 3.1.1", V3_1_1, Packet::Puback(Ack::new(id(7)))));
    rows.push(same("PUBACK 5.0, short form", V5_0, Packet::Puback(Ack::new(id(7)))));
    let refusal = Ack::with_reason(id(7), ReasonCode::QuotaExceeded);
    rows.push(same("PUBACK 5.0, with a reason", V5_0, Packet::Puback(refusal)));
    rows.extend(BOTH.map(mixed));
    rows
}

/// Into which pieces the mixed streams are cut as well.
pub const PIECES: [usize; 3] = [1460, 64, 1];

/// What shows how the cost of ours grows.
pub fn growing() -> Vec<Row> {
    let mut rows = Vec::new();
    for count in [0, 1, 5, 10, 20, 30] {
        let pairs = (0..count).map(|_| Property::UserProperty((Text::literal("trace"), Text::literal("4bf92f3577b3"))));
        let publish = publish(64).with_properties(&pairs.collect::<Properties>());
        rows.push(same(&format!("PUBLISH 5.0, {count} User Properties"), V5_0, Packet::Publish(publish)));
    }
    for count in [1, 2, 4, 8, 16, 32, 64] {
        rows.push(same(&format!("SUBSCRIBE 5.0, {count} filters"), V5_0, subscribe(count)));
    }
    rows
}

/// 1,000 packets as a client sends them: of 20 packets 11 PUBLISH at QoS 0, 4 at QoS 1, 3 PUBACK, and of each hundred
/// a SUBSCRIBE, an UNSUBSCRIBE, the three packets of QoS 2 and PINGREQ for the rest.
pub fn mixed(version: Version) -> Row {
    let packets = (0..1000_u16).map(|n| match n % 20 {
        0..11 if n % 2 == 0 => Packet::Publish(publish(64)),
        0..11 => Packet::Publish(publish(256).with_properties(&of(version, five))),
        11..15 => Packet::Publish(at_qos_1(publish(128))),
        15..18 => Packet::Puback(Ack::new(id(n))),
        18 => match n / 20 % 5 {
            0 => subscribe(3),
            1 => Packet::Unsubscribe(Unsubscribe::new(id(n), vec![TopicFilter::literal("fleet/7/+/position")])),
            2 => Packet::Pubrec(Ack::new(id(n))),
            3 => Packet::Pubrel(Ack::new(id(n))),
            _ => Packet::Pubcomp(Ack::new(id(n))),
        },
        _ => Packet::Pingreq,
    });
    let name = format!("mixed stream of 1,000 packets, {version}");
    Row { name, version, packets: 1000, stream: packets.flat_map(|packet| written(version, &packet)).collect() }
}

fn same(name: &str, version: Version, packet: Packet) -> Row {
    Row { name: name.into(), version, packets: REPEATED, stream: written(version, &packet).repeat(REPEATED) }
}

fn written(version: Version, packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a packet of this version");
    out
}

fn properties(version: Version) -> &'static str {
    if version.has_properties() { " and properties" } else { "" }
}

fn of(version: Version, properties: fn() -> Properties) -> Properties {
    if version.has_properties() { properties() } else { Properties::new() }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value.max(1)).expect("not 0")
}

fn publish(payload: usize) -> Publish {
    Publish::new(&TopicName::literal("fleet/7/vehicle/1234/position"), vec![b'x'; payload])
}

fn at_qos_1(publish: Publish) -> Publish {
    publish.at(Qos::AtLeastOnce, Some(id(7)))
}

/// In the order in which most encoders write them.
fn five() -> Properties {
    Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(Text::literal("application/json")))
        .with(Property::ResponseTopic(Text::literal("fleet/7/answers")))
        .with(Property::CorrelationData(Bytes::from_static(&[7; 16])))
        .with(Property::UserProperty((Text::literal("trace"), Text::literal("4bf92f3577b34da6"))))
}

fn connect(version: Version) -> Packet {
    let mut connect = Connect::new(version, Text::literal("vehicle-1234"));
    connect.keep_alive = 60;
    connect.set_username(Some(Text::literal("vehicle")));
    connect.set_password(Some(Bytes::from_static(b"secret")));
    connect.set_properties(of(version, || {
        Properties::new()
            .with(Property::SessionExpiryInterval(3600))
            .with(Property::ReceiveMaximum(20))
            .with(Property::TopicAliasMaximum(10))
            .with(Property::UserProperty((Text::literal("model"), Text::literal("x-1"))))
    }));
    connect.set_will(Some(Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("fleet/7/vehicle/1234/state"),
        payload: Bytes::from_static(b"offline"),
        properties: of(version, || {
            Properties::new()
                .with(Property::WillDelayInterval(30))
                .with(Property::ContentType(Text::literal("text/plain")))
        }),
    }));
    Packet::Connect(connect)
}

fn subscribe(filters: usize) -> Packet {
    let filters = (0..filters).map(|n| TopicFilter::try_from(&*format!("fleet/{n}/+/position")).expect("a filter"));
    let subscriptions = filters.map(|filter| Subscription::new(filter, Qos::AtLeastOnce)).collect();
    Packet::Subscribe(Subscribe::new(id(7), subscriptions))
}
