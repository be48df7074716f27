//! The sender's half, and the packet identifiers of one side (section 2.2.1).

use super::by_id::ById;
use crate::{qos::Qos, reason::ReasonCode, wire::PacketId};

/// Exchanges that this side began and that are not finished, with the message `M` of each; and the identifiers that
/// SUBSCRIBE and UNSUBSCRIBE hold in the same space.
#[derive(Clone, Debug)]
pub struct Outgoing<M> {
    receive_maximum: u16,
    ids: PacketIds,
    last_id: Option<PacketId>,
    next_order: u64,
    /// Entries of `open` that are no reserved identifiers.
    in_flight: usize,
    open: ById<Exchange<M>>,
}

/// Which packet identifiers a side gives out: one after the other from the first to the last, and then from the first again. All
/// of them by default; with few, each comes back as soon as it otherwise does after days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketIds {
    first: PacketId,
    last: PacketId,
}

impl PacketIds {
    /// From one to the other, whichever is the smaller.
    pub fn between(one: PacketId, other: PacketId) -> Self {
        PacketIds { first: one.min(other), last: one.max(other) }
    }

    /// The one after it.
    fn after(self, id: PacketId) -> PacketId {
        if id < self.first || id >= self.last { self.first } else { id.next() }
    }
}

impl Default for PacketIds {
    fn default() -> Self {
        PacketIds { first: PacketId::MIN, last: PacketId::MAX }
    }
}

#[derive(Clone, Debug)]
struct Exchange<M> {
    /// Position in the order in which the PUBLISH (or, once released, the PUBREL) was first sent.
    order: u64,
    state: State<M>,
}

#[derive(Clone, Debug)]
enum State<M> {
    /// [MQTT-4.3.2-3] [MQTT-4.3.3-3] Until PUBACK or PUBREC.
    Published { qos: Qos, message: M },
    /// [MQTT-4.3.3-5] Until PUBCOMP; [MQTT-4.3.3-6] the message is not there to be sent again.
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
        Self::numbered(receive_maximum, PacketIds::default())
    }

    /// The same, with these identifiers.
    pub fn numbered(receive_maximum: u16, ids: PacketIds) -> Self {
        Outgoing { receive_maximum, ids, last_id: None, next_order: 0, in_flight: 0, open: ById::new() }
    }

    /// The identifiers that it gives out.
    pub fn ids(&self) -> PacketIds {
        self.ids
    }

    /// Whether another QoS 1 or 2 PUBLISH may leave now ([MQTT-3.3.4-9]).
    pub fn has_room(&self) -> bool {
        self.in_flight < usize::from(self.receive_maximum)
    }

    /// Opens an exchange: the identifier for its PUBLISH, or the message back when there is no room or no identifier.
    ///
    /// # Errors
    /// The message, when it has to wait.
    ///
    /// # Panics
    /// If the QoS is 0, which has no exchange: a mistake of the caller.
    pub fn publish(&mut self, qos: Qos, message: M) -> Result<PacketId, M> {
        assert!(qos != Qos::AtMostOnce, "a PUBLISH with QoS 0 opens no exchange");
        if !self.has_room() {
            return Err(message);
        }
        let Some(id) = self.next_id() else { return Err(message) };
        self.insert(id, State::Published { qos, message });
        Ok(id)
    }

    /// An identifier for SUBSCRIBE or UNSUBSCRIBE; `None` when all are in use.
    pub fn reserve(&mut self) -> Option<PacketId> {
        let id = self.next_id()?;
        self.insert(id, State::Reserved);
        Some(id)
    }

    /// SUBACK or UNSUBACK came: whether the identifier was reserved.
    pub fn free(&mut self, packet_id: PacketId) -> bool {
        self.remove_if(packet_id, |state| matches!(state, State::Reserved)).is_some()
    }

    /// PUBACK came: the message whose exchange ends; `None` if there is no such QoS 1 exchange.
    pub fn puback(&mut self, packet_id: PacketId) -> Option<M> {
        let at_least_once = |state: &State<M>| matches!(state, State::Published { qos: Qos::AtLeastOnce, .. });
        self.remove_if(packet_id, at_least_once)?.message()
    }

    /// PUBREC came.
    pub fn pubrec(&mut self, packet_id: PacketId, reason: ReasonCode) -> Pubrec<M> {
        let Some(exchange) = self.open.get_mut(packet_id) else { return Pubrec::Unknown };
        match exchange.state {
            State::Published { qos: Qos::ExactlyOnce, .. } => {}
            State::Released => return Pubrec::Again,
            State::Published { .. } | State::Reserved => return Pubrec::Unknown,
        }
        // [MQTT-4.3.3-4] No PUBREL follows a PUBREC of 0x80 and above: its identifier is free again.
        if reason.is_failure() {
            let refused = self.remove_if(packet_id, |_| true).and_then(State::message);
            return refused.map_or(Pubrec::Unknown, Pubrec::Refused);
        }
        let published = std::mem::replace(&mut exchange.state, State::Released);
        exchange.order = self.next_order;
        self.next_order += 1;
        published.message().map_or(Pubrec::Unknown, Pubrec::Release)
    }

    /// PUBCOMP came: whether the exchange was waiting for it.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> bool {
        self.remove_if(packet_id, |state| matches!(state, State::Released)).is_some()
    }

    /// A new connection of the session: reserved identifiers are free again, the limit may be another. Then
    /// [`Outgoing::resends`] says what to send.
    pub fn resume(&mut self, receive_maximum: u16) {
        self.receive_maximum = receive_maximum;
        self.open.retain(|_, exchange| !matches!(exchange.state, State::Reserved));
    }

    /// An exchange that a store kept, its PUBLISH sent and not answered; in the order in which they were first sent.
    pub fn restore_published(&mut self, packet_id: PacketId, qos: Qos, message: M) {
        self.restore(packet_id, State::Published { qos, message });
    }

    /// An exchange that a store kept, its PUBREL sent and not answered; in the order in which they were first sent.
    pub fn restore_released(&mut self, packet_id: PacketId) {
        self.restore(packet_id, State::Released);
    }

    /// What is not finished, in the order in which it was first sent.
    pub fn resends(&self) -> impl Iterator<Item = Resend<'_, M>> {
        let mut open: Vec<_> = self.open.iter().collect();
        open.sort_by_key(|(_, exchange)| exchange.order);
        open.into_iter().filter_map(|(id, exchange)| match &exchange.state {
            State::Published { qos, message } => Some(Resend::Publish(id, *qos, message)),
            State::Released => Some(Resend::Pubrel(id)),
            State::Reserved => None,
        })
    }

    /// Exchanges that count against Receive Maximum.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The first free identifier after the last one that was given out ([MQTT-2.2.1-3], [MQTT-2.2.1-4]).
    fn next_id(&mut self) -> Option<PacketId> {
        let mut id = self.last_id.map_or(self.ids.first, |id| self.ids.after(id));
        // As many as are taken stand in the way at most; where all are, none is free.
        for _ in 0..=self.open.len() {
            if !self.open.contains(id) {
                self.last_id = Some(id);
                return Some(id);
            }
            id = self.ids.after(id);
        }
        None
    }

    fn insert(&mut self, id: PacketId, state: State<M>) {
        self.in_flight += usize::from(!matches!(state, State::Reserved));
        self.open.insert(id, Exchange { order: self.next_order, state });
        self.next_order += 1;
    }

    fn restore(&mut self, id: PacketId, state: State<M>) {
        self.remove_if(id, |_| true);
        self.insert(id, state);
        self.last_id = self.last_id.max(Some(id));
    }

    fn remove_if(&mut self, id: PacketId, wanted: impl Fn(&State<M>) -> bool) -> Option<State<M>> {
        self.open.get(id).filter(|exchange| wanted(&exchange.state))?;
        let Exchange { state, .. } = self.open.remove(id)?;
        self.in_flight -= usize::from(!matches!(state, State::Reserved));
        Some(state)
    }
}

impl<M> State<M> {
    fn message(self) -> Option<M> {
        match self {
            State::Published { message, .. } => Some(message),
            State::Released | State::Reserved => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).expect("not 0")
    }

    #[test]
    fn resends_keep_the_order_of_the_first_sending() {
        let mut flow = Outgoing::new(10);
        for message in ["a", "b", "c", "d"] {
            let qos = if message == "c" { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
            flow.publish(qos, message).expect("there is room");
        }
        assert_eq!(flow.pubrec(id(2), ReasonCode::Success), Pubrec::Release("b"));
        assert_eq!(flow.pubrec(id(1), ReasonCode::Success), Pubrec::Release("a"));
        flow.resume(10);
        let resends: Vec<_> = flow.resends().collect();
        assert_eq!(
            resends,
            [
                Resend::Publish(id(3), Qos::AtLeastOnce, &"c"),
                Resend::Publish(id(4), Qos::ExactlyOnce, &"d"),
                Resend::Pubrel(id(2)),
                Resend::Pubrel(id(1)),
            ]
        );
    }

    #[test]
    fn receive_maximum_counts_until_the_last_answer() {
        let mut flow = Outgoing::new(2);
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'a'), Ok(id(1)));
        assert_eq!(flow.publish(Qos::ExactlyOnce, 'b'), Ok(id(2)));
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'c'), Err('c'));
        assert_eq!(flow.reserve(), Some(id(3)), "SUBSCRIBE does not count");
        assert_eq!(flow.puback(id(2)), None, "a QoS 2 exchange takes no PUBACK");
        assert_eq!(flow.pubrec(id(2), ReasonCode::Success), Pubrec::Release('b'));
        assert_eq!(flow.pubrec(id(2), ReasonCode::Success), Pubrec::Again);
        assert!(!flow.has_room());
        assert!(flow.pubcomp(id(2)));
        assert!(!flow.pubcomp(id(2)));
        assert!(flow.has_room());
        assert_eq!(flow.puback(id(1)), Some('a'));
        assert_eq!(flow.in_flight(), 0);
        assert!(flow.free(id(3)));
        assert!(!flow.free(id(3)));
    }

    #[test]
    fn a_refusing_pubrec_ends_the_exchange() {
        let mut flow = Outgoing::new(1);
        flow.publish(Qos::ExactlyOnce, 'a').expect("there is room");
        assert_eq!(flow.pubrec(id(1), ReasonCode::NotAuthorized), Pubrec::Refused('a'));
        assert_eq!(flow.pubrec(id(1), ReasonCode::Success), Pubrec::Unknown);
        assert!(flow.has_room());
    }

    #[test]
    fn identifiers_wrap_and_skip_those_in_use() {
        let mut flow = Outgoing::new(u16::MAX);
        assert_eq!(flow.publish(Qos::AtLeastOnce, ()), Ok(id(1)));
        for value in 2..=u16::MAX {
            assert_eq!(flow.reserve(), Some(id(value)));
        }
        assert_eq!(flow.reserve(), None);
        assert_eq!(flow.publish(Qos::AtLeastOnce, ()), Err(()));
        assert!(flow.free(id(77)));
        assert_eq!(flow.reserve(), Some(id(77)));
        flow.resume(u16::MAX);
        assert_eq!(flow.reserve(), Some(id(78)));
        assert_eq!(flow.in_flight(), 1);
    }

    #[test]
    fn few_identifiers_come_again_and_what_finds_none_waits() {
        let mut flow = Outgoing::numbered(10, PacketIds::between(id(65_535), id(65_534)));
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'a'), Ok(id(65_534)));
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'b'), Ok(id(65_535)));
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'c'), Err('c'));
        assert_eq!(flow.reserve(), None);
        assert_eq!(flow.puback(id(65_535)), Some('b'));
        assert_eq!(flow.publish(Qos::AtLeastOnce, 'c'), Ok(id(65_535)));
        // One that a store kept may be none of them.
        flow.restore_released(id(7));
        assert_eq!(flow.puback(id(65_534)), Some('a'));
        assert_eq!(flow.reserve(), Some(id(65_534)));
    }

    #[test]
    fn restored_exchanges_are_sent_again_in_the_order_given() {
        let mut flow = Outgoing::new(5);
        flow.restore_published(id(9), Qos::AtLeastOnce, 'x');
        flow.restore_released(id(4));
        assert_eq!(
            flow.resends().collect::<Vec<_>>(),
            [Resend::Publish(id(9), Qos::AtLeastOnce, &'x'), Resend::Pubrel(id(4))]
        );
        assert_eq!(flow.reserve(), Some(id(10)));
    }
}
