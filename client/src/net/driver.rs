//! One task for each client: bytes to packets, effects to bytes, requests to inputs and outcomes to answers.

use std::{collections::BTreeMap, fmt, future::Future, io, time::Duration};

use bytes::BytesMut;
use squall_codec::{
    packet::Publish,
    reason::{ReasonCode, Side},
    stream::Decoder,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::debug;

use super::{
    clock::{Clock, Timer},
    connector::Connector,
    handle::{Command, Events, Handle, Messages, PublishCommand},
    inbox::Inbox,
};
use crate::{
    core::{
        client::Client,
        effect::{Effect, Event, Input, Outcome, Token},
    },
    options::Options,
};

/// Requests of all handles that the driver has not taken.
const REQUESTS: usize = 64;
/// Messages that the application has not taken, before the socket is no longer read.
const MESSAGES: usize = 64;
/// Events that the application has not taken: twice this many, then the oldest give way.
const EVENTS: usize = 64;
/// Bytes not yet written, beyond which the driver takes no request and reads nothing that it would have to answer.
const UNWRITTEN: usize = 256 * 1024;
/// Bytes read at once.
const READ: usize = 16 * 1024;
/// Publishes taken in a row before the socket has its turn.
const TURN: u32 = 64;
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
    let (publishes_in, publishes) = mpsc::channel(REQUESTS);
    let (commands_in, commands) = mpsc::channel(REQUESTS);
    let (messages, messages_out) = Inbox::new(MESSAGES);
    let (events, events_out) = Inbox::new(EVENTS);
    let handle = Handle { publishes: publishes_in, commands: commands_in };
    let requests = Requests { publishes: Some(publishes), commands: Some(commands), budget: TURN };
    let driver = async move {
        // Time starts with the first poll: only then is the runtime there whose clock this is.
        let clock = Clock::new();
        let core = Core {
            client: Client::new(options, seed),
            clock,
            messages,
            events,
            waiting: BTreeMap::new(),
            next_token: 0,
            closed: Vec::new(),
            wish: Wish::Nothing,
            unwritten: BytesMut::new(),
        };
        Driver { core, requests, timer: Timer::new(clock), connector }.run().await;
    };
    (handle, Messages(messages_out), Events(events_out), driver)
}

struct Driver<C> {
    core: Core,
    requests: Requests,
    timer: Timer,
    connector: C,
}

/// The core, and where its effects go.
struct Core {
    client: Client,
    clock: Clock,
    messages: Inbox<Publish>,
    events: Inbox<Event>,
    waiting: BTreeMap<Token, oneshot::Sender<Outcome>>,
    next_token: u64,
    /// Who waits for the connection to be closed.
    closed: Vec<oneshot::Sender<()>>,
    wish: Wish,
    unwritten: BytesMut,
}

/// What the core wants with the Network Connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    #[default]
    Nothing,
    Open,
    Close,
}

impl<C: Connector> Driver<C> {
    async fn run(mut self) {
        self.core.input(Input::Connect);
        while !self.core.client.is_idle() {
            if std::mem::take(&mut self.core.wish) != Wish::Open {
                self.core.wait(&mut self.requests, &mut self.timer, std::future::pending::<()>()).await;
                continue;
            }
            if let Some(stream) = self.open().await {
                self.core.connected(&mut self.requests, &mut self.timer, stream).await;
            }
            self.core.closed.clear();
        }
        self.core.closed.clear();
        // The application is owed what was acknowledged on its behalf, and the last word.
        while !self.core.messages.is_clear() {
            self.core.messages.room().await;
            self.core.messages.retry();
        }
        while !self.core.events.is_clear() {
            self.core.events.room().await;
            self.core.events.retry();
        }
    }

    async fn open(&mut self) -> Option<C::Io> {
        let Driver { core, requests, timer, connector } = self;
        match core.wait(requests, timer, connector.connect()).await? {
            Ok(stream) => {
                core.input(Input::Opened);
                Some(stream)
            }
            Err(error) => {
                core.lost(&error);
                None
            }
        }
    }
}

impl Core {
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
                () = self.messages.room(), if !self.messages.is_clear() => self.messages.retry(),
                () = self.events.room(), if !self.events.is_clear() => self.events.retry(),
                request = requests.next(self.client.has_room()) => self.request(request),
                () = self.messages.closed(), if requests.is_closed() => self.abandoned(),
                () = std::future::ready(()), if requests.is_tired() => requests.rest(),
            }
        }
        None
    }

    /// Moves bytes until the connection ends, by either side.
    async fn connected<S: AsyncRead + AsyncWrite>(&mut self, requests: &mut Requests, timer: &mut Timer, stream: S) {
        let options = self.client.options();
        let mut decoder = Decoder::new(Side::Server, Some(options.version), options.maximum_packet_size);
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut buffer = vec![0; READ];
        let mut paused = false;
        while self.wish == Wish::Nothing {
            if self.messages.is_clear() == paused {
                paused = !paused;
                self.input(if paused { Input::Paused } else { Input::Resumed });
            }
            if !paused && self.decode(&mut decoder) {
                continue;
            }
            let writable = self.unwritten.len() < UNWRITTEN;
            tokio::select! {
                biased;
                () = timer.wait(self.client.deadline()) => self.input(Input::Tick),
                written = writer.write_buf(&mut self.unwritten), if !self.unwritten.is_empty() => {
                    if let Err(error) = written {
                        return self.lost(&error);
                    }
                }
                () = self.messages.room(), if paused => self.messages.retry(),
                () = self.events.room(), if !self.events.is_clear() => self.events.retry(),
                request = requests.next(writable && self.client.has_room()) => {
                    self.request(request);
                    self.more_requests(requests);
                }
                () = self.messages.closed(), if requests.is_closed() => self.abandoned(),
                read = reader.read(&mut buffer), if writable && !paused => match read {
                    Ok(0) => return self.lost(&"the server closed it"),
                    Ok(count) => decoder.extend(&buffer[..count]),
                    Err(error) => return self.lost(&error),
                },
                () = std::future::ready(()), if requests.is_tired() => requests.rest(),
            }
        }
        self.wish = Wish::Nothing;
        // A peer that does not read, or never closes, is left to itself.
        let closing = close(reader, writer, &mut self.unwritten, &mut buffer);
        if let Ok(Err(error)) = timeout(CLOSING, closing).await {
            debug!("the connection did not end well: {error}");
        }
        self.unwritten = BytesMut::new();
    }

    /// Hands the core the packets that are there; whether one changed what is to be done next.
    fn decode(&mut self, decoder: &mut Decoder) -> bool {
        while self.messages.is_clear() && self.wish == Wish::Nothing {
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
        while self.wish == Wish::Nothing && self.unwritten.len() < UNWRITTEN {
            let Some(request) = requests.take(self.client.has_room()) else { return };
            self.request(request);
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Publish(PublishCommand { message, reply }) => {
                let token = self.token(reply);
                self.input(Input::Publish { token, message });
            }
            Request::Command(Command::Subscribe { subscriptions, properties, reply }) => {
                let token = self.token(reply);
                self.input(Input::Subscribe { token, subscriptions, properties });
            }
            Request::Command(Command::Unsubscribe { filters, reply }) => {
                let token = self.token(reply);
                self.input(Input::Unsubscribe { token, filters });
            }
            Request::Command(Command::Acknowledge { packet_id }) => self.input(Input::Acknowledge { packet_id }),
            Request::Command(Command::Disconnect { reason, session_expiry_seconds, closed }) => {
                self.closed.push(closed);
                self.input(Input::Disconnect { reason, session_expiry_seconds });
            }
            Request::Closed => {}
        }
    }

    /// Nobody can ask, and nobody listens.
    fn abandoned(&mut self) {
        self.input(Input::Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, session_expiry_seconds: None });
    }

    fn lost(&mut self, reason: &dyn fmt::Display) {
        // What was not written belongs to the connection that is gone.
        self.unwritten = BytesMut::new();
        self.input(Input::Lost { reason: reason.to_string() });
    }

    fn token(&mut self, reply: oneshot::Sender<Outcome>) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.waiting.insert(token, reply);
        token
    }

    /// Tells the core, and carries out what it says.
    fn input(&mut self, input: Input) {
        let mut broken = None;
        for effect in self.client.handle(self.clock.now(), input) {
            match effect {
                Effect::Open => self.wish = Wish::Open,
                Effect::Close => self.wish = Wish::Close,
                Effect::Send { version, packet } => {
                    debug!(target: PACKETS, "sending {packet}");
                    if let Err(error) = packet.encode(version, &mut self.unwritten) {
                        broken.get_or_insert(error);
                    }
                }
                Effect::Message { message } => self.messages.put(message),
                Effect::Done { token, outcome } => {
                    if let Some(reply) = self.waiting.remove(&token) {
                        // The application may have dropped its future: then the answer goes nowhere.
                        let _ = reply.send(outcome);
                    }
                }
                Effect::Event(event) => {
                    debug!("{event:?}");
                    self.events.put_newest(event, EVENTS);
                }
            }
        }
        if let Some(error) = broken {
            // A password or a will beyond 65,535 bytes: no connection can be had with it.
            self.lost(&error);
            self.wish = Wish::Close;
        }
    }
}

/// Writes what is still to be written, says that nothing more comes, and reads until the server is done too: closing
/// with unread bytes would reset the connection, and take the DISCONNECT away with it.
async fn close<S: AsyncRead + AsyncWrite>(
    mut reader: ReadHalf<S>,
    mut writer: WriteHalf<S>,
    unwritten: &mut BytesMut,
    buffer: &mut [u8],
) -> io::Result<()> {
    writer.write_all_buf(unwritten).await?;
    writer.shutdown().await?;
    while reader.read(buffer).await? > 0 {}
    Ok(())
}

/// What the handles ask for. A channel whose handles are gone is `None`.
struct Requests {
    publishes: Option<mpsc::Receiver<PublishCommand>>,
    commands: Option<mpsc::Receiver<Command>>,
    /// Publishes that may still be taken before the socket has its turn.
    budget: u32,
}

enum Request {
    Publish(PublishCommand),
    Command(Command),
    /// The handles are gone.
    Closed,
}

impl Requests {
    /// Waits for the next request; for ever when the handles are gone. May be dropped at any time.
    async fn next(&mut self, publishes_too: bool) -> Request {
        let publishes_too = publishes_too && !self.is_tired();
        tokio::select! {
            biased;
            command = receive(&mut self.commands) => command.map_or(Request::Closed, Request::Command),
            publish = receive(&mut self.publishes), if publishes_too => {
                self.budget -= 1;
                publish.map_or(Request::Closed, Request::Publish)
            }
        }
    }

    /// A request that is there already.
    fn take(&mut self, publishes_too: bool) -> Option<Request> {
        if let Some(command) = self.commands.as_mut().and_then(|commands| commands.try_recv().ok()) {
            return Some(Request::Command(command));
        }
        if !publishes_too || self.is_tired() {
            return None;
        }
        let publish = self.publishes.as_mut()?.try_recv().ok()?;
        self.budget -= 1;
        Some(Request::Publish(publish))
    }

    fn is_closed(&self) -> bool {
        self.commands.is_none()
    }

    fn is_tired(&self) -> bool {
        self.budget == 0
    }

    fn rest(&mut self) {
        self.budget = TURN;
    }
}

async fn receive<T>(channel: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    let Some(receiver) = channel else { return std::future::pending().await };
    let item = receiver.recv().await;
    if item.is_none() {
        *channel = None;
    }
    item
}
