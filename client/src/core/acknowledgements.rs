//! PUBACK and PUBREC that this client owes: who still has to say yes, and in which order they leave.

use std::collections::{BTreeMap, VecDeque};

use squall_codec::{qos::Qos, reason::ReasonCode, wire::PacketId};

use super::effect::Delivery;

/// What is owed for messages that came.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    at_least_once: Owed,
    exactly_once: Owed,
    deliveries: u64,
}

#[derive(Debug, Default)]
struct Owed {
    /// In the order in which the PUBLISH packets came on this connection.
    order: VecDeque<PacketId>,
    /// Delivered, but the application has not acknowledged.
    held: BTreeMap<PacketId, Delivery>,
    /// What the application will not have, and the reason. It has not left yet.
    refused: BTreeMap<PacketId, ReasonCode>,
}

impl Owed {
    fn forget(&mut self, packet_id: PacketId) {
        self.held.remove(&packet_id);
        self.refused.remove(&packet_id);
        self.order.retain(|owed| *owed != packet_id);
    }
}

impl Acknowledgements {
    /// A message was delivered: its acknowledgement is owed, at once or when the application says so.
    pub(super) fn delivered(&mut self, qos: Qos, packet_id: PacketId, by_hand: bool) -> Delivery {
        let delivery = Delivery(self.deliveries);
        self.deliveries += 1;
        let owed = self.owed(qos);
        owed.order.push_back(packet_id);
        if by_hand {
            owed.held.insert(packet_id, delivery);
        }
        delivery
    }

    /// A PUBLISH came again that was delivered before.
    pub(super) fn repeated(&mut self, qos: Qos, packet_id: PacketId) {
        let owed = self.owed(qos);
        if !owed.order.contains(&packet_id) {
            owed.order.push_back(packet_id);
        }
    }

    /// Whether the application has been given this QoS 1 message and has not acknowledged it.
    pub(super) fn is_held(&self, packet_id: PacketId) -> bool {
        self.at_least_once.held.contains_key(&packet_id)
    }

    /// The application has dealt with a message, or will not have it. One that is owed nothing any more is passed over.
    pub(super) fn acknowledge(&mut self, delivery: Delivery, reason: ReasonCode) {
        for owed in [&mut self.at_least_once, &mut self.exactly_once] {
            // At most Receive Maximum are held, and most applications acknowledge in order.
            let held = owed.order.iter().copied().find(|packet_id| owed.held.get(packet_id) == Some(&delivery));
            let elsewhere = || owed.held.iter().find(|(_, held)| **held == delivery).map(|(packet_id, _)| *packet_id);
            if let Some(packet_id) = held.or_else(elsewhere) {
                owed.held.remove(&packet_id);
                if reason.is_failure() {
                    owed.refused.insert(packet_id, reason);
                }
            }
        }
    }

    /// The next acknowledgement that may leave, with its reason.
    // [MQTT-4.6.0-2] PUBACKs, and [MQTT-4.6.0-3] PUBRECs, leave in the order in which their PUBLISHes came: one that
    // the application holds back holds back those behind it.
    pub(super) fn next_due(&mut self, qos: Qos) -> Option<(PacketId, ReasonCode)> {
        let owed = self.owed(qos);
        let packet_id = *owed.order.front().filter(|first| !owed.held.contains_key(first))?;
        owed.order.pop_front();
        Some((packet_id, owed.refused.remove(&packet_id).unwrap_or(ReasonCode::Success)))
    }

    /// PUBREL came, so the exchange is over whatever the application says.
    pub(super) fn released(&mut self, packet_id: PacketId) {
        self.exactly_once.forget(packet_id);
    }

    /// The connection ended. QoS 1 messages come again and are delivered again; QoS 2 ones come again too, and are owed
    /// a PUBREC then.
    pub(super) fn connection_ended(&mut self) {
        self.at_least_once = Owed::default();
        self.exactly_once.order.clear();
    }

    /// The session is lost: nothing is owed. Deliveries of before keep names that are never given again.
    pub(super) fn session_lost(&mut self) {
        self.at_least_once = Owed::default();
        self.exactly_once = Owed::default();
    }

    fn owed(&mut self, qos: Qos) -> &mut Owed {
        match qos {
            Qos::ExactlyOnce => &mut self.exactly_once,
            _ => &mut self.at_least_once,
        }
    }
}
