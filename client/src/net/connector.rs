//! How a Network Connection comes to be. The broker's counterpart is its `Listener`.

use std::{future::Future, io};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Gets Network Connections to one server, one after the other.
pub trait Connector: Send + 'static {
    // [MQTT-4.2.0-1]; 3.1.1 [MQTT-7.1.2-1]
    /// Any ordered, lossless stream of bytes.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new connection. The driver drops the future when it has waited long enough.
    fn connect(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
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
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Packets are small, and someone waits for each.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
