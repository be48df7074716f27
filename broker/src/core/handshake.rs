//! From CONNECT to CONNACK (sections 3.1.4 and 3.2): checks, take-over, clean or resumed session, negotiation.

use bytes::Bytes;
use squall_codec::{
    flow::{Aliases, OutgoingAliases},
    packet::{Connack, Connect, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use super::{
    authenticating::{Enhanced, Turn, announce},
    broker::Broker,
    connection::{Open, Stage},
    effect::{CloseCause, ConnectionId, Record},
    explaining::refused_connect,
    session::SessionKey,
    timers::Timer,
    will::StoredWill,
};

/// The Receive Maximum and the Session Expiry Interval that mean "no bound".
const NO_EXPIRY: u32 = u32::MAX;

impl Broker {
    /// The first packet of a connection came, and it is a CONNECT.
    pub(super) fn handle_connect(&mut self, id: ConnectionId, connect: Connect, size: usize) {
        if let Err(reason) = self.check_connect(&connect, size) {
            self.refuse(id, connect.version(), connect.properties().maximum_packet_size(), reason);
            return;
        }
        self.authenticate(id, connect);
    }

    /// What can be said without asking anybody ([MQTT-3.1.4-2]).
    fn check_connect(&self, connect: &Connect, size: usize) -> Result<(), ReasonCode> {
        let limits = &self.config.limits;
        if size > limits.connect_packet_size as usize {
            return Err(ReasonCode::PacketTooLarge);
        }
        // Section 4.11. Before 5.0 a client cannot be told where to go.
        if self.config.server_reference.is_some() {
            return Err(match (connect.version().has_properties(), self.config.server_moved) {
                (true, true) => ReasonCode::ServerMoved,
                (true, false) => ReasonCode::UseAnotherServer,
                (false, _) => ReasonCode::ServerUnavailable,
            });
        }
        if connect.will().is_some_and(|will| !limits.takes_topic(will.topic.as_str())) {
            return Err(ReasonCode::TopicNameInvalid);
        }
        // [MQTT-3.1.3-8]; 3.1.1 [MQTT-3.1.3-9]. Where an empty one can never be right, the decoder has said so.
        if connect.client_id().is_empty() && !self.config.allow_empty_client_id {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        // 3.1 section 3.1: 1 to 23 characters. [MQTT-3.1.3-5] The other versions take any text.
        if connect.version() == Version::V3_1 && connect.client_id().chars().count() > 23 {
            return Err(ReasonCode::ClientIdentifierNotValid);
        }
        if let Some(will) = connect.will().filter(|_| connect.version().has_properties()) {
            // [MQTT-3.2.2-12]
            if will.qos > self.config.maximum_qos {
                return Err(ReasonCode::QosNotSupported);
            }
            // [MQTT-3.2.2-13]
            if will.retain && !self.config.retain_available {
                return Err(ReasonCode::RetainNotSupported);
            }
        }
        Ok(())
    }

    /// Lets the client in, unless there is no room for its session.
    pub(super) fn accept(
        &mut self,
        id: ConnectionId,
        connect: &Connect,
        enhanced: Option<Box<Enhanced>>,
        user: Option<Text>,
        data: Option<Bytes>,
    ) -> Result<(), ReasonCode> {
        let client_id =
            if connect.client_id().is_empty() { self.assign_client_id() } else { connect.client_id().to_text() };
        let assigned = connect.client_id().is_empty().then(|| client_id.clone());
        let known = self.sessions.find(&client_id);
        if known.is_none() && self.sessions.len() >= self.config.limits.sessions {
            return Err(ReasonCode::QuotaExceeded);
        }
        let will = StoredWill::of(connect);
        let size = |will: &StoredWill| will.message.size_bytes();
        // The will of the connection before is published or forgotten now.
        let former = known.and_then(|key| self.sessions[key].will.as_ref()).map_or(0, size);
        let held_bytes = self.sessions.held_bytes() - former;
        if will.as_ref().is_some_and(|will| held_bytes + size(will) > self.config.limits.held_bytes) {
            return Err(ReasonCode::QuotaExceeded);
        }
        if known.is_some_and(|key| !self.may_have(key, user.as_ref())) {
            return Err(ReasonCode::NotAuthorized);
        }
        if self.is_short_for_connect(connect, known) {
            return Err(ReasonCode::QuotaExceeded);
        }
        // [MQTT-3.1.2-4] Nor may a crash bring back a session that CONNACK says is gone.
        if self.persistence.is_ending(&client_id) {
            self.wait_for_all_records();
        }
        let mut connack = Connack::new(ReasonCode::Success);
        connack.properties = self.negotiate(connect, assigned);
        announce(enhanced.as_deref(), data, &mut connack.properties);
        let maximum_packet_size = connect.properties().maximum_packet_size().map_or(usize::MAX, |size| size as usize);
        if Packet::Connack(Box::new(connack.clone())).encoded_len(connect.version()) > maximum_packet_size {
            return Err(ReasonCode::PacketTooLarge);
        }

        // [MQTT-3.1.4-3]; 3.1.1 [MQTT-3.1.4-2]
        if let Some(old) = known.and_then(|key| self.sessions[key].connection) {
            self.take_over(old);
        }
        // [MQTT-3.1.4-4]; 3.1.1 [MQTT-3.1.4-3]. The old connection's end may have ended its session.
        let known = self.sessions.find(&client_id);
        let key = match known {
            // [MQTT-3.1.2-5]; 3.1.1 [MQTT-3.1.2-4]
            Some(key) if !connect.clean_start => key,
            // [MQTT-3.1.2-4]; 3.1.1 [MQTT-3.1.2-6]
            Some(key) => {
                self.end_session(key);
                self.sessions.insert(client_id)
            }
            // [MQTT-3.1.2-6]
            None => self.sessions.insert(client_id),
        };
        let resumed = known.is_some() && !connect.clean_start;
        let enhanced = enhanced.map(|enhanced| Box::new(Enhanced { turn: Turn::Nobody, ..*enhanced }));
        self.sessions[key].user = user;
        self.open(id, key, connect, enhanced, will, maximum_packet_size);

        // [MQTT-3.2.2-2] [MQTT-3.2.2-3]; 3.1 has no such bit.
        connack.session_present = resumed && connect.version() != Version::V3_1;
        // [MQTT-3.2.0-1] Before all else. [MQTT-3.1.4-5] [MQTT-3.2.0-2] From here on the stage is another.
        self.send(id, Packet::Connack(Box::new(connack)));
        self.pump(key);
        Ok(())
    }

    /// Whether this user may take over or discard a session. An anonymous one is anybody's.
    fn may_have(&self, key: SessionKey, user: Option<&Text>) -> bool {
        let owner = self.sessions[key].user.as_ref();
        !self.config.sessions_belong_to_users || owner.is_none() || owner == user
    }

    /// Ties connection and session together.
    fn open(
        &mut self,
        id: ConnectionId,
        key: SessionKey,
        connect: &Connect,
        enhanced: Option<Box<Enhanced>>,
        will: Option<StoredWill>,
        maximum_packet_size: usize,
    ) {
        let expiry_seconds = self.expiry_seconds(connect);
        let keep_alive = match self.config.server_keep_alive {
            // [MQTT-3.2.2-21] The server's value holds where the client was told of it.
            Some(seconds) if connect.version().has_properties() => seconds,
            // [MQTT-3.2.2-22]
            _ => connect.keep_alive,
        };
        // [MQTT-3.1.2-22]; 3.1.1 [MQTT-3.1.2-24]
        let silence = (keep_alive > 0).then(|| std::time::Duration::from_millis(u64::from(keep_alive) * 1500));
        let is_v5 = connect.version().has_properties();
        let limits = &self.config.limits;
        let receive_maximum = if is_v5 { limits.receive_maximum } else { u16::MAX };
        let send_quota = connect.properties().receive_maximum().unwrap_or(u16::MAX).min(limits.in_flight);

        // [MQTT-3.1.2-26] [MQTT-3.1.2-27] None where the client announces none.
        let aliases = connect.properties().topic_alias_maximum().unwrap_or(0);
        let aliases = u8::try_from(aliases).unwrap_or(u8::MAX).min(limits.topic_aliases_to_client);

        // [MQTT-3.1.3-9] Back in time: the will of the connection before is not sent.
        self.timers.cancel(Timer::WillDelay(key));
        self.timers.cancel(Timer::SessionExpiry(key));
        let session = &mut self.sessions[key];
        session.connection = Some(id);
        let expiry_seconds_before = std::mem::replace(&mut session.expiry_seconds, expiry_seconds);
        session.resume(receive_maximum, send_quota);
        session.is_catching_up |= !session.queue_has_room(0, limits.queued_messages, limits.queued_bytes);
        let was_durable = std::mem::replace(&mut session.durable, expiry_seconds > 0);
        let (client_id, user) = (session.client_id.clone(), session.user.clone());
        if session.durable {
            self.persist(Record::Session { client_id, user, expiry_seconds, ended: None });
        } else if was_durable {
            // It now ends with its connection, and a crash would end that.
            self.persist(Record::SessionEnded { client_id });
        }
        self.set_will(key, will);

        self.statistics.clients += 1;
        self.statistics.clients_maximum = self.statistics.clients_maximum.max(self.statistics.clients);
        self.timers.cancel(Timer::Connect(id));
        let now = self.now.monotonic;
        if let Some(silence) = silence {
            self.timers.set(Timer::KeepAlive(id), now + silence);
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.stage = Stage::Open(Open {
                version: connect.version(),
                session: key,
                expiry_seconds_before,
                silence,
                last_packet: now,
                maximum_packet_size,
                problem_information: is_v5 && connect.properties().request_problem_information() != Some(0),
                expiry_was_zero: connect.properties().session_expiry_interval().unwrap_or(0) == 0,
                aliases: Aliases::new(self.config.limits.topic_alias_maximum),
                outgoing_aliases: (aliases > 0).then(|| OutgoingAliases::new(aliases)),
                enhanced,
                connack_sent: false,
            });
        }
    }

    /// Seconds that the session outlives this connection.
    pub(super) fn expiry_seconds(&self, connect: &Connect) -> u32 {
        match connect.version() {
            Version::V5_0 => self.bounded_expiry(connect.properties().session_expiry_interval().unwrap_or(0)),
            // 3.1.1 [MQTT-3.1.2-6] A clean session ends with its connection; the others have no end.
            _ if connect.clean_start => 0,
            _ => NO_EXPIRY,
        }
    }

    /// The Session Expiry Interval that a 5.0 client gets when it asks for this one.
    pub(super) fn bounded_expiry(&self, asked_seconds: u32) -> u32 {
        asked_seconds.min(self.config.maximum_session_expiry)
    }

    /// What CONNACK tells a 5.0 client (section 3.2.2.3). What is as the standard's default is left out.
    fn negotiate(&self, connect: &Connect, assigned: Option<Text>) -> Properties {
        let mut properties = Properties::new();
        if !connect.version().has_properties() {
            return properties;
        }
        let limits = &self.config.limits;
        let asked = connect.properties().session_expiry_interval().unwrap_or(0);
        if self.bounded_expiry(asked) != asked {
            properties.push(Property::SessionExpiryInterval(self.bounded_expiry(asked)));
        }
        if limits.receive_maximum != u16::MAX {
            properties.push(Property::ReceiveMaximum(limits.receive_maximum));
        }
        // [MQTT-3.2.2-9]
        if self.config.maximum_qos < Qos::ExactlyOnce {
            properties.push(Property::MaximumQos(self.config.maximum_qos.bits()));
        }
        let offered = [
            (self.config.retain_available, Property::RetainAvailable(0)),
            (self.config.wildcard_subscription_available, Property::WildcardSubscriptionAvailable(0)),
            (self.config.subscription_identifiers_available, Property::SubscriptionIdentifierAvailable(0)),
            (self.config.shared_subscription_available, Property::SharedSubscriptionAvailable(0)),
        ];
        for (_, denial) in offered.into_iter().filter(|(available, _)| !available) {
            properties.push(denial);
        }
        properties.push(Property::MaximumPacketSize(limits.maximum_packet_size));
        // [MQTT-3.1.3-7] [MQTT-3.2.2-16]
        if let Some(client_id) = assigned {
            properties.push(Property::AssignedClientIdentifier(client_id));
        }
        if limits.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(limits.topic_alias_maximum));
        }
        // [MQTT-3.1.2-28]
        let asked = connect.properties().request_response_information() == Some(1);
        if let Some(information) = self.config.response_information.as_ref().filter(|_| asked) {
            properties.push(Property::ResponseInformation(information.clone()));
        }
        if let Some(seconds) = self.config.server_keep_alive {
            properties.push(Property::ServerKeepAlive(seconds));
        }
        properties
    }

    /// [MQTT-3.1.3-6] A Client Identifier that no session has.
    fn assign_client_id(&mut self) -> Text {
        loop {
            self.assigned_client_ids += 1;
            let number = self.key.number(self.assigned_client_ids);
            let client_id = Text::new(format!("squall{number:016x}")).expect("22 characters are a valid string");
            if self.sessions.find(&client_id).is_none() {
                return client_id;
            }
        }
    }

    /// Says no and closes.
    pub(super) fn refuse(
        &mut self,
        id: ConnectionId,
        version: Version,
        maximum_packet_size: Option<u32>,
        reason: ReasonCode,
    ) {
        self.say_no(id, version, maximum_packet_size, reason, self.why(reason, refused_connect));
        // [MQTT-3.2.2-7]; 3.1.1 [MQTT-3.2.2-5]
        self.close(id, CloseCause::Refused(reason));
    }

    /// A CONNACK that refuses, where it may be sent.
    pub(super) fn say_no(
        &mut self,
        id: ConnectionId,
        version: Version,
        maximum_packet_size: Option<u32>,
        reason: ReasonCode,
        detail: Option<&'static str>,
    ) {
        // 3.1.1 [MQTT-3.2.2-6] Where no return code fits there is no CONNACK.
        if !version.has_properties() && reason.connack_return_code().is_none() {
            return;
        }
        // [MQTT-3.2.2-6] Session Present is 0.
        let bare = Connack::new(reason);
        let mut plain = bare.clone();
        if let Some(reference) = &self.config.server_reference
            && matches!(reason, ReasonCode::UseAnotherServer | ReasonCode::ServerMoved)
        {
            plain.properties.push(Property::ServerReference(reference.clone()));
        }
        let mut explained = plain.clone();
        if let Some(detail) = detail.filter(|_| version.has_properties()) {
            explained.properties.push(Property::ReasonString(Text::literal(detail)));
        }
        let maximum = maximum_packet_size.map_or(usize::MAX, |maximum| maximum as usize);
        // [MQTT-3.2.2-19] [MQTT-3.1.2-24]
        let fitting = [explained, plain, bare].map(|connack| Packet::Connack(Box::new(connack)));
        if let Some(packet) = fitting.into_iter().find(|packet| packet.encoded_len(version) <= maximum) {
            self.send_last(id, version, packet);
        }
    }
}
