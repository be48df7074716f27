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
    link::Link,
    shared_link::SharedLink,
    stage::{Arrival, End},
};

use super::agenda::sooner;

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
    /// The broker wants to hear nothing of it for a while.
    pub(super) held_back: bool,
    outbox: VecDeque<Outgoing>,
    /// Bytes of `Effect::Send` that have left whole, and of which the broker has not heard.
    left: usize,
    /// The broker's side ends when the outbox has left.
    pub(super) server_end: Option<End>,
    /// Whether the actor has read the end, or is gone.
    pub(super) finished: bool,
    /// Nothing can happen here any more.
    pub(super) is_retired: bool,
    /// When the link has something for the broker, and for the actor.
    link_due: [Option<Duration>; 2],
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    pub(super) fn new(owner: Owner, link: SharedLink, maximum_packet_size: u32) -> Self {
        let mut connection = Connection {
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
            held_back: false,
            outbox: VecDeque::new(),
            left: 0,
            server_end: None,
            finished: false,
            is_retired: false,
            link_due: [None; 2],
            reader: None,
            writer: None,
        };
        connection.look_at_link();
        connection
    }

    /// Does something with the link, and keeps in mind when it has something for either end.
    fn with_link<T>(&mut self, act: impl FnOnce(&mut Link) -> T) -> T {
        let (value, due) = self.link.drive(act);
        self.link_due = due;
        value
    }

    /// Somebody else may have changed the link.
    pub(super) fn look_at_link(&mut self) {
        self.with_link(|_| ());
    }

    /// Whether the link has something for the end of this direction.
    pub(super) fn has_come(&self, direction: Direction, now: Duration) -> bool {
        self.link_due[direction as usize].is_some_and(|due| due <= now)
    }

    /// The actor writes; what the link has no room for waits here.
    pub(super) fn write(&mut self, now: Duration, latency: Duration, bytes: Bytes) {
        if self.actor_end.is_some() || bytes.is_empty() {
            return;
        }
        if self.unsent.is_empty() && self.link.with_quietly(|link| link.pass(now, Direction::ToServer, &bytes)) {
            return self.up.push(now + latency, Arrival::Bytes(bytes));
        }
        self.unsent.push_back(bytes);
        self.enter_link(now);
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
        self.with_link(|link| link.abandon(Direction::ToClient));
        self.finished = true;
    }

    /// Moves what the actor wrote into the link as far as there is room. Whether anything moved.
    #[inline]
    fn enter_link(&mut self, now: Duration) -> bool {
        let end = self.actor_end.filter(|_| !self.actor_end_sent);
        if self.unsent.is_empty() && end.is_none() {
            return false;
        }
        self.enter_one_by_one(now, end)
    }

    fn enter_one_by_one(&mut self, now: Duration, end: Option<End>) -> bool {
        let mut moved = false;
        while let Some(mut first) = self.unsent.pop_front() {
            let rest = self.with_link(|link| {
                let rest = first.split_off(link.room(Direction::ToServer).min(first.len()));
                if !first.is_empty() {
                    moved = true;
                    link.write(now, Direction::ToServer, first);
                }
                rest
            });
            if !rest.is_empty() {
                self.unsent.push_front(rest);
                return moved;
            }
        }
        if let Some(how) = end {
            self.actor_end_sent = true;
            self.with_link(|link| link.end(now, Direction::ToServer, how));
        }
        if moved && let Some(writer) = self.writer.take() {
            writer.wake();
        }
        moved
    }

    /// Moves what the actor wrote through the link, as far as it has come, onto the cable. How many things happened.
    pub(super) fn climb(&mut self, now: Duration, latency: Duration) -> u64 {
        let mut events = u64::from(self.enter_link(now));
        let due = now + latency;
        while self.has_come(Direction::ToServer, now) {
            let (before, up) = (events, &mut self.up);
            let ((), link_due) = self.link.drive(|link| {
                while let Some(arrival) = link.read(now, Direction::ToServer) {
                    events += 1;
                    up.push(due, arrival);
                    // What an arrival sets off happens before the next one.
                    if !link.is_silent() {
                        break;
                    }
                }
            });
            self.link_due = link_due;
            if events == before {
                break;
            }
        }
        events
    }

    /// The broker writes a frame of `size` bytes, as `Input::Flushed` counts them. Whether it has left at once.
    pub(super) fn leave_at_once(&mut self, now: Duration, latency: Duration, bytes: Bytes, size: usize) -> bool {
        let is_next = self.outbox.is_empty() && self.server_end.is_none();
        if is_next && bytes.len() <= self.room_below() {
            if !bytes.is_empty() {
                self.down.push(now + latency, Arrival::Bytes(bytes));
            }
            self.left += size;
            return true;
        }
        self.outbox.push_back(Outgoing { bytes, size });
        false
    }

    /// Bytes for which there is room at the actor's end.
    fn room_below(&self) -> usize {
        let window = self.link.with_quietly(|link| link.room(Direction::ToClient));
        window.saturating_sub(self.down.bytes)
    }

    /// Bytes of `Effect::Send` that have left whole since the last call.
    pub(super) fn take_left(&mut self) -> usize {
        std::mem::take(&mut self.left)
    }

    /// Whether there are any.
    pub(super) fn has_left(&self) -> bool {
        self.left > 0
    }

    /// Moves what waited for room on its way, as far as there is some now, and the end behind it.
    #[inline]
    pub(super) fn leave_broker(&mut self, now: Duration, latency: Duration) {
        if !self.outbox.is_empty() || self.server_end.is_some() {
            self.leave_one_by_one(now, latency);
        }
    }

    fn leave_one_by_one(&mut self, now: Duration, latency: Duration) {
        while !self.outbox.is_empty() {
            let room = self.room_below();
            let Some(first) = self.outbox.front_mut() else { break };
            if room.min(first.bytes.len()) > 0 {
                let leaves = first.bytes.split_to(room.min(first.bytes.len()));
                self.down.push(now + latency, Arrival::Bytes(leaves));
            }
            if !first.bytes.is_empty() {
                return;
            }
            self.left += first.size;
            self.outbox.pop_front();
        }
        if let Some(how) = self.server_end.take() {
            self.down.push(now + latency, Arrival::End(how));
        }
    }

    /// Whether nothing that the broker wrote waits for room.
    pub(super) fn has_left_broker(&self) -> bool {
        self.outbox.is_empty()
    }

    /// The connection is dead at the broker's end: what has not left will not leave.
    pub(super) fn drop_outgoing(&mut self) {
        self.outbox.clear();
    }

    /// What has come over the cable and passes the link at once, to an actor who reads at once. The rest moves into the
    /// link. Whether anything moved.
    pub(super) fn pass_down(&mut self, now: Duration, moved: &mut bool) -> Option<Bytes> {
        while let Some(arrival) = self.down.pop(now) {
            *moved = true;
            match arrival {
                Arrival::Bytes(bytes) => {
                    let reads_at_once = matches!(self.owner, Owner::Client(_));
                    if reads_at_once && self.link.with_quietly(|link| link.pass(now, Direction::ToClient, &bytes)) {
                        return Some(bytes);
                    }
                    self.with_link(|link| link.write(now, Direction::ToClient, bytes));
                }
                Arrival::End(how) => self.with_link(|link| link.end(now, Direction::ToClient, how)),
            }
        }
        None
    }

    /// What has arrived at the actor.
    pub(super) fn read(&mut self, now: Duration) -> Option<Arrival> {
        if !self.has_come(Direction::ToClient, now) {
            return None;
        }
        let arrival = self.with_link(|link| link.read(now, Direction::ToClient));
        if matches!(arrival, Some(Arrival::End(_))) {
            self.finished = true;
        }
        arrival
    }

    /// Wakes whoever waits for what has arrived.
    pub(super) fn wake_reader(&mut self, now: Duration) {
        if self.has_come(Direction::ToClient, now)
            && let Some(reader) = self.reader.take()
        {
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

    /// Whether the broker takes what comes, and now.
    pub(super) fn is_heard(&self) -> bool {
        self.server == ServerEnd::Open && !self.held_back
    }

    /// Whether what has come is left where it is.
    fn is_held_back(&self) -> bool {
        self.server == ServerEnd::Open && self.held_back
    }

    /// What has come up by now, and is heard.
    pub(super) fn arrives(&mut self, now: Duration) -> Option<Arrival> {
        if self.is_held_back() { None } else { self.up.pop(now) }
    }

    /// Whether nothing can happen on this connection any more.
    pub(super) fn is_over(&self) -> bool {
        self.server == ServerEnd::Closed
            && self.outbox.is_empty()
            && self.unsent.is_empty()
            && self.down.next().is_none()
            && (self.finished || self.actor_end == Some(End::Reset))
    }

    /// Whether somebody waits for room, which there may be now.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.unsent.is_empty() || !self.outbox.is_empty()
    }

    /// When something happens here by itself.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let [to_server, to_client] = self.link_due;
        // What has arrived and is not read by a peer waits for the peer, not for a time.
        let to_client = to_client.filter(|due| *due > now);
        let up = self.up.next().filter(|_| !self.is_held_back());
        sooner(sooner(up, self.down.next()), sooner(to_server, to_client))
    }
}
