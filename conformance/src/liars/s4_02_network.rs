//! Liars about connections that must not feel each other, and about segments.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::packet::{Ack, Packet};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::liar;

/// So many packets of one segment are seen, and no more.
const SEEN: u32 = 16;

/// Loses the end of a segment with many packets.
pub(crate) fn sees_the_beginning_of_a_segment() -> Box<dyn Liar> {
    let mut last: BTreeMap<u64, (Duration, u32)> = BTreeMap::new();
    liar(move |passing| {
        let now = passing.now;
        if passing.direction == Direction::ToServer {
            let (at, count) = last.entry(passing.connection).or_default();
            *count = if *at == now { *count + 1 } else { 1 };
            *at = now;
            if *count > SEEN {
                return;
            }
        }
        passing.pass();
    })
}

/// So many bytes to one client make it lose sight of the others: fewer than the window of a link.
const FULL: usize = 50_000;

/// Waits for a client that does not read, and delivers nothing to the others meanwhile.
pub(crate) fn waits_for_the_slowest() -> Box<dyn Liar> {
    let mut sent: BTreeMap<u64, usize> = BTreeMap::new();
    liar(move |passing| {
        if passing.direction == Direction::ToClient {
            *sent.entry(passing.connection).or_default() += passing.raw.len();
        }
        let waits = sent.iter().any(|(other, bytes)| *other != passing.connection && *bytes > FULL);
        match passing.from_server() {
            Some(Packet::Publish(_)) if waits => {}
            _ => passing.pass(),
        }
    })
}

/// A packet that cannot be read costs somebody else the next QoS 1 message.
pub(crate) fn lets_others_pay() -> Box<dyn Liar> {
    let mut offended: Option<u64> = None;
    let mut wills: BTreeSet<String> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            wills.extend(connect.will().into_iter().map(|will| will.topic.as_str().to_owned()));
        }
        if passing.direction == Direction::ToServer && passing.packet.is_none() {
            offended = Some(passing.connection);
        }
        if offended.is_some_and(|offender| offender != passing.connection)
            && let Some(Packet::Publish(publish)) = passing.from_server()
            && let Some(id) = publish.packet_id
            && !wills.contains(publish.topic())
        {
            passing.answer(&Packet::Puback(Ack::new(id)));
            offended = None;
            return;
        }
        passing.pass();
    })
}

/// An acknowledgement of what was never sent makes it deliver nothing any more, to anybody.
pub(crate) fn is_thrown_by_an_acknowledgement_of_nothing() -> Box<dyn Liar> {
    let mut sent = BTreeSet::new();
    let mut thrown = false;
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack)) = passing.from_client() {
            thrown |= !sent.contains(&(connection, ack.packet_id));
        }
        if let Some(Packet::Publish(publish)) = passing.from_server() {
            sent.extend(publish.packet_id.map(|id| (connection, id)));
            if thrown {
                return;
            }
        }
        passing.pass();
    })
}
