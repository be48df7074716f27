//! How a Network Connection comes to be. The broker's counterpart is its `Listener`.

use std::{future::Future, io, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::core::redirection::Address;

/// Gets Network Connections to one server, one after the other.
pub trait Connector: Send + 'static {
    // [MQTT-4.2.0-1]; 3.1.1 [MQTT-7.1.2-1]
    /// Any ordered, lossless stream of bytes.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new connection. The driver drops the future when it has waited long enough.
    fn connect(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;

    /// A new connection to a server that another server named, in every other way like `connect`. Asked only where
    /// [`Options::server_reference`](crate::options::Options::server_reference) says so.
    fn connect_to(&mut self, server: &Address) -> impl Future<Output = io::Result<Self::Io>> + Send {
        let what = format!("this transport cannot go on to {}", server.host);
        async { Err(io::Error::new(io::ErrorKind::Unsupported, what)) }
    }
}

/// An ordered, lossless stream of bytes, whatever it is made of.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// Any [`Connector`], and any stream of its, behind a pointer: so the driver is compiled once, here, and not again for each
/// transport and in each program that starts a client.
pub(super) trait AnyConnector: Send {
    /// A new connection to this server, or to the one that the connector knows.
    fn open<'a>(&'a mut self, server: Option<&'a Address>) -> Opening<'a>;
}

type Opening<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn ByteStream>>> + Send + 'a>>;

impl<C: Connector> AnyConnector for C {
    fn open<'a>(&'a mut self, server: Option<&'a Address>) -> Opening<'a> {
        Box::pin(async move {
            let stream = match server {
                None => self.connect().await?,
                Some(server) => self.connect_to(server).await?,
            };
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }
}

/// Plain TCP.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    /// A name or an address.
    pub host: String,
    /// 1883 by convention.
    pub port: u16,
}

impl Connector for TcpConnector {
    type Io = TcpStream;

    async fn connect(&mut self) -> io::Result<TcpStream> {
        reach(&self.host, self.port).await
    }

    async fn connect_to(&mut self, server: &Address) -> io::Result<TcpStream> {
        reach(&server.host, server.port.unwrap_or(self.port)).await
    }
}

async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Packets are small, and someone waits for each.
    stream.set_nodelay(true)?;
    Ok(stream)
}
