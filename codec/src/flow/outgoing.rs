//! The sender's half, and the packet identifiers of one side (section 2.2.1).

use std::collections::BTreeMap;

use crate::{qos::Qos, reason::ReasonCode, wire::PacketId};

/// Exchanges that this side began and that are not finished, with the message `M` of each; and the identifiers that
/// SUBSCRIBE and UNSUBSCRIBE hold in the same space.
#[derive(Clone, Debug)]
pub struct Outgoing<M> {
    receive_maximum: u16,
    last_id: Option<PacketId>,
    next_order: u64,
    open: BTreeMap<PacketId, Exchange<M>>,
}

#[derive(Clone, Debug)]
struct Exchange<M> {
    /// Position in the order in which the PUBLISH (or, once released, the PUBREL) was first sent.
    order: u64,
    state: State<M>,
}

#[derive(Clone, Debug)]
enum State<M> {
    Published { qos: Qos, message: M },
    Released,
    /// Held by SUBSCRIBE or UNSUBSCRIBE.
    Reserved,
}

/// What has to be sent again on a resumed session, in this order ([MQTT-4.4.0-1], [MQTT-4.6.0-1]).
#[derive(Debug, PartialEq, Eq)]
pub enum Resend<'a, M> {
    /// PUBLISH with DUP 1 and its original identifier.
    Publish(PacketId, Qos, &'a M),
    /// PUBREL.
    Pubrel(PacketId),
}

/// What a PUBREC did.
#[derive(Debug, PartialEq, Eq)]
pub enum Pubrec<M> {
    /// The message is the receiver's now: send PUBREL.
    Release(M),
    /// PUBREL was sent before: send it again.
    Again,
    /// The receiver refuses (5.0, 0x80 and above): the exchange is over.
    Refused(M),
    /// No such exchange: PUBREL with 0x92 (5.0).
    Unknown,
}

impl<M> Outgoing<M> {
    /// With the Receive Maximum that the other side announced.
    pub fn new(receive_maximum: u16) -> Self {
        Outgoing { receive_maximum, last_id: None, next_order: 0, open: BTreeMap::new() }
    }

    /// Whether another QoS 1 or 2 PUBLISH may leave now ([MQTT-3.3.4-9]).
    pub fn has_room(&self) -> bool {
        todo!()
    }

    /// Opens an exchange: the identifier for its PUBLISH, or the message back when there is no room or no identifier.
    ///
    /// # Errors
    /// The message, when it has to wait.
    pub fn publish(&mut self, qos: Qos, message: M) -> Result<PacketId, M> {
        let _ = (qos, &self.last_id, self.next_order, self.receive_maximum);
        Err(message)
    }

    /// An identifier for SUBSCRIBE or UNSUBSCRIBE; `None` when all 65,535 are in use.
    pub fn reserve(&mut self) -> Option<PacketId> {
        todo!()
    }

    /// SUBACK or UNSUBACK came: whether the identifier was reserved.
    pub fn free(&mut self, packet_id: PacketId) -> bool {
        let _ = packet_id;
        todo!()
    }

    /// PUBACK came: the message whose exchange ends; `None` if there is no such QoS 1 exchange.
    pub fn puback(&mut self, packet_id: PacketId) -> Option<M> {
        let _ = packet_id;
        todo!()
    }

    /// PUBREC came.
    pub fn pubrec(&mut self, packet_id: PacketId, reason: ReasonCode) -> Pubrec<M> {
        let _ = (packet_id, reason);
        todo!()
    }

    /// PUBCOMP came: whether the exchange was waiting for it.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> bool {
        let _ = packet_id;
        todo!()
    }

    /// A new connection of the session: reserved identifiers are free again, the limit may be another. Then
    /// [`Outgoing::resends`] says what to send.
    pub fn resume(&mut self, receive_maximum: u16) {
        let _ = receive_maximum;
        todo!()
    }

    /// What is not finished, in the order in which it was first sent.
    pub fn resends(&self) -> impl Iterator<Item = Resend<'_, M>> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(_, exchange)| exchange.order);
        open.into_iter().filter_map(|(id, exchange)| match &exchange.state {
            State::Published { qos, message } => Some(Resend::Publish(*id, *qos, message)),
            State::Released => Some(Resend::Pubrel(*id)),
            State::Reserved => None,
        })
    }

    /// Exchanges that count against Receive Maximum.
    pub fn in_flight(&self) -> usize {
        todo!()
    }
}
