//! What a delivery costs the core: at QoS 0 no memory that was not there before.

use std::time::Duration;

use bytes::BytesMut;
use squall_broker::core::{
    HashKey,
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, ConnectionId, Effect, Input, PeerInfo},
};
use squall_codec::{
    packet::{Connect, Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::Side,
    stream::Decoder,
    time::Now,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

const READERS: u64 = 100;
const PUBLISHER: ConnectionId = ConnectionId(0);

/// Takes an input and lets everyone in: how many PUBLISH packets went out.
fn take(broker: &mut Broker, input: Input) -> u64 {
    let now = Now { monotonic: Duration::from_secs(1), unix: Duration::from_secs(1) };
    let mut deliveries = 0;
    let mut asked = None;
    for effect in broker.handle(now, input) {
        match effect {
            Effect::Send { packet: Packet::Publish(_), .. } => deliveries += 1,
            Effect::Authenticate { connection, .. } => asked = Some(connection),
            _ => {}
        }
    }
    if let Some(connection) = asked {
        let outcome = AuthenticationOutcome::Allowed { user: None, data: None };
        return take(broker, Input::Authenticated { connection, outcome });
    }
    deliveries
}

fn connect(broker: &mut Broker, connection: ConnectionId) {
    take(broker, Input::Opened { connection, peer: PeerInfo::default() });
    let client_id = Text::new(format!("client-{}", connection.0)).expect("a client identifier");
    let packet = Packet::Connect(Connect::new(Version::V3_1_1, client_id));
    take(broker, Input::Packet { connection, packet });
}

/// As many PUBLISH packets as are asked for, taken from one read buffer as the driver does it.
fn publishes(count: usize) -> Vec<Input> {
    let mut bytes = BytesMut::new();
    let client_id = Text::literal("client");
    let connect = Packet::Connect(Connect::new(Version::V3_1_1, client_id));
    connect.encode(Version::V3_1_1, &mut bytes).expect("a CONNECT");
    let publish = Packet::Publish(Publish::new(&TopicName::literal("room/one"), [7; 64]));
    for _ in 0..count {
        publish.encode(Version::V3_1_1, &mut bytes).expect("a PUBLISH");
    }
    let mut decoder = Decoder::new(Side::Client, None, 1 << 20);
    decoder.extend(&bytes);
    let packets = std::iter::from_fn(|| decoder.next_packet().expect("well-formed"));
    packets.skip(1).map(|packet| Input::Packet { connection: PUBLISHER, packet }).collect()
}

#[test]
fn a_delivery_at_qos_0_allocates_nothing() {
    const WARM: usize = 100;
    const MEASURED: usize = 50;
    let mut broker = Broker::new(Now::default(), Config::default(), HashKey([1, 2]));
    connect(&mut broker, PUBLISHER);
    for reader in (1..=READERS).map(ConnectionId) {
        connect(&mut broker, reader);
        let subscription = Subscription::new(TopicFilter::literal("room/+"), Qos::AtMostOnce);
        let subscribe = Subscribe::new(PacketId::MIN, vec![subscription]);
        take(&mut broker, Input::Packet { connection: reader, packet: Packet::Subscribe(subscribe) });
    }
    // The books of what is under way grow to what is usual; most of it leaves.
    for input in publishes(WARM) {
        take(&mut broker, input);
    }
    for connection in (1..=READERS).map(ConnectionId) {
        let bytes = broker.bytes_unflushed(connection).expect("it is open") - 1;
        take(&mut broker, Input::Flushed { connection, bytes });
    }
    let inputs = publishes(MEASURED);
    let mut deliveries = 0;
    let allocated = allocation_counter::measure(|| {
        for input in inputs {
            deliveries += take(&mut broker, input);
        }
    });
    assert_eq!(deliveries, READERS * MEASURED as u64);
    assert_eq!(allocated.count_total, 0, "{deliveries} deliveries allocate");
}
