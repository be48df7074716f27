//! What the server's store has kept for certain, and what a crash may take: the latest always, and everything since its disk fails.

use std::time::Duration;

use squall_codec::packet::PacketKind;
use squall_scenarios::outage::DiskState;

use super::{Model, connection::Line};

/// What a client has acknowledged is nowhere answered: for this long before a crash, the server may not have kept it. So long it may
/// take as well until a store whose disk works again has made up for what it could not keep.
pub(super) const UNSURE_FOR: Duration = Duration::from_secs(1);

/// The disk fails, or has failed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    since: Duration,
    /// When it worked again; `None`: it does not yet.
    until: Option<Duration>,
}

impl Model {
    /// The disk under the store changes.
    pub(super) fn disk_is(&mut self, state: DiskState) {
        if !self.terms.is_durable {
            return;
        }
        let now = self.now;
        match (state, self.is_short()) {
            (DiskState::Well, _) => {
                if let Some(failing) = &mut self.failing {
                    failing.until.get_or_insert(now);
                }
            }
            // What was not made up for since the last time waits on.
            (DiskState::Full | DiskState::Broken, true) => {
                self.failing.as_mut().expect("who is short has a disk that fails").until = None;
            }
            (DiskState::Full | DiskState::Broken, false) => self.failing = Some(Failing { since: now, until: None }),
        }
        // It says farewell, and cannot keep what it would.
        if self.is_down && state != DiskState::Well {
            self.loosen_retained();
        }
    }

    /// The store may be unable to keep anything, or have to make up for what it could not keep: the server may refuse what it would
    /// have to keep.
    pub(super) fn is_short(&self) -> bool {
        self.failing.is_some_and(|failing| failing.until.is_none_or(|until| self.now <= until + UNSURE_FOR))
    }

    /// From when on things may have happened that the store has not kept.
    pub(super) fn unsure_from(&self) -> Duration {
        let usual = self.now.saturating_sub(UNSURE_FOR);
        match self.failing {
            Some(failing) if self.is_short() => usual.min(failing.since.saturating_sub(UNSURE_FOR)),
            _ => usual,
        }
    }

    /// A connection ends before PUBREC: the server has the message, and a crash may still take it. Before PUBCOMP: a crash may bring back
    /// that the message came.
    pub(super) fn leaves_unanswered(&mut self, at: usize) {
        let (now, line) = (self.now, &self.lines[at]);
        if let Some(session) = line.session {
            let unanswered = line.answers.pubrec.iter().map(|(id, message)| (now, *id, *message));
            let of = &mut self.sessions[session];
            of.unanswered.extend(unanswered);
            if self.terms.is_durable {
                of.perhaps_received.extend(line.answers.pubcomp.iter().map(|id| (*id, None)));
            }
        }
    }

    /// A connection is closed: what was not answered on it may have been refused.
    pub(super) fn perhaps_refuses(&mut self, at: usize) {
        if let Some(session) = self.lines[at].session {
            let asked = self.lines[at].answers.suback.iter().flat_map(|(_, filters)| filters);
            let asked: Vec<String> = asked.map(|asked| asked.filter.clone()).collect();
            self.sessions[session].loosen_subscriptions_to(|filter| asked.iter().any(|asked| asked == filter.as_str()));
            asked.iter().for_each(|filter| self.need_not_send_retained(session, filter));
            let of = &mut self.sessions[session];
            for (id, message) in &self.lines[at].answers.pubrec {
                if of.received.remove(id) {
                    of.perhaps_received.insert(*id, *message);
                }
            }
        }
        let answers = &self.lines[at].answers;
        let refused: Vec<usize> =
            answers.puback.iter().chain(&answers.pubrec).filter_map(|(_, message)| *message).collect();
        for message in refused {
            let owed = self.sessions.iter_mut().flat_map(|session| session.owed.iter_mut().chain(&mut session.copies));
            owed.filter(|owed| owed.message == message).for_each(|owed| owed.is_due = false);
            self.withdraw_from_shares(message);
        }
    }

    /// What asks for something that cannot be kept is refused; where no answer can say so, the connection is closed.
    pub(super) fn may_close_for_shortage(&self, line: &Line) -> bool {
        self.is_short() && line.answers.first_missing().is_some_and(|(kind, _)| kind != PacketKind::Pingresp)
    }
}
