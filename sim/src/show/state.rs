//! What each session looks like after each thing that happened: exchanges in flight both ways, what waits for it, its
//! subscriptions, its will, its clocks. Computed from the history alone, so that a trace from a file has it too.
//!
//! It is what the clients' side can know: a packet counts as sent when its sender wrote it and as come when its receiver read it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use bytes::Bytes;
use serde::Serialize;
use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish, Suback, Subscribe},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::PacketId,
};

use crate::history::{ConnectionName, Event, Happened, History};

/// So many of a list are named; the rest is counted.
const NAMED: usize = 12;
const MICROS: u64 = 1_000_000;

/// One session, or one client that has none yet, as it is at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Which actor speaks for it.
    pub actor: String,
    /// In words: connected, away, ended.
    pub status: String,
    /// From the client to the broker: what is not answered.
    pub to_broker: Vec<String>,
    /// From the broker to the client.
    pub to_client: Vec<String>,
    /// Messages that the broker owes it.
    pub waiting: Vec<String>,
    /// Filters with what was granted.
    pub subscriptions: Vec<String>,
    /// The will, while it may be published.
    pub will: Option<String>,
    /// What runs out when.
    pub timers: Vec<Timer>,
}

/// A clock that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timer {
    /// Of what.
    pub name: String,
    /// When it runs out, in microseconds since the play began.
    pub due_us: u64,
    /// What happens then.
    pub then: &'static str,
}

/// A session that looks different from this line of the trace on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The line.
    pub seq: usize,
    /// Its Client Identifier.
    pub client: String,
    /// How it looks now.
    pub session: Session,
}

/// Every change, in the order of time.
pub fn changes(history: &History) -> Vec<Changed> {
    let mut events: Vec<&Event> = history.events.iter().collect();
    events.sort_by_key(|event| event.at);
    let mut walk = Walk::default();
    let mut shown: BTreeMap<String, Session> = BTreeMap::new();
    let mut changes = Vec::new();
    for event in events {
        walk.touched.clear();
        walk.event(event);
        for client in std::mem::take(&mut walk.touched) {
            let Some(one) = walk.clients.get(&client) else { continue };
            let session = one.session(walk.now);
            if shown.get(&client) != Some(&session) {
                shown.insert(client.clone(), session.clone());
                changes.push(Changed { seq: event.entry.0, client, session });
            }
        }
    }
    changes
}

/// A message, by what tells it apart.
type Message = Rc<(String, Bytes)>;

/// How far an exchange has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// PUBLISH was sent.
    Published,
    /// PUBREC was sent.
    Received,
    /// PUBREL was sent.
    Released,
}

#[derive(Clone, Debug)]
struct Exchange {
    message: Message,
    qos: Qos,
    step: Step,
}

#[derive(Clone, Debug)]
struct Owed {
    message: Message,
    qos: Qos,
    expires_us: Option<u64>,
    origin: usize,
}

#[derive(Debug)]
struct Subscribed {
    filter: TopicFilter,
    qos: Qos,
    no_local: bool,
}

#[derive(Debug, Default)]
struct Client {
    actor: String,
    connection: Option<ConnectionName>,
    /// The session is there, with or without a connection.
    exists: bool,
    ended_us: Option<u64>,
    to_broker: BTreeMap<PacketId, Exchange>,
    to_client: BTreeMap<PacketId, Exchange>,
    asked: BTreeMap<PacketId, Asked>,
    waiting: Vec<Owed>,
    subscriptions: Vec<Subscribed>,
    will: Option<(String, u64)>,
    /// In seconds; `u32::MAX` is never.
    expiry: u32,
    keep_alive: u16,
    last_sent_us: u64,
    receive_maximum: u16,
}

#[derive(Debug)]
enum Asked {
    Subscribe(Subscribe),
    Unsubscribe(Vec<TopicFilter>),
}

#[derive(Default)]
struct Walk {
    now: u64,
    clients: BTreeMap<String, Client>,
    dialogues: BTreeMap<ConnectionName, (Connect, Option<String>)>,
    touched: BTreeSet<String>,
}

impl Walk {
    fn event(&mut self, event: &Event) {
        self.now = u64::try_from(event.at.as_micros()).unwrap_or(u64::MAX);
        let name = &event.connection;
        match &event.what {
            Happened::Sent(Packet::Connect(connect)) => {
                self.dialogues.insert(name.clone(), (connect.clone(), None));
            }
            Happened::Received(Packet::Connack(connack)) if !connack.reason.is_failure() => {
                self.connected(name, connack);
            }
            Happened::Sent(packet) => {
                if let Some(id) = self.client_of(name) {
                    self.sent(event.entry.0, &id, packet);
                }
            }
            Happened::Received(packet) => {
                if let Some(id) = self.client_of(name) {
                    self.received(&id, packet);
                }
            }
            Happened::Hindered => {}
            Happened::Ended { .. } => {
                if let Some(id) = self.client_of(name) {
                    self.ended(&id);
                }
            }
        }
    }

    /// Whose connection it is, as long as it is the newest of its client.
    fn client_of(&self, name: &ConnectionName) -> Option<String> {
        let id = self.dialogues.get(name)?.1.clone()?;
        (self.clients.get(&id)?.connection.as_ref() == Some(name)).then_some(id)
    }

    fn connected(&mut self, name: &ConnectionName, connack: &Connack) {
        let Some((connect, known)) = self.dialogues.get_mut(name).filter(|(_, known)| known.is_none()) else { return };
        let id = match (connect.client_id().as_str(), connack.properties.assigned_client_identifier()) {
            ("", Some(assigned)) => assigned.to_string(),
            ("", None) => name.to_string(),
            (own, _) => own.to_owned(),
        };
        *known = Some(id.clone());
        let connect = connect.clone();
        self.touched.insert(id.clone());
        let client = self.clients.entry(id).or_default();
        // 3.1 does not say whether there was a session; Clean Session does.
        let is_kept = connack.session_present || connect.version() == Version::V3_1 && !connect.clean_start;
        if !is_kept {
            client.forget();
        }
        client.actor = name.actor.to_string();
        client.connection = Some(name.clone());
        client.exists = true;
        client.ended_us = None;
        client.asked.clear();
        client.expiry = match connect.version() {
            Version::V5_0 => connack
                .properties
                .session_expiry_interval()
                .or(connect.properties().session_expiry_interval())
                .unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        client.keep_alive = connack.properties.server_keep_alive().unwrap_or(connect.keep_alive);
        client.receive_maximum = connect.properties().receive_maximum().unwrap_or(u16::MAX);
        client.last_sent_us = self.now;
        client.will = connect.will().map(|will| {
            let retained = if will.retain { ", retained" } else { "" };
            let delay = will.properties.will_delay_interval().unwrap_or(0);
            (format!("{} (QoS {}{retained})", will.topic.as_str(), will.qos), u64::from(delay) * MICROS)
        });
    }

    fn sent(&mut self, seq: usize, id: &str, packet: &Packet) {
        self.touched.insert(id.to_owned());
        let now = self.now;
        if let Packet::Publish(publish) = packet {
            self.published(seq, id, publish);
        }
        let Some(client) = self.clients.get_mut(id) else { return };
        client.last_sent_us = now;
        match packet {
            Packet::Puback(ack) => drop(client.to_client.remove(&ack.packet_id)),
            // [MQTT-4.3.3-9] A refusal ends the exchange.
            Packet::Pubrec(ack) if ack.reason.is_failure() => drop(client.to_client.remove(&ack.packet_id)),
            Packet::Pubrec(ack) => step(&mut client.to_client, ack, Step::Received),
            Packet::Pubcomp(ack) => drop(client.to_client.remove(&ack.packet_id)),
            Packet::Pubrel(ack) => step(&mut client.to_broker, ack, Step::Released),
            Packet::Subscribe(subscribe) => {
                drop(client.asked.insert(subscribe.packet_id, Asked::Subscribe(subscribe.clone())));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let filters = unsubscribe.filters.clone();
                drop(client.asked.insert(unsubscribe.packet_id, Asked::Unsubscribe(filters)));
            }
            Packet::Disconnect(disconnect) => client.leaves(disconnect),
            _ => {}
        }
    }

    fn published(&mut self, seq: usize, publisher: &str, publish: &Publish) {
        let message: Message = Rc::new((publish.topic().to_owned(), publish.payload_bytes()));
        if let (Some(id), Some(client)) = (publish.packet_id, self.clients.get_mut(publisher)) {
            let is_repeat = client.to_broker.get(&id).is_some_and(|open| open.message == message);
            let step = Step::Published;
            client.to_broker.insert(id, Exchange { message: Rc::clone(&message), qos: publish.qos, step });
            if is_repeat {
                return;
            }
        }
        let expires_us = publish.message_expiry_interval.map(|after| self.now + u64::from(after) * MICROS);
        for (id, client) in self.clients.iter_mut().filter(|(_, client)| client.exists) {
            let matching = client.subscriptions.iter().filter(|one| {
                let is_own = one.no_local && id == publisher;
                !is_own && one.filter.share_name().is_none() && one.filter.matches(&message.0)
            });
            let Some(granted) = matching.map(|one| one.qos).max() else { continue };
            let qos = granted.min(publish.qos);
            // Nobody owes a message of QoS 0 to anybody.
            if qos > Qos::AtMostOnce {
                client.waiting.push(Owed { message: Rc::clone(&message), qos, expires_us, origin: seq });
                self.touched.insert(id.clone());
            }
        }
    }

    fn received(&mut self, id: &str, packet: &Packet) {
        self.touched.insert(id.to_owned());
        let refused = |ack: &Ack| ack.reason.is_failure();
        let mut refusal = None;
        let Some(client) = self.clients.get_mut(id) else { return };
        match packet {
            Packet::Publish(publish) => client.delivered(publish),
            Packet::Puback(ack) => {
                let exchange = client.to_broker.remove(&ack.packet_id);
                refusal = exchange.filter(|_| refused(ack));
            }
            Packet::Pubrec(ack) if refused(ack) => refusal = client.to_broker.remove(&ack.packet_id),
            Packet::Pubrec(ack) => step(&mut client.to_broker, ack, Step::Received),
            Packet::Pubcomp(ack) => drop(client.to_broker.remove(&ack.packet_id)),
            Packet::Pubrel(ack) => step(&mut client.to_client, ack, Step::Released),
            Packet::Suback(suback) => client.granted(suback),
            Packet::Unsuback(unsuback) => {
                if let Some(Asked::Unsubscribe(filters)) = client.asked.remove(&unsuback.packet_id) {
                    client.subscriptions.retain(|one| !filters.contains(&one.filter));
                }
            }
            _ => {}
        }
        // What was refused is owed to nobody.
        if let Some(refused) = refusal {
            for (id, client) in &mut self.clients {
                let before = client.waiting.len();
                client.waiting.retain(|owed| owed.message != refused.message);
                if client.waiting.len() != before {
                    self.touched.insert(id.clone());
                }
            }
        }
    }

    fn ended(&mut self, id: &str) {
        self.touched.insert(id.to_owned());
        let now = self.now;
        let Some(client) = self.clients.get_mut(id) else { return };
        client.connection = None;
        client.ended_us = Some(now);
        if client.expiry == 0 {
            let will = client.will.take();
            client.forget();
            client.ended_us = Some(now);
            client.exists = false;
            // [MQTT-3.1.2-8] The end of the session ends the delay too.
            client.will = will.map(|(words, _)| (words, 0));
        }
    }
}

fn step(exchanges: &mut BTreeMap<PacketId, Exchange>, ack: &Ack, step: Step) {
    if let Some(exchange) = exchanges.get_mut(&ack.packet_id) {
        exchange.step = step;
    }
}

impl Client {
    /// The session is over: nothing of it is left.
    fn forget(&mut self) {
        let actor = std::mem::take(&mut self.actor);
        *self = Client { actor, ..Client::default() };
    }

    fn delivered(&mut self, publish: &Publish) {
        let message: Message = Rc::new((publish.topic().to_owned(), publish.payload_bytes()));
        if let Some(owed) = self.waiting.iter().position(|owed| owed.message == message) {
            self.waiting.remove(owed);
        }
        if let Some(id) = publish.packet_id {
            self.to_client.insert(id, Exchange { message, qos: publish.qos, step: Step::Published });
        }
    }

    fn granted(&mut self, suback: &Suback) {
        let Some(Asked::Subscribe(subscribe)) = self.asked.remove(&suback.packet_id) else { return };
        for (asked, reason) in subscribe.subscriptions.into_iter().zip(&suback.reasons) {
            let Some(qos) = Qos::from_bits(reason.value()).filter(|_| !reason.is_failure()) else { continue };
            self.subscriptions.retain(|one| one.filter != asked.filter);
            self.subscriptions.push(Subscribed { filter: asked.filter, qos, no_local: asked.options.no_local });
        }
    }

    fn leaves(&mut self, disconnect: &Disconnect) {
        if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
            // [MQTT-3.14.4-3]; 3.1.1 [MQTT-3.14.4-3]
            self.will = None;
        }
        if let Some(seconds) = disconnect.properties.session_expiry_interval() {
            self.expiry = seconds;
        }
    }

    fn session(&self, now: u64) -> Session {
        let named = |exchange: &Exchange| exchange.message.0.clone();
        let line = |(id, exchange): (&PacketId, &Exchange), is_sender: bool| {
            format!("{id}: {} ({})", named(exchange), phase(exchange, is_sender))
        };
        let asked = self.asked.iter().map(|(id, asked)| match asked {
            Asked::Subscribe(_) => format!("{id}: SUBSCRIBE (waits for SUBACK)"),
            Asked::Unsubscribe(_) => format!("{id}: UNSUBSCRIBE (waits for UNSUBACK)"),
        });
        let waiting = self.waiting.iter().filter(|owed| owed.expires_us.is_none_or(|due| due > now));
        Session {
            actor: self.actor.clone(),
            status: self.status(),
            to_broker: capped(self.to_broker.iter().map(|one| line(one, true)).chain(asked)),
            to_client: capped(self.to_client.iter().map(|one| line(one, false))),
            waiting: capped(
                waiting.map(|owed| format!("{} (QoS {}, published at #{})", owed.message.0, owed.qos, owed.origin)),
            ),
            subscriptions: capped(self.subscriptions.iter().map(|one| {
                let no_local = if one.no_local { ", No Local" } else { "" };
                format!("{} (QoS {}{no_local})", one.filter.as_str(), one.qos)
            })),
            will: self.will.as_ref().map(|(words, _)| words.clone()),
            timers: self.timers(),
        }
    }

    fn status(&self) -> String {
        match (&self.connection, self.exists) {
            (Some(connection), _) if self.receive_maximum < u16::MAX => {
                format!("connected ({connection}), takes {} messages of QoS 1 and 2 at once", self.receive_maximum)
            }
            (Some(connection), _) => format!("connected ({connection})"),
            (None, true) => "away, its session is kept".to_owned(),
            (None, false) => "away, no session".to_owned(),
        }
    }

    fn timers(&self) -> Vec<Timer> {
        let mut timers = Vec::new();
        let mut runs = |name: String, due_us: u64, then: &'static str| timers.push(Timer { name, due_us, then });
        if self.connection.is_some() && self.keep_alive > 0 {
            // [MQTT-3.1.2-22]; 3.1.1 [MQTT-3.1.2-24]
            let due = self.last_sent_us + u64::from(self.keep_alive) * MICROS * 3 / 2;
            let name = format!("Keep Alive ({} s, times 1.5)", self.keep_alive);
            runs(name, due, "without a packet until then the broker has to close the connection");
        }
        if let Some(ended) = self.ended_us {
            let expiry = u64::from(self.expiry) * MICROS;
            if self.exists && self.expiry != u32::MAX {
                runs(
                    format!("Session Expiry ({} s)", self.expiry),
                    ended + expiry,
                    "the broker has to forget the session",
                );
            }
            if let Some((_, delay)) = &self.will {
                let due = if self.exists && self.expiry != u32::MAX { (*delay).min(expiry) } else { *delay };
                runs(format!("Will Delay ({} s)", delay / MICROS), ended + due, "the broker has to publish the will");
            }
        }
        let expiring = self.waiting.iter().filter_map(|owed| Some((owed.expires_us?, owed)));
        for (due, owed) in expiring.take(NAMED) {
            runs(format!("Message Expiry of {}", owed.message.0), due, "the broker must not deliver it any more");
        }
        timers
    }
}

fn phase(exchange: &Exchange, is_sender: bool) -> &'static str {
    match (exchange.qos, exchange.step, is_sender) {
        (Qos::ExactlyOnce, Step::Published, true) => "QoS 2, waits for PUBREC",
        (Qos::ExactlyOnce, Step::Received, true) => "QoS 2, PUBREL is next",
        (Qos::ExactlyOnce, Step::Released, true) => "QoS 2, waits for PUBCOMP",
        (Qos::ExactlyOnce, Step::Published, false) => "QoS 2, PUBREC is owed",
        (Qos::ExactlyOnce, Step::Received, false) => "QoS 2, waits for PUBREL",
        (Qos::ExactlyOnce, Step::Released, false) => "QoS 2, PUBCOMP is owed",
        (_, _, true) => "QoS 1, waits for PUBACK",
        (_, _, false) => "QoS 1, PUBACK is owed",
    }
}

/// The first, and how many more.
fn capped(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut named = Vec::new();
    let mut more = 0;
    for line in lines {
        if named.len() < NAMED {
            named.push(line);
        } else {
            more += 1;
        }
    }
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named
}
