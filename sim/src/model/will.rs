//! Wills: when they are due, and when they must not come any more.

use std::time::Duration;

use squall_codec::{
    packet::{self, Publish},
    qos::Qos,
    version::Version,
};

use super::{
    Model, Situation,
    connection::Stage,
    message::Message,
    session::{Life, Session, Subscribed},
};
use crate::invariants::Invariant;

/// A store may keep in whole seconds when a connection ended.
const WHOLE_SECOND: Duration = Duration::from_secs(1);

/// The will of a session whose connection is open, or whose will waits.
#[derive(Debug)]
pub(super) struct Will {
    message: usize,
    delay: Duration,
    /// The connection has ended: it goes then, unless the session is taken up before.
    due: Option<Duration>,
    /// When its client was let in.
    armed: Duration,
}

/// A will that may come, at any time: a crash has left open what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct LooseWill {
    pub(super) message: usize,
    /// Sessions that have had it, with how often each had come to its end by then.
    sent_to: Vec<(usize, u32)>,
    /// Of the session whose it is: its client may come back in time and cancel it.
    session: usize,
    delay: Duration,
    /// A crash has ended its connection: it has to come when the server runs again. To which sessions, which must not have come to
    /// their ends since then.
    owed_to: Vec<(usize, u32)>,
    /// Until then it can be cancelled.
    open_until: Option<Duration>,
    /// It was surely kept, and waits: unless its client is back or its session ends, it does not come before.
    not_before: Duration,
}

impl LooseWill {
    fn new(message: usize, session: usize) -> Self {
        LooseWill {
            message,
            sent_to: Vec::new(),
            session,
            delay: Duration::ZERO,
            owed_to: Vec::new(),
            open_until: None,
            not_before: Duration::ZERO,
        }
    }
}

impl Will {
    /// Its connection is over.
    pub(super) fn waits(&self) -> bool {
        self.due.is_some()
    }

    /// As CONNECT asks for it.
    pub(super) fn armed(will: &packet::Will, version: Version, now: Duration) -> Self {
        let seconds = will.properties.will_delay_interval().filter(|_| version.has_properties()).unwrap_or(0);
        Will { message: usize::MAX, delay: Duration::from_secs(u64::from(seconds)), due: None, armed: now }
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
            let is_due = |will: &Will| will.due.is_some_and(|due| due <= now);
            if !self.sessions[session].will.as_ref().is_some_and(is_due) {
                continue;
            }
            // Its client is at the door: whether that was in time, CONNACK does not say.
            if self.lines.iter().any(|line| line.stage == Stage::Asked && line.session == Some(session)) {
                self.loosen_will(session, false);
            } else if let Some(will) = self.sessions[session].will.take() {
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
    pub(super) fn will_is_cancelled(&mut self, session: usize, will: Will) {
        let slack = self.terms.slack;
        self.came(Situation::WillCancelled);
        // At the moment at which it was due anyway, either is right.
        if will.due.is_some_and(|due| due <= self.now + slack && self.now <= due + slack) {
            self.loose_wills.push(LooseWill::new(will.message, session));
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
        let Some(will) = connect.will() else { return };
        let announced = Message::will(&will.to_owned(), session, self.now);
        if self.last_of.contains_key(&announced.key) {
            self.repeated.insert(announced.key);
        }
        let message = self.add_message(announced);
        self.loose_wills.push(LooseWill::new(message, session));
        self.others_may_be_full();
        self.retained_perhaps(message);
    }

    /// A crash: it may come or not; what was surely kept has to come.
    pub(super) fn loosen_will(&mut self, session: usize, is_crash: bool) {
        let unsure = self.unsure_from();
        let of = &mut self.sessions[session];
        // DISCONNECT has no answer: that it came may be forgotten.
        let discarded = of.discarded_will.take().filter(|(at, _)| self.terms.is_durable && *at >= unsure);
        let armed = of.will.take();
        let is_kept = armed.as_ref().is_some_and(|will| will.armed < unsure);
        let least = Duration::from_secs(of.expiry.min(of.shortest).into());
        if let Some(will) = armed.or(discarded.map(|(_, will)| will)) {
            self.messages[will.message].at = self.now;
            let mut loose = LooseWill::new(will.message, session);
            loose.delay = will.delay;
            let is_durable = self.terms.is_durable && !self.is_short();
            if is_kept && !will.waits() && (is_crash || is_durable) && self.is_connected(session) {
                loose.owed_to = self.surely_hear(will.message);
            }
            if is_kept && is_durable {
                let due = will.due.unwrap_or(self.now + will.delay.min(least));
                loose.not_before = due.saturating_sub(WHOLE_SECOND);
            }
            self.loose_wills.push(loose);
            self.others_may_be_full();
            self.retained_perhaps(will.message);
        }
    }

    /// Whether its client is there and is to stay.
    fn is_connected(&self, session: usize) -> bool {
        let line = self.sessions[session].line.map(|line| &self.lines[line]);
        self.terms.is_durable && line.is_some_and(|line| line.stage == Stage::In && line.excuse.is_none())
    }

    /// Sessions that outlive the storm and have asked for this message at QoS 1 or 2, beyond doubt.
    fn surely_hear(&self, message: usize) -> Vec<(usize, u32)> {
        let will = &self.messages[message];
        let hears = |session: &Session| {
            // What a SUBSCRIBE without an answer changes may be what it was.
            let is_settled = |subscribed: &&Subscribed| subscribed.is_certain() && subscribed.before.is_empty();
            let mut certain = session.subscriptions.iter().filter(is_settled);
            let is_here = session.life == Life::Here && session.lasts() && session.smallest.is_none();
            is_here && certain.any(|subscribed| self.brings(subscribed, will))
        };
        let sessions = self.sessions.iter().enumerate().filter(|(_, session)| hears(session));
        // Whoever has so few places for messages that wait may have none left.
        let has_room = !self.is_narrow() && will.expires().is_none();
        sessions.filter(|_| has_room).map(|(at, session)| (at, session.ends)).collect()
    }

    fn brings(&self, subscribed: &Subscribed, will: &Message) -> bool {
        let qos = subscribed.options.qos.min(will.qos());
        let is_own = subscribed.filter.share_name().is_none() && !subscribed.options.no_local;
        is_own && qos > Qos::AtMostOnce && subscribed.filter.matches(will.publish.topic())
    }

    /// The will with this key that a crash has set free and that this session is still owed.
    pub(super) fn take_owed_will(
        &mut self,
        (at, session): (usize, usize),
        publish: &Publish,
        key: u64,
    ) -> Option<usize> {
        let has_identifiers = self.lines[at].version.has_properties();
        // It is owed for a subscription of its own. What looks otherwise is another copy, or a share's.
        let is_for = |subscribed: &Subscribed, will: &Message| {
            let said = |identifier: u32| publish.subscription_identifiers.contains(&identifier);
            publish.qos > Qos::AtMostOnce
                && subscribed.filter.share_name().is_none()
                && subscribed.filter.matches(will.publish.topic())
                && subscribed.options.qos.min(will.qos()) == publish.qos
                && (!has_identifiers || subscribed.identifier.is_none_or(said))
        };
        let is_owed = |will: &LooseWill| {
            let is_to = will.owed_to.iter().any(|(to, _)| *to == session);
            let message = &self.messages[will.message];
            is_to
                && !will.sent_to.contains(&(session, self.sessions[session].ends))
                && message.key == key
                && self.sessions[session].subscriptions.iter().any(|subscribed| is_for(subscribed, message))
        };
        let place = self.loose_wills.iter().position(is_owed)?;
        let ends = self.sessions[session].ends;
        let will = &mut self.loose_wills[place];
        will.sent_to.push((session, ends));
        Some(will.message)
    }

    /// A will that may come at any time.
    pub(super) fn take_loose_will(&mut self, session: usize, publish: &Publish, key: u64) -> Option<usize> {
        let of = &self.sessions[session];
        // It may have waited while the session had other subscriptions.
        let most = of.ever.iter().filter(|filter| filter.matches(publish.topic())).count();
        let this = (session, of.ends);
        let had = |will: &LooseWill| will.sent_to.iter().filter(|had| **had == this).count();
        let mut wills = self.loose_wills.iter_mut();
        let may_come = |will: &LooseWill| will.not_before <= self.now && had(will) < most;
        let found = wills.find(|will| self.messages[will.message].key == key && may_come(will))?;
        found.sent_to.push(this);
        Some(found.message)
    }

    /// A will that comes with the farewell need not come behind it.
    pub(super) fn has_had_will(&mut self, session: usize, key: u64) {
        let wills = self.loose_wills.iter_mut().filter(|will| self.messages[will.message].key == key);
        wills.for_each(|will| will.owed_to.retain(|(to, _)| *to != session));
    }

    /// The server goes down again: what it has done of all this, nobody knows.
    pub(super) fn forgive_wills(&mut self) {
        self.loose_wills.iter_mut().for_each(|will| will.owed_to.clear());
    }

    /// A server whose store cannot keep that it has published a will may publish it once more.
    pub(super) fn wills_may_come_again(&mut self, unsure: Duration) {
        if !self.is_short() {
            return;
        }
        let published = |message: &&Message| message.is_will && unsure <= message.at && message.at <= self.now;
        let again = self.messages.iter().enumerate().filter(|(_, message)| published(message));
        let again: Vec<_> = again.map(|(index, message)| LooseWill::new(index, message.publisher)).collect();
        self.loose_wills.extend(again);
    }

    /// The server runs again: wills that a crash has set free are due when their delay is over.
    pub(super) fn wills_after_outage(&mut self) {
        for will in self.loose_wills.iter_mut().filter(|will| will.open_until.is_none()) {
            will.open_until = Some(self.now + will.delay + self.terms.slack);
        }
    }

    /// [MQTT-3.1.3-9] A client is back: in time for its will, or it may be.
    pub(super) fn may_cancel_wills(&mut self, session: usize) {
        let now = self.now;
        let in_time =
            |will: &&mut LooseWill| will.session == session && will.open_until.is_none_or(|until| now <= until);
        self.loose_wills.iter_mut().filter(in_time).for_each(|will| will.owed_to.clear());
        self.wills_may_come_at_once(session);
    }

    /// What becomes of the session may set its wills free at any time.
    pub(super) fn wills_may_come_at_once(&mut self, session: usize) {
        let own = self.loose_wills.iter_mut().filter(|will| will.session == session);
        own.for_each(|will| will.not_before = Duration::ZERO);
    }

    /// A session has other subscriptions than when the server went down.
    pub(super) fn hears_otherwise(&mut self, session: usize) {
        self.loose_wills.iter_mut().for_each(|will| will.owed_to.retain(|(to, _)| *to != session));
    }

    /// [MQTT-3.1.2-8] Wills that a crash has set free and that have not come, to those who are there.
    pub(super) fn outstanding_wills(&mut self) {
        let mut found = Vec::new();
        for will in self.loose_wills.iter().filter(|will| will.open_until.is_some_and(|until| until < self.now)) {
            for (to, ends) in &will.owed_to {
                let of = &self.sessions[*to];
                if of.line.is_some() && of.ends == *ends && !will.sent_to.contains(&(*to, *ends)) {
                    let words = self.messages[will.message].words();
                    let name = &of.name;
                    let detail =
                        format!("the will {words} of a connection that a crash has ended never came to {name}");
                    found.push((detail, will.message));
                }
            }
        }
        for (detail, message) in found {
            self.breach_about(Invariant::Will, detail, Some(message));
        }
    }
}
