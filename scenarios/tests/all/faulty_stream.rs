//! The link around a stream, on tokio's virtual clock: what the turmoil and the live world rest on.

use std::{io, time::Duration};

use bytes::Bytes;
use squall_scenarios::{
    fault::{Delay, Fault, FaultKind},
    faulty_stream::{FaultyStream, StreamWire},
    link::WINDOW_BYTES,
    links::Links,
    stage::{Arrival, End, Wire},
    transcript::What,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// An actor's stream and the server's end of the socket behind it, the pump running.
struct Pair {
    links: Links,
    started: Instant,
    actor: FaultyStream,
    server: DuplexStream,
}

impl Pair {
    fn new() -> Self {
        Pair::of("alice", &Links::new(5), Instant::now())
    }

    fn of(actor: &str, links: &Links, started: Instant) -> Self {
        let (socket, server) = duplex(256 * 1024);
        let (actor, pump) = FaultyStream::new(socket, links.open(started.elapsed(), actor), started, drop);
        tokio::spawn(pump);
        Pair { links: links.clone(), started, actor, server }
    }

    fn apply(&self, kind: FaultKind) {
        self.links.apply(self.started.elapsed(), &Fault { actor: None, kind }).expect("the fault means something");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_and_ends_pass_both_ways() {
    let Pair { mut actor, mut server, .. } = Pair::new();
    actor.write_all(b"hello").await.expect("it is open");
    let mut buffer = [0; 5];
    server.read_exact(&mut buffer).await.expect("it arrives");
    assert_eq!(&buffer, b"hello");
    server.write_all(b"world").await.expect("it is open");
    actor.read_exact(&mut buffer).await.expect("it arrives");
    assert_eq!(&buffer, b"world");

    actor.shutdown().await.expect("it is open");
    assert_eq!(server.read(&mut buffer).await.expect("an orderly end"), 0);
    server.write_all(b"after").await.expect("this way is open");
    drop(server);
    let mut rest = Vec::new();
    actor.read_to_end(&mut rest).await.expect("an orderly end");
    assert_eq!(rest, b"after");
    let error = actor.write_all(b"x").await.expect_err("this side has ended");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn latency_passes_while_the_actor_does_nothing() {
    let mut pair = Pair::new();
    pair.apply(FaultKind::Latency { time: Delay::Between { min: ms(30), max: ms(30) }, direction: None });
    pair.actor.write_all(b"x").await.expect("it is open");
    let started = Instant::now();
    let mut buffer = [0; 1];
    // Nobody polls the actor's end meanwhile.
    pair.server.read_exact(&mut buffer).await.expect("it arrives");
    assert_eq!(started.elapsed(), ms(30));
    pair.server.write_all(b"y").await.expect("it is open");
    pair.actor.read_exact(&mut buffer).await.expect("it arrives");
    assert_eq!(started.elapsed(), ms(60));
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_ends_wakes_who_waits() {
    let pair = Pair::new();
    pair.apply(FaultKind::Hold);
    let Pair { links, started, mut actor, mut server } = pair;
    server.write_all(b"y").await.expect("it is open");
    let reading = tokio::spawn(async move {
        let mut buffer = [0; 1];
        actor.read_exact(&mut buffer).await.expect("it arrives");
        started.elapsed()
    });
    sleep(ms(500)).await;
    links.apply(ms(500), &Fault { actor: None, kind: FaultKind::Heal { reset: false } }).expect("it may be healed");
    assert_eq!(reading.await.expect("it was read"), ms(500));
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_connection_reset_for_the_actor_and_an_abort_of_the_socket() {
    let mut pair = Pair::new();
    pair.actor.write_all(b"x").await.expect("it is open");
    let mut buffer = [0; 8];
    assert_eq!(pair.server.read(&mut buffer).await.expect("it arrives"), 1);
    pair.apply(FaultKind::Reset);
    let error = pair.actor.read(&mut buffer).await.expect_err("it was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let error = pair.actor.write(b"x").await.expect_err("it was reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    // An abort of a `DuplexStream` is its drop.
    assert_eq!(pair.server.read(&mut buffer).await.expect("the other end is gone"), 0);
    pair.server.write_all(b"x").await.expect_err("the other end is gone");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_is_seen_by_the_actor() {
    let Pair { mut actor, server, .. } = Pair::new();
    drop(server);
    assert_eq!(actor.read(&mut [0; 8]).await.expect("an orderly end"), 0);
    // What is written now fails behind the link, which shows in reading; nothing hangs.
    actor.write_all(b"x").await.expect("the link takes it");
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_is_dropped_has_said_what_it_wrote_and_fin() {
    let Pair { mut actor, mut server, .. } = Pair::new();
    actor.write_all(b"last").await.expect("it is open");
    drop(actor);
    let mut all = Vec::new();
    server.read_to_end(&mut all).await.expect("an orderly end");
    assert_eq!(all, b"last");
    // What comes for a closed socket is answered with RST.
    server.write_all(b"x").await.expect("the socket takes it");
    timeout(ms(1), async { while server.write_all(b"x").await.is_ok() {} }).await.expect("the socket is aborted");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_link_keeps_the_socket_though_the_actor_is_gone() {
    let pair = Pair::new();
    pair.apply(FaultKind::HalfOpen);
    let Pair { actor, mut server, .. } = pair;
    drop(actor);
    assert!(timeout(Duration::from_secs(600), server.read(&mut [0; 1])).await.is_err(), "silence");
    server.write_all(b"into the void").await.expect("the socket is open");
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_does_not_read_fills_the_window_and_no_more() {
    let (socket, mut server) = duplex(1024);
    let links = Links::new(5);
    let started = Instant::now();
    let (mut actor, pump) = FaultyStream::new(socket, links.open(Duration::ZERO, "alice"), started, drop);
    tokio::spawn(pump);
    let mut taken = 0;
    while timeout(ms(1), server.write_all(&[7; 512])).await.is_ok() {
        taken += 512;
    }
    assert!((WINDOW_BYTES..=WINDOW_BYTES + 2048).contains(&taken), "{taken}");
    // As soon as it reads, bytes flow again.
    let mut some = vec![0; 8 * 1024];
    actor.read_exact(&mut some).await.expect("they wait");
    timeout(ms(1), server.write_all(&[7; 1024])).await.expect("there is room").expect("it is open");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_makes_the_actor_wait() {
    let (socket, mut server) = duplex(1024);
    let (mut actor, pump) =
        FaultyStream::new(socket, Links::new(5).open(Duration::ZERO, "alice"), Instant::now(), drop);
    tokio::spawn(pump);
    let mut taken = 0;
    while timeout(ms(1), actor.write_all(&[7; 512])).await.is_ok() {
        taken += 512;
    }
    assert!((WINDOW_BYTES..=WINDOW_BYTES * 2 + 2048).contains(&taken), "{taken}");
    let mut some = vec![0; WINDOW_BYTES];
    server.read_exact(&mut some).await.expect("they wait");
    timeout(ms(1), actor.write_all(&[7; 512])).await.expect("there is room").expect("it is open");
}

#[tokio::test(start_paused = true)]
async fn a_tapped_stream_writes_down_frames_and_ends() {
    let links = Links::new(5);
    let (socket, mut server) = duplex(1024);
    let link = links.open(Duration::ZERO, "carol");
    link.tap(Duration::ZERO);
    let (mut actor, pump) = FaultyStream::new(socket, link, Instant::now(), drop);
    tokio::spawn(pump);
    actor.write_all(&[0xC0, 0x00]).await.expect("it is open");
    server.write_all(&[0xD0]).await.expect("it is open");
    sleep(ms(1)).await;
    server.write_all(&[0x00]).await.expect("it is open");
    drop(server);
    actor.read_to_end(&mut Vec::new()).await.expect("an orderly end");
    drop(actor);
    let lines: Vec<String> = links.take_notes().into_iter().map(|note| note.what.to_string()).collect();
    assert_eq!(lines, ["opens a connection", "-> PINGREQ  [c0 00]", "<- PINGRESP  [d0 00]", "<- FIN", "-> FIN"]);
}

#[tokio::test(start_paused = true)]
async fn a_wire_over_a_stream_tells_bytes_and_ends() {
    let pair = Pair::new();
    let (links, started) = (pair.links.clone(), pair.started);
    let mut server = pair.server;
    let mut wire = StreamWire::new(pair.actor, FaultyStream::abort);
    wire.send(Bytes::from_static(b"hello")).await;
    let mut buffer = [0; 5];
    server.read_exact(&mut buffer).await.expect("it arrives");
    server.write_all(b"abc").await.expect("it is open");
    assert_eq!(wire.receive().await, Arrival::Bytes(Bytes::from_static(b"abc")));
    wire.close(End::Fin).await;
    assert_eq!(server.read(&mut buffer).await.expect("an orderly end"), 0);
    drop(server);
    assert_eq!(wire.receive().await, Arrival::End(End::Fin));
    assert_eq!(wire.receive().await, Arrival::End(End::Fin));

    let mut second = Pair::of("bob", &links, started);
    let mut wire = StreamWire::new(second.actor, FaultyStream::abort);
    links
        .apply(started.elapsed(), &Fault { actor: Some("bob".to_owned()), kind: FaultKind::Reset })
        .expect("bob is there");
    assert_eq!(wire.receive().await, Arrival::End(End::Reset));
    wire.send(Bytes::from_static(b"swallowed")).await;
    assert_eq!(wire.receive().await, Arrival::End(End::Reset));
    assert_eq!(second.server.read(&mut buffer).await.expect("the socket is gone"), 0);

    let mut third = Pair::of("carol", &links, started);
    let mut wire = StreamWire::new(third.actor, FaultyStream::abort);
    wire.close(End::Reset).await;
    assert_eq!(wire.receive().await, Arrival::End(End::Reset));
    assert_eq!(third.server.read(&mut buffer).await.expect("the socket is gone"), 0);
    assert!(links.take_notes().iter().all(|note| matches!(note.what, What::Fault { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_given_up_goes_on_while_receiving() {
    let (socket, mut server) = duplex(16);
    let mut wire = StreamWire::new(socket, drop);
    assert!(timeout(ms(1), wire.send(Bytes::from(vec![1; 100]))).await.is_err(), "only 16 fit");
    let reading = tokio::spawn(async move {
        let mut all = vec![0; 100];
        server.read_exact(&mut all).await.expect("all arrive");
        server.write_all(b"thanks").await.expect("it is open");
        all
    });
    assert_eq!(wire.receive().await, Arrival::Bytes(Bytes::from_static(b"thanks")));
    assert_eq!(reading.await.expect("it was read"), vec![1; 100]);
}

/// What the live world does: a socket whose lingering is off is closed with RST.
fn abort(socket: TcpStream) {
    socket.set_zero_linger().expect("the socket is open");
}

#[tokio::test]
async fn over_tcp_a_reset_is_a_true_rst_and_a_close_a_fin() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let (links, started) = (Links::new(5), Instant::now());
    let mut ends = Vec::new();
    for (actor, fault) in [("alice", FaultKind::Reset), ("bob", FaultKind::Close)] {
        let socket = TcpStream::connect(address).await.expect("the listener is there");
        let (mut server, _) = listener.accept().await.expect("somebody connects");
        let (mut stream, pump) = FaultyStream::new(socket, links.open(started.elapsed(), actor), started, abort);
        tokio::spawn(pump);
        stream.write_all(b"x").await.expect("it is open");
        let mut buffer = [0; 8];
        assert_eq!(server.read(&mut buffer).await.expect("it arrives"), 1);
        links.apply(started.elapsed(), &Fault { actor: Some(actor.to_owned()), kind: fault }).expect("it is connected");
        ends.push(server.read(&mut buffer).await.map_err(|error| error.kind()));
    }
    assert_eq!(ends, [Err(io::ErrorKind::ConnectionReset), Ok(0)]);
}
