//! Whole clients: the client's core, driven by the loop behind a link of its own.

use std::{collections::VecDeque, rc::Rc, task::Waker, time::Duration};

use bytes::Bytes;
use squall_client::{
    core::{
        client::Client,
        effect::{Effect, Event, Input, Outcome, Token},
    },
    options::Options,
};
use squall_codec::{
    packet::{Packet, Publish},
    reason::Side,
    stream::Decoder,
    time::Now,
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    liar::Direction,
    plan::{Answering, Answers},
    stage::{Arrival, End},
    transcript::What,
};

use super::{agenda::sooner, connection::Owner, network::Network, outcomes::Outcomes};
use crate::{meddler::Meddled, seed::derive, subject::ASKED_AGAIN_AFTER, told};

/// One client and what it has told its application.
pub(super) struct WholeClient {
    pub(super) actor: Rc<str>,
    core: Client,
    options: Options,
    /// The connection it has, by its number in the network.
    connection: Option<usize>,
    /// When the connection that it asks for reaches the broker.
    opening: Option<Duration>,
    /// Which of the actor's connections it had last, for the record.
    pub(super) number: u32,
    decoder: Decoder,
    operations: u64,
    outcomes: Outcomes,
    messages: VecDeque<Publish>,
    events: VecDeque<Event>,
    waiting: Vec<Waker>,
    /// What its application has yet to say, where it takes its time.
    answers: Option<Answers>,
}

impl WholeClient {
    pub(super) fn deadline(&self) -> Option<Duration> {
        let answer = self.answers.as_ref().and_then(Answers::deadline);
        sooner(sooner(self.core.deadline(), self.opening), answer)
    }

    /// The application's side of the client.
    pub(super) fn take_outcome(&mut self, token: Token) -> Option<Outcome> {
        self.outcomes.take(token)
    }

    pub(super) fn take_message(&mut self) -> Option<Publish> {
        self.messages.pop_front()
    }

    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Who is to be woken when the client tells something.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }

    fn fresh_decoder(options: &Options) -> Decoder {
        Decoder::new(Side::Server, Some(options.version), options.maximum_packet_size)
    }
}

impl Network {
    /// Whether it has been let in.
    pub(super) fn is_connected(&self, index: usize) -> bool {
        self.clients[index].core.is_connected()
    }

    /// As its options have it.
    pub(super) fn client_id(&self, index: usize) -> Text {
        self.clients[index].options.client_id.clone()
    }

    /// As its options have it.
    pub(super) fn client_version(&self, index: usize) -> Version {
        self.clients[index].options.version
    }

    /// How an operation ended, if it has.
    pub(super) fn take_outcome(&mut self, index: usize, token: Token) -> Option<Outcome> {
        self.clients[index].take_outcome(token)
    }

    /// A new client; it connects at once.
    pub(super) fn add_client(&mut self, actor: &Rc<str>, options: Options) -> usize {
        let index = self.add_idle_client(actor, options);
        self.tell_client(index, Input::Connect);
        index
    }

    /// A new client that nobody has asked to connect.
    pub(super) fn add_idle_client(&mut self, actor: &Rc<str>, options: Options) -> usize {
        let index = self.clients.len();
        self.clients.push(WholeClient {
            actor: Rc::clone(actor),
            core: Client::new(options.clone(), derive(self.seed, &format!("client {actor}"), index as u64)),
            decoder: WholeClient::fresh_decoder(&options),
            options,
            connection: None,
            opening: None,
            number: 0,
            operations: 0,
            outcomes: Outcomes::default(),
            messages: VecDeque::new(),
            events: VecDeque::new(),
            waiting: Vec::new(),
            answers: None,
        });
        self.client_agenda.add();
        index
    }

    /// From now on the client's application says what becomes of messages above QoS 0: its options leave that to it.
    pub(super) fn has_answers(&mut self, index: usize, answering: Answering) {
        self.clients[index].answers = Some(Answers::new(answering));
    }

    /// Hands an operation of the application to the client; its outcome will have this name.
    pub(super) fn operate(&mut self, index: usize, input: impl FnOnce(Token) -> Input) -> Token {
        let client = &mut self.clients[index];
        client.operations += 1;
        let token = Token(client.operations);
        self.tell_client(index, input(token));
        token
    }

    /// Hands one input to a client's core and carries out what it asks for.
    pub(super) fn tell_client(&mut self, index: usize, input: Input) {
        self.events += 1;
        let mut effects = std::mem::take(&mut self.client_effects);
        self.clients[index].core.handle_into(Now::simulated(self.now), input, &mut effects);
        for effect in effects.drain(..) {
            match effect {
                // There is one broker in this world, whomever it names.
                Effect::Open { .. } => {
                    // An earlier attempt that is given up for this one is never accepted.
                    self.clients[index].opening = Some(self.reaches_broker_at());
                }
                Effect::Send { version, packet } => self.client_sends(index, version, packet),
                Effect::Close => {
                    self.clients[index].opening = None;
                    self.hang_up(index, What::Closed { how: End::Fin.name() });
                }
                // Only where the options ask for a store.
                Effect::Keep(_) => {}
                Effect::Message { message, delivery } => {
                    let now = self.now;
                    self.witness(|witness| witness.handed(now, index, &message));
                    self.handed += 1;
                    self.tell_application(index, || told::message(&message));
                    if let (Some(answers), Some(delivery)) = (&mut self.clients[index].answers, delivery) {
                        answers.handed(now, delivery, message.clone());
                    }
                    if self.has_applications {
                        self.clients[index].messages.push_back(message);
                    }
                }
                // No time passes meanwhile.
                Effect::Authenticate(question) => self.tell_client(index, Input::Authenticated(question.answer())),
                Effect::Done { token, outcome } => {
                    self.clients[index].outcomes.insert(token, outcome);
                    self.clients[index].wake();
                }
                Effect::Event(event) => {
                    self.tell_application(index, || told::event(&event));
                    if self.has_applications {
                        self.clients[index].events.push_back(event);
                    }
                }
            }
        }
        self.client_effects = effects;
        self.client_agenda.note(index, self.clients[index].deadline());
    }

    /// A packet of a client's core, or what is made of it, goes to its connection.
    fn client_sends(&mut self, index: usize, version: Version, packet: Packet) {
        let Some(meddler) = &mut self.meddler else { return self.client_writes(index, version, &packet) };
        let Meddled { to_server, to_client } = meddler.sends(index, packet);
        to_server.iter().for_each(|packet| self.client_writes(index, version, packet));
        to_client.into_iter().for_each(|packet| self.tell_client(index, Input::Packet { packet }));
    }

    fn client_writes(&mut self, index: usize, version: Version, packet: &Packet) {
        if let Some(connection) = self.clients[index].connection
            && let Some(bytes) = self.frames.of(packet, version)
        {
            self.leaves_client(connection, bytes);
        }
    }

    fn leaves_client(&mut self, connection: usize, bytes: Bytes) {
        if !self.is_quiet {
            self.connections[connection].link.observe(self.now, Direction::ToServer, &bytes);
        }
        self.write(connection, bytes);
    }

    /// Bytes leave that the core of a client knows nothing of, if it has been let in.
    pub(super) fn client_slips(&mut self, index: usize, bytes: Bytes) {
        if let Some(connection) = self.clients[index].connection
            && self.is_connected(index)
        {
            self.witness(|witness| witness.slips(index));
            self.leaves_client(connection, bytes);
        }
    }

    /// A connection beside that of the client, of which its core knows nothing, and what is said on it. Nobody reads there.
    pub(super) fn client_knocks(&mut self, index: usize, bytes: Bytes) {
        if self.dark || !self.broker.is_running() {
            return;
        }
        let actor = Rc::clone(&self.clients[index].actor);
        let connection = self.open(&actor, Owner::Client(index));
        if !self.is_quiet {
            self.connections[connection].link.tap(self.now);
        }
        self.leaves_client(connection, bytes);
        self.touch(connection);
    }

    /// A packet that has come, or what is made of it, goes to a client's core.
    fn client_hears(&mut self, index: usize, version: Version, packet: Packet) {
        let Some(meddler) = &mut self.meddler else { return self.tell_client(index, Input::Packet { packet }) };
        let Meddled { to_server, to_client } = meddler.hears(index, packet);
        to_client.into_iter().for_each(|packet| self.tell_client(index, Input::Packet { packet }));
        to_server.iter().for_each(|packet| self.client_writes(index, version, packet));
    }

    /// Those whose time has come.
    pub(super) fn tick_clients(&mut self) {
        self.client_agenda.list_due(self.now);
        while let Some(index) = self.client_agenda.pop() {
            self.tick_client(index);
            self.client_agenda.note(index, self.clients[index].deadline());
        }
    }

    fn tick_client(&mut self, index: usize) {
        if self.clients[index].opening.is_some_and(|due| due <= self.now) {
            if self.dark {
                // Nobody answers: it is asked again.
                self.clients[index].opening = Some(self.now + ASKED_AGAIN_AFTER);
            } else if self.broker.is_running() {
                self.open_for_client(index);
            } else {
                self.clients[index].opening = None;
                self.tell_client(index, Input::Lost { reason: "connection refused".to_owned() });
            }
        }
        if self.clients[index].core.deadline().is_some_and(|due| due <= self.now) {
            self.tell_client(index, Input::Tick);
        }
        let now = self.now;
        while let Some(answer) = self.clients[index].answers.as_mut().and_then(|answers| answers.next_due(now)) {
            if answer.reason.is_failure() {
                self.witness(|witness| witness.refused(now, index, &answer.message));
                self.tell_application(index, || told::refused(&answer.message));
            }
            self.tell_client(index, answer.input());
        }
    }

    /// Something has arrived at a client.
    pub(super) fn client_received(&mut self, index: usize, connection: usize, arrival: Arrival) {
        if self.clients[index].connection != Some(connection) {
            return;
        }
        match arrival {
            Arrival::Bytes(bytes) => {
                self.clients[index].decoder.extend_shared(bytes);
                match self.is_quiet {
                    true => self.client_decodes(index, connection),
                    false => self.client_decodes_frames(index, connection),
                }
            }
            Arrival::End(how) => {
                self.hang_up(index, What::Ended { how: how.name() });
                let reason = match how {
                    End::Fin => "the server closed it",
                    End::Reset => "it was reset",
                };
                self.tell_client(index, Input::Lost { reason: reason.to_owned() });
            }
        }
    }

    fn client_decodes(&mut self, index: usize, connection: usize) {
        // The client may close while one of these packets is handled: what follows it is not read.
        while self.clients[index].connection == Some(connection) {
            let client = &mut self.clients[index];
            let version = client.options.version;
            match client.decoder.next_packet() {
                Ok(Some(packet)) => self.client_hears(index, version, packet),
                Ok(None) => return,
                Err(error) => return self.tell_client(index, Input::Malformed { error }),
            }
        }
    }

    /// The same, with each frame in the transcript before what comes of it.
    fn client_decodes_frames(&mut self, index: usize, connection: usize) {
        // The client may close while one of these packets is handled: what follows it is not read.
        while self.clients[index].connection == Some(connection) {
            let client = &mut self.clients[index];
            let version = client.options.version;
            let frame = match client.decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    let what = What::Received { summary: format!("malformed: {error}"), bytes: Bytes::new() };
                    self.connections[connection].link.tell(self.now, what);
                    return self.tell_client(index, Input::Malformed { error });
                }
            };
            self.connections[connection].link.observe(self.now, Direction::ToClient, &frame);
            match Packet::decode(version, Side::Server, frame) {
                Ok(packet) => self.client_hears(index, version, packet),
                Err(error) => return self.tell_client(index, Input::Malformed { error }),
            }
        }
    }

    /// The connection that a client asked for has reached the broker.
    fn open_for_client(&mut self, index: usize) {
        let actor = Rc::clone(&self.clients[index].actor);
        let connection = self.open(&actor, Owner::Client(index));
        let link = &self.connections[connection].link;
        if !self.is_quiet {
            link.tap(self.now);
        }
        let client = &mut self.clients[index];
        client.opening = None;
        client.number = link.connection();
        client.decoder = WholeClient::fresh_decoder(&client.options);
        client.connection = Some(connection);
        self.tell_client(index, Input::Opened);
    }

    /// A client's connection is over for it; a socket is closed when it is dropped.
    fn hang_up(&mut self, index: usize, what: What) {
        if let Some(connection) = self.clients[index].connection.take() {
            self.connections[connection].link.tell(self.now, what);
            self.connections[connection].abandon(self.now);
            self.touch(connection);
        }
    }

    /// Records what a client tells its application, and wakes it.
    pub(super) fn tell_application(&mut self, index: usize, summary: impl FnOnce() -> String) {
        let client = &mut self.clients[index];
        if !self.is_quiet {
            self.transcript.record(self.now, &client.actor, client.number, What::Told { summary: summary() });
        }
        client.wake();
    }
}
