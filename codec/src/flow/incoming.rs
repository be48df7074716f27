//! The receiver's half (method A or B of section 4.3.3 is the caller's choice: `Received::New` is said once).

use std::collections::BTreeMap;

use crate::{qos::Qos, wire::PacketId};

/// Exchanges that the other side began and that are not finished.
#[derive(Clone, Debug)]
pub struct Incoming {
    receive_maximum: u16,
    open: BTreeMap<PacketId, Qos>,
}

/// What a PUBLISH with QoS above 0 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Not seen before: deliver it.
    New,
    /// The same QoS 2 exchange again: acknowledge, do not deliver ([MQTT-4.3.3-10]).
    Duplicate,
    /// More than Receive Maximum are open ([MQTT-3.3.4-7], [MQTT-3.3.4-9]).
    TooMany,
}

impl Incoming {
    /// With the Receive Maximum that this side announced.
    pub fn new(receive_maximum: u16) -> Self {
        Incoming { receive_maximum, open: BTreeMap::new() }
    }

    /// A PUBLISH at QoS 1 or 2 came.
    pub fn publish(&mut self, qos: Qos, packet_id: PacketId) -> Received {
        let _ = (qos, packet_id, self.receive_maximum);
        todo!()
    }

    /// This side sends PUBACK, or a PUBREC that refuses: the exchange ends.
    pub fn finished(&mut self, packet_id: PacketId) {
        self.open.remove(&packet_id);
    }

    /// A PUBREL came: whether the exchange was open. It ends, and PUBCOMP is owed either way.
    pub fn pubrel(&mut self, packet_id: PacketId) -> bool {
        self.open.remove(&packet_id).is_some()
    }

    /// QoS 2 identifiers that wait for PUBREL: what a session keeps.
    pub fn awaiting_release(&self) -> impl Iterator<Item = PacketId> + '_ {
        self.open.iter().filter(|(_, qos)| **qos == Qos::ExactlyOnce).map(|(id, _)| *id)
    }

    /// A new connection of the session: QoS 1 exchanges are forgotten, QoS 2 ones stay; the limit may be another.
    pub fn resume(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.open.retain(|_, qos| *qos == Qos::ExactlyOnce);
    }
}
