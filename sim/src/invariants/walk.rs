//! One walk through a history: whose sessions there are, what was published, subscribed to and delivered, and what the exchanges
//! of packet identifiers show by themselves.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Connack, Connect, Packet, Publish, Suback, Subscribe},
    qos::Qos,
    topic::TopicFilter,
    version::Version,
    wire::PacketId,
};

use super::{
    Breach,
    exchanges::{Exchanges, Key, Open, key_of},
};
use crate::history::{Away, ConnectionName, Event, Happened, History};

/// A message that somebody may have published. Positions are those of events.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) position: usize,
    /// Client Identifier.
    pub(super) publisher: String,
    pub(super) key: Key,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) is_will: bool,
    pub(super) expires: bool,
    /// PUBACK or PUBREC said yes.
    pub(super) accepted: bool,
    /// PUBACK or PUBREC said no. Who did not hear that sends it again, perhaps behind others.
    pub(super) refused: bool,
    /// Where the server has said that it is its own: PUBACK, or PUBCOMP. Before PUBREL a message of QoS 2 need not go on.
    pub(super) settled: Option<usize>,
}

/// A PUBLISH that a client received.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) position: usize,
    pub(super) client: String,
    pub(super) key: Key,
    pub(super) qos: Qos,
    /// Of an exchange that was open already.
    pub(super) is_repeat: bool,
}

/// A filter of a session, from SUBSCRIBE on.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) client: String,
    pub(super) filter: TopicFilter,
    pub(super) no_local: bool,
    /// SUBSCRIBE was sent.
    pub(super) asked: usize,
    /// SUBACK granted it, with this QoS.
    pub(super) granted: Option<(usize, Qos)>,
    /// It was, or may have been, ended.
    pub(super) ended: bool,
}

/// What a walk has found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) published: Vec<Published>,
    pub(super) delivered: Vec<Delivered>,
    pub(super) subscribed: Vec<Subscribed>,
    /// Client Identifiers whose newest connection is open at the end.
    pub(super) present: BTreeSet<String>,
    pub(super) by_server: Vec<Breach>,
    pub(super) by_clients: Vec<Breach>,
}

/// A client by its Client Identifier.
#[derive(Debug, Default)]
struct Client {
    connection: Option<ConnectionName>,
    /// Connections whose CONNECT was not answered, and whether they have ended: a session may have ended or begun there.
    unanswered: BTreeMap<ConnectionName, bool>,
    /// The session began with this connection.
    is_first: bool,
    /// The session may have begun where the client has seen nothing of it.
    is_in_doubt: bool,
    /// The server was away since then: what it has sent shortly before, it may not know.
    was_away: bool,
    to_client: Exchanges,
    to_server: Exchanges,
    /// SUBSCRIBE packets without an answer: their subscriptions in `Walked::subscribed`.
    asked: BTreeMap<PacketId, Vec<usize>>,
}

/// A connection before and after CONNACK.
struct Dialogue {
    connect: Connect,
    client: Option<String>,
    /// Sent before CONNACK came.
    early: Vec<(usize, Packet)>,
}

struct Walk<'a> {
    history: &'a History,
    walked: Walked,
    clients: BTreeMap<String, Client>,
    dialogues: BTreeMap<ConnectionName, Dialogue>,
}

pub(super) fn walk(history: &History) -> Walked {
    let mut walk = Walk { history, walked: Walked::default(), clients: BTreeMap::new(), dialogues: BTreeMap::new() };
    let mut outages = history.outages.iter().peekable();
    for (position, event) in history.events.iter().enumerate() {
        while let Some(away) = outages.next_if(|away| away.entry <= event.entry) {
            walk.goes_down(away);
        }
        walk.event(position, event);
    }
    outages.for_each(|away| walk.goes_down(away));
    // Nobody knows whether a server has heard what was sent before a CONNACK that never came.
    for dialogue in std::mem::take(&mut walk.dialogues).into_values() {
        for (position, packet) in dialogue.early {
            if let Packet::Publish(publish) = packet {
                walk.publishes(position, &dialogue.connect.client_id(), &publish);
            }
        }
    }
    walk.walked.present =
        walk.clients.into_iter().filter(|(_, client)| client.connection.is_some()).map(|(id, _)| id).collect();
    walk.walked
}

impl Walk<'_> {
    /// Nothing of what stands comes to the server any more, whether its client was told or not.
    fn goes_down(&mut self, away: &Away) {
        for client in self.clients.values_mut() {
            client.was_away = true;
            client.connection.take_if(|_| away.is_dark);
        }
    }

    fn event(&mut self, position: usize, event: &Event) {
        let name = &event.connection;
        match &event.what {
            Happened::Sent(Packet::Connect(connect)) => self.connects(position, name, connect),
            Happened::Received(Packet::Connack(connack)) if !connack.reason.is_failure() => {
                self.connected(name, connack);
            }
            Happened::Sent(packet) => {
                let Some(dialogue) = self.dialogues.get_mut(name) else { return };
                match dialogue.client.clone() {
                    None => dialogue.early.push((position, packet.clone())),
                    Some(client) => self.sent(position, name, &client, packet),
                }
            }
            // Who is turned down changes nothing.
            Happened::Received(Packet::Connack(_)) => {
                let Some(dialogue) = self.dialogues.get(name) else { return };
                let client = self.clients.get_mut(dialogue.connect.client_id().as_str());
                client.map(|client| client.unanswered.remove(name));
            }
            Happened::Received(packet) => {
                let Some(dialogue) = self.dialogues.get(name) else { return };
                let version = dialogue.connect.version();
                if let Some(client) = dialogue.client.clone() {
                    self.received(position, name, version, &client, packet);
                }
            }
            Happened::Hindered => {}
            Happened::Ended { .. } => {
                let Some(dialogue) = self.dialogues.get(name) else { return };
                let asked = self.clients.get_mut(dialogue.connect.client_id().as_str());
                if let Some(has_ended) = asked.and_then(|client| client.unanswered.get_mut(name)) {
                    *has_ended = true;
                }
                if let Some(client) = dialogue.client.clone().and_then(|client| self.clients.get_mut(&client))
                    && client.connection.as_ref() == Some(name)
                {
                    client.connection = None;
                }
            }
        }
    }

    fn connects(&mut self, position: usize, name: &ConnectionName, connect: &Connect) {
        let id = connect.client_id().as_str();
        if !id.is_empty() {
            self.clients.entry(id.to_owned()).or_default().unanswered.insert(name.clone(), false);
        }
        if let Some(will) = connect.will() {
            self.walked.published.push(Published {
                position,
                publisher: connect.client_id().to_string(),
                key: (will.topic.as_str().to_owned(), will.payload.to_vec().into()),
                qos: will.qos,
                retain: will.retain,
                is_will: true,
                expires: true,
                accepted: false,
                refused: false,
                settled: None,
            });
        }
        let dialogue = Dialogue { connect: connect.clone(), client: None, early: Vec::new() };
        self.dialogues.entry(name.clone()).or_insert(dialogue);
    }

    fn connected(&mut self, name: &ConnectionName, connack: &Connack) {
        let Some(dialogue) = self.dialogues.get_mut(name).filter(|dialogue| dialogue.client.is_none()) else { return };
        let connect = &dialogue.connect;
        let assigned = connack.properties.assigned_client_identifier().map(ToString::to_string);
        let id = match connect.client_id().as_str() {
            "" => assigned.unwrap_or_else(|| name.to_string()),
            own => own.to_owned(),
        };
        dialogue.client = Some(id.clone());
        let early = std::mem::take(&mut dialogue.early);
        // 3.1 does not say whether there was a session.
        let is_silent = connect.version() == Version::V3_1 && !connect.clean_start;
        let keeps_session = (!is_silent).then_some(connack.session_present && !connect.clean_start);
        let client = self.clients.entry(id.clone()).or_default();
        client.unanswered.remove(name);
        let is_in_doubt = !client.unanswered.is_empty() && keeps_session != Some(false);
        // One that is still open may be heard later than this one.
        client.unanswered.retain(|_, has_ended| !*has_ended);
        client.connection = Some(name.clone());
        client.is_first = keeps_session == Some(false);
        client.asked.clear();
        client.to_client.begin(keeps_session, connect.properties().receive_maximum().unwrap_or(u16::MAX));
        client.to_server.begin(keeps_session, connack.properties.receive_maximum().unwrap_or(u16::MAX));
        if connect.properties().maximum_packet_size().is_some() {
            client.to_client.doubt();
        }
        if is_in_doubt || std::mem::take(&mut client.was_away) {
            client.to_client.lose_sight();
        }
        client.is_in_doubt = is_in_doubt;
        if is_in_doubt {
            // What the client repeats may be new in the session that it has found.
            client.to_server.forget();
        }
        if keeps_session != Some(true) || is_in_doubt {
            let of_client = self.walked.subscribed.iter_mut().filter(|subscribed| subscribed.client == id);
            of_client.for_each(|subscribed| subscribed.ended = true);
        }
        for (position, packet) in early {
            self.sent(position, name, &id, &packet);
        }
    }

    /// Whether this is the connection that the server serves: what is left of one that was taken over proves nothing.
    fn is_newest(&self, name: &ConnectionName, client: &str) -> bool {
        self.clients.get(client).is_some_and(|client| client.connection.as_ref() == Some(name))
    }

    fn sent(&mut self, position: usize, name: &ConnectionName, id: &str, packet: &Packet) {
        if !self.is_newest(name, id) {
            if let Packet::Publish(publish) = packet {
                self.publishes(position, id, publish);
            }
            return;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        match packet {
            Packet::Publish(publish) => {
                let message = self.walked.published.len();
                let version = self.dialogues.get(name).map_or(Version::V5_0, |dialogue| dialogue.connect.version());
                // The client knows all that it has sent itself.
                let verdict = client.to_server.publish(version, !client.is_in_doubt, publish, message);
                if !verdict.is_repeat {
                    self.publishes(position, id, publish);
                }
                if let Some((invariant, detail)) = verdict.breach {
                    let breach = Breach::new(invariant, &self.history.events[position], detail);
                    self.walked.by_clients.push(breach);
                }
            }
            Packet::Puback(ack) => drop(client.to_client.puback(ack)),
            Packet::Pubrec(ack) => drop(client.to_client.pubrec(ack)),
            Packet::Pubcomp(ack) => drop(client.to_client.pubcomp(ack)),
            Packet::Subscribe(subscribe) => self.subscribes(position, id, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                let ended = |subscribed: &&mut Subscribed| {
                    subscribed.client == id && unsubscribe.filters.contains(&subscribed.filter)
                };
                self.walked.subscribed.iter_mut().filter(ended).for_each(|subscribed| subscribed.ended = true);
            }
            _ => {}
        }
    }

    fn received(&mut self, position: usize, name: &ConnectionName, version: Version, id: &str, packet: &Packet) {
        if !self.is_newest(name, id) {
            return;
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        match packet {
            Packet::Publish(publish) => {
                let verdict = client.to_client.publish(version, client.is_first, publish, 0);
                self.walked.delivered.push(Delivered {
                    position,
                    client: id.to_owned(),
                    key: key_of(publish),
                    qos: publish.qos,
                    is_repeat: verdict.is_repeat,
                });
                if let Some((invariant, detail)) = verdict.breach {
                    let breach = Breach::new(invariant, &self.history.events[position], detail);
                    self.walked.by_server.push(breach);
                }
            }
            Packet::Puback(ack) => {
                let done = client.to_server.puback(ack);
                self.accepted(done.clone(), ack.reason.is_failure());
                self.settled(position, done);
            }
            Packet::Pubrec(ack) => {
                let done = client.to_server.pubrec(ack);
                self.accepted(done, ack.reason.is_failure());
            }
            Packet::Pubcomp(ack) => {
                let done = client.to_server.pubcomp(ack);
                self.settled(position, done);
            }
            Packet::Suback(suback) => self.granted(position, id, suback),
            _ => {}
        }
    }

    fn publishes(&mut self, position: usize, publisher: &str, publish: &Publish) {
        self.walked.published.push(Published {
            position,
            publisher: publisher.to_owned(),
            key: key_of(publish),
            qos: publish.qos,
            retain: publish.retain,
            is_will: false,
            expires: publish.message_expiry_interval.is_some(),
            accepted: false,
            refused: false,
            settled: None,
        });
    }

    fn settled(&mut self, position: usize, exchange: Option<Open>) {
        let message = exchange.and_then(|open| open.message);
        if let Some(published) = message.and_then(|message| self.walked.published.get_mut(message)) {
            published.settled = published.accepted.then_some(position);
        }
    }

    fn accepted(&mut self, exchange: Option<Open>, is_refused: bool) {
        let message = exchange.and_then(|open| open.message);
        if let Some(published) = message.and_then(|message| self.walked.published.get_mut(message)) {
            published.accepted |= !is_refused;
            published.refused |= is_refused;
        }
    }

    fn subscribes(&mut self, position: usize, id: &str, subscribe: &Subscribe) {
        let mut asked = Vec::new();
        for subscription in &subscribe.subscriptions {
            asked.push(self.walked.subscribed.len());
            self.walked.subscribed.push(Subscribed {
                client: id.to_owned(),
                filter: subscription.filter.clone(),
                no_local: subscription.options.no_local,
                asked: position,
                granted: None,
                ended: false,
            });
        }
        if let Some(client) = self.clients.get_mut(id) {
            client.asked.insert(subscribe.packet_id, asked);
        }
    }

    fn granted(&mut self, position: usize, id: &str, suback: &Suback) {
        let asked = self.clients.get_mut(id).and_then(|client| client.asked.remove(&suback.packet_id));
        for (subscription, reason) in asked.into_iter().flatten().zip(&suback.reasons) {
            let qos = Qos::from_bits(reason.value()).filter(|_| !reason.is_failure());
            self.walked.subscribed[subscription].granted = qos.map(|qos| (position, qos));
        }
    }
}
