//! PUBACK and PUBREC that this client owes: who still has to say yes, and in which order they leave.

use std::collections::{BTreeSet, VecDeque};

use squall_codec::{qos::Qos, wire::PacketId};

/// What is owed for messages that came.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    at_least_once: Owed,
    exactly_once: Owed,
}

#[derive(Debug, Default)]
struct Owed {
    /// In the order in which the PUBLISH packets came on this connection.
    order: VecDeque<PacketId>,
    /// Delivered, but the application has not acknowledged.
    held: BTreeSet<PacketId>,
}

impl Acknowledgements {
    /// A message was delivered: its acknowledgement is owed, at once or when the application says so.
    pub(super) fn delivered(&mut self, qos: Qos, packet_id: PacketId, by_hand: bool) {
        let owed = self.owed(qos);
        owed.order.push_back(packet_id);
        if by_hand {
            owed.held.insert(packet_id);
        }
    }

    /// A PUBLISH came again that was delivered before.
    pub(super) fn repeated(&mut self, qos: Qos, packet_id: PacketId) {
        let owed = self.owed(qos);
        if !owed.order.contains(&packet_id) {
            owed.order.push_back(packet_id);
        }
    }

    /// Whether the application has been given this message and has not acknowledged it.
    pub(super) fn is_held(&self, qos: Qos, packet_id: PacketId) -> bool {
        match qos {
            Qos::ExactlyOnce => self.exactly_once.held.contains(&packet_id),
            _ => self.at_least_once.held.contains(&packet_id),
        }
    }

    /// The application has dealt with a message. The server's identifiers are one space, so no QoS is needed.
    pub(super) fn acknowledge(&mut self, packet_id: PacketId) {
        if !self.at_least_once.held.remove(&packet_id) {
            self.exactly_once.held.remove(&packet_id);
        }
    }

    /// The next acknowledgement that may leave.
    // [MQTT-4.6.0-2] PUBACKs, and [MQTT-4.6.0-3] PUBRECs, leave in the order in which their PUBLISHes came: one that
    // the application holds back holds back those behind it.
    pub(super) fn next_due(&mut self, qos: Qos) -> Option<PacketId> {
        let owed = self.owed(qos);
        match owed.order.front() {
            Some(first) if !owed.held.contains(first) => owed.order.pop_front(),
            _ => None,
        }
    }

    /// PUBREL came, so the exchange is over whatever the application says.
    pub(super) fn released(&mut self, packet_id: PacketId) {
        if self.exactly_once.held.remove(&packet_id) {
            self.exactly_once.order.retain(|owed| *owed != packet_id);
        }
    }

    /// The connection ended. QoS 1 messages come again and are delivered again; QoS 2 ones come again too, and are owed
    /// a PUBREC then.
    pub(super) fn connection_ended(&mut self) {
        self.at_least_once = Owed::default();
        self.exactly_once.order.clear();
    }

    fn owed(&mut self, qos: Qos) -> &mut Owed {
        match qos {
            Qos::ExactlyOnce => &mut self.exactly_once,
            _ => &mut self.at_least_once,
        }
    }
}
