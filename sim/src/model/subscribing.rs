//! SUBSCRIBE and UNSUBSCRIBE: which subscriptions a session has, beyond doubt or perhaps.

use squall_codec::{
    packet::{RetainHandling, Suback, Subscribe, Subscription, SubscriptionOptions, Unsubscribe},
    qos::Qos,
    topic::TopicFilter,
    version::Version,
};

use super::{
    Model,
    answers::{Asked, Leaving},
    bounds::Room,
    session::{Subscribed, Why},
};
use crate::invariants::Invariant;

impl Model {
    /// SUBSCRIBE.
    pub(super) fn subscribes(&mut self, at: usize, session: usize, subscribe: &Subscribe) {
        self.hears_otherwise(session);
        let is_short = self.is_short();
        let version = self.lines[at].version;
        let identifier = subscribe.properties.subscription_identifiers().next();
        let mut filters = Vec::with_capacity(subscribe.subscriptions.len());
        for (place, asked) in subscribe.subscriptions.iter().enumerate() {
            let room = self.has_room_for(session, version, &asked.filter);
            filters.push(Asked { filter: asked.filter.as_str().to_owned(), qos: asked.options.qos, room });
            if room == Room::None {
                continue;
            }
            if asked.filter.share_name().is_some() {
                self.joins(session, asked);
            }
            let is_expected = room == Room::Enough && !is_short && !self.has_no(asked.filter.as_str());
            let options =
                SubscriptionOptions { qos: asked.options.qos.min(self.terms.offers.maximum_qos), ..asked.options };
            let of = &mut self.sessions[session];
            if !of.ever.contains(&asked.filter) {
                of.ever.push(asked.filter.clone());
            }
            let existing = of.subscriptions.iter_mut().find(|subscribed| subscribed.filter == asked.filter);
            let (was_there, was_sure) = match &existing {
                Some(existing) => (!existing.is_gone, existing.is_certain()),
                None => (false, false),
            };
            match existing {
                // [MQTT-3.8.4-3]
                Some(existing) => {
                    existing.before.push((existing.options, existing.identifier));
                    existing.options = options;
                    existing.identifier = identifier;
                    existing.is_expected = is_expected || (was_there && existing.is_expected);
                    existing.is_going = false;
                    existing.is_gone = false;
                    existing.is_perhaps_gone = false;
                }
                None => of.subscriptions.push(Subscribed {
                    filter: asked.filter.clone(),
                    options,
                    identifier,
                    is_sure: false,
                    is_expected,
                    is_going: false,
                    is_gone: false,
                    is_perhaps_gone: false,
                    before: Vec::new(),
                }),
            }
            // It may be refused: then there is what was there before.
            if is_short || room == Room::Perhaps {
                of.loosen_subscriptions_to(|filter| *filter == asked.filter);
            }
            // [MQTT-3.8.4-4] and section 3.3.1.3: what is retained, if Retain Handling asks for it. Never for a share.
            let wanted = match options.retain_handling {
                _ if asked.filter.share_name().is_some() => None,
                _ if !version.has_properties() => Some(true),
                RetainHandling::Send => Some(true),
                RetainHandling::SendIfNew if !was_there => Some(true),
                RetainHandling::SendIfNew if was_sure => None,
                // Nobody knows whether the server has it.
                RetainHandling::SendIfNew => Some(false),
                RetainHandling::DoNotSend => None,
            };
            if let Some(is_due) = wanted {
                // What the server does not have is refused, even if nobody hears of it any more.
                let is_refused = self.has_no(asked.filter.as_str());
                let is_due = is_due && !is_refused && !self.is_asked_too_often(&subscribe.subscriptions[place..]);
                self.owe_retained(session, asked.filter.as_str(), options, identifier, is_due);
            }
        }
        self.lines[at].answers.suback.push_back((subscribe.packet_id, filters));
    }

    /// A member of a share, perhaps a new one. What waits for another member may be given to it, and be lost with it.
    fn joins(&mut self, session: usize, asked: &Subscription) {
        let filter = asked.filter.as_str();
        self.was_member(session, filter);
        let of = &self.sessions[session];
        if asked.options.qos == Qos::AtMostOnce || of.smallest.is_some() || !of.lasts() {
            self.loosen_shares(&[filter.to_owned()]);
        }
    }

    pub(super) fn granted(&mut self, at: usize, session: usize, suback: &Suback, asked: &[Asked], pending: &[String]) {
        let maximum = self.lines[at].offers.maximum_qos;
        // Section 3.9 of 3.1: it grants, and has no code that says no.
        if self.lines[at].version == Version::V3_1 && suback.reasons.iter().any(|reason| reason.is_failure()) {
            let detail = format!("SUBACK {} refuses, and 3.1 has no code for that", suback.packet_id);
            self.breach(Invariant::Answers, detail);
        }
        if self.is_short() && self.lines[at].version == Version::V3_1 {
            // Nothing need come of what is granted.
            return asked.iter().for_each(|asked| self.need_not_send_retained(session, &asked.filter));
        }
        let mut refused = Vec::new();
        let mut lower = Vec::new();
        for (Asked { filter, qos: asked, room }, reason) in asked.iter().zip(&suback.reasons) {
            if self.has_no(filter) {
                self.answers_what_it_has_not(at, session, filter, *reason);
                continue;
            }
            if *room != Room::Enough && self.answers_above_bound(at, session, filter, *room, *reason) {
                continue;
            }
            let of = &mut self.sessions[session];
            let Some(subscribed) = of.subscriptions.iter_mut().find(|subscribed| subscribed.filter.as_str() == filter)
            else {
                continue;
            };
            if reason.is_failure() {
                refused.push((filter.as_str(), *reason));
                continue;
            }
            if let Some(qos) = Qos::from_bits(reason.value()) {
                if qos > *asked {
                    let detail = format!("QoS {} was granted where {} was asked for", qos.bits(), asked.bits());
                    self.breach(Invariant::AsSubscribed, detail);
                    continue;
                }
                // Section 3.2.2.3.4
                if qos > maximum {
                    let detail = format!("QoS {} was granted above a Maximum QoS of {}", qos.bits(), maximum.bits());
                    self.breach(Invariant::AsSubscribed, detail);
                    continue;
                }
                // Another SUBSCRIBE is under way, and it is the one that will hold.
                if pending.contains(filter) {
                    continue;
                }
                subscribed.options.qos = qos;
                lower.extend((qos < *asked).then_some((filter, qos, *asked)));
            }
            subscribed.is_sure = true;
            subscribed.is_going = false;
            subscribed.before.clear();
            // What it may have been instead, it is not.
            let place = of.subscriptions.iter().position(|subscribed| subscribed.filter.as_str() == filter);
            let mut index = 0;
            of.subscriptions.retain(|subscribed| {
                index += 1;
                Some(index - 1) == place || subscribed.filter.as_str() != filter
            });
        }
        lower.into_iter().for_each(|(filter, granted, asked)| self.grants_qos(filter, granted, asked));
        for (filter, reason) in refused {
            self.is_refused(session, filter);
            self.says_no(&format!("a subscription to {filter}"), &reason);
        }
    }

    /// A SUBSCRIBE was refused: what there was before, may still be there.
    pub(super) fn is_refused(&mut self, session: usize, filter: &str) {
        self.need_not_send_retained(session, filter);
        let of = &mut self.sessions[session];
        let mut to_filter = of.subscriptions.iter().filter(|subscribed| subscribed.filter.as_str() == filter);
        let is_new = to_filter.next().is_some_and(|first| first.before.is_empty()) && to_filter.next().is_none();
        if is_new {
            of.subscriptions.retain(|subscribed| subscribed.filter.as_str() != filter);
        } else {
            of.loosen_subscriptions_to(|of_filter| of_filter.as_str() == filter);
        }
    }

    /// 3.1 cannot say no: what was granted may be there, or not.
    pub(super) fn is_granted_in_vain(&mut self, session: usize, filter: &str) {
        self.need_not_send_retained(session, filter);
        let subscriptions = self.sessions[session].subscriptions.iter_mut();
        subscriptions.filter(|of| of.filter.as_str() == filter).for_each(|of| of.is_going = true);
    }

    /// What is retained was asked for by a SUBSCRIBE that was refused, or perhaps.
    pub(super) fn need_not_send_retained(&mut self, session: usize, filter: &str) {
        for owed in self.sessions[session].owed.iter_mut().filter(|owed| owed.why == Why::Retained) {
            owed.is_due &= !squall_codec::topic::matches(filter, self.messages[owed.message].publish.topic());
        }
    }

    /// UNSUBSCRIBE: what is owed may still come.
    pub(super) fn unsubscribes(&mut self, at: usize, session: usize, unsubscribe: &Unsubscribe) {
        self.hears_otherwise(session);
        let is_short = self.is_short();
        let of = &mut self.sessions[session];
        let was_there = |place: usize, filter: &TopicFilter| {
            if !of.ever.contains(filter) {
                return Some(false);
            }
            let mut of_filter = of.subscriptions.iter().filter(|subscribed| subscribed.filter == *filter);
            let is_certain = of_filter.next().is_some_and(Subscribed::is_certain);
            // The second time it is gone.
            (is_certain && !unsubscribe.filters[..place].contains(filter)).then_some(true)
        };
        let filters = unsubscribe.filters.iter().enumerate();
        let filters: Vec<Leaving> =
            filters.map(|(place, filter)| (filter.as_str().to_owned(), was_there(place, filter))).collect();
        for subscribed in &mut of.subscriptions {
            if filters.iter().any(|(filter, _)| filter == subscribed.filter.as_str()) {
                // It may be refused, and then there is no answer.
                *(if is_short { &mut subscribed.is_perhaps_gone } else { &mut subscribed.is_gone }) = true;
            }
        }
        for owed in of.owed.iter_mut().chain(&mut of.copies).filter(|owed| owed.is_due) {
            let topic = self.messages[owed.message].publish.topic();
            if unsubscribe.filters.iter().any(|filter| filter.matches(topic)) {
                owed.is_due = false;
            }
        }
        let names: Vec<String> = filters.iter().map(|(filter, _)| filter.clone()).collect();
        names.iter().for_each(|filter| self.was_member(session, filter));
        self.loosen_shares(&names);
        self.lines[at].answers.unsuback.push_back((unsubscribe.packet_id, filters));
    }
}
