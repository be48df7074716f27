//! Clients that are wrong in one thing each: something between an honest client's core and its connection.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Connack, Packet, PacketKind, Publish},
    property::PropertyId,
    qos::Qos,
    wire::PacketId,
};

use crate::{
    invariants::Invariant,
    meddler::{Meddled, Meddler},
};

/// A broken client: all clients of a play are it.
pub struct BrokenClient {
    /// What it does, in a few words.
    pub name: &'static str,
    /// The invariants of which one has to notice.
    pub caught_by: &'static [Invariant],
    sends: fn(&mut Memory, usize, Packet) -> Meddled,
    hears: fn(&mut Memory, usize, Packet) -> Meddled,
}

/// What the broken clients of one play remember.
#[derive(Debug, Default)]
struct Memory {
    count: u64,
    /// By client, the identifier of the message that it sent last.
    last: BTreeMap<usize, PacketId>,
    /// Exchanges that the client's core knows nothing of.
    own: BTreeSet<(usize, PacketId)>,
    /// Packets that wait for the next of their kind.
    held: BTreeMap<usize, Packet>,
}

impl Memory {
    /// Each `n`-th time.
    fn now_and_then(&mut self, n: u64) -> bool {
        self.count += 1;
        self.count.is_multiple_of(n)
    }
}

fn as_it_is(_: &mut Memory, _: usize, packet: Packet) -> Meddled {
    Meddled::on(packet)
}

/// Keeps a packet of this kind to itself, each ninth time.
fn forgets(memory: &mut Memory, packet: Packet, kind: PacketKind) -> Meddled {
    if packet.kind() == kind && memory.now_and_then(9) {
        return Meddled::nothing();
    }
    Meddled::on(packet)
}

fn repeats_without_dup(_: &mut Memory, _: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Publish(publish) if publish.dup => {
            let mut other = publish;
            other.dup = false;
            Meddled::on(Packet::Publish(other))
        }
        packet => Meddled::on(packet),
    }
}

fn uses_an_identifier_twice(memory: &mut Memory, client: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Publish(publish) if publish.qos > Qos::AtMostOnce && !publish.dup => {
            let id = publish.packet_id.expect("QoS 1 and 2 have one");
            let before = memory.last.insert(client, id);
            match before.filter(|_| memory.now_and_then(5)) {
                Some(before) => {
                    let qos = publish.qos;
                    Meddled::on(Packet::Publish(publish.at(qos, Some(before))))
                }
                None => Meddled::on(Packet::Publish(publish)),
            }
        }
        packet => Meddled::on(packet),
    }
}

fn acknowledges_in_another_order(memory: &mut Memory, client: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Puback(_) => match memory.held.remove(&client) {
            Some(held) => Meddled { to_server: vec![packet, held], to_client: Vec::new() },
            None if memory.now_and_then(5) => {
                memory.held.insert(client, packet);
                Meddled::nothing()
            }
            None => Meddled::on(packet),
        },
        packet => Meddled::on(packet),
    }
}

/// It never sees each fifth message, and the server believes that it has.
fn acknowledges_what_it_does_not_hand_over(memory: &mut Memory, _: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Publish(Publish { qos: Qos::AtLeastOnce, packet_id: Some(id), .. }) if memory.now_and_then(5) => {
            Meddled { to_server: vec![Packet::Puback(Ack::new(id))], to_client: Vec::new() }
        }
        packet => Meddled { to_server: Vec::new(), to_client: vec![packet] },
    }
}

/// Identifiers that the server never comes to.
const OWN_IDS: u16 = 50_000;

/// Each fifth message comes to the core a second time, as another exchange.
fn hands_over_twice(memory: &mut Memory, client: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Publish(publish)
            if publish.qos == Qos::ExactlyOnce && !publish.topic().is_empty() && memory.now_and_then(5) =>
        {
            let own = OWN_IDS + u16::try_from(memory.count % 5_000).unwrap_or(0);
            let own = PacketId::new(own).expect("not 0");
            memory.own.insert((client, own));
            let again = publish.clone().at(Qos::ExactlyOnce, Some(own));
            Meddled { to_server: Vec::new(), to_client: vec![Packet::Publish(publish), Packet::Publish(again)] }
        }
        packet => Meddled { to_server: Vec::new(), to_client: vec![packet] },
    }
}

/// What the core says in an exchange of which the server knows nothing.
fn keeps_own_exchanges_to_itself(memory: &mut Memory, client: usize, packet: Packet) -> Meddled {
    match &packet {
        Packet::Pubrec(ack) if memory.own.contains(&(client, ack.packet_id)) => {
            Meddled { to_server: Vec::new(), to_client: vec![Packet::Pubrel(Ack::new(ack.packet_id))] }
        }
        Packet::Pubcomp(ack) if memory.own.remove(&(client, ack.packet_id)) => Meddled::nothing(),
        _ => Meddled::on(packet),
    }
}

fn does_not_care_for_receive_maximum(_: &mut Memory, _: usize, packet: Packet) -> Meddled {
    let packet = match packet {
        Packet::Connack(connack) => {
            let Connack { properties, .. } = *connack.clone();
            let without = properties.iter().filter(|property| property.id() != PropertyId::ReceiveMaximum).cloned();
            let mut other = connack;
            other.properties = without.collect();
            Packet::Connack(other)
        }
        packet => packet,
    };
    Meddled { to_server: Vec::new(), to_client: vec![packet] }
}

/// An alias that was set on a connection is used on the next as if it were still set.
fn keeps_its_aliases(memory: &mut Memory, client: usize, packet: Packet) -> Meddled {
    match packet {
        Packet::Connect(_) => {
            memory.last.insert(client, PacketId::MIN);
            Meddled::on(packet)
        }
        Packet::Publish(publish) if publish.topic_alias.is_some() && memory.last.remove(&client).is_some() => {
            match memory.count {
                // On the first connections nothing was set before.
                0..40 => {
                    memory.count += 1;
                    Meddled::on(Packet::Publish(publish))
                }
                _ => Meddled::on(Packet::Publish(publish.without_topic())),
            }
        }
        packet => {
            memory.count += 1;
            Meddled::on(packet)
        }
    }
}

fn passes(_: &mut Memory, _: usize, packet: Packet) -> Meddled {
    Meddled { to_server: Vec::new(), to_client: vec![packet] }
}

macro_rules! broken_clients {
    ($($name:literal, [$($caught_by:ident)*], $sends:expr, $hears:expr;)*) => {
        /// All of them.
        pub const ALL: &[BrokenClient] = &[$(BrokenClient {
            name: $name,
            caught_by: &[$(Invariant::$caught_by),*],
            sends: $sends,
            hears: $hears,
        }),*];
    };
}

broken_clients! {
    "forgets PUBACK now and then", [Progress], |memory, _, packet| forgets(memory, packet, PacketKind::Puback), passes;
    "forgets PUBREC now and then", [Progress], |memory, _, packet| forgets(memory, packet, PacketKind::Pubrec), passes;
    "forgets PUBREL now and then", [Progress], |memory, _, packet| forgets(memory, packet, PacketKind::Pubrel), passes;
    "forgets PUBCOMP now and then", [Progress], |memory, _, packet| forgets(memory, packet, PacketKind::Pubcomp), passes;
    "repeats without DUP", [DupOnRepeats], repeats_without_dup, passes;
    "uses an identifier for two messages", [PacketIdInUse], uses_an_identifier_twice, passes;
    "acknowledges in another order", [Answers], acknowledges_in_another_order, passes;
    "acknowledges what it does not hand over", [Handed], as_it_is, acknowledges_what_it_does_not_hand_over;
    "hands over a QoS 2 message twice", [Handed], keeps_own_exchanges_to_itself, hands_over_twice;
    "does not care for Receive Maximum", [ReceiveMaximum], as_it_is, does_not_care_for_receive_maximum;
    "uses a Topic Alias of the connection before", [TopicAlias], keeps_its_aliases, passes;
}

impl BrokenClient {
    /// What stands between the clients of one play and their connections.
    pub fn meddler(&'static self) -> Box<dyn Meddler> {
        Box::new(Between { broken: self, memory: Memory::default() })
    }
}

struct Between {
    broken: &'static BrokenClient,
    memory: Memory,
}

impl Meddler for Between {
    fn sends(&mut self, client: usize, packet: Packet) -> Meddled {
        (self.broken.sends)(&mut self.memory, client, packet)
    }

    fn hears(&mut self, client: usize, packet: Packet) -> Meddled {
        (self.broken.hears)(&mut self.memory, client, packet)
    }
}
