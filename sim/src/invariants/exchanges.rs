//! One direction of one session: the QoS 1 and 2 exchanges that its sender has open, as a witness beside the client counts them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use squall_codec::{
    flow::ById,
    packet::{Ack, Publish},
    qos::Qos,
    version::Version,
    wire::PacketId,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Invariant;

/// What tells messages apart: topic and payload.
pub(crate) type Key = (String, Bytes);

pub(crate) fn key_of(publish: &Publish) -> Key {
    (publish.topic().to_owned(), publish.payload_bytes())
}

/// The same in a number, where nothing but equality counts.
fn number_of(publish: &Publish) -> u64 {
    xxh3_64_with_seed(publish.payload(), xxh3_64(publish.topic_bytes()))
}

/// An exchange that is not over.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    key: u64,
    qos: Qos,
    /// PUBREC has been said.
    is_received: bool,
    /// Which of the messages of the walk it carries.
    pub(crate) message: Option<usize>,
}

/// The exchanges of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Exchanges {
    open: ById<Open>,
    /// Those that count against Receive Maximum: begun or repeated on this connection.
    counted: BTreeSet<PacketId>,
    /// Identifiers that have been used on this connection.
    used: BTreeSet<PacketId>,
    maximum: u16,
    /// Nobody has said whether the session is the one from before.
    is_uncertain: bool,
    /// Identifiers that were open when a session may have begun that the witness has not seen: they may stand for others there.
    unsure: BTreeSet<PacketId>,
    /// What PUBREC has refused, by the identifier that it had. The sender may not have heard of it, or not have kept it.
    refused: BTreeMap<PacketId, u64>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Exchanges {
            open: ById::new(),
            counted: BTreeSet::new(),
            used: BTreeSet::new(),
            maximum: u16::MAX,
            is_uncertain: false,
            unsure: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }
}

/// What a PUBLISH is to this direction.
pub(crate) struct Verdict {
    /// The exchange was open, or is begun again because its refusal was not heard: no new message.
    pub(crate) is_repeat: bool,
    pub(crate) breach: Option<(Invariant, String)>,
}

impl Exchanges {
    /// A connection begins; without a session nothing is open. `None`: nobody has said whether there is one.
    pub(crate) fn begin(&mut self, keeps_session: Option<bool>, maximum: u16) {
        if keeps_session == Some(false) {
            self.open.clear();
            self.unsure.clear();
            self.refused.clear();
        }
        self.is_uncertain = keeps_session.is_none();
        self.counted.clear();
        self.used.clear();
        self.maximum = maximum;
    }

    /// The sender may have given up what its peer has no more room for: an identifier that is sent without DUP stands for a new
    /// message.
    pub(crate) fn doubt(&mut self) {
        self.is_uncertain = true;
    }

    /// The session may be one that began on a connection of which the client has seen nothing: whatever an identifier stood for,
    /// it may stand for another message by now, which may even have been sent before.
    pub(crate) fn lose_sight(&mut self) {
        self.is_uncertain = true;
        self.unsure.extend(self.open.iter().map(|(id, _)| id));
    }

    /// Nothing that was open is known to the one who is there now.
    pub(crate) fn forget(&mut self) {
        self.open.clear();
    }

    /// How many of these are open that Receive Maximum counts ([MQTT-3.3.4-7]), and how many it lets be open.
    pub(crate) fn open(&self, is_such: impl Fn(PacketId) -> bool) -> (usize, usize) {
        (self.counted.iter().filter(|id| is_such(**id)).count(), usize::from(self.maximum))
    }

    /// `is_first`: nothing can have been sent in this session that the witness has not seen.
    pub(crate) fn publish(&mut self, version: Version, is_first: bool, publish: &Publish, message: usize) -> Verdict {
        let Some(id) = publish.packet_id else { return Verdict { is_repeat: false, breach: None } };
        let was_used = !self.used.insert(id);
        self.counted.insert(id);
        let count = self.counted.len();
        let too_many = (count > usize::from(self.maximum)).then(|| {
            let detail = format!("{count} messages are open where Receive Maximum is {}", self.maximum);
            (Invariant::ReceiveMaximum, detail)
        });
        let key = number_of(publish);
        let is_another = self.open.get(id).is_some_and(|open| open.key != key || open.qos != publish.qos);
        let is_unsure = self.unsure.remove(&id);
        let may_be_another = if publish.dup { is_unsure && is_another } else { is_unsure || self.is_uncertain };
        if may_be_another && !was_used {
            self.open.remove(id);
        }
        let fault = match self.open.get(id) {
            Some(open) if open.key != key || open.qos != publish.qos => {
                Some((Invariant::PacketIdInUse, format!("identifier {id} stands for another message that is not done")))
            }
            Some(_) if !publish.dup => {
                Some((Invariant::DupOnRepeats, format!("the message with identifier {id} is repeated without DUP")))
            }
            Some(_) if was_used && version.has_properties() => {
                Some((Invariant::DupOnRepeats, format!("identifier {id} is repeated on an open connection")))
            }
            None if publish.dup && is_first && (version.has_properties() || !was_used) => {
                Some((Invariant::DupOnRepeats, format!("DUP on identifier {id}, which was not sent before")))
            }
            _ => None,
        };
        let is_open = self.open.get(id).is_some_and(|open| open.key == key);
        if !is_open {
            let open = Open { key, qos: publish.qos, is_received: false, message: Some(message) };
            self.open.insert(id, open);
        }
        let was_refused = self.refused.remove(&id) == Some(key);
        let is_repeat = is_open || (was_refused && publish.dup && !was_used);
        Verdict { is_repeat, breach: fault.or(too_many) }
    }

    /// PUBACK: which exchange it ends.
    pub(crate) fn puback(&mut self, ack: &Ack) -> Option<Open> {
        self.ends(ack, |open| open.qos == Qos::AtLeastOnce)
    }

    /// PUBREC: the exchange, which goes on unless this is a refusal.
    pub(crate) fn pubrec(&mut self, ack: &Ack) -> Option<Open> {
        if ack.reason.is_failure() {
            let refused = self.ends(ack, |open| open.qos == Qos::ExactlyOnce);
            self.refused.extend(refused.iter().map(|open| (ack.packet_id, open.key)));
            return refused;
        }
        let open = self.open.get_mut(ack.packet_id).filter(|open| open.qos == Qos::ExactlyOnce)?;
        open.is_received = true;
        Some(open.clone())
    }

    /// PUBREL: its sender has had PUBREC, whoever saw it.
    pub(crate) fn pubrel(&mut self, ack: &Ack) {
        if let Some(open) = self.open.get_mut(ack.packet_id) {
            open.is_received |= open.qos == Qos::ExactlyOnce;
        }
    }

    /// PUBCOMP.
    pub(crate) fn pubcomp(&mut self, ack: &Ack) -> Option<Open> {
        self.ends(ack, |open| open.is_received)
    }

    fn ends(&mut self, ack: &Ack, fits: impl Fn(&Open) -> bool) -> Option<Open> {
        let open = self.open.get(ack.packet_id).filter(|open| fits(open))?.clone();
        self.open.remove(ack.packet_id);
        self.counted.remove(&ack.packet_id);
        Some(open)
    }
}
