//! What clients say to the messages that they are sent, and PUBREL.

use squall_codec::{
    packet::{Ack, Publish},
    qos::Qos,
    version::Version,
    wire::PacketId,
};

use super::{Model, Situation, message::words_of, session::Sending};
use crate::invariants::Invariant;

impl Model {
    /// PUBACK from a client.
    pub(super) fn acknowledged(&mut self, at: usize, session: usize, ack: &Ack) {
        self.is_handed(at, session, ack.packet_id);
        self.is_in_turn(at, session, ack.packet_id, Qos::AtLeastOnce);
        self.done(session, ack.packet_id, Qos::AtLeastOnce);
    }

    /// PUBREC from a client.
    pub(super) fn received(&mut self, at: usize, session: usize, ack: &Ack) {
        self.is_handed(at, session, ack.packet_id);
        self.is_in_turn(at, session, ack.packet_id, Qos::ExactlyOnce);
        if ack.reason.is_failure() {
            return self.done(session, ack.packet_id, Qos::ExactlyOnce);
        }
        if let Some(sending) = self.sessions[session].sending.iter_mut().find(|sending| sending.id == ack.packet_id) {
            sending.is_received = true;
        }
    }

    /// PUBCOMP from a client.
    pub(super) fn completed(&mut self, session: usize, ack: &Ack) {
        self.done(session, ack.packet_id, Qos::ExactlyOnce);
    }

    fn done(&mut self, session: usize, id: PacketId, qos: Qos) {
        let (now, unsure) = (self.now, self.unsure_from());
        let of = &mut self.sessions[session];
        if let Some(position) = of.sending.iter().position(|sending| sending.id == id && sending.qos == qos) {
            let sending = of.sending.remove(position);
            while of.lately.front().is_some_and(|(at, _)| *at < unsure) {
                of.lately.pop_front();
            }
            of.lately.push_back((now, sending));
        }
    }

    /// [MQTT-4.6.0-2] [MQTT-4.6.0-3] A client acknowledges in the order in which the messages came.
    fn is_in_turn(&mut self, at: usize, session: usize, id: PacketId, qos: Qos) {
        let of = &self.sessions[session];
        let Some(acknowledged) = of.sending.iter().find(|sending| sending.id == id && sending.published_on == at)
        else {
            return;
        };
        let mut others = of.sending.iter().filter(|other| other.qos == qos && other.published_on == at);
        if let Some(first) = others.find(|other| !other.is_received && other.last_number < acknowledged.last_number) {
            let detail = format!("client {} acknowledges {id} before {}, which came first", of.name, first.id);
            self.breach(Invariant::Answers, detail);
        }
    }

    /// Who acknowledges a message has handed it over.
    fn is_handed(&mut self, at: usize, session: usize, id: PacketId) {
        let of = &self.sessions[session];
        let Some(sending) = of.sending.iter().find(|sending| sending.id == id) else { return };
        let message = &self.messages[sending.message];
        // Its half of the session may know the identifier from before another client had the other half, or from before the server
        // lost that: one of 3.1 is not told.
        let may_know = of.was_anothers || self.lines[at].version == Version::V3_1;
        if may_know && sending.qos == Qos::ExactlyOnce {
            return;
        }
        if !self.handed.contains_key(&(self.lines[at].client, message.key)) {
            let detail = format!("client {} acknowledges {} and has not handed it over", of.name, message.words());
            self.breach(Invariant::Handed, detail);
        }
    }

    /// A client hands over a message of QoS 2 that it has handed over before.
    pub(super) fn check_handed(&mut self, client: usize, publish: &Publish, key: u64) {
        if publish.qos < Qos::ExactlyOnce || self.repeated.contains(&key) {
            return;
        }
        let Some(session) = self.lines.iter().rev().find(|line| line.client == client).and_then(|line| line.session)
        else {
            return;
        };
        // The will of each connection has the same words.
        if self.will_keys.contains(&key) {
            return;
        }
        // What came at QoS 1, for another subscription perhaps, may be handed over as often as it comes.
        let exactly = usize::from(publish.qos.bits());
        // Who has no name begins with a session of its own each time.
        let mut last = None;
        let sessions = self.lines.iter().filter(|line| line.client == client).filter_map(|line| line.session);
        let sessions = sessions.filter(|session| last.replace(*session) != Some(*session));
        let sent = sessions.filter_map(|session| self.sessions[session].first_sent.get(&key));
        let most: u32 = sent.map(|by_qos| by_qos[exactly]).sum();
        let count = self.handed.get(&(client, key)).map_or(0, |by_qos| by_qos[exactly]);
        // [MQTT-4.3.3-9] Whether the server hears of a refusal or not: behind it the message is a new one.
        let again = self.refused.get(&(client, key)).copied().unwrap_or(0);
        if count > most.max(1) + again {
            let name = &self.sessions[session].name;
            let detail =
                format!("client {name} hands over {} {count} times, and it was sent {most} times", words_of(publish));
            self.breach(Invariant::Handed, detail);
        }
    }

    /// PUBREL to a client.
    pub(super) fn releases(&mut self, at: usize, session: usize, ack: &Ack) {
        let now = self.now;
        let of = &mut self.sessions[session];
        if let Some(sending) = of.sending.iter_mut().find(|sending| sending.id == ack.packet_id) {
            let is_again = sending.is_released && sending.line != at;
            let is_early = !sending.is_received || sending.qos != Qos::ExactlyOnce;
            sending.is_released = true;
            sending.line = at;
            if is_again {
                self.came(Situation::ReleasedAgain);
            }
            if is_early {
                let detail = format!("PUBREL {} comes before its PUBREC", ack.packet_id);
                self.breach(Invariant::ExactlyOnce, detail);
            }
            return;
        }
        let has_pubrel = |sending: &Sending| sending.qos == Qos::ExactlyOnce;
        if let Some(sending) = of.take_perhaps_sending(now, ack.packet_id, has_pubrel) {
            of.begins(Sending { line: at, is_received: true, is_released: true, ..sending });
            return;
        }
        let detail = format!("PUBREL {} belongs to no message", ack.packet_id);
        self.breach(Invariant::Answers, detail);
    }
}
