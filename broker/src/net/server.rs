//! Accepts connections, owns the core, shuts down.
//!
//! One task holds the core and never awaits a connection: what comes in passes one bounded channel, what goes out one
//! channel for each connection whose content the core bounds by counting bytes not yet `Flushed`.

use std::{collections::BTreeMap, fmt, future::Future, io, pin::pin, sync::Arc, time::Duration};

use squall_codec::{packet::Packet, version::Version};
use tokio::sync::mpsc;

use super::{clock::Clock, connection, listener::Listener};
use crate::{
    core::{
        HashKey,
        access::{AllowAll, Authenticator},
        broker::Broker,
        config::Config,
        effect::{CloseCause, ConnectionId, Effect, Input, PeerInfo},
    },
    store::memory::MemoryStore,
};

/// Groups of inputs that may wait for the core. A connection that finds the channel full reads no more.
const INPUT_CHANNEL: usize = 256;
/// Groups that the core takes at once before it hands out their effects: few enough that what they bring for one client
/// stays within its soft bound.
const GROUPS_PER_TURN: usize = 16;
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
}

impl ServerOptions {
    /// The default configuration, open to everyone.
    pub fn new(key: HashKey, unix_start: Duration) -> Self {
        ServerOptions { config: Config::default(), key, unix_start, authenticator: Arc::new(AllowAll) }
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

/// The core with what its effects need.
struct Core {
    broker: Broker,
    clock: Clock,
    store: MemoryStore,
    authenticator: Arc<dyn Authenticator>,
    /// Where the effects of a connection go.
    outboxes: BTreeMap<ConnectionId, Outbox>,
    /// Connections with effects that were not yet handed over.
    dirty: Vec<ConnectionId>,
}

struct Outbox {
    sender: mpsc::UnboundedSender<Vec<Outgoing>>,
    pending: Vec<Outgoing>,
}

impl Core {
    fn new(options: ServerOptions) -> Self {
        let clock = Clock::start(options.unix_start);
        Core {
            broker: Broker::new(clock.now(), options.config, options.key),
            clock,
            store: MemoryStore::default(),
            authenticator: options.authenticator,
            outboxes: BTreeMap::new(),
            dirty: Vec::new(),
        }
    }

    async fn run(&mut self, inputs: &mut mpsc::Receiver<ToCore>, flushed: &mut mpsc::UnboundedReceiver<Flush>) {
        let mut groups = Vec::with_capacity(GROUPS_PER_TURN);
        let mut flushes = Vec::new();
        loop {
            let deadline = self.broker.deadline().map(|deadline| self.clock.instant(deadline));
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(flush) = flushed.recv() => {
                    flushes.push(flush);
                    while let Ok(flush) = flushed.try_recv() {
                        flushes.push(flush);
                    }
                    for Flush { connection, bytes } in flushes.drain(..) {
                        self.handle(Input::Flushed { connection, bytes });
                    }
                }
                count = inputs.recv_many(&mut groups, GROUPS_PER_TURN) => {
                    if count == 0 {
                        return;
                    }
                    for group in groups.drain(..) {
                        self.take(group);
                    }
                }
                () = due => self.handle(Input::Tick),
            }
            self.finish_turn();
            // Those who write go first: what was handed over should be on its way before there is more of it.
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self, group: ToCore) {
        match group {
            ToCore::Opened { connection, peer, outbox } => {
                self.outboxes.insert(connection, Outbox { sender: outbox, pending: Vec::new() });
                self.handle(Input::Opened { connection, peer });
            }
            ToCore::Inputs(inputs) => {
                for input in inputs {
                    let closed = match &input {
                        Input::Closed { connection } => Some(*connection),
                        _ => None,
                    };
                    self.handle(input);
                    if let Some(connection) = closed {
                        self.hand_over(connection);
                        self.outboxes.remove(&connection);
                    }
                }
            }
        }
    }

    /// One input, and its effects carried out.
    fn handle(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let now = self.clock.now();
            let mut asked = None;
            for effect in self.broker.handle(now, input) {
                match effect {
                    Effect::Send { connection, version, packet } => {
                        push(&mut self.outboxes, &mut self.dirty, connection, Outgoing::Packet(version, packet));
                    }
                    Effect::Close { connection, cause } => {
                        log_close(connection, &cause);
                        let patient = cause != CloseCause::SlowReader;
                        push(&mut self.outboxes, &mut self.dirty, connection, Outgoing::Close { patient });
                    }
                    Effect::Persist { seq, record } => self.store.persist(seq, record),
                    Effect::Authenticate { connection, request } => asked = Some((connection, request)),
                }
            }
            if let Some((connection, request)) = asked {
                let outcome = self.authenticator.authenticate(&request);
                next = Some(Input::Authenticated { connection, outcome });
            }
        }
    }

    /// Settles with the store and hands the effects over, one group for each connection.
    fn finish_turn(&mut self) {
        while let Some(answer) = self.store.answer() {
            self.handle(answer);
        }
        for connection in std::mem::take(&mut self.dirty) {
            self.hand_over(connection);
        }
    }

    fn hand_over(&mut self, connection: ConnectionId) {
        let Some(outbox) = self.outboxes.get_mut(&connection) else { return };
        let pending = std::mem::take(&mut outbox.pending);
        let closes = matches!(pending.last(), Some(Outgoing::Close { .. }));
        // A task that is gone has said, or will say, that its connection is closed.
        if !pending.is_empty() && outbox.sender.send(pending).is_err() {
            tracing::trace!(connection = connection.0, "nobody is left to write to");
        }
        if closes {
            self.outboxes.remove(&connection);
        }
    }
}

fn push(
    outboxes: &mut BTreeMap<ConnectionId, Outbox>,
    dirty: &mut Vec<ConnectionId>,
    connection: ConnectionId,
    outgoing: Outgoing,
) {
    let Some(outbox) = outboxes.get_mut(&connection) else { return };
    if outbox.pending.is_empty() {
        dirty.push(connection);
    }
    outbox.pending.push(outgoing);
}

fn log_close(connection: ConnectionId, cause: &CloseCause) {
    let connection = connection.0;
    match cause {
        CloseCause::Disconnected | CloseCause::TakenOver | CloseCause::ShuttingDown => {
            tracing::debug!(connection, %cause, "closed");
        }
        CloseCause::Violation { statement: Some(statement), .. } => {
            tracing::info!(connection, %cause, statement, "closed");
        }
        _ => tracing::info!(connection, %cause, "closed"),
    }
}
