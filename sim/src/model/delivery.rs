//! What the server sends: against what it owes.

use std::{borrow::Cow, time::Duration};

use squall_codec::{packet::Publish, qos::Qos, wire::PacketId};

use super::{
    Model, Situation,
    message::{Acceptance, Message, key_of, words_of},
    session::{Owed, Sending, Why},
};
use crate::invariants::{Invariant, passed_on::is_passed_on};

/// Copies beyond the first that are waited for, in one session.
const COPIES: usize = 64;

impl Model {
    /// PUBLISH to a client.
    pub(super) fn sends(&mut self, at: usize, session: usize, publish: &Publish) {
        self.tally.delivered += 1;
        let Some(publish) = self.in_full(at, publish) else { return };
        let publish = publish.as_ref();
        let key = key_of(publish);
        self.taken = None;
        if let Some(id) = publish.packet_id
            && self.is_repeat(at, session, publish, id, key)
        {
            return;
        }
        if let Some(message) = self.take_owed(at, session, publish, key) {
            self.check_properties((at, session), message, publish, key);
            // A server that cannot keep anything lets it leave all the same.
            let is_kept = publish.qos == Qos::ExactlyOnce && self.sessions[session].expiry > 0;
            self.messages[message].has_left |= is_kept || !self.is_short();
            if let Some(twin) = self.messages[message].twin {
                self.sessions[session].owed.retain(|owed| owed.message != twin || owed.why == Why::Retained);
            }
            self.sessions[session].first_sent.entry(key).or_default()[usize::from(publish.qos.bits())] += 1;
            if let Some(id) = publish.packet_id {
                let qos = publish.qos;
                let number = self.tally.delivered;
                // After a crash it may come as if for the first time.
                let owed = self.taken.take().unwrap_or_else(|| Owed::as_sent(message, publish));
                let begun = Some((self.now, Box::new(owed)));
                let said = (publish.retain, publish.subscription_identifiers.clone());
                let sending = Sending { said: Some(said), ..Sending::new(id, message, qos, (at, number), begun) };
                self.sessions[session].sending.push(sending);
            }
        }
        self.check_receive_maximum(at, session);
    }

    /// With the topic that its alias stands for; `None` where it stands for none.
    fn in_full<'p>(&mut self, at: usize, publish: &'p Publish) -> Option<Cow<'p, Publish>> {
        let Some(alias) = publish.topic_alias else { return Some(Cow::Borrowed(publish)) };
        let line = &mut self.lines[at];
        let most = line.alias_maximum;
        if !publish.topic_bytes().is_empty() {
            line.aliases[1].extend(publish.topic_name().map(|topic| (alias, topic)));
        }
        let known = line.aliases[1].get(&alias).cloned();
        if alias == 0 || alias > most {
            let detail = format!("Topic Alias {alias} where Topic Alias Maximum is {most}");
            self.breach(Invariant::TopicAlias, detail);
        }
        if !publish.topic_bytes().is_empty() {
            return Some(Cow::Borrowed(publish));
        }
        self.came(Situation::AliasUsed);
        match known {
            Some(topic) => Some(Cow::Owned(publish.clone().with_topic(&topic))),
            None => {
                let detail = format!("Topic Alias {alias} was not set on this connection");
                self.breach(Invariant::TopicAlias, detail);
                None
            }
        }
    }

    /// What the server sends while it says farewell: it may know of it afterwards.
    pub(super) fn sends_farewell(&mut self, at: usize, session: usize, publish: &Publish) {
        self.tally.delivered += 1;
        let Some(publish) = self.in_full(at, publish) else { return };
        let publish = publish.as_ref();
        let key = key_of(publish);
        self.has_had_will(session, key);
        let of = &mut self.sessions[session];
        of.first_sent.entry(key).or_default()[usize::from(publish.qos.bits())] += 1;
        for owed in of.owed.iter_mut().filter(|owed| owed.is_due && self.messages[owed.message].key == key) {
            owed.is_due = false;
        }
        let known = self.last_of.get(&key).copied();
        if let (Some(id), Some(message)) = (publish.packet_id, known) {
            let qos = publish.qos;
            let is_this = |sending: &Sending| sending.id == id && self.messages[sending.message].key == key;
            if publish.dup && of.perhaps_sending.iter().any(is_this) {
                return;
            }
            of.perhaps_sending.push(Sending::new(id, message, qos, (at, self.tally.delivered), None));
        }
    }

    /// Whether an exchange is open under this identifier: then nothing new is owed.
    fn is_repeat(&mut self, at: usize, session: usize, publish: &Publish, id: PacketId, key: u64) -> bool {
        let now = self.now;
        let of = &mut self.sessions[session];
        if !of.sending.iter().any(|sending| sending.id == id) {
            // The crash has taken its end: it goes on where it was, or the identifier is free.
            let messages = &self.messages;
            // Who has sent PUBREL has kept that PUBREC came: then another copy of the message has the identifier.
            let is_this = |sending: &Sending| {
                publish.dup
                    && messages[sending.message].key == key
                    && sending.qos == publish.qos
                    && !sending.is_released
            };
            if let Some(sending) = of.take_perhaps_sending(now, id, is_this) {
                let last_number = self.tally.delivered;
                of.begins(Sending { line: at, published_on: at, last_number, ..sending });
                return true;
            }
        }
        let Some(position) = of.sending.iter().position(|sending| sending.id == id) else {
            if publish.dup && !of.was_cut {
                let detail = format!("DUP on identifier {id} to {}, which was not sent before", of.name);
                self.breach(Invariant::DupOnRepeats, detail);
            }
            return false;
        };
        // PUBREC is answered with PUBREL: before that, a crash may have taken it.
        if of.was_cut && of.sending[position].is_received && !of.sending[position].is_released {
            of.sending[position].is_received = false;
        }
        let known = &of.sending[position];
        let is_same = self.messages[known.message].key == key && known.qos == publish.qos;
        let wrong = if !is_same {
            let known = self.messages[known.message].words();
            Some((
                Invariant::PacketIdInUse,
                format!("identifier {id} stands for {known}, which is not done, and for {}", words_of(publish)),
            ))
        } else if known.is_received {
            // [MQTT-4.3.3-6]
            Some((Invariant::ExactlyOnce, format!("{} is sent again after its PUBREC", words_of(publish))))
        } else if known.line == at {
            Some((Invariant::DupOnRepeats, format!("{} is repeated on an open connection", words_of(publish))))
        } else if !publish.dup {
            Some((Invariant::DupOnRepeats, format!("{} is repeated without DUP", words_of(publish))))
        } else if of.sending[..position].iter().any(|earlier| earlier.line != at && !earlier.is_received) {
            // [MQTT-4.6.0-1]
            Some((Invariant::Order, format!("{} is repeated before what was sent earlier", words_of(publish))))
        } else {
            None
        };
        let (again, said) = (of.sending[position].message, of.sending[position].said.clone());
        let known = &mut of.sending[position];
        known.line = at;
        known.published_on = at;
        known.last_number = self.tally.delivered;
        self.came(Situation::Repeated);
        if let Some((invariant, detail)) = wrong {
            self.breach(invariant, detail);
        }
        if is_same {
            self.check_receive_maximum(at, session);
            self.check_repeat((at, session), again, publish, said);
        }
        true
    }

    /// What is sent again says what it said, but for how long it may still wait.
    fn check_repeat(
        &mut self,
        (at, session): (usize, usize),
        message: usize,
        publish: &Publish,
        said: Option<(bool, Vec<u32>)>,
    ) {
        let key = self.messages[message].key;
        self.check_properties((at, session), message, publish, key);
        for (invariant, detail) in self.outlived(at, session, message, publish) {
            self.breach(invariant, detail);
        }
        let has_properties = self.lines[at].version.has_properties();
        if let Some((retain, identifiers)) = said.filter(|_| !self.repeated.contains(&key))
            && (retain != publish.retain || has_properties && identifiers != publish.subscription_identifiers)
        {
            let words = words_of(publish);
            let detail =
                format!("{words} is sent again with another RETAIN or other Subscription Identifiers than before");
            self.breach(Invariant::AsSubscribed, detail);
        }
    }

    /// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
    fn check_properties(&mut self, (at, session): (usize, usize), message: usize, publish: &Publish, key: u64) {
        if !self.lines[at].version.has_properties() || is_passed_on(&self.messages[message].publish, publish) {
            return;
        }
        // The same words may have been said with other properties.
        if !self.messages.iter().any(|other| other.key == key && is_passed_on(&other.publish, publish)) {
            let (words, name) = (self.messages[message].words(), self.sessions[session].name.clone());
            let detail = format!("{words} comes to {name} with other properties than it was published with");
            self.breach(Invariant::AsPublished, detail);
        }
    }

    /// [MQTT-3.3.4-9]
    fn check_receive_maximum(&mut self, at: usize, session: usize) {
        let open = self.sessions[session].sending.iter().filter(|sending| sending.published_on == at).count();
        let most = self.lines[at].receive_maximum;
        if open == usize::from(most) {
            self.came(Situation::WindowFull);
        }
        if open > usize::from(most) {
            let detail = format!("{open} messages are open where Receive Maximum is {most}");
            self.breach(Invariant::ReceiveMaximum, detail);
        }
    }

    /// Takes what is sent from what is owed; says what is wrong with it.
    fn take_owed(&mut self, at: usize, session: usize, publish: &Publish, key: u64) -> Option<usize> {
        let of = &self.sessions[session];
        let fits = |owed: &Owed| {
            self.messages[owed.message].key == key
                && owed.retain[usize::from(publish.retain)]
                && owed.least_qos <= publish.qos
                && publish.qos <= owed.qos
        };
        // The same words may have been published twice: the one that is next in order is meant, and one that has so long left.
        let expiry = publish.message_expiry_interval;
        let is_repeated = self.repeated.contains(&key);
        let lives_as_long = |message: &Message| match (expiry, message.expires()) {
            (Some(left), Some(expires)) if is_repeated => {
                let left = Duration::from_secs(left.into());
                left.abs_diff(expires.saturating_sub(self.now)) <= 2 * self.terms.slack + Duration::from_secs(2)
            }
            (said, expires) => said.is_some() == expires.is_some(),
        };
        let has_properties = self.lines[at].version.has_properties();
        let is_meant = |owed: &Owed| {
            let said = &publish.subscription_identifiers;
            let identifiers = match owed.filters {
                1 if has_properties && !owed.is_vague => *said == owed.identifiers,
                _ => said.iter().all(|identifier| owed.identifiers.contains(identifier)),
            };
            identifiers && lives_as_long(&self.messages[owed.message])
        };
        // [MQTT-3.3.4-2] One copy has the highest QoS; the others have that of their filters.
        let is_main = |owed: &Owed| fits(owed) && owed.main_qos <= publish.qos;
        let is_next = |owed: &Owed| !owed.is_passed && is_main(owed) && is_meant(owed);
        let due = of.owed.iter().position(|owed| is_repeated && owed.is_due && is_next(owed));
        // What was asked for by a SUBSCRIBE has to come; what came with a crash in between may, and before it, and so may a copy for one
        // of several filters: which of the two this is, nobody can tell.
        let is_asked = |owed: &Owed| publish.retain && owed.why == Why::Retained && is_next(owed);
        let first = of.owed.iter().position(is_next);
        let perhaps = first.filter(|position| !of.owed[*position].is_due);
        let either = perhaps.or_else(|| first.filter(|position| of.owed[*position].filters > 1));
        let asked = either.and_then(|_| of.owed.iter().position(|owed| owed.is_due && is_asked(owed)));
        // With the QoS that only this one can have, it is this one.
        let is_exact = |owed: &Owed| is_asked(owed) && owed.qos == publish.qos;
        let exact = either.filter(|first| of.owed[*first].qos > publish.qos);
        let exact = exact.and_then(|_| of.owed.iter().position(is_exact));
        let wanted = due.or(exact).or(asked.and(first));
        if let Some(asked) = asked {
            self.sessions[session].owed[asked].is_due = false;
        }
        if wanted.is_none() && perhaps.is_some() {
            // Whether it came for a share or for the session itself, nobody can tell: then neither has to come.
            for (share, place) in self.shared_for(session, publish, key) {
                self.shares.groups[share].owed[place].is_due = false;
            }
        }
        let shared = self.shared_for(session, publish, key);
        if let Some(position) = wanted.or(first) {
            // A share's copy says nothing else; what may come with other identifiers still waits then.
            let owed = &self.sessions[session].owed[position];
            if !owed.is_due
                && let Some(message) = self.take_owed_will((at, session), publish, key)
            {
                return Some(message);
            }
            let owed = &self.sessions[session].owed[position];
            // What another member has had comes to this one only where that one may not have kept it.
            let is_new = |(share, place): &(usize, usize)| self.shares.groups[*share].owed[*place].sent_to.is_none();
            let new: Vec<(usize, usize)> = shared.iter().copied().filter(is_new).collect();
            // One copy for several filters has all their identifiers, where it is known which: this is a share's, whichever of them.
            let perhaps = if owed.filters > 1 && !owed.is_vague { &shared } else { &new };
            if (owed.is_vague && owed.is_due || owed.filters > 1)
                && !perhaps.is_empty()
                && owed.identifiers != publish.subscription_identifiers
                && let Some(message) = self.take_shared(session, publish, perhaps)
            {
                return Some(message);
            }
            let has_shared = !shared.is_empty();
            // Of several copies one may have been the share's.
            if self.sessions[session].owed[position].more > 0 {
                for (share, place) in shared {
                    self.shares.groups[share].owed[place].is_due = false;
                }
            }
            let owed = &self.sessions[session].owed[position];
            let spare = (owed.is_vague && !owed.is_due && has_shared).then(|| owed.clone());
            let message = self.sent(at, session, position, publish);
            // It may have been the share's: then its own, with another QoS or other identifiers, comes behind it.
            if let Some(spare) = spare {
                self.sessions[session].owed.insert(position, spare);
            }
            return Some(message);
        }
        let of = &self.sessions[session];
        let near = of.owed.iter().position(is_main);
        let copy = of.copies.iter().position(|owed| fits(owed) && is_meant(owed));
        let early = of.owed.iter().position(|owed| owed.more > 0 && fits(owed) && is_meant(owed));
        if let Some(message) = self.take_owed_will((at, session), publish, key) {
            return Some(message);
        }
        if let Some(message) = self.take_shared(session, publish, &shared) {
            return Some(message);
        }
        if let Some(position) = copy {
            let owed = &mut self.sessions[session].copies[position];
            owed.more -= 1;
            owed.identifiers.retain(|identifier| !publish.subscription_identifiers.contains(identifier));
            let message = owed.message;
            if owed.more == 0 {
                self.sessions[session].copies.remove(position);
            }
            return Some(message);
        }
        if let Some(position) = early {
            let owed = &mut self.sessions[session].owed[position];
            owed.more -= 1;
            return Some(owed.message);
        }
        if let Some(message) = self.take_loose_will(session, publish, key) {
            return Some(message);
        }
        if let Some(position) = near {
            return Some(self.sent(at, session, position, publish));
        }
        self.twice(session, &shared).or_else(|| self.unexplained(session, publish, key))
    }

    fn sent(&mut self, at: usize, session: usize, position: usize, publish: &Publish) -> usize {
        let owed = self.sessions[session].owed.remove(position).expect("it was found there");
        self.taken = Some(Owed { is_due: false, ..owed.clone() });
        let is_short = self.is_short();
        let message = &self.messages[owed.message];
        let name = self.sessions[session].name.clone();
        // Of messages with the same words nobody can tell which is which.
        let is_told_apart = !self.repeated.contains(&message.key);
        let mut wrong: Vec<(Invariant, String)> = Vec::new();
        if owed.is_passed && is_told_apart {
            wrong.push((
                Invariant::Order,
                format!("{} comes to {name} behind one that was published later", message.words()),
            ));
        }
        wrong.extend(self.outlived(at, session, owed.message, publish));
        // [MQTT-3.3.4-3]
        if self.lines[at].version.has_properties() && is_told_apart {
            let said = &publish.subscription_identifiers;
            let is_right = if owed.filters == 1 && !owed.is_vague {
                *said == owed.identifiers
            } else {
                said.iter().all(|identifier| owed.identifiers.contains(identifier))
            };
            if !is_right {
                let detail =
                    format!("{} has Subscription Identifiers {said:?} and not {:?}", message.words(), owed.identifiers);
                wrong.push((Invariant::AsSubscribed, detail));
            }
        }
        // [MQTT-4.6.0-6] Those of the same publisher, topic and QoS that came before it must have left before it.
        if owed.why == Why::Live && !message.is_will && is_told_apart {
            let (publisher, qos) = (message.publisher, message.qos());
            let topic = message.publish.topic_bytes();
            let mut overtaken = Vec::new();
            for earlier in self.sessions[session].owed.iter_mut().take(position) {
                let before = &self.messages[earlier.message];
                let is_on_line = earlier.why == Why::Live
                    && !before.is_will
                    && before.publisher == publisher
                    && before.qos() == qos
                    && earlier.qos == owed.qos
                    && earlier.qos == publish.qos
                    && before.publish.topic_bytes() == topic;
                if is_on_line && !earlier.is_passed {
                    earlier.is_passed = true;
                    let has_expired = before.expires().is_some_and(|expires| expires <= self.now);
                    // What may be refused may come to nobody.
                    let is_sure = before.acceptance == Acceptance::Yes || (self.terms.takes_all && !is_short);
                    if earlier.is_due
                        && is_sure
                        && earlier.qos > Qos::AtMostOnce
                        && !has_expired
                        && !self.repeated.contains(&before.key)
                    {
                        let detail = format!(
                            "{} comes to {name}, and {} has not come yet, which was published before it",
                            message.words(),
                            before.words()
                        );
                        overtaken.push((earlier.message, earlier.is_vague, detail));
                    }
                }
            }
            for (earlier, is_vague, detail) in overtaken {
                if !(is_vague && self.was_no_shares(session, earlier)) {
                    wrong.push((Invariant::Order, detail));
                }
            }
        }
        if owed.why == Why::Retained {
            self.tally.situations[Situation::RetainedSent as usize] += 1;
        }
        let index = owed.message;
        if owed.more > 0 {
            let mut identifiers = owed.identifiers;
            identifiers.retain(|identifier| !publish.subscription_identifiers.contains(identifier));
            // [MQTT-3.3.4-4] A single copy has them all: what it leaves out has to come with another one.
            let is_due = owed.is_due
                && !identifiers.is_empty()
                && self.lines[at].version.has_properties()
                && owed.more + 1 == owed.filters
                && !owed.is_vague
                && is_told_apart;
            let copies = &mut self.sessions[session].copies;
            copies.push_back(Owed { is_due, identifiers, ..owed });
            if copies.len() > COPIES {
                copies.pop_front();
            }
        }
        for (invariant, detail) in wrong {
            self.breach(invariant, detail);
        }
        index
    }
}
