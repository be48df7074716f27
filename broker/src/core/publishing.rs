//! PUBLISH from a client and the acknowledgements of both directions (sections 3.3 to 3.7 and 4.3).

use squall_codec::{
    flow::{AliasError, Pubrec, Received},
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    wire::{PacketId, Text},
};

use super::{
    acl::{self, Action},
    broker::Broker,
    closing::Violation,
    effect::{ConnectionId, Record},
    explaining::refused_publish,
    session::SessionKey,
};

/// Who is speaking: what every handler of a packet needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaker {
    /// The connection.
    pub(super) id: ConnectionId,
    /// Its session.
    pub(super) session: SessionKey,
    /// Whether acknowledgements carry reasons (5.0).
    pub(super) has_reasons: bool,
}

impl Speaker {
    /// An acknowledgement in the speaker's version: before 5.0 it carries no reason.
    fn ack(self, packet_id: PacketId, reason: ReasonCode) -> Ack {
        Ack::with_reason(packet_id, if self.has_reasons { reason } else { ReasonCode::Success })
    }
}

impl Broker {
    /// A PUBLISH came.
    pub(super) fn handle_publish(&mut self, speaker: Speaker, publish: Publish) {
        let publish = match self.check_publish(speaker, publish) {
            Ok(publish) => publish,
            Err(violation) => return self.violation(speaker.id, violation),
        };
        // [MQTT-3.3.4-1]
        let (qos, Some(packet_id)) = (publish.qos, publish.packet_id) else {
            self.publish_for(speaker, publish);
            return;
        };
        let session = &mut self.sessions[speaker.session];
        let ends_another = qos == Qos::AtLeastOnce && session.durable && session.incoming.awaits_release(packet_id);
        match session.incoming.publish(qos, packet_id) {
            // [MQTT-3.3.4-7] is broken by the client.
            Received::TooMany => self.violation(
                speaker.id,
                Violation::of(
                    ReasonCode::ReceiveMaximumExceeded,
                    "MQTT-3.3.4-7",
                    "more QoS 1 and 2 messages are open than Receive Maximum allows",
                ),
            ),
            // [MQTT-4.3.3-10]
            Received::Duplicate => self.send(speaker.id, Packet::Pubrec(Ack::new(packet_id))),
            Received::New => {
                // At QoS 1 the identifier stands for a new message, whatever the client had begun with it.
                if ends_another {
                    let client_id = self.sessions[speaker.session].client_id.clone();
                    self.persist(Record::Completed { client_id, packet_id });
                }
                self.accept_publish(speaker, qos, packet_id, publish);
            }
        }
    }

    /// A message with QoS 1 or 2 that was not seen before.
    fn accept_publish(&mut self, speaker: Speaker, qos: Qos, packet_id: PacketId, publish: Publish) {
        if self.is_short_for_publish(speaker, &publish) {
            return self.refuse_publish(speaker, qos, packet_id);
        }
        let session = &self.sessions[speaker.session];
        let remembered = (qos == Qos::ExactlyOnce && session.durable).then(|| session.client_id.clone());
        if let Some(client_id) = remembered.clone() {
            self.persist(Record::Received { client_id, packet_id });
            self.publish_once();
        }
        let reason = self.publish_for(speaker, publish);
        let ack = speaker.ack(packet_id, reason);
        if qos == Qos::AtLeastOnce {
            // [MQTT-4.3.2-4] [MQTT-4.3.2-5] From here the identifier stands for a new message.
            self.sessions[speaker.session].incoming.finished(packet_id);
            let packet = self.explained(speaker.id, Packet::Puback(ack), self.why(reason, refused_publish));
            self.send(speaker.id, packet);
            return;
        }
        if ack.reason.is_failure() {
            // [MQTT-4.3.3-9]
            self.sessions[speaker.session].incoming.finished(packet_id);
            if let Some(client_id) = remembered {
                self.persist(Record::Completed { client_id, packet_id });
            }
        }
        // [MQTT-4.3.3-8]
        let packet = self.explained(speaker.id, Packet::Pubrec(ack), self.why(reason, refused_publish));
        self.send(speaker.id, packet);
    }

    /// The store cannot keep what this message would leave behind.
    fn refuse_publish(&mut self, speaker: Speaker, qos: Qos, packet_id: PacketId) {
        self.sessions[speaker.session].incoming.finished(packet_id);
        if !speaker.has_reasons {
            return self.refuse_for_shortage(speaker.id);
        }
        let ack = speaker.ack(packet_id, ReasonCode::QuotaExceeded);
        let ack = if qos == Qos::AtLeastOnce { Packet::Puback(ack) } else { Packet::Pubrec(ack) };
        let packet = self.explained(speaker.id, ack, self.why(ReasonCode::QuotaExceeded, refused_publish));
        self.send(speaker.id, packet);
    }

    /// What a client may not send now; and the topic that an alias stands for.
    fn check_publish(&mut self, speaker: Speaker, publish: Publish) -> Result<Publish, Violation> {
        // Before 5.0 nobody is told what there is not: what cannot be retained passes all the same, with its flag ([MQTT-3.3.1-13]).
        if !speaker.has_reasons {
            return Ok(publish);
        }
        if publish.qos > self.config.maximum_qos {
            return Err(Violation::of(
                ReasonCode::QosNotSupported,
                "MQTT-3.2.2-11",
                "PUBLISH with a QoS above the Maximum QoS of CONNACK",
            ));
        }
        if publish.retain && !self.config.retain_available {
            return Err(Violation::of(
                ReasonCode::RetainNotSupported,
                "MQTT-3.2.2-14",
                "PUBLISH with RETAIN where CONNACK said that it is not available",
            ));
        }
        match publish.topic_alias {
            Some(_) => self.resolve_alias(speaker, publish),
            None => Ok(publish),
        }
    }

    /// Topic Alias (section 3.3.2.3.4): sets the mapping, or puts its topic in.
    fn resolve_alias(&mut self, speaker: Speaker, publish: Publish) -> Result<Publish, Violation> {
        let Some(open) = self.connections.get_mut(&speaker.id).and_then(|connection| connection.open_mut()) else {
            return Ok(publish);
        };
        // [MQTT-3.3.2-12]
        open.aliases.resolve(publish).map_err(|error| match error {
            AliasError::AboveMaximum { .. } => Violation::of(
                error.reason_code(),
                "MQTT-3.3.2-9",
                "Topic Alias above the Topic Alias Maximum of CONNACK",
            ),
            AliasError::Unknown { .. } => {
                Violation::new(error.reason_code(), "Topic Alias that stands for no Topic Name")
            }
        })
    }

    /// Publishes in the name of the speaker, or says why not.
    fn publish_for(&mut self, speaker: Speaker, publish: Publish) -> ReasonCode {
        // 3.1.1 [MQTT-3.3.5-2] Before 5.0 it is acknowledged all the same.
        let topic = publish.topic();
        if !acl::is_writable(topic) || !self.may(speaker.session, Action::Publish, topic) {
            self.statistics.denied_publishes += 1;
            return ReasonCode::NotAuthorized;
        }
        if !self.config.limits.takes_topic(topic) {
            self.statistics.dropped_topic += 1;
            return ReasonCode::TopicNameInvalid;
        }
        let acknowledged = speaker.has_reasons && publish.qos > Qos::AtMostOnce;
        if acknowledged && publish.retain && !self.can_retain(&publish) {
            return ReasonCode::QuotaExceeded;
        }
        let client_id: Text = self.sessions[speaker.session].client_id.clone();
        let size = publish.size_bytes();
        self.begin_audience();
        let receivers = self.publish(&client_id, publish);
        self.hold_back(speaker.id, size);
        match receivers {
            0 => ReasonCode::NoMatchingSubscribers,
            _ => ReasonCode::Success,
        }
    }

    /// PUBACK came: the exchange ends, whatever the reason ([MQTT-4.4.0-2]).
    pub(super) fn handle_puback(&mut self, speaker: Speaker, ack: &Ack) {
        // An identifier that is unknown, or of another kind of exchange, is ignored.
        if let Some(delivery) = self.sessions[speaker.session].outgoing.puback(ack.packet_id) {
            self.sessions[speaker.session].let_go(&delivery);
            self.settle(speaker.session, ack.packet_id, Some(delivery.number));
        }
    }

    /// PUBREC came.
    pub(super) fn handle_pubrec(&mut self, speaker: Speaker, ack: &Ack) {
        let session = &mut self.sessions[speaker.session];
        let packet_id = ack.packet_id;
        match session.outgoing.pubrec(packet_id, ack.reason) {
            // [MQTT-4.3.3-4]
            Pubrec::Release(delivery) => {
                session.let_go(&delivery);
                session.forget_resend(packet_id);
                if session.durable {
                    let client_id = session.client_id.clone();
                    self.persist(Record::Released { client_id, packet_id, number: delivery.number });
                }
                self.send(speaker.id, Packet::Pubrel(Ack::new(packet_id)));
            }
            Pubrec::Again => self.send(speaker.id, Packet::Pubrel(Ack::new(packet_id))),
            // [MQTT-4.8.2-6] The message goes to nobody else; nor does one that a PUBACK refuses.
            Pubrec::Refused(delivery) => {
                session.let_go(&delivery);
                self.settle(speaker.session, packet_id, Some(delivery.number));
            }
            Pubrec::Unknown => {
                let ack = speaker.ack(packet_id, ReasonCode::PacketIdentifierNotFound);
                self.send(speaker.id, Packet::Pubrel(ack));
            }
        }
    }

    /// PUBREL came: PUBCOMP is owed in any case ([MQTT-4.3.3-11]), also for a message that has expired ([MQTT-4.3.3-13]).
    pub(super) fn handle_pubrel(&mut self, speaker: Speaker, ack: &Ack) {
        let packet_id = ack.packet_id;
        if self.is_short_for(speaker.session) {
            return self.refuse_for_shortage(speaker.id);
        }
        let session = &mut self.sessions[speaker.session];
        let reason = if session.incoming.pubrel(packet_id) {
            // [MQTT-4.3.3-12]
            if session.durable {
                let client_id = session.client_id.clone();
                self.persist(Record::Completed { client_id, packet_id });
            }
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.send(speaker.id, Packet::Pubcomp(speaker.ack(packet_id, reason)));
    }

    /// PUBCOMP came.
    pub(super) fn handle_pubcomp(&mut self, speaker: Speaker, ack: &Ack) {
        if self.sessions[speaker.session].outgoing.pubcomp(ack.packet_id) {
            self.settle(speaker.session, ack.packet_id, None);
        }
    }

    /// An exchange that we began is over: there is room for the next.
    fn settle(&mut self, key: SessionKey, packet_id: PacketId, number: Option<u64>) {
        let session = &mut self.sessions[key];
        session.forget_resend(packet_id);
        if session.durable {
            let client_id = session.client_id.clone();
            self.persist(Record::Settled { client_id, packet_id, number });
        }
        self.pump(key);
        let session = &mut self.sessions[key];
        session.is_catching_up &= session.queue.len() > self.config.limits.queued_messages / 2;
        if let Some(id) = session.connection {
            self.relieve(id);
        }
    }
}
