//! Accepts connections, owns the core, shuts down.
//!
//! One task holds the core and never awaits a connection: what comes in passes one bounded channel, what goes out one
//! channel for each connection whose content the core bounds by counting bytes not yet `Flushed`.

use std::{fmt, future::Future, io, pin::pin, sync::Arc, time::Duration};

use squall_codec::{packet::Packet, version::Version};
use tokio::sync::mpsc;

use super::{connection, core_task::Core, listener::Listener};
use crate::{
    core::{
        HashKey,
        access::{AllowAll, Authenticator},
        config::Config,
        effect::{ConnectionId, Input, PeerInfo},
    },
    store::{Store, memory::MemoryStore},
};

/// Groups of inputs that may wait for the core. A connection that finds the channel full reads no more.
const INPUT_CHANNEL: usize = 256;
/// How long connections may take to say goodbye at the end.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(4);
/// The pause after an accept that failed for want of something (file descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What a connection's task or the accept loop tells the core's task.
#[derive(Debug)]
pub(super) enum ToCore {
    /// A connection was accepted; its task listens to `outbox`.
    Opened { connection: ConnectionId, peer: PeerInfo, outbox: mpsc::UnboundedSender<Vec<Outgoing>> },
    /// What one connection has to say, in order.
    Inputs(Vec<Input>),
}

/// Bytes have left for a socket. A channel of its own, since the news must not wait behind the inputs that fill the other:
/// a client that reads well would look slow. What it holds is bounded with the bytes that are under way.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) connection: ConnectionId,
    pub(super) bytes: usize,
}

/// What the core's task tells a connection's task.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Write this.
    Packet(Version, Packet),
    /// Write what is still to be written, and end the connection.
    Close { patient: bool },
}

/// Serves until `shutdown` is there; then tells every client, and returns when their connections are closed.
///
/// # Errors
/// When the listener cannot accept any more.
pub async fn serve<L: Listener>(
    listener: L,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (to_core, mut inputs) = mpsc::channel(INPUT_CHANNEL);
    let (flushes, mut flushed) = mpsc::unbounded_channel();
    let maximum_packet_size = options.config.limits.maximum_packet_size;
    let mut core = Core::new(options);
    let mut shutdown = pin!(shutdown);
    let outcome = {
        let mut accepting = pin!(accept(&listener, to_core, flushes, maximum_packet_size));
        tokio::select! {
            biased;
            () = &mut shutdown => Ok(()),
            error = &mut accepting => Err(error),
            () = core.run(&mut inputs, &mut flushed) => Ok(()),
        }
    };
    // Nobody else comes in; those who are here are told.
    drop(listener);
    core.handle(Input::Shutdown);
    core.finish_turn();
    // The channel ends when the last connection's task has.
    let farewell = async { while inputs.recv().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_PATIENCE, farewell).await.is_err() {
        tracing::warn!("some connections were still open at the end");
    }
    outcome
}

/// Accepts for ever; the error is one that the listener does not recover from.
async fn accept<L: Listener>(
    listener: &L,
    to_core: mpsc::Sender<ToCore>,
    flushes: mpsc::UnboundedSender<Flush>,
    maximum_packet_size: u32,
) -> io::Error {
    let mut next = 0;
    loop {
        let (io, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) if error.raw_os_error().is_some() => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Err(error) => return error,
        };
        next += 1;
        let connection = ConnectionId(next);
        let (outbox, outgoing) = mpsc::unbounded_channel();
        if to_core.send(ToCore::Opened { connection, peer, outbox }).await.is_err() {
            return io::Error::other("the server's core has ended");
        }
        let task =
            connection::Task::new(connection, io, maximum_packet_size, to_core.clone(), flushes.clone(), outgoing);
        tokio::spawn(task.run());
    }
}

/// Errors that concern a connection which went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | BrokenPipe | NotConnected
    )
}
