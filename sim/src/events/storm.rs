//! Plays a plan: nobody waits for anything, and a model of the server stands at its edge.

mod ending;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use squall_client::core::effect::{Input, Token};
use squall_codec::{reason::ReasonCode, topic::TopicName, version::Version};
use squall_scenarios::{
    armed::Armed,
    fault::{Fault, Moment, Pass, Triggered},
    liar::{Direction, Liar},
    outage::{DiskState, Outage, Stop},
    plan::{Act, Connecting, Doing, Plan, placed_filter},
    transcript::{Transcript, What},
};

use super::{
    agenda::sooner,
    network::{Network, Setup},
    outage::FAREWELL,
};
use crate::{
    edge::Witness,
    invariants::About,
    journal::Forgets,
    meddler::Meddler,
    model::{Model, Offers, Tally, Terms},
    panics,
    run::{DEFAULT_LATENCY, RunError},
    scribe::Both,
    storm::run::{StormRun, note_the_end},
    story::TOPIC_ROOT,
    subject::{Medium, STARTED_AGAIN_AFTER, Subject},
    told::{AT_REST, BROKER, RUNS_AGAIN, STORM_IS_OVER},
};

/// How a plan is played.
#[derive(Default)]
pub struct StormOptions {
    /// A filter on the broker's side of every link: a broken broker.
    pub liar: Option<Box<dyn Liar>>,
    /// Between the clients' cores and their connections: broken clients.
    pub meddler: Option<Box<dyn Meddler>>,
    /// What a broker with a journal loses without a word: a broken store.
    pub forgets: Option<Forgets>,
    /// Nothing is written to the transcript.
    pub is_quiet: bool,
    /// Somebody who stands at the broker's edge beside the model.
    pub beside: Option<Rc<RefCell<dyn Witness>>>,
}

/// More happenings than this are a run that goes in circles.
const EVENT_LIMIT: u64 = 5_000_000;

/// Plays a plan to the end of its calm.
pub fn play(plan: &Plan, options: StormOptions) -> StormRun {
    let subject = Subject::of(&plan.broker, "", plan.seed);
    if let (Some(forgets), Some(Medium::Journal(journal))) = (options.forgets, &subject.medium) {
        journal.forgets(forgets);
    }
    let transcript = Transcript::new();
    let is_quiet = options.is_quiet;
    let terms = Terms {
        is_durable: subject.medium.is_some(),
        slack: SLACK,
        sync: subject.sync,
        queued_messages: subject.config.limits.queued_messages.min(usize::from(u16::MAX)),
        queue_policy: subject.config.limits.queue_policy,
        unflushed_soft: subject.config.limits.unflushed_soft,
        connect_timeout: subject.config.limits.connect_timeout,
        connections: subject.config.limits.connections,
        sessions: subject.config.limits.sessions,
        subscriptions_per_session: subject.config.limits.subscriptions_per_session,
        maximum_session_expiry: subject.config.maximum_session_expiry,
        offers: Offers::of(&subject.config),
        retained_messages: subject.config.limits.retained_messages,
        takes_all: plan.broker.takes_all(),
    };
    let model = Rc::new(RefCell::new(Model::new(terms)));
    let witness: Rc<RefCell<dyn Witness>> = match options.beside {
        Some(beside) => Rc::new(RefCell::new(Both(Rc::clone(&model) as Rc<RefCell<dyn Witness>>, beside))),
        None => Rc::clone(&model) as Rc<RefCell<dyn Witness>>,
    };
    let mut network = Network::new(Setup {
        seed: plan.seed,
        subject,
        latency: DEFAULT_LATENCY,
        liar: options.liar,
        transcript: transcript.clone(),
        witness: Some(witness),
        is_quiet: options.is_quiet,
        has_applications: false,
    });
    network.meddler = options.meddler;
    let mut storm = Storm {
        plan,
        network,
        model: Rc::clone(&model),
        root: if plan.is_at_the_root() { "" } else { TOPIC_ROOT },
        next: 0,
        topics: BTreeMap::new(),
        clients: vec![None; plan.actors.len()],
        strangers: vec![None; plan.actors.len()],
        tokens: vec![Vec::new(); plan.actors.len()],
        armed: Vec::new(),
        waiting: Vec::new(),
        outage: None,
        is_disk_well: true,
        is_calm: false,
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| storm.play()))
        .unwrap_or_else(|panic| Err(RunError::Panicked(panics::message(&*panic))));
    let mut breaches = match model.try_borrow_mut() {
        Ok(mut model) if outcome.is_ok() => {
            model.stands_at(transcript.len());
            model.rest(storm.network.now)
        }
        Ok(model) => model.breaches().to_vec(),
        Err(_) => Vec::new(),
    };
    if outcome.is_ok() {
        breaches.extend(storm.at_rest());
    }
    // Clients are numbered as they come, and actors as they stand in the plan.
    for breach in &mut breaches {
        if let Some(About::Passing { actor, .. } | About::Waiting { actor, .. } | About::Connection { actor, .. }) =
            breach.about.as_deref_mut()
        {
            let of = |clients: &[Option<usize>]| clients.iter().position(|client| *client == Some(*actor));
            *actor = of(&storm.clients).or_else(|| of(&storm.strangers)).unwrap_or(*actor);
        }
    }
    let (events, elapsed) = (storm.network.events, storm.network.now);
    let mut end = AT_REST;
    if outcome.is_ok() && breaches.is_empty() {
        let found;
        (found, end) = storm.afterwards();
        breaches.extend(found);
    }
    if !is_quiet {
        note_the_end(&transcript, &breaches, elapsed, end);
    }
    let untouched = storm.network.untouched();
    let placed = storm.network.links.placed();
    let (digest, tally) =
        model.try_borrow().map_or_else(|_| (0, Tally::default()), |model| (model.digest(), model.tally()));
    StormRun {
        breaches,
        error: outcome.err(),
        digest,
        tally,
        faults: (placed - untouched.len(), placed),
        // Of a quiet play, the links have noted their faults alone.
        transcript: if is_quiet { Transcript::new() } else { transcript },
        untouched,
        struck: storm.armed.iter().filter_map(|(step, armed)| Some((*step, armed.packet()?))).collect(),
        cuts: storm.network.links.struck(),
        events,
        elapsed,
    }
}

/// Virtual timers are exact; a tick of the broker may round up.
const SLACK: Duration = Duration::from_millis(20);

struct Storm<'a> {
    plan: &'a Plan,
    network: Network,
    model: Rc<RefCell<Model>>,
    /// Below which its topics stand.
    root: &'static str,
    /// The next step.
    next: usize,
    /// Those that were published to.
    topics: BTreeMap<&'a str, TopicName>,
    /// The clients that have been started, by their number in the network.
    clients: Vec<Option<usize>>,
    /// The same, of those who open connections that are none of a client's.
    strangers: Vec<Option<usize>>,
    /// What they have been asked for and have not done.
    tokens: Vec<Vec<Token>>,
    /// All that waits for a packet or has done so, with its step.
    armed: Vec<(usize, Armed)>,
    /// What befalls the broker at a moment of the protocol that has not come.
    waiting: Vec<Waiting<'a>>,
    outage: Option<Down>,
    is_disk_well: bool,
    is_calm: bool,
}

/// The links see to their own faults; what befalls the broker is for us to do when its moment comes.
struct Waiting<'a> {
    armed: Armed,
    /// The packet has entered the link by then, and is to reach the broker first.
    has_to_arrive: bool,
    act: &'a Act,
}

/// The broker is down, or is saying farewell.
struct Down {
    outage: Outage,
    /// When it has ended at the latest; `None`: it has.
    farewell: Option<Duration>,
    /// When it is back.
    back: Duration,
}

impl<'a> Storm<'a> {
    fn play(&mut self) -> Result<(), RunError> {
        let end = self.plan.lasts + self.plan.calm;
        loop {
            let now = self.network.now;
            let step = self.plan.steps.get(self.next).map(|step| step.at);
            let calm = (!self.is_calm).then_some(self.plan.lasts);
            let due = sooner(sooner(step, calm), sooner(self.outage_due(now), self.network.next()));
            let due = sooner(due, self.struck_due()).unwrap_or(end).max(now);
            if due > end {
                self.network.now = end;
                return Ok(());
            }
            self.network.now = due;
            self.network.events += 1;
            if !self.network.is_quiet {
                self.model.borrow_mut().stands_at(self.network.transcript.len());
            }
            self.steps(due)?;
            self.network.settle(EVENT_LIMIT);
            if self.network.events > EVENT_LIMIT {
                return Err(RunError::TooManyEvents { limit: EVENT_LIMIT, at: due });
            }
            if due == end {
                return Ok(());
            }
        }
    }

    fn steps(&mut self, now: Duration) -> Result<(), RunError> {
        self.go_on_with_outage(now)?;
        let plan = self.plan;
        while let Some(step) = plan.steps.get(self.next).filter(|step| step.at <= now) {
            self.next += 1;
            match &step.on {
                None => self.act(&step.act),
                Some(moment) => self.arm(moment, &step.act),
            }
        }
        while let Some(position) = self.waiting.iter().position(|waiting| self.due(waiting).is_some_and(|at| at <= now))
        {
            let struck = self.waiting.remove(position);
            self.act(struck.act);
        }
        if !self.is_calm && now >= plan.lasts {
            self.is_calm = true;
            self.strikes(|| STORM_IS_OVER.to_owned());
            self.network.links.calm(now);
            self.waiting.clear();
            self.disk(DiskState::Well);
            self.bring_back();
        }
        Ok(())
    }

    /// Whoever has a session comes back for what it is owed: of those with the same Client Identifier the first.
    fn bring_back(&mut self) {
        let mut seen = Vec::new();
        for who in 0..self.clients.len() {
            let Some(client) = self.clients[who] else { continue };
            let id = self.network.client_id(client);
            // Those without a name share none.
            let input = if seen.contains(&id) && !id.is_empty() {
                Input::Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, session_expiry_seconds: None }
            } else {
                Input::Connect
            };
            seen.push(id);
            self.network.tell_client(client, input);
        }
    }

    /// Has it wait for a moment of the protocol.
    fn arm(&mut self, moment: &Moment, act: &'a Act) {
        let what = match act {
            Act::Link(who, kind) => {
                Triggered::Fault(Fault { actor: who.map(|who| self.plan.actors[who].clone()), kind: kind.clone() })
            }
            Act::Outage(_) => Triggered::Outage,
            _ => Triggered::Signal,
        };
        let is_ours = !matches!(what, Triggered::Fault(_));
        // What a script says was checked when it was read, and what a seed draws is possible.
        let Ok(armed) = self.network.links.arm(moment, what) else { return };
        self.armed.push((self.next - 1, armed.clone()));
        if is_ours {
            let has_to_arrive = moment.on.direction == Direction::ToServer && moment.pass == Pass::After;
            self.waiting.push(Waiting { armed, has_to_arrive, act });
        }
    }

    fn due(&self, waiting: &Waiting<'_>) -> Option<Duration> {
        let distance = if waiting.has_to_arrive { self.network.distance() } else { Duration::ZERO };
        Some(waiting.armed.came()? + distance)
    }

    fn struck_due(&self) -> Option<Duration> {
        self.waiting.iter().filter_map(|waiting| self.due(waiting)).min()
    }

    fn act(&mut self, act: &'a Act) {
        match act {
            Act::Client(who, doing) => self.client(*who, doing),
            Act::Link(who, kind) => {
                let actor = who.map(|who| self.plan.actors[who].clone());
                // Nobody may be connected for what happens once: then it touches nothing.
                let _ = self.network.apply(&Fault { actor, kind: kind.clone() });
            }
            Act::Outage(outage) if self.outage.is_none() => {
                let now = self.network.now;
                self.strikes(|| outage.to_string());
                self.network.go_down(outage.how);
                let farewell = (outage.how == Stop::Restart).then_some(now + FAREWELL);
                self.outage = Some(Down { outage: *outage, farewell, back: now + outage.down });
            }
            Act::Outage(_) => {}
            Act::Disk(state) => {
                self.disk(*state);
                self.strikes(|| state.to_string());
            }
        }
    }

    /// What is under the broker's store changes.
    fn disk(&mut self, state: DiskState) {
        let Some(medium) = &self.network.broker.subject().medium else { return };
        medium.set_state(state);
        let now = self.network.now;
        self.network.witness(|witness| witness.disk(now, state));
        self.is_disk_well = state == DiskState::Well;
    }

    /// Something befell the broker itself.
    fn strikes(&self, summary: impl FnOnce() -> String) {
        if !self.network.is_quiet {
            let what = What::Fault { summary: summary() };
            self.network.transcript.record(self.network.now, &Rc::from(BROKER), 0, what);
        }
    }

    fn outage_due(&self, now: Duration) -> Option<Duration> {
        let down = self.outage.as_ref()?;
        // What a broker that ends has still to write leaves when there is room: nobody says when.
        Some(down.farewell.map_or(down.back, |latest| latest.min(now + Duration::from_millis(1))))
    }

    fn go_on_with_outage(&mut self, now: Duration) -> Result<(), RunError> {
        let Some(down) = &mut self.outage else { return Ok(()) };
        if let Some(latest) = down.farewell {
            if now < latest && !self.network.has_said_farewell() {
                return Ok(());
            }
            down.farewell = None;
            down.back = now + down.outage.down;
            self.network.end_run(Stop::Restart);
        }
        if now < down.back {
            return Ok(());
        }
        match self.network.come_back() {
            Ok(()) => {
                self.outage = None;
                self.strikes(|| RUNS_AGAIN.to_owned());
                Ok(())
            }
            // Whoever looks after it starts it again.
            Err(error) if !self.is_disk_well => {
                down.back = now + STARTED_AGAIN_AFTER;
                self.strikes(|| format!("the broker cannot start: {error}"));
                Ok(())
            }
            Err(error) => Err(RunError::Broken(error)),
        }
    }

    fn client(&mut self, who: usize, doing: &'a Doing) {
        let root = self.root;
        let place = |name: &str| format!("{root}{name}");
        if let Doing::Connect(connecting) = doing {
            match self.clients[who] {
                Some(client) => self.network.tell_client(client, Input::Connect),
                None => {
                    let actor = &self.plan.actors[who];
                    let options = connecting.options(actor, &place);
                    let client = self.network.add_client(&Rc::from(actor.as_str()), options);
                    if let Some(answering) = connecting.answers {
                        self.network.has_answers(client, answering);
                    }
                    self.clients[who] = Some(client);
                }
            }
            return;
        }
        if let Doing::Knock(bytes) = doing {
            return self.knocks(who, bytes.clone());
        }
        // A plan that was cut down may have lost the beginning of a client.
        let Some(client) = self.clients[who] else { return };
        let token = match doing {
            Doing::Connect(_) | Doing::Knock(_) => return,
            Doing::Publish(message) => {
                let topic = self.topics.entry(&message.topic).or_insert_with(|| message.topic(&place));
                let message = message.publish_to(topic);
                self.network.operate(client, |token| Input::Publish { token, message })
            }
            Doing::Subscribe(subscribing) => {
                let version = self.network.client_version(client);
                let (subscriptions, properties) = subscribing.subscriptions(version, &place);
                self.network.operate(client, |token| Input::Subscribe { token, subscriptions, properties })
            }
            Doing::Unsubscribe(filters) => {
                let filters = filters.iter().map(|filter| placed_filter(filter, &place)).collect();
                self.network.operate(client, |token| Input::Unsubscribe { token, filters })
            }
            Doing::Disconnect { with_will, session_expiry } => {
                let reason =
                    if *with_will { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::NORMAL_DISCONNECTION };
                let input = Input::Disconnect { reason, session_expiry_seconds: *session_expiry };
                return self.network.tell_client(client, input);
            }
            Doing::Send(bytes) => return self.network.client_slips(client, bytes.clone()),
        };
        self.tokens[who].push(token);
    }

    /// Somebody of whom the broker will hear nothing but this.
    fn knocks(&mut self, who: usize, bytes: Bytes) {
        let actor = &self.plan.actors[who];
        let stranger = *self.strangers[who].get_or_insert_with(|| {
            let options = Connecting::new(Version::V3_1_1).options(actor, &|name| name.to_owned());
            self.network.add_idle_client(&Rc::from(actor.as_str()), options)
        });
        self.network.client_knocks(stranger, bytes);
    }
}
