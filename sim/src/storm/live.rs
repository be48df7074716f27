//! Plays a plan at a server that is only an address, waits until everything has come to rest, and judges what has passed its edge.
//!
//! Time is tokio's: real before a real server, virtual where tokio's is.

mod actor;

use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc, time::Duration};

use serde::Serialize;
use squall_client::core::effect::{Input, Token};
use squall_codec::{
    packet::{Packet, Publish},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    fault::{Fault, Moment, Pass, Triggered},
    faulty_stream::FaultyStream,
    liar::Direction,
    links::Links,
    outage::{DiskState, Outage, Stop},
    plan::{Act, Connecting, Doing, Plan, Step, placed_filter},
    stage::{Credentials, LocalFuture},
    transcript::{EntryId, Transcript, What},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc::UnboundedSender,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use self::actor::Actor;
use crate::{
    history::{Away, Happened, History, Short},
    invariants::{
        self, Breach,
        at_edge::{Allowance, Found, judge},
    },
    seed::derive,
    subject::STARTED_AGAIN_AFTER,
    told,
};

/// How often it is looked whether all has come to rest.
const LOOK: Duration = Duration::from_secs(3);

/// How the clients of a storm come to their server.
pub trait Reach {
    /// A connection for an actor who speaks this version, as [`Field::join`] gives it.
    ///
    /// # Errors
    /// The server cannot be reached.
    fn connect(&self, field: &Field, actor: &str, version: Version) -> LocalFuture<'static, io::Result<FaultyStream>>;

    /// Takes the server down and lets it come back. Only asked for what was not left out where the plan was fitted.
    ///
    /// # Errors
    /// It did not come back.
    fn outage(&self, outage: Outage) -> LocalFuture<'static, Result<(), String>>;

    /// Starts the server that did not come back, once more.
    ///
    /// # Errors
    /// It did not come back.
    fn start(&self) -> LocalFuture<'static, Result<(), String>>;

    /// The disk under the server's store fails, or works again. Only asked for what was not left out where the plan was fitted.
    fn set_disk(&self, state: DiskState);

    /// How long a byte is on its way behind the link.
    fn distance(&self) -> Duration;
}

/// Where a plan is played, beside all others.
#[derive(Clone)]
pub struct Place {
    /// The way to the server.
    pub reach: Rc<dyn Reach>,
    /// What every CONNECT says, where the server asks who it is.
    pub credentials: Option<Credentials>,
    /// Letters and digits that stand before its names: at most 12.
    pub namespace: String,
    /// Its topics are below this one.
    pub topic_root: String,
    /// How much time the server is given.
    pub allowance: Allowance,
}

/// What all clients of one storm share. A cheap clone.
#[derive(Clone)]
pub struct Field {
    reach: Rc<dyn Reach>,
    links: Links,
    transcript: Transcript,
    started: Instant,
    /// Whatever moves bytes; it ends with the storm.
    tasks: Rc<RefCell<JoinSet<()>>>,
    /// What befell the server itself.
    blows: Rc<RefCell<Blows>>,
}

#[derive(Default)]
struct Blows {
    /// When it was taken down, in order.
    outages: Vec<Away>,
    /// When its disk failed, in order.
    short: Vec<Short>,
    /// Nothing befalls the server any more.
    is_calm: bool,
    /// Why the server is not there.
    failed: Option<String>,
}

impl Field {
    /// Since the storm began.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Puts a link of this actor's in front of a socket, which notes what passes the server's edge. `abort` ends the socket with RST,
    /// as far as it can.
    pub fn join<Io>(&self, actor: &str, io: Io, abort: fn(Io)) -> FaultyStream
    where
        Io: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let now = self.now();
        let link = self.links.open(now, actor);
        link.tap_at_server(now);
        let (stream, pump) = FaultyStream::new(io, link, self.started, abort);
        self.tasks.borrow_mut().spawn_local(pump);
        stream
    }

    /// Something befalls the server itself, now or at a moment of the protocol, unless the storm is over by then.
    fn befalls(&self, blow: Blow, on: Option<&Moment>) {
        let Some(moment) = on else {
            return match blow {
                Blow::Disk(state) => self.disk(state),
                Blow::Outage(outage) => {
                    let field = self.clone();
                    drop(self.tasks.borrow_mut().spawn_local(async move { field.goes_down(outage).await }));
                }
            };
        };
        let what = match blow {
            Blow::Outage(_) => Triggered::Outage,
            Blow::Disk(_) => Triggered::Signal,
        };
        // What a script says was checked when it was read, and what a seed draws is possible.
        let Ok(armed) = self.links.arm(moment, what) else { return };
        let has_to_arrive = moment.on.direction == Direction::ToServer && moment.pass == Pass::After;
        let field = self.clone();
        self.tasks.borrow_mut().spawn_local(async move {
            armed.wait().await;
            if has_to_arrive {
                sleep(field.reach.distance()).await;
            }
            if field.blows.borrow().is_calm {
                return;
            }
            match blow {
                Blow::Outage(outage) => field.goes_down(outage).await,
                Blow::Disk(state) => field.disk(state),
            }
        });
    }

    /// It goes down and comes back, unless it is down.
    async fn goes_down(&self, outage: Outage) {
        {
            let mut blows = self.blows.borrow_mut();
            if blows.outages.last().is_some_and(|away| away.until.is_none()) {
                return;
            }
            let (entry, is_dark) = (EntryId(self.transcript.len()), outage.how == Stop::PowerLoss);
            blows.outages.push(Away { entry, from: self.now(), until: None, is_dark });
        }
        self.strikes(outage.to_string());
        let mut tried = self.now();
        let mut back = self.reach.outage(outage).await;
        while let Err(reason) = &back
            && self.blows.borrow().was_short_since(tried)
        {
            // Whoever looks after it starts it again.
            self.strikes(format!("the broker cannot start: {reason}"));
            sleep(STARTED_AGAIN_AFTER).await;
            tried = self.now();
            back = self.reach.start().await;
        }
        if back.is_ok() {
            self.strikes(told::RUNS_AGAIN.to_owned());
        }
        let mut blows = self.blows.borrow_mut();
        blows.failed = back.err();
        if blows.failed.is_none() {
            blows.outages.last_mut().expect("it was taken down").until = Some(self.now());
        }
    }

    fn disk(&self, state: DiskState) {
        let now = self.now();
        let mut blows = self.blows.borrow_mut();
        let failing = blows.short.last_mut().filter(|short| short.until.is_none());
        match (state, failing) {
            (DiskState::Well, Some(failing)) => failing.until = Some(now),
            (DiskState::Well, None) => return,
            (DiskState::Full | DiskState::Broken, Some(_)) => {}
            (DiskState::Full | DiskState::Broken, None) => blows.short.push(Short { from: now, until: None }),
        }
        drop(blows);
        self.reach.set_disk(state);
        self.strikes(state.to_string());
    }

    /// Something befell the server itself.
    fn strikes(&self, summary: String) {
        self.transcript.record(self.now(), &Rc::from(told::BROKER), 0, What::Fault { summary });
    }
}

impl Blows {
    /// The disk fails, or has failed at a moment since then: it may work again before a start in vain is over.
    fn was_short_since(&self, moment: Duration) -> bool {
        self.short.last().is_some_and(|short| short.until.is_none_or(|until| until >= moment))
    }
}

/// What a plan does to the server itself.
#[derive(Clone, Copy)]
enum Blow {
    Outage(Outage),
    Disk(DiskState),
}

/// What was seen, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Connections that the server let in.
    pub connections: usize,
    /// PUBLISH packets that reached it, without repeats of what it has answered.
    pub published: usize,
    /// Those above QoS 0 that it accepted.
    pub accepted: usize,
    /// PUBLISH packets that it sent.
    pub delivered: usize,
    /// Faults that touched something.
    pub faults_hit: usize,
    /// All faults that were put in place.
    pub faults: usize,
}

/// A plan that was played.
#[derive(Debug)]
pub struct Judged {
    /// What does not hold, in the order in which it showed.
    pub breaches: Vec<Breach>,
    /// What stands before each topic.
    pub topic_root: String,
    /// In numbers.
    pub tally: Tally,
    /// How long it took.
    pub elapsed: Duration,
    /// Why the server did not come back from an outage.
    pub failed: Option<String>,
}

/// The connections with which a storm has come to rest: they end with this.
#[must_use = "they end with it"]
pub struct Standing(Rc<RefCell<JoinSet<()>>>);

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.borrow_mut().abort_all();
    }
}

/// Plays a plan that was fitted to this server, on fresh links whose record `transcript` is. To be called inside a `LocalSet`.
pub async fn play(plan: &Plan, place: &Place, links: &Links, transcript: &Transcript) -> (Judged, Standing) {
    let tasks = Rc::new(RefCell::new(JoinSet::new()));
    let (reach, blows) = (Rc::clone(&place.reach), Rc::default());
    let (links, transcript, started) = (links.clone(), transcript.clone(), Instant::now());
    let field = Field { reach, links: links.clone(), transcript: transcript.clone(), started, tasks, blows };
    let mut storm = Storm {
        plan,
        place,
        field,
        orders: vec![None; plan.actors.len()],
        spoken: vec![Version::V5_0; plan.actors.len()],
        tokens: 0,
    };
    for step in &plan.steps {
        sleep_until(storm.field.started + step.at).await;
        storm.begin(step);
    }
    sleep_until(storm.field.started + plan.lasts).await;
    storm.calm();
    let (mut breaches, history) = storm.rest(&transcript).await;
    let elapsed = storm.field.now();
    breaches.sort_by_key(|breach| breach.entry);
    let faults = links.placed();
    let tally = Tally { faults, faults_hit: faults.saturating_sub(links.unhit().len()), ..tally(&history) };
    let failed = storm.field.blows.borrow_mut().failed.take();
    let judged = Judged { breaches, topic_root: root(place), tally, elapsed, failed };
    (judged, Standing(Rc::clone(&storm.field.tasks)))
}

fn root(place: &Place) -> String {
    format!("{}/{}/", place.topic_root, place.namespace)
}

struct Storm<'a> {
    plan: &'a Plan,
    place: &'a Place,
    field: Field,
    orders: Vec<Option<UnboundedSender<Input>>>,
    spoken: Vec<Version>,
    tokens: u64,
}

impl Storm<'_> {
    fn begin(&mut self, step: &Step) {
        match &step.act {
            Act::Client(who, doing) => self.client(*who, doing),
            Act::Link(who, kind) => {
                let fault = Fault { actor: who.map(|who| self.plan.actors[who].clone()), kind: kind.clone() };
                // Nobody may be connected for what happens once: then it touches nothing.
                let _ = match &step.on {
                    None => self.field.links.apply(self.field.now(), &fault),
                    Some(moment) => self.field.links.arm(moment, Triggered::Fault(fault)).map(drop),
                };
            }
            Act::Outage(outage) => self.field.befalls(Blow::Outage(*outage), step.on.as_ref()),
            Act::Disk(state) => self.field.befalls(Blow::Disk(*state), step.on.as_ref()),
        }
    }

    fn client(&mut self, who: usize, doing: &Doing) {
        let root = root(self.place);
        let place = |name: &str| format!("{root}{name}");
        self.tokens += 1;
        let token = Token(self.tokens);
        let input = match doing {
            Doing::Connect(connecting) => {
                if self.orders[who].is_none() {
                    self.start(who, connecting, &place);
                }
                Input::Connect
            }
            Doing::Publish(message) => Input::Publish { token, message: message.publish(&place) },
            Doing::Subscribe(subscribing) => {
                let (subscriptions, properties) = subscribing.subscriptions(self.spoken[who], &place);
                Input::Subscribe { token, subscriptions, properties }
            }
            Doing::Unsubscribe(filters) => {
                let filters = filters.iter().map(|filter| placed_filter(filter, &place)).collect();
                Input::Unsubscribe { token, filters }
            }
            Doing::Disconnect { with_will, session_expiry } => {
                let reason =
                    if *with_will { ReasonCode::DisconnectWithWillMessage } else { ReasonCode::NORMAL_DISCONNECTION };
                Input::Disconnect { reason, session_expiry_seconds: *session_expiry }
            }
            // Left out where the plan was fitted.
            Doing::Send(_) | Doing::Knock(_) => return,
        };
        self.tell(who, input);
    }

    fn start(&mut self, who: usize, connecting: &Connecting, place: &dyn Fn(&str) -> String) {
        let actor = &self.plan.actors[who];
        let mut options = connecting.options(actor, place);
        options.client_id = Text::new(self.client_id(who, connecting)).expect("letters and digits");
        if let Some(credentials) = &self.place.credentials {
            options.username = Some(credentials.username.clone());
            options.password.clone_from(&credentials.password);
        }
        self.spoken[who] = options.version;
        let seed = derive(self.plan.seed, &format!("client {actor}"), who as u64);
        self.orders[who] = Some(Actor::start(&self.field, actor, options, connecting.answers, seed));
    }

    fn client_id(&self, who: usize, connecting: &Connecting) -> String {
        let name = connecting.client_id.as_deref().unwrap_or(&self.plan.actors[who]);
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        self.place.namespace.chars().chain(letters).take(23).collect()
    }

    /// A plan that was cut down may have lost the beginning of a client.
    fn tell(&self, who: usize, input: Input) {
        if let Some(orders) = &self.orders[who] {
            // A client's task lives as long as the storm.
            let _ = orders.send(input);
        }
    }

    /// All is well again; whoever has a session comes back for what it is owed: of those with the same Client Identifier the first.
    fn calm(&self) {
        self.field.links.calm(self.field.now());
        self.field.blows.borrow_mut().is_calm = true;
        self.field.disk(DiskState::Well);
        let mut seen = Vec::new();
        for (who, connecting) in self.connecting() {
            let id = self.client_id(who, connecting);
            let input = match seen.contains(&id) {
                true => Input::Disconnect { reason: ReasonCode::NORMAL_DISCONNECTION, session_expiry_seconds: None },
                false => Input::Connect,
            };
            seen.push(id);
            self.tell(who, input);
        }
    }

    /// How each client was started.
    fn connecting(&self) -> impl Iterator<Item = (usize, &Connecting)> {
        let mut first = BTreeMap::new();
        for step in &self.plan.steps {
            if let Act::Client(who, Doing::Connect(connecting)) = &step.act {
                first.entry(*who).or_insert(&**connecting);
            }
        }
        first.into_iter()
    }

    /// Those who come back by themselves, and share their name with nobody.
    fn reconnecting(&self) -> Vec<&str> {
        let ids: Vec<_> =
            self.connecting().map(|(who, connecting)| (who, connecting, self.client_id(who, connecting))).collect();
        let is_alone = |id: &String| ids.iter().filter(|(.., other)| other == id).count() == 1;
        let alone = ids.iter().filter(|(_, connecting, id)| connecting.reconnect.is_some() && is_alone(id));
        alone.map(|(who, ..)| self.plan.actors[*who].as_str()).collect()
    }

    /// Waits until nothing is missing any more, and no longer than the calm lasts.
    async fn rest(&self, transcript: &Transcript) -> (Vec<Breach>, History) {
        let (began, end) = (self.plan.lasts, self.plan.lasts + self.plan.calm);
        let reconnecting = self.reconnecting();
        let mut look = began + 2 * LOOK;
        loop {
            sleep_until(self.field.started + look.min(end)).await;
            let now = self.field.now();
            let history = {
                let blows = self.field.blows.borrow();
                let (outages, short) = (blows.outages.clone(), blows.short.clone());
                History { outages, short, ..History::of(transcript) }
            };
            let found = judge(&history, now, &self.place.allowance);
            let absent = invariants::absent(&history, &reconnecting);
            let is_quiet = found.missing.is_empty() && absent.is_empty() && now >= found.runs_until;
            if now >= end || (is_quiet && all_heard(&history, began)) {
                return (at_the_end(found, absent), history);
            }
            look = now + LOOK;
        }
    }
}

fn at_the_end(found: Found, absent: Vec<Breach>) -> Vec<Breach> {
    let mut breaches = found.at_the_end();
    breaches.extend(absent);
    breaches
}

/// Whether each connection that stands has been heard of since the calm began: a client that is idle asks.
fn all_heard(history: &History, since: Duration) -> bool {
    let mut last = BTreeMap::new();
    for event in &history.events {
        match event.what {
            Happened::Ended { .. } => drop(last.remove(&event.connection)),
            Happened::Received(_) => drop(last.insert(&event.connection, event.at)),
            Happened::Sent(_) | Happened::Hindered => {}
        }
    }
    last.values().all(|at| *at > since)
}

fn tally(history: &History) -> Tally {
    let mut tally = Tally::default();
    for event in &history.events {
        match &event.what {
            Happened::Received(Packet::Connack(connack)) if !connack.reason.is_failure() => tally.connections += 1,
            Happened::Sent(Packet::Publish(Publish { dup: false, .. })) => tally.published += 1,
            Happened::Received(Packet::Puback(ack) | Packet::Pubrec(ack)) if !ack.reason.is_failure() => {
                tally.accepted += 1;
            }
            Happened::Received(Packet::Publish(_)) => tally.delivered += 1,
            _ => {}
        }
    }
    tally
}
