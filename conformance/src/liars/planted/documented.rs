//! Defects that real servers had, each under the condition that it needed: `documented_bugs.tsv` names them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::{Ack, Packet, Publish, RetainHandling, WillView},
    property::{Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, V5, planted};
use crate::liars::{
    filter::liar,
    kind::{bends, hears_connect},
};

pub(super) const ALL: &[Planted] = &[
    planted(
        "begins with the first packet identifier again when a session is resumed",
        BOTH,
        reuses_the_first_identifier,
    ),
    planted("acknowledges a QoS 2 message that says DUP, and drops it", BOTH, drops_qos_2_with_dup),
    planted("keeps no subscription of QoS 0 in a session", BOTH, forgets_subscriptions_of_qos_0),
    planted("delivers at QoS 2 to who is subscribed with QoS 1", BOTH, grants_more_than_it_says),
    planted("sends what is retained to a client that takes over", BOTH, repeats_retained_at_take_over),
    planted("sends nothing retained to who subscribes again", BOTH, sends_retained_to_the_new_only),
    planted("deletes the subscriptions of everybody at an UNSUBSCRIBE with a wildcard", BOTH, unsubscribes_everybody),
    planted("loses the will of who is taken over and begins anew", BOTH, loses_wills_when_taken_over),
    planted("ends a session at once that is to last for nearly ever", V5, ends_the_longest_sessions),
    planted("takes a delayed will for the end of a client that is back", V5, ends_who_is_back),
    planted("publishes a delayed will twice", V5, publishes_delayed_wills_twice),
    planted("takes a DISCONNECT of two bytes for an error", V5, wants_a_short_disconnect),
    planted("sets reserved flags in PUBACK", BOTH, flags_its_puback),
    planted("says Session Present to whoever asks for no fresh session", BOTH, says_present_to_who_may_have_one),
    planted("restarts a QoS 2 delivery that has its PUBREC", BOTH, begins_qos_2_anew),
    planted("sends a byte more than the client takes", V5, sends_a_byte_more),
];

/// The first message that is new after a resumption has the packet identifier of the first that came again.
fn reuses_the_first_identifier() -> Box<dyn Liar> {
    let mut first: BTreeMap<u64, PacketId> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_server()
            && let Some(id) = publish.packet_id
        {
            if publish.dup {
                first.entry(passing.connection).or_insert(id);
            } else if let Some(old) = first.get(&passing.connection) {
                let publish = publish.clone();
                return passing.put(&Packet::Publish(publish.clone().at(publish.qos, Some(*old))));
            }
        }
        passing.pass();
    })
}

fn drops_qos_2_with_dup() -> Box<dyn Liar> {
    let mut known: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    let mut dropped: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_client() {
            Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce => {
                let Some(id) = publish.packet_id else { return passing.pass() };
                if publish.dup && !known.contains(&(connection, id)) {
                    dropped.insert((connection, id));
                    return passing.answer(&Packet::Pubrec(Ack::new(id)));
                }
                known.insert((connection, id));
            }
            Some(Packet::Pubrel(ack)) => {
                let id = ack.packet_id;
                known.remove(&(connection, id));
                if dropped.remove(&(connection, id)) {
                    return passing.answer(&Packet::Pubcomp(Ack::new(id)));
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

fn forgets_subscriptions_of_qos_0() -> Box<dyn Liar> {
    let mut resumed: BTreeMap<u64, bool> = BTreeMap::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connack(connack)) => {
                resumed.insert(passing.connection, connack.session_present);
            }
            // Whoever subscribes anew is served.
            Some(Packet::Subscribe(_)) => drop(resumed.remove(&passing.connection)),
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient
                    && publish.qos == Qos::AtMostOnce
                    && resumed.get(&passing.connection) == Some(&true) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

fn repeats_retained_at_take_over() -> Box<dyn Liar> {
    let mut names: BTreeMap<u64, Text> = BTreeMap::new();
    let mut came: BTreeMap<Text, Publish> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            names.insert(passing.connection, connect.client_id().to_text());
        }
        passing.pass();
        let Some(name) = names.get(&passing.connection).cloned() else { return };
        match passing.from_server().cloned() {
            Some(Packet::Publish(publish)) if publish.retain => {
                came.insert(name, publish.at(Qos::AtMostOnce, None));
            }
            Some(Packet::Connack(connack)) if connack.session_present => {
                if let Some(old) = came.get(&name) {
                    passing.put(&Packet::Publish(old.clone()));
                }
            }
            _ => {}
        }
    })
}

fn sends_retained_to_the_new_only() -> Box<dyn Liar> {
    let mut known: BTreeSet<(u64, String)> = BTreeSet::new();
    let mut again: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match &passing.packet {
            Some(Packet::Subscribe(subscribe)) => {
                let asked = |handling: RetainHandling| handling == RetainHandling::default();
                let mut old = false;
                for one in &subscribe.subscriptions {
                    let fresh = known.insert((connection, one.filter.as_str().to_owned()));
                    old |= !fresh && asked(one.options.retain_handling);
                }
                if old {
                    again.insert(connection);
                }
            }
            Some(Packet::Publish(publish))
                if publish.retain && passing.direction == Direction::ToClient && again.contains(&connection) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

fn unsubscribes_everybody() -> Box<dyn Liar> {
    let mut left: BTreeMap<u64, Vec<TopicFilter>> = BTreeMap::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Unsubscribe(unsubscribe)) => {
                let wild: Vec<_> = unsubscribe.filters.iter().filter(|filter| filter.has_wildcard()).cloned().collect();
                for other in passing.connections.keys().filter(|other| **other != passing.connection) {
                    left.entry(*other).or_default().extend(wild.iter().cloned());
                }
            }
            Some(Packet::Publish(publish)) if passing.direction == Direction::ToClient => {
                let mut left = left.get(&passing.connection).into_iter().flatten();
                if left.any(|filter| filter.matches(publish.topic())) {
                    return;
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

fn loses_wills_when_taken_over() -> Box<dyn Liar> {
    let mut wills: BTreeMap<Text, (u64, String, Vec<u8>)> = BTreeMap::new();
    let mut lost: BTreeSet<(String, Vec<u8>)> = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                let taken = wills.remove(connect.client_id().as_str()).filter(|_| connect.clean_start);
                let taken = taken.filter(|(connection, _, _)| passing.connections.contains_key(connection));
                lost.extend(taken.map(|(_, topic, payload)| (topic, payload)));
                if let Some(will) = connect.will() {
                    let will = (passing.connection, will.topic.as_str().to_owned(), will.payload.to_vec());
                    wills.insert(connect.client_id().to_text(), will);
                }
            }
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient
                    && lost.contains(&(publish.topic().to_owned(), publish.payload().to_vec())) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

fn ends_the_longest_sessions() -> Box<dyn Liar> {
    hears_connect(|connect| {
        if connect
            .properties()
            .session_expiry_interval()
            .is_some_and(|seconds| seconds > 0xFFFF_0000 && seconds < u32::MAX)
        {
            let properties = connect.properties().to_owned();
            let others = properties.iter().filter(|one| one.id() != PropertyId::SessionExpiryInterval);
            connect.set_properties(others.cloned().collect());
        }
    })
}

fn ends_who_is_back() -> Box<dyn Liar> {
    let mut delays: BTreeMap<Text, Duration> = BTreeMap::new();
    let mut over: BTreeMap<u64, (Duration, Vec<TopicFilter>)> = BTreeMap::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                if let Some(delay) = delays.remove(connect.client_id().as_str()) {
                    over.insert(passing.connection, (passing.now + delay, Vec::new()));
                }
                let delay = connect.will().and_then(|will| will.properties.will_delay_interval());
                if let Some(seconds) = delay.filter(|seconds| *seconds > 0) {
                    delays.insert(connect.client_id().to_text(), Duration::from_secs(seconds.into()));
                }
            }
            Some(Packet::Subscribe(subscribe)) => {
                if let Some((_, filters)) = over.get_mut(&passing.connection).filter(|(end, _)| passing.now < *end) {
                    filters.extend(subscribe.subscriptions.iter().map(|one| one.filter.clone()));
                }
            }
            Some(Packet::Publish(publish)) if passing.direction == Direction::ToClient => {
                if let Some((end, filters)) = over.get(&passing.connection)
                    && passing.now >= *end
                    && filters.iter().any(|filter| filter.matches(publish.topic()))
                {
                    return;
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

fn publishes_delayed_wills_twice() -> Box<dyn Liar> {
    let mut delayed: BTreeSet<Vec<u8>> = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                let waits =
                    |will: &WillView<'_>| will.properties.will_delay_interval().is_some_and(|seconds| seconds > 0);
                if let Some(will) = connect.will().filter(waits) {
                    delayed.insert(will.payload.to_vec());
                }
            }
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient && delayed.contains(publish.payload()) =>
            {
                let copy = Packet::Publish(publish.clone().at(Qos::AtMostOnce, None));
                passing.pass();
                return passing.put(&copy);
            }
            _ => {}
        }
        passing.pass();
    })
}

/// A first byte that says nothing good, in the place of DISCONNECT 0x00 with an empty block of properties.
fn wants_a_short_disconnect() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        if bytes[..] == [0xE0, 0x02, 0x00, 0x00] {
            *bytes = vec![0xE1, 0x00];
        }
    })
}

/// A subscription of QoS 1 is one of QoS 2; its SUBACK says 1.
fn grants_more_than_it_says() -> Box<dyn Liar> {
    let mut raised: BTreeMap<(u64, PacketId), Vec<usize>> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        match &passing.packet {
            Some(Packet::Subscribe(subscribe)) if passing.direction == Direction::ToServer => {
                let mut subscribe = subscribe.clone();
                let places = raised.entry((connection, subscribe.packet_id)).or_default();
                for (place, one) in subscribe.subscriptions.iter_mut().enumerate() {
                    if one.options.qos == Qos::AtLeastOnce {
                        one.options.qos = Qos::ExactlyOnce;
                        places.push(place);
                    }
                }
                passing.put(&Packet::Subscribe(subscribe));
            }
            Some(Packet::Suback(suback)) => {
                let mut suback = suback.clone();
                for place in raised.remove(&(connection, suback.packet_id)).unwrap_or_default() {
                    if let Some(code) = suback.reasons.get_mut(place).filter(|code| !code.is_failure()) {
                        *code = ReasonCode::GrantedQos1;
                    }
                }
                passing.put(&Packet::Suback(suback));
            }
            _ => passing.pass(),
        }
    })
}

fn flags_its_puback() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x40 {
            bytes[0] = 0x42;
        }
    })
}

/// Whether there is a session is not looked at.
fn says_present_to_who_may_have_one() -> Box<dyn Liar> {
    let mut asking: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.packet.clone() {
            Some(Packet::Connect(connect)) if passing.direction == Direction::ToServer && !connect.clean_start => {
                asking.insert(passing.connection);
            }
            Some(Packet::Connack(mut connack))
                if !connack.reason.is_failure() && asking.contains(&passing.connection) =>
            {
                connack.session_present = true;
                return passing.put(&Packet::Connack(connack));
            }
            _ => {}
        }
        passing.pass();
    })
}

/// The Maximum Packet Size of a client is greater by one.
fn sends_a_byte_more() -> Box<dyn Liar> {
    hears_connect(|connect| {
        let properties = connect.properties().to_owned();
        if let Some(limit) = properties.maximum_packet_size() {
            let others = properties.iter().filter(|property| !matches!(property, Property::MaximumPacketSize(_)));
            connect.set_properties(others.cloned().chain([Property::MaximumPacketSize(limit + 1)]).collect());
        }
    })
}

/// What is owed on a resumed session is the PUBREL of such a delivery; its PUBLISH is sent in its place.
fn begins_qos_2_anew() -> Box<dyn Liar> {
    let mut sent: BTreeMap<PacketId, Publish> = BTreeMap::new();
    let mut resumed: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_server() {
            Some(Packet::Connack(connack)) if connack.session_present => {
                resumed.insert(passing.connection);
            }
            Some(Packet::Publish(publish)) if publish.qos == Qos::ExactlyOnce => {
                if let Some(id) = publish.packet_id {
                    sent.insert(id, publish.clone());
                }
            }
            Some(Packet::Pubrel(ack)) if resumed.remove(&passing.connection) => {
                if let Some(publish) = sent.get(&ack.packet_id).cloned() {
                    return passing.put(&Packet::Publish(publish));
                }
            }
            _ => {}
        }
        passing.pass();
    })
}
