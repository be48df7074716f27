//! turmoil's TCP as the drivers know TCP, and the links in front of it.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use squall_broker::{
    core::effect::PeerInfo,
    net::{listener::Listener, transport::Transport},
};
use squall_client::net::connector::Connector;
use squall_scenarios::{
    faulty_stream::{FaultyStream, StreamWire},
    liar::Direction,
    links::Links,
    shared_link::SharedLink,
    stage::{Arrival, End, LocalFuture, Wire},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep},
};
use turmoil::net::{TcpListener, TcpStream};

use super::{
    TICK,
    power::{Condition, Power},
};
use crate::subject::ASKED_AGAIN_AFTER;

/// The broker's host.
pub(super) const BROKER: &str = "broker";
/// Where it listens.
pub(super) const PORT: u16 = 1883;
/// Where it listens for WebSockets, if it does.
pub(super) const WEB_SOCKET_PORT: u16 = 8083;

/// The broker's side.
pub(super) struct SimulatedListener {
    listener: TcpListener,
    sockets: Sockets,
}

impl SimulatedListener {
    pub(super) async fn bind(port: u16, sockets: &Sockets) -> io::Result<Self> {
        Ok(SimulatedListener { listener: TcpListener::bind(("0.0.0.0", port)).await?, sockets: sockets.clone() })
    }
}

impl Listener for SimulatedListener {
    async fn accept(&self) -> io::Result<(Transport, PeerInfo)> {
        let (stream, _) = self.listener.accept().await?;
        Ok((Transport::new(self.sockets.keep(stream)), PeerInfo::default()))
    }
}

/// All that one run of the broker has accepted. What is left of a host that is killed ends in the order of tokio's numbers for its
/// tasks, which are those of the whole process: so its sockets are taken from its tasks before, and end in the order in which they
/// came. A cheap clone.
#[derive(Clone, Default)]
pub(super) struct Sockets(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    slots: Vec<Slot>,
    /// Taken from their tasks.
    gathered: Vec<TcpStream>,
}

type Slot = Arc<Mutex<Option<TcpStream>>>;

impl Sockets {
    fn keep(&self, stream: TcpStream) -> KeptStream {
        let slot = Arc::new(Mutex::new(Some(stream)));
        let mut held = lock(&self.0);
        held.slots.retain(|slot| Arc::strong_count(slot) > 1);
        held.slots.push(Arc::clone(&slot));
        KeptStream(slot)
    }

    /// Takes them from whoever has them. They end with the host, and on it: turmoil asks where.
    pub(super) fn gather(&self) {
        let mut held = lock(&self.0);
        let slots = std::mem::take(&mut held.slots);
        held.gathered.extend(slots.iter().filter_map(|slot| lock(slot).take()));
    }
}

/// Lives as long as the broker's host.
pub(super) struct EndWithTheHost(pub(super) Sockets);

impl Drop for EndWithTheHost {
    fn drop(&mut self) {
        let gathered = std::mem::take(&mut lock(&self.0.0).gathered);
        gathered.into_iter().for_each(drop);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket of the broker.
struct KeptStream(Slot);

impl KeptStream {
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut *lock(&self.0) {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl Drop for KeptStream {
    fn drop(&mut self) {
        drop(lock(&self.0).take());
    }
}

impl AsyncRead for KeptStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for KeptStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

/// A connection of this actor, behind a link of its own. To be called within the actors' host.
pub(super) async fn connect(
    links: &Links,
    actor: &str,
    started: Instant,
    (power, port): (&Power, u16),
) -> io::Result<(FaultyStream, SharedLink)> {
    let socket = dial(power, port).await?;
    let link = links.open(started.elapsed(), actor);
    let (stream, pump) = FaultyStream::new(socket, link.clone(), started, abort);
    tokio::spawn(pump);
    Ok((stream, link))
}

/// A socket to the broker. To be called within the actors' host.
pub(super) async fn dial(power: &Power, port: u16) -> io::Result<TcpStream> {
    // turmoil lets whoever asks a host that is down wait for ever, and refuses while it comes up.
    loop {
        match power.condition() {
            // A connect that is given up would leave turmoil's broker with a connection that nobody ever ends.
            Condition::Listening => return tokio::spawn(TcpStream::connect((BROKER, port))).await?,
            Condition::Dark => sleep(ASKED_AGAIN_AFTER).await,
            Condition::Starting => sleep(TICK).await,
            Condition::Ending | Condition::Down | Condition::Failed(_) => {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
        }
    }
}

/// turmoil knows no abort: a socket that is dropped says FIN, or RST if it had unread bytes.
pub(super) fn abort(socket: TcpStream) {
    drop(socket);
}

/// How a whole client gets its connections: it keeps no record of its own, so its link does.
pub(super) struct SimulatedConnector {
    pub(super) links: Links,
    pub(super) actor: String,
    pub(super) started: Instant,
    pub(super) power: Power,
}

impl Connector for SimulatedConnector {
    type Io = FaultyStream;

    async fn connect(&mut self) -> io::Result<FaultyStream> {
        let (stream, link) = connect(&self.links, &self.actor, self.started, (&self.power, PORT)).await?;
        link.tap(self.started.elapsed());
        Ok(stream)
    }
}

/// A raw peer's connection.
pub(super) struct SimulatedWire {
    stream: StreamWire<FaultyStream>,
    link: SharedLink,
    /// Ended by this side's abort: nothing arrives that would have a time.
    aborted: bool,
}

impl SimulatedWire {
    pub(super) fn new(stream: FaultyStream, link: SharedLink) -> Self {
        SimulatedWire { stream: StreamWire::new(stream, FaultyStream::abort), link, aborted: false }
    }
}

impl Wire for SimulatedWire {
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()> {
        self.stream.send(bytes)
    }

    fn receive(&mut self) -> LocalFuture<'_, Arrival> {
        self.stream.receive()
    }

    fn close(&mut self, how: End) -> LocalFuture<'_, ()> {
        self.aborted |= how == End::Reset;
        self.stream.close(how)
    }

    fn arrived(&self) -> Option<Duration> {
        (!self.aborted).then(|| self.link.with(|link| link.arrived(Direction::ToClient)))
    }
}
