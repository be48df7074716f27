//! A server on a disk that fills up and breaks, over real sockets: it tells who asks, serves the others, and recovers.

use std::{io, net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::BytesMut;
use squall_broker::{
    core::HashKey,
    net::server::{ServerOptions, serve},
    store::disk::{DiskStore, Durability},
};
use squall_codec::{
    packet::{Connect, Disconnect, Packet, Subscribe, Subscription},
    property::Property,
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicFilter,
    version::Version,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::records::*;

/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

async fn server(disk: &Disk) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let mut options = ServerOptions::new(HashKey([1, 2]), Duration::ZERO);
    let store = DiskStore::with_backend(disk.clone(), "memory", Durability::Disk).expect("a store");
    options.store = Box::new(store.in_background());
    let task = tokio::spawn(serve(listener, options, async {
        let _ = stopped.await;
    }));
    Server { address, stop, task }
}

impl Server {
    async fn end(self) {
        self.stop.send(()).expect("it runs");
        tokio::time::timeout(PATIENCE, self.task).await.expect("an end").expect("no panic").expect("no error");
    }
}

struct Client(TcpStream, Decoder);

impl Client {
    /// The client, and what CONNACK says.
    async fn connect(server: &Server, name: &'static str, expiry_seconds: u32) -> (Client, ReasonCode, bool) {
        let stream = TcpStream::connect(server.address).await.expect("it listens");
        let mut client = Client(stream, Decoder::new(Side::Server, Some(Version::V5_0), u32::MAX));
        let mut connect = Connect::new(Version::V5_0, squall_codec::wire::Text::literal(name));
        connect.clean_start = expiry_seconds == 0;
        connect.push_property(Property::SessionExpiryInterval(expiry_seconds));
        client.send(&Packet::Connect(connect)).await;
        let Packet::Connack(connack) = client.next().await else { panic!("no CONNACK") };
        (client, connack.reason, connack.session_present)
    }

    async fn joined(server: &Server, name: &'static str, expiry_seconds: u32) -> Client {
        let (client, reason, _) = Client::connect(server, name, expiry_seconds).await;
        assert_eq!(reason, ReasonCode::Success);
        client
    }

    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V5_0, &mut bytes).expect("a packet");
        self.0.write_all(&bytes).await.expect("open");
    }

    async fn next(&mut self) -> Packet {
        let mut buffer = [0; 4096];
        loop {
            if let Some(packet) = self.1.next_packet().expect("packets") {
                return packet;
            }
            let read = tokio::time::timeout(PATIENCE, self.0.read(&mut buffer)).await.expect("an answer");
            match read.expect("open") {
                0 => panic!("the server has hung up"),
                count => self.1.extend(&buffer[..count]),
            }
        }
    }

    /// DISCONNECT, until the server has heard it. That the session is kept from now on is told to nobody: who asks for something
    /// afterwards and is answered knows that it was written.
    async fn leave(mut self) {
        self.send(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))).await;
        let hung_up = tokio::time::timeout(PATIENCE, self.0.read(&mut [0; 1])).await.expect("an end");
        assert_eq!(hung_up.expect("no reset"), 0);
    }

    async fn subscribe(&mut self, filter: &'static str) -> ReasonCode {
        let subscription = Subscription::new(TopicFilter::literal(filter), Qos::AtLeastOnce);
        self.send(&Packet::Subscribe(Subscribe::new(id(1), vec![subscription]))).await;
        let Packet::Suback(suback) = self.next().await else { panic!("no SUBACK") };
        suback.reasons[0]
    }

    async fn publish(&mut self, topic: &str, payload: &str) -> ReasonCode {
        let mut publish = message(Qos::AtLeastOnce, topic, payload.as_bytes());
        publish.packet_id = Some(id(1));
        self.send(&Packet::Publish(publish)).await;
        match self.next().await {
            Packet::Puback(ack) => ack.reason,
            other => panic!("no PUBACK: {other:?}"),
        }
    }
}

/// bob subscribes to `t` and is away; alice publishes; the clean `watcher` subscribes to `live`.
async fn scene(server: &Server) -> (Client, Client) {
    let mut bob = Client::joined(server, "bob", 1000).await;
    assert_eq!(bob.subscribe("t").await, ReasonCode::GrantedQos1);
    bob.leave().await;
    let mut watcher = Client::joined(server, "watcher", 0).await;
    assert_eq!(watcher.subscribe("live").await, ReasonCode::GrantedQos1);
    (Client::joined(server, "alice", 0).await, watcher)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_survived_and_left_behind() {
    let disk = Disk::new();
    let server_on_disk = server(&disk).await;
    let (mut alice, mut watcher) = scene(&server_on_disk).await;
    let mut accepted = Vec::new();
    for round in 0..3 {
        let before = format!("before {round}");
        assert_eq!(alice.publish("t", &before).await, ReasonCode::Success);
        accepted.push(before);
        disk.room.store(round, Ordering::SeqCst);
        // The first to ask when the disk is full waits for a commit that fails, and cannot know what became of it.
        let mut unlucky = Client::joined(&server_on_disk, "unlucky", 0).await;
        let mut doubtful = message(Qos::AtLeastOnce, "t", b"doubtful");
        doubtful.packet_id = Some(id(1));
        unlucky.send(&Packet::Publish(doubtful)).await;
        let Packet::Disconnect(disconnect) = unlucky.next().await else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.reason, ReasonCode::QuotaExceeded);
        // From then on it is said beforehand.
        assert_eq!(alice.publish("t", "refused").await, ReasonCode::QuotaExceeded);
        let (_, reason, _) = Client::connect(&server_on_disk, "new", 1000).await;
        assert_eq!(reason, ReasonCode::QuotaExceeded);
        // Who needs no store is served.
        assert_eq!(alice.publish("live", "on").await, ReasonCode::Success);
        assert!(matches!(watcher.next().await, Packet::Publish(publish) if publish.payload() == b"on"));
        watcher.send(&Packet::Puback(squall_codec::packet::Ack::new(id(round as u16 + 1)))).await;
        disk.make_room();
        // It recovers by itself.
        let mut tries = 0;
        loop {
            let payload = format!("again {round} {tries}");
            match alice.publish("t", &payload).await {
                ReasonCode::Success => break accepted.push(payload),
                ReasonCode::QuotaExceeded => tries += 1,
                other => panic!("unexpected {other:?}"),
            }
        }
    }
    server_on_disk.end().await;
    let server_on_disk = server(&disk).await;
    let (mut bob, _, present) = Client::connect(&server_on_disk, "bob", 1000).await;
    assert!(present);
    let mut received = Vec::new();
    while received.last() != accepted.last() {
        let Packet::Publish(publish) = bob.next().await else { panic!("no PUBLISH") };
        received.push(String::from_utf8(publish.payload().to_vec()).expect("text"));
    }
    received.retain(|payload| payload != "doubtful");
    assert_eq!(received, accepted);
    server_on_disk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_disk_does_not_keep_the_server_from_ending() {
    let disk = Disk::new();
    let server_on_disk = server(&disk).await;
    let (mut alice, _watcher) = scene(&server_on_disk).await;
    assert_eq!(alice.publish("t", "before").await, ReasonCode::Success);
    disk.broken.store(true, Ordering::SeqCst);
    let mut unlucky = Client::joined(&server_on_disk, "unlucky", 0).await;
    let mut doubtful = message(Qos::AtLeastOnce, "t", b"doubtful");
    doubtful.packet_id = Some(id(1));
    unlucky.send(&Packet::Publish(doubtful)).await;
    let told = unlucky.next().await;
    assert!(matches!(told, Packet::Disconnect(_)), "{told:?}");
    assert_eq!(alice.publish("t", "refused").await, ReasonCode::QuotaExceeded);
    server_on_disk.end().await;
}
