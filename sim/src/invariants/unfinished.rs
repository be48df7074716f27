//! Exchanges that a client began and that are not over, though everybody has had the time.

use std::collections::BTreeMap;

use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    wire::PacketId,
};

use super::{Breach, Invariant};
use crate::history::{ConnectionName, Event, Happened, History};

/// What one client has sent and what was not answered.
#[derive(Default)]
struct Sender<'a> {
    connection: Option<&'a ConnectionName>,
    open: BTreeMap<PacketId, (&'a Event, Qos, String)>,
}

/// Messages above QoS 0 of those who are there, to which the last answer has not come.
pub(super) fn unfinished(history: &History, actors: &[&str]) -> Vec<Breach> {
    let mut senders: BTreeMap<&str, Sender<'_>> = BTreeMap::new();
    for event in history.events.iter().filter(|event| actors.contains(&&*event.connection.actor)) {
        let sender = senders.entry(&event.connection.actor).or_default();
        let is_current = sender.connection == Some(&event.connection);
        match &event.what {
            Happened::Sent(Packet::Connect(_)) => sender.connection = Some(&event.connection),
            Happened::Received(Packet::Connack(connack)) if is_current && !connack.session_present => {
                sender.open.clear()
            }
            Happened::Sent(Packet::Publish(publish)) if is_current => sender.publishes(event, publish),
            Happened::Received(Packet::Puback(ack) | Packet::Pubcomp(ack)) if is_current => {
                sender.open.remove(&ack.packet_id);
            }
            Happened::Received(Packet::Pubrec(ack)) if is_current && ack.reason.is_failure() => {
                sender.open.remove(&ack.packet_id);
            }
            Happened::Ended { .. } if is_current => sender.connection = None,
            _ => {}
        }
    }
    let there = senders.into_values().filter(|sender| sender.connection.is_some());
    there.flat_map(|sender| sender.open.into_values()).map(|(event, qos, topic)| breach(event, qos, &topic)).collect()
}

impl<'a> Sender<'a> {
    fn publishes(&mut self, event: &'a Event, publish: &Publish) {
        if let Some(id) = publish.packet_id {
            self.open.insert(id, (event, publish.qos, publish.topic().to_owned()));
        }
    }
}

fn breach(event: &Event, qos: Qos, topic: &str) -> Breach {
    let invariant = if qos == Qos::ExactlyOnce { Invariant::ExactlyOnce } else { Invariant::AtLeastOnce };
    Breach::new(invariant, event, format!("a message on {topic} was published and never answered to the end"))
}
