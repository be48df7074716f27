//! Liars about who may come in, and what they may do.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{hears_connect, tells},
};
use crate::setup::{PASSWORD, USERNAME};

/// Lets everybody in.
pub(crate) fn asks_for_no_password() -> Box<dyn Liar> {
    hears_connect(|connect| {
        connect.set_username(Some(Text::literal(USERNAME)));
        connect.set_password(Some(PASSWORD.into()));
    })
}

/// Turns people away without a word.
pub(crate) fn refuses_without_a_code() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Connack(connack)) if connack.reason.is_failure() => {}
        _ => passing.pass(),
    })
}

/// Remembers the packet identifier of a message that it refused, and takes the next one for that again.
pub(crate) fn remembers_what_it_refused() -> Box<dyn Liar> {
    let mut refused: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Pubrec(ack)) if passing.direction == Direction::ToClient && ack.reason.is_failure() => {
                refused.insert((passing.connection, ack.packet_id));
            }
            Some(Packet::Publish(publish)) if passing.direction == Direction::ToServer => {
                if let Some(id) = publish.packet_id.filter(|id| refused.contains(&(passing.connection, *id))) {
                    return passing.answer(&Packet::Pubrec(Ack::new(id)));
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Delivers what nobody was allowed to publish.
pub(crate) fn delivers_what_is_forbidden() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.topic().contains("/readonly/")
            && let Some(topic) = publish.topic_name()
        {
            let copy = Publish::new(&topic, publish.payload()).at(Qos::AtMostOnce, None);
            let others: Vec<u64> =
                passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
            for other in others {
                passing.put_to(other, Direction::ToClient, &Packet::Publish(copy.clone()));
            }
        }
        passing.pass();
    })
}

/// Answers a SUBSCRIBE with its codes in another order.
pub(crate) fn swaps_the_codes() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Suback(suback) = packet {
            suback.reasons.reverse();
        }
    })
}

/// Remembers nobody who comes a second time.
pub(crate) fn forgets_sessions_over_a_restart() -> Box<dyn Liar> {
    let mut seen: BTreeMap<Text, u32> = BTreeMap::new();
    hears_connect(move |connect| {
        let times = seen.entry(connect.client_id().to_text()).or_insert(0);
        *times += 1;
        if *times > 1 {
            connect.clean_start = true;
        }
    })
}
