//! The stage: the world on which a script or a conformance test plays. It owns time.
//!
//! Tests ask the stage for deadlines and never a runtime; they cannot tell which world it is.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use squall_client::{core::effect::Event, options::Options};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::Text,
};

/// For worlds that do not know the client crate.
pub use squall_client::options::Options as ClientOptions;

use crate::{
    armed::Armed,
    fault::{Fault, Moment, Triggered},
    outage::{ClockJump, DiskState, Outage},
    timing::{Due, Punctuality, Timing},
    transcript::Transcript,
};

/// A future that stays on its thread: a stage is single-threaded in every world.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// An orderly end of the bytes of one side.
    Fin,
    /// An abort: what was not yet delivered is lost.
    Reset,
}

impl End {
    /// `FIN` or `RST`.
    pub const fn name(self) -> &'static str {
        match self {
            End::Fin => "FIN",
            End::Reset => "RST",
        }
    }
}

/// What came on a raw connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Bytes, at least one.
    Bytes(Bytes),
    /// Nothing more comes.
    End(End),
}

/// A raw connection to the subject, behind the actor's link.
pub trait Wire {
    /// Hands bytes over; resolves when they are taken. A connection that has ended swallows them: what was lost shows
    /// in `receive`.
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()>;

    /// What comes next. Dropping the future loses nothing. After `Arrival::End` it stays at that.
    fn receive(&mut self) -> LocalFuture<'_, Arrival>;

    /// Ends this side: FIN keeps the other direction open for reading, RST ends all.
    fn close(&mut self, how: End) -> LocalFuture<'_, ()>;

    /// When that arrived which `receive` gave last, in time of the stage: the reader may have come late. `None` where
    /// nobody knows, which is taken for the time of reading.
    fn arrived(&self) -> Option<Duration> {
        None
    }
}

/// A whole client (the library) as an actor.
pub trait ClientActor {
    /// Resolves when the QoS is fulfilled.
    fn publish(&self, message: Publish) -> LocalFuture<'_, Result<ReasonCode, String>>;

    /// Resolves with one reason for each filter.
    fn subscribe(
        &self,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>>;

    /// Resolves with one reason for each filter; empty before 5.0.
    fn unsubscribe(&self, filters: Vec<TopicFilter>) -> LocalFuture<'_, Result<Vec<ReasonCode>, String>>;

    /// Proves anew who it is (5.0). An error is one sentence.
    fn reauthenticate(&self) -> LocalFuture<'_, Result<(), String>>;

    /// Says DISCONNECT and ends.
    fn disconnect(&self, reason: ReasonCode, session_expiry_seconds: Option<u32>) -> LocalFuture<'_, ()>;

    /// The next message for the application. Dropping the future loses nothing.
    fn message(&self) -> LocalFuture<'_, Publish>;

    /// The next event. Dropping the future loses nothing.
    fn event(&self) -> LocalFuture<'_, Event>;
}

/// Something that not every world offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Idle time is skipped: for scripts longer than 120 virtual seconds.
    Jump,
    /// The subject can be stopped or killed, and started again.
    Restart,
    /// The subject's machine can lose its power, and its disk can fail.
    PowerLoss,
    /// The subject can be set up as a script asks.
    Configuration,
    /// The clock of the subject's machine can be set.
    Clock,
    /// What clients did and saw is judged by what must always hold.
    Invariants,
    /// Whole clients as actors.
    Client,
    /// Faults of the network beyond what the actor's own link can do.
    Network,
    /// Somebody sees when a packet has arrived at the subject.
    Arrival,
    /// The subject is our own broker: the story is about what the standard leaves to the server.
    OwnBroker,
    /// Nobody else uses the subject: topics and filters stand as they are written, below no root of their own.
    WholeTree,
}

/// The world behind a stage.
pub trait World {
    /// A raw connection for `actor`. An error is one sentence.
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>>;

    /// The same world where another version is spoken, with the same record, if that is not here.
    fn speaking(&self, _version: Version) -> Option<Rc<dyn World>> {
        None
    }

    /// The WebSocket on which MQTT is reached: the URI of its handshake. An error is one sentence: there is none.
    fn web_socket(&self) -> Result<String, String> {
        Err("MQTT is not reached over a WebSocket here".to_owned())
    }

    /// A connection below that WebSocket for `actor`: its bytes are those of the handshake and of frames.
    fn connect_below(&self, _actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let refused = self.web_socket().err().unwrap_or_else(|| "nothing is known below the WebSocket".to_owned());
        Box::pin(std::future::ready(Err(refused)))
    }

    /// A whole client as `actor`: it connects by itself as its options say.
    fn client(&self, actor: &str, options: Options) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>>;

    /// Time since the stage began.
    fn now(&self) -> Duration;

    /// Resolves at this time of the stage.
    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()>;

    /// Does what may take a second of computing. Virtual time stands still meanwhile; where time is real, it is done beside.
    fn compute(&self, work: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }

    /// Whether this world has it; if not, why.
    fn offers(&self, need: Need) -> Result<(), String>;

    /// Puts a fault in place. An error is one sentence: what this world cannot do, or an actor without a link.
    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>>;

    /// Takes the subject down and starts it again; resolves when it takes connections again. An error is one sentence:
    /// what this world cannot do, or why the subject did not start.
    fn outage(&self, outage: Outage) -> LocalFuture<'_, Result<(), String>> {
        let refused = format!("this world cannot have it that {outage}");
        Box::pin(std::future::ready(Err(refused)))
    }

    /// Changes what the subject's disk does. An error is one sentence.
    fn set_disk(&self, state: DiskState) -> Result<(), String> {
        Err(format!("this world cannot have it that {state}"))
    }

    /// Sets the clock on the wall of the subject's machine. An error is one sentence.
    fn set_clock(&self, jump: ClockJump) -> Result<(), String> {
        Err(format!("this world cannot have it that {jump}"))
    }

    /// Has something wait for a moment of the protocol: see `Links::arm`. An error is one sentence.
    fn arm(&self, moment: &Moment, _what: Triggered) -> Result<Armed, String> {
        Err(format!("this world cannot see what passes {moment}"))
    }

    /// How long what has left an actor's link takes to the subject.
    fn distance(&self) -> Duration {
        Duration::ZERO
    }

    /// The record that everything on this stage writes to.
    fn transcript(&self) -> Transcript;

    /// The faults that touched nothing so far, each in the words of its `Display`.
    fn untouched(&self) -> Vec<String> {
        Vec::new()
    }

    /// Why nothing came of one of those that waited for a moment.
    fn why_untouched(&self, _fault: &str) -> Option<String> {
        None
    }
}

/// `Stage::client_id` of a stage with this namespace.
pub(crate) fn client_id_in(namespace: &str, actor: &str) -> Text {
    let actor: String = actor.chars().filter(char::is_ascii_alphanumeric).collect();
    let mut id = format!("{namespace}{actor}");
    id.truncate(23);
    Text::new(id).expect("letters and digits are a string of MQTT")
}

/// The topics of all stages are below this one, unless others were named.
pub const TOPIC_ROOT: &str = "squall";

fn topic_in(root: &str, namespace: &str, below: &str) -> String {
    format!("{root}/{namespace}/{below}")
}

/// `Stage::full_topic` of a stage with this namespace and no other root.
pub(crate) fn full_topic_in(namespace: &str, topic: &str) -> String {
    if topic.starts_with('$') { topic.to_owned() } else { topic_in(TOPIC_ROOT, namespace, topic) }
}

/// How a client shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User Name.
    pub username: Text,
    /// Password.
    pub password: Option<Bytes>,
}

/// A world, a protocol version, names that no other test uses, and patience. A cheap clone.
#[derive(Clone)]
pub struct Stage {
    world: Rc<dyn World>,
    version: Version,
    namespace: Rc<str>,
    topic_root: Rc<str>,
    patience: Duration,
    tolerance: Duration,
    credentials: Option<Rc<Credentials>>,
    keep_alive: u16,
    names: Rc<Cell<u32>>,
    timings: Rc<RefCell<Vec<Timing>>>,
}

impl Stage {
    /// `namespace` keeps this test's client identifiers and topics apart from those of any other on the same subject:
    /// letters and digits only, at most 12. `patience` is how long an answer may take.
    pub fn new(world: Rc<dyn World>, version: Version, namespace: &str, patience: Duration) -> Self {
        Stage {
            world,
            version,
            namespace: Rc::from(namespace),
            topic_root: Rc::from(TOPIC_ROOT),
            patience,
            tolerance: Duration::ZERO,
            credentials: None,
            keep_alive: 0,
            names: Rc::new(Cell::new(0)),
            timings: Rc::default(),
        }
    }

    /// So much later than usual the subject's clocks may be before they are late, and as much later they are given up.
    #[must_use]
    pub fn tolerating(self, tolerance: Duration) -> Self {
        Stage { tolerance, ..self }
    }

    /// With its topics below this one: whole levels, without a wildcard and without a slash at the end.
    #[must_use]
    pub fn with_topic_root(self, root: &str) -> Self {
        Stage { topic_root: Rc::from(root), ..self }
    }

    /// With topics that stand as they are named, where nobody else uses the subject.
    #[must_use]
    pub fn alone(self) -> Self {
        Stage { topic_root: Rc::from(""), ..self }
    }

    /// The same stage for actors who speak another version.
    #[must_use]
    pub fn speaking(&self, version: Version) -> Self {
        let world = self.world.speaking(version).unwrap_or_else(|| Rc::clone(&self.world));
        Stage { version, world, ..self.clone() }
    }

    /// With this Keep Alive in seconds in every CONNECT that is not about it: some servers take no 0.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: u16) -> Self {
        Stage { keep_alive, ..self }
    }

    /// The Keep Alive of a CONNECT that is not about it.
    pub fn keep_alive(&self) -> u16 {
        self.keep_alive
    }

    /// With these in every CONNECT that says nothing else.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Option<Credentials>) -> Self {
        self.credentials = credentials.map(Rc::new);
        self
    }

    /// What a CONNECT shows that says nothing else.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_deref()
    }

    /// The version that this test speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// How long an answer may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How much later than usual the subject's clocks may be before they are late.
    pub fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// Writes down when something came that a clock rules, and grades it.
    pub fn came(&self, due: Due<'_>, after: Duration) -> Punctuality {
        self.timed(Timing::came(due, self.tolerance, after))
    }

    /// Writes down that it had not come when it was given up.
    pub fn missed(&self, due: Due<'_>, given_up: Duration) {
        self.timed(Timing::missing(due, self.tolerance, given_up));
    }

    fn timed(&self, timing: Timing) -> Punctuality {
        let grade = timing.grade;
        self.timings.borrow_mut().push(timing);
        grade
    }

    /// All that was written down of clocks.
    pub fn timings(&self) -> Vec<Timing> {
        self.timings.borrow().clone()
    }

    /// The world.
    pub fn world(&self) -> &dyn World {
        &*self.world
    }

    /// Time since the stage began.
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// The record of this stage.
    pub fn transcript(&self) -> Transcript {
        self.world.transcript()
    }

    /// The client identifier of an actor of this test: the same for the same name, 1 to 23 letters and digits.
    pub fn client_id(&self, actor: &str) -> Text {
        client_id_in(&self.namespace, actor)
    }

    /// A topic (or filter) below this test's own root: `topic("a/b")` is `squall/{namespace}/a/b` unless another
    /// root was named, or none (`alone`).
    pub fn topic(&self, below: &str) -> String {
        if self.is_alone() { below.to_owned() } else { topic_in(&self.topic_root, &self.namespace, below) }
    }

    fn is_alone(&self) -> bool {
        self.topic_root.is_empty()
    }

    /// As `topic`; topics that begin with $ are the server's own and stand as they are.
    pub(crate) fn full_topic(&self, topic: &str) -> String {
        if topic.starts_with('$') { topic.to_owned() } else { self.topic(topic) }
    }

    /// Whether a topic is one of this test's.
    pub fn owns(&self, topic: &str) -> bool {
        self.is_alone() || topic.split('/').any(|level| level == &*self.namespace)
    }

    /// What comes of a computation that may take a second: nobody else waits for it.
    pub async fn computed<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let work = move || drop(sender.send(work()));
        self.world.compute(Box::new(work)).await;
        receiver.try_recv().ok()
    }

    /// A name that this test has not used before.
    pub fn fresh(&self, stem: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{stem}{}", self.names.get())
    }

    /// Resolves after this much time of the stage. Only for rules with a clock: silence is proven by a fence.
    pub async fn pass(&self, time: Duration) {
        self.world.sleep_until(self.now() + time).await;
    }

    /// `None` when the time of the stage reaches `at` first. What is ready at that very moment still counts.
    pub async fn by<T>(&self, at: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut sleep = self.world.sleep_until(at);
        std::future::poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            sleep.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// `None` when this much time of the stage passes first.
    pub async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.by(self.now() + time, future).await
    }
}
