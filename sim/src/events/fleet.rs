//! Many clients who do the same: what the world costs as it grows. Nobody judges, and nothing is written down.

use std::time::Duration;

use squall_broker::core::config::Config;
use squall_client::{
    core::effect::{Input, Outcome, Token},
    options::Options,
};
use squall_codec::{
    packet::{Publish, Subscription},
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};
use squall_scenarios::transcript::Transcript;

use super::network::{Network, Setup};
use crate::{run::DEFAULT_LATENCY, subject::Subject};

/// Clients in a ring, connected to one broker: each is subscribed to a topic of its own, and writes to that of the next one.
pub struct Fleet {
    network: Network,
    topics: Vec<TopicName>,
    /// What each has asked for last.
    asked: Vec<Option<Token>>,
    /// Who is the next to publish.
    next: usize,
    published: u64,
}

/// What has happened in a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct While {
    /// Happenings, of whatever kind.
    pub events: u64,
    /// Messages that clients have sent.
    pub published: u64,
    /// Messages that clients have been handed.
    pub handed: u64,
}

/// More happenings than this at one moment are a run that goes in circles.
const EVENT_LIMIT: u64 = u64::MAX;

/// Each client's, so that some are silent for long enough to ask whether the server is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

fn text(text: String) -> Text {
    Text::new(text).expect("digits and letters")
}

impl Fleet {
    /// All of them connected and subscribed.
    ///
    /// # Panics
    /// If one of them was not let in.
    pub fn connected(clients: usize, seed: u64) -> Self {
        let network = Network::new(Setup {
            seed,
            subject: Subject::new(Config::default()),
            latency: DEFAULT_LATENCY,
            liar: None,
            transcript: Transcript::new(),
            witness: None,
            is_quiet: true,
            has_applications: false,
        });
        let topic = |of: usize| TopicName::new(text(format!("fleet/{of}"))).expect("a topic");
        let topics = (0..clients).map(topic).collect();
        let mut fleet = Fleet { network, topics, asked: vec![None; clients], next: 0, published: 0 };
        for who in 0..clients {
            let options = Options {
                clean_start: true,
                keep_alive: KEEP_ALIVE,
                ..Options::new(Version::V5_0, text(format!("client{who}")))
            };
            let name = format!("client{who}");
            fleet.network.add_client(&name.as_str().into(), options);
        }
        fleet.run(Duration::from_secs(1));
        for who in 0..clients {
            let filter = TopicFilter::new(text(format!("fleet/{who}"))).expect("a filter");
            let subscriptions = vec![Subscription::new(filter, qos(who))];
            let properties = Properties::new();
            fleet.ask(who, |token| Input::Subscribe { token, subscriptions, properties });
        }
        fleet.run(Duration::from_secs(1));
        assert!((0..clients).all(|who| fleet.network.is_connected(who)), "all have been let in");
        fleet
    }

    /// Each of them says one message a second, one after the other.
    pub fn talk(&mut self, lasts: Duration) -> While {
        let before = self.so_far();
        let end = self.network.now + lasts;
        let clients = self.topics.len();
        let pause = Duration::from_secs(1) / u32::try_from(clients).unwrap_or(u32::MAX);
        let mut due = self.network.now;
        while due < end {
            self.run_until(due);
            let who = self.next;
            self.next = (who + 1) % clients;
            let message = Publish::new(&self.topics[self.next], b"twenty bytes of words").at(qos(who), None);
            self.ask(who, |token| Input::Publish { token, message });
            self.published += 1;
            due += pause;
        }
        self.run_until(end);
        self.so_far() - before
    }

    /// Nobody says anything.
    pub fn run(&mut self, lasts: Duration) -> While {
        let before = self.so_far();
        self.run_until(self.network.now + lasts);
        self.so_far() - before
    }

    fn run_until(&mut self, end: Duration) {
        self.network.settle(EVENT_LIMIT);
        while let Some(due) = self.network.next().filter(|due| *due <= end) {
            self.network.now = due.max(self.network.now);
            self.network.settle(EVENT_LIMIT);
        }
        self.network.now = end;
    }

    /// Nobody asks for a second thing before the first has come to its end.
    fn ask(&mut self, who: usize, input: impl FnOnce(Token) -> Input) {
        if let Some(asked) = self.asked[who].take() {
            let outcome = self.network.take_outcome(who, asked);
            let is_well = match &outcome {
                Some(Outcome::Published { reason, .. }) => !reason.is_failure(),
                Some(Outcome::Subscribed { reasons }) => !reasons.iter().any(|reason| ReasonCode::is_failure(*reason)),
                _ => false,
            };
            assert!(is_well, "client {who} has asked for something that ended as {outcome:?}");
        }
        self.asked[who] = Some(self.network.operate(who, input));
    }

    fn so_far(&self) -> While {
        While { events: self.network.events, published: self.published, handed: self.network.handed }
    }
}

/// One of three speaks with each QoS.
fn qos(who: usize) -> Qos {
    [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce][who % 3]
}

impl std::ops::Sub for While {
    type Output = While;

    fn sub(self, earlier: While) -> While {
        While {
            events: self.events - earlier.events,
            published: self.published - earlier.published,
            handed: self.handed - earlier.handed,
        }
    }
}
