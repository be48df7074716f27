//! The server: one input in, its effects out. The control flow stands here; the files beside it compute.

use std::{collections::VecDeque, time::Duration};

use squall_codec::{packet::Packet, reason::ReasonCode, time::Now, version::Version};

use super::{
    acl::Action,
    admission::Admission,
    closing::Violation,
    config::Config,
    connection::{Connection, Stage},
    effect::{CloseCause, ConnectionId, Effect, Input, PeerInfo},
    figures::Figures,
    hash::{HashKey, NumberMap},
    outbox::Persistence,
    pressure::Audience,
    publishing::Speaker,
    retained::Retained,
    session::{SessionKey, Sessions},
    statistics::Statistics,
    subscriptions::{Match, Subscriptions},
    timers::{Timer, Timers},
};

/// The server without I/O. Single-threaded; it never blocks, reads no clock and cannot fail.
///
/// ```
/// use squall_broker::core::{HashKey, broker::Broker, config::Config, effect::{ConnectionId, Input, PeerInfo}};
/// use squall_codec::time::Now;
///
/// let mut broker = Broker::new(Now::default(), Config::default(), HashKey([1, 2]));
/// let connection = ConnectionId(1);
/// let effects: Vec<_> = broker.handle(Now::default(), Input::Opened { connection, peer: PeerInfo::default() }).collect();
/// assert!(effects.is_empty());
/// assert!(broker.deadline().is_some(), "a CONNECT is awaited for so long");
/// ```
#[derive(Debug)]
pub struct Broker {
    pub(super) now: Now,
    pub(super) config: Config,
    /// When it began.
    pub(super) started: Duration,
    pub(super) key: HashKey,
    pub(super) connections: NumberMap<ConnectionId, Connection>,
    pub(super) sessions: Sessions,
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: Retained,
    pub(super) timers: Timers,
    pub(super) admission: Admission,
    pub(super) figures: Figures,
    pub(super) effects: VecDeque<Effect>,
    pub(super) persistence: Persistence,
    /// Connections to be closed when the input at hand is done with.
    pub(super) doomed: Vec<(ConnectionId, CloseCause)>,
    /// Room for the matches of one PUBLISH, kept from one to the next.
    pub(super) matches: Vec<Match>,
    /// The readers of the message at hand.
    pub(super) audience: Audience,
    pub(super) statistics: Statistics,
    pub(super) hard_bound: usize,
    pub(super) assigned_client_ids: u64,
    pub(super) shutting_down: bool,
}

/// What has to be done, in this order. Whatever is not taken out comes first the next time.
#[must_use = "effects have to be carried out before the next input"]
#[derive(Debug)]
pub struct Effects<'a>(&'a mut VecDeque<Effect>);

impl Effects<'_> {
    /// All of them at once, without moving one: they change places with what is in this queue, which is empty.
    pub fn swap_into(self, queue: &mut VecDeque<Effect>) {
        debug_assert!(queue.is_empty(), "effects of the turn before were not carried out");
        std::mem::swap(self.0, queue);
    }
}

impl Iterator for Effects<'_> {
    type Item = Effect;

    fn next(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl Broker {
    /// A server without connections and sessions. The key is a secret, different in each run of a real server, and a
    /// part of the seed in a simulation.
    pub fn new(now: Now, config: Config, key: HashKey) -> Self {
        let mut timers = Timers::default();
        if config.sys_interval.is_some() {
            timers.set(Timer::Figures, now.monotonic);
        }
        Broker {
            now,
            started: now.monotonic,
            key,
            connections: NumberMap::default(),
            sessions: Sessions::new(key, config.limits.packet_ids()),
            subscriptions: Subscriptions::new(key),
            retained: Retained::default(),
            timers,
            figures: Figures::default(),
            admission: Admission::new(key),
            effects: VecDeque::new(),
            persistence: Persistence::default(),
            doomed: Vec::new(),
            matches: Vec::new(),
            audience: Audience::default(),
            statistics: Statistics::default(),
            hard_bound: config.limits.unflushed_hard(),
            assigned_client_ids: 0,
            shutting_down: false,
            config,
        }
    }

    /// Takes one input. The effects must be carried out, in their order, before the next input.
    pub fn handle(&mut self, now: Now, input: Input) -> Effects<'_> {
        self.now = now;
        self.persistence.begin_turn();
        // What is due for a session has happened before anything that comes now. What is due for a connection is looked at
        // after the input: it may be the very packet that was waited for, kept waiting by a driver that is busy.
        let mut waited = Vec::new();
        while let Some(timer) = self.timers.take_due(now.monotonic) {
            match timer {
                Timer::Connect(_) | Timer::KeepAlive(_) => waited.push(timer),
                Timer::Patience(reader) => self.give_up_on(reader),
                // [MQTT-3.1.2-8]
                Timer::WillDelay(key) => self.publish_will(key),
                // [MQTT-4.1.0-2]
                Timer::SessionExpiry(key) => {
                    self.statistics.sessions_expired += 1;
                    self.end_session(key);
                }
                Timer::Figures => self.publish_figures(),
            }
        }
        match input {
            Input::Opened { connection, peer } => self.handle_opened(connection, peer),
            Input::Identified { connection, certificate_name } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.peer.certificate_name = Some(certificate_name);
                }
            }
            Input::Packet { connection, packet } => self.handle_packet(connection, packet),
            Input::Malformed { connection, version, error } => self.handle_malformed(connection, version, error),
            Input::Closed { connection } => self.end_connection(connection),
            Input::Flushed { connection, bytes } => self.handle_flushed(connection, bytes),
            Input::Authenticated { connection, outcome } => self.handle_authenticated(connection, outcome),
            Input::Persisted { up_to } => self.handle_persisted(up_to),
            Input::PersistFailed { seq, reason: _ } => self.handle_persist_failed(seq),
            Input::Tick => {}
            Input::Reload { acl } => {
                self.config.acl = acl;
                self.sessions.judge_again();
            }
            Input::Shutdown => self.handle_shutdown(),
        }
        for timer in waited {
            self.check_silence(timer);
        }
        for (connection, cause) in std::mem::take(&mut self.doomed) {
            match cause {
                CloseCause::StoreFailed => self.tell_of_shortage(connection),
                CloseCause::QueueFull => {
                    self.disconnect(
                        connection,
                        ReasonCode::QuotaExceeded,
                        Some("too many messages wait for this client"),
                    );
                }
                _ => {}
            }
            self.close(connection, cause);
        }
        Effects(&mut self.effects)
    }

    /// When `Input::Tick` is due on the monotonic clock, if no other input comes first.
    pub fn deadline(&self) -> Option<Duration> {
        // What `restore` has to say is said at the first input.
        if self.effects.is_empty() { self.timers.next() } else { Some(self.now.monotonic) }
    }

    /// Numbers about the state and what was dropped.
    pub fn statistics(&self) -> Statistics {
        debug_assert!(self.sessions.is_sum_right(), "the bytes that sessions hold are counted wrong");
        Statistics {
            uptime: self.now.monotonic.saturating_sub(self.started),
            filter_bytes: self.subscriptions.filter_bytes(),
            shared_subscriptions: self.subscriptions.shared(),
            held_bytes: self.sessions.held_bytes(),
            queued_bytes: self.sessions.iter().map(|session| session.queue_bytes).sum(),
            connections: self.connections.len(),
            sessions: self.sessions.len(),
            subscriptions: self.subscriptions.len(),
            filter_levels: self.subscriptions.levels(),
            retained_messages: self.retained.len(),
            retained_bytes: self.retained.size_bytes(),
            queued_messages: self.sessions.iter().map(|session| session.queue.len()).sum(),
            in_flight: self.sessions.iter().map(|session| session.outgoing.in_flight()).sum(),
            unreleased: self.sessions.iter().map(|session| session.incoming.awaiting_release().count()).sum(),
            unflushed_bytes: self.connections.values().map(|connection| connection.unflushed.bytes()).sum(),
            ..self.statistics
        }
    }

    /// Bytes that a connection was given and that were not yet `Flushed`; `None` if there is no such connection.
    pub fn bytes_unflushed(&self, connection: ConnectionId) -> Option<usize> {
        self.connections.get(&connection).map(|connection| connection.unflushed.bytes())
    }

    fn handle_opened(&mut self, id: ConnectionId, peer: PeerInfo) {
        self.statistics.connections_opened += 1;
        if self.shutting_down {
            self.effects.push_back(Effect::Close { connection: id, cause: CloseCause::ShuttingDown });
            return;
        }
        if self.connections.len() >= self.config.limits.connections {
            let cause = CloseCause::Refused(ReasonCode::ServerBusy);
            self.statistics.refused_connections += 1;
            self.effects.push_back(Effect::Close { connection: id, cause });
            return;
        }
        let now = self.now.monotonic;
        if let Some(address) = peer.address
            && !self.admission.admit(address.ip(), &self.config.limits, now)
        {
            let cause = CloseCause::Refused(ReasonCode::ConnectionRateExceeded);
            self.statistics.refused_connection_rate += 1;
            self.effects.push_back(Effect::Close { connection: id, cause });
            return;
        }
        self.connections.insert(id, Connection::new(peer));
        self.timers.set(Timer::Connect(id), self.now.monotonic + self.config.limits.connect_timeout);
    }

    /// A whole packet came.
    pub(super) fn handle_packet(&mut self, id: ConnectionId, packet: Packet) {
        // A connection that was closed from our side may still have had packets on the way.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let version = match (&connection.stage, &packet) {
            (Stage::Open(open), _) => open.version,
            (Stage::Authenticating { connect, .. }, _) => connect.version(),
            (Stage::New, Packet::Connect(connect)) => connect.version(),
            (Stage::New, _) => Version::V5_0,
        };
        let size = packet.encoded_len(version);
        self.statistics.received.count(&packet, size);
        match &mut connection.stage {
            Stage::New => match packet {
                Packet::Connect(connect) => self.handle_connect(id, connect, size),
                // [MQTT-3.1.0-1] Closed without a word.
                _ => self.violation(id, NOT_CONNECT),
            },
            Stage::Authenticating { .. } => self.handle_early(id, packet),
            Stage::Open(open) => {
                // Any packet is a sign of life, not only PINGREQ.
                open.last_packet = self.now.monotonic;
                let speaker = Speaker { id, session: open.session, has_reasons: open.version.has_properties() };
                self.handle_open(speaker, packet);
            }
        }
    }

    /// A packet of a client that is in.
    fn handle_open(&mut self, speaker: Speaker, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.handle_publish(speaker, publish),
            Packet::Puback(ack) => self.handle_puback(speaker, &ack),
            Packet::Pubrec(ack) => self.handle_pubrec(speaker, &ack),
            Packet::Pubrel(ack) => self.handle_pubrel(speaker, &ack),
            Packet::Pubcomp(ack) => self.handle_pubcomp(speaker, &ack),
            Packet::Subscribe(subscribe) => self.handle_subscribe(speaker, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(speaker, unsubscribe),
            // [MQTT-3.12.4-1]
            Packet::Pingreq => self.send(speaker.id, Packet::Pingresp),
            Packet::Disconnect(disconnect) => self.handle_disconnect(speaker.id, disconnect),
            Packet::Connect(_) => self.violation(speaker.id, SECOND_CONNECT),
            Packet::Auth(auth) => self.handle_auth(speaker, &auth),
            Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                self.violation(speaker.id, WRONG_DIRECTION);
            }
        }
    }

    /// Whether the owner of a session may do this with a topic or a filter.
    pub(super) fn may(&self, key: SessionKey, action: Action, topic: &str) -> bool {
        self.config.acl.is_open() || self.config.acl.allows(self.sessions[key].subject(), action, topic)
    }

    /// The time of a connection's timer has come: has it been silent all along?
    fn check_silence(&mut self, timer: Timer) {
        let (Timer::Connect(id) | Timer::KeepAlive(id)) = timer else { return };
        let Some(connection) = self.connections.get(&id) else { return };
        let Some(open) = connection.open() else {
            self.close(id, CloseCause::ConnectTimeout);
            return;
        };
        let Some(silence) = open.silence else { return };
        if connection.pressure.is_held_back() {
            self.timers.set(Timer::KeepAlive(id), self.now.monotonic + silence);
            return;
        }
        // The timer is not moved at each packet, but here.
        let due = open.last_packet + silence;
        if due > self.now.monotonic {
            self.timers.set(Timer::KeepAlive(id), due);
            return;
        }
        // [MQTT-3.1.2-22]; 3.1.1 [MQTT-3.1.2-24]: as if the network had failed, so the will is due.
        self.disconnect(id, ReasonCode::KeepAliveTimeout, None);
        self.close(id, CloseCause::KeepAlive);
    }
}

const NOT_CONNECT: Violation = Violation {
    reason: ReasonCode::ProtocolError,
    statements: (Some("MQTT-3.1.0-1"), Some("MQTT-3.1.0-1")),
    detail: "the first packet is not CONNECT",
};

const SECOND_CONNECT: Violation = Violation {
    reason: ReasonCode::ProtocolError,
    statements: (Some("MQTT-3.1.0-2"), Some("MQTT-3.1.0-2")),
    detail: "a second CONNECT",
};

const WRONG_DIRECTION: Violation = Violation::new(ReasonCode::ProtocolError, "a packet that only a server sends");
