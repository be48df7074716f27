//! What the server sends: the answers to our requests, its messages, and what it must not send.

use std::time::Duration;

use squall_codec::{
    flow::{Pubrec, Received},
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};

use super::{
    client::{Client, Phase},
    effect::{DisconnectCause, Effect, Outcome},
    handshake,
    session::AwaitedKind,
};
use crate::options::Acknowledge;

impl Client {
    pub(super) fn handle_packet(&mut self, now: Duration, packet: Packet) {
        match self.phase {
            Phase::Handshake { clean_start, .. } => match packet {
                Packet::Connack(connack) => self.handle_connack(now, clean_start, *connack),
                // [MQTT-3.2.0-1] Nothing comes before CONNACK; this client asks for no AUTH.
                other => self.violation(now, ReasonCode::ProtocolError, format!("{} before CONNACK", other.kind())),
            },
            Phase::Connected(_) => self.handle_connected(now, packet),
            Phase::Idle | Phase::Waiting { .. } | Phase::Opening { .. } => {}
        }
    }

    fn handle_connected(&mut self, now: Duration, packet: Packet) {
        match packet {
            Packet::Publish(message) => self.handle_publish(now, message),
            Packet::Puback(ack) => self.handle_puback(now, ack),
            Packet::Pubrec(ack) => self.handle_pubrec(now, ack),
            Packet::Pubrel(ack) => self.handle_pubrel(now, &ack),
            Packet::Pubcomp(ack) => self.handle_pubcomp(now, &ack),
            Packet::Suback(suback) => self.handle_answer(now, AwaitedKind::Suback, suback.packet_id, suback.reasons),
            Packet::Unsuback(unsuback) => {
                self.handle_answer(now, AwaitedKind::Unsuback, unsuback.packet_id, unsuback.reasons);
            }
            Packet::Pingresp => {
                if let Some(keep_alive) = self.keep_alive() {
                    keep_alive.answered();
                }
            }
            Packet::Disconnect(disconnect) if self.options.version.has_properties() => {
                // The sender of DISCONNECT closes; its receiver closes too.
                self.effects.push(Effect::Close);
                let again = handshake::worth_another_try(disconnect.reason);
                self.end(now, DisconnectCause::Server(disconnect.reason), again);
            }
            // [MQTT-3.2.0-2] One CONNACK on a connection.
            Packet::Connack(_) => self.violation(now, ReasonCode::ProtocolError, "a second CONNACK"),
            // [MQTT-4.12.0-6] No AUTH without an Authentication Method in CONNECT.
            Packet::Auth(_) => self.violation(now, ReasonCode::ProtocolError, "AUTH without an Authentication Method"),
            other => self.violation(now, ReasonCode::ProtocolError, format!("{} from a server", other.kind())),
        }
    }

    fn handle_publish(&mut self, now: Duration, message: Publish) {
        let Phase::Connected(connection) = &mut self.phase else { return };
        // [MQTT-3.3.2-10] Every alias up to the announced maximum is taken.
        let message = match connection.aliases.resolve(message) {
            Ok(message) => message,
            Err(error) => return self.violation(now, error.reason_code(), error),
        };
        if message.topic().is_empty() {
            return self.violation(now, ReasonCode::ProtocolError, "a PUBLISH without a topic");
        }
        let (qos, packet_id) = (message.qos, message.packet_id);
        let Some(packet_id) = packet_id.filter(|_| qos != Qos::AtMostOnce) else {
            return self.effects.push(Effect::Message { message });
        };
        let acknowledgements = &mut self.session.acknowledgements;
        // A QoS 1 message that the application still holds is the same exchange, whatever the server calls it.
        if qos == Qos::AtLeastOnce && acknowledgements.is_held(qos, packet_id) {
            return;
        }
        // [MQTT-3.3.4-1], [MQTT-4.5.0-2] Every message is acknowledged as its QoS asks for.
        match self.session.incoming.publish(qos, packet_id) {
            Received::New => {
                let by_hand = self.options.acknowledge == Acknowledge::ByHand;
                acknowledgements.delivered(qos, packet_id, by_hand);
                // QoS 2 is delivered here, at the first PUBLISH (method B of section 4.3.3).
                self.effects.push(Effect::Message { message });
            }
            // [MQTT-4.3.3-10] Acknowledged again, not delivered again.
            Received::Duplicate => acknowledgements.repeated(qos, packet_id),
            Received::TooMany => {
                // Section 3.3.4: more than this client's Receive Maximum.
                return self.violation(now, ReasonCode::ReceiveMaximumExceeded, "more than Receive Maximum in flight");
            }
        }
        self.send_acknowledgements(now);
    }

    /// Sends what is owed and what nobody holds back.
    pub(super) fn send_acknowledgements(&mut self, now: Duration) {
        if !self.is_connected() {
            return;
        }
        // [MQTT-4.3.2-4] PUBACK, [MQTT-4.3.3-8] PUBREC, each with the identifier of the PUBLISH ([MQTT-2.2.1-5]).
        while let Some(packet_id) = self.session.acknowledgements.next_due(Qos::AtLeastOnce) {
            self.session.incoming.finished(packet_id);
            self.send(now, Packet::Puback(Ack::new(packet_id)));
        }
        while let Some(packet_id) = self.session.acknowledgements.next_due(Qos::ExactlyOnce) {
            self.send(now, Packet::Pubrec(Ack::new(packet_id)));
        }
    }

    fn handle_pubrel(&mut self, now: Duration, ack: &Ack) {
        let packet_id = ack.packet_id;
        self.session.acknowledgements.released(packet_id);
        let known = self.session.incoming.pubrel(packet_id);
        // [MQTT-4.3.3-11] PUBCOMP in any case.
        let reason = match known || !self.options.version.has_properties() {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        self.send(now, Packet::Pubcomp(Ack::with_reason(packet_id, reason)));
    }

    fn handle_puback(&mut self, now: Duration, ack: Ack) {
        // [MQTT-4.4.0-2] With any reason the message is acknowledged. An unknown identifier is survived.
        if self.session.outgoing.puback(ack.packet_id).is_some() {
            let token = self.session.tokens.remove(&ack.packet_id);
            self.done(token, Outcome::Published { reason: ack.reason, properties: ack.properties });
            self.flush(now);
        }
    }

    fn handle_pubrec(&mut self, now: Duration, ack: Ack) {
        let packet_id = ack.packet_id;
        match self.session.outgoing.pubrec(packet_id, ack.reason) {
            // [MQTT-4.3.3-4] PUBREL; [MQTT-4.6.0-4] in the order in which the PUBRECs came.
            Pubrec::Release(_) => {
                self.session.released.insert(packet_id, (ack.reason, ack.properties));
                self.send(now, Packet::Pubrel(Ack::new(packet_id)));
            }
            Pubrec::Again => self.send(now, Packet::Pubrel(Ack::new(packet_id))),
            // [MQTT-4.4.0-2] PUBREC with 0x80 or more ends the exchange.
            Pubrec::Refused(_) => {
                let token = self.session.tokens.remove(&packet_id);
                self.done(token, Outcome::Published { reason: ack.reason, properties: ack.properties });
                self.flush(now);
            }
            Pubrec::Unknown if ack.reason.is_failure() => {}
            Pubrec::Unknown => {
                let reason = match self.options.version.has_properties() {
                    true => ReasonCode::PacketIdentifierNotFound,
                    false => ReasonCode::Success,
                };
                self.send(now, Packet::Pubrel(Ack::with_reason(packet_id, reason)));
            }
        }
    }

    fn handle_pubcomp(&mut self, now: Duration, ack: &Ack) {
        if self.session.outgoing.pubcomp(ack.packet_id) {
            let token = self.session.tokens.remove(&ack.packet_id);
            let said = self.session.released.remove(&ack.packet_id);
            let (reason, properties) = said.unwrap_or((ReasonCode::Success, Default::default()));
            self.done(token, Outcome::Published { reason, properties });
            self.flush(now);
        }
    }

    /// SUBACK or UNSUBACK came.
    fn handle_answer(&mut self, now: Duration, kind: AwaitedKind, packet_id: PacketId, reasons: Vec<ReasonCode>) {
        let name = match kind {
            AwaitedKind::Suback => "SUBACK",
            AwaitedKind::Unsuback => "UNSUBACK",
        };
        match self.session.awaited.get(&packet_id).copied() {
            Some(awaited) if awaited.kind == kind => {
                // [MQTT-3.9.3-1], [MQTT-3.11.3-1] One reason for each filter, in order; a 3.x UNSUBACK has none.
                let has_reasons = kind == AwaitedKind::Suback || self.options.version.has_properties();
                if reasons.len() != if has_reasons { awaited.count } else { 0 } {
                    let detail = format!("{} reasons in {name} for {} filters", reasons.len(), awaited.count);
                    return self.violation(now, ReasonCode::ProtocolError, detail);
                }
                self.session.awaited.remove(&packet_id);
                self.session.outgoing.free(packet_id);
                let outcome = match kind {
                    AwaitedKind::Suback => Outcome::Subscribed { reasons },
                    AwaitedKind::Unsuback => Outcome::Unsubscribed { reasons },
                };
                self.done(Some(awaited.token), outcome);
                self.flush(now);
            }
            _ => self.violation(
                now,
                ReasonCode::ProtocolError,
                format!("{name} for a packet identifier nobody asked with"),
            ),
        }
    }
}
