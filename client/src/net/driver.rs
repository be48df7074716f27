//! One task for each client: bytes to packets, effects to bytes, requests to inputs and outcomes to answers.

use std::{future::Future, io, pin::Pin, sync::Arc, time::Duration};

use squall_codec::{reason::Side, stream::Decoder};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::timeout,
};
use tracing::debug;

use super::{
    carrier::{Carrier, EVENTS, Wish},
    clock::{Clock, Timer},
    connector::{AnyConnector, ByteStream, Connector},
    handle::{Events, Handle},
    inbox::Inbox,
    keeper::{Keeper, Store},
    messages::{Acks, Messages},
    outbox::Outbox,
    requests::Requests,
    router::Router,
};
use crate::{
    core::{client::Client, effect::Input, record::Kept, redirection::Address},
    options::{Acknowledge, Options},
};

/// Requests of all handles that the driver has not taken.
const REQUESTS: usize = 64;
/// Bytes not yet written, beyond which the driver takes no request and reads nothing that it would have to answer.
const UNWRITTEN: usize = 256 * 1024;
/// Bytes read at once.
const READ: usize = 16 * 1024;
/// How long an ending connection may take to be written out and closed.
const CLOSING: Duration = Duration::from_secs(1);

/// The target of log lines that show packets.
pub const PACKETS: &str = "squall_client::packet";

/// A client that connects as soon as its driver runs. The caller spawns the driver; it ends when the core is idle:
/// after `disconnect`, or when a connection is lost and the options ask for no other.
pub fn start<C: Connector>(
    options: Options,
    connector: C,
    seed: u64,
) -> (Handle, Messages, Events, impl Future<Output = ()> + Send) {
    let options = Options { durable: false, ..options };
    prepare(options, Box::new(connector), seed, Keeper::new(None), None)
}

/// As [`start`], with a store that outlives the process. The client takes up the session that is kept there: what was
/// not acknowledged is sent again, what had not left leaves, and a QoS 2 message that was received once is not
/// delivered again. For that the options must let the session outlive its connection, and name the client.
///
/// # Errors
/// The store cannot be read.
pub fn start_with_store<C: Connector>(
    options: Options,
    connector: C,
    seed: u64,
    mut store: Box<dyn Store>,
) -> io::Result<(Handle, Messages, Events, impl Future<Output = ()> + Send)> {
    let options = Options { durable: true, ..options };
    let kept = store.load()?;
    Ok(prepare(options, Box::new(connector), seed, Keeper::new(Some(store)), Some(kept)))
}

/// The future is boxed here, where its type is known: it is compiled where that is done.
fn prepare(
    options: Options,
    connector: Box<dyn AnyConnector>,
    seed: u64,
    keeper: Keeper,
    kept: Option<Kept>,
) -> (Handle, Messages, Events, Pin<Box<dyn Future<Output = ()> + Send>>) {
    let (publishes_in, publishes) = mpsc::channel(REQUESTS);
    let (commands_in, commands) = mpsc::channel(REQUESTS);
    let acks = Arc::new(Acks::default());
    let by_hand = options.acknowledge == Acknowledge::ByHand;
    let (router, messages) = Router::new(by_hand.then(|| Arc::clone(&acks)));
    let (events, events_out) = Inbox::new(EVENTS);
    let version = options.version;
    let handle = Handle { publishes: publishes_in, commands: commands_in, version };
    let requests = Requests::new(publishes, commands);
    let driver = async move {
        // Time starts with the first poll: only then is the runtime there whose clock this is.
        // What a store keeps has to know how long nobody ran.
        let clock = if kept.is_some() { Clock::with_calendar() } else { Clock::new() };
        let client = match kept {
            Some(kept) => Client::restored(clock.now(), options, seed, kept),
            None => Client::new(options, seed),
        };
        let carrier = Carrier::new(client, clock, router, events, acks, keeper);
        Driver { carrier, requests, timer: Timer::new(clock), connector }.run().await;
    };
    (handle, messages, Events(events_out), Box::pin(driver))
}

struct Driver {
    carrier: Carrier,
    requests: Requests,
    timer: Timer,
    connector: Box<dyn AnyConnector>,
}

impl Driver {
    async fn run(mut self) {
        self.carrier.input(Input::Connect);
        while !self.carrier.client.is_idle() {
            let Wish::Open(server) = std::mem::take(&mut self.carrier.wish) else {
                self.carrier.wait(&mut self.requests, &mut self.timer, std::future::pending::<()>()).await;
                continue;
            };
            if let Some(stream) = self.open(server).await {
                self.carrier.connected(&mut self.requests, &mut self.timer, stream).await;
            }
            self.carrier.closed();
        }
        self.carrier.durable().await;
        self.carrier.closed();
        // The application is owed what was acknowledged on its behalf, and the last word.
        while !self.carrier.router.is_clear() {
            self.carrier.router.room().await;
            self.carrier.router.retry();
        }
        while !self.carrier.events.is_clear() {
            self.carrier.events.room().await;
            self.carrier.events.retry();
        }
    }

    async fn open(&mut self, server: Option<Address>) -> Option<Box<dyn ByteStream>> {
        let Driver { carrier, requests, timer, connector } = self;
        match carrier.wait(requests, timer, connector.open(server.as_ref())).await? {
            Ok(stream) => {
                carrier.input(Input::Opened);
                Some(stream)
            }
            Err(error) => {
                carrier.lost(&error);
                None
            }
        }
    }
}

impl Carrier {
    /// Serves the application without a connection, until the future is ready or the core wants something else.
    async fn wait<T>(
        &mut self,
        requests: &mut Requests,
        timer: &mut Timer,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        while self.wish == Wish::Nothing && !self.client.is_idle() {
            tokio::select! {
                biased;
                () = timer.wait(self.client.deadline()) => self.input(Input::Tick),
                value = &mut future => return Some(value),
                result = self.keeper.committed() => self.committed(result),
                () = self.router.room(), if !self.router.is_clear() => self.router.retry(),
                () = self.events.room(), if !self.events.is_clear() => self.events.retry(),
                () = self.acks.news() => self.acknowledge(),
                request = requests.next(self.client.has_room()) => self.request(request),
                () = self.router.closed(), if requests.is_closed() => self.abandoned(),
                () = std::future::ready(()), if requests.is_tired() => requests.rest(),
            }
        }
        None
    }

    /// Moves bytes until the connection ends, by either side.
    async fn connected(&mut self, requests: &mut Requests, timer: &mut Timer, stream: Box<dyn ByteStream>) {
        let options = self.client.options();
        let mut decoder = Decoder::new(Side::Server, Some(options.version), options.maximum_packet_size);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut paused = false;
        while self.wish == Wish::Nothing {
            if self.router.is_clear() == paused {
                paused = !paused;
                self.input(if paused { Input::Paused } else { Input::Resumed });
            }
            if !paused && self.decode(&mut decoder) {
                continue;
            }
            let writable = self.outbox.len() < UNWRITTEN;
            tokio::select! {
                biased;
                () = timer.wait(self.client.deadline()) => self.input(Input::Tick),
                written = write(&mut writer, &self.outbox), if self.outbox.is_due() => match written {
                    Ok(Some(0)) => return self.lost(&"the connection takes no more bytes"),
                    Ok(Some(count)) => self.outbox.written(count),
                    Ok(None) => self.outbox.flushed(),
                    Err(error) => return self.lost(&error),
                },
                result = self.keeper.committed() => self.committed(result),
                answer = self.prover.answered() => self.authenticated(answer),
                () = self.router.room(), if paused => self.router.retry(),
                () = self.events.room(), if !self.events.is_clear() => self.events.retry(),
                () = self.acks.news() => self.acknowledge(),
                request = requests.next(writable && self.client.has_room()) => {
                    self.request(request);
                    self.more_requests(requests);
                }
                () = self.router.closed(), if requests.is_closed() => self.abandoned(),
                read = reader.read(&mut buffer), if writable && !paused => match read {
                    Ok(0) => return self.lost(&"the server closed it"),
                    Ok(count) => decoder.extend(&buffer[..count]),
                    Err(error) => return self.lost(&error),
                },
                () = std::future::ready(()), if requests.is_tired() => requests.rest(),
            }
        }
        self.durable().await;
        self.wish = Wish::Nothing;
        // A peer that does not read, or never closes, is left to itself.
        let closing = close(reader, writer, &mut self.outbox, &mut buffer);
        if let Ok(Err(error)) = timeout(CLOSING, closing).await {
            debug!("the connection did not end well: {error}");
        }
        self.outbox.clear();
    }

    /// Waits until everything is durable, or can never be.
    async fn durable(&mut self) {
        while !self.keeper.is_clear() {
            let result = self.keeper.committed().await;
            self.committed(result);
        }
    }

    /// Hands the core the packets that are there; whether one changed what is to be done next.
    fn decode(&mut self, decoder: &mut Decoder) -> bool {
        while self.router.is_clear() && self.wish == Wish::Nothing {
            match decoder.next_packet() {
                Ok(None) => return false,
                Ok(Some(packet)) => {
                    debug!(target: PACKETS, "received {packet}");
                    self.input(Input::Packet { packet });
                }
                Err(error) => self.input(Input::Malformed { error }),
            }
        }
        true
    }

    /// Takes the requests that are there already, so that their packets are written at once.
    fn more_requests(&mut self, requests: &mut Requests) {
        while self.wish == Wish::Nothing && self.outbox.len() < UNWRITTEN {
            let Some(request) = requests.take(self.client.has_room()) else { return };
            self.request(request);
        }
    }
}

/// Writes some bytes, or flushes when there are none: TLS and WebSocket may have kept some back. May be dropped at any
/// time.
async fn write<W: AsyncWrite + Unpin>(writer: &mut W, outbox: &Outbox) -> io::Result<Option<usize>> {
    match outbox.free() {
        [] => writer.flush().await.map(|()| None),
        bytes => writer.write(bytes).await.map(Some),
    }
}

/// Writes what is still to be written, says that nothing more comes, and reads until the server is done too: closing
/// with unread bytes would reset the connection, and take the DISCONNECT away with it.
async fn close<S: AsyncRead + AsyncWrite>(
    mut reader: ReadHalf<S>,
    mut writer: WriteHalf<S>,
    outbox: &mut Outbox,
    buffer: &mut [u8],
) -> io::Result<()> {
    writer.write_all(outbox.free()).await?;
    writer.flush().await?;
    writer.shutdown().await?;
    while reader.read(buffer).await? > 0 {}
    Ok(())
}
