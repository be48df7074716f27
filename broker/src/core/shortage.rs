//! What the server does while its store cannot keep anything, because the disk is full or broken.
//!
//! Whoever asks for something that would have to be kept is told so (0x97 where the version has a reason for it, a closed
//! connection where it has none) before anything has changed, so that memory and store agree. All others are served as
//! ever: QoS 0, and sessions that end with their connection. What happens without being asked for (a will, the end of a
//! session, an acknowledgement) happens, and its records wait with those that could not be kept; the store tries again
//! until it succeeds, and then everything is as before.

use squall_codec::{
    packet::{Connect, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};

use super::{
    broker::Broker,
    effect::{CloseCause, ConnectionId},
    publishing::Speaker,
    session::SessionKey,
    shared::Fitness,
};

pub(super) const NO_ROOM: &str = "the server cannot keep anything now";

/// Whether somebody asked for this and waits for it.
fn is_answer(packet: &Packet) -> bool {
    !matches!(packet, Packet::Publish(_) | Packet::Pubrel(_) | Packet::Pingresp)
}

impl Broker {
    /// The store could not keep what it was given. It will try again.
    pub(super) fn handle_persist_failed(&mut self, seq: u64) {
        self.persistence.fail(seq);
        let mut waiting = self.persistence.take_waiting();
        waiting.retain(|id| {
            let Some(connection) = self.connections.get_mut(id) else { return false };
            let Some((key, version)) = connection.open().map(|open| (open.session, open.version)) else { return false };
            // Nobody can say whether what these asked for will survive.
            if connection.held.iter().any(|held| is_answer(&held.packet)) {
                self.doomed.push((*id, CloseCause::StoreFailed));
                return true;
            }
            // Who asks whether the server is there need not wait for the store.
            let waiting = connection.held.len();
            connection.held.retain(|held| !matches!(held.packet, Packet::Pingresp));
            let pings = waiting - connection.held.len();
            // A message that may come twice after a crash is better than one that keeps all others waiting.
            let is_durable = self.sessions[key].durable;
            for held in &mut connection.held {
                if matches!(&held.packet, Packet::Publish(publish) if !is_durable || publish.qos < Qos::ExactlyOnce) {
                    held.seq = 0;
                }
            }
            for _ in 0..pings {
                self.send_last(*id, version, Packet::Pingresp);
            }
            self.release(*id)
        });
        self.persistence.wait_on(waiting);
        if self.shutting_down {
            self.close_all();
        }
    }

    /// The store is well again: what was held back in the sessions' queues goes on.
    pub(super) fn end_shortage(&mut self) {
        let keys: Vec<SessionKey> = self.sessions.keys().map(|(_, key)| key).collect();
        for key in keys {
            self.pump(key);
        }
    }

    /// Tells a client, before its connection is closed, that what it waited for could not be kept.
    pub(super) fn tell_of_shortage(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let Some(open) = connection.open() else { return };
        if open.connack_sent {
            return self.disconnect(id, ReasonCode::QuotaExceeded, Some(NO_ROOM));
        }
        let (session, version, maximum) = (open.session, open.version, u32::try_from(open.maximum_packet_size).ok());
        // [MQTT-3.2.2-4] What was there stays as long as it would have, and what would have begun with this connection is not there.
        if self.sessions[session].durable {
            self.sessions[session].expiry_seconds = open.expiry_seconds_before;
        }
        self.say_no(id, version, maximum, ReasonCode::QuotaExceeded, None);
        // [MQTT-3.1.2-8]; 3.1.1 [MQTT-3.1.2-8] Only the will of who was let in is published.
        self.set_will(session, None);
    }

    /// Whether a CONNECT would have to be kept, or is told that there is no session where the store still has one.
    pub(super) fn is_short_for_connect(&self, connect: &Connect, known: Option<SessionKey>) -> bool {
        let replaces = known.is_some_and(|key| self.sessions[key].durable || self.sessions[key].will.is_some())
            || self.persistence.is_ending(&connect.client_id());
        self.persistence.is_failing() && (replaces || connect.will().is_some() || self.expiry_seconds(connect) > 0)
    }

    /// Whether what this client asks for its session would have to be kept.
    pub(super) fn is_short_for(&self, key: SessionKey) -> bool {
        self.persistence.is_failing() && self.sessions[key].durable
    }

    /// Whether a message with QoS 1 or 2 would have to be kept: retained, for a session, or its identifier.
    pub(super) fn is_short_for_publish(&mut self, speaker: Speaker, publish: &Publish) -> bool {
        if !self.persistence.is_failing() {
            return false;
        }
        let is_retained = publish.retain && self.config.retain_available;
        if is_retained || (publish.qos == Qos::ExactlyOnce && self.sessions[speaker.session].durable) {
            return true;
        }
        let mut matches = std::mem::take(&mut self.matches);
        self.subscriptions.matching(publish.topic(), |_| Fitness::Ready, &mut matches);
        let kept = matches.drain(..).any(|one| {
            // Any member of a share may be the one who gets it.
            let durable = one.share.is_some() || self.sessions[one.session].durable;
            durable && one.subscribed.options.qos > Qos::AtMostOnce
        });
        self.matches = matches;
        kept
    }

    /// Refuses in the version's own way where there is no acknowledgement that could say it.
    pub(super) fn refuse_for_shortage(&mut self, id: ConnectionId) {
        self.doomed.push((id, CloseCause::StoreFailed));
    }
}
