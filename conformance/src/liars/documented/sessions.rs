//! Sessions, wills and exchanges that go wrong when a client comes back, and clients that get in each other's way.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::{Ack, Connack, Packet, Publish, Will},
    qos::Qos,
    topic::TopicFilter,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use crate::liars::{
    filter::{Passing, liar},
    kind::hears_connect,
};

/// Who is behind each connection.
#[derive(Default)]
struct Names(BTreeMap<u64, Visitor>);

/// A client on one connection.
#[derive(Clone)]
struct Visitor {
    name: Text,
    /// It asked for a fresh session.
    anew: bool,
}

impl Names {
    /// Notes a CONNECT, and says who is on the connection of this frame.
    fn of(&mut self, passing: &Passing<'_>) -> Option<Visitor> {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            let visitor = Visitor { name: connect.client_id().to_text(), anew: connect.clean_start };
            self.0.insert(passing.connection, visitor);
        }
        self.0.get(&passing.connection).cloned()
    }
}

/// The packet identifiers of unfinished QoS 2 exchanges stay with the client's name: in a fresh session a message with one of
/// them is acknowledged and dropped.
pub(crate) fn remembers_unfinished_exchanges() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut open: BTreeMap<(Text, PacketId), u64> = BTreeMap::new();
    let mut dropped: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(visitor) = names.of(passing) {
            match passing.from_client() {
                Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce => {
                    let Some(id) = publish.packet_id else { return passing.pass() };
                    let begun = *open.entry((visitor.name, id)).or_insert(connection);
                    if begun != connection && visitor.anew {
                        dropped.insert((connection, id));
                        return passing.answer(&Packet::Pubrec(Ack::new(id)));
                    }
                }
                Some(Packet::Pubrel(ack)) => {
                    let id = ack.packet_id;
                    open.remove(&(visitor.name, id));
                    if dropped.remove(&(connection, id)) {
                        return passing.answer(&Packet::Pubcomp(Ack::new(id)));
                    }
                }
                _ => {}
            }
        }
        passing.pass();
    })
}

/// A filter of a lasting session that was cleared delivers nothing to the sessions that follow.
pub(crate) fn blocks_filters_of_old_sessions() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut lasting: BTreeMap<Text, Vec<TopicFilter>> = BTreeMap::new();
    liar(move |passing| {
        if let Some(visitor) = names.of(passing) {
            match &passing.packet {
                Some(Packet::Subscribe(subscribe)) if !visitor.anew => {
                    let filters = subscribe.subscriptions.iter().map(|one| one.filter.clone());
                    lasting.entry(visitor.name).or_default().extend(filters);
                }
                Some(Packet::Publish(publish)) if visitor.anew && passing.direction == Direction::ToClient => {
                    let old = lasting.get(&visitor.name).into_iter().flatten();
                    if old.into_iter().any(|filter| filter.matches(publish.topic())) {
                        return;
                    }
                }
                _ => {}
            }
        }
        passing.pass();
    })
}

/// From the eleventh connection under one name on nothing is delivered.
pub(crate) fn serves_ten_visits() -> Box<dyn Liar> {
    let mut visits: BTreeMap<Text, u32> = BTreeMap::new();
    let mut late: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                let count = visits.entry(connect.client_id().to_text()).or_default();
                *count += 1;
                if *count > 10 {
                    late.insert(passing.connection);
                }
            }
            Some(Packet::Publish(_))
                if passing.direction == Direction::ToClient && late.contains(&passing.connection) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Whoever keeps a session has no will.
pub(crate) fn loses_wills_of_lasting_sessions() -> Box<dyn Liar> {
    hears_connect(|connect| {
        if !connect.clean_start {
            connect.set_will(None);
        }
    })
}

/// A will that its client discarded is published when the client of a lasting session comes back.
pub(crate) fn publishes_a_discarded_will_later() -> Box<dyn Liar> {
    let mut wills: BTreeMap<u64, (Text, Will)> = BTreeMap::new();
    let mut discarded: BTreeMap<Text, Will> = BTreeMap::new();
    liar(move |passing| {
        let mut late = None;
        match passing.from_client() {
            Some(Packet::Connect(connect)) => {
                late = discarded.remove(connect.client_id().as_str());
                if let Some(will) = connect.will().map(|will| will.to_owned()).filter(|_| !connect.clean_start) {
                    wills.insert(passing.connection, (connect.client_id().to_text(), will));
                }
            }
            Some(Packet::Disconnect(_)) => discarded.extend(wills.remove(&passing.connection)),
            _ => {}
        }
        passing.pass();
        if let Some(will) = late {
            let mut published = Publish::new(&will.topic, &will.payload).at(Qos::AtMostOnce, None);
            published.retain = will.retain;
            passing.put(&Packet::Publish(published));
        }
    })
}

/// A DISCONNECT that comes in one breath with a message is not looked at.
pub(crate) fn overlooks_a_hasty_disconnect() -> Box<dyn Liar> {
    let mut spoken: BTreeMap<u64, Duration> = BTreeMap::new();
    liar(move |passing| {
        match passing.from_client() {
            Some(Packet::Publish(publish)) if publish.qos == Qos::AtMostOnce => {
                spoken.insert(passing.connection, passing.now);
            }
            Some(Packet::Disconnect(_)) if spoken.get(&passing.connection) == Some(&passing.now) => return,
            _ => {}
        }
        passing.pass();
    })
}

/// The second repeat of a QoS 2 PUBLISH ends the connection.
pub(crate) fn has_enough_of_repeats() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut copies: BTreeMap<(Text, PacketId), u32> = BTreeMap::new();
    liar(move |passing| {
        if let Some(visitor) = names.of(passing) {
            match passing.from_client() {
                Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce => {
                    let Some(id) = publish.packet_id else { return passing.pass() };
                    let count = copies.entry((visitor.name, id)).or_default();
                    *count += u32::from(publish.dup);
                    if *count > 1 {
                        return passing.close();
                    }
                }
                Some(Packet::Pubrel(ack)) => drop(copies.remove(&(visitor.name, ack.packet_id))),
                _ => {}
            }
        }
        passing.pass();
    })
}

/// A QoS 2 PUBLISH of a client takes the place of a message that the server holds for it under the same packet identifier:
/// that one is never sent again.
pub(crate) fn forgets_what_shares_a_number() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut held: BTreeSet<(Text, PacketId)> = BTreeSet::new();
    let mut lost: BTreeSet<(Text, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        if let Some(visitor) = names.of(passing) {
            let key = |id: PacketId| (visitor.name.clone(), id);
            match (&passing.packet, passing.direction) {
                (Some(Packet::Publish(publish)), Direction::ToClient) => {
                    if let Some(id) = publish.packet_id {
                        if publish.dup && lost.contains(&key(id)) {
                            return;
                        }
                        held.insert(key(id));
                    }
                }
                (Some(Packet::Puback(ack) | Packet::Pubrec(ack)), Direction::ToServer) => {
                    held.remove(&key(ack.packet_id));
                }
                (Some(Packet::Publish(publish)), Direction::ToServer) if publish.qos == Qos::ExactlyOnce => {
                    lost.extend(publish.packet_id.map(key).filter(|key| held.contains(key)));
                }
                _ => {}
            }
        }
        passing.pass();
    })
}

/// The QoS 2 message of a lasting session stays under its packet identifier when its exchange is over: on the next connection
/// it comes in the place of the next one.
pub(crate) fn remembers_what_nobody_wanted() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut kept: BTreeMap<(Text, PacketId), (u64, Publish)> = BTreeMap::new();
    liar(move |passing| {
        if let Some(visitor) = names.of(passing).filter(|visitor| !visitor.anew)
            && let Some(Packet::Publish(publish)) = passing.from_client()
            && let (Qos::ExactlyOnce, Some(id)) = (publish.qos, publish.packet_id)
        {
            let connection = passing.connection;
            let (since, old) = kept.entry((visitor.name, id)).or_insert_with(|| (connection, publish.clone()));
            if *since != connection && !publish.dup {
                let old = Packet::Publish(old.clone());
                return passing.put(&old);
            }
        }
        passing.pass();
    })
}

/// What came at QoS 0 to a lasting session comes again whenever it is resumed.
pub(crate) fn replays_what_came_at_qos_0() -> Box<dyn Liar> {
    let mut names = Names::default();
    let mut came: BTreeMap<Text, Vec<Publish>> = BTreeMap::new();
    liar(move |passing| {
        let visitor = names.of(passing).filter(|visitor| !visitor.anew);
        let Some(name) = visitor.map(|visitor| visitor.name) else { return passing.pass() };
        match passing.from_server().cloned() {
            Some(Packet::Connack(connack)) if connack.session_present => {
                passing.pass();
                for old in came.get(&name).into_iter().flatten() {
                    passing.put(&Packet::Publish(old.clone()));
                }
            }
            Some(Packet::Publish(publish)) => {
                passing.pass();
                if publish.qos == Qos::AtMostOnce {
                    came.entry(name).or_default().push(publish);
                }
            }
            _ => passing.pass(),
        }
    })
}

/// A client that is refused has ended the connection of the one under its name already.
pub(crate) fn lets_strangers_take_over() -> Box<dyn Liar> {
    let mut names = Names::default();
    liar(move |passing| {
        let visitor = names.of(passing);
        let refused = matches!(passing.from_server(), Some(Packet::Connack(connack)) if is_refusal(connack));
        passing.pass();
        if let Some(visitor) = visitor.filter(|_| refused) {
            let same =
                names.0.iter().filter(|(_, other)| other.name == visitor.name).map(|(connection, _)| *connection);
            let open = same.filter(|other| *other != passing.connection && passing.connections.contains_key(other));
            for other in open.collect::<Vec<_>>() {
                passing.close_other(other);
            }
        }
    })
}

fn is_refusal(connack: &Connack) -> bool {
    connack.reason.is_failure()
}

/// A message takes so long to be written down.
const WRITING: Duration = Duration::from_millis(500);

/// Who publishes with QoS 2 before anything else is sent away for a PUBREL that comes at once: the message was not written
/// down yet.
pub(crate) fn stumbles_over_a_hasty_pubrel() -> Box<dyn Liar> {
    let mut packets: BTreeMap<u64, usize> = BTreeMap::new();
    let mut published: BTreeMap<u64, Duration> = BTreeMap::new();
    liar(move |passing| {
        let (connection, now) = (passing.connection, passing.now);
        if let Some(packet) = passing.from_client() {
            let number = packets.entry(connection).or_default();
            match packet {
                Packet::Publish(publish) if *number == 1 && publish.qos == Qos::ExactlyOnce => {
                    published.insert(connection, now);
                }
                Packet::Pubrel(_) if published.remove(&connection).is_some_and(|since| now - since < WRITING) => {
                    return passing.close();
                }
                _ => {}
            }
            *number += 1;
        }
        passing.pass();
    })
}
