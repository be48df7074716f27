//! Who is to have a message: what comes from clients, and what each session is owed for its subscriptions.

use std::{borrow::Cow, time::Duration};

use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    version::Version,
};

use super::{
    Model, Situation,
    bounds::Room,
    message::Message,
    session::{Life, Owed, Subscribed, Why},
    shares::Member,
};
use crate::invariants::Invariant;

impl Model {
    /// PUBLISH from a client. `room`: among what may be open.
    pub(super) fn published(&mut self, at: usize, session: usize, publish: &Publish, room: Room) {
        let Some(publish) = self.understood(at, publish) else { return };
        let publish = publish.as_ref();
        let version = self.lines[at].version;
        let next = self.messages.len();
        let verdict = self.sessions[session].from_client.publish(version, false, publish, next);
        // More than may be open: then it was not the client's core that has sent it.
        let is_told =
            |(invariant, _): &(Invariant, String)| room == Room::Enough || *invariant != Invariant::ReceiveMaximum;
        if let Some((invariant, detail)) = verdict.breach.filter(is_told) {
            let name = &self.sessions[session].name;
            let detail = format!("client {name}: {detail}");
            self.breach(invariant, detail);
        }
        let message = Message::new(publish.clone(), session, self.now);
        // Where there is no room for another retained message, it may be refused.
        let is_answered = publish.qos > Qos::AtMostOnce;
        let is_above = publish.retain && is_answered && self.retained.len() >= self.terms.retained_messages;
        let may_be_refused = is_above || room != Room::Enough;
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => {
                self.lines[at].answers.puback.push_back((id, Some(next)));
                // The identifier stands for a new message, whatever the client had begun with it.
                let of = &mut self.sessions[session];
                of.received.remove(&id);
                of.perhaps_received.remove(&id);
            }
            (Qos::ExactlyOnce, Some(id)) => {
                let is_short = self.is_short();
                let of = &mut self.sessions[session];
                // [MQTT-4.3.3-10] It is the message that the server has already.
                if of.received.contains(&id) {
                    self.lines[at].answers.pubrec.push_back((id, None));
                    self.came(Situation::DuplicateReceived);
                    return;
                }
                let perhaps = of.perhaps_received.remove(&id);
                if may_be_refused || is_short {
                    of.perhaps_received.insert(id, Some(next));
                } else {
                    of.received.insert(id);
                }
                if let Some(before) = perhaps {
                    self.lines[at].answers.pubrec.push_back((id, None));
                    return self.published_perhaps(message, before);
                }
                self.lines[at].answers.pubrec.push_back((id, Some(next)));
            }
            _ => self.tally.accepted[0] += 1,
        }
        // Whoever repeats a QoS 1 message may be answered with the message again, or not.
        let is_known = self.last_of.contains_key(&message.key);
        // What takes a retained message away has no words at all.
        if is_known || publish.payload().is_empty() {
            self.repeated.insert(message.key);
        }
        let is_again = publish.dup && is_known;
        self.add_message(message);
        self.keep_if_retained(next);
        self.route(next, !is_again && !may_be_refused);
    }

    /// A message that the server had before a crash, unless it takes it for a new one.
    fn published_perhaps(&mut self, message: Message, before: Option<usize>) {
        let next = self.messages.len();
        // Two clients of one name may mean two messages by one identifier.
        let before = before.filter(|before| self.messages[*before].key == message.key);
        self.repeated.insert(message.key);
        self.add_message(Message { twin: before, ..message });
        if let Some(before) = before {
            self.messages[before].twin = Some(next);
        }
        self.retained_perhaps(next);
        self.route(next, false);
    }

    /// With the topic that the client's alias stands for; `None` where it stands for none.
    fn understood<'p>(&mut self, at: usize, publish: &'p Publish) -> Option<Cow<'p, Publish>> {
        let Some(alias) = publish.topic_alias else { return Some(Cow::Borrowed(publish)) };
        let aliases = &mut self.lines[at].aliases[0];
        if let Some(topic) = publish.topic_name() {
            aliases.insert(alias, topic);
            return Some(Cow::Borrowed(publish));
        }
        let Some(topic) = aliases.get(&alias).cloned() else {
            // Who has slipped is shown out, and the server may say farewell before.
            if self.slipped.contains(&self.lines[at].client) {
                return None;
            }
            self.breach(Invariant::TopicAlias, format!("a client uses Topic Alias {alias}, which it never set"));
            return None;
        };
        Some(Cow::Owned(publish.clone().with_topic(&topic)))
    }

    /// What a server hears while it says farewell, it may keep.
    pub(super) fn heard_at_farewell(&mut self, at: usize, session: usize, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => {
                let Some(publish) = self.understood(at, publish) else { return };
                let publish = publish.as_ref();
                let (version, number) = (self.lines[at].version, self.messages.len());
                drop(self.sessions[session].from_client.publish(version, false, publish, number));
                let message = Message::new(publish.clone(), session, self.now);
                if self.last_of.contains_key(&message.key) {
                    self.repeated.insert(message.key);
                }
                let message = self.add_message(message);
                if let Some(id) = publish.packet_id.filter(|_| publish.qos == Qos::ExactlyOnce) {
                    self.sessions[session].perhaps_received.insert(id, Some(message));
                }
                self.retained_perhaps(message);
                self.route(message, false);
            }
            Packet::Pubrel(ack) => {
                let of = &mut self.sessions[session];
                // Then the identifier is free, and may stand for another message, whether the client hears so or not.
                if of.received.remove(&ack.packet_id) {
                    of.perhaps_received.insert(ack.packet_id, None);
                }
                of.from_client.pubrel(ack);
            }
            Packet::Subscribe(subscribe) => {
                let owed = self.sessions[session].owed.len();
                self.subscribes(at, session, subscribe);
                let of = &mut self.sessions[session];
                of.owed.iter_mut().skip(owed).for_each(|owed| owed.is_due = false);
                of.loosen_subscriptions();
            }
            Packet::Unsubscribe(unsubscribe) => {
                for subscribed in &mut self.sessions[session].subscriptions {
                    subscribed.is_going |= unsubscribe.filters.contains(&subscribed.filter);
                }
                let filters = unsubscribe.filters.iter().map(|filter| (filter.as_str().to_owned(), None)).collect();
                self.lines[at].answers.unsuback.push_back((unsubscribe.packet_id, filters));
            }
            Packet::Disconnect(disconnect) => {
                let Some(expiry) = disconnect.properties.session_expiry_interval() else { return };
                let expiry = expiry.min(self.terms.maximum_session_expiry);
                let end = self.now + Duration::from_secs(expiry.into());
                let of = &mut self.sessions[session];
                of.life = match of.life {
                    Life::None => Life::None,
                    Life::Here => Life::Until(end, Duration::MAX),
                    Life::Until(least, most) => Life::Until(least.min(end), most),
                };
                of.expiry = of.expiry.max(expiry);
                of.longest = of.longest.max(expiry);
            }
            _ => {}
        }
    }

    /// What a server says at its farewell has reached the client, whatever it remembers of it.
    pub(super) fn says_at_farewell(&mut self, at: usize, session: usize, packet: &Packet) {
        let of = &mut self.sessions[session];
        let from_client = &mut of.from_client;
        match packet {
            Packet::Connack(connack) if !connack.reason.is_failure() => {
                let keeps = (self.lines[at].version != Version::V3_1).then_some(connack.session_present);
                from_client.begin(keeps, connack.properties.receive_maximum().unwrap_or(u16::MAX));
                let client = self.lines[at].client;
                if of.client.replace(client).is_some_and(|before| before != client) {
                    of.was_anothers = true;
                    of.from_client.forget();
                }
                self.learn_name_at_farewell(session, connack);
            }
            Packet::Publish(publish) => self.sends_farewell(at, session, publish),
            Packet::Puback(ack) => {
                from_client.puback(ack);
            }
            Packet::Pubrec(ack) => {
                from_client.pubrec(ack);
            }
            Packet::Pubcomp(ack) => {
                from_client.pubcomp(ack);
                of.received.remove(&ack.packet_id);
                of.perhaps_received.remove(&ack.packet_id);
            }
            Packet::Suback(suback) => {
                let answers = &self.lines[at].answers;
                if answers.suback.iter().any(|(id, _)| *id == suback.packet_id) {
                    self.grants(at, session, suback);
                    // An UNSUBSCRIBE behind it may have been heard too.
                    let ended = self.lines[at].answers.unsuback.iter().flat_map(|(_, filters)| filters);
                    let of = &mut self.sessions[session];
                    for (filter, _) in ended {
                        let of_filter =
                            of.subscriptions.iter_mut().filter(|subscribed| subscribed.filter.as_str() == filter);
                        of_filter.for_each(|subscribed| subscribed.is_going = true);
                    }
                }
            }
            _ => {}
        }
    }

    /// What each session is owed of a message.
    pub(super) fn route(&mut self, message: usize, is_due: bool) {
        let now = self.now;
        let of = &self.messages[message];
        let (publish, publisher, topic_retain) = (of.publish.clone(), of.publisher, of.publish.retain);
        let key = of.key;
        let topic = publish.topic();
        let mut has_receiver = false;
        for at in 0..self.sessions.len() {
            let is_here = self.sessions[at].is_here(now);
            if is_here == Some(false) {
                continue;
            }
            let (has_room, is_never_held_up) = (self.has_room(at), self.is_never_held_up());
            let session = &mut self.sessions[at];
            let mut owed: Option<Owed> = None;
            let (mut is_sure, mut waits, mut may_be_qos_0) = (false, false, false);
            for (place, subscribed) in session.subscriptions.iter().enumerate() {
                // [MQTT-3.10.4-2] From UNSUBSCRIBE on, nothing more.
                if subscribed.is_gone || !subscribed.filter.matches(topic) {
                    continue;
                }
                if subscribed.filter.share_name().is_some() {
                    let filter = subscribed.filter.as_str();
                    // It may be too large for one of them.
                    let qos = subscribed.options.qos.min(publish.qos);
                    let is_there = session.line.is_some()
                        && subscribed.is_certain()
                        && session.smallest.is_none()
                        && has_room
                        && (is_never_held_up || qos > Qos::AtMostOnce);
                    let retain = topic_retain && subscribed.options.retain_as_published;
                    let member = Member { session: at, qos, retain, identifier: subscribed.identifier };
                    self.shares.offer(filter, (message, key), member, is_due && is_there);
                    waits |= qos > Qos::AtMostOnce;
                    continue;
                }
                // [MQTT-3.8.3-3]
                if subscribed.options.no_local && publisher == at {
                    continue;
                }
                let qos = subscribed.options.qos.min(publish.qos);
                let retain = topic_retain && subscribed.options.retain_as_published;
                let owed = owed.get_or_insert_with(|| Owed {
                    message,
                    why: Why::Live,
                    qos,
                    main_qos: Qos::AtMostOnce,
                    least_qos: qos,
                    is_due: false,
                    filters: 0,
                    more: 0,
                    retain: [false; 2],
                    identifiers: Vec::new(),
                    is_vague: false,
                    is_passed: false,
                    only_on: None,
                });
                owed.qos = owed.qos.max(qos);
                owed.least_qos = owed.least_qos.min(qos);
                owed.retain[usize::from(retain)] = true;
                owed.identifiers.extend(subscribed.identifier);
                // Until SUBACK it may be what it was.
                may_be_qos_0 |= subscribed.before.iter().any(|(options, _)| options.qos == Qos::AtMostOnce);
                if subscribed.is_certain() {
                    is_sure = true;
                    owed.main_qos = owed.main_qos.max(qos);
                } else {
                    owed.is_vague |= subscribed.is_going || subscribed.is_perhaps_gone;
                }
                // What a filter may have been instead is no filter of its own.
                let is_instead = |other: &Subscribed| other.filter == subscribed.filter && !other.is_gone;
                if !session.subscriptions[..place].iter().any(is_instead) {
                    owed.more = owed.filters;
                    owed.filters += 1;
                }
            }
            let Some(mut owed) = owed else {
                if waits && !has_room {
                    self.is_full(at);
                }
                continue;
            };
            let fits = owed.fits(&publish, session.smallest);
            has_receiver |= is_sure && fits && session.line.is_some();
            // One that was not granted yet may count with the QoS that it asks for, or not.
            owed.main_qos = if is_sure { owed.main_qos } else { owed.least_qos };
            let is_at_hand = !owed.may_be_lost() || session.line.is_some();
            if owed.qos == Qos::AtMostOnce {
                owed.only_on = session.line;
            } else {
                waits = true;
            }
            may_be_qos_0 |= owed.main_qos == Qos::AtMostOnce;
            let has_place = has_room || owed.qos == Qos::AtMostOnce;
            let is_placed = is_at_hand && has_place && (is_never_held_up || !may_be_qos_0);
            owed.is_due = is_due && is_sure && fits && is_placed && is_here == Some(true);
            session.owed.push_back(owed);
            if waits && !has_room {
                self.is_full(at);
            }
        }
        self.messages[message].has_receiver = has_receiver;
    }
}
