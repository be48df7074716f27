//! A broker whose clients are function calls and whose time moves when it is told to.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_broker::core::{
    HashKey,
    access::{Answer, Authenticator},
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, CloseCause, ConnectionId, Effect, Input, PeerInfo, Record},
    statistics::Statistics,
};
use squall_codec::{
    packet::{
        Ack, Connack, Connect, Disconnect, Packet, PacketKind, Publish, Subscribe, Subscription, Unsubscribe, Will,
    },
    property::{Properties, Property},
    qos::Qos,
    reason::{ReasonCode, Side},
    time::Now,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

const KEY: HashKey = HashKey([7, 11]);

/// How the driver around the core behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// At once.
    Prompt,
    /// Only when the test says so.
    Late,
}

#[derive(Default)]
struct Client {
    version: Option<Version>,
    received: VecDeque<Packet>,
    closed: Option<CloseCause>,
}

/// The core with a driver that carries its effects out as a test wants them.
pub(crate) struct TestBroker {
    broker: Broker,
    config: Config,
    now: Duration,
    /// What the wall clock said when this broker started.
    unix_start: Duration,
    clients: BTreeMap<ConnectionId, Client>,
    pub(crate) flushes: Habit,
    pub(crate) stores: Habit,
    pub(crate) authenticates: Habit,
    /// Who answers, where it is not enough that everybody is whom they say they are.
    pub(crate) authenticator: Option<Box<dyn Authenticator>>,
    /// Those from which nothing is read for the time being.
    pub(crate) held_back: BTreeSet<ConnectionId>,
    /// Every record, in order.
    pub(crate) records: Vec<(u64, Record)>,
    /// Those that the store has from the lives before this one.
    earlier: Vec<Record>,
}

/// A broker with a late store, a kept session `bob` that subscribes to `t`, and a clean one, `alice`.
pub(crate) fn late() -> (TestBroker, ConnectionId, ConnectionId) {
    let mut broker = TestBroker::new();
    let bob = broker.join(durable(V5, "bob"));
    broker.subscribed(bob, "t", QOS_2);
    let alice = broker.join(clean(V5, "alice"));
    broker.stores = Habit::Late;
    (broker, alice, bob)
}

impl TestBroker {
    pub(crate) fn new() -> Self {
        TestBroker::with(|_| {})
    }

    /// With a configuration other than the default.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        TestBroker {
            broker: Broker::new(Now::default(), config.clone(), KEY),
            config,
            now: Duration::ZERO,
            unix_start: Duration::ZERO,
            clients: BTreeMap::new(),
            flushes: Habit::Prompt,
            stores: Habit::Prompt,
            authenticates: Habit::Prompt,
            authenticator: None,
            held_back: BTreeSet::new(),
            records: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// The server dies, and starts again so much later with all the records that it handed out.
    pub(crate) fn restart(self, later: Duration) -> TestBroker {
        let count = self.records.len();
        self.restart_with(count, later)
    }

    /// The server dies, and starts again so much later with the first `count` records of this life.
    pub(crate) fn restart_with(mut self, count: usize, later: Duration) -> TestBroker {
        self.earlier.extend(self.records.drain(..count).map(|(_, record)| record));
        let unix_start = self.unix_start + self.now + later;
        let now = Now { monotonic: Duration::ZERO, unix: unix_start };
        let records = self.earlier.iter().cloned();
        let broker = Broker::restore(now, self.config.clone(), KEY, records).expect("records that agree");
        let mut restarted = TestBroker {
            broker,
            unix_start,
            earlier: self.earlier,
            ..TestBroker::with(|config| *config = self.config)
        };
        restarted.advance(Duration::ZERO);
        restarted
    }

    /// A new Network Connection.
    pub(crate) fn open(&mut self) -> ConnectionId {
        self.open_as(PeerInfo::default())
    }

    /// A new Network Connection of which the driver knows something.
    pub(crate) fn open_as(&mut self, peer: PeerInfo) -> ConnectionId {
        let connection = ConnectionId(self.clients.len() as u64 + 1);
        self.clients.insert(connection, Client::default());
        self.input(Input::Opened { connection, peer });
        connection
    }

    /// A new Network Connection whose CONNECT is accepted.
    pub(crate) fn join(&mut self, connect: Connect) -> ConnectionId {
        self.join_as(connect).0
    }

    /// As `join`, with the CONNACK.
    pub(crate) fn join_as(&mut self, connect: Connect) -> (ConnectionId, Connack) {
        let connection = self.open();
        let connack = self.connect(connection, connect);
        assert_eq!(connack.reason, ReasonCode::Success);
        (connection, connack)
    }

    /// CONNECT on an open connection, and the CONNACK, whatever it says.
    pub(crate) fn connect(&mut self, connection: ConnectionId, connect: Connect) -> Connack {
        self.recv(connection, Packet::Connect(connect));
        match self.next(connection) {
            Packet::Connack(connack) => *connack,
            other => panic!("expected CONNACK, got {other:?}"),
        }
    }

    /// The broker receives a packet. It passes the wire, so only what a client can say is said.
    pub(crate) fn recv(&mut self, connection: ConnectionId, packet: impl Into<Sent>) {
        let Sent(packet) = packet.into();
        let client = self.clients.get_mut(&connection).expect("an open connection");
        if let Packet::Connect(connect) = &packet {
            client.version.get_or_insert(connect.version());
        }
        let version = client.version.unwrap_or(Version::V5_0);
        let packet = through_the_wire(version, Side::Client, &packet);
        self.input(Input::Packet { connection, packet });
    }

    /// The broker receives bytes through a decoder of its own.
    pub(crate) fn recv_bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let version = self.clients[&connection].version;
        let mut decoder = squall_codec::stream::Decoder::new(Side::Client, version, 1 << 20);
        decoder.extend(bytes);
        loop {
            match decoder.next_packet() {
                Ok(None) => return,
                Ok(Some(packet)) => self.input(Input::Packet { connection, packet }),
                Err(error) => {
                    let version = decoder.version();
                    return self.input(Input::Malformed { connection, version, error });
                }
            }
        }
    }

    /// The Network Connection breaks.
    pub(crate) fn drop_connection(&mut self, connection: ConnectionId) {
        self.input(Input::Closed { connection });
    }

    /// The next packet that the client gets.
    #[track_caller]
    pub(crate) fn next(&mut self, connection: ConnectionId) -> Packet {
        let client = self.clients.get_mut(&connection).expect("a known connection");
        match client.received.pop_front() {
            Some(packet) => packet,
            None => panic!("the client got nothing; closed: {:?}", client.closed),
        }
    }

    /// The next packet that the client has got, if any.
    pub(crate) fn try_next(&mut self, connection: ConnectionId) -> Option<Packet> {
        self.clients.get_mut(&connection)?.received.pop_front()
    }

    /// The next packet that the client gets is this.
    #[track_caller]
    pub(crate) fn expect(&mut self, connection: ConnectionId, packet: impl Into<Sent>) {
        let Sent(expected) = packet.into();
        assert_eq!(self.next(connection), expected);
    }

    /// The next packet that the client gets is a PUBLISH.
    #[track_caller]
    pub(crate) fn next_publish(&mut self, connection: ConnectionId) -> Publish {
        match self.next(connection) {
            Packet::Publish(publish) => publish,
            other => panic!("expected PUBLISH, got {other:?}"),
        }
    }

    /// The next packet that the client gets acknowledges with this reason.
    #[track_caller]
    pub(crate) fn acknowledged(
        &mut self,
        connection: ConnectionId,
        kind: PacketKind,
        packet_id: u16,
        reason: ReasonCode,
    ) {
        let packet = self.next(connection);
        assert_eq!(packet.kind(), kind);
        match packet {
            Packet::Puback(ack) | Packet::Pubrec(ack) => {
                assert_eq!((ack.packet_id, ack.reason), (id(packet_id), reason))
            }
            other => panic!("expected PUBACK or PUBREC, got {other:?}"),
        }
    }

    /// The payloads of all that waits for the client; there is nothing but PUBLISH.
    #[track_caller]
    pub(crate) fn payloads(&mut self, connection: ConnectionId) -> Vec<String> {
        let count = self.clients[&connection].received.len();
        (0..count).map(|_| text(&self.next_publish(connection))).collect()
    }

    /// The payloads of the messages among what waits for the client, and the one other packet.
    #[track_caller]
    pub(crate) fn payloads_before(&mut self, connection: ConnectionId, other: Packet) -> Vec<String> {
        let (publishes, others): (Vec<_>, Vec<_>) =
            self.received(connection).into_iter().partition(|packet| matches!(packet, Packet::Publish(_)));
        assert_eq!(others, [other]);
        publishes
            .iter()
            .filter_map(|packet| if let Packet::Publish(publish) = packet { Some(text(publish)) } else { None })
            .collect()
    }

    /// All that waits for the client.
    pub(crate) fn received(&mut self, connection: ConnectionId) -> Vec<Packet> {
        self.clients.get_mut(&connection).expect("a known connection").received.drain(..).collect()
    }

    /// The client gets nothing more for now, and its connection is open.
    #[track_caller]
    pub(crate) fn quiet(&self, connection: ConnectionId) {
        let client = &self.clients[&connection];
        assert!(client.received.is_empty(), "unexpected: {:?}", client.received);
        assert_eq!(client.closed, None);
    }

    /// A client says DISCONNECT, and that its session ends with that.
    pub(crate) fn leave_for_good(&mut self, connection: ConnectionId) {
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        disconnect.properties = [Property::SessionExpiryInterval(0)].into_iter().collect();
        self.recv(connection, Packet::Disconnect(disconnect));
        self.closed(connection);
    }

    /// The client got a DISCONNECT with this reason as its last packet and the connection is closed.
    #[track_caller]
    pub(crate) fn disconnected(&mut self, connection: ConnectionId, reason: ReasonCode) -> CloseCause {
        match self.next(connection) {
            Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, reason),
            other => panic!("expected DISCONNECT, got {other:?}"),
        }
        self.closed(connection)
    }

    /// The connection was closed from the broker's side, and nothing is left to be read.
    #[track_caller]
    pub(crate) fn closed(&mut self, connection: ConnectionId) -> CloseCause {
        let client = &self.clients[&connection];
        assert!(client.received.is_empty(), "unexpected: {:?}", client.received);
        client.closed.clone().expect("the connection is still open")
    }

    /// Time passes; what falls due on the way happens at its own moment.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(deadline) = self.broker.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
            assert!(self.broker.deadline().is_none_or(|next| next > self.now), "the deadline stands still");
        }
        self.now = end;
    }

    /// The broker receives a filter and answers with these reasons.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, connection: ConnectionId, subscribe: Subscribe) -> Vec<ReasonCode> {
        self.recv(connection, Packet::Subscribe(subscribe));
        match self.next(connection) {
            Packet::Suback(suback) => suback.reasons,
            other => panic!("expected SUBACK, got {other:?}"),
        }
    }

    /// One filter, granted.
    #[track_caller]
    pub(crate) fn subscribed(&mut self, connection: ConnectionId, filter: &str, qos: Qos) {
        let reasons = self.subscribe(connection, subscribe(1, filter, qos));
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].value(), qos.bits());
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.broker.statistics()
    }

    pub(crate) fn unflushed(&self, connection: ConnectionId) -> Option<usize> {
        self.broker.bytes_unflushed(connection)
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.broker.deadline()
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Time passes and nobody says so: the driver is late.
    pub(crate) fn skip_to(&mut self, now: Duration) {
        self.now = now;
    }

    /// Any input, with its effects carried out.
    pub(crate) fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let effects: Vec<Effect> = {
                let now = Now { monotonic: self.now, unix: self.unix_start + self.now };
                self.broker.handle(now, input).collect()
            };
            for effect in effects {
                self.carry_out(effect, &mut inputs);
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Send { connection, version, packet } => {
                let client = self.clients.get_mut(&connection).expect("a known connection");
                assert_eq!(client.closed, None, "a packet after the end: {packet:?}");
                client.version = Some(version);
                let bytes = packet.encoded_len(version);
                client.received.push_back(through_the_wire(version, Side::Server, &packet));
                if self.flushes == Habit::Prompt {
                    inputs.push_back(Input::Flushed { connection, bytes });
                }
            }
            Effect::Close { connection, cause } => {
                let client = self.clients.get_mut(&connection).expect("a known connection");
                assert_eq!(client.closed.replace(cause), None, "closed twice");
            }
            Effect::Pause { connection } => assert!(self.held_back.insert(connection), "held back twice"),
            Effect::Resume { connection } => assert!(self.held_back.remove(&connection), "it was not held back"),
            Effect::Authenticate { connection, request } => {
                if self.authenticates == Habit::Prompt {
                    let answer = match &self.authenticator {
                        Some(authenticator) => authenticator.authenticate(request),
                        None => Answer::Now(AuthenticationOutcome::Allowed { user: request.username, data: None }),
                    };
                    inputs.push_back(answered(connection, answer));
                }
            }
            Effect::Continue { connection, exchange, data } => {
                if self.authenticates == Habit::Prompt {
                    inputs.push_back(answered(connection, exchange.next(data)));
                }
            }
            Effect::Persist { seq, record } => {
                let last = self.records.last().map_or(0, |(seq, _)| *seq);
                assert_eq!(seq, last + 1, "records are numbered one by one");
                self.records.push((seq, record));
                if self.stores == Habit::Prompt {
                    inputs.push_back(Input::Persisted { up_to: seq });
                }
            }
        }
    }
}

fn answered(connection: ConnectionId, answer: Answer) -> Input {
    match answer {
        Answer::Now(outcome) => Input::Authenticated { connection, outcome },
        Answer::Later(_) => unreachable!("nothing in these tests takes its time but when they say so"),
    }
}

/// Encodes and decodes: what was said is what is heard, and either side may say it.
#[track_caller]
fn through_the_wire(version: Version, sender: Side, packet: &Packet) -> Packet {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a packet that can be written");
    assert_eq!(out.len(), packet.encoded_len(version));
    Packet::decode(version, sender, out.freeze()).expect("a packet that may be sent")
}

/// A packet, from whatever it is made of.
pub(crate) struct Sent(Packet);

macro_rules! sent {
    ($($from:ty => $variant:ident;)*) => {
        $(impl From<$from> for Sent {
            fn from(content: $from) -> Sent {
                Sent(Packet::$variant(content))
            }
        })*
    };
}

sent! {
    Publish => Publish;
    Subscribe => Subscribe;
    Unsubscribe => Unsubscribe;
    Disconnect => Disconnect;
}

impl From<Packet> for Sent {
    fn from(packet: Packet) -> Sent {
        Sent(packet)
    }
}

pub(crate) const QOS_0: Qos = Qos::AtMostOnce;
pub(crate) const QOS_1: Qos = Qos::AtLeastOnce;
pub(crate) const QOS_2: Qos = Qos::ExactlyOnce;

pub(crate) const V3: Version = Version::V3_1_1;
pub(crate) const V5: Version = Version::V5_0;

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

/// A client whose session ends with its connection.
pub(crate) fn clean(version: Version, client_id: &str) -> Connect {
    Connect::new(version, Text::new(client_id).expect("a client identifier"))
}

/// As this user.
pub(crate) fn named(mut connect: Connect, user: &str) -> Connect {
    connect.set_username(Some(Text::new(user).expect("a user name")));
    connect
}

/// A client whose session is kept, and resumed.
pub(crate) fn durable(version: Version, client_id: &str) -> Connect {
    expiring(version, client_id, u32::MAX)
}

/// A client whose session is kept for so long, and resumed. Before 5.0 it is kept without end.
pub(crate) fn expiring(version: Version, client_id: &str, seconds: u32) -> Connect {
    let mut connect = clean(version, client_id);
    connect.clean_start = false;
    if version.has_properties() {
        connect.push_property(Property::SessionExpiryInterval(seconds));
    }
    connect
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::try_from(name).expect("a topic name")
}

pub(crate) fn will(name: &str, payload: &str) -> Will {
    Will {
        qos: QOS_0,
        retain: false,
        topic: topic(name),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        properties: Properties::new(),
    }
}

/// A QoS 0 message.
pub(crate) fn publish(name: &str, payload: &str) -> Publish {
    Publish::new(&topic(name), payload)
}

/// A message with QoS 1 or 2.
pub(crate) fn publish_at(qos: Qos, packet_id: u16, name: &str, payload: &str) -> Publish {
    publish(name, payload).at(qos, Some(id(packet_id)))
}

/// A message with RETAIN.
pub(crate) fn retained(name: &str, payload: &str) -> Publish {
    let mut publish = publish(name, payload);
    publish.retain = true;
    publish
}

pub(crate) fn text(publish: &Publish) -> String {
    String::from_utf8(publish.payload().to_vec()).expect("payloads of the tests are text")
}

pub(crate) fn filter(text: &str) -> TopicFilter {
    TopicFilter::try_from(text).expect("a topic filter")
}

pub(crate) fn subscribe(packet_id: u16, text: &str, qos: Qos) -> Subscribe {
    Subscribe::new(id(packet_id), vec![Subscription::new(filter(text), qos)])
}

pub(crate) fn unsubscribe(packet_id: u16, text: &str) -> Unsubscribe {
    Unsubscribe::new(id(packet_id), vec![filter(text)])
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

/// PUBACK that says that nobody subscribes, as 5.0 clients get it.
pub(crate) fn nobody(ack: impl Fn(Ack) -> Packet, packet_id: u16) -> Packet {
    ack(Ack::with_reason(id(packet_id), ReasonCode::NoMatchingSubscribers))
}
