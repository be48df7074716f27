//! What one packet costs, with its allocations. `cargo bench -p squall-codec`.

use bytes::{Bytes, BytesMut};
use divan::{AllocProfiler, Bencher, black_box};
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::Side,
    stream::Decoder,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A name, a version and a packet that is typical for it.
struct Case {
    name: &'static str,
    version: Version,
    packet: fn() -> Packet,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const CASES: &[Case] = &[
    Case { name: "PUBLISH 3.1.1, QoS 0, 64 bytes", version: Version::V3_1_1, packet: || Packet::Publish(publish()) },
    Case {
        name: "PUBLISH 3.1.1, QoS 1, 64 bytes",
        version: Version::V3_1_1,
        packet: || Packet::Publish(publish().at(Qos::AtLeastOnce, Some(PacketId::MIN))),
    },
    Case { name: "PUBLISH 5.0, QoS 0, 64 bytes", version: Version::V5_0, packet: || Packet::Publish(publish()) },
    Case {
        name: "PUBLISH 5.0, five properties",
        version: Version::V5_0,
        packet: || Packet::Publish(publish().with_properties(&properties())),
    },
    Case { name: "PUBACK 5.0", version: Version::V5_0, packet: || Packet::Puback(Ack::new(PacketId::MIN)) },
    Case { name: "CONNECT 5.0, will", version: Version::V5_0, packet: || Packet::Connect(Box::new(connect())) },
];

fn publish() -> Publish {
    Publish::new(&TopicName::literal("fleet/7/vehicle/1234/position"), [b'x'; 64])
}

fn properties() -> Properties {
    Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType(Text::literal("application/json")))
        .with(Property::CorrelationData(Bytes::from_static(&[7; 16])))
        .with(Property::UserProperty((Text::literal("trace"), Text::literal("4bf92f3577b34da6"))))
}

fn connect() -> Connect {
    let mut connect = Connect::new(Version::V5_0, Text::literal("vehicle-1234"));
    connect.keep_alive = 60;
    connect.username = Some(Text::literal("vehicle"));
    connect.password = Some(Bytes::from_static(b"secret"));
    connect.properties.push(Property::SessionExpiryInterval(3600));
    connect.will = Some(Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("fleet/7/vehicle/1234/state"),
        payload: Bytes::from_static(b"offline"),
        properties: Properties::new().with(Property::WillDelayInterval(30)),
    });
    connect
}

fn frame(case: &Case) -> Bytes {
    let mut out = BytesMut::new();
    (case.packet)().encode(case.version, &mut out).expect("a packet of this version");
    out.freeze()
}

#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, case: &Case) {
    let frame = frame(case);
    bencher.bench_local(|| Packet::decode(case.version, Side::Client, black_box(&frame).clone()));
}

#[divan::bench(args = CASES)]
fn encode(bencher: Bencher<'_, '_>, case: &Case) {
    let packet = (case.packet)();
    let mut out = BytesMut::with_capacity(1024);
    bencher.bench_local(|| {
        out.clear();
        black_box(&packet).encode(case.version, &mut out)
    });
}

/// A read of 100 packets, from bytes to packets.
#[divan::bench(args = CASES)]
fn stream_of_100(bencher: Bencher<'_, '_>, case: &Case) {
    let read = frame(case).repeat(100);
    bencher.counter(divan::counter::ItemsCount::new(100_u32)).bench_local(|| {
        let mut decoder = Decoder::new(Side::Client, Some(case.version), 65_536);
        decoder.extend(black_box(&read));
        while let Some(packet) = decoder.next_packet().expect("well-formed") {
            black_box(packet);
        }
    });
}
