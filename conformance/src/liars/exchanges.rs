//! Liars about the QoS exchanges, redelivery, order and sessions.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Connack, Packet},
    property::{Property, PropertyId},
    qos::Qos,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::{HiddenEnds, hides_ends, liar};

/// A connection on which no whole packet comes stays open.
pub(crate) fn waits_for_strangers() -> Box<dyn Liar> {
    hides_ends(|passing| passing.pass(), HiddenEnds::OfTheSilent)
}

/// Every CONNECT ends in a closed connection.
pub(crate) fn turns_everybody_away() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Connect(_)) => passing.close(),
        _ => passing.pass(),
    })
}

/// PINGREQ is never answered.
pub(crate) fn swallows_pingresps() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Pingresp) => {}
        _ => passing.pass(),
    })
}

/// Messages beyond 20 open QoS 2 exchanges of a connection are acknowledged and passed on to nobody.
pub(crate) fn loses_what_it_has_no_room_for() -> Box<dyn Liar> {
    const ROOM: usize = 20;
    let mut open: BTreeMap<u64, BTreeSet<PacketId>> = BTreeMap::new();
    let mut lost: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let open = open.entry(passing.connection).or_default();
        match passing.from_client() {
            Some(Packet::Publish(publish)) if publish.qos > Qos::AtMostOnce => {
                let Some(packet_id) = publish.packet_id else { return passing.pass() };
                let is_full = open.len() >= ROOM && !open.contains(&packet_id);
                match publish.qos {
                    Qos::ExactlyOnce if is_full => {
                        lost.insert((passing.connection, packet_id));
                        passing.answer(&Packet::Pubrec(Ack::new(packet_id)));
                    }
                    Qos::AtLeastOnce if is_full => passing.answer(&Packet::Puback(Ack::new(packet_id))),
                    Qos::ExactlyOnce => {
                        open.insert(packet_id);
                        passing.pass();
                    }
                    _ => passing.pass(),
                }
            }
            Some(Packet::Pubrel(ack)) => {
                let packet_id = ack.packet_id;
                open.remove(&packet_id);
                match lost.remove(&(passing.connection, packet_id)) {
                    true => passing.answer(&Packet::Pubcomp(Ack::new(packet_id))),
                    false => passing.pass(),
                }
            }
            _ => passing.pass(),
        }
    })
}

/// No message is ever delivered.
pub(crate) fn delivers_nothing() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Publish(_)) => {}
        _ => passing.pass(),
    })
}

/// What was published at QoS 2 and is delivered at QoS 0 comes twice.
pub(crate) fn delivers_qos_0_twice() -> Box<dyn Liar> {
    let mut exact: BTreeSet<Vec<u8>> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.qos == Qos::ExactlyOnce
        {
            exact.insert(publish.payload().to_vec());
        }
        let twice = matches!(
            passing.from_server(),
            Some(Packet::Publish(publish)) if publish.qos == Qos::AtMostOnce && exact.contains(publish.payload())
        );
        passing.pass();
        if twice {
            passing.pass();
        }
    })
}

/// Everything is delivered at QoS 0.
pub(crate) fn delivers_at_qos_0() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Publish(publish)) => {
            let lowered = Packet::Publish(publish.clone().at(Qos::AtMostOnce, None));
            passing.put(&lowered);
        }
        _ => passing.pass(),
    })
}

/// What was published at QoS 1 and is delivered at QoS 0 carries DUP.
pub(crate) fn marks_qos_0_as_duplicate() -> Box<dyn Liar> {
    let mut higher: BTreeSet<Vec<u8>> = BTreeSet::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.qos == Qos::AtLeastOnce
        {
            higher.insert(publish.payload().to_vec());
        }
        let plain = matches!(
            passing.from_server(),
            Some(Packet::Publish(publish)) if publish.qos == Qos::AtMostOnce && higher.contains(publish.payload())
        );
        if !plain {
            return passing.pass();
        }
        let mut raw = passing.raw.to_vec();
        raw[0] |= 0x08;
        passing.put_bytes(passing.connection, passing.direction, Bytes::from(raw));
    })
}

/// What was sent once is never sent again.
pub(crate) fn never_sends_a_publish_again() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Publish(publish)) if publish.dup => {}
        _ => passing.pass(),
    })
}

/// A PUBREL is sent once and never again.
pub(crate) fn never_sends_a_pubrel_again() -> Box<dyn Liar> {
    let mut sent: BTreeSet<PacketId> = BTreeSet::new();
    liar(move |passing| match passing.from_server() {
        Some(Packet::Pubrel(ack)) if !sent.insert(ack.packet_id) => {}
        _ => passing.pass(),
    })
}

/// A QoS 1 PUBLISH with DUP is taken for a repeat, acknowledged and dropped.
pub(crate) fn trusts_dup() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Publish(publish)) if publish.dup && publish.qos == Qos::AtLeastOnce => {
            let puback = publish.packet_id.map(|id| Packet::Puback(Ack::new(id)));
            if let Some(puback) = puback {
                passing.answer(&puback);
            }
        }
        _ => passing.pass(),
    })
}

/// A session that was away gets nothing.
pub(crate) fn forgets_those_who_were_away() -> Box<dyn Liar> {
    let mut resumed: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_server() {
            Some(Packet::Connack(connack)) if connack.session_present => {
                resumed.insert(passing.connection);
            }
            Some(Packet::Publish(_)) if resumed.contains(&passing.connection) => return,
            _ => {}
        }
        passing.pass();
    })
}

/// Of many messages to one connection the eighteenth comes after the nineteenth.
pub(crate) fn swaps_two_messages() -> Box<dyn Liar> {
    let mut delivered: BTreeMap<u64, (u32, Option<Bytes>)> = BTreeMap::new();
    liar(move |passing| {
        if !matches!(passing.from_server(), Some(Packet::Publish(_))) {
            return passing.pass();
        }
        let (count, held) = delivered.entry(passing.connection).or_default();
        *count += 1;
        if *count == 18 {
            *held = Some(passing.raw.clone());
            return;
        }
        passing.pass();
        if let Some(held) = held.take() {
            passing.put_bytes(passing.connection, passing.direction, held);
        }
    })
}

/// CONNACK says that there was no session, or that there was one.
pub(crate) fn says_session_present(present: bool) -> Box<dyn Liar> {
    rewrites_connacks(move |connack| connack.session_present = present && !connack.reason.is_failure())
}

/// Session Present is always 0.
pub(crate) fn denies_the_session() -> Box<dyn Liar> {
    says_session_present(false)
}

/// Session Present is always 1.
pub(crate) fn claims_a_session() -> Box<dyn Liar> {
    says_session_present(true)
}

/// CONNACK carries an Authentication Method that nobody asked for.
pub(crate) fn names_an_authentication_method() -> Box<dyn Liar> {
    rewrites_connacks(|connack| connack.properties.push(Property::AuthenticationMethod(Text::literal("SURPRISE"))))
}

fn rewrites_connacks(rewrite: impl Fn(&mut Connack) + 'static) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server() {
        Some(Packet::Connack(connack)) => {
            let mut connack = connack.clone();
            rewrite(&mut connack);
            passing.put(&Packet::Connack(connack));
        }
        _ => passing.pass(),
    })
}

/// A connection that is two seconds old gets no more messages.
pub(crate) fn forgets_an_open_session() -> Box<dyn Liar> {
    let mut since: BTreeMap<u64, Duration> = BTreeMap::new();
    liar(move |passing| {
        let opened = *since.entry(passing.connection).or_insert(passing.now);
        let old = passing.now.saturating_sub(opened) > Duration::from_secs(2);
        match passing.from_server() {
            Some(Packet::Publish(_)) if old => {}
            _ => passing.pass(),
        }
    })
}

/// The client's Receive Maximum is not looked at.
pub(crate) fn ignores_receive_maximum() -> Box<dyn Liar> {
    connects_without(PropertyId::ReceiveMaximum)
}

/// The client's Authentication Method is not looked at.
pub(crate) fn ignores_the_authentication_method() -> Box<dyn Liar> {
    connects_without(PropertyId::AuthenticationMethod)
}

fn connects_without(property: PropertyId) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_client() {
        Some(Packet::Connect(connect)) => {
            let mut connect = connect.clone();
            let properties = connect.properties().to_owned();
            connect.set_properties(properties.iter().filter(|one| one.id() != property).cloned().collect());
            passing.put(&Packet::Connect(connect));
        }
        _ => passing.pass(),
    })
}

/// A client gets no other answers while so many messages are on their way to it as it takes.
pub(crate) fn stops_answering_when_the_quota_is_used_up() -> Box<dyn Liar> {
    /// What the client takes at a time, and what is under way to it.
    #[derive(Default)]
    struct Quota {
        size: usize,
        open: BTreeSet<PacketId>,
    }
    let mut quotas: BTreeMap<u64, Quota> = BTreeMap::new();
    liar(move |passing| {
        let quota = quotas.entry(passing.connection).or_default();
        match (&passing.packet, passing.direction) {
            (Some(Packet::Connect(connect)), _) => {
                quota.size = connect.properties().receive_maximum().unwrap_or(u16::MAX).into();
            }
            (Some(Packet::Publish(publish)), Direction::ToClient) => quota.open.extend(publish.packet_id),
            (Some(Packet::Puback(ack) | Packet::Pubcomp(ack)), Direction::ToServer) => {
                quota.open.remove(&ack.packet_id);
            }
            (Some(Packet::Pubrec(ack)), Direction::ToServer) if ack.reason.is_failure() => {
                quota.open.remove(&ack.packet_id);
            }
            (Some(Packet::Pingresp | Packet::Suback(_)), _) if quota.open.len() >= quota.size => return,
            _ => {}
        }
        passing.pass();
    })
}

/// AUTH is dropped, and the connection goes on.
pub(crate) fn ignores_auth() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Auth(_)) => {}
        _ => passing.pass(),
    })
}

/// A PUBACK or PUBREC that refuses is taken for none.
pub(crate) fn takes_a_refusal_for_silence() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Puback(ack) | Packet::Pubrec(ack)) if ack.reason.is_failure() => {}
        _ => passing.pass(),
    })
}

/// A PUBREL that comes a second after its PUBREC is not answered.
pub(crate) fn forgets_an_expired_exchange() -> Box<dyn Liar> {
    let mut begun: BTreeMap<(u64, PacketId), Duration> = BTreeMap::new();
    liar(move |passing| {
        match (passing.from_client(), passing.from_server()) {
            (Some(Packet::Pubrel(ack)), _) => {
                let since = begun.get(&(passing.connection, ack.packet_id)).copied().unwrap_or(passing.now);
                if passing.now.saturating_sub(since) > Duration::from_secs(1) {
                    return;
                }
            }
            (_, Some(Packet::Pubrec(ack))) => {
                begun.insert((passing.connection, ack.packet_id), passing.now);
            }
            _ => {}
        }
        passing.pass();
    })
}

/// The first byte of a packet, for the liars about reason codes.
#[derive(Clone, Copy)]
enum Answer {
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
}

/// PUBACK carries 0x92, which is not one of its reason codes.
pub(crate) fn puback_with_a_foreign_code() -> Box<dyn Liar> {
    foreign_code(Answer::Puback, 0x92)
}

/// PUBREC carries 0x92, which is not one of its reason codes.
pub(crate) fn pubrec_with_a_foreign_code() -> Box<dyn Liar> {
    foreign_code(Answer::Pubrec, 0x92)
}

/// PUBREL carries 0x97, which is not one of its reason codes.
pub(crate) fn pubrel_with_a_foreign_code() -> Box<dyn Liar> {
    foreign_code(Answer::Pubrel, 0x97)
}

/// PUBCOMP carries 0x97, which is not one of its reason codes.
pub(crate) fn pubcomp_with_a_foreign_code() -> Box<dyn Liar> {
    foreign_code(Answer::Pubcomp, 0x97)
}

fn foreign_code(answer: Answer, code: u8) -> Box<dyn Liar> {
    liar(move |passing| {
        let (first, ack) = match (answer, passing.from_server()) {
            (Answer::Puback, Some(Packet::Puback(ack))) => (0x40, ack),
            (Answer::Pubrec, Some(Packet::Pubrec(ack))) => (0x50, ack),
            (Answer::Pubrel, Some(Packet::Pubrel(ack))) => (0x62, ack),
            (Answer::Pubcomp, Some(Packet::Pubcomp(ack))) => (0x70, ack),
            _ => return passing.pass(),
        };
        let [high, low] = ack.packet_id.value().to_be_bytes();
        passing.put_bytes(passing.connection, passing.direction, Bytes::copy_from_slice(&[first, 3, high, low, code]));
    })
}
