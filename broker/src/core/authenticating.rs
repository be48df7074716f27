//! Who a client is (sections 3.1.4 and 4.12): the question at CONNECT, enhanced authentication in as many steps as its
//! method takes, and re-authentication of a client that is in already. What makes an answer right is known outside.

use bytes::Bytes;
use squall_codec::{
    packet::{Auth, Connect, Packet},
    property::{Properties, Property},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Text, TextView},
};

use super::{
    access::Exchange,
    broker::Broker,
    closing::Violation,
    connection::{Pipelined, Stage},
    effect::{AuthenticationOutcome, AuthenticationRequest, CloseCause, ConnectionId, Effect},
    publishing::Speaker,
};

/// Enhanced authentication of one connection.
#[derive(Debug)]
pub(super) struct Enhanced {
    /// Authentication Method of CONNECT. It stays the same as long as the connection ([MQTT-4.12.0-5]).
    pub(super) method: Text,
    /// Whose turn it is.
    pub(super) turn: Turn,
}

/// Whose turn it is to speak.
#[derive(Debug)]
pub(super) enum Turn {
    /// The authenticator's.
    Authenticator,
    /// The client's: it owes the answer to this.
    Client(Box<dyn Exchange>),
    /// Nobody's: the client is in.
    Nobody,
}

impl Enhanced {
    /// Of a CONNECT, where it has a method.
    pub(super) fn of(connect: &Connect) -> Option<Box<Self>> {
        let method = connect.properties().authentication_method()?.to_text();
        Some(Box::new(Enhanced { method, turn: Turn::Authenticator }))
    }

    /// The client's AUTH: what goes on with it, or `None` where it begins a re-authentication.
    fn hear(&mut self, auth: &Auth) -> Result<Option<Box<dyn Exchange>>, Violation> {
        // [MQTT-4.12.0-5] [MQTT-4.12.1-1]
        if auth.properties.authentication_method() != Some(&self.method) {
            return Err(OTHER_METHOD);
        }
        match (auth.reason, std::mem::replace(&mut self.turn, Turn::Authenticator)) {
            // [MQTT-4.12.0-3]
            (ReasonCode::ContinueAuthentication, Turn::Client(exchange)) => Ok(Some(exchange)),
            (ReasonCode::ReAuthenticate, Turn::Nobody) => Ok(None),
            _ => Err(OUT_OF_TURN),
        }
    }

    /// A packet of ours in this exchange.
    fn auth(&self, reason: ReasonCode, data: Option<Bytes>) -> Packet {
        let properties = self.properties(data).collect();
        Packet::Auth(Auth { reason, properties })
    }

    /// [MQTT-4.12.0-5] The same method in all AUTH and in CONNACK.
    pub(super) fn properties(&self, data: Option<Bytes>) -> impl Iterator<Item = Property> {
        let method = Property::AuthenticationMethod(self.method.clone());
        std::iter::once(method).chain(data.map(Property::AuthenticationData))
    }
}

impl Broker {
    /// A CONNECT without fault: who is it?
    pub(super) fn authenticate(&mut self, id: ConnectionId, connect: Connect) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let request = AuthenticationRequest {
            client_id: connect.client_id().to_text(),
            username: connect.username().map(TextView::to_text),
            password: connect.password().map(Bytes::copy_from_slice),
            method: connect.properties().authentication_method().map(TextView::to_text),
            data: connect.properties().authentication_data().map(Bytes::copy_from_slice),
            again: false,
            peer: connection.peer.clone(),
        };
        let enhanced = Enhanced::of(&connect);
        connection.stage =
            Stage::Authenticating { connect: Box::new(connect), enhanced, pipelined: Pipelined::default() };
        self.effects.push_back(Effect::Authenticate { connection: id, request });
    }

    /// A packet came before CONNACK has left.
    pub(super) fn handle_early(&mut self, id: ConnectionId, packet: Packet) {
        let limits = &self.config.limits;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Stage::Authenticating { connect, enhanced, pipelined } = &mut connection.stage else { return };
        let fault = match (enhanced, packet) {
            (None, packet) => {
                let size = packet.encoded_len(connect.version());
                if pipelined.packets.len() < limits.pipelined_packets
                    && pipelined.bytes + size <= limits.pipelined_bytes
                {
                    pipelined.bytes += size;
                    return pipelined.packets.push(packet);
                }
                Violation::new(ReasonCode::QuotaExceeded, "too much before CONNACK")
            }
            (Some(enhanced), Packet::Auth(auth)) => match enhanced.hear(&auth) {
                Ok(Some(exchange)) => return self.go_on(id, exchange, &auth),
                Ok(None) => OUT_OF_TURN,
                Err(fault) => fault,
            },
            (Some(_), Packet::Disconnect(_)) => return self.close(id, CloseCause::Disconnected),
            (Some(_), _) => NOT_AUTH,
        };
        let (version, maximum_packet_size) = (connect.version(), connect.properties().maximum_packet_size());
        // [MQTT-4.12.0-4]
        self.say_no(id, version, maximum_packet_size, fault.reason, Some(fault.detail));
        self.close(id, fault.cause(Some(version)));
    }

    /// AUTH came from a client that is in.
    pub(super) fn handle_auth(&mut self, speaker: Speaker, auth: &Auth) {
        let Some(connection) = self.connections.get_mut(&speaker.id) else { return };
        let peer = connection.peer.clone();
        let Some(enhanced) = connection.open_mut().and_then(|open| open.enhanced.as_mut()) else {
            return self.violation(speaker.id, AUTH_WITHOUT_METHOD);
        };
        match enhanced.hear(auth) {
            Ok(Some(exchange)) => self.go_on(speaker.id, exchange, auth),
            // Section 4.12.1: everything else goes on meanwhile, under the former authentication.
            Ok(None) => {
                let session = &self.sessions[speaker.session];
                let request = AuthenticationRequest {
                    client_id: session.client_id.clone(),
                    username: session.user.clone(),
                    password: None,
                    method: Some(enhanced.method.clone()),
                    data: auth.properties.authentication_data().map(detached),
                    again: true,
                    peer,
                };
                self.effects.push_back(Effect::Authenticate { connection: speaker.id, request });
            }
            Err(fault) => self.violation(speaker.id, fault),
        }
    }

    fn go_on(&mut self, id: ConnectionId, exchange: Box<dyn Exchange>, auth: &Auth) {
        let data = auth.properties.authentication_data().map(detached);
        self.effects.push_back(Effect::Continue { connection: id, exchange, data });
    }

    /// The authenticator has answered.
    pub(super) fn handle_authenticated(&mut self, id: ConnectionId, outcome: AuthenticationOutcome) {
        let Some(connection) = self.connections.get(&id) else { return };
        match &connection.stage {
            Stage::New => {}
            Stage::Authenticating { .. } => self.conclude_connect(id, outcome),
            Stage::Open(_) => self.conclude_again(id, outcome),
        }
    }

    /// The answer about a client that is not in yet.
    fn conclude_connect(&mut self, id: ConnectionId, outcome: AuthenticationOutcome) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Stage::Authenticating { connect, enhanced, .. } = &mut connection.stage else { return };
        if enhanced.as_ref().is_some_and(|enhanced| !matches!(enhanced.turn, Turn::Authenticator)) {
            return;
        }
        let maximum = connect.properties().maximum_packet_size();
        let refused = match (outcome, enhanced) {
            (AuthenticationOutcome::Refused(reason), _) => {
                self.statistics.failed_authentications += 1;
                reason
            }
            // [MQTT-4.12.0-6]
            (AuthenticationOutcome::Continue { .. }, None) => ReasonCode::ImplementationSpecificError,
            (AuthenticationOutcome::Continue { data, exchange }, Some(enhanced)) => {
                // [MQTT-4.12.0-2]
                let packet = enhanced.auth(ReasonCode::ContinueAuthentication, data);
                let size = packet.encoded_len(Version::V5_0);
                if maximum.is_none_or(|maximum| size <= maximum as usize) {
                    enhanced.turn = Turn::Client(exchange);
                    connection.unflushed.add(size);
                    self.statistics.sent.count(&packet, size);
                    self.effects.push_back(Effect::Send { connection: id, version: Version::V5_0, packet });
                    return;
                }
                ReasonCode::PacketTooLarge
            }
            (AuthenticationOutcome::Allowed { user, data }, _) => {
                let stage = std::mem::replace(&mut connection.stage, Stage::New);
                let Stage::Authenticating { connect, enhanced, pipelined } = stage else { return };
                if let Err(reason) = self.accept(id, &connect, enhanced, user, data) {
                    // [MQTT-3.1.4-6] What came behind the CONNECT is not looked at.
                    return self.refuse(id, connect.version(), maximum, reason);
                }
                return pipelined.packets.into_iter().for_each(|packet| self.handle_packet(id, packet));
            }
        };
        // [MQTT-4.12.0-1] [MQTT-4.12.0-4]
        let version = connect.version();
        self.refuse(id, version, maximum, refused);
    }

    /// The answer about a client that is in and proves itself again.
    fn conclude_again(&mut self, id: ConnectionId, outcome: AuthenticationOutcome) {
        let Some(open) = self.connections.get_mut(&id).and_then(|connection| connection.open_mut()) else { return };
        let (session, maximum) = (open.session, open.maximum_packet_size);
        let Some(enhanced) = open.enhanced.as_mut().filter(|enhanced| matches!(enhanced.turn, Turn::Authenticator))
        else {
            return;
        };
        let (packet, turn) = match outcome {
            AuthenticationOutcome::Refused(reason) => {
                self.statistics.failed_authentications += 1;
                return self.fail_again(id, reason);
            }
            AuthenticationOutcome::Continue { data, exchange } => {
                (enhanced.auth(ReasonCode::ContinueAuthentication, data), Turn::Client(exchange))
            }
            AuthenticationOutcome::Allowed { user, data } => {
                // The session, with all that waits in it, is the user's who came in.
                if user != self.sessions[session].user {
                    self.statistics.failed_authentications += 1;
                    return self.fail_again(id, ReasonCode::NotAuthorized);
                }
                (enhanced.auth(ReasonCode::Success, data), Turn::Nobody)
            }
        };
        if packet.encoded_len(Version::V5_0) > maximum {
            return self.fail_again(id, ReasonCode::PacketTooLarge);
        }
        enhanced.turn = turn;
        self.send(id, packet);
    }

    /// [MQTT-4.12.1-2]
    fn fail_again(&mut self, id: ConnectionId, reason: ReasonCode) {
        let told = match reason.allowed_in(squall_codec::packet::PacketKind::Disconnect, Side::Server) {
            true => reason,
            false => ReasonCode::NotAuthorized,
        };
        self.disconnect(id, told, Some("the re-authentication failed"));
        self.close(id, CloseCause::NotAuthenticatedAgain(reason));
    }
}

/// A copy: what is kept must not hold on to the packet.
fn detached(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}

/// Appends what CONNACK says of an authentication that went well.
pub(super) fn announce(enhanced: Option<&Enhanced>, data: Option<Bytes>, properties: &mut Properties) {
    // [MQTT-4.12.0-6] Without a method there is nothing to be said.
    for property in enhanced.into_iter().flat_map(|enhanced| enhanced.properties(data.clone())) {
        properties.push(property);
    }
}

const AUTH_WITHOUT_METHOD: Violation =
    Violation::of(ReasonCode::ProtocolError, "MQTT-4.12.0-7", "AUTH without an Authentication Method in CONNECT");

const OTHER_METHOD: Violation =
    Violation::of(ReasonCode::ProtocolError, "MQTT-4.12.0-5", "AUTH with another Authentication Method than CONNECT");

const OUT_OF_TURN: Violation = Violation::new(ReasonCode::ProtocolError, "AUTH out of turn");

const NOT_AUTH: Violation = Violation::of(
    ReasonCode::ProtocolError,
    "MQTT-3.1.2-30",
    "a packet other than AUTH and DISCONNECT before the authentication is over",
);
