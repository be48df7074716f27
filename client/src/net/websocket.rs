//! MQTT over WebSocket (section 6): a stream of bytes in binary frames.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::connector::Connector;
use crate::{core::redirection::Address, options::LARGEST_FRAME};

/// Bytes of one frame that is sent, at most: what a frame holds is copied.
const FRAME: usize = 64 * 1024;
/// Bytes that a WebSocket may hold back before it takes no more.
const HELD_BACK: usize = 4 * FRAME;

/// A WebSocket over another transport.
#[derive(Clone, Debug)]
pub struct WebSocketConnector<C> {
    /// Gets the connections below.
    pub inner: C,
    /// Of the handshake: `ws://host:port/path`. The scheme says nothing about the transport below.
    pub uri: String,
    /// More header fields of the handshake, for gateways that want a token in one.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl<C> WebSocketConnector<C> {
    /// Without further header fields.
    pub fn new(inner: C, uri: impl Into<String>) -> Self {
        WebSocketConnector { inner, uri: uri.into(), headers: Vec::new() }
    }

    async fn upgrade<S>(&self, stream: S, server: Option<&Address>) -> io::Result<WebSocket<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = self.uri.as_str().into_client_request().map_err(no_web_socket)?;
        if let Some(server) = server {
            let uri = authority(request.uri(), server).ok_or_else(|| io::Error::other("no WebSocket there"))?;
            request = uri.into_client_request().map_err(no_web_socket)?;
        }
        let headers = request.headers_mut();
        headers.extend(self.headers.iter().cloned());
        // [MQTT-6.0.0-3] "mqtt" among the protocols offered.
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
        let config = WebSocketConfig::default()
            .write_buffer_size(0)
            .max_write_buffer_size(HELD_BACK)
            .max_message_size(Some(LARGEST_FRAME as usize))
            .max_frame_size(Some(LARGEST_FRAME as usize));
        // [MQTT-6.0.0-4] A server that chooses another protocol, or none, fails the handshake.
        let (stream, _) = client_async_with_config(request, stream, Some(config)).await.map_err(no_web_socket)?;
        Ok(WebSocket { stream, unread: Bytes::new() })
    }
}

impl<C: Connector + Sync> Connector for WebSocketConnector<C> {
    type Io = WebSocket<C::Io>;

    async fn connect(&mut self) -> io::Result<Self::Io> {
        let stream = self.inner.connect().await?;
        self.upgrade(stream, None).await
    }

    async fn connect_to(&mut self, server: &Address) -> io::Result<Self::Io> {
        let stream = self.inner.connect_to(server).await?;
        self.upgrade(stream, Some(server)).await
    }
}

/// The same resource on another server.
fn authority(uri: &Uri, server: &Address) -> Option<Uri> {
    let host = if server.host.contains(':') { format!("[{}]", server.host) } else { server.host.clone() };
    let authority = match server.port.or(uri.port_u16()) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(authority.parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn no_web_socket(error: Error) -> io::Error {
    let kind = match &error {
        Error::Io(error) => error.kind(),
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, format!("no WebSocket: {error}"))
}

/// The bytes within the binary frames of a WebSocket.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: WebSocketStream<S>,
    /// Of the last frame.
    unread: Bytes,
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                // [MQTT-6.0.0-2] Packets may span frames and share them: what is inside is one stream.
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                // The WebSocket answers a ping by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                // [MQTT-6.0.0-1] Only binary frames.
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    let what = "the server sent a WebSocket frame that is not binary";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.stream).poll_ready(context)).map_err(broken)?;
        let count = bytes.len().min(FRAME);
        // [MQTT-6.0.0-1] Binary frames.
        let frame = Message::Binary(Bytes::copy_from_slice(&bytes[..count]));
        Pin::new(&mut self.stream).start_send(frame).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.stream).poll_close(context)) {
            // The server was first.
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(broken(error))),
        }
    }
}
