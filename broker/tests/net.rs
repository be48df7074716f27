//! The driver over real sockets on the loopback: what it adds to the core is bytes, ends and bounds.
//!
//! No test waits for a fixed time. Each waits for an event, under one generous deadline that only a failure meets.

use std::{future::Future, io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use squall_broker::{
    core::{HashKey, config::Config},
    net::{
        server::{ServerOptions, serve},
        transport::Transport,
    },
};
use squall_codec::{
    packet::{Connect, Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: still waiting"))
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

async fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = Config::default();
    change(&mut config);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let options = ServerOptions::new(HashKey([1, 2]), Duration::ZERO).with_config(config);
    let task = tokio::spawn(serve(listener, options, async {
        let _ = stopped.await;
    }));
    Server { address, stop, task }
}

struct Client {
    stream: TcpStream,
    decoder: Decoder,
}

impl Client {
    async fn open(server: &Server) -> Client {
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        Client { stream, decoder: Decoder::new(Side::Server, Some(Version::V5_0), u32::MAX) }
    }

    async fn connected(server: &Server, client_id: &'static str) -> Client {
        let mut client = Client::open(server).await;
        client.send(&connect(client_id)).await;
        assert!(matches!(client.next().await, Some(Packet::Connack(_))));
        client
    }

    async fn send(&mut self, packet: &Packet) {
        self.stream.write_all(&bytes(packet)).await.expect("the connection is open");
    }

    /// The next packet; `None` at the end. A reset is a failure: what was written before it could be lost.
    async fn next(&mut self) -> Option<Packet> {
        soon("the next packet", async {
            let mut buffer = vec![0; 4096];
            loop {
                if let Some(packet) = self.decoder.next_packet().expect("the server sends packets") {
                    return Some(packet);
                }
                match self.stream.read(&mut buffer).await.expect("no reset") {
                    0 => return None,
                    count => self.decoder.extend(&buffer[..count]),
                }
            }
        })
        .await
    }
}

fn bytes(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(Version::V5_0, &mut out).expect("a packet");
    out
}

/// alice's CONNECT, with a will on the topic "will".
fn connect_with_will(payload: &'static [u8]) -> Packet {
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.set_will(Some(squall_codec::packet::Will {
        qos: Qos::AtMostOnce,
        retain: false,
        topic: TopicName::literal("will"),
        payload: bytes::Bytes::from_static(payload),
        properties: Default::default(),
    }));
    Packet::Connect(connect)
}

fn connect(client_id: &'static str) -> Packet {
    Packet::Connect(Connect::new(Version::V5_0, Text::literal(client_id)))
}

fn subscribe(filter: &'static str, qos: Qos) -> Packet {
    let subscription = Subscription::new(TopicFilter::literal(filter), qos);
    Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![subscription]))
}

fn publish(topic: &'static str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish::new(&TopicName::literal(topic), payload))
}

#[tokio::test]
async fn packets_sent_in_one_piece_and_byte_by_byte_are_answered_alike() {
    let server = server(|_| {}).await;
    let all = [
        bytes(&connect("alice")),
        bytes(&subscribe("t", Qos::AtMostOnce)),
        bytes(&publish("t", b"hi")),
        bytes(&Packet::Pingreq),
    ]
    .concat();
    for size in [all.len(), 1, 3] {
        let mut client = Client::open(&server).await;
        for piece in all.chunks(size) {
            client.stream.write_all(piece).await.expect("open");
        }
        assert!(matches!(client.next().await, Some(Packet::Connack(_))));
        assert!(matches!(client.next().await, Some(Packet::Suback(_))));
        assert_eq!(client.next().await, Some(publish("t", b"hi")));
        assert_eq!(client.next().await, Some(Packet::Pingresp));
    }
}

#[tokio::test]
async fn a_malformed_packet_closes_only_its_own_connection_and_its_sender_sees_why() {
    let server = server(|_| {}).await;
    let (mut alice, mut bob) = (Client::connected(&server, "alice").await, Client::connected(&server, "bob").await);
    // Much is still under way when the server closes; the reason arrives all the same, and then an end, not a reset.
    let mut much = vec![0; 2];
    much.extend(std::iter::repeat_n(0xC0, 30_000));
    alice.stream.write_all(&much).await.expect("open");
    let Some(Packet::Disconnect(disconnect)) = alice.next().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::MalformedPacket);
    assert_eq!(alice.next().await, None);
    bob.send(&Packet::Pingreq).await;
    assert_eq!(bob.next().await, Some(Packet::Pingresp));
}

#[tokio::test]
async fn what_is_no_mqtt_at_all_is_closed_in_silence() {
    let server = server(|_| {}).await;
    let mut client = Client::open(&server).await;
    client.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("open");
    let mut answer = Vec::new();
    soon("the end", client.stream.read_to_end(&mut answer)).await.expect("an end, not a reset");
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_subscriber_that_never_reads_holds_up_nobody_and_is_held_to_its_bound() {
    let server = server(|config| config.limits.unflushed_soft = 64 * 1024).await;
    let mut stuck = Client::connected(&server, "stuck").await;
    let mut bob = Client::connected(&server, "bob").await;
    stuck.send(&subscribe("big", Qos::AtMostOnce)).await;
    bob.send(&subscribe("small", Qos::AtMostOnce)).await;
    bob.next().await;
    let mut alice = Client::connected(&server, "alice").await;
    // 64 MiB for one who takes nothing: far more than sockets and the soft bound hold.
    let (rounds, payload) = (1024, vec![7; 64 * 1024]);
    for round in 0..rounds {
        alice.send(&publish("big", &payload)).await;
        if round % 64 == 0 {
            alice.send(&publish("small", b"still here")).await;
            assert_eq!(bob.next().await, Some(publish("small", b"still here")));
        }
    }
    alice.send(&publish("small", b"the end")).await;
    assert_eq!(bob.next().await, Some(publish("small", b"the end")));
    // What was kept for the stuck one is what it gets now: a small part, in order, and then what is new.
    assert!(matches!(stuck.next().await, Some(Packet::Suback(_))));
    stuck.send(&Packet::Pingreq).await;
    let mut got = 0;
    loop {
        match stuck.next().await {
            Some(Packet::Publish(_)) => got += 1,
            Some(Packet::Pingresp) => break,
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(got < rounds / 2, "{got} of {rounds} were kept");
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_closed() {
    let server = server(|config| {
        config.limits.unflushed_soft = 1024;
        config.limits.unflushed_hard = 64 * 1024;
        config.limits.maximum_packet_size = 1024;
    })
    .await;
    let mut watcher = Client::connected(&server, "watcher").await;
    watcher.send(&subscribe("will", Qos::AtMostOnce)).await;
    watcher.next().await;
    let mut alice = Client::open(&server).await;
    alice.send(&connect_with_will(b"closed")).await;
    // Pings without end; the answers fill the sockets and then the bound. The will tells that the server gave up.
    let pings = [0xC0, 0x00].repeat(32 * 1024);
    let flood = async { while alice.stream.write_all(&pings).await.is_ok() {} };
    let told = async { assert_eq!(watcher.next().await, Some(publish("will", b"closed"))) };
    soon("the server gives up", async { tokio::join!(flood, told) }).await;
}

#[tokio::test]
async fn a_message_of_two_mebibytes_passes_unchanged() {
    let server = server(|_| {}).await;
    let mut alice = Client::connected(&server, "alice").await;
    alice.send(&subscribe("t", Qos::AtMostOnce)).await;
    alice.next().await;
    let payload: Vec<u8> = (0..2 * 1024 * 1024 + 1).map(|index| index as u8).collect();
    alice.send(&publish("t", &payload)).await;
    let Some(Packet::Publish(received)) = alice.next().await else { panic!("no PUBLISH") };
    assert!(received.payload() == payload);
}

#[tokio::test]
async fn a_packet_beyond_the_limit_is_refused_from_its_header() {
    let server = server(|config| config.limits.maximum_packet_size = 100).await;
    let mut alice = Client::connected(&server, "alice").await;
    // 101 bytes in all, of which only the header comes.
    alice.stream.write_all(&[0x30, 99]).await.expect("open");
    let Some(Packet::Disconnect(disconnect)) = alice.next().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::PacketTooLarge);
    assert_eq!(alice.next().await, None);
}

#[tokio::test]
async fn a_client_that_closed_its_own_direction_still_gets_its_answers() {
    let server = server(|_| {}).await;
    let mut alice = Client::open(&server).await;
    alice.send(&connect("alice")).await;
    alice.send(&Packet::Pingreq).await;
    alice.stream.shutdown().await.expect("open");
    assert!(matches!(alice.next().await, Some(Packet::Connack(_))));
    assert_eq!(alice.next().await, Some(Packet::Pingresp));
    assert_eq!(alice.next().await, None);
}

#[tokio::test]
async fn a_broken_connection_publishes_the_will() {
    let server = server(|_| {}).await;
    let mut watcher = Client::connected(&server, "watcher").await;
    watcher.send(&subscribe("will", Qos::AtMostOnce)).await;
    watcher.next().await;
    let mut alice = Client::open(&server).await;
    alice.send(&connect_with_will(b"gone")).await;
    alice.next().await;
    drop(alice);
    assert_eq!(watcher.next().await, Some(publish("will", b"gone")));
}

#[tokio::test]
async fn shutdown_tells_the_clients_and_ends_the_server() {
    let server = server(|_| {}).await;
    let mut alice = Client::connected(&server, "alice").await;
    server.stop.send(()).expect("the server runs");
    let Some(Packet::Disconnect(disconnect)) = alice.next().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown);
    assert_eq!(alice.next().await, None);
    soon("the server's end", server.task).await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_client_that_never_reads() {
    let server = server(|config| config.limits.unflushed_soft = 16 << 20).await;
    let mut stuck = Client::connected(&server, "stuck").await;
    stuck.send(&subscribe("t", Qos::AtMostOnce)).await;
    let mut alice = Client::connected(&server, "alice").await;
    for _ in 0..16 {
        alice.send(&publish("t", &vec![0; 1 << 20])).await;
    }
    alice.send(&Packet::Pingreq).await;
    alice.next().await;
    server.stop.send(()).expect("the server runs");
    soon("the server's end", server.task).await.expect("no panic").expect("no error");
}

#[tokio::test(start_paused = true)]
async fn keep_alive_runs_on_tokios_clock() {
    // Over an in-memory pipe the paused clock moves as soon as everyone waits: 15 virtual seconds pass at once.
    let (listener, dial) = pipes();
    let options = ServerOptions::new(HashKey([1, 2]), Duration::ZERO);
    tokio::spawn(serve(listener, options, std::future::pending()));
    let (client, server_side) = tokio::io::duplex(1024);
    dial.send(server_side).expect("the server listens");
    let (mut reader, mut writer) = tokio::io::split(client);
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.keep_alive = 10;
    writer.write_all(&bytes(&Packet::Connect(connect))).await.expect("open");
    let mut decoder = Decoder::new(Side::Server, Some(Version::V5_0), u32::MAX);
    let (mut buffer, mut packets) = ([0; 256], Vec::new());
    #[expect(clippy::disallowed_methods, reason = "the test looks at the virtual clock")]
    let start = tokio::time::Instant::now();
    while packets.len() < 2 {
        let count = reader.read(&mut buffer).await.expect("open");
        decoder.extend(&buffer[..count]);
        packets.extend(decoder.next_packet().expect("packets"));
    }
    let Packet::Disconnect(disconnect) = &packets[1] else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::KeepAliveTimeout);
    let waited = start.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_millis(15_010)).contains(&waited), "{waited:?}");
}

struct Pipes(tokio::sync::Mutex<tokio::sync::mpsc::UnboundedReceiver<tokio::io::DuplexStream>>);

fn pipes() -> (Pipes, tokio::sync::mpsc::UnboundedSender<tokio::io::DuplexStream>) {
    let (dial, incoming) = tokio::sync::mpsc::unbounded_channel();
    (Pipes(tokio::sync::Mutex::new(incoming)), dial)
}

impl squall_broker::net::listener::Listener for Pipes {
    async fn accept(&self) -> io::Result<(Transport, squall_broker::core::effect::PeerInfo)> {
        match self.0.lock().await.recv().await {
            Some(pipe) => Ok((Transport::new(pipe), Default::default())),
            None => std::future::pending().await,
        }
    }
}
