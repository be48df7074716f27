//! Each delivery as far as its client lets it go: at once, in the queue, in flight, sent again.

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};

use super::{
    acl::Action,
    broker::Broker,
    effect::{CloseCause, ConnectionId, Record},
    limits::QueuePolicy,
    session::{Delivery, Resend, SessionKey},
};

impl Broker {
    /// A message for one session, with QoS and flags of this delivery.
    pub(super) fn deliver(&mut self, key: SessionKey, delivery: Delivery) {
        if delivery.message.qos > Qos::AtMostOnce {
            self.enqueue(key, delivery);
            self.pump(key);
            self.note_reader(key);
            return;
        }
        // [MQTT-3.3.2-5] It may have waited for another member of its share.
        if delivery.is_expired(self.now.unix) {
            self.statistics.dropped_expired += 1;
            return;
        }
        // [MQTT-4.3.1-1] A QoS 0 message is for those who are there now; sessions without a connection are not.
        let Some(id) = self.sessions[key].connection else { return };
        if self.is_congested(id) {
            self.statistics.dropped_slow_reader += 1;
        } else {
            self.send_publish(id, delivery.publish(self.now.unix, None, false), delivery.published_by);
        }
        self.note_reader(key);
    }

    /// Puts a QoS 1 or 2 message into the session's queue, if there is room or the policy makes some.
    fn enqueue(&mut self, key: SessionKey, mut delivery: Delivery) {
        let limits = &self.config.limits;
        let (messages, bytes, policy) = (limits.queued_messages, limits.queued_bytes, limits.queue_policy);
        let size = delivery.message.size_bytes();
        let held_bytes = limits.held_bytes;
        while !self.sessions[key].queue_has_room(size, messages, bytes)
            || self.sessions.held_bytes() + size > held_bytes
        {
            self.statistics.dropped_queue_full += 1;
            let oldest = match policy {
                QueuePolicy::DropOldest => self.sessions[key].dequeue(),
                QueuePolicy::DropNewest | QueuePolicy::Disconnect => None,
            };
            match (oldest, self.sessions[key].connection) {
                (Some(oldest), _) => self.forget_queued(key, &oldest),
                (None, Some(id)) if policy == QueuePolicy::Disconnect && !self.sessions[key].is_catching_up => {
                    self.sessions[key].is_catching_up = true;
                    return self.doomed.push((id, CloseCause::QueueFull));
                }
                (None, _) => return,
            }
        }
        let session = &mut self.sessions[key];
        delivery.number = session.number();
        let record = session.durable.then(|| Record::Queued {
            client_id: session.client_id.clone(),
            number: delivery.number,
            message: delivery.message.clone(),
            arrived: delivery.arrived,
            shared: delivery.shared.clone(),
        });
        session.enqueue(delivery);
        if let Some(record) = record {
            self.persist(record);
        }
    }

    /// Sends what waits in a session, as far as its client lets it: first what is to be sent again, then the queue
    /// ([MQTT-4.6.0-5], [MQTT-4.6.0-6]), then the retained messages that were asked for. The last are looked up only now: as many as there
    /// are, they wait in no queue.
    pub(super) fn pump(&mut self, key: SessionKey) {
        while let Some(id) = self.sessions[key].connection {
            let session = &self.sessions[key];
            let nothing = session.resends.is_empty() && session.queue.is_empty() && session.scans.is_empty();
            if nothing || self.is_congested(id) {
                return;
            }
            let went_on = match self.sessions[key].resends.is_empty() {
                true => self.send_queued(key, id) || self.send_retained(key, id),
                // What is retained goes to the queue, which is behind it.
                false => self.send_again(key, id) || self.send_retained(key, id),
            };
            if !went_on {
                return;
            }
        }
    }

    /// The next retained message that a subscription asks for ([MQTT-3.3.1-9]). `false` when there is none, or it has to
    /// wait for the queue.
    fn send_retained(&mut self, key: SessionKey, id: ConnectionId) -> bool {
        let now = self.now.unix;
        let limits = &self.config.limits;
        let held_bytes = self.sessions.held_bytes();
        let session = &mut self.sessions[key];
        let Some(scan) = session.scans.front() else { return false };
        let Some((topic, stored)) = self.retained.next(scan, now) else {
            session.scans.pop_front();
            return true;
        };
        // Some go to the queue ahead of their time, so that they stand before what is published from now on; the rest does not
        // have to fear for its place in the queue.
        let size = stored.message.size_bytes();
        let ahead = session.queue_has_room(size, limits.queued_messages / 2, limits.queued_bytes);
        if !ahead || (held_bytes + size > limits.held_bytes && !session.queue.is_empty()) {
            return false;
        }
        let (message, arrived) = (scan.message(stored), stored.arrived);
        let delivery = Delivery { message, arrived, number: 0, shared: None, published_by: 0 };
        let topic = Box::from(topic);
        if let Some(scan) = session.scans.front_mut() {
            scan.pass(topic);
        }
        if !self.may(key, Action::Receive, delivery.message.topic()) {
            self.statistics.denied_deliveries += 1;
        } else if delivery.message.qos > Qos::AtMostOnce {
            self.enqueue(key, delivery);
        } else {
            self.send_publish(id, delivery.publish(now, None, false), 0);
        }
        true
    }

    /// The first that is to be sent again, with its identifier of before ([MQTT-4.4.0-1]). `false` when it has to wait.
    fn send_again(&mut self, key: SessionKey, id: ConnectionId) -> bool {
        let now = self.now.unix;
        let session = &mut self.sessions[key];
        if matches!(session.resends.front(), Some(Resend::Publish(..))) && !session.may_resend() {
            return false;
        }
        match session.resends.pop_front() {
            None => false,
            Some(Resend::Pubrel(packet_id)) => {
                self.send(id, Packet::Pubrel(Ack::new(packet_id)));
                true
            }
            Some(Resend::Publish(packet_id, delivery)) => {
                // [MQTT-3.3.1-1]; [MQTT-4.3.3-7]: expiry no longer applies.
                let dup = !session.never_sent.remove(&packet_id);
                // [MQTT-3.3.2-5] It does where nothing has left yet.
                if !dup && delivery.is_expired(now) {
                    self.statistics.dropped_expired += 1;
                    self.give_up(key, packet_id, &delivery);
                    return true;
                }
                let publish = delivery.publish(now, Some(packet_id), dup);
                match self.fitting(id, publish) {
                    Some(publish) => self.send_publish(id, publish, delivery.published_by),
                    None => {
                        self.statistics.dropped_too_large += 1;
                        self.give_up(key, packet_id, &delivery);
                    }
                }
                true
            }
        }
    }

    /// The first of the queue. `false` when it has to wait.
    fn send_queued(&mut self, key: SessionKey, id: ConnectionId) -> bool {
        let now = self.now.unix;
        let session = &self.sessions[key];
        let Some(qos) = session.queue.front().map(|first| first.message.qos) else { return false };
        // [MQTT-3.3.4-9] [MQTT-4.9.0-2] Only these wait for the quota: [MQTT-3.3.4-10] [MQTT-4.9.0-3].
        if !session.may_send(self.config.limits.in_flight_bytes) {
            return false;
        }
        // It would have to wait for the store, and all others behind it.
        if qos == Qos::ExactlyOnce && self.is_short_for(key) {
            return false;
        }
        let session = &mut self.sessions[key];
        let Some(delivery) = session.dequeue() else { return false };
        // [MQTT-3.3.2-5]
        if delivery.is_expired(now) {
            self.statistics.dropped_expired += 1;
            self.forget_queued(key, &delivery);
            return true;
        }
        // Those that came since were judged when they came.
        if delivery.number <= self.sessions[key].judge_up_to
            && !self.may(key, Action::Receive, delivery.message.topic())
        {
            self.statistics.denied_deliveries += 1;
            self.forget_queued(key, &delivery);
            return true;
        }
        // [MQTT-3.1.2-25] It takes no identifier and no quota.
        let Some(mut publish) = self.fitting(id, delivery.publish(now, Some(PacketId::MIN), false)) else {
            self.statistics.dropped_too_large += 1;
            self.forget_queued(key, &delivery);
            return true;
        };
        let (number, published_by) = (delivery.number, delivery.published_by);
        let session = &mut self.sessions[key];
        // [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
        let Some(packet_id) = session.begin(delivery) else { return false };
        publish.packet_id = Some(packet_id);
        if session.durable {
            let client_id = session.client_id.clone();
            self.persist(Record::Sent { client_id, number, packet_id });
        }
        self.send_publish(id, publish, published_by);
        true
    }

    /// The message, if the client takes a packet of its size.
    fn fitting(&self, id: ConnectionId, publish: Publish) -> Option<Publish> {
        let open = self.connections.get(&id)?.open()?;
        let packet = Packet::Publish(publish);
        let fits = packet.encoded_len(open.version) <= open.maximum_packet_size;
        match packet {
            Packet::Publish(publish) if fits => Some(publish),
            _ => None,
        }
    }

    /// A message that was in flight is sent no more: it counts as delivered.
    fn give_up(&mut self, key: SessionKey, packet_id: PacketId, delivery: &Delivery) {
        let session = &mut self.sessions[key];
        session.let_go(delivery);
        match delivery.message.qos {
            Qos::ExactlyOnce => drop(session.outgoing.pubrec(packet_id, ReasonCode::PacketTooLarge)),
            _ => drop(session.outgoing.puback(packet_id)),
        }
        if session.durable {
            let client_id = session.client_id.clone();
            self.persist(Record::Settled { client_id, packet_id, number: Some(delivery.number) });
        }
    }

    pub(super) fn forget_queued(&mut self, key: SessionKey, delivery: &Delivery) {
        let session = &self.sessions[key];
        if session.durable {
            let client_id = session.client_id.clone();
            self.persist(Record::Dropped { client_id, number: delivery.number });
        }
    }
}
