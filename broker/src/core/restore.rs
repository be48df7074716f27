//! The state that a store kept, taken back after a restart or a crash (section 4.1: a server keeps Session State beyond its
//! own failures).
//!
//! A connection that was open when the server died ended with it, and that end is noticed now: Session Expiry Interval and
//! Will Delay Interval of such a session count from the restart. Those of a session that was away already have gone on.
//! A will that is due is published when every session is there to receive it; so is the will of a session that ended with
//! its connection, which section 3.1.2.5 allows to wait for the restart.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    flow::Pubrec,
    reason::ReasonCode,
    time::Now,
    wire::{PacketId, Text},
};

use super::{
    acl::Subject,
    broker::Broker,
    config::Config,
    effect::Record,
    hash::HashKey,
    session::{Delivery, Session, SessionKey},
    subscriptions::Subscribed,
    timers::Timer,
    will::StoredWill,
};

/// Why records cannot be replayed: they contradict each other, so the store lost some or has them of somebody else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// A record speaks of a session that no record began.
    #[error("a record of client '{client_id}' stands without its session")]
    UnknownSession {
        /// Whose.
        client_id: Text,
    },
    /// A record speaks of a message that no record queued.
    #[error("message {number} of client '{client_id}' is spoken of and not there")]
    UnknownMessage {
        /// Whose.
        client_id: Text,
        /// Which.
        number: u64,
    },
    /// A record speaks of an exchange that no record began.
    #[error("the exchange with packet identifier {packet_id} of client '{client_id}' is spoken of and not there")]
    UnknownExchange {
        /// Whose.
        client_id: Text,
        /// Which.
        packet_id: PacketId,
    },
}

/// What is only known when all records have been read.
#[derive(Default)]
struct Pending {
    /// When the connections of sessions ended, on `Now::unix`.
    ended: BTreeMap<Text, Duration>,
    /// Of sessions, and of connections whose session ended with them; each with its user.
    wills: BTreeMap<Text, (Option<Text>, StoredWill)>,
}

/// What became due while the server was away, or becomes due with its return; in the order of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Will,
    SessionEnd,
}

impl Broker {
    /// The server with the state that a store kept. What has become due meanwhile happens at once; its effects are handed
    /// out with the first input, which `deadline` then says is due.
    ///
    /// # Errors
    /// Records that contradict each other.
    pub fn restore(
        now: Now,
        config: Config,
        key: HashKey,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RestoreError> {
        let mut broker = Broker::new(now, config, key);
        let mut pending = Pending::default();
        for record in records {
            broker.replay(record, &mut pending)?;
        }
        // The rules may be others than before.
        broker.sessions.judge_again();
        broker.sessions.count_in_flight();
        broker.catch_up(pending);
        Ok(broker)
    }

    fn replay(&mut self, record: Record, pending: &mut Pending) -> Result<(), RestoreError> {
        match record {
            Record::Session { client_id, user, expiry_seconds, ended } => {
                let key = self.sessions.find(&client_id).unwrap_or_else(|| {
                    let key = self.sessions.insert(client_id.clone());
                    self.sessions[key].durable = true;
                    key
                });
                let session = &mut self.sessions[key];
                (session.user, session.expiry_seconds) = (user, expiry_seconds);
                match ended {
                    Some(ended) => drop(pending.ended.insert(client_id, ended)),
                    None => drop(pending.ended.remove(&client_id)),
                }
            }
            Record::SessionEnded { client_id } => {
                let key = self.known(&client_id)?;
                for filter in &self.sessions.remove(key).filters {
                    self.subscriptions.remove(key, filter);
                }
                pending.ended.remove(&client_id);
                pending.wills.remove(&client_id);
            }
            Record::Subscribed { client_id, subscription, identifier } => {
                let key = self.known(&client_id)?;
                let subscribed = Subscribed { options: subscription.options, identifier };
                // It was within the bounds when it was granted; those of today are for new ones.
                let _ = self.subscriptions.insert(key, &subscription.filter, subscribed, usize::MAX);
                self.sessions[key].filters.insert(subscription.filter);
            }
            Record::Unsubscribed { client_id, filter } => {
                let key = self.known(&client_id)?;
                self.subscriptions.remove(key, &filter);
                self.sessions[key].filters.remove(&filter);
            }
            Record::Queued { client_id, number, message, arrived, shared } => {
                let key = self.known(&client_id)?;
                self.sessions[key].restore(Delivery { message, arrived, number, shared, published_by: 0 });
            }
            Record::Dropped { client_id, number } => drop(self.take_queued(client_id, number)?),
            Record::Sent { client_id, number, packet_id } => {
                let key = self.known(&client_id)?;
                let delivery = self.take_queued(client_id, number)?;
                self.sessions[key].outgoing.restore_published(packet_id, delivery.message.qos, delivery);
            }
            Record::Released { client_id, packet_id, number: _ } => {
                let outgoing = &mut self.known_mut(&client_id)?.outgoing;
                // A store that has forgotten the message says only this.
                if !matches!(outgoing.pubrec(packet_id, ReasonCode::Success), Pubrec::Release(_)) {
                    outgoing.restore_released(packet_id);
                }
            }
            Record::Settled { client_id, packet_id, number: _ } => {
                let outgoing = &mut self.known_mut(&client_id)?.outgoing;
                let refused = |pubrec| matches!(pubrec, Pubrec::Refused(_));
                let settled = outgoing.puback(packet_id).is_some()
                    || outgoing.pubcomp(packet_id)
                    || refused(outgoing.pubrec(packet_id, ReasonCode::UnspecifiedError));
                if !settled {
                    return Err(RestoreError::UnknownExchange { client_id, packet_id });
                }
            }
            Record::Received { client_id, packet_id } => {
                self.known_mut(&client_id)?.incoming.restore(packet_id);
            }
            Record::Completed { client_id, packet_id } => {
                if !self.known_mut(&client_id)?.incoming.pubrel(packet_id) {
                    return Err(RestoreError::UnknownExchange { client_id, packet_id });
                }
            }
            Record::Will { client_id, user, message, delay_seconds } => {
                pending.wills.insert(client_id, (user, StoredWill { message, delay_seconds }));
            }
            Record::WillCleared { client_id } => drop(pending.wills.remove(&client_id)),
            Record::Retained { message, arrived } => self.retained.set(message, arrived),
            Record::RetainedCleared { topic } => drop(self.retained.clear(topic.as_str())),
        }
        Ok(())
    }
    fn known(&self, client_id: &Text) -> Result<SessionKey, RestoreError> {
        self.sessions.find(client_id).ok_or_else(|| RestoreError::UnknownSession { client_id: client_id.clone() })
    }

    fn known_mut(&mut self, client_id: &Text) -> Result<&mut Session, RestoreError> {
        let key = self.known(client_id)?;
        Ok(&mut self.sessions[key])
    }

    fn take_queued(&mut self, client_id: Text, number: u64) -> Result<Delivery, RestoreError> {
        let taken = self.known_mut(&client_id)?.take_queued(number);
        taken.ok_or(RestoreError::UnknownMessage { client_id, number })
    }

    /// The clocks go on: what expired is dropped, what became due happens in the order in which it did, and the rest is
    /// waited for.
    fn catch_up(&mut self, mut pending: Pending) {
        self.purge_retained();
        let sessions: BTreeMap<Text, SessionKey> = self.sessions.keys().collect();
        let mut due = Vec::new();
        for (client_id, key) in &sessions {
            self.drop_expired(*key);
            due.extend(self.restart_clocks(client_id, *key, &mut pending));
        }
        // What is left are the wills of connections whose sessions ended with them.
        due.extend(pending.wills.keys().map(|client_id| (self.now.unix, client_id.clone(), Due::Will)));
        due.sort();
        for (_, client_id, what) in due {
            match (self.sessions.find(&client_id), what) {
                (Some(key), Due::Will) => self.publish_will(key),
                (Some(key), Due::SessionEnd) => self.end_session(key),
                (None, _) => {
                    if let Some((user, will)) = pending.wills.remove(&client_id) {
                        self.persist(Record::WillCleared { client_id: client_id.clone() });
                        self.send_will(Subject { user: user.as_ref(), client_id: &client_id }, will.message);
                    }
                }
            }
        }
    }

    /// Sets the timers of a session that has no connection; what is due already is handed back, with its moment.
    fn restart_clocks(
        &mut self,
        client_id: &Text,
        key: SessionKey,
        pending: &mut Pending,
    ) -> impl Iterator<Item = (Duration, Text, Due)> + use<> {
        let now = self.now;
        // A clock that was set back stands still for those who wait; it does not run backwards.
        let ended = pending.ended.get(client_id).map(|ended| (*ended).min(now.unix));
        let session = &mut self.sessions[key];
        session.will = pending.wills.remove(client_id).map(|(_, will)| will);
        let expiry_seconds = session.expiry_seconds;
        let delay_seconds = session.will.as_ref().map(|will| will.delay_seconds);
        if ended.is_none() {
            let (client_id, user) = (client_id.clone(), session.user.clone());
            // Noted, so that another crash does not begin the wait anew.
            self.persist(Record::Session { client_id, user, expiry_seconds, ended: Some(now.unix) });
        }
        let ended = ended.unwrap_or(now.unix);
        let will = delay_seconds.map(|seconds| (seconds, Due::Will, Timer::WillDelay(key)));
        let expires = expiry_seconds != u32::MAX;
        let end = expires.then_some((expiry_seconds, Due::SessionEnd, Timer::SessionExpiry(key)));
        let mut due = [None, None];
        for (place, clock) in due.iter_mut().zip([will, end]) {
            let Some((seconds, what, timer)) = clock else { continue };
            let at = ended + Duration::from_secs(seconds.into());
            match at.checked_sub(now.unix) {
                Some(left) if !left.is_zero() => self.timers.set(timer, now.monotonic + left),
                _ => *place = Some((at, client_id.clone(), what)),
            }
        }
        due.into_iter().flatten()
    }

    /// [MQTT-3.3.2-5] What waits in the queue and has expired is not delivered.
    fn drop_expired(&mut self, key: SessionKey) {
        let now = self.now.unix;
        let expired = |delivery: &&Delivery| delivery.is_expired(now);
        let numbers: Vec<u64> =
            self.sessions[key].queue.iter().filter(expired).map(|delivery| delivery.number).collect();
        for number in numbers {
            if let Some(delivery) = self.sessions[key].take_queued(number) {
                self.statistics.dropped_expired += 1;
                self.forget_queued(key, &delivery);
            }
        }
    }
}
