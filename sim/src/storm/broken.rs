//! Brokers that are wrong in one thing each: filters in front of an honest one. A sweep that does not notice them proves nothing.

pub mod clients;
mod connections;
mod deliveries;
mod exchanges;
mod offers;
mod store;
mod strangers;
mod subscriptions;
mod wills;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::{Properties, PropertyId},
    qos::Qos,
    reason::Side,
    version::Version,
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar, Lie};

use super::sweep::{Breaking, Wrong};
use crate::invariants::Invariant;

/// A broken broker.
pub struct Broken {
    /// What it does, in a few words.
    pub name: &'static str,
    /// The invariants of which one has to notice.
    pub caught_by: &'static [Invariant],
    act: fn(&mut Memory, Passing) -> Vec<Out>,
    hides: Hides,
}

/// Which connections it leaves open where an honest broker closes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hides {
    /// None.
    Nothing,
    /// All.
    Ends,
    /// Those on which no CONNECT came.
    EndsOfStrangers,
}

/// Whatever a broken broker remembers.
#[derive(Debug, Default)]
struct Memory {
    count: u64,
    /// Exchanges that are its own: connection and identifier.
    own: BTreeSet<(u64, u16)>,
    /// One identifier for another.
    instead: BTreeMap<(u64, u16), u16>,
    /// A packet that waits for the next.
    held: BTreeMap<u64, Packet>,
    /// Topics and payloads of wills.
    wills: BTreeSet<(String, Bytes)>,
    /// By Client Identifier.
    aliases: BTreeMap<(String, u16), String>,
    /// QoS 2 identifiers by Client Identifier.
    open: BTreeSet<(String, u16)>,
}

/// A packet on its way.
struct Passing {
    connection: u64,
    way: Direction,
    version: Version,
    /// Of the connection; empty before CONNECT.
    client: String,
    packet: Packet,
    /// Of all connections that are open.
    others: Vec<u64>,
}

/// A packet to be delivered: where and which way.
type Out = (u64, Direction, Packet);

impl Passing {
    /// As it came.
    fn on(self) -> Vec<Out> {
        vec![(self.connection, self.way, self.packet)]
    }

    /// Another packet in its place.
    fn with(&self, packet: Packet) -> Vec<Out> {
        vec![(self.connection, self.way, packet)]
    }

    fn to_server(&self, packet: Packet) -> Out {
        (self.connection, Direction::ToServer, packet)
    }

    fn to_client(&self, packet: Packet) -> Out {
        (self.connection, Direction::ToClient, packet)
    }

    fn goes_up(&self) -> bool {
        self.way == Direction::ToServer
    }

    /// No CONNECT has come on its connection.
    fn is_strangers(&self) -> bool {
        !self.others.contains(&self.connection)
    }
}

impl Memory {
    /// Each `n`-th time.
    fn now_and_then(&mut self, n: u64) -> bool {
        self.count += 1;
        self.count.is_multiple_of(n)
    }
}

/// What the broker is told in place of a client that is never sent a message.
fn acknowledged(publish: &Publish) -> Option<Packet> {
    let id = publish.packet_id?;
    Some(match publish.qos {
        Qos::ExactlyOnce => Packet::Pubrec(Ack::new(id)),
        _ => Packet::Puback(Ack::new(id)),
    })
}

/// Swallows a message: the broker believes that it has arrived.
fn swallow(memory: &mut Memory, passing: &Passing, publish: &Publish) -> Vec<Out> {
    if let (Qos::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id) {
        memory.own.insert((passing.connection, id.value()));
    }
    acknowledged(publish).into_iter().map(|answer| passing.to_server(answer)).collect()
}

/// The rest of a QoS 2 exchange whose message was swallowed.
fn swallowed_release(memory: &mut Memory, passing: &Passing) -> Option<Vec<Out>> {
    let Packet::Pubrel(ack) = &passing.packet else { return None };
    if passing.goes_up() || !memory.own.remove(&(passing.connection, ack.packet_id.value())) {
        return None;
    }
    Some(vec![passing.to_server(Packet::Pubcomp(Ack::new(ack.packet_id)))])
}

/// The properties but one.
fn without(properties: &Properties, which: PropertyId) -> Properties {
    properties.iter().filter(|property| property.id() != which).cloned().collect()
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("identifiers of our own begin at 60 000")
}

/// Identifiers that the broker never comes to.
const OWN_IDS: u16 = 60_000;

/// A message once more, with an identifier of the liar's own; what the client answers to it goes no further.
fn once_more(memory: &mut Memory, passing: &Passing, publish: &Publish) -> Out {
    let mut again = publish.clone();
    if publish.qos > Qos::AtMostOnce {
        memory.count += 1;
        let own = OWN_IDS + u16::try_from(memory.count % 5_000).unwrap_or(0);
        memory.own.insert((passing.connection, own));
        again.packet_id = Some(id(own));
        again.dup = false;
    }
    passing.to_client(Packet::Publish(again))
}

/// The client's answers to messages of the liar's own.
fn own_answers(memory: &mut Memory, passing: &Passing) -> Option<Vec<Out>> {
    if !passing.goes_up() {
        return None;
    }
    let own = |ack: &Ack| (passing.connection, ack.packet_id.value());
    match &passing.packet {
        Packet::Puback(ack) | Packet::Pubcomp(ack) if memory.own.remove(&own(ack)) => Some(Vec::new()),
        Packet::Pubrec(ack) if memory.own.contains(&own(ack)) => {
            Some(vec![passing.to_client(Packet::Pubrel(Ack::new(ack.packet_id)))])
        }
        _ => None,
    }
}

/// Whatever a sweep has to notice: broken brokers and broken clients, each with its name and the invariants of which one has to
/// notice.
pub fn everything() -> Vec<(String, &'static [Invariant], Arc<Breaking>)> {
    let brokers = all().map(|broker| {
        let make: Arc<Breaking> = Arc::new(|| Wrong { liar: Some(broker.filter()), meddler: None });
        (format!("a broker that {}", broker.name), broker.caught_by, make)
    });
    let clients = clients::ALL.iter().map(|client| {
        let make: Arc<Breaking> = Arc::new(|| Wrong { liar: None, meddler: Some(client.meddler()) });
        (format!("a client that {}", client.name), client.caught_by, make)
    });
    brokers.chain(clients).collect()
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Broken> {
    let take_over = std::slice::from_ref(&connections::TAKE_OVER);
    let waits = std::slice::from_ref(&strangers::WAITS);
    let all = [
        deliveries::ALL,
        exchanges::ALL,
        connections::ALL,
        offers::ALL,
        subscriptions::ALL,
        wills::ALL,
        store::ALL,
        strangers::ALL,
        take_over,
        waits,
    ];
    all.into_iter().flatten()
}

impl Broken {
    /// The filter of one play.
    pub fn filter(&'static self) -> Box<dyn Liar> {
        Box::new(Filter {
            broken: self,
            memory: Memory::default(),
            versions: BTreeMap::new(),
            clients: BTreeMap::new(),
        })
    }
}

struct Filter {
    broken: &'static Broken,
    memory: Memory,
    versions: BTreeMap<u64, Version>,
    clients: BTreeMap<u64, String>,
}

impl Liar for Filter {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let version = self.versions.get(&connection).copied().unwrap_or(Version::V5_0);
        let sender = match direction {
            Direction::ToServer => Side::Client,
            Direction::ToClient => Side::Server,
        };
        let Ok(packet) = Packet::decode(version, sender, raw.clone()) else {
            return out.push(Lie::Frame(connection, direction, raw));
        };
        if let Packet::Connect(connect) = &packet {
            self.versions.insert(connection, connect.version());
            self.clients.insert(connection, connect.client_id().to_string());
            if let Some(will) = connect.will() {
                self.memory.wills.insert((will.topic.as_str().to_owned(), will.payload.to_vec().into()));
            }
        }
        let version = self.versions.get(&connection).copied().unwrap_or(Version::V5_0);
        let client = self.clients.get(&connection).cloned().unwrap_or_default();
        let others = self.clients.keys().copied().collect();
        let passing = Passing { connection, way: direction, version, client, packet, others };
        for (connection, direction, packet) in (self.broken.act)(&mut self.memory, passing) {
            let version = self.versions.get(&connection).copied().unwrap_or(version);
            let mut frame = BytesMut::new();
            if packet.encode(version, &mut frame).is_ok() {
                out.push(Lie::Frame(connection, direction, frame.freeze()));
            }
        }
    }

    fn ended(&mut self, _now: Duration, connection: u64, direction: Direction, _out: &mut Vec<Lie>) -> bool {
        if direction == Direction::ToServer {
            self.clients.remove(&connection);
        }
        let hides = match self.broken.hides {
            Hides::Nothing => false,
            Hides::Ends => true,
            Hides::EndsOfStrangers => !self.clients.contains_key(&connection),
        };
        !(hides && direction == Direction::ToClient)
    }
}

macro_rules! broken {
    ($($name:literal, [$($caught_by:ident)*], $act:expr;)*) => {
        pub(super) const ALL: &[super::Broken] = &[$(super::Broken {
            name: $name,
            caught_by: &[$(crate::invariants::Invariant::$caught_by),*],
            act: $act,
            hides: super::Hides::Nothing,
        }),*];
    };
}
use broken;
