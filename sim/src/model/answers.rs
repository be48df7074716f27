//! The answers that the server owes on one connection.

use std::collections::VecDeque;

use squall_codec::{
    packet::{Ack, PacketKind, Suback, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};

use super::{Model, Situation, bounds::Room, connection::Stage, message::Acceptance};
use crate::invariants::Invariant;

/// A filter of an UNSUBSCRIBE, and what is known of it: it is there to be taken away, it never was, or nobody can tell.
pub(super) type Leaving = (String, Option<bool>);

/// A filter of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) filter: String,
    pub(super) qos: Qos,
    /// For it in the session, when it came.
    pub(super) room: Room,
}

/// Requests without an answer, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// QoS 1: with their messages.
    pub(super) puback: VecDeque<(PacketId, Option<usize>)>,
    pub(super) pubrec: VecDeque<(PacketId, Option<usize>)>,
    pub(super) pubcomp: VecDeque<PacketId>,
    pub(super) suback: VecDeque<(PacketId, Vec<Asked>)>,
    pub(super) unsuback: VecDeque<(PacketId, Vec<Leaving>)>,
    pub(super) pings: u32,
}

impl Answers {
    pub(super) fn first_missing(&self) -> Option<(PacketKind, Option<PacketId>)> {
        let publish = self.puback.front().map(|(id, _)| (PacketKind::Puback, Some(*id)));
        let publish = publish.or(self.pubrec.front().map(|(id, _)| (PacketKind::Pubrec, Some(*id))));
        let release = self.pubcomp.front().map(|id| (PacketKind::Pubcomp, Some(*id)));
        let subscribe = self.suback.front().map(|(id, _)| (PacketKind::Suback, Some(*id)));
        let unsubscribe = self.unsuback.front().map(|(id, _)| (PacketKind::Unsuback, Some(*id)));
        let ping = (self.pings > 0).then_some((PacketKind::Pingresp, None));
        publish.or(release).or(subscribe).or(unsubscribe).or(ping)
    }
}

/// Takes the first with this identifier, and says whether others stood before it.
fn take<T>(queue: &mut VecDeque<T>, id: PacketId, of: impl Fn(&T) -> PacketId) -> Option<(T, bool)> {
    let position = queue.iter().position(|waiting| of(waiting) == id)?;
    queue.remove(position).map(|found| (found, position > 0))
}

impl Model {
    pub(super) fn answers_puback(&mut self, at: usize, session: usize, ack: &Ack) {
        let found = take(&mut self.lines[at].answers.puback, ack.packet_id, |(id, _)| *id);
        // The exchange of the client is over.
        self.sessions[session].from_client.puback(ack);
        // [MQTT-4.6.0-2]
        let Some(((_, message), is_early)) = found else { return self.unasked(PacketKind::Puback, ack.packet_id) };
        self.in_order(PacketKind::Puback, ack.packet_id, is_early);
        self.tells_of_receivers(message, ack);
        self.accepts(message, ack.reason);
    }

    pub(super) fn answers_pubrec(&mut self, at: usize, session: usize, ack: &Ack) {
        let found = take(&mut self.lines[at].answers.pubrec, ack.packet_id, |(id, _)| *id);
        self.sessions[session].from_client.pubrec(ack);
        // [MQTT-4.6.0-3]
        let Some(((_, message), is_early)) = found else { return self.unasked(PacketKind::Pubrec, ack.packet_id) };
        self.in_order(PacketKind::Pubrec, ack.packet_id, is_early);
        self.tells_of_receivers(message, ack);
        let of = &mut self.sessions[session];
        of.perhaps_received.remove(&ack.packet_id);
        if ack.reason.is_failure() {
            of.received.remove(&ack.packet_id);
        } else {
            of.received.insert(ack.packet_id);
        }
        self.accepts(message, ack.reason);
    }

    /// "No matching subscribers" (0x10) is said where there are none.
    fn tells_of_receivers(&mut self, message: Option<usize>, ack: &Ack) {
        if let Some(message) = message
            && ack.reason == ReasonCode::NoMatchingSubscribers
            && self.messages[message].has_receiver
        {
            let words = self.messages[message].words();
            self.breach(Invariant::Answers, format!("{words} is said to have no matching subscribers, and has one"));
        }
    }

    pub(super) fn answers_pubcomp(&mut self, at: usize, session: usize, ack: &Ack) {
        let found = take(&mut self.lines[at].answers.pubcomp, ack.packet_id, |id| *id);
        let of = &mut self.sessions[session];
        of.from_client.pubcomp(ack);
        of.perhaps_received.remove(&ack.packet_id);
        let Some((_, is_early)) = found else { return self.unasked(PacketKind::Pubcomp, ack.packet_id) };
        self.in_order(PacketKind::Pubcomp, ack.packet_id, is_early);
    }

    pub(super) fn grants(&mut self, at: usize, session: usize, suback: &Suback) {
        let found = take(&mut self.lines[at].answers.suback, suback.packet_id, |(id, _)| *id);
        let Some(((_, filters), _)) = found else { return self.unasked(PacketKind::Suback, suback.packet_id) };
        if suback.reasons.len() != filters.len() {
            let detail = format!("SUBACK has {} reasons for {} filters", suback.reasons.len(), filters.len());
            self.breach(Invariant::Answers, detail);
        }
        let pending = self.lines[at].answers.suback.iter().flat_map(|(_, filters)| filters);
        let pending: Vec<String> = pending.map(|asked| asked.filter.clone()).collect();
        self.granted(at, session, suback, &filters, &pending);
    }

    pub(super) fn answers_unsuback(&mut self, at: usize, session: usize, unsuback: &Unsuback) {
        let found = take(&mut self.lines[at].answers.unsuback, unsuback.packet_id, |(id, _)| *id);
        let Some(((_, filters), _)) = found else { return self.unasked(PacketKind::Unsuback, unsuback.packet_id) };
        if self.lines[at].version.has_properties() {
            self.says_what_it_took_away(&filters, &unsuback.reasons);
        }
        // What has been asked for again since then stays.
        self.sessions[session].subscriptions.retain(|subscribed| {
            !(subscribed.is_gone || subscribed.is_perhaps_gone)
                || !filters.iter().any(|(filter, _)| filter == subscribed.filter.as_str())
        });
    }

    /// [MQTT-3.11.3-1] [MQTT-3.11.3-2] A reason for each filter, in their order.
    fn says_what_it_took_away(&mut self, filters: &[Leaving], reasons: &[ReasonCode]) {
        if reasons.len() != filters.len() {
            let detail = format!("UNSUBACK has {} reasons for {} filters", reasons.len(), filters.len());
            return self.breach(Invariant::Answers, detail);
        }
        for ((filter, was_there), reason) in filters.iter().zip(reasons) {
            let detail = match (was_there, reason) {
                (Some(true), ReasonCode::NoSubscriptionExisted) => {
                    format!("UNSUBACK knows no subscription to {filter}, which was granted")
                }
                (Some(false), ReasonCode::Success) => {
                    format!("UNSUBACK takes away a subscription to {filter}, which nobody asked for")
                }
                (_, reason) if reason.is_failure() => {
                    self.says_no(&format!("UNSUBSCRIBE from {filter}"), reason);
                    continue;
                }
                _ => continue,
            };
            self.breach(Invariant::Answers, detail);
        }
    }

    fn unasked(&mut self, kind: PacketKind, id: PacketId) {
        self.breach(Invariant::Answers, format!("{kind} {id} answers nothing"));
    }

    fn in_order(&mut self, kind: PacketKind, id: PacketId, is_early: bool) {
        if is_early {
            self.breach(Invariant::Answers, format!("{kind} {id} comes before an answer that was due earlier"));
        }
    }

    fn accepts(&mut self, message: Option<usize>, reason: ReasonCode) {
        let Some(message) = message else { return };
        let of = &mut self.messages[message];
        if !reason.is_failure() {
            if of.acceptance != Acceptance::Yes {
                self.tally.accepted[usize::from(of.qos().bits())] += 1;
            }
            of.acceptance = Acceptance::Yes;
            self.retained_is_sure(message);
            return;
        }
        of.acceptance = Acceptance::No;
        let (words, is_to_be_kept) = (of.words(), of.publish.retain);
        // Retained messages may have come to their bound.
        if !is_to_be_kept || self.retained.len() < self.terms.retained_messages {
            self.says_no(&words, &reason);
        }
        for session in &mut self.sessions {
            session.owed.retain(|owed| owed.message != message);
        }
        self.withdraw_from_shares(message);
        self.withdraw_retained(message);
    }

    /// What has not arrived though nothing was in its way.
    pub(super) fn outstanding(&mut self) {
        if self.is_down {
            return self.breach(Invariant::Progress, "the server does not run".to_owned());
        }
        for at in 0..self.lines.len() {
            let line = &self.lines[at];
            if line.is_left_open() {
                let detail = "a connection whose session was taken over is still open".to_owned();
                self.breach_waiting(Invariant::TakeOver, detail, at, None);
            } else if line.stage == Stage::Asked {
                let detail = "CONNECT was never answered".to_owned();
                self.breach_waiting(Invariant::Progress, detail, at, Some((PacketKind::Connack, None)));
            } else if line.stage == Stage::In
                && let Some((kind, id)) = line.answers.first_missing()
            {
                let number = id.map_or_else(String::new, |id| format!(" {id}"));
                self.breach_waiting(Invariant::Answers, format!("{kind}{number} never came"), at, Some((kind, id)));
            }
        }
        for session in 0..self.sessions.len() {
            if self.sessions[session].line.is_some() {
                self.outstanding_of(session);
            }
        }
        self.outstanding_shares();
        self.outstanding_wills();
    }

    fn outstanding_of(&mut self, session: usize) {
        let vague = self.sessions[session].owed.iter().filter(|owed| owed.is_due && owed.is_vague);
        for message in vague.map(|owed| owed.message).collect::<Vec<_>>() {
            self.was_no_shares(session, message);
        }
        let now = self.now;
        let of = &self.sessions[session];
        let name = of.name.clone();
        let mut found = Vec::new();
        let mut expired = 0;
        for owed in of.owed.iter().filter(|owed| owed.is_due && !owed.is_passed) {
            let message = &self.messages[owed.message];
            // Of several with the same words nobody can tell which has come.
            if self.repeated.contains(&message.key) && self.have_all_come(session, message.key) {
                continue;
            }
            // QoS 0 has to come on the connection that was there.
            if owed.qos == Qos::AtMostOnce && owed.only_on != of.line {
                continue;
            }
            let is_accepted = owed.qos == Qos::AtMostOnce || message.acceptance == Acceptance::Yes;
            if message.expires().is_some_and(|expires| expires <= now) {
                expired += 1;
                continue;
            }
            if !is_accepted {
                continue;
            }
            let invariant = match (message.is_will, owed.why, owed.qos) {
                (true, ..) => Invariant::Will,
                (_, super::session::Why::Retained, _) => Invariant::Retained,
                (_, _, Qos::ExactlyOnce) => Invariant::ExactlyOnce,
                (_, _, Qos::AtLeastOnce) => Invariant::AtLeastOnce,
                (_, _, Qos::AtMostOnce) => Invariant::Progress,
            };
            let at = message.at.as_secs_f64();
            let since = match (owed.why == super::session::Why::Retained, message.is_will) {
                (true, true) => format!(
                    ": it is a will that was to be published and retained at {at:.3} s, and SUBSCRIBE came later"
                ),
                (true, false) => format!(": it is retained since {at:.3} s, and SUBSCRIBE came later"),
                (false, true) => format!(": it was to be published at {at:.3} s"),
                (false, false) => format!(": it was published at {at:.3} s"),
            };
            found.push((
                invariant,
                format!("{} was owed to {name} and never came{since}", message.words()),
                owed.message,
            ));
        }
        for copy in of.copies.iter().filter(|copy| copy.is_due) {
            let (message, identifiers) = (self.messages[copy.message].words(), &copy.identifiers);
            let detail = format!("{message} came to {name} without Subscription Identifiers {identifiers:?}");
            found.push((Invariant::AsSubscribed, detail, copy.message));
        }
        for sending in &of.sending {
            let message = self.messages[sending.message].words();
            let missing = match (sending.is_received, sending.is_released) {
                (false, _) => format!("{message} (identifier {}) was never acknowledged by {name}", sending.id),
                (true, false) => format!("PUBREL {} was never sent to {name}", sending.id),
                (true, true) => format!("PUBREL {} was never completed by {name}", sending.id),
            };
            found.push((Invariant::Progress, missing, sending.message));
        }
        self.tally.situations[Situation::MessageExpired as usize] += expired;
        for (invariant, detail, message) in found {
            self.breach_about(invariant, detail, Some(message));
        }
    }
}
