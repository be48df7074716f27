//! The task that owns the core: inputs in, effects out, one turn after the other. It never awaits a connection.

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
    vec,
};

use squall_codec::{reason::ReasonCode, time::Now};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinError, JoinSet},
};

use super::{
    clock::Clock,
    journal::{self, Who},
    keeper::Keeper,
    mailbox::{Outgoing, Sender},
    server::{Flush, ServerOptions, StartError, ToCore},
};
use crate::core::{
    HashKey,
    access::{Answer, Authenticator},
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, CloseCause, ConnectionId, Effect, Input},
    statistics::Statistics,
};

/// Groups that the core takes at once before it hands out their effects: few enough that what they bring for one client
/// stays within its soft bound.
const GROUPS_PER_TURN: usize = 16;

/// The core with what its effects need.
pub(super) struct Core {
    broker: Broker,
    clock: Clock,
    keeper: Keeper,
    /// What the broker is made of again when the store's records are there; `None` when they are.
    fresh: Option<(Config, HashKey)>,
    authenticator: Arc<dyn Authenticator>,
    /// Answers that take their time.
    answers: JoinSet<(ConnectionId, AuthenticationOutcome)>,
    /// Whose they are: one at most for each connection, and none for one that has ended.
    asked: BTreeMap<ConnectionId, AbortHandle>,
    /// Where the effects of a connection go.
    outboxes: BTreeMap<ConnectionId, Outbox>,
    /// Connections with effects that were not yet handed over.
    dirty: Vec<ConnectionId>,
    /// The core has just held somebody back.
    held_back: bool,
    /// Those who were held back and go on.
    resumed: VecDeque<ConnectionId>,
}

/// What a connection has to do with the core.
struct Outbox {
    who: Who,
    mailbox: Sender,
    pending: Vec<Outgoing>,
    /// Groups of its inputs that were dealt with, and that it was not yet told of.
    done: u8,
    /// Nothing more is taken from it for the time being.
    held_back: bool,
    /// What it said before it knew; never more than may be under way.
    waiting: VecDeque<vec::IntoIter<Input>>,
}

impl Outbox {
    fn new(who: Who, mailbox: Sender) -> Self {
        Outbox { who, mailbox, pending: Vec::new(), done: 0, held_back: false, waiting: VecDeque::new() }
    }

    fn is_clean(&self) -> bool {
        self.pending.is_empty() && self.done == 0
    }
}

impl Core {
    pub(super) fn new(options: ServerOptions) -> Self {
        let clock = Clock::start(options.unix_start);
        Core {
            broker: Broker::new(clock.now(), options.config.clone(), options.key),
            clock,
            keeper: Keeper::new(options.store),
            fresh: Some((options.config, options.key)),
            authenticator: options.authenticator,
            answers: JoinSet::new(),
            asked: BTreeMap::new(),
            outboxes: BTreeMap::new(),
            dirty: Vec::new(),
            held_back: false,
            resumed: VecDeque::new(),
        }
    }

    /// Takes back what the store has kept, once.
    pub(super) fn restore(&mut self) -> Result<(), StartError> {
        let Some((config, key)) = self.fresh.take() else { return Ok(()) };
        let records = self.keeper.load()?;
        if !records.is_empty() {
            let count = records.len();
            self.broker = Broker::restore(self.clock.now(), config, key, records)?;
            let Statistics { sessions, retained_messages, queued_messages, .. } = self.broker.statistics();
            tracing::info!(records = count, sessions, retained_messages, queued_messages, "restored");
        }
        Ok(())
    }

    /// Every client is told that this is the end, and the store keeps what it was given.
    pub(super) async fn end(&mut self) {
        self.handle(Input::Shutdown);
        self.finish_turn();
        while !self.keeper.is_idle() {
            let answer = self.keeper.answered().await;
            self.handle(answer);
            self.finish_turn();
        }
    }

    /// Closes the store.
    pub(super) async fn close_store(&mut self) {
        self.keeper.close().await;
    }

    pub(super) async fn run(
        &mut self,
        inputs: &mut mpsc::Receiver<ToCore>,
        flushed: &mut mpsc::UnboundedReceiver<Flush>,
    ) {
        let mut groups = Vec::with_capacity(GROUPS_PER_TURN);
        let mut flushes = Vec::new();
        // Set anew only when the deadline is another: most turns leave it as it is.
        let mut due = pin!(tokio::time::sleep_until(self.clock.instant(Duration::ZERO)));
        let mut set = None;
        loop {
            let deadline = self.broker.deadline();
            if let Some(deadline) = deadline
                && set != Some(deadline)
            {
                due.as_mut().reset(self.clock.instant(deadline));
                set = Some(deadline);
            }
            tokio::select! {
                biased;
                Some(flush) = flushed.recv() => {
                    flushes.push(flush);
                    while let Ok(flush) = flushed.try_recv() {
                        flushes.push(flush);
                    }
                    for Flush { connection, bytes } in flushes.drain(..) {
                        self.handle(Input::Flushed { connection, bytes });
                    }
                }
                // Before the inputs, which may never end: who is waited for is few.
                Some(answer) = self.answers.join_next_with_id() => self.take_answer(answer),
                answer = self.keeper.answered() => self.handle(answer),
                count = inputs.recv_many(&mut groups, GROUPS_PER_TURN), if !self.keeper.is_full() => {
                    if count == 0 {
                        return;
                    }
                    for group in groups.drain(..) {
                        self.take(group);
                    }
                }
                () = &mut due, if deadline.is_some() => self.handle(Input::Tick),
            }
            self.finish_turn();
            // Those who write go first: what was handed over should be on its way before there is more of it.
            tokio::task::yield_now().await;
        }
    }

    fn take(&mut self, group: ToCore) {
        match group {
            ToCore::Opened { connection, peer, mailbox } => {
                let who = Who::new(connection, &peer);
                self.outboxes.insert(connection, Outbox::new(who, mailbox));
                self.handle(Input::Opened { connection, peer });
            }
            ToCore::Inputs { connection, inputs } => match self.outboxes.get_mut(&connection) {
                Some(outbox) if outbox.held_back || !outbox.waiting.is_empty() => {
                    outbox.waiting.push_back(inputs.into_iter());
                }
                _ => self.work_off(connection, inputs.into_iter()),
            },
            // Nobody may be left who wants to know.
            ToCore::Statistics(answer) => drop(answer.send(self.broker.statistics())),
            ToCore::Reload(acl) => self.handle(Input::Reload { acl }),
        }
    }

    /// Takes what one connection has said, up to where it is held back.
    fn work_off(&mut self, connection: ConnectionId, mut inputs: vec::IntoIter<Input>) {
        // What was read together came together.
        let now = self.clock.now();
        while let Some(input) = inputs.next() {
            if let Input::Packet { packet, .. } = &input
                && journal::notes(packet)
                && let Some(outbox) = self.outboxes.get_mut(&connection)
            {
                outbox.who.received(packet);
            }
            let closed = matches!(input, Input::Closed { .. });
            self.handle_at(now, input);
            if closed {
                self.forget_question(connection);
                self.hand_over(connection);
                if let Some(outbox) = self.outboxes.remove(&connection) {
                    outbox.who.lost();
                }
                return;
            }
            if std::mem::take(&mut self.held_back)
                && let Some(outbox) = self.outboxes.get_mut(&connection)
                && outbox.held_back
            {
                outbox.waiting.push_front(inputs);
                return;
            }
        }
        if let Some(outbox) = self.outboxes.get_mut(&connection) {
            if outbox.is_clean() {
                self.dirty.push(connection);
            }
            outbox.done += 1;
        }
    }

    /// Takes what those have said who were held back and go on.
    fn catch_up(&mut self) {
        while let Some(connection) = self.resumed.pop_front() {
            while let Some(outbox) = self.outboxes.get_mut(&connection)
                && !outbox.held_back
                && let Some(inputs) = outbox.waiting.pop_front()
            {
                self.work_off(connection, inputs);
            }
        }
    }

    /// One input that comes now, and its effects carried out.
    pub(super) fn handle(&mut self, input: Input) {
        self.handle_at(self.clock.now(), input);
    }

    fn handle_at(&mut self, now: Now, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut asked = None;
            for effect in self.broker.handle(now, input) {
                match effect {
                    Effect::Send { connection, version, packet } => {
                        push(&mut self.outboxes, &mut self.dirty, connection, Outgoing::Packet(version, packet));
                    }
                    Effect::Close { connection, cause } => {
                        if let Some(question) = self.asked.remove(&connection) {
                            question.abort();
                        }
                        if let Some(outbox) = self.outboxes.get(&connection) {
                            outbox.who.closed(&cause);
                        }
                        let patient = cause != CloseCause::SlowReader;
                        push(&mut self.outboxes, &mut self.dirty, connection, Outgoing::Close { patient });
                    }
                    Effect::Persist { seq, record } => self.keeper.persist(seq, record),
                    Effect::Pause { connection } => {
                        if let Some(outbox) = self.outboxes.get_mut(&connection) {
                            outbox.held_back = true;
                            self.held_back = true;
                        }
                    }
                    Effect::Resume { connection } => {
                        if let Some(outbox) = self.outboxes.get_mut(&connection) {
                            outbox.held_back = false;
                            self.resumed.push_back(connection);
                        }
                    }
                    Effect::Authenticate { connection, request } => {
                        asked = Some((connection, self.authenticator.authenticate(request)));
                    }
                    Effect::Continue { connection, exchange, data } => asked = Some((connection, exchange.next(data))),
                }
            }
            match asked {
                None => {}
                Some((connection, Answer::Now(outcome))) => next = Some(Input::Authenticated { connection, outcome }),
                Some((connection, Answer::Later(outcome))) => {
                    self.forget_question(connection);
                    let handle = self.answers.spawn(async move { (connection, outcome.await) });
                    self.asked.insert(connection, handle);
                }
            }
        }
    }

    /// An answer that took its time. One to a question that nobody asks any more is not heard.
    fn take_answer(&mut self, answer: Result<(Id, (ConnectionId, AuthenticationOutcome)), JoinError>) {
        let (id, connection, outcome) = match answer {
            Ok((id, (connection, outcome))) => (id, connection, outcome),
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "the authenticator failed");
                let Some(connection) = self.asked.iter().find(|(_, question)| question.id() == error.id()) else {
                    return;
                };
                (error.id(), *connection.0, AuthenticationOutcome::Refused(ReasonCode::ServerUnavailable))
            }
        };
        if self.asked.get(&connection).is_some_and(|question| question.id() == id) {
            self.asked.remove(&connection);
            self.handle(Input::Authenticated { connection, outcome });
        }
    }

    /// Nobody waits for this answer any more.
    fn forget_question(&mut self, connection: ConnectionId) {
        if let Some(question) = self.asked.remove(&connection) {
            question.abort();
        }
    }

    /// Settles with the store and hands the effects over, one group for each connection.
    pub(super) fn finish_turn(&mut self) {
        loop {
            self.catch_up();
            let Some(answer) = self.keeper.begin() else { break };
            self.handle(answer);
        }
        for connection in std::mem::take(&mut self.dirty) {
            self.hand_over(connection);
        }
    }

    fn hand_over(&mut self, connection: ConnectionId) {
        let Some(outbox) = self.outboxes.get_mut(&connection) else { return };
        let (letters, done) = (std::mem::take(&mut outbox.pending), std::mem::take(&mut outbox.done));
        let closes = matches!(letters.last(), Some(Outgoing::Close { .. }));
        if !letters.is_empty() || done > 0 {
            outbox.mailbox.send(letters, done);
        }
        if closes {
            self.outboxes.remove(&connection);
        }
    }
}

fn push(
    outboxes: &mut BTreeMap<ConnectionId, Outbox>,
    dirty: &mut Vec<ConnectionId>,
    connection: ConnectionId,
    outgoing: Outgoing,
) {
    let Some(outbox) = outboxes.get_mut(&connection) else { return };
    if outbox.is_clean() {
        dirty.push(connection);
    }
    if let Outgoing::Packet(version, packet) = &outgoing {
        outbox.who.sent(*version, packet);
    }
    outbox.pending.push(outgoing);
}
