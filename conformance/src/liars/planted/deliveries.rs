//! Defects on the way of a message to a subscriber.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
    topic::TopicName,
    wire::PacketId,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, planted};
use crate::liars::{
    filter::{Passing, liar},
    kind::{hears, tells},
};

pub(super) const ALL: &[Planted] = &[
    planted("loses every third message", BOTH, || loses(|_, count| count.is_multiple_of(3))),
    planted("loses the first message to each connection", BOTH, || loses(|_, count| count == 1)),
    planted("loses the second message to each connection", BOTH, || loses(|_, count| count == 2)),
    planted("loses messages of QoS 0", BOTH, || loses(|publish, _| publish.qos == Qos::AtMostOnce)),
    planted("loses messages of QoS 1", BOTH, || loses(|publish, _| publish.qos == Qos::AtLeastOnce)),
    planted("loses messages of QoS 2", BOTH, || loses(|publish, _| publish.qos == Qos::ExactlyOnce)),
    planted("loses messages that are sent again", BOTH, || loses(|publish, _| publish.dup)),
    planted("loses retained messages", BOTH, || loses(|publish, _| publish.retain)),
    planted("loses empty messages", BOTH, || loses(|publish, _| publish.payload().is_empty())),
    planted("loses messages of more than 1000 bytes", BOTH, || loses(|publish, _| publish.payload().len() > 1000)),
    planted("delivers QoS 0 twice", BOTH, delivers_qos_0_twice),
    planted("delivers QoS 2 twice, under two identifiers", BOTH, delivers_qos_2_twice),
    planted("lets each second message be overtaken", BOTH, lets_messages_be_overtaken),
    planted("sets DUP in what is sent for the first time", BOTH, || {
        delivers(|publish| publish.dup |= publish.packet_id.is_some())
    }),
    planted("clears DUP in what is sent again", BOTH, || delivers(|publish| publish.dup = false)),
    planted("sets RETAIN in everything", BOTH, || delivers(|publish| publish.retain = true)),
    planted("clears RETAIN in everything", BOTH, || delivers(|publish| publish.retain = false)),
    planted("lowers QoS 2 to 1", BOTH, lowers_qos_2),
    planted("raises QoS 0 to 1", BOTH, raises_qos_0),
    planted("says the packet identifier 0", BOTH, says_identifier_0),
    planted(
        "gives every message the packet identifier 1",
        BOTH,
        crate::liars::s2_packet_format::uses_one_identifier_for_all,
    ),
    planted("cuts the last byte of a payload off", BOTH, || {
        pays(|payload| payload.truncate(payload.len().saturating_sub(1)))
    }),
    planted("adds a byte to a payload", BOTH, || pays(|payload| payload.push(0))),
    planted("flips a bit of a payload", BOTH, || {
        pays(|payload| payload.iter_mut().take(1).for_each(|byte| *byte ^= 1))
    }),
    planted("ends a payload at its first zero", BOTH, || {
        pays(|payload| payload.truncate(payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len())))
    }),
    planted("adds a letter to a topic", BOTH, || renames(|topic| format!("{topic}x"))),
    planted("writes topics in capitals", BOTH, || renames(str::to_uppercase)),
    planted("cuts a slash at the end of a topic off", BOTH, || renames(|topic| topic.trim_end_matches('/').to_owned())),
    planted("sends every message to everybody", BOTH, sends_to_everybody),
    planted("takes every retained message for a plain one", BOTH, || {
        hears(|packet| {
            if let Packet::Publish(publish) = packet {
                publish.retain = false;
            }
        })
    }),
    planted("never deletes a retained message", BOTH, || {
        hears(|packet| {
            if let Packet::Publish(publish) = packet {
                publish.retain &= !publish.payload().is_empty();
            }
        })
    }),
];

/// Changes messages on their way to subscribers.
fn delivers(mut change: impl FnMut(&mut Publish) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Publish(publish) = packet {
            change(publish);
        }
    })
}

/// Changes the payloads.
fn pays(change: impl Fn(&mut Vec<u8>) + 'static) -> Box<dyn Liar> {
    delivers(move |publish| {
        let mut payload = publish.payload().to_vec();
        change(&mut payload);
        *publish = publish.clone().with_payload(&payload);
    })
}

/// Changes the topics.
fn renames(change: impl Fn(&str) -> String + 'static) -> Box<dyn Liar> {
    delivers(move |publish| {
        if let Ok(topic) = TopicName::try_from(change(publish.topic()).as_str()) {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// Loses messages of which this is true; the number counts those to one connection from 1.
fn loses(lost: impl Fn(&Publish, u32) -> bool + 'static) -> Box<dyn Liar> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_server() {
            let count = counts.entry(passing.connection).or_default();
            *count += 1;
            if lost(publish, *count) {
                return;
            }
        }
        passing.pass();
    })
}

fn delivers_qos_0_twice() -> Box<dyn Liar> {
    liar(|passing| {
        let twice = matches!(passing.from_server(), Some(Packet::Publish(publish)) if publish.qos == Qos::AtMostOnce);
        passing.pass();
        if twice {
            passing.pass();
        }
    })
}

/// So far above the server's own identifiers are those of the proxy.
const ABOVE: u16 = 30_000;

fn above(id: PacketId) -> PacketId {
    PacketId::new(id.value() % ABOVE + ABOVE).expect("it is above 0")
}

fn delivers_qos_2_twice() -> Box<dyn Liar> {
    liar(|passing| {
        match &passing.packet {
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient && publish.qos == Qos::ExactlyOnce =>
            {
                let copy = publish.clone().at(publish.qos, publish.packet_id.map(above));
                passing.pass();
                return passing.put(&Packet::Publish(copy));
            }
            Some(Packet::Pubrec(ack)) if is_above(passing, ack) => {
                let pubrel = Packet::Pubrel(Ack::new(ack.packet_id));
                return passing.answer(&pubrel);
            }
            Some(Packet::Pubcomp(ack)) if is_above(passing, ack) => return,
            _ => {}
        }
        passing.pass();
    })
}

fn is_above(passing: &Passing<'_>, ack: &Ack) -> bool {
    passing.direction == Direction::ToServer && ack.packet_id.value() >= ABOVE
}

fn lets_messages_be_overtaken() -> Box<dyn Liar> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(_)) = passing.from_server() {
            let count = counts.entry(passing.connection).or_default();
            *count += 1;
            if count.is_multiple_of(2) {
                return passing.pass_at(passing.now + Duration::from_millis(100));
            }
        }
        passing.pass();
    })
}

fn lowers_qos_2() -> Box<dyn Liar> {
    let mut lowered: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToClient) if publish.qos == Qos::ExactlyOnce => {
                lowered.extend(publish.packet_id.map(|id| (connection, id)));
                let lower = Packet::Publish(publish.clone().at(Qos::AtLeastOnce, publish.packet_id));
                passing.put(&lower);
            }
            (Some(Packet::Puback(ack)), Direction::ToServer) if lowered.contains(&(connection, ack.packet_id)) => {
                let pubrec = Packet::Pubrec(Ack::new(ack.packet_id));
                passing.put(&pubrec);
            }
            (Some(Packet::Pubrel(ack)), Direction::ToClient) if lowered.remove(&(connection, ack.packet_id)) => {
                let pubcomp = Packet::Pubcomp(Ack::new(ack.packet_id));
                passing.answer(&pubcomp);
            }
            _ => passing.pass(),
        }
    })
}

fn raises_qos_0() -> Box<dyn Liar> {
    let mut last = ABOVE;
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient && publish.qos == Qos::AtMostOnce =>
            {
                last = last.checked_add(1).unwrap_or(ABOVE);
                let raised = publish.clone().at(Qos::AtLeastOnce, PacketId::new(last));
                return passing.put(&Packet::Publish(raised));
            }
            Some(Packet::Puback(ack)) if is_above(passing, ack) => return,
            _ => {}
        }
        passing.pass();
    })
}

fn says_identifier_0() -> Box<dyn Liar> {
    liar(|passing| {
        let Some(Packet::Publish(publish)) = passing.from_server() else { return passing.pass() };
        if publish.packet_id.is_none() {
            return passing.pass();
        }
        let mut bytes = passing.raw.to_vec();
        let header = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap_or(0) + 1;
        let at = header + 2 + publish.topic().len();
        bytes[at..at + 2].fill(0);
        passing.put_bytes(passing.connection, passing.direction, Bytes::from(bytes));
    })
}

fn sends_to_everybody() -> Box<dyn Liar> {
    liar(|passing| {
        passing.pass();
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && !publish.topic().is_empty()
        {
            let mut copy = publish.clone().at(Qos::AtMostOnce, None);
            (copy.dup, copy.retain, copy.topic_alias) = (false, false, None);
            let others: Vec<u64> =
                passing.connections.keys().copied().filter(|other| *other != passing.connection).collect();
            for other in others {
                passing.put_to(other, Direction::ToClient, &Packet::Publish(copy.clone()));
            }
        }
    })
}
