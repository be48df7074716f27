//! What is retained, by topic, and who is to have it.

use squall_codec::{packet::SubscriptionOptions, qos::Qos};

use super::{
    Model, Situation,
    session::{Owed, Why},
    will::LooseWill,
};

/// A retained message, or that there is none, and since when.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Which message has put it there or taken it away.
    pub(super) by: usize,
    pub(super) message: Option<usize>,
    /// The publisher was told, or will not be told.
    pub(super) is_sure: bool,
}

/// What was retained before, is not any more; but for wills that may come at any time.
fn forget_before(kept: &mut Vec<Kept>, position: usize, loose_wills: &[LooseWill]) {
    let is_loose = |kept: &Kept| loose_wills.iter().any(|will| will.message == kept.by);
    let loose: Vec<Kept> = kept.drain(..position).filter(is_loose).collect();
    kept.extend(loose.into_iter().map(|kept| Kept { is_sure: false, ..kept }));
}

impl Model {
    pub(super) fn owe_retained(
        &mut self,
        session: usize,
        filter: &str,
        options: SubscriptionOptions,
        identifier: Option<u32>,
        is_due: bool,
    ) {
        let line = self.sessions[session].line;
        for (topic, kept) in &self.retained {
            if !squall_codec::topic::matches(filter, topic) {
                continue;
            }
            // From the last one that is sure: an unsure one behind it may be what the server has.
            let first = kept.iter().rposition(|kept| kept.is_sure).unwrap_or(0);
            // A will that may come at any time may have taken its place.
            let is_loose = |kept: &Kept| self.loose_wills.iter().any(|will| will.message == kept.by);
            let is_sure = kept.len() - first == 1 && kept[first].is_sure && !kept[..first].iter().any(is_loose);
            let loose = kept[..first].iter().filter(|kept| is_loose(kept));
            for Kept { message, .. } in loose.chain(&kept[first..]) {
                let Some(message) = *message else { continue };
                let of = &self.messages[message];
                // What expires at this very moment may still come.
                if of.expires().is_some_and(|expires| expires + self.terms.slack <= self.now) {
                    continue;
                }
                let is_fresh = of.expires().is_none_or(|expires| expires > self.now);
                let qos = options.qos.min(of.qos());
                let mut owed = Owed {
                    message,
                    why: Why::Retained,
                    qos,
                    main_qos: qos,
                    least_qos: qos,
                    is_due: false,
                    filters: 1,
                    more: 0,
                    // [MQTT-3.3.1-8]
                    retain: [false, true],
                    identifiers: identifier.into_iter().collect(),
                    is_vague: false,
                    is_passed: false,
                    only_on: if qos == Qos::AtMostOnce { line } else { None },
                };
                let is_next = is_due && self.has_room_for_retained(session);
                owed.is_due = is_next && is_sure && is_fresh && owed.fits(&of.publish, self.sessions[session].smallest);
                self.sessions[session].owed.push_back(owed);
            }
        }
    }

    pub(super) fn keep_if_retained(&mut self, message: usize) {
        self.keep(message, true);
    }

    /// It may be retained, or not.
    pub(super) fn retained_perhaps(&mut self, message: usize) {
        self.keep(message, false);
    }

    fn keep(&mut self, message: usize, is_sure: bool) {
        let unsure = self.unsure_from();
        let of = &self.messages[message];
        // Who speaks an older version cannot be told that nothing is retained.
        if !of.publish.retain || !self.terms.offers.retained {
            return;
        }
        let is_above = self.retained.len() >= self.terms.retained_messages;
        // QoS 0 and wills are not answered: they count as soon as the server has them.
        let is_sure = is_sure && !is_above && (of.qos() == Qos::AtMostOnce || of.is_will);
        if of.publish.payload().is_empty() && self.retained.contains_key(of.publish.topic()) {
            self.tally.situations[Situation::RetainedCleared as usize] += 1;
        }
        let kept = self.retained.entry(of.publish.topic().to_owned()).or_default();
        // [MQTT-3.3.1-6] [MQTT-3.3.1-7] An empty payload takes it away.
        let clears = of.publish.payload().is_empty();
        kept.push(Kept { by: message, message: (!clears).then_some(message), is_sure });
        // A crash may bring back what stood there a moment ago.
        let is_old = |kept: &Kept| self.messages[kept.by].at < unsure;
        if let Some(position) = kept.iter().rposition(|kept| kept.is_sure && is_old(kept)) {
            forget_before(kept, position, &self.loose_wills);
        }
    }

    pub(super) fn retained_is_sure(&mut self, message: usize) {
        let of = &self.messages[message];
        if !of.publish.retain || self.retained.len() > self.terms.retained_messages {
            return;
        }
        let Some(kept) = self.retained.get_mut(of.publish.topic()) else { return };
        if let Some(position) = kept.iter().position(|kept| kept.by == message) {
            kept[position].is_sure = true;
            forget_before(kept, position, &self.loose_wills);
        }
    }

    pub(super) fn withdraw_retained(&mut self, message: usize) {
        let topic = self.messages[message].publish.topic().to_owned();
        if let Some(kept) = self.retained.get_mut(&topic) {
            kept.retain(|kept| kept.by != message);
        }
    }
}
