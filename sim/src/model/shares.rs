//! Shared Subscriptions (section 4.8.2): each message is one member's.

use std::collections::VecDeque;

use squall_codec::{packet::Publish, qos::Qos};

use super::{
    Model, Situation,
    message::{Acceptance, ByKey},
    session::{Owed, Subscribed},
};
use crate::invariants::Invariant;

/// The members of a Shared Subscription, by its share name and filter.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) filter: String,
    pub(super) owed: VecDeque<SharedMessage>,
}

/// One who may have it, and how it has to look then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) session: usize,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) identifier: Option<u32>,
}

impl Member {
    /// What it had may have been this, which it is owed for a subscription of its own.
    fn may_be(&self, owed: &Owed) -> bool {
        let said = |identifier: &u32| owed.identifiers.contains(identifier);
        (owed.least_qos..=owed.qos).contains(&self.qos)
            && owed.retain[usize::from(self.retain)]
            && self.identifier.as_ref().map_or(owed.is_vague || owed.identifiers.is_empty(), said)
    }
}

/// A message for one of the members.
#[derive(Debug)]
pub(super) struct SharedMessage {
    pub(super) message: usize,
    pub(super) is_due: bool,
    /// Who was a member when it came: it may be allotted already.
    pub(super) members: Vec<Member>,
    /// Who was sent it, and how it looked.
    pub(super) sent_to: Option<Member>,
    /// Its receiver has left before it was done: another may have it.
    pub(super) may_again: bool,
    /// Which others it may have been that was sent, by share and place.
    pub(super) or_else: Vec<(usize, usize)>,
}

impl SharedMessage {
    /// Somebody may get it. [MQTT-4.8.2-5] At QoS 2 it stays with the one who has it.
    fn is_free(&self) -> bool {
        self.sent_to.is_none_or(|holder| self.may_again && holder.qos < Qos::ExactlyOnce)
    }
}

/// All that there are.
#[derive(Debug, Default)]
pub(super) struct Shares {
    pub(super) groups: Vec<Share>,
    /// By the key of a message: which groups have it, and at which place.
    places: ByKey<u64, Vec<(usize, usize)>>,
}

impl Shares {
    /// A message, with its key, may come to this member. `is_due`: it has to come to somebody, as far as it lies with this one.
    pub(super) fn offer(&mut self, filter: &str, (message, key): (usize, u64), member: Member, is_due: bool) {
        let share = match self.groups.iter().position(|share| share.filter == filter) {
            Some(share) => share,
            None => {
                self.groups.push(Share { filter: filter.to_owned(), owed: VecDeque::new() });
                self.groups.len() - 1
            }
        };
        let owed = &mut self.groups[share].owed;
        match owed.back_mut().filter(|shared| shared.message == message) {
            // One who is away may be the one who is chosen.
            Some(shared) => {
                shared.is_due &= is_due;
                shared.members.push(member);
            }
            None => {
                self.places.entry(key).or_default().push((share, owed.len()));
                owed.push_back(SharedMessage {
                    message,
                    is_due,
                    members: vec![member],
                    sent_to: None,
                    may_again: false,
                    or_else: Vec::new(),
                });
            }
        }
    }

    /// Where messages with this key are: share and place, in their order.
    fn places_of(&self, key: u64) -> Vec<(usize, usize)> {
        let mut places = self.places.get(&key).cloned().unwrap_or_default();
        places.sort_unstable();
        places
    }
}

impl Model {
    /// The messages of shares that it may be: share and place.
    pub(super) fn shared_for(&self, session: usize, publish: &Publish, key: u64) -> Vec<(usize, usize)> {
        let of = &self.sessions[session];
        let fits = |&(share, place): &(usize, usize)| {
            let group = &self.shares.groups[share];
            let shared = &group.owed[place];
            let message = &self.messages[shared.message];
            let is_meant = |member: Member| {
                publish.qos == member.qos
                    && publish.retain == member.retain
                    && publish.subscription_identifiers.iter().copied().eq(member.identifier)
            };
            shared.members.iter().any(|member| member.session == session && is_meant(*member))
                || of.subscriptions.iter().any(|subscribed| {
                    let qos = subscribed.options.qos.min(message.qos());
                    let retain = message.publish.retain && subscribed.options.retain_as_published;
                    let identifier = subscribed.identifier;
                    subscribed.filter.as_str() == group.filter && is_meant(Member { session, qos, retain, identifier })
                })
        };
        let mut found = self.shares.places_of(key);
        found.retain(fits);
        found
    }

    pub(super) fn take_shared(&mut self, session: usize, publish: &Publish, found: &[(usize, usize)]) -> Option<usize> {
        let is_free = |&&(share, place): &&(usize, usize)| self.shares.groups[share].owed[place].is_free();
        if let Some(&(share, place)) = found.iter().find(is_free) {
            // Which of two shares it came for, nobody can tell: then neither has to send it.
            if found.len() > 1 {
                found.iter().for_each(|(share, place)| self.shares.groups[*share].owed[*place].is_due = false);
            }
            self.may_have_been_own((share, place));
            return Some(self.give(session, publish, (share, place), found));
        }
        // It may be that an earlier one of the same words was another share's, and this one is what it was taken for.
        let room = [false, true].into_iter().find_map(|otherwise| {
            let mut seen = Vec::new();
            found.iter().find(|at| self.makes_room(**at, otherwise, &mut seen))
        });
        Some(self.give(session, publish, *room?, found))
    }

    /// What was taken for this share's, its holder was owed as well for a subscription of its own: then it was that.
    fn was_owed_otherwise(&mut self, at: (usize, usize)) -> bool {
        let shared = &self.shares.groups[at.0].owed[at.1];
        let (Some(had), key) = (shared.sent_to, self.messages[shared.message].key) else { return false };
        let is_it = |owed: &Owed| self.messages[owed.message].key == key && had.may_be(owed);
        let owed = self.sessions[had.session].owed.iter().position(is_it);
        if let Some(owed) = owed {
            return self.sessions[had.session].owed.remove(owed).is_some();
        }
        // What was taken for that may have been another share's.
        let topic = self.messages[shared.message].publish.topic().to_owned();
        self.was_a_shares(had.session, (&topic, had.qos), key)
    }

    /// A share's message may come once more, to another member perhaps, and what the one before had may have been for a doubtful
    /// subscription of its own: then nothing more has to come there.
    fn may_have_been_own(&mut self, at: (usize, usize)) {
        let shared = &self.shares.groups[at.0].owed[at.1];
        let Some(had) = shared.sent_to else { return };
        let own = self.sessions[had.session].owed.iter_mut().filter(|owed| owed.message == shared.message);
        own.filter(|owed| owed.is_vague && had.may_be(owed)).for_each(|owed| owed.is_due = false);
    }

    /// The server goes down: whose each message is, may be forgotten.
    pub(super) fn shares_go_down(&mut self) {
        let is_short = self.is_short();
        for share in 0..self.shares.groups.len() {
            for place in 0..self.shares.groups[share].owed.len() {
                // That it went from one member to another, a store that fails has not kept.
                if is_short {
                    self.may_have_been_own((share, place));
                    self.shares.groups[share].owed[place].sent_to = None;
                }
                let shared = &mut self.shares.groups[share].owed[place];
                shared.is_due = false;
                shared.may_again = true;
            }
        }
    }

    /// What a session was sent as a member of a share may have been for a doubtful subscription of its own: then it was that, and somebody
    /// has the share's still to come.
    pub(super) fn was_no_shares(&mut self, session: usize, message: usize) -> bool {
        let mut shared = self.shares.groups.iter_mut().flat_map(|share| &mut share.owed);
        let is_it = |shared: &&mut SharedMessage| {
            shared.message == message && shared.sent_to.is_some_and(|had| had.session == session)
        };
        let Some(found) = shared.find(is_it) else { return false };
        found.sent_to = None;
        let own = self.sessions[session].owed.iter_mut().filter(|owed| owed.message == message);
        own.for_each(|owed| owed.is_due = false);
        true
    }

    /// What was taken for this share's, was another's as which it may have come as well; what was taken for that one's, was a third's; until
    /// one is found that is free; or, `otherwise`, one whose holder had it for itself.
    fn makes_room(&mut self, at: (usize, usize), otherwise: bool, seen: &mut Vec<(usize, usize)>) -> bool {
        if seen.contains(&at) {
            return false;
        }
        seen.push(at);
        let shared = &self.shares.groups[at.0].owed[at.1];
        if shared.is_free() {
            return true;
        }
        let (had, others) = (shared.sent_to, shared.or_else.clone());
        let Some(&other) = others.iter().find(|&&other| self.makes_room(other, otherwise, seen)) else {
            return otherwise && self.was_owed_otherwise(at);
        };
        let or_else = others.into_iter().filter(|one| *one != other).chain([at]).collect();
        let moved = &mut self.shares.groups[other.0].owed[other.1];
        (moved.sent_to, moved.or_else) = (had, or_else);
        moved.may_again = false;
        true
    }

    fn give(&mut self, session: usize, publish: &Publish, at: (usize, usize), found: &[(usize, usize)]) -> usize {
        self.came(Situation::Shared);
        let message = self.shares.groups[at.0].owed[at.1].message;
        if let Some(line) = self.sessions[session].line {
            for (invariant, detail) in self.outlived(line, session, message, publish) {
                self.breach(invariant, detail);
            }
        }
        let identifier = publish.subscription_identifiers.first().copied();
        let shared = &mut self.shares.groups[at.0].owed[at.1];
        shared.sent_to = Some(Member { session, qos: publish.qos, retain: publish.retain, identifier });
        shared.may_again = false;
        shared.or_else = found.iter().copied().filter(|other| *other != at).collect();
        shared.message
    }

    pub(super) fn twice(&mut self, session: usize, found: &[(usize, usize)]) -> Option<usize> {
        let (share, place) = *found.first()?;
        let (message, filter) =
            (self.shares.groups[share].owed[place].message, self.shares.groups[share].filter.clone());
        // Of several with the same words nobody can tell whose turn it was.
        if self.repeated.contains(&self.messages[message].key) {
            return Some(message);
        }
        let had = self.shares.groups[share].owed[place].sent_to.as_ref().map(|member| member.session);
        let to = match had {
            Some(had) if had == session => format!("{} once more, as a member of", self.sessions[session].name),
            Some(had) => {
                let (name, had) = (&self.sessions[session].name, &self.sessions[had].name);
                format!("{name} where {had} has it already, both members of")
            }
            None => "a second member of".to_owned(),
        };
        let detail = format!("{} comes to {to} {filter}", self.messages[message].words());
        self.breach(Invariant::SharedOnce, detail);
        Some(message)
    }

    /// As a member of which share it may have a message with this key that nobody was sent, and how that has to look.
    pub(super) fn as_member(&self, session: usize, key: u64) -> Option<(&str, Member)> {
        self.shares.places_of(key).into_iter().find_map(|(share, place)| {
            let group = &self.shares.groups[share];
            let shared = Some(&group.owed[place]).filter(|shared| shared.sent_to.is_none())?;
            let member = shared.members.iter().find(|member| member.session == session)?;
            Some((group.filter.as_str(), *member))
        })
    }

    /// Something with this key has come to a session as if another subscription had asked for it, and what comes of that one has this
    /// topic and QoS: the earlier may have been a share's. Then it was.
    pub(super) fn was_a_shares(&mut self, session: usize, (topic, qos): (&str, Qos), key: u64) -> bool {
        let of = &self.sessions[session];
        let Some(came) = of.first_sent.get(&key) else { return false };
        let asks = |subscribed: &Subscribed| {
            subscribed.filter.share_name().is_none()
                && subscribed.filter.matches(topic)
                && subscribed.options.qos >= qos
        };
        if !of.subscriptions.iter().any(asks) {
            return false;
        }
        for (share, place) in self.shares.places_of(key) {
            let shared = &mut self.shares.groups[share].owed[place];
            let has_come = |member: &Member| member.session == session && came[usize::from(member.qos.bits())] > 0;
            let had = shared.members.iter().find(|member| has_come(member)).copied();
            if shared.is_free() && had.is_some() {
                shared.sent_to = had;
                return true;
            }
        }
        false
    }

    /// How many messages above QoS 0 may have been allotted to a member that were not sent yet.
    pub(super) fn perhaps_allotted(&self, session: usize) -> usize {
        let is_its = |shared: &&SharedMessage| {
            let mut members = shared.members.iter();
            // What was taken for this share's may have been another's.
            (shared.sent_to.is_none() || shared.may_again || !shared.or_else.is_empty())
                && members.any(|member| member.session == session && member.qos > Qos::AtMostOnce)
        };
        self.shares.groups.iter().map(|share| share.owed.iter().filter(is_its).count()).sum()
    }

    pub(super) fn withdraw_from_shares(&mut self, message: usize) {
        for share in &mut self.shares.groups {
            share.owed.iter_mut().filter(|shared| shared.message == message).for_each(|shared| shared.is_due = false);
        }
    }

    pub(super) fn loosen_shares(&mut self, filters: &[String]) {
        for share in self.shares.groups.iter_mut().filter(|share| filters.contains(&share.filter)) {
            share.owed.iter_mut().for_each(|shared| shared.is_due = false);
        }
    }

    /// A member's subscription ends, or becomes another: what it was allotted before then still comes as it was.
    pub(super) fn was_member(&mut self, session: usize, filter: &str) {
        let of = &self.sessions[session];
        let Some(share) = self.shares.groups.iter_mut().find(|share| share.filter == filter) else { return };
        for subscribed in of.subscriptions.iter().filter(|subscribed| subscribed.filter.as_str() == filter) {
            for shared in share.owed.iter_mut().filter(|shared| shared.sent_to.is_none() || shared.may_again) {
                let message = &self.messages[shared.message];
                let qos = subscribed.options.qos.min(message.qos());
                let retain = message.publish.retain && subscribed.options.retain_as_published;
                shared.members.push(Member { session, qos, retain, identifier: subscribed.identifier });
            }
        }
    }

    /// A member has left: who gets what it had not finished is the server's choice. `keeps`: it has its session when it is back.
    pub(super) fn share_loses(&mut self, session: usize, keeps: bool) {
        // Whoever gets it may have no room for it.
        if self.sessions[session].subscriptions.iter().any(|subscribed| subscribed.filter.share_name().is_some()) {
            self.others_may_be_full();
        }
        let of = &self.sessions[session];
        for share in &mut self.shares.groups {
            let is_member = of.subscriptions.iter().any(|subscribed| subscribed.filter.as_str() == share.filter);
            for shared in &mut share.owed {
                // What nobody was sent waits for the member's return, or goes to another.
                let waits = |member: &Member| member.session == session && member.qos > Qos::AtMostOnce;
                let stays = keeps && shared.sent_to.is_none() && shared.members.iter().any(waits);
                shared.is_due &= !is_member || stays;
                let is_open = of.sending.iter().any(|sending| sending.message == shared.message);
                if shared.sent_to.is_some_and(|had| had.session == session) && is_open {
                    shared.may_again = true;
                }
            }
        }
    }

    pub(super) fn outstanding_shares(&mut self) {
        let mut found = Vec::new();
        for share in &self.shares.groups {
            for shared in share.owed.iter().filter(|shared| shared.is_due && shared.sent_to.is_none()) {
                let message = &self.messages[shared.message];
                let is_accepted = message.acceptance == Acceptance::Yes;
                // It may wait for one who is away.
                let are_here = shared.members.iter().all(|member| self.sessions[member.session].line.is_some());
                if is_accepted && are_here && message.expires().is_none_or(|expires| expires > self.now) {
                    let detail = format!("{} came to no member of {}", message.words(), share.filter);
                    found.push((detail, shared.message));
                }
            }
        }
        for (detail, message) in found {
            self.breach_about(Invariant::SharedOnce, detail, Some(message));
        }
    }
}
