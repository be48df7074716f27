//! A plan: a storm as plain data. Whole clients with their options, what they do and when, what befalls the network and the
//! broker, and the calm behind it in which everything that is owed has to arrive.
//!
//! A plan and the script that has it as `storm:` are the same: [`Plan::to_script`] writes what [`crate::script::Script`] reads.

mod answering;
mod text;

use std::time::Duration;

use bytes::Bytes;
use squall_client::options::{Acknowledge, Options, Reconnect};
use squall_codec::{
    flow::PacketIds,
    packet::{Publish, RetainHandling, Subscription, Will},
    property::{Properties, Property},
    qos::Qos,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

use crate::{
    fault::{FaultKind, Moment},
    outage::{DiskState, Outage},
    script::Statement,
    settings::Settings,
};

pub use self::answering::{Answer, Answering, Answers};

/// How much longer than the first the longest pause before another try is.
const LONGEST_PAUSE: u32 = 10;

/// A storm and the calm behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What it is, in one line.
    pub title: String,
    /// What a reader should know.
    pub about: Option<String>,
    /// The statements that it stands for.
    pub proves: Vec<Statement>,
    /// What is still random when it is played: the draws of lossy links, the jitter of clients, the broker's secrets.
    pub seed: u64,
    /// How the broker is set up.
    pub broker: Settings,
    /// The clients, by their names.
    pub actors: Vec<String>,
    /// What happens, in the order of time.
    pub steps: Vec<Step>,
    /// From then on nothing goes wrong any more, and nobody begins anything.
    pub lasts: Duration,
    /// How long it takes until everything that is owed has arrived, at most.
    pub calm: Duration,
}

impl Plan {
    /// Whether somebody speaks of a topic that begins with `$` ([MQTT-4.7.2-1]). It can only do so at the root of all topics, so that is
    /// where all of this storm's stand then; a world that it has for itself can do that.
    pub fn is_at_the_root(&self) -> bool {
        let begins = |name: &str| name.starts_with('$') && !name.starts_with("$share/");
        self.steps.iter().any(|step| match &step.act {
            Act::Client(_, Doing::Publish(message)) => begins(&message.topic),
            Act::Client(_, Doing::Subscribe(subscribing)) => subscribing.wanted.iter().any(|one| begins(&one.filter)),
            Act::Client(_, Doing::Connect(connecting)) => {
                connecting.will.as_ref().is_some_and(|(will, _)| begins(&will.topic))
            }
            _ => false,
        })
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Since the beginning.
    pub at: Duration,
    /// It waits from `at` on for a moment of the protocol: what befalls a link or the broker may.
    pub on: Option<Moment>,
    /// What.
    pub act: Act,
}

impl Step {
    /// At its time.
    pub fn at(at: Duration, act: Act) -> Self {
        Step { at, on: None, act }
    }
}

/// What happens. Clients are named by their position in [`Plan::actors`].
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A client does something; nobody waits for its outcome.
    Client(usize, Doing),
    /// A fault of one client's link, or of all links.
    Link(Option<usize>, FaultKind),
    /// The broker goes down and comes back.
    Outage(Outage),
    /// The broker's disk changes.
    Disk(DiskState),
}

/// What a client does.
#[derive(Clone, Debug, PartialEq)]
pub enum Doing {
    /// It is started with these options; one that was started before and has disconnected connects again as it is.
    Connect(Box<Connecting>),
    /// It publishes.
    Publish(Message),
    /// It subscribes.
    Subscribe(Subscribing),
    /// It ends subscriptions, with one UNSUBSCRIBE.
    Unsubscribe(Vec<String>),
    /// It says DISCONNECT.
    Disconnect {
        /// 0x04: its will is to be published.
        with_will: bool,
        /// 5.0: another Session Expiry Interval, in seconds.
        session_expiry: Option<u32>,
    },
    /// These bytes leave on its connection, between two packets, whatever its library thinks of them. Without a connection that
    /// has let it in, nothing happens.
    Send(Bytes),
    /// A connection is opened that is none of its client's, these bytes leave on it, and nothing else. It stays open as long as the server
    /// leaves it open. Where nobody listens, nothing happens.
    Knock(Bytes),
}

/// The options of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Connecting {
    /// What it speaks.
    pub version: Version,
    /// Left out, it is called as the actor is.
    pub client_id: Option<String>,
    /// Clean Start.
    pub clean_start: bool,
    /// In seconds.
    pub keep_alive: u16,
    /// In seconds.
    pub session_expiry: Option<u32>,
    /// Receive Maximum.
    pub receive_maximum: Option<u16>,
    /// Topic Alias Maximum.
    pub topic_alias_maximum: u16,
    /// Maximum Packet Size.
    pub maximum_packet_size: Option<u32>,
    /// The Will Message, and how long it waits in seconds.
    pub will: Option<(Message, u32)>,
    /// The packet identifiers that it gives out, the first and the last; `None`: all.
    pub packet_ids: Option<(u16, u16)>,
    /// The first pause before another try; `None`: no other try.
    pub reconnect: Option<Duration>,
    /// What the application says to messages above QoS 0; `None`: they are acknowledged when they are handed over.
    pub answers: Option<Answering>,
}

/// An Application Message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Topic Name.
    pub topic: String,
    /// Payload.
    pub payload: String,
    /// QoS.
    pub qos: Qos,
    /// RETAIN.
    pub retain: bool,
    /// Message Expiry Interval in seconds.
    pub expiry: Option<u32>,
    /// What else 5.0 lets a publisher say, and a server passes on as it is.
    pub properties: Properties,
}

/// A SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribing {
    /// What is asked for, at least one, in this order.
    pub wanted: Vec<Wanted>,
    /// Subscription Identifier, of all of them.
    pub identifier: Option<u32>,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Topic Filter.
    pub filter: String,
    /// Maximum QoS.
    pub qos: Qos,
    /// No Local.
    pub no_local: bool,
    /// Retain As Published.
    pub retain_as_published: bool,
    /// Retain Handling.
    pub retain_handling: RetainHandling,
}

impl Connecting {
    /// As a client has them that knows nothing better.
    pub fn new(version: Version) -> Self {
        Connecting {
            version,
            client_id: None,
            clean_start: true,
            keep_alive: 60,
            session_expiry: None,
            receive_maximum: None,
            topic_alias_maximum: 0,
            maximum_packet_size: None,
            will: None,
            packet_ids: None,
            reconnect: None,
            answers: None,
        }
    }

    /// The options of the client library. `place` puts a name into the stage's own corner.
    ///
    /// # Panics
    /// If a name in it is none that MQTT allows; plans that were read from a script hold none.
    pub fn options(&self, actor: &str, place: &dyn Fn(&str) -> String) -> Options {
        let client_id = Text::new(self.client_id.as_deref().unwrap_or(actor).to_owned()).expect("a checked name");
        let defaults = Options::new(self.version, client_id);
        let has_properties = self.version.has_properties();
        Options {
            clean_start: self.clean_start,
            keep_alive: Duration::from_secs(u64::from(self.keep_alive)),
            session_expiry_seconds: self.session_expiry.filter(|_| has_properties),
            receive_maximum: self.receive_maximum.filter(|_| has_properties),
            topic_alias_maximum: if has_properties { self.topic_alias_maximum } else { 0 },
            maximum_packet_size: self.maximum_packet_size.unwrap_or(defaults.maximum_packet_size),
            will: self.will.as_ref().map(|(message, delay)| message.will(*delay, has_properties, place)),
            reconnect: match self.reconnect {
                None => Reconnect::Never,
                Some(first) => Reconnect::Backoff { first, max: first * LONGEST_PAUSE },
            },
            resubscribe: false,
            packet_ids: self.packet_ids.map(packet_ids).unwrap_or_default(),
            acknowledge: if self.answers.is_some() { Acknowledge::ByHand } else { Acknowledge::Automatic },
            ..defaults
        }
    }
}

/// 0 is no packet identifier, and counts as 1.
pub(crate) fn packet_ids((first, last): (u16, u16)) -> PacketIds {
    let id = |value| PacketId::new(value).unwrap_or(PacketId::MIN);
    PacketIds::between(id(first), id(last))
}

impl Message {
    /// Its topic, in the stage's own corner.
    ///
    /// # Panics
    /// As [`Connecting::options`].
    pub fn topic(&self, place: &dyn Fn(&str) -> String) -> TopicName {
        let text = Text::new(place(&self.topic)).expect("a checked topic");
        TopicName::new(text).expect("a checked topic")
    }

    /// As the client library takes it.
    ///
    /// # Panics
    /// As [`Connecting::options`].
    pub fn publish(&self, place: &dyn Fn(&str) -> String) -> Publish {
        self.publish_to(&self.topic(place))
    }

    /// As `publish`, to a topic that was made before.
    pub fn publish_to(&self, topic: &TopicName) -> Publish {
        let mut publish = Publish::new(topic, &self.payload).at(self.qos, None);
        if !self.properties.is_empty() {
            publish = publish.with_properties(&self.properties);
        }
        publish.retain = self.retain;
        publish.message_expiry_interval = self.expiry;
        publish
    }

    fn will(&self, delay: u32, has_properties: bool, place: &dyn Fn(&str) -> String) -> Will {
        let mut properties = if has_properties { self.properties.clone() } else { Properties::new() };
        if has_properties && delay > 0 {
            properties.push(Property::WillDelayInterval(delay));
        }
        if let Some(expiry) = self.expiry.filter(|_| has_properties) {
            properties.push(Property::MessageExpiryInterval(expiry));
        }
        Will {
            qos: self.qos,
            retain: self.retain,
            topic: self.topic(place),
            payload: Bytes::from(self.payload.clone()),
            properties,
        }
    }
}

impl Wanted {
    /// With QoS alone.
    pub fn new(filter: impl Into<String>, qos: Qos) -> Self {
        Wanted {
            filter: filter.into(),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::default(),
        }
    }
}

impl Subscribing {
    /// To one filter.
    pub fn to(wanted: Wanted) -> Self {
        Subscribing { wanted: vec![wanted], identifier: None }
    }

    /// As the client library takes it: what stands in SUBSCRIBE.
    ///
    /// # Panics
    /// As [`Connecting::options`].
    pub fn subscriptions(&self, version: Version, place: &dyn Fn(&str) -> String) -> (Vec<Subscription>, Properties) {
        let subscription = |wanted: &Wanted| {
            let mut subscription = Subscription::new(placed_filter(&wanted.filter, place), wanted.qos);
            if version.has_properties() {
                subscription.options.no_local = wanted.no_local;
                subscription.options.retain_as_published = wanted.retain_as_published;
                subscription.options.retain_handling = wanted.retain_handling;
            }
            subscription
        };
        let identifier = self.identifier.filter(|_| version.has_properties());
        (
            self.wanted.iter().map(subscription).collect(),
            identifier.map(Property::SubscriptionIdentifier).into_iter().collect(),
        )
    }
}

/// A filter below the stage's own root.
///
/// # Panics
/// If it is no filter.
pub fn placed_filter(filter: &str, place: &dyn Fn(&str) -> String) -> TopicFilter {
    let full = match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
        Some((name, rest)) => format!("$share/{name}/{}", place(rest)),
        None => place(filter),
    };
    TopicFilter::new(Text::new(full).expect("a checked filter")).expect("a checked filter")
}
