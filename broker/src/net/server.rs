//! Accepts connections, owns the core, shuts down.
//!
//! One task holds the core and never awaits a connection: what comes in passes one bounded channel, what goes out one
//! channel for each connection whose content the core bounds by counting bytes not yet `Flushed`.

use std::{
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::{
    accept::{Door, accept},
    connection,
    core_task::Core,
    listener::{Listener, ListenerOptions},
    mailbox,
};
use crate::{
    core::{
        HashKey,
        access::{AllowAll, Authenticator},
        acl::Acl,
        config::Config,
        effect::{ConnectionId, Input, PeerInfo},
        restore::RestoreError,
        statistics::Statistics,
    },
    store::{Store, StoreError, memory::MemoryStore},
};

/// Groups of inputs that may wait for the core. A connection that finds the channel full reads no more.
const INPUT_CHANNEL: usize = 256;
/// How long connections may take to say goodbye at the end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);

/// What a server is started with.
pub struct ServerOptions {
    /// How it behaves.
    pub config: Config,
    /// A secret: random in a real server, from the seed in a simulation.
    pub key: HashKey,
    /// What the wall clock says at the start, since 1970-01-01T00:00:00Z.
    pub unix_start: Duration,
    /// Who may come in.
    pub authenticator: Arc<dyn Authenticator>,
    /// What must survive a restart goes there.
    pub store: Box<dyn Store>,
}

impl ServerOptions {
    /// The default configuration, open to everyone.
    pub fn new(key: HashKey, unix_start: Duration) -> Self {
        ServerOptions {
            config: Config::default(),
            key,
            unix_start,
            authenticator: Arc::new(AllowAll),
            store: Box::new(MemoryStore::default()),
        }
    }

    /// With this configuration.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
}

/// Why a server cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the store kept cannot be replayed.
    #[error("the store is damaged: {0}; put a copy in its place, or move it away to begin with an empty one")]
    Restore(#[from] RestoreError),
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a connection's task, or whoever holds the server's handle, tells the core's task.
#[derive(Debug)]
pub(super) enum ToCore {
    /// A connection was accepted.
    Opened { connection: ConnectionId, peer: PeerInfo, mailbox: mailbox::Sender },
    /// What one connection has to say, in order.
    Inputs { connection: ConnectionId, inputs: Vec<Input> },
    /// How are things?
    Statistics(oneshot::Sender<Statistics>),
    /// The rules of who may do what are others.
    Reload(Arc<Acl>),
}

/// Bytes have left for a socket. A channel of its own, since the news must not wait behind the inputs that fill the other:
/// a client that reads well would look slow. What it holds is bounded with the bytes that are under way.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) connection: ConnectionId,
    pub(super) bytes: usize,
}

/// A server that runs, until it is told to end.
type Running<'a> = Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// A server before it runs: what it is, and where it listens.
///
/// ```
/// use std::time::Duration;
///
/// use squall_broker::{core::HashKey, net::{listener::ListenerOptions, server::{Server, ServerOptions}}};
///
/// # fn main() -> std::io::Result<()> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut server = Server::new(ServerOptions::new(HashKey([1, 2]), Duration::ZERO));
/// for name in ["plant", "office"] {
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
///     server.listen(listener, ListenerOptions::named(name));
/// }
/// server.run(async { /* until something says that it is over */ }).await
/// # })
/// # }
/// ```
pub struct Server {
    core: Core,
    to_core: mpsc::Sender<ToCore>,
    inputs: mpsc::Receiver<ToCore>,
    flushed: mpsc::UnboundedReceiver<Flush>,
    door: Arc<Door>,
    accepting: Vec<Pin<Box<dyn Future<Output = io::Error> + Send>>>,
}

impl Server {
    /// A server that listens nowhere yet.
    pub fn new(options: ServerOptions) -> Self {
        let (to_core, inputs) = mpsc::channel(INPUT_CHANNEL);
        let (flushes, flushed) = mpsc::unbounded_channel();
        let core = connection::Core { inputs: to_core.clone(), flushes };
        let door = Arc::new(Door::new(core, &options.config.limits));
        Server { core: Core::new(options), to_core, inputs, flushed, door, accepting: Vec::new() }
    }

    /// Takes back what the store has kept. `run` does it if it was not done before; who announces that the server is there
    /// wants to know first whether it will be.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub fn restore(&mut self) -> Result<(), StartError> {
        self.core.restore()
    }

    /// Listens here too.
    pub fn listen<L: Listener>(&mut self, listener: L, options: ListenerOptions) {
        self.accepting.push(Box::pin(accept(listener, options, Arc::clone(&self.door))));
    }

    /// For questions and orders while the server runs.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { to_core: self.to_core.downgrade() }
    }

    /// Serves until `shutdown` is there; then tells every client, and returns when their connections are closed.
    ///
    /// # Errors
    /// When a listener cannot accept any more: the others are closed with it. Or when the store cannot be read.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        self.run_until(pin!(shutdown)).await
    }

    /// In a box that is made here: a future is compiled where it is first held by its type, so this one once, and not in
    /// each program that runs a server.
    fn run_until<'a>(self, shutdown: Pin<&'a mut (dyn Future<Output = ()> + Send)>) -> Running<'a> {
        Box::pin(self.hold(shutdown))
    }

    async fn hold(mut self, mut shutdown: Pin<&mut (dyn Future<Output = ()> + Send)>) -> io::Result<()> {
        self.restore().map_err(io::Error::other)?;
        let Server { mut core, to_core, mut inputs, mut flushed, door, accepting } = self;
        // From here the channel lives as long as those who speak through it.
        drop((to_core, door));
        let mut listeners: JoinSet<io::Error> = accepting.into_iter().collect();
        let outcome = tokio::select! {
            biased;
            () = &mut shutdown => Ok(()),
            Some(ended) = listeners.join_next() => Err(ended.unwrap_or_else(io::Error::other)),
            () = core.run(&mut inputs, &mut flushed) => Ok(()),
        };
        // Nobody else comes in; those who are here are told.
        listeners.shutdown().await;
        let goodbye = async {
            core.end().await;
            // The channel ends when the last connection's task has.
            while inputs.recv().await.is_some() {}
        };
        if tokio::time::timeout(SHUTDOWN_PATIENCE, goodbye).await.is_err() {
            tracing::warn!("some connections were still open at the end");
        }
        core.close_store().await;
        outcome
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listeners", &self.accepting.len()).finish_non_exhaustive()
    }
}

/// Speaks to a server that runs. It does not keep the server alive.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    to_core: mpsc::WeakSender<ToCore>,
}

impl ServerHandle {
    /// Numbers about the state and what was dropped; `None` when the server has ended.
    pub async fn statistics(&self) -> Option<Statistics> {
        let (answer, statistics) = oneshot::channel();
        self.tell(ToCore::Statistics(answer)).await;
        statistics.await.ok()
    }

    /// From now on other rules say who may do what.
    pub async fn reload(&self, acl: Arc<Acl>) {
        self.tell(ToCore::Reload(acl)).await;
    }

    async fn tell(&self, word: ToCore) {
        if let Some(to_core) = self.to_core.upgrade() {
            // A server that has ended follows no orders.
            let _ = to_core.send(word).await;
        }
    }
}

/// Serves one listener until `shutdown` is there: the short form of [`Server`].
///
/// # Errors
/// When the listener cannot accept any more.
pub async fn serve<L: Listener>(
    listener: L,
    options: ServerOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let mut server = Server::new(options);
    server.listen(listener, ListenerOptions::default());
    server.run(shutdown).await
}
