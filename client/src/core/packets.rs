//! What the server sends: the answers to our requests, its messages, and what it must not send.

use std::time::Duration;

use squall_codec::{
    flow::{Pubrec, Received},
    packet::{Ack, Packet, Publish, Suback, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};

use super::{
    client::{Client, Phase},
    effect::{DisconnectCause, Effect, Event, Outcome, Token},
    record::Record,
    session::Asked,
};
use crate::options::Acknowledge;

impl Client {
    pub(super) fn handle_packet(&mut self, now: Duration, packet: Packet) {
        match self.phase {
            Phase::Handshake { clean_start, .. } => match packet {
                Packet::Connack(connack) => self.handle_connack(now, clean_start, *connack),
                Packet::Auth(auth) => self.handle_auth_in_handshake(now, &auth),
                // [MQTT-3.2.0-1] Nothing but AUTH comes before CONNACK.
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
            Packet::Suback(suback) => self.handle_suback(now, suback),
            Packet::Unsuback(unsuback) => self.handle_unsuback(now, unsuback),
            Packet::Pingresp => {
                if let Some(keep_alive) = self.keep_alive() {
                    keep_alive.answered();
                }
            }
            Packet::Disconnect(disconnect) if self.options.version.has_properties() => {
                // The sender of DISCONNECT closes; its receiver closes too.
                self.effects.push(Effect::Close);
                let after = self.after(now, disconnect.reason, &disconnect.properties);
                self.end(now, DisconnectCause::server(disconnect.reason, &disconnect.properties), after);
            }
            // [MQTT-3.2.0-2] One CONNACK on a connection.
            Packet::Connack(_) => self.violation(now, ReasonCode::ProtocolError, "a second CONNACK"),
            Packet::Auth(auth) => self.handle_auth(now, &auth),
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
        if message.topic_bytes().is_empty() {
            return self.violation(now, ReasonCode::ProtocolError, "a PUBLISH without a topic");
        }
        let (qos, packet_id) = (message.qos, message.packet_id);
        let Some(packet_id) = packet_id.filter(|_| qos != Qos::AtMostOnce) else {
            return self.effects.push(Effect::Message { message, delivery: None });
        };
        // [MQTT-4.4.0-1] Who goes on with the older session repeats first what is open in it, with DUP. A new session has another message
        // under this identifier, and knows nothing of the others.
        if message.dup {
            self.session.doubtful.remove(&packet_id);
        } else {
            self.forget_doubtful();
        }
        let acknowledgements = &mut self.session.acknowledgements;
        // A QoS 1 message that the application still holds is the same exchange, whatever the server calls it.
        if qos == Qos::AtLeastOnce && acknowledgements.is_held(packet_id) {
            return;
        }
        // [MQTT-3.3.4-1], [MQTT-4.5.0-2] Every message is acknowledged as its QoS asks for.
        match self.session.incoming.publish(qos, packet_id) {
            Received::New => {
                let by_hand = self.options.acknowledge == Acknowledge::ByHand;
                let delivery = Some(acknowledgements.delivered(qos, packet_id, by_hand));
                if qos == Qos::ExactlyOnce {
                    self.keep(Record::Received { packet_id });
                }
                // QoS 2 is delivered here, at the first PUBLISH (method B of section 4.3.3).
                self.effects.push(Effect::Message { message, delivery });
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

    /// The server has a new session: what it still had to release in the older one will never be released.
    fn forget_doubtful(&mut self) {
        for packet_id in std::mem::take(&mut self.session.doubtful) {
            self.session.incoming.finished(packet_id);
            self.session.acknowledgements.released(packet_id);
            self.keep(Record::Completed { packet_id });
        }
    }

    /// Sends what is owed and what nobody holds back.
    pub(super) fn send_acknowledgements(&mut self, now: Duration) {
        if !self.is_connected() {
            return;
        }
        // [MQTT-3.4.2-2], [MQTT-3.4.2-3], [MQTT-3.5.2-2], [MQTT-3.5.2-3] Without Reason String and User Properties, like
        // PUBREL and PUBCOMP ([MQTT-3.6.2-2], [MQTT-3.6.2-3], [MQTT-3.7.2-2], [MQTT-3.7.2-3]): none is ever too large.
        // [MQTT-4.3.2-5] After PUBACK the identifier names a new message.
        // [MQTT-4.3.2-4] PUBACK, [MQTT-4.3.3-8] PUBREC, each with the identifier of the PUBLISH ([MQTT-2.2.1-5]).
        while let Some((packet_id, reason)) = self.session.acknowledgements.next_due(Qos::AtLeastOnce) {
            self.session.incoming.finished(packet_id);
            self.send(now, Packet::Puback(Ack::with_reason(packet_id, reason)));
        }
        while let Some((packet_id, reason)) = self.session.acknowledgements.next_due(Qos::ExactlyOnce) {
            // [MQTT-4.3.3-9] After a refusal too.
            if reason.is_failure() {
                self.session.incoming.finished(packet_id);
                self.keep(Record::Completed { packet_id });
            }
            self.send(now, Packet::Pubrec(Ack::with_reason(packet_id, reason)));
        }
    }

    fn handle_pubrel(&mut self, now: Duration, ack: &Ack) {
        let packet_id = ack.packet_id;
        self.session.acknowledgements.released(packet_id);
        self.session.doubtful.remove(&packet_id);
        let known = self.session.incoming.pubrel(packet_id);
        if known {
            self.keep(Record::Completed { packet_id });
        }
        // [MQTT-4.3.3-12], [MQTT-4.3.3-13] From here on the identifier is free, and the message's age never mattered.
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
            let token = self.finished(ack.packet_id);
            self.done(token, Outcome::Published { reason: ack.reason, properties: ack.properties });
            self.flush(now);
        }
    }

    /// An exchange is over: who waits for it.
    pub(super) fn finished(&mut self, packet_id: PacketId) -> Option<Token> {
        if let Some(number) = self.session.numbers.remove(packet_id) {
            self.keep(Record::Finished { number });
        }
        self.session.tokens.remove(packet_id)
    }

    fn handle_pubrec(&mut self, now: Duration, ack: Ack) {
        let packet_id = ack.packet_id;
        match self.session.outgoing.pubrec(packet_id, ack.reason) {
            // [MQTT-4.3.3-5] Unacknowledged until PUBCOMP.
            // [MQTT-4.3.3-4] PUBREL; [MQTT-4.6.0-4] in the order in which the PUBRECs came.
            Pubrec::Release(_) => {
                self.session.released.insert(packet_id, (ack.reason, ack.properties));
                if let Some(number) = self.session.numbers.get(packet_id).copied() {
                    self.keep(Record::Released { number, packet_id });
                }
                self.send(now, Packet::Pubrel(Ack::new(packet_id)));
            }
            Pubrec::Again => self.send(now, Packet::Pubrel(Ack::new(packet_id))),
            // [MQTT-4.4.0-2], [MQTT-4.3.3-9] PUBREC with 0x80 or more ends the exchange.
            Pubrec::Refused(_) => {
                let token = self.finished(packet_id);
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
            let token = self.finished(ack.packet_id);
            let said = self.session.released.remove(ack.packet_id);
            let (reason, properties) = said.unwrap_or((ReasonCode::Success, Default::default()));
            self.done(token, Outcome::Published { reason, properties });
            self.flush(now);
        }
    }

    fn handle_suback(&mut self, now: Duration, suback: Suback) {
        let packet_id = suback.packet_id;
        let reasons = suback.reasons;
        let Some(Asked::Subscribe { token, subscriptions, .. }) = self.session.asked.get(packet_id) else {
            return self.violation(now, ReasonCode::ProtocolError, "SUBACK for a packet identifier nobody asked with");
        };
        // [MQTT-3.9.3-1] One reason for each filter, in order.
        if reasons.len() != subscriptions.len() {
            let detail = format!("{} reasons in SUBACK for {} filters", reasons.len(), subscriptions.len());
            return self.violation(now, ReasonCode::ProtocolError, detail);
        }
        let renewed = token.is_none();
        let Some(Asked::Subscribe { token, subscriptions, identifier }) = self.answered(packet_id) else { return };
        if renewed {
            let answers = subscriptions.iter().map(|one| one.filter.clone()).zip(reasons.iter().copied());
            let refused = answers.filter(|(_, reason)| reason.is_failure()).collect();
            self.effects.push(Effect::Event(Event::Resubscribed { refused }));
        }
        self.remember_subscriptions(subscriptions, identifier, &reasons, renewed);
        self.done(token, Outcome::Subscribed { reasons });
        self.flush(now);
    }

    fn handle_unsuback(&mut self, now: Duration, unsuback: Unsuback) {
        let packet_id = unsuback.packet_id;
        let reasons = unsuback.reasons;
        let Some(Asked::Unsubscribe { filters, .. }) = self.session.asked.get(packet_id) else {
            return self.violation(
                now,
                ReasonCode::ProtocolError,
                "UNSUBACK for a packet identifier nobody asked with",
            );
        };
        // [MQTT-3.11.3-1] One reason for each filter, in order; before 5.0 there are none.
        let expected = if self.options.version.has_properties() { filters.len() } else { 0 };
        if reasons.len() != expected {
            let detail = format!("{} reasons in UNSUBACK for {} filters", reasons.len(), filters.len());
            return self.violation(now, ReasonCode::ProtocolError, detail);
        }
        let Some(Asked::Unsubscribe { token, filters }) = self.answered(packet_id) else { return };
        self.session.subscriptions.remove(&filters, &reasons);
        self.done(Some(token), Outcome::Unsubscribed { reasons });
        self.flush(now);
    }

    fn answered(&mut self, packet_id: PacketId) -> Option<Asked> {
        self.session.outgoing.free(packet_id);
        self.session.asked.remove(packet_id)
    }
}
