//! Liars about Receive Maximum: the window of what is unacknowledged.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Packet},
    property::{Properties, Property, PropertyId},
    qos::Qos,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{filter::liar, kind::hears_connect};

/// Takes more QoS 2 messages than it announced, and says nothing.
pub(crate) fn takes_more_than_it_announced() -> Box<dyn Liar> {
    let mut announced: BTreeMap<u64, usize> = BTreeMap::new();
    let mut open: BTreeMap<u64, usize> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (&passing.packet, passing.direction) {
            (Some(Packet::Connack(connack)), Direction::ToClient) => {
                announced
                    .extend(connack.properties.receive_maximum().map(|maximum| (connection, usize::from(maximum))));
            }
            (Some(Packet::Publish(publish)), Direction::ToServer) if publish.qos == Qos::ExactlyOnce => {
                let count = open.entry(connection).or_default();
                *count += 1;
                let id = publish.packet_id.filter(|_| announced.get(&connection).is_some_and(|most| *count > *most));
                if let Some(id) = id {
                    return passing.answer(&Packet::Pubrec(Ack::new(id)));
                }
            }
            (Some(Packet::Pubrel(_)), Direction::ToServer) => {
                if let Some(count) = open.get_mut(&connection) {
                    *count = count.saturating_sub(1);
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

fn without_receive_maximum(properties: &Properties) -> Properties {
    properties.iter().filter(|one| one.id() != PropertyId::ReceiveMaximum).cloned().collect()
}

/// The window of one connection as the liar keeps it.
#[derive(Debug, Default)]
struct Window {
    size: usize,
    open: usize,
    held: VecDeque<Bytes>,
}

/// Counts a message as acknowledged as soon as its PUBREC comes.
pub(crate) fn gives_credit_for_pubrec() -> Box<dyn Liar> {
    let mut windows: BTreeMap<u64, Window> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            let Some(size) = connect.properties().receive_maximum() else { return passing.pass() };
            windows.insert(connection, Window { size: usize::from(size), ..Window::default() });
            let mut connect = connect.clone();
            connect.set_properties(without_receive_maximum(&connect.properties().to_owned()));
            return passing.put(&Packet::Connect(connect));
        }
        let Some(window) = windows.get_mut(&connection) else { return passing.pass() };
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToClient) if publish.packet_id.is_some() => {
                if window.open >= window.size {
                    window.held.push_back(passing.raw.clone());
                    return;
                }
                window.open += 1;
                passing.pass();
            }
            (Some(Packet::Puback(_) | Packet::Pubrec(_)), Direction::ToServer) => {
                passing.pass();
                match window.held.pop_front() {
                    Some(next) => passing.put_bytes(connection, Direction::ToClient, next),
                    None => window.open = window.open.saturating_sub(1),
                }
            }
            _ => passing.pass(),
        }
    })
}

/// The Receive Maximum of a client's first connection holds for all that follow.
pub(crate) fn carries_the_window_over() -> Box<dyn Liar> {
    let mut first: BTreeMap<Text, u16> = BTreeMap::new();
    hears_connect(move |connect| {
        let Some(asked) = connect.properties().receive_maximum() else { return };
        let kept = *first.entry(connect.client_id().to_text()).or_insert(asked);
        connect.set_properties(
            without_receive_maximum(&connect.properties().to_owned()).with(Property::ReceiveMaximum(kept)),
        );
    })
}

/// QoS 0 messages use the window up, and nothing gives it back.
pub(crate) fn counts_qos_0() -> Box<dyn Liar> {
    let mut left: BTreeMap<u64, usize> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            left.extend(connect.properties().receive_maximum().map(|size| (connection, usize::from(size))));
        }
        if let Some(Packet::Publish(publish)) = passing.from_server()
            && let Some(left) = left.get_mut(&connection)
        {
            if *left == 0 {
                return;
            }
            if publish.qos == Qos::AtMostOnce {
                *left -= 1;
            }
        }
        passing.pass();
    })
}

/// Gives a message the packet identifier of another that is not acknowledged yet.
pub(crate) fn reuses_identifiers_of_qos_1() -> Box<dyn Liar> {
    let mut given = BTreeMap::new();
    liar(move |passing| match passing.from_server() {
        Some(Packet::Publish(publish)) if publish.qos == Qos::AtLeastOnce => {
            let mut changed = publish.clone();
            changed.packet_id = Some(*given.entry(passing.connection).or_insert(publish.packet_id.expect("of QoS 1")));
            passing.put(&Packet::Publish(changed));
        }
        _ => passing.pass(),
    })
}

/// Takes the identifier of a QoS 2 message for free when its PUBREC has come.
pub(crate) fn frees_identifiers_at_pubrec() -> Box<dyn Liar> {
    let mut freed = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Pubrec(ack)) = passing.from_client() {
            freed.insert(passing.connection, ack.packet_id);
        }
        match (passing.from_server(), freed.get(&passing.connection)) {
            (Some(Packet::Publish(publish)), Some(id)) if publish.qos == Qos::ExactlyOnce => {
                let mut changed = publish.clone();
                changed.packet_id = Some(*id);
                passing.put(&Packet::Publish(changed));
            }
            _ => passing.pass(),
        }
    })
}

/// Hangs up on an acknowledgement that has a reason code and no properties.
pub(crate) fn wants_whole_acknowledgements() -> Box<dyn Liar> {
    liar(|passing| {
        let short = passing.direction == Direction::ToServer
            && matches!(passing.raw[0] >> 4, 4..=7)
            && passing.raw.get(1) == Some(&3);
        if short { passing.close() } else { passing.pass() }
    })
}
