//! A client by hand: it remembers what the standard says that a client remembers, and what it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::BytesMut;
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Subscribe, Subscription, Unsubscribe, Will},
    property::Property,
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

use crate::broker::Broker;

/// How long an answer may take before the broker counts as stuck. Only a failure meets it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not zero")
}

pub(crate) fn message(topic: &str, payload: &str, qos: Qos) -> Publish {
    Publish::new(&TopicName::try_from(topic).expect("a topic"), payload).at(qos, None)
}

/// How far a message of ours is.
#[derive(Clone, Debug)]
enum Sending {
    Published(Publish),
    Released,
}

/// What an actor knows, over all its connections.
pub(crate) struct Actor {
    name: String,
    expiry_seconds: u32,
    link: Option<(TcpStream, Decoder)>,
    last_id: u16,
    sending: BTreeMap<PacketId, (String, Sending)>,
    /// QoS 2 identifiers that the broker has not released.
    receiving: BTreeSet<PacketId>,
    /// Payloads of messages that the broker has accepted.
    pub(crate) accepted: BTreeSet<String>,
    /// Reasons of the acknowledgements, by payload.
    pub(crate) reasons: BTreeMap<String, ReasonCode>,
    /// How often each payload was delivered, and at which QoS.
    pub(crate) delivered: BTreeMap<String, (u32, Qos)>,
    /// Payloads in the order of their first delivery.
    pub(crate) order: Vec<String>,
    /// Retained messages that a subscription brought.
    pub(crate) retained: Vec<String>,
    /// CONNACK was seen for a session that is kept.
    pub(crate) has_session: bool,
    pub(crate) answers: BTreeMap<PacketId, Vec<ReasonCode>>,
    /// Promises that were broken.
    pub(crate) broken: Vec<String>,
}

impl Actor {
    pub(crate) fn new(name: impl Into<String>, expiry_seconds: u32) -> Actor {
        Actor {
            name: name.into(),
            expiry_seconds,
            link: None,
            last_id: 0,
            sending: BTreeMap::new(),
            receiving: BTreeSet::new(),
            accepted: BTreeSet::new(),
            reasons: BTreeMap::new(),
            delivered: BTreeMap::new(),
            order: Vec::new(),
            retained: Vec::new(),
            has_session: false,
            answers: BTreeMap::new(),
            broken: Vec::new(),
        }
    }

    /// Connects and goes on with the session; what is unfinished is sent again.
    pub(crate) fn connect(&mut self, broker: &Broker, will: Option<Publish>) {
        let mut connect = Connect::new(Version::V5_0, Text::new(self.name.clone()).expect("a client identifier"));
        connect.clean_start = self.expiry_seconds == 0;
        connect.push_property(Property::SessionExpiryInterval(self.expiry_seconds));
        connect.set_will(will.map(|will| Will {
            qos: will.qos,
            retain: false,
            topic: will.topic_name().expect("a topic"),
            payload: will.payload_bytes(),
            properties: Default::default(),
        }));
        self.link = Some((broker.connect(), Decoder::new(Side::Server, Some(Version::V5_0), u32::MAX)));
        self.send(&Packet::Connect(connect));
        let Some(Packet::Connack(connack)) = self.wait() else { panic!("{}: no CONNACK", self.name) };
        assert_eq!(connack.reason, ReasonCode::Success);
        if self.has_session && !connack.session_present {
            self.broken.push(format!("the session of {} is lost", self.name));
        }
        if !connack.session_present {
            self.sending.clear();
            self.receiving.clear();
        }
        self.has_session = self.expiry_seconds > 0;
        // [MQTT-4.6.0-1] In the order in which they were sent first, which is that of their payloads.
        let mut unfinished: Vec<_> = self.sending.iter().collect();
        unfinished.sort_by_key(|(_, (payload, _))| payload.clone());
        let again: Vec<Packet> = unfinished
            .into_iter()
            .map(|(packet_id, (_, sending))| match sending {
                Sending::Published(publish) => {
                    let mut publish = publish.clone();
                    publish.dup = true;
                    Packet::Publish(publish)
                }
                Sending::Released => Packet::Pubrel(Ack::new(*packet_id)),
            })
            .collect();
        again.iter().for_each(|packet| self.send(packet));
    }

    pub(crate) fn unfinished(&self) -> usize {
        self.sending.len()
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % 1000 + 1;
            if !self.sending.contains_key(&id(self.last_id)) {
                return id(self.last_id);
            }
        }
    }

    pub(crate) fn publish(&mut self, mut publish: Publish) {
        let payload = String::from_utf8(publish.payload().to_vec()).expect("text");
        if publish.qos > Qos::AtMostOnce {
            let packet_id = self.next_id();
            publish.packet_id = Some(packet_id);
            self.sending.insert(packet_id, (payload, Sending::Published(publish.clone())));
        }
        self.send(&Packet::Publish(publish));
    }

    /// SUBSCRIBE: its identifier, under which `answers` will have the reasons.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: Qos) -> PacketId {
        let packet_id = self.next_id();
        let filter = TopicFilter::try_from(filter).expect("a filter");
        self.send(&Packet::Subscribe(Subscribe::new(packet_id, vec![Subscription::new(filter, qos)])));
        packet_id
    }

    pub(crate) fn unsubscribe(&mut self, filter: &str) -> PacketId {
        let packet_id = self.next_id();
        let filter = TopicFilter::try_from(filter).expect("a filter");
        self.send(&Packet::Unsubscribe(Unsubscribe::new(packet_id, vec![filter])));
        packet_id
    }

    /// What is sent to a broker that is gone is lost, as on any network.
    fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V5_0, &mut bytes).expect("a packet");
        if let Some((stream, _)) = &mut self.link {
            let _ = stream.write_all(&bytes);
        }
    }

    /// The next packet, awaited. `None`, and a promise broken, if there is none.
    fn wait(&mut self) -> Option<Packet> {
        let (stream, decoder) = self.link.as_mut()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut buffer = [0; 4096];
        loop {
            if let Some(packet) = decoder.next_packet().expect("the broker sends packets") {
                return Some(packet);
            }
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => decoder.extend(&buffer[..count]),
                // A child of this process has ended: that is no answer.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => {
                    self.broken.push(format!("{} waits in vain: {other:?}", self.name));
                    return None;
                }
            }
        }
    }

    /// Awaits packets and answers them until this holds, or nothing more comes.
    pub(crate) fn until(&mut self, holds: impl Fn(&Actor) -> bool) {
        while !holds(self) {
            let Some(packet) = self.wait() else { return };
            self.hear(packet);
        }
    }

    /// The connection ends without a word.
    pub(crate) fn leave(&mut self) {
        self.link = None;
    }

    /// The answer to what was published, awaited; `None` if the broker closes the connection instead.
    pub(crate) fn answered(&mut self, payload: &str) -> Option<ReasonCode> {
        loop {
            if let Some(reason) = self.reasons.get(payload) {
                return Some(*reason);
            }
            match self.wait() {
                None => return None,
                Some(Packet::Disconnect(disconnect)) => {
                    assert_eq!(disconnect.reason, ReasonCode::QuotaExceeded);
                    self.link = None;
                    return None;
                }
                Some(packet) => self.hear(packet),
            }
        }
    }

    /// Hears what has come already, and answers.
    pub(crate) fn listen(&mut self) {
        let Some((stream, decoder)) = &mut self.link else { return };
        stream.set_nonblocking(true).expect("a socket");
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            decoder.extend(&buffer[..count]);
        }
        stream.set_nonblocking(false).expect("a socket");
        let mut packets = Vec::new();
        while let Some(packet) = decoder.next_packet().expect("the broker sends packets") {
            packets.push(packet);
        }
        packets.into_iter().for_each(|packet| self.hear(packet));
    }

    /// The broker is dead: what it has said before counts.
    pub(crate) fn hear_the_last(&mut self) {
        if let Some((stream, decoder)) = &mut self.link {
            stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => decoder.extend(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
        }
        self.listen();
        self.link = None;
    }

    fn hear(&mut self, packet: Packet) {
        match packet {
            Packet::Puback(ack) => {
                if let Some((payload, _)) = self.sending.remove(&ack.packet_id) {
                    self.take_answer(payload, ack.reason);
                }
            }
            Packet::Pubrec(ack) => {
                if let Some((payload, sending)) = self.sending.get_mut(&ack.packet_id) {
                    *sending = Sending::Released;
                    let payload = payload.clone();
                    self.take_answer(payload, ack.reason);
                }
                self.send(&Packet::Pubrel(Ack::new(ack.packet_id)));
            }
            Packet::Pubcomp(ack) => drop(self.sending.remove(&ack.packet_id)),
            Packet::Pubrel(ack) => {
                self.receiving.remove(&ack.packet_id);
                self.send(&Packet::Pubcomp(Ack::new(ack.packet_id)));
            }
            Packet::Publish(publish) => self.hear_publish(&publish),
            Packet::Suback(suback) => drop(self.answers.insert(suback.packet_id, suback.reasons)),
            Packet::Unsuback(unsuback) => drop(self.answers.insert(unsuback.packet_id, unsuback.reasons)),
            Packet::Pingresp => {}
            other => self.broken.push(format!("{} got {other:?}", self.name)),
        }
    }

    fn take_answer(&mut self, payload: String, reason: ReasonCode) {
        if reason.is_failure() {
            self.broken.push(format!("{}: {payload} was refused with {reason:?}", self.name));
        }
        self.accepted.insert(payload.clone());
        self.reasons.insert(payload, reason);
    }

    fn hear_publish(&mut self, publish: &Publish) {
        let payload = String::from_utf8(publish.payload().to_vec()).expect("text");
        if publish.retain {
            self.retained.push(payload.clone());
        }
        let is_new = match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(packet_id)) => {
                self.send(&Packet::Puback(Ack::new(packet_id)));
                true
            }
            (Qos::ExactlyOnce, Some(packet_id)) => {
                self.send(&Packet::Pubrec(Ack::new(packet_id)));
                self.receiving.insert(packet_id)
            }
            _ => true,
        };
        if is_new {
            let (count, _) = self.delivered.entry(payload.clone()).or_insert((0, publish.qos));
            *count += 1;
            if *count == 1 {
                self.order.push(payload);
            }
        }
    }
}
