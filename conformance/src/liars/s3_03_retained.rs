//! Liars about the delivery of what is retained, and about exchanges that go on with the next connection.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::Liar;

use super::filter::liar;

/// Looks for what is retained only where a filter begins with a name.
pub(crate) fn retains_nothing_for_leading_wildcards() -> Box<dyn Liar> {
    let mut wild: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Subscribe(subscribe)) = passing.from_client()
            && subscribe.subscriptions.iter().any(|one| one.filter.filter().starts_with(['#', '+']))
        {
            wild.insert(passing.connection);
        }
        match passing.from_server() {
            Some(Packet::Publish(publish)) if publish.retain && wild.contains(&passing.connection) => {}
            _ => passing.pass(),
        }
    })
}

/// Keeps no account of the retained messages that it sends.
pub(crate) fn forgets_deliveries_of_retained_messages() -> Box<dyn Liar> {
    let mut sent: BTreeSet<String> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_server() {
            if publish.dup && sent.contains(publish.topic()) {
                return;
            }
            if publish.retain {
                sent.insert(publish.topic().to_owned());
            }
        }
        passing.pass();
    })
}

/// A retained QoS 2 message that is released on another connection than it came on is neither retained nor of QoS 2.
pub(crate) fn lowers_what_is_released_later() -> Box<dyn Liar> {
    let mut names: BTreeMap<u64, Text> = BTreeMap::new();
    let mut halves: BTreeMap<(Text, PacketId), (u64, Publish)> = BTreeMap::new();
    let mut answered: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_client().cloned() {
            Some(Packet::Connect(connect)) => {
                names.insert(connection, connect.client_id().to_text());
            }
            Some(Packet::Publish(publish)) if publish.retain && publish.qos == Qos::ExactlyOnce => {
                if let (Some(name), Some(id)) = (names.get(&connection).cloned(), publish.packet_id) {
                    passing.answer(&Packet::Pubrec(Ack::new(id)));
                    halves.insert((name, id), (connection, publish));
                    return;
                }
            }
            Some(Packet::Pubrel(ack)) => {
                let name = names.get(&connection).cloned();
                match name.and_then(|name| halves.remove(&(name, ack.packet_id))) {
                    Some((origin, publish)) if origin == connection => {
                        // The server has its own PUBREC for it; the client got one already.
                        passing.put(&Packet::Publish(publish));
                        answered.insert((connection, ack.packet_id));
                    }
                    Some((_, publish)) => {
                        let mut lowered = publish.at(Qos::AtMostOnce, None);
                        lowered.retain = false;
                        passing.put(&Packet::Publish(lowered));
                        passing.answer(&Packet::Pubcomp(Ack::new(ack.packet_id)));
                        return;
                    }
                    None => {}
                }
            }
            _ => {}
        }
        match passing.from_server() {
            Some(Packet::Pubrec(ack)) if answered.remove(&(connection, ack.packet_id)) => {}
            _ => passing.pass(),
        }
    })
}
