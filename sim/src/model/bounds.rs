//! The bounds of a server that clients come to: then it need not do what it has to do otherwise.

use squall_broker::core::limits::QueuePolicy;
use squall_codec::{
    packet::{Connect, Subscription},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
};

use super::{
    Model, Situation,
    connection::Stage,
    session::{Session, Subscribed},
};
use crate::invariants::Invariant;

/// Bytes that may be on their way to one client: more than all of a storm.
const ROOMY_BYTES: usize = 1 << 20;

/// Messages that may wait for one client: as many as no storm has.
pub(super) const ROOMY: usize = 1_000;

/// Whether there is room for one more, below a bound of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Beyond doubt.
    Enough,
    /// Nobody can tell.
    Perhaps,
    /// There is none: it has to be refused.
    None,
}

impl Room {
    /// Below this bound, where so many are there beyond doubt, and so many at most.
    pub(super) fn below(bound: usize, surely: usize, at_most: usize) -> Self {
        match (surely >= bound, at_most >= bound) {
            (true, _) => Room::None,
            (false, true) => Room::Perhaps,
            (false, false) => Room::Enough,
        }
    }
}

impl Model {
    /// For one more connection. Each counts until one side learns that it has ended.
    pub(super) fn has_room_for_connection(&self) -> Room {
        if self.terms.connections >= ROOMY {
            return Room::Enough;
        }
        let open = self.lines.iter().filter(|line| line.stage != Stage::Over).count();
        Room::below(self.terms.connections, open, open)
    }

    /// For the session of this CONNECT, if it is a new one.
    pub(super) fn has_room_for_session(&self, connect: &Connect) -> Room {
        if self.terms.sessions >= ROOMY {
            return Room::Enough;
        }
        let own = self.ids.get(&connect.client_id().to_text()).copied();
        let own = own.filter(|_| !connect.client_id().is_empty());
        // Whoever waits for CONNACK may have one, and perhaps it is what was there before.
        let asks =
            |session: usize| self.lines.iter().any(|line| line.stage == Stage::Asked && line.session == Some(session));
        let is_silent =
            |session: &Session| session.line.is_some_and(|line| self.lines[line].is_silent(self.now, self.terms.slack));
        let is_here = |(at, session): (usize, &Session)| match session.is_here(self.now) {
            // The silence of its client ends it, and at this very moment it may have come to its end.
            Some(true) if session.expiry == 0 && is_silent(session) => None,
            Some(true) => Some(true),
            None => None,
            Some(false) if asks(at) => None,
            Some(false) => Some(false),
        };
        let own = own.map_or(Some(false), |own| is_here((own, &self.sessions[own])));
        if own == Some(true) {
            return Room::Enough;
        }
        let all = || self.sessions.iter().enumerate().map(is_here);
        // Its own is not sure to be there, and is not among those that stand in its way.
        let surely = all().filter(|here| *here == Some(true)).count();
        let at_most = all().filter(|here| *here != Some(false)).count() - usize::from(own.is_none());
        match (own, Room::below(self.terms.sessions, surely, at_most)) {
            (None, Room::None) => Room::Perhaps,
            (_, room) => room,
        }
    }

    /// For a subscription to this filter; one that the session has is replaced.
    pub(super) fn has_room_for(&self, session: usize, version: Version, filter: &TopicFilter) -> Room {
        let bound = self.terms.subscriptions_per_session;
        if bound >= ROOMY {
            return Room::Enough;
        }
        // A server that says farewell has what it had, and the session is over here.
        if self.is_down {
            return Room::Perhaps;
        }
        let of = &self.sessions[session].subscriptions;
        let other = |subscribed: &&Subscribed| subscribed.filter != *filter && !subscribed.is_gone;
        if of.iter().any(|subscribed| subscribed.filter == *filter && subscribed.takes_room()) {
            return Room::Enough;
        }
        let is_perhaps_there = of.iter().any(|subscribed| subscribed.filter == *filter && !subscribed.is_gone);
        // What a crash has left open stands there twice, as it was and as it was to be.
        let mut others: Vec<&Subscribed> = of.iter().filter(other).collect();
        others.sort_by(|one, other| one.filter.as_str().cmp(other.filter.as_str()));
        let count = |those: &mut dyn Iterator<Item = &&Subscribed>| {
            let mut last = None;
            those
                .filter(|subscribed| last.replace(subscribed.filter.as_str()) != Some(subscribed.filter.as_str()))
                .count()
        };
        let surely = count(&mut others.iter().filter(|subscribed| subscribed.takes_room()));
        let at_most = count(&mut others.iter());
        match Room::below(bound, surely, at_most) {
            // 3.1 cannot say no, and what it has may be replaced.
            Room::None if version == Version::V3_1 || is_perhaps_there => Room::Perhaps,
            room => room,
        }
    }

    /// A filter that stands in a SUBSCRIBE again and again is looked up no more often than there may be subscriptions.
    pub(super) fn is_asked_too_often(&self, from_here: &[Subscription]) -> bool {
        let Some((first, behind)) = from_here.split_first() else { return false };
        self.terms.subscriptions_per_session < ROOMY && behind.iter().any(|other| other.filter == first.filter)
    }

    /// SUBACK for a filter that may have had no room, or had none. Whether that is all there is to say about it.
    pub(super) fn answers_above_bound(
        &mut self,
        at: usize,
        session: usize,
        filter: &str,
        room: Room,
        reason: ReasonCode,
    ) -> bool {
        match (room, reason.is_failure()) {
            (Room::None, false) => {
                let detail = format!(
                    "a subscription to {filter} is granted, where the broker is set up to have {} for a session, and it has them",
                    self.terms.subscriptions_per_session
                );
                self.breach(Invariant::Serves, detail);
            }
            (Room::None, true) => self.came(Situation::NoRoom),
            (_, true) => self.is_refused(session, filter),
            (_, false) if self.lines[at].version == Version::V3_1 => self.is_granted_in_vain(session, filter),
            (_, false) => return false,
        }
        true
    }

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
