//! The receiver's half (method A or B of section 4.3.3 is the caller's choice: `Received::New` is said once).

use super::by_id::ById;
use crate::{qos::Qos, wire::PacketId};

/// Exchanges that the other side began and that are not finished.
#[derive(Clone, Debug)]
pub struct Incoming {
    receive_maximum: u16,
    open: ById<Exchange>,
    /// Entries of `open` that count.
    counted: usize,
}

#[derive(Clone, Copy, Debug)]
struct Exchange {
    qos: Qos,
    /// Whether its PUBLISH came on this connection: Receive Maximum speaks of nothing else (section 4.9).
    counted: bool,
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
        Incoming { receive_maximum, open: ById::new(), counted: 0 }
    }

    /// A PUBLISH at QoS 1 or 2 came.
    pub fn publish(&mut self, qos: Qos, packet_id: PacketId) -> Received {
        let before = self.open.get(packet_id).copied();
        if !before.is_some_and(|exchange| exchange.counted) {
            // [MQTT-3.3.4-7], [MQTT-3.3.4-9]
            if self.counted >= usize::from(self.receive_maximum) {
                return Received::TooMany;
            }
            self.counted += 1;
        }
        self.open.insert(packet_id, Exchange { qos, counted: true });
        // [MQTT-4.3.3-10] At QoS 1 nothing tells a repeat from an identifier that is used again.
        match before {
            Some(Exchange { qos: Qos::ExactlyOnce, .. }) if qos == Qos::ExactlyOnce => Received::Duplicate,
            _ => Received::New,
        }
    }

    /// This side sends PUBACK, or a PUBREC that refuses: the exchange ends.
    pub fn finished(&mut self, packet_id: PacketId) {
        self.remove(packet_id);
    }

    /// A PUBREL came: whether the exchange was open. It ends, and PUBCOMP is owed either way.
    pub fn pubrel(&mut self, packet_id: PacketId) -> bool {
        self.awaits_release(packet_id) && self.remove(packet_id)
    }

    /// Whether a QoS 2 message with this identifier waits for PUBREL.
    pub fn awaits_release(&self, packet_id: PacketId) -> bool {
        self.open.get(packet_id).is_some_and(|exchange| exchange.qos == Qos::ExactlyOnce)
    }

    /// QoS 2 identifiers that wait for PUBREL: what a session keeps.
    pub fn awaiting_release(&self) -> impl Iterator<Item = PacketId> + '_ {
        self.open.iter().filter(|(_, exchange)| exchange.qos == Qos::ExactlyOnce).map(|(id, _)| id)
    }

    /// A QoS 2 identifier that a store kept.
    pub fn restore(&mut self, packet_id: PacketId) {
        self.remove(packet_id);
        self.open.insert(packet_id, Exchange { qos: Qos::ExactlyOnce, counted: false });
    }

    /// A new connection of the session: QoS 1 exchanges are forgotten, QoS 2 ones stay; the limit may be another.
    pub fn resume(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.open.retain(|_, exchange| exchange.qos == Qos::ExactlyOnce);
        self.open.values_mut().for_each(|exchange| exchange.counted = false);
        self.counted = 0;
    }

    fn remove(&mut self, packet_id: PacketId) -> bool {
        let removed = self.open.remove(packet_id);
        self.counted -= usize::from(removed.is_some_and(|exchange| exchange.counted));
        removed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).expect("not 0")
    }

    #[test]
    fn a_qos_2_message_is_new_once_until_it_is_released() {
        let mut flow = Incoming::new(10);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(7)), Received::New);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(7)), Received::Duplicate);
        flow.resume(10);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(7)), Received::Duplicate);
        assert_eq!(flow.awaiting_release().collect::<Vec<_>>(), [id(7)]);
        assert!(flow.pubrel(id(7)));
        assert!(!flow.pubrel(id(7)));
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(7)), Received::New);
    }

    #[test]
    fn a_qos_1_message_is_always_new_and_counts_once() {
        let mut flow = Incoming::new(1);
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(1)), Received::New);
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(1)), Received::New);
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(2)), Received::TooMany);
        flow.finished(id(1));
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(2)), Received::New);
        assert!(!flow.pubrel(id(2)), "a PUBREL ends no QoS 1 exchange");
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(3)), Received::TooMany);
    }

    #[test]
    fn what_came_on_an_older_connection_does_not_count_until_it_comes_again() {
        let mut flow = Incoming::new(2);
        flow.publish(Qos::ExactlyOnce, id(1));
        flow.publish(Qos::ExactlyOnce, id(2));
        flow.resume(2);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(3)), Received::New);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(1)), Received::Duplicate);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(4)), Received::TooMany);
        assert!(flow.pubrel(id(2)), "not counted, so nothing becomes free");
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(4)), Received::TooMany);
        assert!(flow.pubrel(id(1)));
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(4)), Received::New);
    }

    #[test]
    fn an_identifier_that_is_open_at_another_qos_stands_for_a_new_message() {
        let mut flow = Incoming::new(10);
        flow.publish(Qos::ExactlyOnce, id(1));
        assert_eq!(flow.publish(Qos::AtLeastOnce, id(1)), Received::New);
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(1)), Received::New);
    }

    #[test]
    fn restored_identifiers_are_known() {
        let mut flow = Incoming::new(1);
        flow.restore(id(5));
        assert_eq!(flow.publish(Qos::ExactlyOnce, id(5)), Received::Duplicate);
    }
}
