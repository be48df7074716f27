//! The scope of a Session (section 4.1): exchanges that are not finished, and who waits for them.

use std::collections::{BTreeSet, VecDeque};

use squall_codec::{
    flow::{ById, Incoming, Outgoing, PacketIds, Resend},
    packet::Subscription,
    property::Properties,
    qos::Qos,
    reason::ReasonCode,
    time::Now,
    topic::TopicFilter,
    wire::{PacketId, Text},
};

use super::{
    acknowledgements::Acknowledgements,
    effect::Token,
    expiry::Timed,
    record::{Kept, KeptMessage},
    subscriptions::Subscriptions,
};

/// What the client knows of its session, and of the connection that uses it.
#[derive(Debug)]
pub(super) struct Session {
    /// As CONNECT carries it: of the options, or assigned by the server.
    // [MQTT-3.1.3-2] The key by which both ends find the session.
    pub(super) client_id: Text,
    /// Whether this client holds session state that the server may hold too, however little is in it.
    pub(super) exists: bool,
    /// Whether a CONNECT was sent to which no answer came: the server may have begun a session, also in the place of an
    /// older one that it had lost, and Session Present 1 is then no surprise.
    pub(super) in_doubt: bool,
    /// QoS 2 identifiers of a session of which the server may know nothing any more, until it shows whether it does: it repeats them
    /// before it sends anything new.
    pub(super) doubtful: BTreeSet<PacketId>,
    /// Whether the store knows of the session.
    pub(super) is_kept: bool,
    pub(super) outgoing: Outgoing<Timed>,
    /// Who waits for an exchange; nobody for one whose application was told that the connection is gone.
    pub(super) tokens: ById<Token>,
    /// The numbers of the messages in exchanges.
    pub(super) numbers: ById<u64>,
    next_number: u64,
    /// QoS 2 exchanges that wait for PUBCOMP, with what PUBREC said.
    pub(super) released: ById<(ReasonCode, Properties)>,
    /// SUBSCRIBE and UNSUBSCRIBE that wait for their answer on this connection.
    pub(super) asked: ById<Asked>,
    pub(super) subscriptions: Subscriptions,
    /// What has still to be sent again on this connection.
    resends: VecDeque<Again>,
    /// How many of them are PUBLISH.
    unsent: usize,
    pub(super) incoming: Incoming,
    pub(super) acknowledgements: Acknowledgements,
}

/// A SUBSCRIBE or UNSUBSCRIBE that has left.
#[derive(Debug)]
pub(super) enum Asked {
    /// Without a token where the client renews subscriptions by itself.
    Subscribe {
        token: Option<Token>,
        subscriptions: Vec<Subscription>,
        identifier: Option<u32>,
    },
    Unsubscribe {
        token: Token,
        filters: Vec<TopicFilter>,
    },
}

impl Asked {
    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Asked::Subscribe { token, .. } => *token,
            Asked::Unsubscribe { token, .. } => Some(*token),
        }
    }
}

/// A packet of an earlier connection.
#[derive(Debug)]
pub(super) enum Again {
    Publish(PacketId, Qos, Timed),
    Pubrel(PacketId),
}

/// What a lost session leaves behind.
pub(super) struct Unfinished {
    /// Messages that were not acknowledged, in order, each with its number and who waits for it.
    pub(super) messages: Vec<(Option<Token>, u64, Timed)>,
    /// Who waits for exchanges whose message is no longer here.
    pub(super) waiting: Vec<Token>,
}

impl Session {
    pub(super) fn new(client_id: Text, exists: bool, own_receive_maximum: u16, ids: PacketIds) -> Self {
        Session {
            client_id,
            exists,
            in_doubt: false,
            doubtful: BTreeSet::new(),
            is_kept: false,
            outgoing: Outgoing::numbered(u16::MAX, ids),
            tokens: ById::new(),
            numbers: ById::new(),
            next_number: 0,
            released: ById::new(),
            asked: ById::new(),
            subscriptions: Subscriptions::default(),
            resends: VecDeque::new(),
            unsent: 0,
            incoming: Incoming::new(own_receive_maximum),
            acknowledgements: Acknowledgements::default(),
        }
    }

    /// For the next message that is accepted.
    pub(super) fn next_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Whether it goes on though the store knows nothing of it.
    pub(super) fn is_unnamed(&self) -> bool {
        !self.is_kept
    }

    /// Takes up what a store kept; gives the messages that have still to leave. Where the session is not resumed these
    /// are all that are left of it.
    pub(super) fn restore(
        &mut self,
        now: Now,
        kept: Kept,
        resumes: bool,
    ) -> impl Iterator<Item = (u64, Timed)> + use<> {
        let mut waiting = Vec::new();
        self.next_number = kept.outgoing.last_key_value().map_or(0, |(number, _)| number + 1);
        self.is_kept = resumes;
        let mut sent = ById::new();
        let timed = |number, message| Timed::kept(now, message, kept.expires.get(&number).copied());
        for (number, message) in kept.outgoing {
            match message {
                KeptMessage::Sent(packet_id, message) if resumes => {
                    self.outgoing.restore_published(packet_id, message.qos, timed(number, message));
                    sent.insert(packet_id, number);
                }
                KeptMessage::Released(packet_id) if resumes => {
                    self.outgoing.restore_released(packet_id);
                    sent.insert(packet_id, number);
                }
                KeptMessage::Released(_) => {}
                KeptMessage::Waiting(message) | KeptMessage::Sent(_, message) => {
                    waiting.push((number, timed(number, message)));
                }
            }
        }
        self.numbers = sent;
        if resumes {
            kept.received.into_iter().for_each(|packet_id| self.incoming.restore(packet_id));
        }
        waiting.into_iter()
    }

    // [MQTT-4.1.0-1]; 3.1.1 [MQTT-4.1.0-1] While a connection stands nothing of the session is discarded.
    /// The connection ended; what it alone knew is forgotten. Gives who waited for SUBACK and UNSUBACK.
    pub(super) fn connection_ended(&mut self) -> impl Iterator<Item = Option<Token>> + use<> {
        self.resends.clear();
        self.unsent = 0;
        self.acknowledgements.connection_ended();
        std::mem::take(&mut self.asked).into_values().map(|asked| asked.token())
    }

    /// The server carries on the session: what is not finished is sent again.
    pub(super) fn resume(&mut self, receive_maximum: u16, own_receive_maximum: u16) {
        // [MQTT-4.9.0-1] The quota begins anew at the server's Receive Maximum.
        self.outgoing.resume(receive_maximum);
        self.incoming.resume(own_receive_maximum);
        self.resends = self
            .outgoing
            .resends()
            .map(|resend| match resend {
                Resend::Publish(packet_id, qos, message) => Again::Publish(packet_id, qos, message.clone()),
                Resend::Pubrel(packet_id) => Again::Pubrel(packet_id),
            })
            .collect();
        self.unsent = self.resends.iter().filter(|again| matches!(again, Again::Publish(..))).count();
    }

    /// The server has no session.
    // [MQTT-3.2.2-5] The client's state is discarded too.
    pub(super) fn restart(&mut self, receive_maximum: u16, own_receive_maximum: u16) -> Unfinished {
        let fresh = Outgoing::numbered(receive_maximum, self.outgoing.ids());
        let outgoing = std::mem::replace(&mut self.outgoing, fresh);
        let numbers = std::mem::take(&mut self.numbers);
        let messages = outgoing
            .resends()
            .filter_map(|resend| match resend {
                Resend::Publish(packet_id, _, message) => {
                    let number = numbers.get(packet_id).copied().expect("a message in flight has its number");
                    Some((self.tokens.remove(packet_id), number, message.clone()))
                }
                Resend::Pubrel(_) => None,
            })
            .collect();
        self.released.clear();
        self.incoming = Incoming::new(own_receive_maximum);
        self.acknowledgements.session_lost();
        Unfinished { messages, waiting: std::mem::take(&mut self.tokens).into_values().collect() }
    }

    /// What may be sent again now.
    pub(super) fn next_resend(&mut self, receive_maximum: u16) -> Option<Again> {
        // [MQTT-4.6.0-1] In the original order.
        if let Some(Again::Publish(..)) = self.resends.front() {
            // [MQTT-3.3.4-7], [MQTT-4.9.0-2] Messages that are sent again count against the Receive Maximum of the new
            // connection like all others.
            if self.outgoing.in_flight().saturating_sub(self.unsent) < usize::from(receive_maximum) {
                self.unsent -= 1;
                return self.resends.pop_front();
            }
            // [MQTT-3.3.4-8] A PUBREL does not wait for it.
            if self.unsent == self.resends.len() {
                return None;
            }
            let position = self.resends.iter().position(|again| matches!(again, Again::Pubrel(_)))?;
            return self.resends.remove(position);
        }
        self.resends.pop_front()
    }

    /// Takes back an exchange that the server of this connection would not take.
    pub(super) fn withdraw(&mut self, packet_id: PacketId, qos: Qos) {
        match qos {
            Qos::ExactlyOnce => drop(self.outgoing.pubrec(packet_id, ReasonCode::UnspecifiedError)),
            _ => drop(self.outgoing.puback(packet_id)),
        }
    }
}
