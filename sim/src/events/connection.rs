//! One connection: the actor's end, its link, the network's own latency, and the broker's end.
//!
//! ```text
//! actor ─ unsent ─► link ─► cable ─► (liar) ─► decoder ─► broker
//! actor ◄────────── link ◄─ cable ◄─ outbox ◄─ (liar) ◄── broker
//! ```
//! The link carries the actor's faults and its window; the cable carries nothing but the distance to the broker.

use std::{collections::VecDeque, task::Waker, time::Duration};

use bytes::Bytes;
use squall_codec::{reason::Side, stream::Decoder, version::Version};
use squall_scenarios::{
    frames::FrameSplitter,
    liar::Direction,
    shared_link::SharedLink,
    stage::{Arrival, End},
};

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A raw peer's: its `Wire` reads.
    Peer,
    /// A whole client's: the loop reads for it. Its position among the clients.
    Client(usize),
}

/// What the broker knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerEnd {
    /// The broker takes what comes.
    Open,
    /// Bytes came that are no packet: the broker takes nothing more and has yet to close.
    Deaf,
    /// The broker has closed it, or has been told that it is closed.
    Closed,
}

/// A fixed delay: what goes in comes out later, in order.
#[derive(Debug, Default)]
pub(super) struct Cable {
    under_way: VecDeque<(Duration, Arrival)>,
    bytes: usize,
}

impl Cable {
    pub(super) fn push(&mut self, due: Duration, arrival: Arrival) {
        if let Arrival::Bytes(bytes) = &arrival {
            self.bytes += bytes.len();
        }
        self.under_way.push_back((due, arrival));
    }

    /// What has come out by `now`.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Arrival> {
        self.under_way.front().filter(|(due, _)| *due <= now)?;
        let (_, arrival) = self.under_way.pop_front()?;
        if let Arrival::Bytes(bytes) = &arrival {
            self.bytes -= bytes.len();
        }
        Some(arrival)
    }

    /// When the next thing comes out.
    pub(super) fn next(&self) -> Option<Duration> {
        self.under_way.front().map(|(due, _)| *due)
    }
}

/// What the broker has written and the connection has not yet taken.
#[derive(Debug)]
struct Outgoing {
    bytes: Bytes,
    /// For `Input::Flushed`, when the last byte has left.
    size: usize,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) owner: Owner,
    pub(super) link: SharedLink,
    /// Written by the actor while the link's window was full.
    unsent: VecDeque<Bytes>,
    /// How the actor ended its side.
    actor_end: Option<End>,
    /// Whether the link knows: what was written before goes first.
    actor_end_sent: bool,
    pub(super) up: Cable,
    pub(super) down: Cable,
    /// Frames on their way to the broker, for a liar.
    pub(super) up_frames: FrameSplitter,
    /// As the witness in front of a liar has read it in CONNECT.
    pub(super) version: Option<Version>,
    pub(super) decoder: Decoder,
    pub(super) server: ServerEnd,
    outbox: VecDeque<Outgoing>,
    /// The broker's side ends when the outbox has left.
    pub(super) server_end: Option<End>,
    /// Whether the actor has read the end, or is gone.
    pub(super) finished: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    pub(super) fn new(owner: Owner, link: SharedLink, maximum_packet_size: u32) -> Self {
        Connection {
            owner,
            link,
            unsent: VecDeque::new(),
            actor_end: None,
            actor_end_sent: false,
            up: Cable::default(),
            down: Cable::default(),
            up_frames: FrameSplitter::default(),
            version: None,
            decoder: Decoder::new(Side::Client, None, maximum_packet_size),
            server: ServerEnd::Open,
            outbox: VecDeque::new(),
            server_end: None,
            finished: false,
            reader: None,
            writer: None,
        }
    }

    /// The actor writes; what the link has no room for waits here.
    pub(super) fn write(&mut self, now: Duration, bytes: Bytes) {
        if self.actor_end.is_none() && !bytes.is_empty() {
            self.unsent.push_back(bytes);
            self.enter_link(now);
        }
    }

    /// Whether all that the actor wrote has been taken.
    pub(super) fn is_written(&self) -> bool {
        self.unsent.is_empty()
    }

    /// The actor ends its side. What was written before goes first, unless it is an abort.
    pub(super) fn end(&mut self, now: Duration, how: End) {
        if self.actor_end.is_some_and(|earlier| earlier == how || earlier == End::Reset) {
            return;
        }
        self.actor_end = Some(how);
        self.actor_end_sent = false;
        if how == End::Reset {
            self.unsent.clear();
            self.outbox.clear();
        }
        self.enter_link(now);
    }

    /// The actor is gone: nobody reads any more.
    pub(super) fn abandon(&mut self, now: Duration) {
        self.end(now, End::Fin);
        self.link.with(|link| link.abandon(Direction::ToClient));
        self.finished = true;
    }

    /// Moves what the actor wrote into the link as far as there is room. Whether anything moved.
    pub(super) fn enter_link(&mut self, now: Duration) -> bool {
        let mut moved = false;
        while let Some(first) = self.unsent.front_mut() {
            let room = self.link.with(|link| link.room(Direction::ToServer)).min(first.len());
            if room == 0 {
                return moved;
            }
            let part = first.split_to(room);
            if first.is_empty() {
                self.unsent.pop_front();
            }
            self.link.with(|link| link.write(now, Direction::ToServer, part));
            moved = true;
        }
        if let Some(how) = self.actor_end
            && !std::mem::replace(&mut self.actor_end_sent, true)
        {
            self.link.with(|link| link.end(now, Direction::ToServer, how));
        }
        if moved && let Some(writer) = self.writer.take() {
            writer.wake();
        }
        moved
    }

    /// The broker writes a frame of `size` bytes, as `Input::Flushed` counts them.
    pub(super) fn push_outgoing(&mut self, bytes: Bytes, size: usize) {
        self.outbox.push_back(Outgoing { bytes, size });
    }

    /// Moves what the broker wrote on its way, as far as there is room at the other end. How many bytes of
    /// `Effect::Send` have left whole, if any has.
    pub(super) fn leave_broker(&mut self, now: Duration, latency: Duration) -> Option<usize> {
        let mut flushed = None;
        while let Some(first) = self.outbox.front_mut() {
            let room = self
                .link
                .with(|link| link.room(Direction::ToClient))
                .saturating_sub(self.down.bytes)
                .min(first.bytes.len());
            if room > 0 {
                self.down.push(now + latency, Arrival::Bytes(first.bytes.split_to(room)));
            }
            if !first.bytes.is_empty() {
                return flushed;
            }
            *flushed.get_or_insert(0) += first.size;
            self.outbox.pop_front();
        }
        if let Some(how) = self.server_end.take() {
            self.down.push(now + latency, Arrival::End(how));
        }
        flushed
    }

    /// Whether nothing that the broker wrote waits for room.
    pub(super) fn has_left_broker(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The connection is dead at the broker's end: what has not left will not leave.
    pub(super) fn drop_outgoing(&mut self) {
        self.outbox.clear();
    }

    /// Moves what has come over the cable into the link. Whether anything moved.
    pub(super) fn enter_link_from_broker(&mut self, now: Duration) -> bool {
        let mut moved = false;
        while let Some(arrival) = self.down.pop(now) {
            moved = true;
            self.link.with(|link| match arrival {
                Arrival::Bytes(bytes) => link.write(now, Direction::ToClient, bytes),
                Arrival::End(how) => link.end(now, Direction::ToClient, how),
            });
        }
        moved
    }

    /// What has arrived at the actor.
    pub(super) fn read(&mut self, now: Duration) -> Option<Arrival> {
        let arrival = self.link.with(|link| link.read(now, Direction::ToClient));
        if matches!(arrival, Some(Arrival::End(_))) {
            self.finished = true;
        }
        arrival
    }

    /// Wakes whoever waits for what has arrived.
    pub(super) fn wake_reader(&mut self, now: Duration) {
        let arrived = self.link.with(|link| link.deadline_of(Direction::ToClient)).is_some_and(|due| due <= now);
        if arrived && let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Who is to be woken when something arrives.
    pub(super) fn wait_to_read(&mut self, waker: &Waker) {
        self.reader = Some(waker.clone());
    }

    /// Who is to be woken when the link takes more.
    pub(super) fn wait_to_write(&mut self, waker: &Waker) {
        self.writer = Some(waker.clone());
    }

    /// Whether nothing can happen on this connection any more.
    pub(super) fn is_over(&self) -> bool {
        self.server == ServerEnd::Closed
            && self.outbox.is_empty()
            && self.unsent.is_empty()
            && self.down.next().is_none()
            && (self.finished || self.actor_end == Some(End::Reset))
    }

    /// When something happens here by itself.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let link = self.link.with(|link| {
            // What has arrived and is not read by a peer waits for the peer, not for a time.
            let to_client = link.deadline_of(Direction::ToClient).filter(|due| *due > now);
            [link.deadline_of(Direction::ToServer), to_client]
        });
        [self.up.next(), self.down.next(), link[0], link[1]].into_iter().flatten().min()
    }
}
