//! What may lie between the socket and MQTT: TLS, WebSocket, or one over the other.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use squall_codec::wire::Text;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    listener::ListenerOptions,
    tls,
    websocket::{handshake, stream::WebsocketStream},
};

/// The bytes of MQTT, whatever carries them. Plain TCP, the most frequent and the smallest, stands in line.
pub(super) enum Transport<Io> {
    Plain(Io),
    Layered(Box<dyn Stream>),
}

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Stream for Io {}

/// Carries out the handshakes that the listener demands, and says which name the client has proved.
pub(super) async fn establish<Io: Stream + 'static>(
    io: Io,
    options: &ListenerOptions,
) -> io::Result<(Transport<Io>, Option<Text>)> {
    let Some(tls) = &options.tls else {
        return Ok((open_websocket(io, options).await?, None));
    };
    let secure = tls.accept(io).await?;
    let name = tls::certificate_name(&secure);
    let transport = match open_websocket(secure, options).await? {
        Transport::Plain(secure) => Transport::Layered(Box::new(secure)),
        Transport::Layered(stream) => Transport::Layered(stream),
    };
    Ok((transport, name))
}

async fn open_websocket<Io: Stream + 'static>(mut io: Io, options: &ListenerOptions) -> io::Result<Transport<Io>> {
    let Some(websocket) = &options.websocket else { return Ok(Transport::Plain(io)) };
    let early = handshake::open(&mut io, websocket).await?;
    Ok(Transport::Layered(Box::new(WebsocketStream::new(io, early))))
}

impl<Io: AsyncRead + Unpin> AsyncRead for Transport<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Transport::Layered(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Transport<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Transport::Layered(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_flush(cx),
            Transport::Layered(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Transport::Layered(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
