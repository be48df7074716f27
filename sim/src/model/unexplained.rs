//! What the server sends and does not owe: why it does not.

use squall_codec::{packet::Publish, qos::Qos};

use super::{
    Model,
    message::{Message, words_of},
    retained::Kept,
    session::Why,
};
use crate::invariants::Invariant;

/// How it comes, and how it would have to.
fn flags(qos: Qos, retain: bool) -> String {
    format!("QoS {} and RETAIN {}", qos.bits(), u8::from(retain))
}

impl Model {
    /// Whether a session was sent as many messages with these words as were published.
    pub(super) fn have_all_come(&self, session: usize, key: u64) -> bool {
        let is_such = |message: &&Message| message.key == key && message.at <= self.now;
        let came = self.sessions[session].first_sent.get(&key).map_or(0, |by_qos| by_qos.iter().sum::<u32>());
        came as usize >= self.messages.iter().filter(is_such).count()
    }

    /// Nothing of the kind is owed. Why not?
    pub(super) fn unexplained(&mut self, session: usize, publish: &Publish, key: u64) -> Option<usize> {
        let near = self.sessions[session].owed.iter().position(|owed| self.messages[owed.message].key == key);
        let known = self.last_of.get(&key).copied();
        // An earlier one of the same words may have been taken for it.
        if self.repeated.contains(&key) && (near.is_some() || self.as_member(session, key).is_some()) {
            near.map(|near| self.sessions[session].owed.remove(near));
            return known;
        }
        // Or the other way round: of so many with these words, fewer have come.
        if self.repeated.contains(&key) && !self.have_all_come(session, key) {
            return known;
        }
        if near.is_none() && self.was_a_shares(session, (publish.topic(), publish.qos), key) {
            return known;
        }
        let (invariant, detail) = match near {
            Some(near) => self.unlike(session, publish, near),
            None => self.unowed(session, publish, key, known),
        };
        // It has come, if otherwise: nothing more is owed of it.
        match near {
            Some(near) => drop(self.sessions[session].owed.remove(near)),
            None if self.as_member(session, key).is_some() => {
                known.into_iter().for_each(|known| self.withdraw_from_shares(known));
            }
            None => {}
        }
        self.breach(invariant, detail);
        known
    }

    /// Something like it is owed.
    fn unlike(&self, session: usize, publish: &Publish, near: usize) -> (Invariant, String) {
        let of = &self.sessions[session];
        let (owed, name, words) = (&of.owed[near], &of.name, words_of(publish));
        // A live one that need not come is not what is meant by one that comes as retained.
        if owed.why == Why::Live && !owed.is_due && !owed.retain[1] && publish.retain {
            return self.as_retained(session, publish, self.messages[owed.message].key);
        }
        let (is, has_to_be) = (flags(publish.qos, publish.retain), flags(owed.qos, owed.retain[1]));
        match owed.why {
            Why::Live => {
                (Invariant::AsSubscribed, format!("{words} comes to {name} with {is}, and with {has_to_be} it is owed"))
            }
            Why::Retained => {
                let how =
                    format!("and as what is retained, which SUBSCRIBE has asked for, it is owed with {has_to_be}");
                (Invariant::Retained, format!("{words} comes to {name} with {is}, {how}"))
            }
        }
    }

    /// Nothing like it is.
    fn unowed(&self, session: usize, publish: &Publish, key: u64, known: Option<usize>) -> (Invariant, String) {
        let of = &self.sessions[session];
        let (name, words) = (&of.name, words_of(publish));
        if let Some((filter, member)) = self.as_member(session, key) {
            let (is, has_to_be) = (flags(publish.qos, publish.retain), flags(member.qos, member.retain));
            let detail = format!("{words} comes to {name} with {is}, and for {filter} it is owed with {has_to_be}");
            return (Invariant::AsSubscribed, detail);
        }
        let has_come = of.first_sent.contains_key(&key);
        let Some(message) = known.map(|known| &self.messages[known]) else {
            return (Invariant::NothingInvented, format!("{words} comes to {name}, and nobody has published it"));
        };
        if message.is_will {
            let why = match has_come {
                true => "once more, and is not to be published again",
                false => "before its time, or though it was cancelled",
            };
            return (Invariant::Will, format!("the will {words} comes to {name} {why}"));
        }
        // With Retain As Published a live one has RETAIN too.
        let matches = |filter: &squall_codec::topic::TopicFilter| filter.matches(publish.topic());
        let is_plain = !of.subscriptions.iter().any(|one| one.options.retain_as_published && matches(&one.filter));
        if publish.retain && (is_plain || !has_come) {
            return self.as_retained(session, publish, key);
        }
        if has_come {
            let invariant = match publish.qos {
                Qos::AtMostOnce => Invariant::AtMostOnce,
                Qos::AtLeastOnce => Invariant::AtLeastOnce,
                Qos::ExactlyOnce => Invariant::ExactlyOnce,
            };
            return (invariant, format!("{words} comes to {name} once more"));
        }
        (Invariant::Subscribed, format!("{words} comes to {name}, who has no subscription for it"))
    }

    /// It comes as what is retained. Is it?
    fn as_retained(&self, session: usize, publish: &Publish, key: u64) -> (Invariant, String) {
        let (name, words) = (&self.sessions[session].name, words_of(publish));
        let kept = self.retained.get(publish.topic()).map_or(&[][..], Vec::as_slice);
        let since = |message: &Message| format!("since {:.3} s", message.at.as_secs_f64());
        let why = match kept.last() {
            None => "nothing is retained there".to_owned(),
            Some(Kept { message: None, by, .. }) => {
                format!("nothing is retained there {}, when an empty message took it away", since(&self.messages[*by]))
            }
            Some(Kept { message: Some(last), .. }) => match &self.messages[*last] {
                other if other.key != key => format!("what is retained there {} is {}", since(other), other.words()),
                it if it.expires().is_some_and(|expires| expires <= self.now) => {
                    "its Message Expiry Interval is over".to_owned()
                }
                _ if self.sessions[session].first_sent.contains_key(&key) => {
                    format!("it has come before, and no SUBSCRIBE of {name} has asked for it again")
                }
                _ => format!("no SUBSCRIBE of {name} has asked for it"),
            },
        };
        (Invariant::Retained, format!("{words} comes to {name} as what is retained, and {why}"))
    }
}
