//! What must hold in every history, each named after the statements that it stands for. Pure functions: a history in, breaches
//! out.
//!
//! A client sees less than the server did: what was lost on the way is not in its record. So each invariant accuses only where no
//! loss could explain what was seen.

pub mod at_edge;
mod delivery;
pub(crate) mod exchanges;
pub(crate) mod passed_on;
mod presence;
mod unfinished;
mod walk;

use std::{fmt, time::Duration};

use squall_codec::{
    packet::{Packet, PacketKind, Publish},
    version::Version,
    wire::PacketId,
};
use squall_scenarios::{liar::Direction, transcript::EntryId};

use crate::history::{Event, History};
use walk::walk;

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A packet identifier stands for one message until its exchange is over.
    PacketIdInUse,
    /// DUP is on repeats, and on nothing else.
    DupOnRepeats,
    /// No more QoS 1 and 2 messages are open than Receive Maximum allows.
    ReceiveMaximum,
    /// No packet is larger than the Maximum Packet Size of its receiver.
    PacketSize,
    /// QoS 0: at most once.
    AtMostOnce,
    /// QoS 1: at least once, when it was acknowledged.
    AtLeastOnce,
    /// QoS 2: exactly once.
    ExactlyOnce,
    /// Messages of one publisher, topic and QoS come in the order in which they were sent.
    Order,
    /// What is delivered was published.
    NothingInvented,
    /// What is delivered matches a subscription of the session, or its end was too late for it.
    Subscribed,
    /// With the QoS, the RETAIN and the Subscription Identifiers that the subscription asks for.
    AsSubscribed,
    /// With the properties that its publisher has given it.
    AsPublished,
    /// A Shared Subscription gives each message to one of its members.
    SharedOnce,
    /// Session Present tells whether there was a session, and sessions live as long as they should.
    SessionPresent,
    /// One connection for each Client Identifier: the older one is closed.
    TakeOver,
    /// Who comes without a Client Identifier is told one that nobody else has.
    AssignedIdentifier,
    /// A will is published once or never, at its time.
    Will,
    /// A silent client is disconnected after one and a half times its Keep Alive.
    KeepAlive,
    /// A message that has expired is not sent any more, and the others say how long they may still wait.
    MessageExpiry,
    /// A subscription gets the messages that are retained then, as its Retain Handling asks.
    Retained,
    /// A Topic Alias means what it was given on this connection.
    TopicAlias,
    /// Each request is answered once, in order.
    Answers,
    /// The server closes no connection without a reason.
    StaysOpen,
    /// The server closes a connection whose client breaks a rule.
    ClosesOnViolation,
    /// The server refuses nothing that it can do, grants what it is asked for, and nothing above its bounds.
    Serves,
    /// Who says no CONNECT in time, or one that must be refused, is not let in and shown out; the others may take their time.
    Admits,
    /// The server says what it does not have, and does nothing of the kind.
    AsOffered,
    /// What was acknowledged survives a crash and a power failure.
    Durable,
    /// Whatever is owed arrives when nothing is in its way any more.
    Progress,
    /// A client hands each message to its application, one of QoS 2 once.
    Handed,
    /// The server keeps nothing of those who are gone.
    Baseline,
    /// Who tries to connect does so in the end.
    ComesThrough,
}

impl Invariant {
    /// The statements, with their versions.
    pub const fn statements(self) -> &'static [&'static str] {
        match self {
            Invariant::PacketIdInUse => &["3.1.1/MQTT-2.3.1-4", "5.0/MQTT-2.2.1-4"],
            Invariant::DupOnRepeats => &["3.1.1/MQTT-3.3.1-1", "5.0/MQTT-3.3.1-1", "5.0/MQTT-4.4.0-1"],
            Invariant::ReceiveMaximum => &["5.0/MQTT-3.3.4-7", "5.0/MQTT-3.3.4-9"],
            Invariant::PacketSize => &["5.0/MQTT-3.1.2-24"],
            Invariant::AtMostOnce => &["3.1.1/MQTT-4.3.1-1", "5.0/MQTT-4.3.1-1"],
            Invariant::AtLeastOnce => &["3.1.1/MQTT-4.5.0-1", "5.0/MQTT-4.5.0-1"],
            Invariant::ExactlyOnce => &["3.1.1/MQTT-4.3.3-2", "5.0/MQTT-4.3.3-10", "5.0/MQTT-4.3.3-12"],
            Invariant::Order => &["3.1.1/MQTT-4.6.0-6", "5.0/MQTT-4.6.0-5", "5.0/MQTT-4.6.0-6"],
            Invariant::NothingInvented => &["3.1.1/MQTT-4.5.0-1", "5.0/MQTT-4.5.0-1"],
            Invariant::Subscribed => &["3.1.1/MQTT-3.10.4-2", "5.0/MQTT-3.10.4-2"],
            Invariant::AsSubscribed => &[
                "3.1.1/MQTT-3.8.4-6",
                "3.1.1/MQTT-3.3.1-9",
                "5.0/MQTT-3.8.4-8",
                "5.0/MQTT-3.3.1-12",
                "5.0/MQTT-3.3.4-3",
            ],
            Invariant::AsPublished => &[
                "5.0/MQTT-3.3.2-4",
                "5.0/MQTT-3.3.2-15",
                "5.0/MQTT-3.3.2-16",
                "5.0/MQTT-3.3.2-17",
                "5.0/MQTT-3.3.2-18",
                "5.0/MQTT-3.3.2-20",
            ],
            Invariant::SharedOnce => &["5.0/MQTT-4.8.2-4", "5.0/MQTT-4.8.2-5"],
            Invariant::SessionPresent => {
                &["3.1.1/MQTT-3.2.2-1", "3.1.1/MQTT-3.2.2-2", "5.0/MQTT-3.2.2-2", "5.0/MQTT-3.2.2-3"]
            }
            Invariant::TakeOver => &["3.1.1/MQTT-3.1.4-2", "5.0/MQTT-3.1.4-3"],
            Invariant::AssignedIdentifier => {
                &["3.1.1/MQTT-3.1.3-6", "5.0/MQTT-3.1.3-6", "5.0/MQTT-3.1.3-7", "5.0/MQTT-3.2.2-16"]
            }
            Invariant::Will => &["3.1.1/MQTT-3.1.2-8", "3.1.1/MQTT-3.1.2-10", "5.0/MQTT-3.1.2-8", "5.0/MQTT-3.1.2-10"],
            Invariant::KeepAlive => &["3.1.1/MQTT-3.1.2-24", "5.0/MQTT-3.1.2-22"],
            Invariant::MessageExpiry => &["5.0/MQTT-3.3.2-5", "5.0/MQTT-3.3.2-6"],
            Invariant::Retained => {
                &["3.1.1/MQTT-3.3.1-6", "5.0/MQTT-3.3.1-9", "5.0/MQTT-3.3.1-10", "5.0/MQTT-3.3.1-11"]
            }
            Invariant::TopicAlias => &["5.0/MQTT-3.3.2-8", "5.0/MQTT-3.3.2-12"],
            Invariant::Answers => &["3.1.1/MQTT-3.8.4-1", "5.0/MQTT-3.8.4-1", "5.0/MQTT-4.6.0-2", "5.0/MQTT-4.6.0-3"],
            Invariant::StaysOpen => &["5.0/MQTT-4.13.2-1"],
            Invariant::ClosesOnViolation => {
                &["3.1.1/MQTT-3.1.0-2", "3.1.1/MQTT-4.8.0-1", "5.0/MQTT-3.1.0-2", "5.0/MQTT-4.13.1-1"]
            }
            Invariant::Serves => &["3.1.1/MQTT-3.8.4-5", "5.0/MQTT-3.8.4-7"],
            Invariant::Admits => &[
                "3.1.1/MQTT-3.1.2-2",
                "3.1.1/MQTT-3.1.3-8",
                "3.1.1/MQTT-3.1.4-1",
                "5.0/MQTT-3.1.4-1",
                "5.0/MQTT-3.1.4-2",
                "5.0/MQTT-3.2.2-12",
                "5.0/MQTT-3.2.2-13",
            ],
            Invariant::AsOffered => &["3.1.1/MQTT-3.8.3-2", "5.0/MQTT-3.2.2-9"],
            Invariant::Durable => &["3.1.1/MQTT-4.1.0-1", "5.0/MQTT-4.1.0-1"],
            Invariant::Progress => &["3.1.1/MQTT-4.4.0-1", "5.0/MQTT-4.4.0-1"],
            Invariant::Handed => &["3.1.1/MQTT-4.3.3-2", "5.0/MQTT-4.3.3-2"],
            Invariant::Baseline => &["5.0/MQTT-4.1.0-2"],
            Invariant::ComesThrough => &["3.1.1/MQTT-3.1.4-4", "5.0/MQTT-3.1.4-5"],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Invariant::PacketIdInUse => "packet identifier in use",
            Invariant::DupOnRepeats => "DUP on repeats alone",
            Invariant::ReceiveMaximum => "Receive Maximum",
            Invariant::PacketSize => "packet size",
            Invariant::AtMostOnce => "at most once",
            Invariant::AtLeastOnce => "at least once",
            Invariant::ExactlyOnce => "exactly once",
            Invariant::Order => "order",
            Invariant::NothingInvented => "nothing invented",
            Invariant::Subscribed => "subscribed",
            Invariant::AsSubscribed => "as subscribed",
            Invariant::AsPublished => "as published",
            Invariant::SharedOnce => "shared once",
            Invariant::SessionPresent => "session present",
            Invariant::TakeOver => "take-over",
            Invariant::AssignedIdentifier => "assigned identifier",
            Invariant::Will => "will",
            Invariant::KeepAlive => "keep alive",
            Invariant::MessageExpiry => "message expiry",
            Invariant::Retained => "retained",
            Invariant::TopicAlias => "topic alias",
            Invariant::Answers => "answers",
            Invariant::StaysOpen => "stays open",
            Invariant::ClosesOnViolation => "closes on violation",
            Invariant::Serves => "serves",
            Invariant::Admits => "admits",
            Invariant::AsOffered => "as offered",
            Invariant::Durable => "durable",
            Invariant::Progress => "progress",
            Invariant::Handed => "handed over",
            Invariant::Baseline => "baseline",
            Invariant::ComesThrough => "comes through",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An invariant that does not hold, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// When it showed.
    pub at: Duration,
    /// Where in the transcript.
    pub entry: EntryId,
    /// What is spoken there, if that is known.
    pub version: Option<Version>,
    /// What was seen, in one sentence.
    pub detail: String,
    /// What it is about, where that has another place in the transcript.
    pub about: Option<Box<About>>,
}

/// What a breach is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A message that never came, or of which only the end has shown that it is not done; with its topic in full.
    Message(Publish),
    /// A packet that passes the server's edge: its client has sent it before, or gets it later.
    Passing {
        /// Which of the actors.
        actor: usize,
        /// Where it goes.
        direction: Direction,
        /// The packet.
        packet: Packet,
    },
    /// A connection that must not be as it is: what its client has sent there last before a moment shows why.
    Connection {
        /// Which of the actors.
        actor: usize,
        /// Which of its connections, from 1.
        number: usize,
        /// The moment at the server's edge.
        since: Duration,
    },
    /// A client that waits for something, as only the end has shown.
    Waiting {
        /// Which of the actors.
        actor: usize,
        /// For which answer; `None`: for one that is not known.
        answer: Option<(PacketKind, Option<PacketId>)>,
    },
}

impl Breach {
    fn new(invariant: Invariant, event: &Event, detail: String) -> Self {
        let detail = format!("{}: {detail}", event.connection);
        Breach { invariant, at: event.at, entry: event.entry, version: None, detail, about: None }
    }

    /// The statements that it stands for: of the version that is spoken there, or of all.
    pub fn statements(&self) -> Vec<&'static str> {
        let all = self.invariant.statements();
        let spoken = match self.version {
            None => return all.to_vec(),
            // What 3.1 says has no numbers.
            Some(Version::V3_1 | Version::V3_1_1) => "3.1.1/",
            Some(Version::V5_0) => "5.0/",
        };
        all.iter().copied().filter(|statement| statement.starts_with(spoken)).collect()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Breach { invariant, at, detail, .. } = self;
        write!(f, "{:.6} s: {invariant}: {detail}", at.as_secs_f64())?;
        match self.statements().as_slice() {
            [] => Ok(()),
            statements => write!(f, " ({})", statements.join(", ")),
        }
    }
}

/// What the server has done wrong: it holds at every moment, whatever is lost and whoever goes away.
pub fn of_the_server(history: &History) -> Vec<Breach> {
    let mut walked = walk(history);
    let mut breaches = std::mem::take(&mut walked.by_server);
    breaches.extend(delivery::excess(history, &walked));
    breaches.sort_by_key(|breach| breach.entry);
    breaches
}

/// What these actors have done wrong as clients. Raw peers do much of that on purpose; whole clients must not.
pub fn of_clients(history: &History, actors: &[&str]) -> Vec<Breach> {
    let mut breaches = walk(history).by_clients;
    breaches.retain(|breach| {
        let event = history.events.iter().find(|event| event.entry == breach.entry);
        event.is_some_and(|event| actors.contains(&&*event.connection.actor))
    });
    breaches
}

/// What was owed and has not arrived, at the end of a history that has come to rest: nothing is under way, no bound was reached
/// and nothing was forbidden. A subscriber who is not there at the end is owed nothing.
pub fn outstanding(history: &History) -> Vec<Breach> {
    delivery::outstanding(history, &walk(history))
}

/// Messages above QoS 0 that these actors published and that were never answered to the end, in a history that has come to rest. Whole
/// clients repeat what was not answered, on each new connection; one who is not there at the end has no time to.
pub fn unfinished(history: &History, actors: &[&str]) -> Vec<Breach> {
    let mut breaches = unfinished::unfinished(history, actors);
    breaches.sort_by_key(|breach| breach.entry);
    breaches
}

/// Those of these actors, who all connect again by themselves, who are not connected at the end of a history that has come to rest:
/// neither did they want to go, nor did the server send them away.
pub fn absent(history: &History, actors: &[&str]) -> Vec<Breach> {
    presence::absent(history, actors)
}
