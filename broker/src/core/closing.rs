//! How connections and sessions end, and what becomes of the will.

use std::time::Duration;

use squall_codec::{
    error::DecodeError,
    packet::{Disconnect, Packet, PacketKind, Publish},
    property::Property,
    qos::Qos,
    reason::{ReasonCode, Side},
    version::Version,
    wire::Text,
};

use super::{
    acl::{self, Action, Subject},
    broker::Broker,
    connection::Stage,
    effect::{CloseCause, ConnectionId, Effect, Record},
    session::{Delivery, SessionKey},
    timers::Timer,
};

/// A well-formed packet that is not allowed now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Violation {
    /// For DISCONNECT.
    pub(super) reason: ReasonCode,
    /// The statement of 5.0, and of 3.1.1.
    pub(super) statements: (Option<&'static str>, Option<&'static str>),
    /// What the client did.
    pub(super) detail: &'static str,
}

impl Violation {
    /// One that only 5.0 knows, without a number.
    pub(super) const fn new(reason: ReasonCode, detail: &'static str) -> Self {
        Violation { reason, statements: (None, None), detail }
    }

    /// One with a number in 5.0.
    pub(super) const fn of(reason: ReasonCode, statement: &'static str, detail: &'static str) -> Self {
        Violation { reason, statements: (Some(statement), None), detail }
    }

    /// The close cause for a connection of this version.
    pub(super) fn cause(self, version: Option<Version>) -> CloseCause {
        let (v5, v3) = self.statements;
        // 3.1.1 [MQTT-4.8.0-1] covers every violation.
        let statement = if version.is_none_or(Version::has_properties) { v5 } else { v3.or(Some("MQTT-4.8.0-1")) };
        CloseCause::Violation { reason: self.reason, statement, detail: self.detail }
    }
}

impl Broker {
    /// Ends a connection whose client did what is not allowed ([MQTT-4.13.1-1]; 3.1.1 [MQTT-4.8.0-1]).
    pub(super) fn violation(&mut self, id: ConnectionId, violation: Violation) {
        let version = self.connections.get(&id).and_then(|connection| connection.open()).map(|open| open.version);
        self.disconnect(id, violation.reason, Some(violation.detail));
        self.close(id, violation.cause(version));
    }

    /// Bytes came that are no packet.
    pub(super) fn handle_malformed(&mut self, id: ConnectionId, version: Option<Version>, error: DecodeError) {
        let Some(connection) = self.connections.get(&id) else { return };
        let reason = error.reason_code();
        match connection.stage {
            Stage::Open(_) => {
                let reason = match reason.allowed_in(PacketKind::Disconnect, Side::Server) {
                    true => reason,
                    false => ReasonCode::MalformedPacket,
                };
                self.disconnect(id, reason, None);
            }
            // Before CONNACK there is no DISCONNECT ([MQTT-3.14.0-1]), and no CONNACK while one is being decided.
            Stage::Authenticating { .. } => {}
            Stage::New => match (version, &error) {
                // [MQTT-3.1.2-2]; 3.1.1 [MQTT-3.1.2-2]. Said in the form of the nearest version that exists.
                (_, DecodeError::UnsupportedVersion { level }) => {
                    let version = if *level > Version::V5_0.level() { Version::V5_0 } else { Version::V3_1_1 };
                    self.refuse(id, version, None, ReasonCode::UnsupportedProtocolVersion);
                    return;
                }
                // 3.1.1 [MQTT-3.1.3-8] is the one fault of form that has a return code; 3.1 has the same.
                (Some(version), DecodeError::EmptyClientId) => {
                    self.refuse(id, version, None, reason);
                    return;
                }
                // 3.1.1 [MQTT-3.1.4-1] closes without a CONNACK; 5.0 may say why.
                (Some(Version::V5_0), _) if reason.allowed_in(PacketKind::Connack, Side::Server) => {
                    self.refuse(id, Version::V5_0, None, reason);
                    return;
                }
                // [MQTT-3.2.0-1] Nothing is said to one who did not begin with a CONNECT.
                _ => {}
            },
        }
        self.close(id, CloseCause::Malformed(error));
    }

    /// Tells a 5.0 client that its connection is about to be closed. Others are not told: 3.1.1 has no such packet.
    pub(super) fn disconnect(&mut self, id: ConnectionId, reason: ReasonCode, detail: Option<&'static str>) {
        let Some(open) = self.connections.get(&id).and_then(|connection| connection.open()) else { return };
        // [MQTT-3.14.0-1]
        if !open.version.has_properties() || !open.connack_sent {
            return;
        }
        let (version, maximum) = (open.version, open.maximum_packet_size);
        let mut disconnect = Disconnect::new(reason);
        if let Some(detail) = detail {
            disconnect.properties.push(Property::ReasonString(Text::literal(detail)));
        }
        let mut packet = Packet::Disconnect(disconnect);
        // [MQTT-3.14.2-3]
        if packet.encoded_len(version) > maximum {
            packet = Packet::Disconnect(Disconnect::new(reason));
        }
        // [MQTT-3.1.2-24]
        if packet.encoded_len(version) <= maximum {
            self.send_last(id, version, packet);
        }
    }

    /// [MQTT-3.1.4-3] The same Client Identifier has connected again.
    pub(super) fn take_over(&mut self, old: ConnectionId) {
        self.disconnect(old, ReasonCode::SessionTakenOver, None);
        self.close(old, CloseCause::TakenOver);
    }

    /// Closes a connection from our side ([MQTT-4.13.2-1]). Nothing is sent on it any more ([MQTT-3.14.4-1], [MQTT-3.14.4-2]).
    pub(super) fn close(&mut self, id: ConnectionId, cause: CloseCause) {
        if !self.connections.contains_key(&id) {
            return;
        }
        self.statistics.count_close(&cause);
        self.effects.push_back(Effect::Close { connection: id, cause });
        self.end_connection(id);
    }

    /// The client said DISCONNECT.
    pub(super) fn handle_disconnect(&mut self, id: ConnectionId, disconnect: Disconnect) {
        let Some(open) = self.connections.get(&id).and_then(|connection| connection.open()) else { return };
        let (key, version, expiry_was_zero) = (open.session, open.version, open.expiry_was_zero);
        if let Some(seconds) = disconnect.properties.session_expiry_interval().filter(|_| version.has_properties()) {
            // Section 3.14.2.2.2: it is no valid DISCONNECT, so the will is due.
            if expiry_was_zero && seconds > 0 {
                self.violation(
                    id,
                    Violation::new(
                        ReasonCode::ProtocolError,
                        "DISCONNECT sets a Session Expiry Interval that CONNECT had as 0",
                    ),
                );
                return;
            }
            self.sessions[key].expiry_seconds = self.bounded_expiry(seconds);
        }
        // [MQTT-3.14.4-3] [MQTT-3.1.2-10]; 3.1.1 [MQTT-3.14.4-3]. Every other reason leaves the will to be published.
        if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
            self.set_will(key, None);
        }
        self.close(id, CloseCause::Disconnected);
    }

    /// The Network Connection is gone, whoever ended it.
    pub(super) fn end_connection(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.timers.cancel(Timer::Connect(id));
        self.timers.cancel(Timer::KeepAlive(id));
        if !connection.held.is_empty() {
            self.persistence.forget(id);
        }
        self.end_pressure(id, connection.pressure);
        let Stage::Open(open) = connection.stage else { return };
        self.statistics.clients -= 1;
        let key = open.session;
        let now = self.now.monotonic;
        let session = &mut self.sessions[key];
        connection.held.iter().for_each(|held| session.never_leaves(&held.packet));
        session.connection = None;
        session.resends.clear();
        let expiry_seconds = session.expiry_seconds;
        // Section 3.1.2.11.2: 0 or absent ends the session with the connection.
        if expiry_seconds == 0 {
            self.end_session(key);
            return;
        }
        // Section 4.8.2: others of its shares are there for what it was not sent yet, unless all have to go.
        if !self.shutting_down {
            self.pass_on_shares(key, None);
        }
        // [MQTT-3.1.2-23] The session stays.
        let session = &self.sessions[key];
        if session.durable {
            let (client_id, user, ended) = (session.client_id.clone(), session.user.clone(), Some(self.now.unix));
            self.persist(Record::Session { client_id, user, expiry_seconds, ended });
        }
        if expiry_seconds != u32::MAX {
            self.timers.set(Timer::SessionExpiry(key), now + Duration::from_secs(expiry_seconds.into()));
        }
        // [MQTT-3.1.2-8] The will is due after its delay, or when the session ends.
        match self.sessions[key].will.as_ref().map(|will| will.delay_seconds) {
            None => {}
            Some(0) => self.publish_will(key),
            Some(delay) => self.timers.set(Timer::WillDelay(key), now + Duration::from_secs(delay.into())),
        }
    }

    /// A session is over ([MQTT-4.1.0-2]): with its time, or discarded by Clean Start. [MQTT-4.1.0-1] Its connection is gone.
    pub(super) fn end_session(&mut self, key: SessionKey) {
        self.timers.cancel(Timer::SessionExpiry(key));
        self.timers.cancel(Timer::WillDelay(key));
        let mut session = self.sessions.remove(key);
        for filter in &session.filters {
            self.subscriptions.remove(key, filter);
        }
        if session.durable {
            self.persist(Record::SessionEnded { client_id: session.client_id.clone() });
        } else if session.will.is_some() {
            self.persist(Record::WillCleared { client_id: session.client_id.clone() });
        }
        // [MQTT-3.1.2-8] The end of the session does not wait for the will's delay.
        if let Some(will) = session.will.take() {
            self.send_will(session.subject(), will.message);
        }
        // Section 4.8.2: a QoS 1 message that the chosen member did not acknowledge goes to another one.
        // [MQTT-4.8.2-5] A QoS 2 one does not, once its delivery has begun.
        let unacknowledged = session.outgoing.resends().filter_map(|resend| match resend {
            squall_codec::flow::Resend::Publish(_, Qos::AtLeastOnce, delivery) => Some(delivery.clone()),
            _ => None,
        });
        let orphans: Vec<Delivery> =
            unacknowledged.chain(session.queue).filter(|delivery| delivery.shared.is_some()).collect();
        for delivery in orphans {
            self.give_to_another_member(delivery);
        }
    }

    /// Publishes the will of a session that goes on, once.
    pub(super) fn publish_will(&mut self, key: SessionKey) {
        // [MQTT-3.1.2-10] It leaves the session.
        if let Some(will) = self.set_will(key, None) {
            let (client_id, user) = (self.sessions[key].client_id.clone(), self.sessions[key].user.clone());
            self.send_will(Subject { user: user.as_ref(), client_id: &client_id }, will.message);
        }
    }

    /// The rules of the moment at which the will is due decide.
    pub(super) fn send_will(&mut self, subject: Subject<'_>, message: Publish) {
        self.publish_once();
        let acl = &self.config.acl;
        if acl::is_writable(message.topic()) && acl.allows(subject, Action::Publish, message.topic()) {
            self.publish(subject.client_id, message);
        } else {
            self.statistics.denied_publishes += 1;
        }
    }

    /// The program ends: wills that are due are published while there is someone to hear them. When nobody waits for the
    /// store any more, every client is told.
    pub(super) fn handle_shutdown(&mut self) {
        self.shutting_down = true;
        let mut open: Vec<(ConnectionId, SessionKey)> =
            self.connections.iter().filter_map(|(id, connection)| Some((*id, connection.open()?.session))).collect();
        open.sort_unstable();
        for (_, key) in open {
            let session = &self.sessions[key];
            let due = session.will.as_ref().is_some_and(|will| will.delay_seconds == 0) || session.expiry_seconds == 0;
            if due {
                self.publish_will(key);
            }
        }
        if !self.persistence.is_awaited() {
            self.close_all();
        }
    }

    /// Every client is told that the program ends.
    pub(super) fn close_all(&mut self) {
        let mut all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for id in all {
            self.disconnect(id, ReasonCode::ServerShuttingDown, None);
            self.close(id, CloseCause::ShuttingDown);
        }
        self.timers.clear();
    }
}
