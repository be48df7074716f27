//! The network of this world: every connection, with the broker's core at the far end and the liar between them, for whom
//! `network/broker_end.rs` speaks.
//!
//! `settle` carries everything out that is due now, in the order of the connections' numbers; `next` says when the next
//! thing is due. Time passes nowhere else. Only those are looked at to whom something happens.

mod broker_end;

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
use squall_codec::{packet::Packet, version::Version};
use squall_scenarios::{
    fault::Fault,
    liar::{Direction, Liar},
    links::Links,
    stage::Arrival,
    transcript::Transcript,
};

use self::broker_end::SaidToBroker;
use super::{
    agenda::{Agenda, sooner},
    broker::BrokerHost,
    client::WholeClient,
    connection::{Connection, Owner},
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
    pub(super) witness: Option<Rc<RefCell<dyn Witness>>>,
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
    /// Those that were held back, and go on.
    pub(super) resumed: VecDeque<usize>,
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
            resumed: VecDeque::new(),
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
            self.catch_up();
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
        while let Some(arrival) = self.connections[index].arrives(now) {
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
}
