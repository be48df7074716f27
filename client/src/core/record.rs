//! What a client must not forget if it is to outlive its process (section 4.1): the session's state, change by change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::Publish,
    wire::{PacketId, Text},
};

/// One change. A message has a number from being accepted to the end of its exchange; numbers rise in the order in
/// which messages were accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A session began, under this Client Identifier: whatever was sent or received in an older one is void, and its
    /// messages wait again.
    Began {
        /// Of the options, or assigned by the server.
        client_id: Text,
    },
    /// The application's message with QoS 1 or 2 was taken.
    Accepted {
        /// Its number.
        number: u64,
        /// What.
        message: Publish,
        /// When its Message Expiry Interval has passed, in time since 1970.
        expires: Option<Duration>,
    },
    /// Its PUBLISH is about to leave.
    Sent {
        /// Of the message.
        number: u64,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Its PUBREL is about to leave; the message itself is the server's.
    Released {
        /// Of the message.
        number: u64,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Its exchange is over, or it was given up.
    Finished {
        /// Of the message.
        number: u64,
    },
    /// A QoS 2 message came and is delivered: its PUBREC is about to leave.
    Received {
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Its PUBREL came: its PUBCOMP is about to leave.
    Completed {
        /// Its packet identifier.
        packet_id: PacketId,
    },
}

/// Everything that was kept: what the records say, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of the session that began last; `None` if none ever did.
    pub client_id: Option<Text>,
    /// By their numbers.
    pub outgoing: BTreeMap<u64, KeptMessage>,
    /// When their Message Expiry Intervals have passed, in time since 1970; by their numbers.
    pub expires: BTreeMap<u64, Duration>,
    /// QoS 2 identifiers of the server that wait for PUBREL.
    pub received: BTreeSet<PacketId>,
}

/// A message whose exchange is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptMessage {
    /// Not sent in this session.
    Waiting(Publish),
    /// Sent, not answered.
    Sent(PacketId, Publish),
    /// PUBREL was sent.
    Released(PacketId),
}

impl Kept {
    /// Takes one change. One that does not fit what was kept changes nothing.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Began { client_id } => {
                self.client_id = Some(client_id);
                self.received.clear();
                self.outgoing.retain(|_, message| !matches!(message, KeptMessage::Released(_)));
                for message in self.outgoing.values_mut() {
                    if let KeptMessage::Sent(_, publish) = message {
                        *message = KeptMessage::Waiting(publish.clone());
                    }
                }
            }
            Record::Accepted { number, message, expires } => {
                self.outgoing.insert(number, KeptMessage::Waiting(message));
                self.expires.extend(expires.map(|expires| (number, expires)));
            }
            Record::Sent { number, packet_id } => {
                if let Some(message) = self.outgoing.get_mut(&number)
                    && let KeptMessage::Waiting(publish) | KeptMessage::Sent(_, publish) = message
                {
                    *message = KeptMessage::Sent(packet_id, publish.clone());
                }
            }
            Record::Released { number, packet_id } => {
                if let Some(message) = self.outgoing.get_mut(&number) {
                    *message = KeptMessage::Released(packet_id);
                }
                self.expires.remove(&number);
            }
            Record::Finished { number } => {
                self.outgoing.remove(&number);
                self.expires.remove(&number);
            }
            Record::Received { packet_id } => drop(self.received.insert(packet_id)),
            Record::Completed { packet_id } => drop(self.received.remove(&packet_id)),
        }
    }
}
