//! turmoil's TCP as the drivers know TCP, and the links in front of it.

use std::{io, time::Duration};

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
use tokio::time::{Instant, sleep};
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
pub(super) struct SimulatedListener(TcpListener);

impl SimulatedListener {
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        Ok(SimulatedListener(TcpListener::bind(("0.0.0.0", port)).await?))
    }
}

impl Listener for SimulatedListener {
    async fn accept(&self) -> io::Result<(Transport, PeerInfo)> {
        let (stream, _) = self.0.accept().await?;
        Ok((Transport::new(stream), PeerInfo::default()))
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
            Condition::Listening => return TcpStream::connect((BROKER, port)).await,
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
