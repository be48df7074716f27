//! The bounds of a server that clients come to: then it need not do what it has to do otherwise.

use squall_broker::core::limits::QueuePolicy;
use squall_codec::qos::Qos;

use super::Model;

/// Bytes that may be on their way to one client: more than all of a storm.
const ROOMY_BYTES: usize = 1 << 20;

/// Messages that may wait for one client: as many as no storm has.
const ROOMY: usize = 1_000;

impl Model {
    /// Whether one more message above QoS 0 has room in a session, beyond doubt.
    pub(super) fn has_room(&self, session: usize) -> bool {
        // The same message may come for each of its shares as well.
        let shares = || {
            let of = self.sessions[session].subscriptions.iter();
            of.filter(|subscribed| subscribed.filter.share_name().is_some()).count()
        };
        !self.is_narrow() || self.waiting_at_most(session) + shares() < self.terms.queued_messages
    }

    /// Whether who is there is sent everything at once, beyond doubt: else QoS 0 is dropped where a client does not read.
    pub(super) fn is_never_held_up(&self) -> bool {
        self.terms.unflushed_soft >= ROOMY_BYTES
    }

    /// Whether what is retained is looked up for a new subscription at once, beyond doubt: half of the room is for what is
    /// published, and who is sent nothing for a while is looked up nothing either.
    pub(super) fn has_room_for_retained(&self, session: usize) -> bool {
        let has_room = !self.is_narrow() || self.waiting_at_most(session) < self.terms.queued_messages / 2;
        has_room && self.is_never_held_up()
    }

    /// Messages above QoS 0 that wait for a session, or may.
    fn waiting_at_most(&self, session: usize) -> usize {
        let of = &self.sessions[session];
        let certain = of.waiting() + of.sending.len();
        // What a crash has left open may wait there as well.
        certain + self.perhaps_allotted(session) + of.perhaps_sending.len() + self.loose_wills.len()
    }

    /// Clients come to the bound for messages that wait.
    pub(super) fn is_narrow(&self) -> bool {
        self.terms.queued_messages < ROOMY
    }

    /// Messages of which nobody knows when they come may come to any session now, and find no room.
    pub(super) fn others_may_be_full(&mut self) {
        if !self.is_narrow() {
            return;
        }
        for share in &mut self.shares.groups {
            share.owed.iter_mut().for_each(|shared| shared.is_due = false);
        }
        (0..self.sessions.len()).for_each(|session| self.is_full(session));
    }

    /// A message comes to a session that may have no room for it.
    pub(super) fn is_full(&mut self, session: usize) {
        let of = &mut self.sessions[session];
        match self.terms.queue_policy {
            QueuePolicy::DropNewest => {}
            // One of those that wait goes in its place.
            QueuePolicy::DropOldest => {
                of.owed.iter_mut().filter(|owed| owed.qos > Qos::AtMostOnce).for_each(|owed| owed.is_due = false);
                let filters =
                    of.subscriptions.iter().map(|subscribed| subscribed.filter.as_str().to_owned()).collect::<Vec<_>>();
                self.loosen_shares(&filters);
            }
            QueuePolicy::Disconnect => {
                if let Some(line) = of.line {
                    self.lines[line].excuse.get_or_insert("too many messages wait for its client");
                }
            }
        }
    }
}
