//! The network of this world: every connection, the broker's core at the far end, and the liar between them.
//!
//! `settle` carries everything out that is due now, in the order of the connections' numbers; `next` says when the next
//! thing is due. Time passes nowhere else. Only those are looked at to whom something happens.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_broker::core::{
    access::Answer,
    effect::{ConnectionId, Effect, Input, PeerInfo},
};
use squall_client::core::effect::Effect as ClientEffect;
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::{
    fault::Fault,
    liar::{Direction, Liar, Lie},
    links::Links,
    stage::{Arrival, End},
    transcript::Transcript,
};

use super::{
    agenda::{Agenda, sooner},
    broker::BrokerHost,
    client::WholeClient,
    connection::{Connection, Owner, ServerEnd},
    executor::Sleepers,
};
use crate::{
    edge::{Edge, Witness},
    meddler::Meddler,
    subject::Subject,
};

/// What the network needs to know from the start.
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) subject: Subject,
    pub(super) latency: Duration,
    pub(super) liar: Option<Box<dyn Liar>>,
    pub(super) transcript: Transcript,
    /// Whoever stands at the broker's edge, in front of the liar.
    pub(super) witness: Option<Rc<RefCell<dyn Witness>>>,
    /// Nothing is written to the transcript.
    pub(super) is_quiet: bool,
    /// Somebody takes what clients tell their applications.
    pub(super) has_applications: bool,
}

/// Everything but the play.
pub(super) struct Network {
    pub(super) now: Duration,
    pub(super) seed: u64,
    latency: Duration,
    pub(super) broker: BrokerHost,
    /// The broker's machine has no power.
    pub(super) dark: bool,
    liar: Option<Box<dyn Liar>>,
    pub(super) links: Links,
    pub(super) transcript: Transcript,
    witness: Option<Rc<RefCell<dyn Witness>>>,
    pub(super) is_quiet: bool,
    pub(super) has_applications: bool,
    /// Between the clients' cores and their connections.
    pub(super) meddler: Option<Box<dyn Meddler>>,
    /// By their number, which is also the broker's and the liar's name for them.
    pub(super) connections: Vec<Connection>,
    /// Those on which something can still happen.
    pub(super) live: BTreeSet<usize>,
    /// Which of them are to be looked at, and when.
    agenda: Agenda,
    /// Those that are over, unless something else comes at this very moment.
    perhaps_over: Vec<usize>,
    /// How often the links had changed by another hand when they were looked at last.
    changes: u64,
    /// Those from which something may have left of which the broker has not heard.
    pub(super) flushing: Vec<usize>,
    /// What the liar says to the broker: the broker hears it when it has finished what it is doing.
    pub(super) said_to_broker: VecDeque<SaidToBroker>,
    pub(super) clients: Vec<WholeClient>,
    pub(super) client_agenda: Agenda,
    pub(super) sleepers: Sleepers,
    /// Makes the frames of broker and clients.
    pub(super) frames: Frames,
    /// Room for what the broker asks for, kept from turn to turn.
    effects: VecDeque<Effect>,
    /// Of the authenticator, for the broker.
    answers: VecDeque<(ConnectionId, Answer)>,
    /// And for what a client asks for.
    pub(super) client_effects: Vec<ClientEffect>,
    /// Messages that clients have handed to their applications.
    pub(super) handed: u64,
    /// Things that happened: a run that goes in circles shows here.
    pub(super) events: u64,
}

/// Writes packets behind each other into large pieces of memory, so that not each frame is one of its own.
#[derive(Default)]
pub(super) struct Frames(BytesMut);

impl Frames {
    /// As it goes over the line; `None` where its version cannot write it.
    pub(super) fn of(&mut self, packet: &Packet, version: Version) -> Option<Bytes> {
        const PIECE_BYTES: usize = 16 * 1024;
        if self.0.capacity() < PIECE_BYTES / 16 {
            self.0.reserve(PIECE_BYTES);
        }
        let is_written = packet.encode(version, &mut self.0).is_ok();
        let frame = self.0.split().freeze();
        is_written.then_some(frame)
    }
}

/// What a liar says to the broker on a connection.
pub(super) enum SaidToBroker {
    Bytes(usize, Bytes),
    End(usize),
}

impl Network {
    pub(super) fn new(setup: Setup) -> Self {
        let links = Links::new(setup.seed);
        let book = links.clone();
        setup.transcript.pull_from(move || book.take_notes());
        let mut broker = BrokerHost::new(setup.subject, setup.seed);
        broker.start(Duration::ZERO).expect("a disk on which nothing was written yet takes a store");
        Network {
            now: Duration::ZERO,
            seed: setup.seed,
            latency: setup.latency,
            broker,
            dark: false,
            liar: setup.liar,
            links,
            transcript: setup.transcript,
            witness: setup.witness,
            is_quiet: setup.is_quiet,
            has_applications: setup.has_applications,
            frames: Frames::default(),
            effects: VecDeque::new(),
            answers: VecDeque::new(),
            client_effects: Vec::new(),
            handed: 0,
            meddler: None,
            connections: Vec::new(),
            live: BTreeSet::new(),
            agenda: Agenda::default(),
            perhaps_over: Vec::new(),
            changes: 0,
            flushing: Vec::new(),
            said_to_broker: VecDeque::new(),
            clients: Vec::new(),
            client_agenda: Agenda::default(),
            sleepers: Sleepers::default(),
            events: 0,
        }
    }

    /// When a connection that is asked for now reaches the broker.
    pub(super) fn reaches_broker_at(&self) -> Duration {
        self.now + self.latency
    }

    /// From every actor's link to the broker, one way.
    pub(super) fn distance(&self) -> Duration {
        self.latency
    }

    /// A connection has reached the broker.
    pub(super) fn open(&mut self, actor: &str, owner: Owner) -> usize {
        let index = self.connections.len();
        let link = self.links.open(self.now, actor);
        self.connections.push(Connection::new(owner, link, self.broker.maximum_packet_size()));
        self.live.insert(index);
        self.agenda.add();
        if let Owner::Client(client) = owner {
            self.passes(index, Edge::Opened(client));
        }
        if let Some(liar) = &mut self.liar {
            liar.opened(self.now, index as u64);
        }
        self.tell(Input::Opened { connection: ConnectionId(index as u64), peer: PeerInfo::default() });
        index
    }

    /// Puts a fault in place.
    pub(super) fn apply(&mut self, fault: &Fault) -> Result<(), String> {
        self.events += 1;
        self.links.apply(self.now, fault)
    }

    /// Faults that touched nothing, in words.
    pub(super) fn untouched(&self) -> Vec<String> {
        self.links.unhit()
    }

    /// An actor writes.
    pub(super) fn write(&mut self, index: usize, bytes: Bytes) {
        let connection = &mut self.connections[index];
        connection.write(self.now, self.latency, bytes);
        let due = connection.deadline(self.now);
        // A machine that knows nothing of the connection answers at once.
        let has_answer = connection.has_come(Direction::ToClient, self.now);
        if has_answer || connection.waits_for_room() || due.is_some_and(|due| due <= self.now) {
            self.agenda.touch(index);
        } else {
            self.agenda.note(index, due);
        }
    }

    /// Something has happened at one end of a connection.
    pub(super) fn touch(&mut self, index: usize) {
        self.agenda.touch(index);
    }

    /// When the next thing is due.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let (now, connections, clients) = (self.now, &self.connections, &self.clients);
        let liar = self.liar.as_ref().and_then(|liar| liar.deadline());
        let others = sooner(sooner(liar, self.broker.deadline()), self.sleepers.next());
        let next = self.agenda.next(others, |index| connections[index].deadline(now));
        // Clients do little by themselves, and put that off with all that they say.
        self.client_agenda.next(next, |index| clients[index].deadline())
    }

    /// Carries out all that is due now, until nothing moves. Sleepers come last: what is ready at the very moment of a
    /// deadline still counts.
    pub(super) fn settle(&mut self, event_limit: u64) {
        let mut ticked = false;
        self.agenda.list_due(self.now);
        loop {
            self.look_at_changed_links();
            while let Some(index) = self.agenda.pop() {
                if !self.connections[index].is_retired {
                    self.take_turn(index);
                }
            }
            self.say_to_broker();
            // A timer that is still due after its tick must not stop the clock for ever.
            if !std::mem::replace(&mut ticked, true) {
                self.tick();
            }
            self.tick_clients();
            self.tell_of_flushed();
            let has_more = !self.agenda.is_empty() || self.client_agenda.is_due(self.now);
            let is_settled = !has_more && self.said_to_broker.is_empty();
            if is_settled && self.changes == self.links.changes() || self.events > event_limit {
                break;
            }
        }
        for index in self.perhaps_over.drain(..) {
            let connection = &mut self.connections[index];
            if connection.is_over() {
                connection.is_retired = true;
                self.live.remove(&index);
            }
        }
    }

    fn take_turn(&mut self, index: usize) {
        let before = self.events;
        self.move_up(index);
        self.move_down(index);
        let connection = &self.connections[index];
        if self.events != before && connection.waits_for_room() {
            self.agenda.touch(index);
        }
        self.agenda.note(index, connection.deadline(self.now));
        if connection.is_over() {
            self.perhaps_over.push(index);
        }
        self.look_at_changed_links();
    }

    /// A fault may have struck any of them.
    fn look_at_changed_links(&mut self) {
        let changes = self.links.changes();
        if std::mem::replace(&mut self.changes, changes) != changes {
            for index in &self.live {
                self.connections[*index].look_at_link();
                self.agenda.touch(*index);
            }
        }
    }

    /// Wakes those whose time has come.
    pub(super) fn wake_sleepers(&mut self) {
        self.sleepers.wake_due(self.now);
    }

    fn tick(&mut self) {
        if let Some(answer) = self.broker.committed(self.now) {
            self.tell(answer);
        }
        if self.broker.tick_due().is_some_and(|due| due <= self.now) {
            self.tell(Input::Tick);
        }
        if let Some(liar) = &mut self.liar
            && liar.deadline().is_some_and(|due| due <= self.now)
        {
            self.events += 1;
            let mut lies = Vec::new();
            liar.tick(self.now, &mut lies);
            self.carry_out(lies, None);
            self.say_to_broker();
        }
    }

    /// From the actor towards the broker.
    fn move_up(&mut self, index: usize) {
        let (now, latency) = (self.now, self.latency);
        self.events += self.connections[index].climb(now, latency);
        while let Some(arrival) = self.connections[index].up.pop(now) {
            self.events += 1;
            match arrival {
                Arrival::Bytes(bytes) => self.reach_broker(index, bytes),
                Arrival::End(how) => self.end_at_broker(index, how),
            }
        }
    }

    /// From the broker towards the actor.
    fn move_down(&mut self, index: usize) {
        let now = self.now;
        self.connections[index].leave_broker(now, self.latency);
        if self.connections[index].has_left() {
            self.flushing.push(index);
        }
        let mut moved = false;
        while let Some(bytes) = self.connections[index].pass_down(now, &mut moved) {
            self.events += 1;
            if let Owner::Client(client) = self.connections[index].owner {
                self.client_received(client, index, Arrival::Bytes(bytes));
            }
        }
        self.events += u64::from(moved);
        let connection = &mut self.connections[index];
        match connection.owner {
            Owner::Peer => connection.wake_reader(now),
            Owner::Client(client) => {
                while let Some(arrival) = self.connections[index].read(now) {
                    self.events += 1;
                    self.client_received(client, index, arrival);
                }
            }
        }
    }

    fn reach_broker(&mut self, index: usize, bytes: Bytes) {
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
                self.ask_liar(index, Direction::ToServer, rest, None);
                self.say_to_broker();
            }
        }
    }

    /// One side's end reaches the liar, and the other side behind it.
    fn end_at_broker(&mut self, index: usize, how: End) {
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
        // The broker may close while one of these packets is handled: what follows it is not read.
        while self.connections[index].server == ServerEnd::Open {
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
                    self.connections[index].server = ServerEnd::Deaf;
                    let version = self.connections[index].decoder.version();
                    self.tell(Input::Malformed { connection, version, error });
                }
            }
        }
    }

    /// Hands one input to the broker and carries out what it asks for. The authenticator of this world answers at once.
    pub(super) fn tell(&mut self, input: Input) {
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
                // Advice to a driver that could stop reading. Here what has arrived is heard.
                Effect::Pause { .. } | Effect::Resume { .. } => {}
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

    /// The broker hears of what has left since it heard of it last, once for each connection.
    fn tell_of_flushed(&mut self) {
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
    pub(super) fn close(&mut self, index: usize) {
        self.connections[index].server = ServerEnd::Closed;
        self.agenda.touch(index);
        if self.liar_passes_end(index, Direction::ToClient) {
            self.passes(index, Edge::EndedByServer);
            self.end_from_broker(index);
        }
    }

    /// The witness sees it.
    fn passes(&self, index: usize, what: Edge<'_>) {
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
        // What is no packet passes nobody's mind: the ends of the connection tell what comes of it.
        if let Ok(packet) = Packet::decode(connection.version.unwrap_or(Version::V5_0), sender, frame.clone()) {
            if let Packet::Connect(connect) = &packet {
                connection.version = Some(connect.version);
            }
            match direction {
                Direction::ToServer => self.passes(index, Edge::ToServer(&packet)),
                Direction::ToClient => self.passes(index, Edge::ToClient(&packet)),
            }
        }
    }

    /// Tells the witness, if there is one.
    pub(super) fn witness(&self, tell: impl FnOnce(&mut dyn Witness)) {
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
    fn carry_out(&mut self, lies: Vec<Lie>, mut owed: Option<(usize, usize)>) {
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

    fn say_to_broker(&mut self) {
        while let Some(said) = self.said_to_broker.pop_front() {
            self.events += 1;
            match said {
                SaidToBroker::Bytes(index, bytes) => self.decode(index, bytes),
                SaidToBroker::End(index) => self.close_at_broker(index),
            }
        }
    }
}
