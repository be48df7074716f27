//! Documented defects that need no condition: each packet of a kind, or each message of a kind.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Connack, Disconnect, Packet, Publish},
    property::PropertyId,
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, V5, planted};
use crate::liars::{
    filter::{Passing, liar},
    kind::{bends, hears, tells},
};

pub(super) const ALL: &[Planted] = &[
    planted("refuses an empty will", BOTH, || {
        turns_away(|packet| {
            let will = if let Packet::Connect(connect) = packet { connect.will() } else { None };
            will.is_some_and(|will| will.payload.is_empty())
        })
    }),
    planted("hangs up on a PUBREC", BOTH, || turns_away(|packet| matches!(packet, Packet::Pubrec(_)))),
    planted("never answers a SUBSCRIBE", BOTH, || {
        liar(|passing| {
            if !matches!(passing.from_server(), Some(Packet::Suback(_))) {
                passing.pass();
            }
        })
    }),
    planted("ends the connection of who takes over", BOTH, ends_who_takes_over),
    planted("never publishes a will of QoS 2", BOTH, || {
        hears(|packet| {
            if let Packet::Connect(connect) = packet {
                connect
                    .set_will(connect.will().map(|will| will.to_owned()).filter(|will| will.qos != Qos::ExactlyOnce));
            }
        })
    }),
    planted("sends what is retained at QoS 1 at least", BOTH, || {
        retained(|publish| {
            let id = publish.packet_id.or(PacketId::new(40_000));
            if publish.qos == Qos::AtMostOnce { publish.at(Qos::AtLeastOnce, id) } else { publish }
        })
    }),
    planted("sends what is retained at QoS 0", BOTH, || retained(|publish| publish.at(Qos::AtMostOnce, None))),
    planted("delivers what a wildcard finds on the name of the filter", BOTH, names_the_filter),
    planted("writes dots in topics as slashes", BOTH, || {
        delivers(|publish| match TopicName::try_from(publish.topic().replace('.', "/").as_str()) {
            Ok(topic) => publish.with_topic(&topic),
            Err(_) => publish,
        })
    }),
    planted("loses messages that it has to lower", BOTH, loses_what_is_lowered),
    planted("drops what is released on the next connection", BOTH, drops_what_is_released_later),
    planted("sends again what was acknowledged", BOTH, sends_again_what_was_acknowledged),
    planted("delivers nothing behind an expired message", V5, delivers_nothing_behind_expired_messages),
    planted("says of retained messages that they expire when they were to", V5, || {
        let mut given: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        liar(move |passing| {
            if let Some(Packet::Publish(publish)) = passing.from_client() {
                given.extend(publish.message_expiry_interval.map(|seconds| (publish.payload().to_vec(), seconds)));
            }
            match passing.from_server().cloned() {
                Some(Packet::Publish(mut publish)) if publish.retain && publish.message_expiry_interval.is_some() => {
                    publish.message_expiry_interval = given.get(publish.payload()).copied();
                    passing.put(&Packet::Publish(publish));
                }
                _ => passing.pass(),
            }
        })
    }),
    planted("hangs up on a client that publishes to its own No Local", V5, || {
        let mut deaf: BTreeSet<u64> = BTreeSet::new();
        liar(move |passing| {
            match passing.from_client() {
                Some(Packet::Subscribe(subscribe))
                    if subscribe.subscriptions.iter().any(|one| one.options.no_local) =>
                {
                    deaf.insert(passing.connection);
                }
                Some(Packet::Publish(_)) if deaf.contains(&passing.connection) => return passing.close(),
                _ => {}
            }
            passing.pass();
        })
    }),
    planted("gives another reason to a client that is taken over", V5, || {
        taken_over(|passing, disconnect| {
            let other = Disconnect { reason: ReasonCode::UnspecifiedError, ..disconnect };
            passing.put(&Packet::Disconnect(other));
        })
    }),
    planted("says nothing to a client that is taken over", V5, || taken_over(|_, _| {})),
    planted("answers an AUTH that renews with another CONNACK", V5, || {
        let mut welcome: BTreeMap<u64, Box<Connack>> = BTreeMap::new();
        liar(move |passing| {
            if let Some(Packet::Connack(connack)) = passing.from_server() {
                welcome.insert(passing.connection, connack.clone());
            }
            let again =
                welcome.get(&passing.connection).filter(|_| matches!(passing.from_client(), Some(Packet::Auth(_))));
            if let Some(connack) = again {
                passing.answer(&Packet::Connack(connack.clone()));
            }
            passing.pass();
        })
    }),
    planted("sends UNSUBACK without codes", V5, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0xB0 {
                *bytes = vec![0xB0, 0x02, bytes[2], bytes[3]];
            }
        })
    }),
    planted("ignores the Session Expiry Interval of DISCONNECT", V5, || {
        hears(|packet| {
            if let Packet::Disconnect(disconnect) = packet {
                let others = disconnect.properties.iter().filter(|one| one.id() != PropertyId::SessionExpiryInterval);
                disconnect.properties = others.cloned().collect();
            }
        })
    }),
    planted("says a return code of 3.1.1 to clients of 5.0", V5, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0x20 && matches!(bytes.get(3), Some(0x86 | 0x87)) {
                bytes[3] = 0x05;
            }
        })
    }),
];

/// Ends the connection at a packet of this kind.
fn turns_away(unwelcome: fn(&Packet) -> bool) -> Box<dyn Liar> {
    liar(move |passing| if passing.from_client().is_some_and(unwelcome) { passing.close() } else { passing.pass() })
}

/// Changes messages on their way to subscribers.
fn delivers(change: fn(Publish) -> Publish) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Publish(publish) = packet {
            *publish = change(publish.clone());
        }
    })
}

/// Changes what is sent because it was retained. What it makes of the acknowledgements is the server's affair.
fn retained(change: fn(Publish) -> Publish) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Publish(publish) = packet
            && publish.retain
        {
            *publish = change(publish.clone());
        }
    })
}

/// What becomes of the DISCONNECT at a take-over.
fn taken_over(say: fn(&mut Passing<'_>, Disconnect)) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server().cloned() {
        Some(Packet::Disconnect(disconnect)) if disconnect.reason == ReasonCode::SessionTakenOver => {
            say(passing, disconnect);
        }
        _ => passing.pass(),
    })
}

/// What is retained comes on the filter that found it, in letters: with a wildcard that is no topic.
fn names_the_filter() -> Box<dyn Liar> {
    let mut wild: BTreeMap<u64, String> = BTreeMap::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Subscribe(subscribe)) => {
                if let Some(one) = subscribe.subscriptions.iter().find(|one| one.filter.has_wildcard()) {
                    wild.insert(passing.connection, one.filter.as_str().to_owned());
                }
            }
            Some(Packet::Publish(publish)) if publish.retain && passing.direction == Direction::ToClient => {
                // Both lengths fit into a byte, or the frame is left as it is.
                let old = publish.topic().len();
                let filter = wild.get(&passing.connection).filter(|filter| passing.raw.len() + filter.len() < 0x7F);
                if let Some(filter) = filter {
                    let mut frame = vec![passing.raw[0], 0, 0, u8::try_from(filter.len()).unwrap_or(0)];
                    frame.extend(filter.as_bytes());
                    frame.extend(&passing.raw[4 + old..]);
                    frame[1] = u8::try_from(frame.len() - 2).unwrap_or(0);
                    return passing.put_bytes(passing.connection, passing.direction, frame.into());
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

fn ends_who_takes_over() -> Box<dyn Liar> {
    let mut names: BTreeMap<Text, u64> = BTreeMap::new();
    let mut late: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            let former = names.insert(connect.client_id().to_text(), passing.connection);
            if former.is_some_and(|former| passing.connections.contains_key(&former)) {
                late.insert(passing.connection);
            }
        }
        let welcome = matches!(passing.from_server(), Some(Packet::Connack(_)));
        passing.pass();
        if welcome && late.contains(&passing.connection) {
            passing.close();
        }
    })
}

fn loses_what_is_lowered() -> Box<dyn Liar> {
    let mut sent: BTreeMap<Vec<u8>, Qos> = BTreeMap::new();
    liar(move |passing| {
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToServer) => {
                sent.insert(publish.payload().to_vec(), publish.qos);
            }
            (Some(Packet::Publish(publish)), Direction::ToClient)
                if sent.get(publish.payload()).is_some_and(|qos| *qos > publish.qos) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A PUBREL for a message that came on another connection is answered by PUBCOMP, and that is all.
fn drops_what_is_released_later() -> Box<dyn Liar> {
    let mut half: BTreeMap<(u64, PacketId), Publish> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_client().cloned() {
            Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce && !publish.dup => {
                let Some(id) = publish.packet_id else { return passing.pass() };
                half.insert((connection, id), publish);
                passing.answer(&Packet::Pubrec(Ack::new(id)));
            }
            Some(Packet::Pubrel(ack)) => {
                if let Some(publish) = half.remove(&(connection, ack.packet_id)) {
                    passing.put(&Packet::Publish(publish.at(Qos::AtMostOnce, None)));
                }
                passing.answer(&Packet::Pubcomp(Ack::new(ack.packet_id)));
            }
            _ => passing.pass(),
        }
    })
}

/// The first message that a client acknowledged comes again on its next connection.
fn sends_again_what_was_acknowledged() -> Box<dyn Liar> {
    let mut names: BTreeMap<u64, Text> = BTreeMap::new();
    let mut sent: BTreeMap<(u64, PacketId), Publish> = BTreeMap::new();
    let mut acknowledged: BTreeMap<Text, Publish> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (passing.packet.clone(), passing.direction) {
            (Some(Packet::Connect(connect)), _) => drop(names.insert(connection, connect.client_id().to_text())),
            (Some(Packet::Publish(publish)), Direction::ToClient) => {
                sent.extend(publish.packet_id.map(|id| ((connection, id), publish.clone())));
            }
            (Some(Packet::Puback(ack)), Direction::ToServer) => {
                let name = names.get(&connection).cloned();
                if let Some((name, publish)) = name.zip(sent.remove(&(connection, ack.packet_id))) {
                    acknowledged.entry(name).or_insert(publish);
                }
            }
            (Some(Packet::Connack(connack)), _) if connack.session_present => {
                passing.pass();
                if let Some(old) = names.get(&connection).and_then(|name| acknowledged.get(name)) {
                    let mut again = old.clone();
                    again.dup = true;
                    passing.put(&Packet::Publish(again));
                }
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A client that comes back when a message for it has expired gets what came before that message, and nothing of what came
/// behind.
fn delivers_nothing_behind_expired_messages() -> Box<dyn Liar> {
    let mut brief: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut resumed: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToServer) => {
                let behind = brief.contains_key(publish.topic());
                if behind || publish.message_expiry_interval.is_some_and(|seconds| seconds <= 2) {
                    brief.entry(publish.topic().to_owned()).or_default().insert(publish.payload().to_vec());
                }
            }
            (Some(Packet::Connack(connack)), _) if connack.session_present => {
                resumed.insert(passing.connection);
            }
            (Some(Packet::Publish(publish)), Direction::ToClient)
                if resumed.contains(&passing.connection)
                    && brief.get(publish.topic()).is_some_and(|behind| behind.contains(publish.payload())) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}
