//! What may lie between the socket and MQTT: TLS, WebSocket, or one over the other.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(feature = "transports")]
use squall_codec::wire::Text;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

#[cfg(feature = "transports")]
use super::{
    listener::ListenerOptions,
    tls,
    websocket::{handshake, stream::WebsocketStream},
};

/// A Network Connection, whatever carries its bytes: an ordered stream both ways that loses none ([MQTT-4.2.0-1]).
///
/// One type for all, so that what serves a connection is compiled once, here, and not again for each kind of stream and in
/// each program that listens.
pub struct Transport(Carrier);

enum Carrier {
    /// The most frequent and the smallest stands in line.
    Tcp(TcpStream),
    Other(Box<dyn Stream>),
}

/// Bytes in both directions.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Stream for Io {}

impl Transport {
    /// Any stream but TCP, which comes by `From`.
    pub fn new(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Transport(Carrier::Other(Box::new(io)))
    }
}

impl From<TcpStream> for Transport {
    fn from(io: TcpStream) -> Self {
        Transport(Carrier::Tcp(io))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Carrier::Tcp(io) => io.fmt(f),
            Carrier::Other(_) => f.write_str("Transport"),
        }
    }
}

/// Carries out the handshakes that the listener demands, and says which name the client has proved.
#[cfg(feature = "transports")]
pub(super) async fn establish(mut io: Transport, options: &ListenerOptions) -> io::Result<(Transport, Option<Text>)> {
    let mut name = None;
    if let Some(tls) = &options.tls {
        let secure = tls.accept(io).await?;
        name = tls::certificate_name(&secure);
        io = Transport::new(secure);
    }
    if let Some(websocket) = &options.websocket {
        let early = handshake::open(&mut io, websocket).await?;
        io = Transport::new(WebsocketStream::new(io, early));
    }
    Ok((io, name))
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Carrier::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Carrier::Other(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Carrier::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Carrier::Other(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Carrier::Tcp(io) => Pin::new(io).poll_write_vectored(cx, slices),
            Carrier::Other(io) => Pin::new(io).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Carrier::Tcp(io) => io.is_write_vectored(),
            Carrier::Other(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Carrier::Tcp(io) => Pin::new(io).poll_flush(cx),
            Carrier::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Carrier::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Carrier::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
