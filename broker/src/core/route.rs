//! One PUBLISH to its many deliveries, and each delivery as far as the client lets it go.

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    wire::{PacketId, Text},
};

use super::{
    acl::{Acl, Action},
    broker::Broker,
    connection::Connection,
    effect::{CloseCause, ConnectionId, Record},
    hash::Map,
    limits::QueuePolicy,
    session::{Delivery, Resend, SessionKey, Sessions},
    shared::Fitness,
    subscriptions::Match,
};

/// The message as it came, and a copy that owns its bytes, made when somebody has to keep it and shared by all who do.
struct Routed {
    live: Publish,
    kept: Option<Publish>,
}

impl Routed {
    /// The message for one delivery.
    fn copy(&mut self, qos: Qos) -> Publish {
        let mut copy = if qos == Qos::AtMostOnce { self.live.clone() } else { self.kept() };
        copy.qos = qos;
        begin_hop(&mut copy);
        copy
    }

    /// The message to be kept, with the QoS it came with.
    fn kept(&mut self) -> Publish {
        let mut copy = self.kept.get_or_insert_with(|| self.live.detached()).clone();
        begin_hop(&mut copy);
        copy
    }
}

/// Takes off what belongs to the hop before.
fn begin_hop(message: &mut Publish) {
    message.packet_id = None;
    // [MQTT-3.3.1-3] DUP depends on this hop alone.
    message.dup = false;
    message.topic_alias = None;
    message.subscription_identifiers.clear();
}

/// What all the subscriptions of one session that match say together.
struct Combined {
    qos: Qos,
    retain_as_published: bool,
    identifiers: Vec<u32>,
}

/// What decides which member of a share gets a message of this topic.
struct Placing<'a> {
    sessions: &'a Sessions,
    connections: &'a Map<ConnectionId, Connection>,
    acl: &'a Acl,
    soft: usize,
    in_flight_bytes: usize,
    topic: &'a str,
}

impl Placing<'_> {
    fn fitness(&self, key: SessionKey) -> Fitness {
        let session = &self.sessions[key];
        if !self.acl.is_open() && !self.acl.allows(session.subject(), Action::Receive, self.topic) {
            return Fitness::Barred;
        }
        let Some(connection) = session.connection.and_then(|id| self.connections.get(&id)) else {
            return Fitness::Away;
        };
        let waits = !session.queue.is_empty()
            || !session.resends.is_empty()
            || !session.may_send(self.in_flight_bytes)
            || connection.unflushed.memory() >= self.soft;
        if waits { Fitness::Busy } else { Fitness::Ready }
    }
}

impl Broker {
    /// Publishes a message in the name of a client: keeps it if it is to be retained, and delivers it to every session
    /// with a matching subscription ([MQTT-4.5.0-1]). How many those were.
    pub(super) fn publish(&mut self, publisher: &Text, message: Publish) -> usize {
        let mut message = Routed { live: message, kept: None };
        // [MQTT-3.3.1-8]
        if message.live.retain && self.config.retain_available {
            self.retain(&mut message);
        }
        self.route(Some(publisher), message)
    }

    /// Publishes a message of the server's own. It is retained beside the bounds, for there are few, and it does not go to the
    /// store: the next run has its own.
    pub(super) fn publish_own(&mut self, message: Publish) {
        let mut message = Routed { live: message, kept: None };
        if self.config.retain_available {
            let kept = message.kept();
            self.retained.set(kept, self.now.unix);
        }
        self.route(None, message);
    }

    /// Delivers a message to every session with a matching subscription.
    fn route(&mut self, publisher: Option<&Text>, mut message: Routed) -> usize {
        let mut matches = std::mem::take(&mut self.matches);
        let placing = Placing {
            sessions: &self.sessions,
            connections: &self.connections,
            acl: &self.config.acl,
            soft: self.config.limits.unflushed_soft,
            in_flight_bytes: self.config.limits.in_flight_bytes,
            topic: message.live.topic(),
        };
        self.subscriptions.matching(message.live.topic(), |key| placing.fitness(key), &mut matches);
        // One order for equal inputs; a session's plain subscriptions stand together, before its shared ones.
        matches.sort_by(|a, b| (a.session, &a.share).cmp(&(b.session, &b.share)));

        let mut receivers = 0;
        let mut rest = matches.as_slice();
        while let Some(first) = rest.first() {
            let together = match &first.share {
                // Section 4.8.2: a shared copy is one of its own, with its own identifier. [MQTT-3.3.4-5]
                Some(_) => 1,
                None => rest.iter().take_while(|other| other.session == first.session && other.share.is_none()).count(),
            };
            let (group, others) = rest.split_at(together);
            rest = others;
            if let Some(combined) = self.combine(publisher, group) {
                // A share has chosen among those who may.
                if first.share.is_none() && !self.may(first.session, Action::Receive, message.live.topic()) {
                    self.statistics.denied_deliveries += 1;
                    continue;
                }
                receivers += 1;
                let mut copy = message.copy(message.live.qos.min(combined.qos));
                // [MQTT-3.3.1-12] [MQTT-3.3.1-13]; 3.1.1 [MQTT-3.3.1-9]
                copy.retain = message.live.retain && combined.retain_as_published;
                copy.subscription_identifiers = combined.identifiers;
                let (arrived, share) = (self.now.unix, group[0].share.clone());
                self.deliver(first.session, Delivery { message: copy, arrived, number: 0, share });
            }
        }
        matches.clear();
        self.matches = matches;
        receivers
    }

    /// One copy for one session: the highest QoS ([MQTT-3.3.4-2]; 3.1.1 [MQTT-3.3.5-1]) and every identifier
    /// ([MQTT-3.3.4-3], [MQTT-3.3.4-4]).
    fn combine(&self, publisher: Option<&Text>, group: &[Match]) -> Option<Combined> {
        let mut combined: Option<Combined> = None;
        for Match { session, subscribed, .. } in group {
            // [MQTT-3.8.3-3] It goes by the publisher's Client Identifier.
            if subscribed.options.no_local && Some(&self.sessions[*session].client_id) == publisher {
                continue;
            }
            let combined = combined.get_or_insert(Combined {
                qos: Qos::AtMostOnce,
                retain_as_published: false,
                identifiers: Vec::new(),
            });
            combined.qos = combined.qos.max(subscribed.options.qos);
            combined.retain_as_published |= subscribed.options.retain_as_published;
            combined.identifiers.extend(subscribed.identifier);
        }
        combined
    }

    /// Whether a message to be retained stays within the bounds. What has expired makes room first.
    pub(super) fn can_retain(&mut self, message: &Publish) -> bool {
        let limits = &self.config.limits;
        let (messages, bytes) = (limits.retained_messages, limits.retained_bytes);
        if message.payload().is_empty() {
            return true;
        }
        let (topic, size) = (message.topic(), message.size_bytes());
        if self.retained.has_room(topic, size, messages, bytes) {
            return true;
        }
        self.purge_retained() && self.retained.has_room(topic, size, messages, bytes)
    }

    /// Drops the retained messages that have expired: whether there were any.
    pub(super) fn purge_retained(&mut self) -> bool {
        let topics = self.retained.purge(self.now.unix);
        let any = !topics.is_empty();
        for topic in topics {
            self.persist(Record::RetainedCleared { topic });
        }
        any
    }

    fn retain(&mut self, message: &mut Routed) {
        // [MQTT-3.3.1-6] [MQTT-3.3.1-7]; 3.1.1 [MQTT-3.3.1-10], 3.1.1 [MQTT-3.3.1-11]
        if message.live.payload().is_empty() {
            let cleared = self.retained.clear(message.live.topic());
            match message.kept().topic_name().filter(|_| cleared) {
                Some(topic) => self.persist(Record::RetainedCleared { topic }),
                // Somebody else may have cleared it just now, and the store may not have kept that yet.
                None => self.wait_for_all_records(),
            }
            return;
        }
        if !self.can_retain(&message.live) {
            self.statistics.dropped_retained += 1;
            return;
        }
        // [MQTT-3.3.1-5]
        let kept = message.kept();
        let arrived = self.now.unix;
        self.retained.set(kept.clone(), arrived);
        self.persist(Record::Retained { message: kept, arrived });
    }

    /// A message for one session, with QoS and flags of this delivery.
    fn deliver(&mut self, key: SessionKey, delivery: Delivery) {
        if delivery.message.qos > Qos::AtMostOnce {
            self.enqueue(key, delivery);
            self.pump(key);
            self.note_reader(key);
            return;
        }
        // [MQTT-4.3.1-1] A QoS 0 message is for those who are there now; sessions without a connection are not.
        let Some(id) = self.sessions[key].connection else { return };
        if self.is_congested(id) {
            self.statistics.dropped_slow_reader += 1;
        } else {
            self.send_publish(id, delivery.publish(self.now.unix, None, false));
        }
        self.note_reader(key);
    }

    /// Puts a message into the session's queue, if there is room or the policy makes some.
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
                (None, Some(id)) if policy == QueuePolicy::Disconnect => {
                    return self.doomed.push((id, CloseCause::QueueFull));
                }
                (None, _) => return,
            }
        }
        let session = &mut self.sessions[key];
        delivery.number = session.number();
        let record = (session.durable && delivery.message.qos > Qos::AtMostOnce).then(|| Record::Queued {
            client_id: session.client_id.clone(),
            number: delivery.number,
            message: delivery.message.clone(),
            arrived: delivery.arrived,
            share: delivery.share.clone(),
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
                false => self.send_again(key, id),
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
        let delivery = Delivery { message: scan.message(stored), arrived: stored.arrived, number: 0, share: None };
        let topic = Box::from(topic);
        if let Some(scan) = session.scans.front_mut() {
            scan.pass(topic);
        }
        if !self.may(key, Action::Receive, delivery.message.topic()) {
            self.statistics.denied_deliveries += 1;
        } else if delivery.message.qos > Qos::AtMostOnce {
            self.enqueue(key, delivery);
        } else {
            self.send_publish(id, delivery.publish(now, None, false));
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
                let publish = delivery.publish(now, Some(packet_id), true);
                match self.fitting(id, publish) {
                    Some(publish) => self.send_publish(id, publish),
                    None => self.give_up(key, packet_id, &delivery),
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
        let number = delivery.number;
        let session = &mut self.sessions[key];
        // [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1]
        let Some(packet_id) = session.begin(delivery) else { return false };
        publish.packet_id = Some(packet_id);
        if session.durable {
            let client_id = session.client_id.clone();
            self.persist(Record::Sent { client_id, number, packet_id });
        }
        self.send_publish(id, publish);
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

    /// A message that was in flight has become too large for the client: it counts as delivered.
    fn give_up(&mut self, key: SessionKey, packet_id: PacketId, delivery: &Delivery) {
        self.statistics.dropped_too_large += 1;
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
        if session.durable && delivery.message.qos > Qos::AtMostOnce {
            let client_id = session.client_id.clone();
            self.persist(Record::Dropped { client_id, number: delivery.number });
        }
    }

    /// A member of a share has gone for good without its message: another one gets it.
    pub(super) fn give_to_another_member(&mut self, delivery: Delivery) {
        if let Some(member) = self.another_member(&delivery, Fitness::Away) {
            self.give_to(member, delivery);
        }
    }

    /// A client has gone and its session stays, or it has left the share: what it was given and was not begun to be sent
    /// goes to members who are there. `only`: of this share. What nobody is there for waits on.
    pub(super) fn pass_on_shares(&mut self, key: SessionKey, only: Option<&TopicFilter>) {
        let concerned = |delivery: &Delivery| match (&delivery.share, only) {
            (Some(share), Some(only)) => share == only,
            (share, None) => share.is_some(),
            (None, _) => false,
        };
        let session = &mut self.sessions[key];
        if !session.queue.iter().any(concerned) {
            return;
        }
        session.queue_bytes = 0;
        for delivery in std::mem::take(&mut session.queue) {
            let member = match concerned(&delivery) {
                true => self.another_member(&delivery, Fitness::Busy),
                false => None,
            };
            match member {
                // The other has it before this one lets it go: the store may be cut off between the two.
                Some(member) => {
                    self.give_to(member, delivery.clone());
                    self.forget_queued(key, &delivery);
                }
                None => self.sessions[key].enqueue(delivery),
            }
        }
    }

    /// The member of the delivery's share whose turn it is, if one is placed as well as this.
    fn another_member(&mut self, delivery: &Delivery, worst: Fitness) -> Option<Match> {
        let share = delivery.share.as_ref()?;
        let placing = Placing {
            sessions: &self.sessions,
            connections: &self.connections,
            acl: &self.config.acl,
            soft: self.config.limits.unflushed_soft,
            in_flight_bytes: self.config.limits.in_flight_bytes,
            topic: delivery.message.topic(),
        };
        let fitness = |key| match placing.fitness(key) {
            fitness if fitness > worst => Fitness::Barred,
            fitness => fitness,
        };
        self.subscriptions.choose(share, fitness)
    }

    fn give_to(&mut self, Match { session, subscribed, share }: Match, delivery: Delivery) {
        let mut delivery = Delivery { share, ..delivery };
        // [MQTT-4.8.2-3]
        delivery.message.qos = delivery.message.qos.min(subscribed.options.qos);
        delivery.message.subscription_identifiers = subscribed.identifier.into_iter().collect();
        self.deliver(session, delivery);
    }
}
