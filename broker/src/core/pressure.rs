//! Back-pressure: a publisher whose readers lag behind is not read for a while. Its own transport then slows it down, where
//! else messages would have to be dropped.
//!
//! Nobody who keeps up waits with it: a publisher is held back only if what it published of late went to nobody but readers
//! that lag. And nobody is waited for without end: a reader that does not catch up in `Limits::publisher_patience` is from
//! then on held to the bounds of what may wait for it, until it has caught up.

use std::mem;

use super::{
    broker::Broker,
    connection::Connection,
    effect::{ConnectionId, Effect},
    limits::Limits,
    session::{Session, SessionKey},
    timers::Timer,
};

/// The part of a bound from which a reader counts as lagging, as pressed, and up to which as having caught up again.
const LAGS: usize = 64;
const PRESSED: usize = 2;
const CAUGHT_UP: usize = 4;

/// What a publisher must have published in a row to readers that lag: so many messages, or fewer with so many bytes.
const RUN_MESSAGES: u32 = 32;
const RUN_LARGE_MESSAGES: u32 = 4;
const RUN_BYTES: usize = 32 * 1024;

/// How a connection stands with those that it reads from, and with those that read from it.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    /// Publishers that are held back for it, as a reader.
    waiting: Vec<ConnectionId>,
    /// It did not catch up in time, and has not since.
    given_up: bool,
    /// Readers for which it is held back, as a publisher.
    waits_for: u32,
    /// Messages that it has published in a row to readers that lag, and their bytes.
    run: u32,
    run_bytes: usize,
}

impl Pressure {
    /// Whether nothing is read from it, so that its silence says nothing.
    pub(super) fn is_held_back(&self) -> bool {
        self.waits_for > 0
    }
}

/// The readers of the message that is being published.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// Some have nothing waiting.
    keeps_up: bool,
    /// Some have.
    lags: bool,
    /// Those that are worth waiting for.
    pressed: Vec<ConnectionId>,
}

/// How far a reader is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    KeepsUp,
    Lags,
    Pressed,
}

fn behind(limits: &Limits, connection: &Connection, session: &Session) -> Behind {
    let memory = connection.unflushed.memory();
    let (messages, bytes) = (session.queue.len(), session.queue_bytes);
    let beyond = |part: usize| {
        memory >= limits.unflushed_soft / part
            || messages >= limits.queued_messages.div_ceil(part)
            || bytes >= limits.queued_bytes.div_ceil(part)
    };
    if beyond(PRESSED) {
        Behind::Pressed
    } else if messages > 0 || memory >= limits.unflushed_soft / LAGS {
        Behind::Lags
    } else {
        Behind::KeepsUp
    }
}

fn has_caught_up(limits: &Limits, connection: &Connection, session: &Session) -> bool {
    connection.unflushed.memory() <= limits.unflushed_soft / CAUGHT_UP
        && session.queue.len() <= limits.queued_messages / CAUGHT_UP
        && session.queue_bytes <= limits.queued_bytes / CAUGHT_UP
}

impl Broker {
    /// A message begins to be published.
    pub(super) fn begin_audience(&mut self) {
        self.audience.keeps_up = false;
        self.audience.lags = false;
        self.audience.pressed.clear();
    }

    /// A message was given to this session, or dropped because it lags.
    pub(super) fn note_reader(&mut self, key: SessionKey) {
        let session = &self.sessions[key];
        let Some(id) = session.connection else { return };
        let Some(connection) = self.connections.get(&id) else { return };
        match behind(&self.config.limits, connection, session) {
            Behind::KeepsUp => self.audience.keeps_up = true,
            Behind::Lags => self.audience.lags = true,
            Behind::Pressed => {
                self.audience.lags = true;
                if !connection.pressure.given_up {
                    self.audience.pressed.push(id);
                }
            }
        }
    }

    /// The message of `size` bytes was given to all: is its publisher to be held back?
    pub(super) fn hold_back(&mut self, publisher: ConnectionId, size: usize) {
        let Some(connection) = self.connections.get_mut(&publisher) else { return };
        let pressure = &mut connection.pressure;
        if self.audience.keeps_up {
            (pressure.run, pressure.run_bytes) = (0, 0);
            return;
        }
        if !self.audience.lags {
            return;
        }
        pressure.run = pressure.run.saturating_add(1);
        pressure.run_bytes = pressure.run_bytes.saturating_add(size);
        let run_is_large = pressure.run >= RUN_LARGE_MESSAGES && pressure.run_bytes >= RUN_BYTES;
        if self.audience.pressed.is_empty() || !(run_is_large || pressure.run >= RUN_MESSAGES) {
            return;
        }
        let patience = self.config.limits.publisher_patience;
        if patience.is_zero() {
            return;
        }
        let pressed = mem::take(&mut self.audience.pressed);
        for reader in &pressed {
            let Some(connection) = self.connections.get_mut(reader) else { continue };
            // One who waits for its own acknowledgements must be heard.
            let itself =
                *reader == publisher && connection.unflushed.memory() < self.config.limits.unflushed_soft / PRESSED;
            let waiting = &mut connection.pressure.waiting;
            if itself || waiting.contains(&publisher) {
                continue;
            }
            if waiting.is_empty() {
                self.timers.set(Timer::Patience(*reader), self.now.monotonic + patience);
            }
            waiting.push(publisher);
            let Some(connection) = self.connections.get_mut(&publisher) else { continue };
            connection.pressure.waits_for += 1;
            if connection.pressure.waits_for == 1 {
                self.statistics.publisher_pauses += 1;
                self.effects.push_back(Effect::Pause { connection: publisher });
            }
        }
        self.audience.pressed = pressed;
    }

    /// Something has left a reader, or was settled with it: has it caught up?
    pub(super) fn relieve(&mut self, reader: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&reader) else { return };
        if connection.pressure.waiting.is_empty() && !connection.pressure.given_up {
            return;
        }
        let Some(session) = connection.open().map(|open| &self.sessions[open.session]) else { return };
        if has_caught_up(&self.config.limits, connection, session) {
            connection.pressure.given_up = false;
            let waiting = mem::take(&mut connection.pressure.waiting);
            self.timers.cancel(Timer::Patience(reader));
            self.resume(waiting);
        }
    }

    /// A reader has not caught up in time.
    pub(super) fn give_up_on(&mut self, reader: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&reader) else { return };
        connection.pressure.given_up = true;
        let waiting = mem::take(&mut connection.pressure.waiting);
        self.resume(waiting);
    }

    /// A connection is gone, and with it the reason to wait for it.
    pub(super) fn end_pressure(&mut self, reader: ConnectionId, pressure: Pressure) {
        if !pressure.waiting.is_empty() {
            self.timers.cancel(Timer::Patience(reader));
            self.resume(pressure.waiting);
        }
    }

    /// One reader less to wait for.
    fn resume(&mut self, publishers: Vec<ConnectionId>) {
        for publisher in publishers {
            let Some(connection) = self.connections.get_mut(&publisher) else { continue };
            connection.pressure.waits_for -= 1;
            if connection.pressure.is_held_back() {
                continue;
            }
            if let Some(open) = connection.open_mut() {
                // [MQTT-3.1.2-22] What it had to say could not be heard.
                open.last_packet = self.now.monotonic;
            }
            self.effects.push_back(Effect::Resume { connection: publisher });
        }
    }
}
