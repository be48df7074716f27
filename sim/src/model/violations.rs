//! Clients that break the rules: the server closes the connection on which it gets what is no packet, or none of a client's
//! (section 4.13 of 5.0, 4.8 of 3.1.1). Nobody else is touched, which the other invariants see to.

use std::time::Duration;

use squall_codec::{
    packet::{Packet, Publish},
    reason::ReasonCode,
    wire::PacketId,
};

use super::{
    Model, Situation,
    bounds::Room,
    connection::{Line, Stage},
};
use crate::invariants::Invariant;

impl Line {
    /// Whether no client may send this packet here, however well it is written.
    pub(super) fn forbids(&self, packet: &Packet) -> bool {
        match packet {
            // [MQTT-3.1.0-2] And what only a server sends.
            Packet::Connect(_) | Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => {
                true
            }
            // Section 4.12: nobody here has named an Authentication Method.
            Packet::Auth(_) => true,
            // [MQTT-3.2.2-17]
            Packet::Publish(publish) => {
                let has_alias = |alias| (1..=self.server_alias_maximum).contains(&alias);
                let is_known = |alias| !publish.topic_bytes().is_empty() || self.aliases[0].contains_key(&alias);
                let is_right = |alias| has_alias(alias) && is_known(alias);
                self.was_told_otherwise(packet) || !publish.topic_alias.is_none_or(is_right)
            }
            // Section 3.14.2.2.2.
            Packet::Disconnect(disconnect) => {
                let keeps = disconnect.properties.session_expiry_interval().is_some_and(|seconds| seconds > 0);
                keeps && self.keeps_nothing
            }
            Packet::Subscribe(subscribe) => {
                let mut wanted = subscribe.subscriptions.iter();
                // [MQTT-3.8.3-4]
                self.was_told_otherwise(packet)
                    || wanted.any(|wanted| wanted.options.no_local && wanted.filter.share_name().is_some())
            }
            _ => false,
        }
    }

    /// Whether CONNACK has said that the server does not have what this asks for.
    pub(super) fn was_told_otherwise(&self, packet: &Packet) -> bool {
        match packet {
            Packet::Publish(publish) => !self.offers.allow_publish(publish),
            Packet::Subscribe(subscribe) => !self.offers.allow_subscribe(subscribe),
            _ => false,
        }
    }
}

impl Model {
    /// [MQTT-3.3.4-7] Whether there is room for it among what may be open: the server has to close where there is none (section 3.3.4).
    /// What a client's core sends by itself is the core's fault, and judged where it is counted.
    pub(super) fn has_room_for_exchange(&self, at: usize, session: usize, publish: &Publish) -> Room {
        let Some(own) = publish.packet_id.filter(|_| self.slipped.contains(&self.lines[at].client)) else {
            return Room::Enough;
        };
        let (answers, from_client) = (&self.lines[at].answers, &self.sessions[session].from_client);
        // What the server has answered, and its answer waits for the store, is done for it, or not yet. PUBREC may be one that refuses.
        let is_full = self.retained.len() >= self.terms.retained_messages;
        let may_refuse = self.is_short() || !self.terms.takes_all || is_full;
        let is_done = |id: PacketId| {
            answers.puback.iter().any(|(waiting, _)| *waiting == id)
                || answers.pubcomp.contains(&id)
                || may_refuse && answers.pubrec.iter().any(|(waiting, _)| *waiting == id)
        };
        let (at_most, maximum) = from_client.open(|_| true);
        let (surely, _) = from_client.open(|id| !is_done(id));
        let (is_open, _) = from_client.open(|id| id == own);
        if is_open > 0 { Room::Enough } else { Room::below(maximum, surely, at_most) }
    }

    /// `what` is wrong, in words.
    pub(super) fn breaks_the_rules(&mut self, at: usize, what: String) {
        let line = &mut self.lines[at];
        if line.stage == Stage::Over || self.is_down || line.violated.is_some() {
            return;
        }
        line.excuse = Some("its client has broken a rule");
        line.last_heard = self.now;
        self.came(Situation::RuleBroken);
        self.has_to_close(at, what);
    }

    /// From now on the server has to close the connection.
    pub(super) fn has_to_close(&mut self, at: usize, what: String) {
        let line = &mut self.lines[at];
        (line.violated, line.wrong) = (Some(self.now), what);
        self.wake_at(self.now + self.patience_with_violations());
    }

    /// What was done before may have to be kept first.
    fn patience_with_violations(&self) -> Duration {
        self.terms.slack + 3 * self.terms.sync
    }

    fn violation_due(&self, line: &Line) -> Option<Duration> {
        let since = line.violated.filter(|_| line.stage != Stage::Over)?;
        Some(since + self.patience_with_violations())
    }

    pub(super) fn next_violation(&self) -> Option<Duration> {
        self.lines.iter().filter_map(|line| self.violation_due(line)).filter(|due| *due > self.now).min()
    }

    /// [MQTT-4.13.1-1], and [MQTT-4.8.0-1] of 3.1.1.
    pub(super) fn violations_due(&mut self) {
        for at in 0..self.lines.len() {
            if self.violation_due(&self.lines[at]).is_some_and(|due| due <= self.now) {
                let line = &mut self.lines[at];
                let since = line.violated.take().unwrap_or(self.now);
                let what = std::mem::take(&mut line.wrong);
                let detail = format!("{what}: the server has to close the connection, and it is still open");
                self.breach_on(Invariant::ClosesOnViolation, detail, at, since);
            }
        }
    }

    /// Section 4.13.1: if the server says why, it says that something was wrong.
    pub(super) fn says_why(&mut self, at: usize, reason: ReasonCode) {
        if self.lines[at].violated.is_some() && !reason.is_failure() {
            let detail = format!("{}, and the client is told {reason}", self.lines[at].wrong);
            self.breach(Invariant::ClosesOnViolation, detail);
        }
    }
}
