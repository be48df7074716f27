//! A client whose every effect is looked at.

use std::{collections::VecDeque, time::Duration};

use squall_client::{
    core::{
        authentication::Question,
        client::Client,
        effect::{Delivery, DisconnectCause, Effect, Event, Failure, Input, Outcome, Token},
        record::Record,
    },
    options::Options,
};
use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    time::Now,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};

pub(crate) struct TestClient {
    pub(crate) client: Client,
    now: Duration,
    effects: VecDeque<Effect>,
    next_token: u64,
    /// Every delivery that can be acknowledged, with its packet identifier.
    deliveries: Vec<(PacketId, Delivery)>,
}

pub(crate) fn options(version: Version) -> Options {
    Options::new(version, Text::literal("alice"))
}

/// A 5.0 client whose session lasts for an hour.
pub(crate) fn lasting() -> Options {
    Options { clean_start: false, session_expiry_seconds: Some(3600), ..options(Version::V5_0) }
}

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("a test's packet identifier is not 0")
}

pub(crate) fn message(qos: Qos, payload: &str) -> Publish {
    Publish::new(&TopicName::literal("t"), payload).at(qos, None)
}

pub(crate) fn publish(qos: Qos, packet_id: u16, payload: &str) -> Packet {
    Packet::Publish(message(qos, payload).at(qos, PacketId::new(packet_id)))
}

pub(crate) fn dup(packet: Packet) -> Packet {
    let Packet::Publish(mut publish) = packet else { panic!("{packet} has no DUP") };
    publish.dup = true;
    Packet::Publish(publish)
}

pub(crate) fn puback(packet_id: u16) -> Packet {
    Packet::Puback(Ack::new(id(packet_id)))
}

pub(crate) fn pubrec(packet_id: u16) -> Packet {
    Packet::Pubrec(Ack::new(id(packet_id)))
}

pub(crate) fn pubrel(packet_id: u16) -> Packet {
    Packet::Pubrel(Ack::new(id(packet_id)))
}

pub(crate) fn pubcomp(packet_id: u16) -> Packet {
    Packet::Pubcomp(Ack::new(id(packet_id)))
}

pub(crate) fn disconnect(reason: ReasonCode) -> Packet {
    Packet::Disconnect(Disconnect::new(reason))
}

pub(crate) fn success() -> Connack {
    Connack::new(ReasonCode::Success)
}

pub(crate) fn offering(properties: impl IntoIterator<Item = Property>) -> Connack {
    Connack { properties: properties.into_iter().collect(), ..success() }
}

pub(crate) fn resumed(properties: impl IntoIterator<Item = Property>) -> Connack {
    Connack { session_present: true, ..offering(properties) }
}

pub(crate) fn published() -> Outcome {
    Outcome::Published { reason: ReasonCode::Success, properties: Properties::new() }
}

pub(crate) fn by_server(reason: ReasonCode) -> DisconnectCause {
    DisconnectCause::Server { reason, explanation: None, server_reference: None }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl TestClient {
    pub(crate) fn new(options: Options) -> Self {
        TestClient::with(Client::new(options, 1))
    }

    pub(crate) fn with(client: Client) -> Self {
        TestClient { client, now: Duration::ZERO, effects: VecDeque::new(), next_token: 0, deliveries: Vec::new() }
    }

    /// Connected, and nothing left to look at.
    pub(crate) fn connected(options: Options) -> Self {
        TestClient::connected_to(options, success())
    }

    pub(crate) fn connected_to(options: Options, connack: Connack) -> Self {
        let mut client = TestClient::new(options);
        client.input(Input::Connect);
        client.connect_again(connack);
        client
    }

    /// From `Effect::Open` to `Event::Connected`.
    #[track_caller]
    pub(crate) fn connect_again(&mut self, connack: Connack) -> Connect {
        self.expect_open();
        self.shake_hands(connack)
    }

    /// From `Input::Opened` to `Event::Connected`.
    #[track_caller]
    pub(crate) fn shake_hands(&mut self, connack: Connack) -> Connect {
        self.input(Input::Opened);
        let connect = self.expect_connect();
        self.server(Packet::Connack(Box::new(connack.clone())));
        match self.next() {
            Some(Effect::Event(Event::Connected { connack: seen, .. })) => assert_eq!(seen, connack),
            other => panic!("expected Event::Connected, saw {other:?}"),
        }
        connect
    }

    /// The network ends the connection, and the client has been waiting long enough to try again.
    #[track_caller]
    pub(crate) fn lose_and_wait(&mut self) {
        self.input(Input::Lost { reason: "reset".to_owned() });
        self.expect_disconnected(DisconnectCause::Network("reset".to_owned()), true);
        self.advance(seconds(1));
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.effects.extend(self.client.handle(Now::simulated(self.now), input));
    }

    pub(crate) fn server(&mut self, packet: Packet) {
        self.input(Input::Packet { packet });
    }

    /// The application acknowledges the last message that came with this packet identifier.
    #[track_caller]
    pub(crate) fn acknowledge(&mut self, packet_id: u16) {
        let last = self.deliveries.iter().rposition(|(known, _)| *known == id(packet_id));
        self.acknowledge_nth(last.expect("a message with this identifier was delivered"));
    }

    /// The application will not have the last message that came with this packet identifier.
    #[track_caller]
    pub(crate) fn refuse(&mut self, packet_id: u16, reason: ReasonCode) {
        let last = self.deliveries.iter().rposition(|(known, _)| *known == id(packet_id));
        let (_, delivery) = self.deliveries[last.expect("a message with this identifier was delivered")];
        self.input(Input::Acknowledge { delivery, reason });
    }

    /// The application acknowledges the message that was delivered in this place.
    pub(crate) fn acknowledge_nth(&mut self, nth: usize) {
        let (_, delivery) = self.deliveries[nth];
        self.input(Input::Acknowledge { delivery, reason: ReasonCode::Success });
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(crate) fn publish(&mut self, message: Publish) -> Token {
        let token = self.token();
        self.input(Input::Publish { token, message });
        token
    }

    /// Lets time pass; ticks whenever the core asked for it.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    /// Lets time pass until the client wants another connection, whatever it says before.
    pub(crate) fn wait_for_open(&mut self) {
        while !matches!(self.next(), Some(Effect::Open { .. })) {
            if self.effects.is_empty() {
                self.advance(Duration::from_millis(100));
            }
        }
    }

    /// CONNECT is sent and the connection lost before anything answers, from `Input::Opened` to the next `Effect::Open`.
    #[track_caller]
    pub(crate) fn connect_in_vain(&mut self) -> Connect {
        self.input(Input::Opened);
        let connect = self.expect_connect();
        self.input(Input::Lost { reason: "reset".to_owned() });
        self.wait_for_open();
        connect
    }

    pub(crate) fn next(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    #[track_caller]
    pub(crate) fn expect_nothing(&self) {
        assert!(self.effects.is_empty(), "unexpected: {:?}", self.effects);
    }

    #[track_caller]
    pub(crate) fn expect_open(&mut self) {
        let next = self.next();
        assert!(matches!(next, Some(Effect::Open { server: None })), "expected Open, saw {next:?}");
    }

    /// `Effect::Open` to a server that another one named.
    #[track_caller]
    pub(crate) fn expect_open_to(&mut self, host: &str, port: Option<u16>) {
        match self.next() {
            Some(Effect::Open { server: Some(server) }) => {
                assert_eq!((server.host.as_str(), server.port), (host, port));
            }
            other => panic!("expected Open to {host}, saw {other:?}"),
        }
    }

    /// What an authentication method is asked.
    #[track_caller]
    pub(crate) fn expect_question(&mut self) -> Question {
        match self.next() {
            Some(Effect::Authenticate(question)) => question,
            other => panic!("expected Authenticate, saw {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_close(&mut self) {
        let next = self.next();
        assert!(matches!(next, Some(Effect::Close)), "expected Close, saw {next:?}");
    }

    #[track_caller]
    pub(crate) fn expect_sent(&mut self) -> Packet {
        match self.next() {
            Some(Effect::Send { version, packet }) => {
                assert_eq!(version, self.client.options().version);
                packet
            }
            other => panic!("expected Send, saw {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_send(&mut self, expected: Packet) {
        assert_eq!(self.expect_sent(), expected);
    }

    #[track_caller]
    pub(crate) fn expect_connect(&mut self) -> Connect {
        match self.expect_sent() {
            Packet::Connect(connect) => connect,
            other => panic!("expected CONNECT, saw {other}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_message(&mut self, payload: &str) -> Publish {
        match self.next() {
            Some(Effect::Message { message, delivery }) => {
                assert_eq!(message.payload(), payload.as_bytes());
                self.deliveries.extend(message.packet_id.zip(delivery));
                message
            }
            other => panic!("expected Message, saw {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_done(&mut self, expected: Token, expected_outcome: Outcome) {
        match self.next() {
            Some(Effect::Done { token, outcome }) => assert_eq!((token, outcome), (expected, expected_outcome)),
            other => panic!("expected Done, saw {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_failed(&mut self, token: Token, failure: Failure) {
        self.expect_done(token, Outcome::Failed(failure));
    }

    #[track_caller]
    pub(crate) fn expect_event(&mut self, expected: Event) {
        match self.next() {
            Some(Effect::Event(event)) => assert_eq!(event, expected),
            other => panic!("expected {expected:?}, saw {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn expect_disconnected(&mut self, cause: DisconnectCause, reconnecting: bool) {
        self.expect_event(Event::Disconnected { cause, reconnecting });
    }

    #[track_caller]
    pub(crate) fn expect_keep(&mut self, expected: Record) {
        match self.next() {
            Some(Effect::Keep(record)) => assert_eq!(record, expected),
            other => panic!("expected {expected:?}, saw {other:?}"),
        }
    }

    /// The client says DISCONNECT where the version can, closes, and blames the server.
    #[track_caller]
    pub(crate) fn expect_violation(&mut self, reason: ReasonCode) {
        if self.client.options().version.has_properties() {
            self.expect_send(disconnect(reason));
        }
        self.expect_close();
        match self.next() {
            Some(Effect::Event(Event::Disconnected { cause: DisconnectCause::Violation(_), .. })) => {}
            other => panic!("expected Disconnected by a violation, saw {other:?}"),
        }
        self.expect_nothing();
    }
}
