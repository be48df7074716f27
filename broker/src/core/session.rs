//! The scope of one Session (section 4.1): subscriptions, exchanges in flight, the queue, the expiry. It may outlive many
//! Network Connections, and it never sends: it says what there is.

use std::{
    collections::{BTreeSet, VecDeque},
    ops::{Index, IndexMut},
    time::Duration,
};

use squall_codec::{
    flow::{Incoming, Outgoing, PacketIds},
    packet::{Packet, Publish},
    topic::TopicFilter,
    wire::{PacketId, Text},
};

use super::{
    acl::Subject,
    effect::{ConnectionId, Shared},
    hash::{HashKey, Map},
    retained::Scan,
    will::StoredWill,
};

/// The place of a session in the table: shorter than its Client Identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionKey(u32);

/// A message on its way to one client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// As it will be sent, but for the packet identifier and the time it waited.
    pub(super) message: Publish,
    /// When it came, on the clock that goes on over a restart: Message Expiry Interval counts from here.
    pub(super) arrived: Duration,
    /// Its number in the session, for the store.
    pub(super) number: u64,
    /// Where a share chose this session.
    pub(super) shared: Option<Shared>,
    /// The record that has to be kept before it may leave; 0 if none.
    pub(super) published_by: u64,
}

/// What a resumed session still has to send again, in order.
#[derive(Debug)]
pub(super) enum Resend {
    /// With DUP 1, unless it was never sent.
    Publish(PacketId, Delivery),
    /// The message is the client's already.
    Pubrel(PacketId),
}

/// One Session.
#[derive(Debug)]
pub(super) struct Session {
    /// [MQTT-3.1.3-2] The key by which it is found.
    pub(super) client_id: Text,
    /// The user of the latest connection, to whom the session belongs; `None` is anonymous.
    pub(super) user: Option<Text>,
    /// The Network Connection, while there is one.
    pub(super) connection: Option<ConnectionId>,
    /// Session Expiry Interval in seconds; `u32::MAX` is never.
    pub(super) expiry_seconds: u32,
    /// Whether the store knows of it.
    pub(super) durable: bool,
    /// The filters in the tree that are this session's.
    pub(super) filters: BTreeSet<TopicFilter>,
    /// Messages from the client.
    pub(super) incoming: Incoming,
    /// Messages to the client, sent and not finished.
    pub(super) outgoing: Outgoing<Delivery>,
    /// How many of them may be open on this connection.
    pub(super) send_quota: usize,
    /// What is in flight but was not yet sent again on this connection.
    pub(super) resends: VecDeque<Resend>,
    /// Of those in flight, the ones whose PUBLISH was never handed out: what comes next is the first attempt.
    pub(super) never_sent: BTreeSet<PacketId>,
    /// QoS 1 and 2 messages to the client that wait.
    pub(super) queue: VecDeque<Delivery>,
    /// Its client had or found a full queue, and has not caught up since.
    pub(super) is_catching_up: bool,
    /// Their topics, properties and payloads.
    pub(super) queue_bytes: usize,
    /// As `queue_bytes`, of the messages in `outgoing`.
    pub(super) in_flight_bytes: usize,
    /// Retained messages that its subscriptions ask for and that were not looked at yet.
    pub(super) scans: VecDeque<Scan>,
    /// [MQTT-3.1.2-7] Of the latest connection.
    pub(super) will: Option<StoredWill>,
    /// Messages up to this number were queued while other rules of who may do what held.
    pub(super) judge_up_to: u64,
    next_number: u64,
}

impl Delivery {
    /// Whether the message waited longer than its Message Expiry Interval allows ([MQTT-3.3.2-5]).
    pub(super) fn is_expired(&self, now: Duration) -> bool {
        is_expired(&self.message, self.arrived, now)
    }

    /// The message as it leaves now.
    pub(super) fn publish(&self, now: Duration, packet_id: Option<PacketId>, dup: bool) -> Publish {
        let mut publish = self.message.clone();
        // [MQTT-4.3.2-2] [MQTT-4.3.3-2]
        publish.packet_id = packet_id;
        publish.dup = dup;
        // [MQTT-3.3.2-6] What is left: the interval less the time that it waited here.
        let waited = u32::try_from(now.saturating_sub(self.arrived).as_secs()).unwrap_or(u32::MAX);
        publish.message_expiry_interval = publish.message_expiry_interval.map(|seconds| seconds.saturating_sub(waited));
        publish
    }
}

/// Whether a message that came at `arrived` has waited too long. One that did not wait is never too late.
pub(super) fn is_expired(message: &Publish, arrived: Duration, now: Duration) -> bool {
    let Some(seconds) = message.message_expiry_interval else { return false };
    let waited = now.saturating_sub(arrived);
    !waited.is_zero() && waited >= Duration::from_secs(seconds.into())
}

impl Session {
    /// A new one, not connected yet.
    pub(super) fn new(client_id: Text, ids: PacketIds) -> Self {
        Session {
            client_id,
            user: None,
            connection: None,
            expiry_seconds: 0,
            durable: false,
            filters: BTreeSet::new(),
            incoming: Incoming::new(u16::MAX),
            outgoing: Outgoing::numbered(u16::MAX, ids),
            send_quota: 0,
            resends: VecDeque::new(),
            never_sent: BTreeSet::new(),
            queue: VecDeque::new(),
            is_catching_up: false,
            queue_bytes: 0,
            in_flight_bytes: 0,
            scans: VecDeque::new(),
            will: None,
            judge_up_to: 0,
            next_number: 0,
        }
    }

    /// Begins another Network Connection: `receive_maximum` is what the server announced, `send_quota` what the client
    /// allows.
    pub(super) fn resume(&mut self, receive_maximum: u16, send_quota: u16) {
        self.incoming.resume(receive_maximum);
        // [MQTT-4.9.0-1] The quota is the client's, or less.
        self.outgoing.resume(send_quota);
        self.send_quota = usize::from(send_quota);
        // [MQTT-4.8.2-4] Those of a share too. [MQTT-4.4.0-1] Only now, in the order in which they were sent first ([MQTT-4.6.0-5]).
        self.resends = self
            .outgoing
            .resends()
            .map(|resend| match resend {
                squall_codec::flow::Resend::Publish(id, _, delivery) => Resend::Publish(id, delivery.clone()),
                squall_codec::flow::Resend::Pubrel(id) => Resend::Pubrel(id),
            })
            .collect();
    }

    /// Whether one more PUBLISH may be sent again: what was not yet sent on this connection takes no quota of it.
    pub(super) fn may_resend(&self) -> bool {
        self.outgoing.in_flight().saturating_sub(self.resends.len()) < self.send_quota
    }

    /// The client acknowledged: this is not to be sent again.
    pub(super) fn forget_resend(&mut self, acknowledged: PacketId) {
        self.resends.retain(|resend| match resend {
            Resend::Publish(id, _) | Resend::Pubrel(id) => *id != acknowledged,
        });
    }

    /// Who acts in this session, for the rules of who may do what.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject { user: self.user.as_ref(), client_id: &self.client_id }
    }

    /// Whether a message of this size may wait too.
    pub(super) fn queue_has_room(&self, size: usize, messages: usize, bytes: usize) -> bool {
        self.queue.is_empty() || (self.queue.len() < messages && self.queue_bytes + size <= bytes)
    }

    /// Bytes of all messages that it holds: those that wait, those in flight, and the will.
    fn held_bytes(&self) -> usize {
        let will = self.will.as_ref().map_or(0, |will| will.message.size_bytes());
        self.queue_bytes + self.in_flight_bytes + will
    }

    /// Whether one more message may be in flight ([MQTT-3.3.4-9] [MQTT-4.9.0-2]): as the client allows, and as many bytes as
    /// `limits.rs` does.
    pub(super) fn may_send(&self, bytes: usize) -> bool {
        self.outgoing.has_room() && (self.in_flight_bytes < bytes || self.in_flight_bytes == 0)
    }

    /// A message begins to be sent under this identifier; `None` where there is none, and the message waits on.
    pub(super) fn begin(&mut self, delivery: Delivery) -> Option<PacketId> {
        let size = delivery.message.size_bytes();
        match self.outgoing.publish(delivery.message.qos, delivery) {
            Ok(packet_id) => {
                self.in_flight_bytes += size;
                self.never_sent.remove(&packet_id);
                Some(packet_id)
            }
            Err(delivery) => {
                self.queue_bytes += size;
                self.queue.push_front(delivery);
                None
            }
        }
    }

    /// A packet is dropped that was to leave. [MQTT-3.3.1-1] DUP is for what was attempted before.
    pub(super) fn never_leaves(&mut self, packet: &Packet) {
        if let Packet::Publish(Publish { packet_id: Some(packet_id), dup: false, .. }) = packet {
            self.never_sent.insert(*packet_id);
        }
    }

    /// A message is the client's, or was refused by it.
    pub(super) fn let_go(&mut self, delivery: &Delivery) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(delivery.message.size_bytes());
    }

    /// Appends to the queue.
    pub(super) fn enqueue(&mut self, delivery: Delivery) {
        self.queue_bytes += delivery.message.size_bytes();
        self.queue.push_back(delivery);
    }

    /// Appends what a store kept. Messages that come later get later numbers.
    pub(super) fn restore(&mut self, delivery: Delivery) {
        self.next_number = self.next_number.max(delivery.number);
        self.enqueue(delivery);
    }

    /// Takes the message with this number out of the queue, wherever it stands.
    pub(super) fn take_queued(&mut self, number: u64) -> Option<Delivery> {
        let at = self.queue.iter().position(|delivery| delivery.number == number)?;
        let delivery = self.queue.remove(at)?;
        self.queue_bytes -= delivery.message.size_bytes();
        Some(delivery)
    }

    /// Takes the first of the queue.
    pub(super) fn dequeue(&mut self) -> Option<Delivery> {
        let delivery = self.queue.pop_front()?;
        self.queue_bytes -= delivery.message.size_bytes();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(delivery)
    }

    /// The number of the next message.
    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

/// All sessions, by place and by Client Identifier.
#[derive(Debug)]
pub(super) struct Sessions {
    places: Vec<Option<Session>>,
    free: Vec<u32>,
    by_client_id: Map<Text, SessionKey>,
    /// Bytes that all hold, but for the one that was touched last: it counts as it did before.
    held_bytes: usize,
    touched: Option<(SessionKey, usize)>,
    /// What each gives out.
    ids: PacketIds,
}

impl SessionKey {
    /// The place with this number.
    #[cfg(test)]
    pub(super) fn new(index: u32) -> Self {
        SessionKey(index)
    }

    /// The number of the place.
    #[cfg(test)]
    pub(super) fn index(self) -> u32 {
        self.0
    }
}

impl Sessions {
    /// None.
    pub(super) fn new(key: HashKey, ids: PacketIds) -> Self {
        Sessions {
            places: Vec::new(),
            free: Vec::new(),
            by_client_id: Map::with_hasher(key),
            held_bytes: 0,
            touched: None,
            ids,
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.by_client_id.len()
    }

    /// The rules of who may do what are others: all that waits will be judged again.
    pub(super) fn judge_again(&mut self) {
        self.places.iter_mut().flatten().for_each(|session| session.judge_up_to = session.next_number);
    }

    /// Bytes of the messages that all sessions hold.
    pub(super) fn held_bytes(&self) -> usize {
        let touched = self.touched.and_then(|(key, before)| Some((self.places[key.0 as usize].as_ref()?, before)));
        touched.map_or(self.held_bytes, |(session, before)| self.held_bytes - before + session.held_bytes())
    }

    /// Whether the sum is that of every message, counted one by one.
    pub(super) fn is_sum_right(&self) -> bool {
        let size = |delivery: &Delivery| delivery.message.size_bytes();
        let counted = self.iter().map(|session| {
            let in_flight = session.outgoing.resends().map(|resend| match resend {
                squall_codec::flow::Resend::Publish(_, _, delivery) => size(delivery),
                squall_codec::flow::Resend::Pubrel(_) => 0,
            });
            let will = session.will.as_ref().map_or(0, |will| will.message.size_bytes());
            session.queue.iter().map(size).sum::<usize>() + in_flight.sum::<usize>() + will
        });
        counted.sum::<usize>() == self.held_bytes()
    }

    /// Exchanges were taken back from a store: their bytes are counted.
    pub(super) fn count_in_flight(&mut self) {
        for session in self.places.iter_mut().flatten() {
            let messages = session.outgoing.resends().map(|resend| match resend {
                squall_codec::flow::Resend::Publish(_, _, delivery) => delivery.message.size_bytes(),
                squall_codec::flow::Resend::Pubrel(_) => 0,
            });
            session.in_flight_bytes = messages.sum();
        }
        self.touched = None;
        self.held_bytes = self.iter().map(Session::held_bytes).sum();
    }

    /// In the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.places.iter().flatten()
    }

    /// Whose they are.
    pub(super) fn keys(&self) -> impl Iterator<Item = (Text, SessionKey)> {
        let places = (0..).zip(&self.places);
        places.filter_map(|(place, session)| Some((session.as_ref()?.client_id.clone(), SessionKey(place))))
    }

    /// The session of a client.
    pub(super) fn find(&self, client_id: &str) -> Option<SessionKey> {
        self.by_client_id.get(client_id).copied()
    }

    /// Begins one, that holds nothing.
    pub(super) fn insert(&mut self, client_id: Text) -> SessionKey {
        let session = Session::new(client_id.clone(), self.ids);
        let key = match self.free.pop() {
            Some(place) => {
                self.places[place as usize] = Some(session);
                SessionKey(place)
            }
            None => {
                self.places.push(Some(session));
                SessionKey(u32::try_from(self.places.len() - 1).expect("the limit on sessions is within 32 bits"))
            }
        };
        self.by_client_id.insert(client_id, key);
        key
    }

    /// Ends one.
    pub(super) fn remove(&mut self, key: SessionKey) -> Session {
        self.held_bytes = self.held_bytes();
        self.touched = None;
        let session = self.places[key.0 as usize].take().expect("a key is held no longer than its session");
        self.held_bytes -= session.held_bytes();
        self.free.push(key.0);
        self.by_client_id.remove(&session.client_id);
        session
    }
}

impl Index<SessionKey> for Sessions {
    type Output = Session;
    fn index(&self, key: SessionKey) -> &Session {
        self.places[key.0 as usize].as_ref().expect("a key is held no longer than its session")
    }
}

impl IndexMut<SessionKey> for Sessions {
    /// Whoever changes a session comes this way: so the sum of what all hold is kept.
    fn index_mut(&mut self, key: SessionKey) -> &mut Session {
        if self.touched.is_none_or(|(touched, _)| touched != key) {
            self.held_bytes = self.held_bytes();
            self.touched = Some((key, self[key].held_bytes()));
        }
        self.places[key.0 as usize].as_mut().expect("a key is held no longer than its session")
    }
}
