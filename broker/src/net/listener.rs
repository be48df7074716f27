//! Where connections come from.

use std::{future::Future, io, sync::Arc};

use tokio::net::TcpListener;

use super::transport::Transport;
#[cfg(feature = "transports")]
use super::{tls::Tls, websocket::options::WebsocketOptions};
use crate::core::effect::PeerInfo;

/// What a listener takes if it is not told otherwise; `Limits::connections` counts those of all listeners.
const MAXIMUM_CONNECTIONS: usize = 100_000;

/// Accepts Network Connections: TCP, and what stands for it in a simulated network.
pub trait Listener: Send + Sync + 'static {
    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Transport, PeerInfo)>> + Send;
}

/// The settings of one listener.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// What it is called: `PeerInfo::listener` of its connections.
    pub name: Arc<str>,
    /// Connections at once, from the first byte on. Beyond: a new one is closed at once.
    pub maximum_connections: usize,
    /// Every connection begins with a PROXY protocol 2 header, whose address becomes `PeerInfo::address`. Only for
    /// listeners that nobody but the proxy can reach: whoever connects is believed.
    #[cfg(feature = "transports")]
    pub proxy_protocol: bool,
    /// TLS over the socket; several listeners may share it.
    #[cfg(feature = "transports")]
    pub tls: Option<Arc<Tls>>,
    /// WebSocket over that.
    #[cfg(feature = "transports")]
    pub websocket: Option<WebsocketOptions>,
}

impl ListenerOptions {
    /// Plain MQTT.
    pub fn named(name: &str) -> Self {
        ListenerOptions {
            name: name.into(),
            maximum_connections: MAXIMUM_CONNECTIONS,
            #[cfg(feature = "transports")]
            proxy_protocol: false,
            #[cfg(feature = "transports")]
            tls: None,
            #[cfg(feature = "transports")]
            websocket: None,
        }
    }
}

impl Default for ListenerOptions {
    fn default() -> Self {
        ListenerOptions::named("")
    }
}

impl Listener for TcpListener {
    async fn accept(&self) -> io::Result<(Transport, PeerInfo)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // An acknowledgement is small and must not wait for the one before it to be acknowledged by TCP.
        stream.set_nodelay(true)?;
        Ok((stream.into(), PeerInfo { address: Some(address), ..PeerInfo::default() }))
    }
}
