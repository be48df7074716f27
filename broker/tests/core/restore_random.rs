//! Any sequence of inputs, and then the server dies: what clients find afterwards is what they would have found if only
//! their connections had ended.

use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;
use squall_broker::core::{
    HashKey,
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, ConnectionId, Effect, Input, PeerInfo, Record},
};
use squall_codec::{
    packet::{Packet, Subscribe, Subscription},
    time::Now,
};

use crate::{
    random::{CONNECTIONS, Step, input, step},
    support::{QOS_0, QOS_1, clean, durable, filter, id, publish_at},
};

const KEY: HashKey = HashKey([3, 4]);

/// A broker whose store, authenticator and sockets are prompt.
struct Prompt {
    broker: Broker,
    now: Now,
    records: Vec<Record>,
    sent: Vec<(ConnectionId, Packet)>,
    closed: Vec<ConnectionId>,
}

impl Prompt {
    fn tell(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let effects: Vec<Effect> = self.broker.handle(self.now, input).collect();
            for effect in effects {
                match effect {
                    Effect::Send { connection, version, packet } => {
                        let bytes = packet.encoded_len(version);
                        self.sent.push((connection, packet));
                        inputs.push_back(Input::Flushed { connection, bytes });
                    }
                    Effect::Close { connection, .. } => self.closed.push(connection),
                    Effect::Authenticate { connection, .. } => {
                        let outcome = AuthenticationOutcome::Allowed { user: None, data: None };
                        inputs.push_back(Input::Authenticated { connection, outcome });
                    }
                    Effect::Continue { .. } => unreachable!("nobody here authenticates in steps"),
                    // A driver may go on reading.
                    Effect::Pause { .. } | Effect::Resume { .. } => {}
                    Effect::Persist { seq, record } => {
                        self.records.push(record);
                        inputs.push_back(Input::Persisted { up_to: seq });
                    }
                }
            }
        }
    }

    /// A client comes; what it is sent at once.
    fn packets(&mut self, connection: ConnectionId, packets: Vec<Packet>) -> Vec<String> {
        self.sent.clear();
        self.tell(Input::Opened { connection, peer: PeerInfo::default() });
        for packet in packets {
            self.tell(Input::Packet { connection, packet });
        }
        self.sent.drain(..).map(|(to, packet)| format!("{} {}", to.0, plain(packet))).collect()
    }
}

/// Identifiers of messages that are sent for the first time are the server's choice.
fn plain(packet: Packet) -> String {
    match packet {
        Packet::Publish(mut publish) if !publish.dup => {
            publish.packet_id = None;
            format!("{publish:?} {:?} {:?}", publish.topic(), publish.payload())
        }
        packet => format!("{packet:?}"),
    }
}

/// Plays the steps, without wills (which are published in another order) and without shares (whose turn is not kept).
fn play(steps: &[Step]) -> Prompt {
    let mut prompt = Prompt {
        broker: Broker::new(Now::default(), Config::default(), KEY),
        now: Now::default(),
        records: Vec::new(),
        sent: Vec::new(),
        closed: Vec::new(),
    };
    let mut open = std::collections::BTreeSet::new();
    for step in steps {
        let mut step = step.clone();
        match &mut step {
            Step::Connect { will, .. } => *will = false,
            Step::Subscribe { filter, .. } | Step::Unsubscribe { filter, .. } => *filter %= 4,
            Step::Wait(millis) => {
                let now = prompt.now.monotonic + Duration::from_millis((*millis).into());
                prompt.now = Now::simulated(now);
            }
            Step::Persisted(_) | Step::PersistFailed(_) | Step::Flushed { .. } | Step::Authenticated { .. } => continue,
            Step::Open(on) if !open.insert(*on) => continue,
            Step::Closed(on) => drop(open.remove(on)),
            _ => {}
        }
        prompt.tell(input(&step).unwrap_or(Input::Tick));
        for closed in prompt.closed.drain(..) {
            open.remove(&closed.0);
        }
    }
    prompt
}

/// What clients find: their sessions, what is sent again and what waited, subscriptions, retained messages.
fn look(prompt: &mut Prompt) -> Vec<String> {
    let version = squall_codec::version::Version::V5_0;
    let mut seen = Vec::new();
    for (connection, client_id) in [(101, "a"), (102, "b")] {
        let connect = Packet::Connect(durable(version, client_id));
        seen.extend(prompt.packets(ConnectionId(connection), vec![connect]));
    }
    let connect = || Packet::Connect(clean(version, "looks around"));
    let all = |text| Packet::Subscribe(Subscribe::new(id(1), vec![Subscription::new(filter(text), QOS_0)]));
    seen.extend(prompt.packets(ConnectionId(103), vec![connect(), all("#"), all("$x/#")]));
    let mut probes = vec![connect()];
    for (packet_id, topic) in (1..).zip(["a", "a/b", "a/b/c", "$x/a", "z"]) {
        probes.push(Packet::Publish(publish_at(QOS_1, packet_id, topic, "probe")));
    }
    seen.extend(prompt.packets(ConnectionId(104), probes));
    // Repeats of QoS 2 messages that the sessions have open.
    for (connection, packet_id) in [(101, 1), (101, 2), (102, 3), (102, 4)] {
        let repeat = Packet::Publish(publish_at(crate::support::QOS_2, packet_id, "z", "again"));
        prompt.sent.clear();
        prompt.tell(Input::Packet { connection: ConnectionId(connection), packet: repeat });
        seen.extend(prompt.sent.drain(..).map(|(_, packet)| plain(packet)));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_crash_is_no_more_than_the_end_of_all_connections(
        steps in proptest::collection::vec(step(), 0..120)
    ) {
        let mut lived = play(&steps);
        let records = lived.records.clone();
        let now = Now { monotonic: Duration::ZERO, unix: lived.now.unix };
        let broker = Broker::restore(now, Config::default(), KEY, records).expect("records that agree");
        let mut restored = Prompt { broker, now, records: Vec::new(), sent: Vec::new(), closed: Vec::new() };
        restored.tell(Input::Tick);
        lived.tell(Input::Tick);
        for on in 1..=CONNECTIONS {
            lived.tell(Input::Closed { connection: ConnectionId(on) });
        }
        // And once more: what the second life wrote belongs to the first.
        let records = lived.records.clone();
        let state = lived.broker.state();
        prop_assert_eq!(&restored.broker.state(), &state);
        prop_assert_eq!(look(&mut lived), look(&mut restored));
        let broker = Broker::restore(now, Config::default(), KEY, records).expect("records that agree");
        prop_assert_eq!(&broker.state(), &state);
        // What is told of a state is enough to bring it back.
        let told = Broker::restore(now, Config::default(), KEY, state.clone()).expect("records that agree");
        prop_assert_eq!(told.state(), state);
    }
}
