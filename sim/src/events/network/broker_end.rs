//! The broker's end of every connection: what reaches its core, what the core asks for, and in front of it the witness and
//! the liar.

use std::collections::VecDeque;

use bytes::Bytes;
use squall_broker::core::{
    access::Answer,
    effect::{ConnectionId, Effect, Input},
};
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::{
    liar::{Direction, Lie},
    stage::End,
};

use super::{super::connection::ServerEnd, Network};
use crate::edge::{Edge, Witness};
/// What a liar says to the broker on a connection.
pub(in crate::events) enum SaidToBroker {
    Bytes(usize, Bytes),
    End(usize),
}

impl Network {
    pub(super) fn reach_broker(&mut self, index: usize, bytes: Bytes) {
        if self.liar.is_none() {
            return self.decode(index, bytes);
        }
        self.connections[index].up_frames.extend(&bytes);
        while let Some(frame) = self.connections[index].up_frames.next_frame() {
            self.frame_passes(index, Direction::ToServer, &frame);
            self.ask_liar(index, Direction::ToServer, frame, None);
            self.say_to_broker();
        }
        if self.connections[index].up_frames.is_lost() {
            let rest = self.connections[index].up_frames.take_rest();
            if !rest.is_empty() {
                self.passes(index, Edge::Malformed { version: None, error: None });
                self.ask_liar(index, Direction::ToServer, rest, None);
                self.say_to_broker();
            }
        }
    }

    /// One side's end reaches the liar, and the other side behind it.
    pub(super) fn end_at_broker(&mut self, index: usize, how: End) {
        if self.connections[index].server != ServerEnd::Closed {
            self.passes(index, Edge::EndedByClient);
        }
        if self.liar.is_some() {
            let rest = self.connections[index].up_frames.take_rest();
            if how == End::Fin {
                self.decode(index, rest);
            }
        }
        let passes = self.liar_passes_end(index, Direction::ToServer);
        self.say_to_broker();
        if passes {
            self.close_at_broker(index);
            self.end_from_broker(index);
        }
        if how == End::Reset {
            self.connections[index].drop_outgoing();
        }
    }

    fn liar_passes_end(&mut self, index: usize, direction: Direction) -> bool {
        let Some(liar) = &mut self.liar else { return true };
        let mut lies = Vec::new();
        let passes = liar.ended(self.now, index as u64, direction, &mut lies);
        self.carry_out(lies, None);
        passes
    }

    /// The broker learns that a connection has ended.
    fn close_at_broker(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if matches!(connection.server, ServerEnd::Open | ServerEnd::Deaf) {
            connection.server = ServerEnd::Closed;
            self.tell(Input::Closed { connection: ConnectionId(index as u64) });
        }
    }

    fn decode(&mut self, index: usize, bytes: Bytes) {
        if self.connections[index].server != ServerEnd::Open {
            return;
        }
        self.connections[index].decoder.extend_shared(bytes);
        self.hear(index);
    }

    /// What has come on a connection and is whole.
    fn hear(&mut self, index: usize) {
        // The broker may close while one of these packets is handled, or may want to hear no more of it: what follows it is not read.
        while self.connections[index].is_heard() {
            let connection = ConnectionId(index as u64);
            match self.connections[index].decoder.next_packet() {
                Ok(Some(packet)) => {
                    if self.liar.is_none() {
                        self.passes(index, Edge::ToServer(&packet));
                    }
                    self.tell(Input::Packet { connection, packet });
                }
                Ok(None) => break,
                Err(error) => {
                    let version = self.connections[index].decoder.version();
                    if self.liar.is_none() {
                        self.passes(index, Edge::Malformed { version, error: Some(&error) });
                    }
                    self.connections[index].server = ServerEnd::Deaf;
                    self.tell(Input::Malformed { connection, version, error });
                }
            }
        }
    }

    /// Hands one input to the broker and carries out what it asks for. The authenticator of this world answers at once.
    pub(in crate::events) fn tell(&mut self, input: Input) {
        let mut effects = std::mem::take(&mut self.effects);
        self.take_turn_of_broker(input, &mut effects);
        while let Some(input) = self.next_answer() {
            self.take_turn_of_broker(input, &mut effects);
        }
        self.effects = effects;
    }

    /// What the broker hears next, within what it is doing.
    fn next_answer(&mut self) -> Option<Input> {
        while let Some((connection, answer)) = self.answers.pop_front() {
            // Nothing in this world is worth waiting for.
            if let Answer::Now(outcome) = answer {
                return Some(Input::Authenticated { connection, outcome });
            }
        }
        self.broker.commit(self.now)
    }

    fn take_turn_of_broker(&mut self, input: Input, effects: &mut VecDeque<Effect>) {
        self.events += 1;
        self.broker.handle(self.now, input, effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Send { connection, version, packet } => self.send(connection.0 as usize, version, &packet),
                Effect::Close { connection, .. } => self.close(connection.0 as usize),
                Effect::Authenticate { connection, request } => {
                    let answer = self.broker.subject().authenticator.authenticate(request);
                    self.answers.push_back((connection, answer));
                }
                Effect::Continue { connection, exchange, data } => {
                    self.answers.push_back((connection, exchange.next(data)));
                }
                Effect::Pause { connection } => self.connections[connection.0 as usize].held_back = true,
                Effect::Resume { connection } => {
                    self.connections[connection.0 as usize].held_back = false;
                    self.resumed.push_back(connection.0 as usize);
                }
                Effect::Persist { seq, record } => self.broker.persist(seq, record),
            }
        }
    }

    /// The broker sends a packet.
    fn send(&mut self, index: usize, version: Version, packet: &Packet) {
        // A packet that its version cannot write is not sent; the core closes the connection in the same turn.
        let Some(frame) = self.frames.of(packet, version) else { return };
        let size = frame.len();
        if self.liar.is_some() {
            self.ask_liar(index, Direction::ToClient, frame, Some(size));
        } else {
            self.passes(index, Edge::ToClient(packet));
            self.write_to(index, frame, size);
        }
    }

    fn write_to(&mut self, index: usize, bytes: Bytes, size: usize) {
        let has_left = self.connections[index].leave_at_once(self.now, self.latency, bytes, size);
        self.flushing.push(index);
        if has_left && !self.latency.is_zero() {
            self.agenda.note(index, Some(self.now + self.latency));
        } else {
            self.agenda.touch(index);
        }
    }

    /// Those go on who were held back.
    pub(super) fn catch_up(&mut self) {
        while let Some(index) = self.resumed.pop_front() {
            self.events += 1;
            self.hear(index);
            self.agenda.touch(index);
        }
    }

    /// The broker hears of what has left since it heard of it last, once for each connection.
    pub(super) fn tell_of_flushed(&mut self) {
        let mut told = 0;
        while let Some(index) = self.flushing.get(told).copied() {
            told += 1;
            let connection = &mut self.connections[index];
            let bytes = connection.take_left();
            if bytes > 0 && connection.server != ServerEnd::Closed {
                self.tell(Input::Flushed { connection: ConnectionId(index as u64), bytes });
            }
        }
        self.flushing.clear();
    }

    fn end_from_broker(&mut self, index: usize) {
        self.connections[index].server_end.get_or_insert(End::Fin);
        self.agenda.touch(index);
    }

    /// The broker closes a connection: behind what it has written.
    pub(in crate::events) fn close(&mut self, index: usize) {
        self.connections[index].server = ServerEnd::Closed;
        self.agenda.touch(index);
        if self.liar_passes_end(index, Direction::ToClient) {
            self.passes(index, Edge::EndedByServer);
            self.end_from_broker(index);
        }
    }

    /// The witness sees it.
    pub(super) fn passes(&self, index: usize, what: Edge<'_>) {
        if let Some(witness) = &self.witness {
            witness.borrow_mut().passes(self.now, index, what);
        }
    }

    /// The witness sees a frame, in front of the liar.
    fn frame_passes(&mut self, index: usize, direction: Direction, frame: &Bytes) {
        if self.witness.is_none() {
            return;
        }
        let connection = &mut self.connections[index];
        let sender = match direction {
            Direction::ToServer => Side::Client,
            Direction::ToClient => Side::Server,
        };
        match (Packet::decode(connection.version.unwrap_or(Version::V5_0), sender, frame.clone()), direction) {
            (Ok(packet), Direction::ToServer) => {
                if let Packet::Connect(connect) = &packet {
                    connection.version = Some(connect.version());
                }
                self.passes(index, Edge::ToServer(&packet));
            }
            (Ok(packet), Direction::ToClient) => self.passes(index, Edge::ToClient(&packet)),
            (Err(_), Direction::ToServer) => self.passes(index, Edge::Malformed { version: None, error: None }),
            // What a server sends that is no packet passes nobody's mind: the ends of the connection tell what comes of it.
            (Err(_), Direction::ToClient) => {}
        }
    }

    /// Tells the witness, if there is one.
    pub(in crate::events) fn witness(&self, tell: impl FnOnce(&mut dyn Witness)) {
        if let Some(witness) = &self.witness {
            tell(&mut *witness.borrow_mut());
        }
    }

    fn ask_liar(&mut self, index: usize, direction: Direction, frame: Bytes, size: Option<usize>) {
        let Some(liar) = &mut self.liar else { return };
        let mut lies = Vec::new();
        liar.frame(self.now, index as u64, direction, frame, &mut lies);
        self.carry_out(lies, size.map(|size| (index, size)));
    }

    /// Does what the liar says. `owed`: bytes of an `Effect::Send` on a connection. They count as flushed when the first
    /// frame that took their place has left, at once if none did.
    pub(super) fn carry_out(&mut self, lies: Vec<Lie>, mut owed: Option<(usize, usize)>) {
        for lie in lies {
            let (Lie::Frame(connection, ..) | Lie::Close(connection)) = lie;
            let index = connection as usize;
            assert!(index < self.connections.len(), "the liar speaks of connection {index}, which was never opened");
            match lie {
                Lie::Frame(_, Direction::ToServer, bytes) => {
                    self.said_to_broker.push_back(SaidToBroker::Bytes(index, bytes));
                }
                Lie::Frame(_, Direction::ToClient, bytes) => {
                    self.frame_passes(index, Direction::ToClient, &bytes);
                    let size = owed.take_if(|(owing, _)| *owing == index).map_or(0, |(_, size)| size);
                    self.write_to(index, bytes, size);
                }
                Lie::Close(_) => {
                    self.passes(index, Edge::EndedByServer);
                    self.said_to_broker.push_back(SaidToBroker::End(index));
                    self.end_from_broker(index);
                }
            }
        }
        if let Some((index, size)) = owed {
            self.write_to(index, Bytes::new(), size);
        }
    }

    pub(super) fn say_to_broker(&mut self) {
        while let Some(said) = self.said_to_broker.pop_front() {
            self.events += 1;
            match said {
                SaidToBroker::Bytes(index, bytes) => self.decode(index, bytes),
                SaidToBroker::End(index) => self.close_at_broker(index),
            }
        }
    }
}
