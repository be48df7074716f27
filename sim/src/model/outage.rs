//! The server goes down: what it must still know afterwards, and what it may have forgotten.

use std::time::Duration;

use squall_codec::qos::Qos;
use squall_scenarios::outage::Stop;

use super::{
    Model, Situation,
    connection::Stage,
    message::Acceptance,
    session::{Life, Sending, Session, Why},
};

impl Model {
    pub(super) fn goes_down(&mut self, how: Stop) {
        let (now, unsure) = (self.now, self.unsure_from());
        // A server that is asked to end keeps what it has, if its store can.
        let keeps_all = how == Stop::Restart && !self.is_short();
        self.is_down = true;
        self.forgive_wills();
        self.wills_may_come_again(unsure);
        if self.sessions.iter().any(|session| !session.sending.is_empty()) {
            self.came(Situation::DownInFlight);
        }
        for at in 0..self.lines.len() {
            if self.lines[at].stage == Stage::Asked
                && let Some(session) = self.lines[at].session
                && let Some(connect) = self.lines[at].connect.take()
            {
                self.perhaps_let_in(at, session, &connect);
            }
        }
        for session in 0..self.sessions.len() {
            self.loosen_will(session, how != Stop::Restart);
        }
        for session in 0..self.sessions.len() {
            let line = self.sessions[session].line;
            if let Some(line) = line {
                let answers = &mut self.lines[line].answers;
                let of = &mut self.sessions[session];
                // Nobody was told yet, or not any more.
                for (id, message) in answers.pubrec.drain(..) {
                    // What has left for somebody was kept before.
                    if !message.is_some_and(|message| self.messages[message].has_left) {
                        of.received.remove(&id);
                        of.perhaps_received.insert(id, message);
                    }
                }
                of.perhaps_received.extend(answers.pubcomp.drain(..).map(|id| (id, None)));
            }
            let of = &mut self.sessions[session];
            for (_, id, message) in std::mem::take(&mut of.unanswered).into_iter().filter(|(at, ..)| *at >= unsure) {
                let has_left = message.is_some_and(|message| self.messages[message].has_left);
                if !has_left && of.received.remove(&id) {
                    of.perhaps_received.insert(id, message);
                }
            }
            of.line = None;
            of.was_cut = true;
            if let Life::Until(least, most) = of.life
                && most >= unsure + Duration::from_secs(u64::from(of.expiry))
            {
                // That its connection has ended may be lost, or that the server has noted it when it came back; and how long it was
                // to live from then on.
                let less = Duration::from_secs(of.expiry.saturating_sub(of.shortest).into());
                of.life = Life::Until(least.saturating_sub(less), Duration::MAX);
                of.expiry = of.longest;
            }
            if let Some(ghost) = of.ghost.take_if(|ghost| self.terms.is_durable && ghost.at >= unsure) {
                of.life = Life::Until(now, Duration::MAX);
                of.expiry = of.longest;
                of.subscriptions = ghost.subscriptions;
                of.ever.extend(of.subscriptions.iter().map(|subscribed| subscribed.filter.clone()));
                of.subscriptions.iter_mut().for_each(|subscribed| subscribed.is_going = true);
                of.owed = ghost.owed;
                of.owed.iter_mut().for_each(|owed| owed.is_due = false);
                of.perhaps_sending = ghost.sending;
            }
            if !self.terms.is_durable || (line.is_some() && of.expiry == 0) {
                of.clear();
                of.life = Life::None;
                continue;
            }
            if line.is_some() && of.expiry < u32::MAX {
                of.life = Life::Until(now + Duration::from_secs(u64::from(of.expiry)), Duration::MAX);
            }
            of.copies.iter_mut().for_each(|copy| copy.is_due = false);
            for owed in &mut of.owed {
                owed.only_on = None;
                // What was retained is asked for anew, by a client that still wants it.
                let message = &self.messages[owed.message];
                let is_new_will = message.is_will && message.at >= unsure;
                if owed.may_be_lost()
                    || owed.why == Why::Retained
                    || message.acceptance != Acceptance::Yes
                    || is_new_will
                {
                    owed.is_due = false;
                }
            }
            of.loosen_subscriptions();
            loosen_exchanges(of, unsure);
            // With a message that nobody was told of, its way to others may be forgotten.
            // While the server says farewell, an exchange may come to its end.
            // A QoS 1 message leaves before it is kept that it has left: then it comes as if for the first time.
            let is_kept = |sending: &Sending| {
                sending.qos == Qos::ExactlyOnce || sending.begun.as_ref().is_some_and(|(at, _)| *at < unsure)
            };
            let is_sure = |sending: &Sending| {
                how != Stop::Restart && self.messages[sending.message].acceptance == Acceptance::Yes && is_kept(sending)
            };
            let (sure, perhaps): (Vec<_>, Vec<_>) = std::mem::take(&mut of.sending).into_iter().partition(is_sure);
            of.sending = sure;
            of.perhaps_sending.extend(perhaps);
            of.perhaps_sending.sort_by_key(|sending| sending.number);
            // It may not even know that it has sent them.
            let is_done = |sending: &Sending| sending.qos == Qos::ExactlyOnce && sending.is_received;
            let again = of.perhaps_sending.iter_mut().rev().filter(|sending| !is_done(sending));
            for (_, owed) in again.filter_map(|sending| sending.begun.take()) {
                of.owed.push_front(*owed);
            }
        }
        for line in &mut self.lines {
            line.stage = Stage::Over;
        }
        self.shares_go_down();
        if !self.terms.is_durable {
            self.retained.clear();
        } else if !keeps_all {
            self.loosen_retained();
        }
    }

    /// What nobody was told of may be lost, and what stood there before is back.
    pub(super) fn loosen_retained(&mut self) {
        let unsure = self.unsure_from();
        for kept in self.retained.values_mut().flatten() {
            let by = &self.messages[kept.by];
            let is_told = by.acceptance == Acceptance::Yes && !by.is_will;
            kept.is_sure &= is_told || by.at < unsure;
        }
    }

    pub(super) fn comes_back(&mut self) {
        let (now, slack) = (self.now, self.terms.slack);
        self.is_down = false;
        self.wills_after_outage();
        for session in &mut self.sessions {
            if let Life::Until(least, Duration::MAX) = session.life {
                // It counts from the crash, or from the start.
                session.life = Life::Until(least, now + Duration::from_secs(u64::from(session.expiry)) + slack);
            }
        }
    }
}

/// What was completed shortly before may not have been kept.
fn loosen_exchanges(session: &mut Session, unsure: Duration) {
    let lately = std::mem::take(&mut session.lately);
    for (_, sending) in lately.into_iter().filter(|(at, _)| *at >= unsure) {
        session.perhaps_sending.push(sending);
    }
}
