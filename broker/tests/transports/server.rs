//! A server with a listener for each transport, and what the tests ask of it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use squall_broker::{
    core::{
        HashKey,
        access::{AllowAll, Answer, Authenticator},
        config::Config,
        effect::{AuthenticationRequest, PeerInfo},
    },
    net::{
        listener::ListenerOptions,
        server::{Server, ServerHandle, ServerOptions},
        tls::{ClientCertificates, Tls},
        websocket::options::WebsocketOptions,
    },
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::authorities::Authority;

/// What lies between the socket and MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Websocket,
    SecureWebsocket,
    Proxied,
}

pub(crate) const ALL: [Transport; 5] =
    [Transport::Tcp, Transport::Tls, Transport::Websocket, Transport::SecureWebsocket, Transport::Proxied];

impl Transport {
    pub(crate) fn is_secure(self) -> bool {
        matches!(self, Transport::Tls | Transport::SecureWebsocket)
    }

    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Transport::Websocket | Transport::SecureWebsocket)
    }
}

/// A running server.
pub(crate) struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) handle: ServerHandle,
    /// The other ends that have asked to come in.
    pub(crate) peers: mpsc::UnboundedReceiver<PeerInfo>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// The address of the listener for this transport, of a server with all of them.
    pub(crate) fn address(&self, transport: Transport) -> SocketAddr {
        self.addresses[ALL.iter().position(|other| *other == transport).expect("one of all")]
    }
}

/// The authority of the servers with all transports.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::new("Tests"))
}

fn tls() -> Arc<Tls> {
    static TLS: OnceLock<Arc<Tls>> = OnceLock::new();
    let load = || Tls::load(authority().server("localhost", ClientCertificates::None)).expect("good files");
    Arc::clone(TLS.get_or_init(|| Arc::new(load())))
}

/// The settings of the listener for this transport.
pub(crate) fn options(transport: Transport) -> ListenerOptions {
    let mut options = ListenerOptions::named(&format!("{transport:?}"));
    options.tls = transport.is_secure().then(tls);
    options.websocket = transport.is_websocket().then(WebsocketOptions::default);
    options.proxy_protocol = transport == Transport::Proxied;
    options
}

/// A server with a listener for every transport.
pub(crate) async fn server(change: impl FnOnce(&mut Config)) -> Running {
    server_with(ALL.map(options).into(), change).await
}

/// A server with these listeners.
pub(crate) async fn server_with(listeners: Vec<ListenerOptions>, change: impl FnOnce(&mut Config)) -> Running {
    let mut config = Config::default();
    change(&mut config);
    let mut server_options = ServerOptions::new(HashKey([1, 2]), Duration::ZERO).with_config(config);
    let (sender, peers) = mpsc::unbounded_channel();
    server_options.authenticator = Arc::new(Recorder(sender));
    let mut server = Server::new(server_options);
    let mut addresses = Vec::new();
    for options in listeners {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        addresses.push(listener.local_addr().expect("an address"));
        server.listen(listener, options);
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let handle = server.handle();
    let task = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    Running { addresses, handle, peers, stop, task }
}

/// Lets everyone in, and keeps a note of whom.
struct Recorder(mpsc::UnboundedSender<PeerInfo>);

impl Authenticator for Recorder {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        // The test may have stopped listening.
        let _ = self.0.send(request.peer.clone());
        AllowAll.authenticate(request)
    }
}
