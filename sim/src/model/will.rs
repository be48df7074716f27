//! Wills: when they are due, and when they must not come any more.

use std::time::Duration;

use squall_codec::{packet, version::Version};

use super::{Model, Situation, message::Message, outage::UNSURE_FOR};

/// The will of a session whose connection is open, or whose will waits.
#[derive(Debug)]
pub(super) struct Will {
    message: usize,
    delay: Duration,
    /// The connection has ended: it goes then, unless the session is taken up before.
    due: Option<Duration>,
}

/// A will that may come, at any time: a crash has left open what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct LooseWill {
    pub(super) message: usize,
    /// Sessions that have had it.
    pub(super) sent_to: Vec<usize>,
}

impl Will {
    /// Its connection is over.
    pub(super) fn waits(&self) -> bool {
        self.due.is_some()
    }

    /// As CONNECT asks for it.
    pub(super) fn armed(will: &packet::Will, version: Version) -> Self {
        let seconds = will.properties.will_delay_interval().filter(|_| version.has_properties()).unwrap_or(0);
        Will { message: usize::MAX, delay: Duration::from_secs(u64::from(seconds)), due: None }
    }
}

impl Model {
    /// The will is known as a message from now on, though it is not published.
    pub(super) fn announce_will(&mut self, session: usize, will: &packet::Will) {
        let announced = Message::will(will, session, Duration::MAX);
        if self.last_of.contains_key(&announced.key) {
            self.repeated.insert(announced.key);
        }
        let message = self.add_message(announced);
        if let Some(armed) = &mut self.sessions[session].will {
            armed.message = message;
        }
    }

    /// The connection has ended, and the session will at this time.
    pub(super) fn will_is_due(&mut self, session: usize, session_ends: Option<Duration>) {
        let now = self.now;
        let Some(will) = &mut self.sessions[session].will else { return };
        // Section 3.1.3.2.2: after the delay, or with the session, whichever is first.
        let due = session_ends.map_or(now + will.delay, |ends| ends.min(now + will.delay));
        will.due = Some(due);
        if due <= now {
            let will = self.sessions[session].will.take().expect("it is there");
            self.will_goes_now(session, will);
        } else {
            self.wake_at(due);
        }
    }

    /// The connection is about to be closed by the server: a will that waits for nothing may come before that.
    pub(super) fn will_without_delay(&mut self, session: usize) {
        let waits_for_nothing = |will: &mut Will| will.delay.is_zero();
        if let Some(will) = self.sessions[session].will.take_if(waits_for_nothing) {
            self.will_goes_now(session, will);
        }
    }

    pub(super) fn next_will(&self) -> Option<Duration> {
        self.sessions.iter().filter_map(|session| session.will.as_ref()?.due).min()
    }

    pub(super) fn wills_due(&mut self) {
        if self.is_down {
            return;
        }
        for session in 0..self.sessions.len() {
            let now = self.now;
            if let Some(will) = self.sessions[session].will.take_if(|will| will.due.is_some_and(|due| due <= now)) {
                self.will_goes_now(session, will);
            }
        }
    }

    pub(super) fn will_goes_now(&mut self, session: usize, will: Will) {
        self.came(Situation::WillSent);
        debug_assert_eq!(self.messages[will.message].publisher, session, "a will is its session's own");
        self.messages[will.message].at = self.now;
        self.keep_if_retained(will.message);
        self.route(will.message, true);
    }

    /// The client is back.
    pub(super) fn will_is_cancelled(&mut self, _session: usize, will: Will) {
        let slack = self.terms.slack;
        self.came(Situation::WillCancelled);
        // At the moment at which it was due anyway, either is right.
        if will.due.is_some_and(|due| due <= self.now + slack && self.now <= due + slack) {
            self.loose_wills.push(LooseWill { message: will.message, sent_to: Vec::new() });
        }
    }

    /// [MQTT-3.14.4-3] The client has left as it should.
    pub(super) fn will_is_discarded(&mut self, session: usize) {
        if let Some(will) = self.sessions[session].will.take() {
            self.came(Situation::WillDiscarded);
            self.sessions[session].discarded_will = Some((self.now, will));
        }
    }

    /// The will of a CONNECT that was never answered: it may come or not.
    pub(super) fn will_perhaps(&mut self, session: usize, connect: &packet::Connect) {
        let Some(will) = &connect.will else { return };
        let announced = Message::will(will, session, self.now);
        if self.last_of.contains_key(&announced.key) {
            self.repeated.insert(announced.key);
        }
        let message = self.add_message(announced);
        self.loose_wills.push(LooseWill { message, sent_to: Vec::new() });
        self.retained_perhaps(message);
    }

    /// A crash: it may come or not.
    pub(super) fn loosen_will(&mut self, session: usize) {
        let of = &mut self.sessions[session];
        // DISCONNECT has no answer: that it came may be forgotten.
        let discarded =
            of.discarded_will.take().filter(|(at, _)| self.terms.is_durable && *at + UNSURE_FOR >= self.now);
        if let Some(will) = of.will.take().or(discarded.map(|(_, will)| will)) {
            let message = &mut self.messages[will.message];
            message.at = self.now;
            self.loose_wills.push(LooseWill { message: will.message, sent_to: Vec::new() });
            self.retained_perhaps(will.message);
        }
    }
}
