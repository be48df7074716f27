//! turmoil's TCP as the drivers know TCP, and the links in front of it.

use std::io;

use squall_broker::{core::effect::PeerInfo, net::listener::Listener};
use squall_client::net::connector::Connector;
use squall_scenarios::{faulty_stream::FaultyStream, links::Links};
use tokio::time::Instant;
use turmoil::net::{TcpListener, TcpStream};

/// The broker's host.
pub(super) const BROKER: &str = "broker";
/// Where it listens.
pub(super) const PORT: u16 = 1883;

/// The broker's side.
pub(super) struct SimulatedListener(TcpListener);

impl SimulatedListener {
    pub(super) async fn bind(port: u16) -> io::Result<Self> {
        Ok(SimulatedListener(TcpListener::bind(("0.0.0.0", port)).await?))
    }
}

impl Listener for SimulatedListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, PeerInfo)> {
        let (stream, _) = self.0.accept().await?;
        Ok((stream, PeerInfo::default()))
    }
}

/// A connection of this actor, behind a link of its own. To be called within the actors' host.
pub(super) async fn connect(links: &Links, actor: &str, started: Instant, tapped: bool) -> io::Result<FaultyStream> {
    let socket = TcpStream::connect((BROKER, PORT)).await?;
    let link = links.open(started.elapsed(), actor);
    if tapped {
        link.tap(started.elapsed());
    }
    // turmoil knows no abort: a socket that is dropped says FIN, or RST if it had unread bytes.
    let (stream, pump) = FaultyStream::new(socket, link, started, drop);
    tokio::spawn(pump);
    Ok(stream)
}

/// How a whole client gets its connections.
pub(super) struct SimulatedConnector {
    pub(super) links: Links,
    pub(super) actor: String,
    pub(super) started: Instant,
}

impl Connector for SimulatedConnector {
    type Io = FaultyStream;

    async fn connect(&mut self) -> io::Result<FaultyStream> {
        connect(&self.links, &self.actor, self.started, true).await
    }
}
