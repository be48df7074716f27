//! The driver on loopback, against a server that the test plays byte by byte.

use std::{io, time::Duration};

use squall_client::{
    core::effect::{DisconnectCause, Event, Failure},
    net::{
        clock::Clock,
        connector::{Connector, TcpConnector},
        driver::start,
        handle::{Events, Handle, PublishError},
        messages::Messages,
    },
    options::{Acknowledge, Options, Reconnect},
};
use squall_codec::{
    packet::{Ack, Connack, Disconnect, Packet, Publish, Suback, Subscription},
    property::Properties,
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The server's end of one connection.
struct Peer<S = TcpStream> {
    stream: S,
    decoder: Decoder,
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Peer { stream, decoder: Decoder::new(Side::Client, None, u32::MAX) }
    }

    /// `None` at the end of the connection.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("the client sends well-formed packets") {
                return Some(packet);
            }
            let mut buffer = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the client says something in time") {
                Ok(0) => return None,
                Ok(count) => self.decoder.extend(&buffer[..count]),
                Err(error) => panic!("the client reset the connection: {error}"),
            }
        }
    }

    async fn send(&mut self, packet: Packet) {
        let mut bytes = bytes::BytesMut::new();
        packet.encode(Version::V5_0, &mut bytes).expect("a test sends what can be written");
        self.stream.write_all(&bytes).await.expect("the client reads");
    }

    /// CONNECT and CONNACK.
    async fn welcome(mut self, session_present: bool) -> Self {
        assert!(matches!(self.next().await, Some(Packet::Connect(_))));
        let connack = Connack { session_present, ..Connack::new(ReasonCode::Success) };
        self.send(Packet::Connack(Box::new(connack))).await;
        self
    }

    async fn expect_publish(&mut self) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("expected PUBLISH, saw {other:?}"),
        }
    }
}

struct World {
    listener: TcpListener,
    handle: Handle,
    messages: Messages,
    events: Events,
    driver: JoinHandle<()>,
}

impl World {
    async fn new(options: Options) -> World {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let port = listener.local_addr().expect("bound").port();
        let connector = TcpConnector { host: "127.0.0.1".to_owned(), port };
        let (handle, messages, events, driver) = start(options, connector, 1);
        World { listener, handle, messages, events, driver: tokio::spawn(driver) }
    }

    async fn accept(&mut self) -> Peer {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("the client connects in time");
        Peer::new(accepted.expect("accepted").0)
    }

    async fn welcome(&mut self, session_present: bool) -> Peer {
        let peer = self.accept().await.welcome(session_present).await;
        assert!(matches!(self.event().await, Some(Event::Connected { .. })));
        peer
    }

    async fn event(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.events.next()).await.expect("an event in time")
    }
}

fn options() -> Options {
    Options {
        clean_start: false,
        session_expiry_seconds: Some(3600),
        reconnect: Reconnect::Backoff { first: Duration::from_millis(10), max: Duration::from_millis(10) },
        ..Options::new(Version::V5_0, Text::literal("alice"))
    }
}

fn message(qos: Qos, payload: impl AsRef<[u8]>) -> Publish {
    Publish::new(&TopicName::literal("t"), payload).at(qos, None)
}

fn incoming(qos: Qos, packet_id: u16, payload: impl AsRef<[u8]>) -> Packet {
    Packet::Publish(message(qos, payload).at(qos, PacketId::new(packet_id)))
}

fn spawn_publish(handle: &Handle, qos: Qos) -> JoinHandle<Result<squall_client::net::handle::Published, PublishError>> {
    let handle = handle.clone();
    tokio::spawn(async move { handle.publish(message(qos, "x")).await })
}

#[tokio::test]
async fn publish_resolves_when_its_qos_is_fulfilled() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    world.handle.publish(message(Qos::AtMostOnce, "x")).await.expect("handed over");
    peer.expect_publish().await;

    let at_2 = spawn_publish(&world.handle, Qos::ExactlyOnce);
    let packet_id = peer.expect_publish().await.packet_id.expect("QoS 2 has an identifier");
    peer.send(Packet::Pubrec(Ack::new(packet_id))).await;
    assert_eq!(peer.next().await, Some(Packet::Pubrel(Ack::new(packet_id))));
    assert!(!at_2.is_finished());
    peer.send(Packet::Pubcomp(Ack::new(packet_id))).await;
    assert_eq!(at_2.await.expect("no panic").expect("published").reason, ReasonCode::Success);

    let refused = spawn_publish(&world.handle, Qos::AtLeastOnce);
    let packet_id = peer.expect_publish().await.packet_id.expect("QoS 1 has an identifier");
    peer.send(Packet::Puback(Ack::with_reason(packet_id, ReasonCode::NotAuthorized))).await;
    let error = refused.await.expect("no panic").expect_err("refused");
    assert!(matches!(error, PublishError::Refused { reason: ReasonCode::NotAuthorized, .. }), "{error}");
}

#[tokio::test]
async fn a_message_outlives_its_connection_and_resolves_on_the_next() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    let publishing = spawn_publish(&world.handle, Qos::AtLeastOnce);
    let first = peer.expect_publish().await;
    drop(peer);
    assert!(matches!(world.event().await, Some(Event::Disconnected { reconnecting: true, .. })));
    let mut peer = world.welcome(true).await;
    let again = peer.expect_publish().await;
    assert!(again.dup && again.packet_id == first.packet_id);
    peer.send(Packet::Puback(Ack::new(again.packet_id.expect("QoS 1 has an identifier")))).await;
    publishing.await.expect("no panic").expect("published");
}

#[tokio::test]
async fn a_dropped_future_takes_no_accepted_message_with_it() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    {
        let publishing = world.handle.publish(message(Qos::AtLeastOnce, "x"));
        let mut publishing = std::pin::pin!(publishing);
        // Polled until the driver has taken it, and then forgotten.
        tokio::select! {
            biased;
            _ = &mut publishing => panic!("nobody has acknowledged it"),
            first = peer.expect_publish() => assert_eq!(first.payload(), b"x"),
        }
    }
    drop(peer);
    let mut peer = world.accept().await.welcome(true).await;
    assert_eq!(peer.expect_publish().await.payload(), b"x");
}

#[tokio::test]
async fn disconnect_is_the_last_packet_and_ends_the_driver() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    let handle = world.handle.clone();
    let leaving = tokio::spawn(async move { handle.disconnect(ReasonCode::Success, None).await });
    assert_eq!(peer.next().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::Success))));
    assert_eq!(peer.next().await, None);
    drop(peer);
    leaving.await.expect("no panic");
    let cause = DisconnectCause::Application;
    assert_eq!(world.event().await, Some(Event::Disconnected { cause, reconnecting: false }));
    assert_eq!(world.event().await, None);
    world.driver.await.expect("no panic");
    let error = world.handle.publish(message(Qos::AtLeastOnce, "x")).await.expect_err("it has ended");
    assert_eq!(error, PublishError::Failed(Failure::Disconnected));
    world.handle.disconnect(ReasonCode::Success, None).await;
}

#[tokio::test]
async fn a_disconnect_reaches_the_server_though_messages_of_it_are_unread() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    for _ in 0..200 {
        peer.send(incoming(Qos::AtMostOnce, 0, [0; 100])).await;
    }
    let handle = world.handle.clone();
    let leaving = tokio::spawn(async move { handle.disconnect(ReasonCode::Success, None).await });
    assert_eq!(peer.next().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::Success))));
    assert_eq!(peer.next().await, None);
    drop(peer);
    leaving.await.expect("no panic");
}

#[tokio::test]
async fn when_all_handles_and_the_messages_are_gone_the_client_disconnects() {
    let mut world = World::new(options()).await;
    let mut peer = world.welcome(false).await;
    drop(world.handle);
    drop(world.messages);
    assert_eq!(peer.next().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::Success))));
    assert_eq!(peer.next().await, None);
    drop(peer);
    world.driver.await.expect("no panic");
}

#[tokio::test]
async fn subscribing_gives_one_reason_each_and_messages_come_in_order() {
    let mut world = World::new(Options { acknowledge: Acknowledge::ByHand, ..options() }).await;
    let mut peer = world.welcome(false).await;
    let handle = world.handle.clone();
    let subscribing = tokio::spawn(async move {
        let wanted = vec![Subscription::new(TopicFilter::literal("t"), Qos::AtLeastOnce)];
        handle.subscribe(wanted, Properties::new()).await
    });
    let Some(Packet::Subscribe(subscribe)) = peer.next().await else { panic!("expected SUBSCRIBE") };
    peer.send(Packet::Suback(Suback::new(subscribe.packet_id, vec![ReasonCode::GrantedQos1]))).await;
    assert_eq!(subscribing.await.expect("no panic"), Ok(vec![ReasonCode::GrantedQos1]));
    // More than the channel holds: the socket waits for the application, and nothing is lost.
    for number in 1..=500u16 {
        peer.send(incoming(Qos::AtLeastOnce, number, number.to_string())).await;
    }
    for number in 1..=500u16 {
        let message = timeout(PATIENCE, world.messages.next()).await.expect("in time").expect("the client runs");
        assert_eq!(message.payload(), number.to_string().as_bytes());
        message.ack();
        assert_eq!(peer.next().await, Some(Packet::Puback(Ack::new(PacketId::new(number).expect("not 0")))));
    }
}

#[tokio::test]
async fn without_a_policy_a_lost_connection_ends_the_client_and_answers_everyone() {
    let mut world = World::new(Options { reconnect: Reconnect::Never, ..options() }).await;
    let mut peer = world.welcome(false).await;
    let publishing = spawn_publish(&world.handle, Qos::AtLeastOnce);
    peer.expect_publish().await;
    drop(peer);
    let error = publishing.await.expect("no panic").expect_err("nobody acknowledged it");
    assert_eq!(error, PublishError::Failed(Failure::ConnectionLost));
    world.driver.await.expect("no panic");
}

#[tokio::test]
async fn bytes_that_are_no_packet_are_answered_and_the_connection_ends() {
    let mut world = World::new(Options { reconnect: Reconnect::Never, ..options() }).await;
    let mut peer = world.welcome(false).await;
    peer.stream.write_all(&[0x00, 0x00]).await.expect("the client reads");
    assert_eq!(peer.next().await, Some(Packet::Disconnect(Disconnect::new(ReasonCode::MalformedPacket))));
    assert_eq!(peer.next().await, None);
}

/// Hands out one end of a pipe of so many bytes for each connection.
struct Pipes {
    ends: mpsc::UnboundedSender<DuplexStream>,
    bytes: usize,
}

impl Connector for Pipes {
    type Io = DuplexStream;

    async fn connect(&mut self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(self.bytes);
        self.ends.send(theirs).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

/// A client over pipes, on a clock that jumps.
fn over_pipes(options: Options, bytes: usize) -> (Handle, Messages, Events, mpsc::UnboundedReceiver<DuplexStream>) {
    let (ends, accepted) = mpsc::unbounded_channel();
    let (handle, messages, events, driver) = start(options, Pipes { ends, bytes }, 1);
    tokio::spawn(driver);
    (handle, messages, events, accepted)
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_noticed_and_replaced() {
    let (_handle, _messages, mut events, mut accepted) = over_pipes(options(), 4096);
    let mut peer = Peer::new(accepted.recv().await.expect("a connection")).welcome(false).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    // The server's end stays open and says nothing.
    let cause = DisconnectCause::NoAnswer;
    assert_eq!(events.next().await, Some(Event::Disconnected { cause, reconnecting: true }));
    assert_eq!(peer.next().await, Some(Packet::Pingreq));
    let _second = Peer::new(accepted.recv().await.expect("another connection")).welcome(true).await;
    assert!(matches!(events.next().await, Some(Event::Connected { resumed: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn an_application_that_takes_no_messages_is_not_taken_for_a_dead_server() {
    let (_handle, mut messages, mut events, mut accepted) = over_pipes(options(), 1024);
    let mut peer = Peer::new(accepted.recv().await.expect("a connection")).welcome(false).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    let mut sent = 0;
    // The pipe and the channel fill up; then the server can write no more.
    while timeout(Duration::from_secs(1), peer.send(incoming(Qos::AtMostOnce, 0, [0; 50]))).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "the socket is read though nobody takes the messages");
    }
    // Ten times Keep Alive.
    for _ in 0..10 {
        assert_eq!(peer.next_after(Duration::from_secs(60)).await, Some(Packet::Pingreq));
    }
    for _ in 0..sent {
        assert!(messages.next().await.is_some());
    }
    assert!(timeout(Duration::from_secs(1), events.next()).await.is_err(), "the connection stands");
}

impl Peer<DuplexStream> {
    async fn next_after(&mut self, patience: Duration) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("the client sends well-formed packets") {
                return Some(packet);
            }
            let mut buffer = [0; 64];
            let count = timeout(patience, self.stream.read(&mut buffer)).await.expect("in time").expect("open");
            self.decoder.extend(&buffer[..count]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_reads_holds_the_publisher_back() {
    let options = Options { keep_alive: Duration::ZERO, ..options() };
    let (handle, _messages, mut events, mut accepted) = over_pipes(options, 1024);
    let _peer = Peer::new(accepted.recv().await.expect("a connection")).welcome(false).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    let mut taken = 0;
    while timeout(Duration::from_secs(1), handle.publish(message(Qos::AtMostOnce, [0; 1000]))).await.is_ok() {
        taken += 1;
        assert!(taken < 10_000, "nothing holds the publisher back");
    }
    assert!(taken >= 100, "the driver buffers a little: {taken}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_publish_wait_instead_of_failing() {
    let options = Options { queue_limit: 2, ..options() };
    let (handle, _messages, _events, mut accepted) = over_pipes(options, 4096);
    let mut publishing: Vec<_> = (0..10).map(|_| spawn_publish(&handle, Qos::AtLeastOnce)).collect();
    let end = accepted.recv().await.expect("a connection");
    let last = publishing.last_mut().expect("ten are there");
    assert!(timeout(Duration::from_secs(5), last).await.is_err(), "it waits for room");
    let mut peer = Peer::new(end).welcome(false).await;
    for _ in 0..10 {
        let packet_id = peer.expect_publish().await.packet_id.expect("QoS 1 has an identifier");
        peer.send(Packet::Puback(Ack::new(packet_id))).await;
    }
    for one in publishing {
        one.await.expect("no panic").expect("published");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_says_nothing_is_left_and_tried_again() {
    let options = Options { connect_timeout: Duration::from_secs(5), ..options() };
    let (_handle, _messages, mut events, mut accepted) = over_pipes(options, 4096);
    let _silent = accepted.recv().await.expect("a connection");
    let cause = DisconnectCause::NoAnswer;
    assert_eq!(events.next().await, Some(Event::Disconnected { cause, reconnecting: true }));
    let _second = Peer::new(accepted.recv().await.expect("another connection")).welcome(false).await;
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
}

fn lasting_for(seconds: u32, payload: &str) -> Publish {
    let mut message = message(Qos::AtLeastOnce, payload);
    message.message_expiry_interval = Some(seconds);
    message
}

#[tokio::test(start_paused = true)]
async fn a_message_that_expires_before_it_can_be_sent_says_so_to_its_publisher() {
    let options = Options { connect_timeout: Duration::from_secs(3600), queue_limit: 1, ..options() };
    let (handle, _messages, _events, mut accepted) = over_pipes(options, 4096);
    let peer = accepted.recv().await.expect("a connection");
    let clock = Clock::new();
    // In the core's queue, and before it: in the channel to the driver.
    let in_queue = handle.queue(lasting_for(3, "a")).await.expect("taken");
    let in_channel = handle.queue(lasting_for(2, "b")).await.expect("taken");
    let left = handle.queue(lasting_for(10, "c")).await.expect("taken");
    let expired = Err(PublishError::Failed(Failure::Expired));
    assert_eq!(in_queue.outcome().await, expired);
    assert_eq!(clock.now().monotonic.as_secs(), 3);
    assert_eq!(in_channel.outcome().await, expired);
    // The next has waited for three seconds in the channel and waits for four more behind it.
    tokio::time::advance(Duration::from_secs(4)).await;
    let mut peer = Peer::new(peer).welcome(false).await;
    let publish = peer.expect_publish().await;
    assert_eq!((publish.payload(), publish.message_expiry_interval), (&b"c"[..], Some(3)));
    peer.send(Packet::Puback(Ack::new(publish.packet_id.expect("QoS 1 has one")))).await;
    assert!(left.outcome().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_for_room_does_not_wait_beyond_the_life_of_its_message() {
    let options = Options { connect_timeout: Duration::from_secs(3600), queue_limit: 1, ..options() };
    let (handle, _messages, _events, mut accepted) = over_pipes(options, 4096);
    let _peer = accepted.recv().await.expect("a connection");
    let mut receipts = Vec::new();
    while let Ok(taken) = timeout(Duration::from_secs(1), handle.queue(message(Qos::AtLeastOnce, "x"))).await {
        receipts.push(taken.expect("the client runs"));
        assert!(receipts.len() < 1000, "nothing holds the publisher back");
    }
    let clock = Clock::new();
    assert_eq!(handle.publish(lasting_for(5, "late")).await, Err(PublishError::Failed(Failure::Expired)));
    assert_eq!(clock.now().monotonic.as_secs(), 5);
}
