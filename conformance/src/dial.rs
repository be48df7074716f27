//! Connections to a real address: TCP, TLS, WebSocket, WebSocket over TLS, each as one ordered stream of bytes.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use squall_client::net::{
    connector::{ByteStream, Connector},
    tls::{TlsConnector, TlsError, TlsOptions},
    url::Scheme,
    websocket::WebSocketConnector,
};
use squall_scenarios::stage::{Credentials, TOPIC_ROOT};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::target::Target;

/// The connection stands by then, with all that lies on it.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);

/// How to get in, beside the address.
#[derive(Clone, Debug)]
pub struct Access {
    /// Shown in every CONNECT of a test that is not about credentials.
    pub credentials: Option<Credentials>,
    /// Whom to trust, and what to show.
    pub tls: TlsOptions,
    /// A CONNACK of 5.0 that refuses is an answer as well: nobody need come in by CONNECT alone.
    pub may_refuse: bool,
    /// The topics of tests are below this one.
    pub topic_root: String,
}

impl Default for Access {
    fn default() -> Self {
        Access { credentials: None, tls: TlsOptions::default(), may_refuse: false, topic_root: TOPIC_ROOT.to_owned() }
    }
}

/// Opens connections to one address. A cheap clone.
#[derive(Clone)]
pub struct Dialer {
    address: SocketAddr,
    /// Where there is TLS.
    tls: Option<TlsConnector<()>>,
    /// Where there is a WebSocket: the URI of its handshake.
    web_socket: Option<String>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("address", &self.address)
            .field("web_socket", &self.web_socket)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// Plain TCP.
    pub fn tcp(address: SocketAddr) -> Self {
        Dialer { address, tls: None, web_socket: None }
    }

    /// As the target says, at one of the addresses of its name.
    ///
    /// # Errors
    /// Files that cannot be used, or a name that no certificate could carry.
    pub fn new(target: &Target, address: SocketAddr, tls: &TlsOptions) -> Result<Self, TlsError> {
        let url = &target.url;
        let tls = url.scheme.is_encrypted().then(|| TlsConnector::new((), &url.host, tls)).transpose()?;
        let web_socket = url.scheme.is_web_socket().then(|| format!("ws://{}{}", url.authority(), target.path()));
        Ok(Dialer { address, tls, web_socket })
    }

    /// Where it connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URI of the WebSocket handshake, where there is a WebSocket.
    pub fn web_socket(&self) -> Option<&str> {
        self.web_socket.as_deref()
    }

    /// How bytes travel.
    pub fn scheme(&self) -> Scheme {
        match (&self.tls, &self.web_socket) {
            (None, None) => Scheme::Mqtt,
            (Some(_), None) => Scheme::Mqtts,
            (None, Some(_)) => Scheme::Ws,
            (Some(_), Some(_)) => Scheme::Wss,
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// Which layer of it could not be had, in words.
    pub async fn dial(&self) -> io::Result<Socket> {
        self.bounded(self.web_socket.as_ref()).await
    }

    /// A new connection without the WebSocket that lies on it: for tests of the WebSocket itself.
    ///
    /// # Errors
    /// As `dial`.
    pub async fn dial_below(&self) -> io::Result<Socket> {
        self.bounded(None).await
    }

    async fn bounded(&self, web_socket: Option<&String>) -> io::Result<Socket> {
        let late = || io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs()));
        timeout(CONNECT, self.layered(web_socket)).await.map_err(|_| late())?
    }

    async fn layered(&self, web_socket: Option<&String>) -> io::Result<Socket> {
        let ending = Arc::new(AtomicBool::new(false));
        let mut tcp = Pinned { address: self.address, resets: Arc::clone(&ending) };
        let stream: Box<dyn ByteStream> = match (&self.tls, web_socket) {
            (None, None) => Box::new(tcp.connect().await?),
            (Some(tls), None) => Box::new(tls.over(tcp).connect().await?),
            (None, Some(uri)) => Box::new(WebSocketConnector::new(tcp, uri).connect().await?),
            (Some(tls), Some(uri)) => Box::new(WebSocketConnector::new(tls.over(tcp), uri).connect().await?),
        };
        Ok(Socket { stream, resets: ending })
    }
}

/// TCP to one address, without Nagle's delay.
struct Pinned {
    address: SocketAddr,
    resets: Arc<AtomicBool>,
}

impl Connector for Pinned {
    type Io = Ground;

    async fn connect(&mut self) -> io::Result<Ground> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Ground { stream, resets: Arc::clone(&self.resets) })
    }
}

/// The TCP connection below everything. It ends with RST if that was asked for.
struct Ground {
    stream: TcpStream,
    resets: Arc<AtomicBool>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.resets.load(Ordering::Relaxed) {
            // Without it the socket is dropped, which is FIN where nothing is unread: the nearest that can then be had.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Ground {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Ground {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A connection, whatever it is made of.
pub struct Socket {
    stream: Box<dyn ByteStream>,
    resets: Arc<AtomicBool>,
}

impl Socket {
    /// Ends the connection with RST.
    pub fn abort(self) {
        self.resets.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            // The end of the TCP connection, without the word with which TLS or a WebSocket takes leave.
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
