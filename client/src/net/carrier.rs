//! The core, and where its effects go: packets to the outbox, changes to the store, messages and outcomes to the
//! application.

use std::{collections::BTreeMap, fmt, io, sync::Arc};

use squall_codec::reason::ReasonCode;
use tokio::{sync::oneshot, task::JoinError};
use tracing::debug;

use super::{
    clock::Clock,
    driver::PACKETS,
    handle::{Command, PublishCommand},
    inbox::Inbox,
    keeper::Keeper,
    messages::Acks,
    outbox::Outbox,
    prover::Prover,
    requests::Request,
    router::Router,
};
use crate::core::{
    authentication::Answer,
    client::Client,
    effect::{Effect, Event, Failure, Input, Outcome, Token},
    redirection::Address,
};

/// Events that the application has not taken: twice this many, then the oldest give way.
pub(super) const EVENTS: usize = 64;

/// What the core wants with the Network Connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Wish {
    #[default]
    Nothing,
    /// To this server, or to the one that the connector knows.
    Open(Option<Address>),
    Close,
}

pub(super) struct Carrier {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) router: Router,
    pub(super) events: Inbox<Event>,
    pub(super) acks: Arc<Acks>,
    pub(super) keeper: Keeper,
    pub(super) outbox: Outbox,
    pub(super) prover: Prover,
    pub(super) wish: Wish,
    waiting: BTreeMap<Token, oneshot::Sender<Outcome>>,
    next_token: u64,
    /// Who waits for the connection to be closed.
    closed: Vec<oneshot::Sender<()>>,
}

impl Carrier {
    pub(super) fn new(
        client: Client,
        clock: Clock,
        router: Router,
        events: Inbox<Event>,
        acks: Arc<Acks>,
        keeper: Keeper,
    ) -> Self {
        Carrier {
            client,
            clock,
            router,
            events,
            acks,
            keeper,
            outbox: Outbox::default(),
            prover: Prover::default(),
            wish: Wish::Nothing,
            waiting: BTreeMap::new(),
            next_token: 0,
            closed: Vec::new(),
        }
    }

    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Publish(PublishCommand { mut message, since, reply }) => {
                if let (Some(left), Some(since)) = (&mut message.message_expiry_interval, since) {
                    // What is begun of a second is the message's.
                    let waited = since.elapsed().as_secs();
                    let Some(rest) = u64::from(*left).checked_sub(waited).filter(|rest| *rest > 0) else {
                        let _ = reply.send(Outcome::Failed(Failure::Expired));
                        return;
                    };
                    *left = u32::try_from(rest).unwrap_or(u32::MAX);
                }
                let token = self.token(reply);
                self.input(Input::Publish { token, message });
            }
            Request::Command(Command::Subscribe { subscriptions, properties, stream, reply }) => {
                let token = self.token(reply);
                if let Some(stream) = stream {
                    let filters = subscriptions.iter().map(|one| one.filter.clone()).collect();
                    self.router.add(token, filters, properties.subscription_identifiers().next(), stream);
                }
                self.input(Input::Subscribe { token, subscriptions, properties });
            }
            Request::Command(Command::Unsubscribe { filters, reply }) => {
                let token = self.token(reply);
                self.input(Input::Unsubscribe { token, filters });
            }
            Request::Command(Command::Reauthenticate { reply }) => {
                let token = self.token(reply);
                self.input(Input::Reauthenticate { token });
            }
            Request::Command(Command::Disconnect { reason, session_expiry_seconds, closed }) => {
                self.closed.push(closed);
                self.input(Input::Disconnect { reason, session_expiry_seconds });
            }
            Request::Closed => {}
        }
    }

    /// The application has dealt with messages.
    pub(super) fn acknowledge(&mut self) {
        for (delivery, reason) in self.acks.take() {
            self.input(Input::Acknowledge { delivery, reason });
        }
    }

    /// Nobody can ask, and nobody listens.
    pub(super) fn abandoned(&mut self) {
        self.input(Input::Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, session_expiry_seconds: None });
    }

    pub(super) fn lost(&mut self, reason: &dyn fmt::Display) {
        // What was not written belongs to the connection that is gone.
        self.outbox.clear();
        self.input(Input::Lost { reason: reason.to_string() });
    }

    /// A commit has ended: what waited for it may leave.
    pub(super) fn committed(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => {
                self.outbox.commit_done(!self.keeper.is_clear());
                self.commit();
            }
            Err(error) => {
                // What is not durable must not leave.
                self.outbox.clear();
                self.input(Input::KeepFailed { reason: error.to_string() });
            }
        }
    }

    /// An answer has been worked out, or cannot be.
    pub(super) fn authenticated(&mut self, answer: Result<Answer, JoinError>) {
        match answer {
            Ok(answer) => self.input(Input::Authenticated(answer)),
            Err(error) => {
                self.lost(&format_args!("the authentication method failed: {error}"));
                self.wish = Wish::Close;
            }
        }
    }

    /// Whoever waited for the end of the connection is told.
    pub(super) fn closed(&mut self) {
        self.closed.clear();
    }

    fn commit(&mut self) {
        if self.keeper.begin() {
            self.outbox.commit_begins();
        }
    }

    fn token(&mut self, reply: oneshot::Sender<Outcome>) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.waiting.insert(token, reply);
        token
    }

    /// Tells the core, and carries out what it says.
    pub(super) fn input(&mut self, input: Input) {
        let mut broken = None;
        for effect in self.client.handle(self.clock.now(), input) {
            match effect {
                Effect::Open { server } => self.wish = Wish::Open(server),
                Effect::Authenticate(question) => self.prover.begin(question),
                Effect::Close => self.wish = Wish::Close,
                Effect::Send { version, packet } => {
                    debug!(target: PACKETS, "sending {packet}");
                    if let Err(error) = self.outbox.put(version, &packet, !self.keeper.is_clear()) {
                        broken.get_or_insert(error);
                    }
                }
                Effect::Keep(record) => self.keeper.keep(record),
                Effect::Message { message, delivery } => self.router.put(message, delivery),
                Effect::Done { token, outcome } => {
                    if matches!(outcome, Outcome::Failed(_)) {
                        self.router.remove(token);
                    }
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
        self.commit();
        if let Some(error) = broken {
            // A password or a will beyond 65,535 bytes: no connection can be had with it.
            self.lost(&error);
            self.wish = Wish::Close;
        }
    }
}
