//! A link that several hands hold: the world that drives it, the book of links, the task that pumps a socket.
//!
//! The same handle serves every world. It is `Send`, because a whole client's driver is; nothing ever waits on its lock.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Waker},
    time::Duration,
};

use squall_codec::{packet::Packet, reason::Side, version::Version};

use crate::{
    frames::FrameSplitter,
    liar::Direction,
    link::{Fired, Link},
    links::Book,
    transcript::What,
};

/// A line for the transcript that a link wrote: a fault that took effect, or a frame of a tapped actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Duration,
    /// On whose link.
    pub actor: Arc<str>,
    /// Which of the actor's connections, from 1.
    pub connection: u32,
    /// What.
    pub what: What,
}

/// What all links of a book have written, in the order in which it happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) notes: Vec<Note>,
    /// Faults of the book that took effect, with the first byte of the packet at which they struck.
    pub(crate) touched: BTreeMap<usize, Option<u8>>,
}

impl Journal {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's link and the actor it belongs to. A cheap clone.
#[derive(Clone)]
pub struct SharedLink(Arc<Inner>);

struct Inner {
    actor: Arc<str>,
    connection: u32,
    journal: Journal,
    book: Weak<Mutex<Book>>,
    state: Mutex<State>,
}

/// What the book calls a fault on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    /// One that is in place.
    Fault(usize),
    /// Something that waits for a moment of the protocol.
    Awaited(usize),
}

struct State {
    link: Link,
    /// The book's number of each fault on the link.
    faults: Vec<Number>,
    tap: Option<Tap>,
    waiting: Vec<Waker>,
}

impl State {
    /// Whether nobody has to hear of anything.
    fn is_silent(&self) -> bool {
        self.waiting.is_empty() && self.link.is_silent()
    }

    fn register(&mut self, context: &Context<'_>) {
        if !self.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            self.waiting.push(context.waker().clone());
        }
    }
}

impl SharedLink {
    pub(crate) fn new(link: Link, actor: Arc<str>, connection: u32, journal: Journal, book: Weak<Mutex<Book>>) -> Self {
        let state = State { link, faults: Vec::new(), tap: None, waiting: Vec::new() };
        SharedLink(Arc::new(Inner { actor, connection, journal, book, state: Mutex::new(state) }))
    }

    /// A link that stands in no book, for an actor's first connection.
    pub fn alone(link: Link, actor: &str) -> Self {
        SharedLink::new(link, Arc::from(actor), 1, Journal::default(), Weak::new())
    }

    /// Whose.
    pub fn actor(&self) -> &str {
        &self.0.actor
    }

    /// Which of the actor's connections, from 1.
    pub fn connection(&self) -> u32 {
        self.0.connection
    }

    /// Does something with the link; what it hits is noted, and whoever waits for a change is woken.
    pub fn with<T>(&self, act: impl FnOnce(&mut Link) -> T) -> T {
        let mut state = self.lock();
        let value = act(&mut state.link);
        self.note_hits(&mut state);
        let fired = state.link.take_fired();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        self.strike(fired);
        value
    }

    /// As `with`, for the one who drives this link in both directions: also when it has something for the server, and for
    /// the client.
    pub fn drive<T>(&self, act: impl FnOnce(&mut Link) -> T) -> (T, [Option<Duration>; 2]) {
        let due = |link: &Link| [Direction::ToServer, Direction::ToClient].map(|direction| link.deadline_of(direction));
        let mut state = self.lock();
        let value = act(&mut state.link);
        if state.is_silent() {
            return (value, due(&state.link));
        }
        drop(state);
        self.with(|_| ());
        (value, due(&self.lock().link))
    }

    /// Looks at the link; `None` from `act` means that there is nothing to be had now, and the task is woken when
    /// somebody else changes the link. Nobody is woken by this.
    pub(crate) fn poll_with<T>(&self, context: &Context<'_>, act: impl FnOnce(&mut Link) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        let value = act(&mut state.link);
        self.note_hits(&mut state);
        if value.is_none() {
            state.register(context);
        }
        let fired = state.link.take_fired();
        drop(state);
        self.strike(fired);
        value
    }

    /// Looks at the link, or takes what no other task waits for.
    pub fn with_quietly<T>(&self, act: impl FnOnce(&mut Link) -> T) -> T {
        let mut state = self.lock();
        let value = act(&mut state.link);
        if state.link.is_silent() {
            return value;
        }
        self.note_hits(&mut state);
        let fired = state.link.take_fired();
        drop(state);
        self.strike(fired);
        value
    }

    /// The task is woken at the next change.
    pub(crate) fn register(&self, context: &Context<'_>) {
        self.lock().register(context);
    }

    /// Wakes whoever waits for a change.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// From now on the frames of this actor are written to the transcript: for whole clients, who keep no record of
    /// their own. The opening is the first line.
    pub fn tap(&self, now: Duration) {
        self.lock().tap = Some(Tap::default());
        self.note(now, What::Opened);
    }

    /// As `tap`, at the other end of the link: what is written down is what the server's socket has taken and given, so that
    /// nothing that the link has lost stands there.
    pub fn tap_at_server(&self, now: Duration) {
        self.lock().tap = Some(Tap { is_at_server: true, ..Tap::default() });
        self.note(now, What::Opened);
    }

    /// Writes a line about this connection, if it is tapped.
    pub fn tell(&self, now: Duration, what: What) {
        self.tell_at(false, now, what);
    }

    /// As `tell`, by the one who holds the socket.
    pub(crate) fn tell_at_server(&self, now: Duration, what: What) {
        self.tell_at(true, now, what);
    }

    fn tell_at(&self, at_server: bool, now: Duration, what: What) {
        if self.lock().tap.as_ref().is_some_and(|tap| tap.is_at_server == at_server) {
            self.note(now, what);
        }
    }

    /// The actor wrote (`ToServer`) or read (`ToClient`) these bytes: whole frames are noted, if the link is tapped.
    pub fn observe(&self, now: Duration, direction: Direction, bytes: &[u8]) {
        self.observe_at(false, now, direction, bytes);
    }

    /// The socket has taken (`ToServer`) or given (`ToClient`) these bytes.
    pub(crate) fn observe_at_server(&self, now: Duration, direction: Direction, bytes: &[u8]) {
        self.observe_at(true, now, direction, bytes);
    }

    fn observe_at(&self, at_server: bool, now: Duration, direction: Direction, bytes: &[u8]) {
        let mut state = self.lock();
        let Some(tap) = state.tap.as_mut().filter(|tap| tap.is_at_server == at_server) else { return };
        let lines = tap.observe(direction, bytes);
        drop(state);
        for what in lines {
            self.note(now, what);
        }
    }

    /// Puts a fault of the book in place.
    pub(crate) fn place(&self, number: Number, act: impl FnOnce(&mut Link)) {
        self.lock().faults.push(number);
        self.with(act);
    }

    /// The book's number of a fault on this link.
    pub(crate) fn number_of(&self, fault: usize) -> Number {
        self.lock().faults[fault]
    }

    /// Whether it is the same link.
    pub(crate) fn is(&self, other: &SharedLink) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Moments have come on this link: what waited for them strikes before anything else passes.
    fn strike(&self, fired: Vec<Fired>) {
        let Some(last) = fired.last() else { return };
        let now = last.at;
        for fired in &fired {
            let number = self.number_of(fired.position);
            if let (Number::Awaited(number), Some(book)) = (number, self.0.book.upgrade()) {
                book.lock().unwrap_or_else(PoisonError::into_inner).strike(self, number, fired);
            }
        }
        self.with(|link| link.go_on(now));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, at: Duration, what: What) {
        let note = Note { at, actor: Arc::clone(&self.0.actor), connection: self.0.connection, what };
        self.0.journal.lock().notes.push(note);
    }

    fn note_hits(&self, state: &mut State) {
        if state.link.is_silent() {
            return;
        }
        for hit in state.link.take_hits() {
            if let Some(Number::Fault(number)) = state.faults.get(hit.fault) {
                let packet = state.link.struck_by(hit.fault);
                self.0.journal.lock().touched.insert(*number, packet);
            }
            self.note(hit.at, What::Fault { summary: hit.summary });
        }
    }
}

impl fmt::Debug for SharedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLink")
            .field("actor", &self.0.actor)
            .field("connection", &self.0.connection)
            .finish_non_exhaustive()
    }
}

/// Finds the frames of one connection at one end of its link. The version is learned from its CONNECT.
#[derive(Debug, Default)]
struct Tap {
    is_at_server: bool,
    version: Option<Version>,
    sent: FrameSplitter,
    received: FrameSplitter,
}

impl Tap {
    fn observe(&mut self, direction: Direction, bytes: &[u8]) -> Vec<What> {
        let (splitter, sender) = match direction {
            Direction::ToServer => (&mut self.sent, Side::Client),
            Direction::ToClient => (&mut self.received, Side::Server),
        };
        splitter.extend(bytes);
        let mut lines = Vec::new();
        while let Some(frame) = splitter.next_frame() {
            let packet = Packet::decode(self.version.unwrap_or(Version::V5_0), sender, frame.clone());
            if let Ok(Packet::Connect(connect)) = &packet {
                self.version = Some(connect.version());
            }
            let summary = match packet {
                Ok(packet) => packet.to_string(),
                Err(error) => format!("malformed: {error}"),
            };
            lines.push(match direction {
                Direction::ToServer => What::Sent { summary, bytes: frame },
                Direction::ToClient => What::Received { summary, bytes: frame },
            });
        }
        lines
    }
}
