//! The server goes down: what it must still know afterwards, and what it may have forgotten.

use std::time::Duration;

use squall_codec::qos::Qos;
use squall_scenarios::outage::Stop;

use super::{
    Model, Situation,
    connection::Stage,
    message::Acceptance,
    session::{Life, Sending, Session, Subscribed},
};

/// What a client has acknowledged is nowhere answered: for this long before a crash, the server may not have kept it.
pub(super) const UNSURE_FOR: Duration = Duration::from_secs(1);

impl Model {
    pub(super) fn goes_down(&mut self, how: Stop) {
        let now = self.now;
        self.is_down = true;
        if self.sessions.iter().any(|session| !session.sending.is_empty()) {
            self.came(Situation::DownInFlight);
        }
        for session in 0..self.sessions.len() {
            self.loosen_will(session);
            let line = self.sessions[session].line;
            if let Some(line) = line {
                let answers = &mut self.lines[line].answers;
                let of = &mut self.sessions[session];
                // Nobody was told yet, or not any more.
                for (id, _) in answers.pubrec.drain(..) {
                    of.received.remove(&id);
                    of.perhaps_received.insert(id);
                }
                of.perhaps_received.extend(answers.pubcomp.drain(..));
            }
            let of = &mut self.sessions[session];
            of.line = None;
            of.was_cut = true;
            if !self.terms.is_durable || (line.is_some() && of.expiry == 0) {
                of.clear();
                of.life = Life::None;
                continue;
            }
            if line.is_some() && of.expiry < u32::MAX {
                of.life = Life::Until(now + Duration::from_secs(u64::from(of.expiry)), Duration::MAX);
            }
            for owed in &mut of.owed {
                owed.only_on = None;
                if owed.qos == Qos::AtMostOnce || self.messages[owed.message].acceptance != Acceptance::Yes {
                    owed.is_due = false;
                }
            }
            for subscribed in of.subscriptions.iter_mut().filter(|subscribed| !subscribed.is_sure) {
                subscribed.is_going = true;
            }
            loosen_subscriptions(of);
            loosen_exchanges(of, now);
            // With a message that nobody was told of, its way to others may be forgotten.
            // While the server says farewell, an exchange may come to its end.
            let is_sure = |sending: &Sending| {
                how != Stop::Restart && self.messages[sending.message].acceptance == Acceptance::Yes
            };
            let (sure, perhaps) = std::mem::take(&mut of.sending).into_iter().partition(is_sure);
            of.sending = sure;
            of.perhaps_sending.extend(perhaps);
        }
        for line in &mut self.lines {
            line.stage = Stage::Over;
        }
        for share in &mut self.shares {
            for shared in &mut share.owed {
                shared.is_due = false;
                shared.may_again = true;
            }
        }
        if !self.terms.is_durable {
            self.retained.clear();
        } else if how != Stop::Restart {
            // What nobody was told of may be lost, and what stood there before is back.
            for kept in self.retained.values_mut() {
                for kept in kept {
                    kept.is_sure &= self.messages[kept.by].acceptance == Acceptance::Yes;
                }
            }
        }
    }

    pub(super) fn comes_back(&mut self) {
        let (now, slack) = (self.now, self.terms.slack);
        self.is_down = false;
        for session in &mut self.sessions {
            if let Life::Until(least, Duration::MAX) = session.life {
                // It counts from the crash, or from the start.
                session.life = Life::Until(least, now + Duration::from_secs(u64::from(session.expiry)) + slack);
            }
        }
    }
}

/// A SUBSCRIBE that was not answered may have changed a subscription, or not.
fn loosen_subscriptions(session: &mut Session) {
    let mut before = Vec::new();
    for subscribed in &mut session.subscriptions {
        if let Some((options, identifier)) = subscribed.before.take() {
            subscribed.is_going = true;
            before.push(Subscribed { options, identifier, is_sure: false, ..subscribed.clone() });
        }
    }
    session.subscriptions.extend(before);
}

/// What was completed shortly before may not have been kept.
fn loosen_exchanges(session: &mut Session, now: Duration) {
    let lately = std::mem::take(&mut session.lately);
    let perhaps = lately.into_iter().filter(|(at, _)| *at + UNSURE_FOR >= now).map(|(_, sending)| sending);
    session.perhaps_sending.extend(perhaps);
}
