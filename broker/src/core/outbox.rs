//! What leaves: packets in order, held back while the store is owed an answer, and counted until they are flushed.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    version::Version,
    wire::Text,
};

use super::{
    broker::Broker,
    connection::{Held, Stage},
    effect::{CloseCause, ConnectionId, Effect, Record},
};

/// Which records the store was given and which it has kept.
#[derive(Debug, Default)]
pub(super) struct Persistence {
    /// The last record handed out.
    last: u64,
    /// The last record handed out during this input; 0 if none was.
    turn: u64,
    /// The last record that is kept.
    kept: u64,
    /// The record that says that what this input publishes was published; 0 where it may be published again after a crash.
    once: u64,
    /// The last record of which the store said that it could not keep it; 0 when all is well.
    failed: u64,
    /// Connections with held packets, each once.
    waiting: Vec<ConnectionId>,
    /// Sessions that have ended and are still in the store, by Client Identifier: the record that ends them.
    ending: BTreeMap<Text, u64>,
}

impl Persistence {
    /// Another input begins.
    pub(super) fn begin_turn(&mut self) {
        self.turn = 0;
        self.once = 0;
    }

    /// The store has kept all records up to this one.
    fn keep(&mut self, up_to: u64) {
        self.kept = self.kept.max(up_to.min(self.last));
        self.ending.retain(|_, seq| *seq > self.kept);
        if self.failed <= self.kept {
            self.failed = 0;
        }
    }

    /// The store could not keep this record; it keeps it later.
    pub(super) fn fail(&mut self, seq: u64) {
        self.failed = seq.min(self.last);
        if self.failed <= self.kept {
            self.failed = 0;
        }
    }

    /// Whether the store cannot keep anything for now.
    pub(super) fn is_failing(&self) -> bool {
        self.failed > 0
    }

    /// Whether a session with this Client Identifier has ended, and a crash would bring it back.
    pub(super) fn is_ending(&self, client_id: &str) -> bool {
        self.ending.contains_key(client_id)
    }

    /// Connections with held packets, in their order: to be given back to [`Persistence::wait_on`].
    pub(super) fn take_waiting(&mut self) -> Vec<ConnectionId> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting
    }

    /// Those of them that still have held packets.
    pub(super) fn wait_on(&mut self, mut waiting: Vec<ConnectionId>) {
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }

    /// Whether packets are held until the store answers.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The connection is gone, and with it what it held.
    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.waiting.retain(|waiting| *waiting != connection);
    }
}

/// Whether a crash could contradict this packet: it says that something was kept, or it must not leave twice.
fn waits_for_store(packet: &Packet, is_durable: bool) -> bool {
    match packet {
        Packet::Puback(_)
        | Packet::Pubrec(_)
        | Packet::Pubrel(_)
        | Packet::Pubcomp(_)
        | Packet::Suback(_)
        | Packet::Unsuback(_)
        | Packet::Connack(_) => true,
        Packet::Publish(publish) => is_durable && publish.qos == Qos::ExactlyOnce,
        _ => false,
    }
}

/// What is left of a message's Message Expiry Interval after it has waited so long.
fn left_of(publish: &Publish, waited: Duration) -> Option<u32> {
    let seconds = u32::try_from(waited.as_secs()).unwrap_or(u32::MAX);
    publish.message_expiry_interval.map(|interval| interval.saturating_sub(seconds))
}

impl Broker {
    /// Hands a record to the store. The acknowledgements of this input wait until it is kept.
    pub(super) fn persist(&mut self, record: Record) {
        self.persistence.last += 1;
        self.persistence.turn = self.persistence.last;
        if let Record::SessionEnded { client_id } = &record {
            self.persistence.ending.insert(client_id.clone(), self.persistence.last);
        }
        self.effects.push_back(Effect::Persist { seq: self.persistence.last, record });
    }

    /// The acknowledgements of this input wait for all that the store was given, also by earlier inputs: it says that
    /// something is as another client has just made it.
    pub(super) fn wait_for_all_records(&mut self) {
        self.persistence.turn = self.persistence.last;
    }

    /// What this input publishes waits, at every QoS and however late its turn comes, until the last record is kept that was
    /// handed out: it says that the message was published, a will or one of QoS 2 that its publisher would send again.
    pub(super) fn publish_once(&mut self) {
        self.persistence.once = self.persistence.turn;
    }

    /// The record that has to be kept before a delivery of what this input publishes may leave; 0 if none.
    pub(super) fn published_by(&self) -> u64 {
        self.persistence.once
    }

    /// Sends a packet on an open connection, behind what is held there.
    pub(super) fn send(&mut self, id: ConnectionId, packet: Packet) {
        self.send_after(id, packet, 0);
    }

    /// As [`Broker::send`], when this record is kept too. A store that fails is not waited for: a message that may come twice
    /// after a crash is better than one that keeps all others waiting.
    pub(super) fn send_after(&mut self, id: ConnectionId, packet: Packet, record: u64) {
        let hard = self.hard_bound;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Stage::Open(open) = &mut connection.stage else { return };
        let size = packet.encoded_len(open.version);
        // [MQTT-3.1.2-24] [MQTT-3.1.2-25] Dropped, and then everything goes on as if it had been sent.
        if size > open.maximum_packet_size {
            self.statistics.dropped_too_large += 1;
            return;
        }
        if connection.unflushed.memory() > hard {
            self.doomed.push((id, CloseCause::SlowReader));
            self.sessions[open.session].never_leaves(&packet);
            return;
        }
        connection.unflushed.add(size);
        let is_durable = self.sessions[open.session].durable;
        let once = if self.persistence.is_failing() { 0 } else { record };
        let seq = if waits_for_store(&packet, is_durable) { self.persistence.turn.max(once) } else { once };
        // Who asks whether the server is there need not wait for a store that fails.
        let overtakes = matches!(packet, Packet::Pingresp) && self.persistence.is_failing();
        if !overtakes && (seq > self.persistence.kept || !connection.held.is_empty()) {
            if connection.held.is_empty() {
                self.persistence.waiting.push(id);
            }
            connection.held.push_back(Held { seq, packet, since: self.now.monotonic });
            return;
        }
        open.connack_sent |= matches!(packet, Packet::Connack(_));
        self.statistics.sent.count(&packet, size);
        self.effects.push_back(Effect::Send { connection: id, version: open.version, packet });
    }

    /// Sends a packet on a connection that is about to be closed, before anything that is held: what was held is no
    /// longer owed.
    pub(super) fn send_last(&mut self, id: ConnectionId, version: Version, packet: Packet) {
        self.statistics.sent.count(&packet, packet.encoded_len(version));
        self.effects.push_back(Effect::Send { connection: id, version, packet });
    }

    /// Whether no further application message should be sent now: the client reads too slowly.
    pub(super) fn is_congested(&self, id: ConnectionId) -> bool {
        self.connections
            .get(&id)
            .is_none_or(|connection| connection.unflushed.memory() >= self.config.limits.unflushed_soft)
    }

    /// Bytes have left for the socket: what waited for that may follow.
    pub(super) fn handle_flushed(&mut self, id: ConnectionId, bytes: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.unflushed.flush(bytes);
        if let Some(session) = connection.open().map(|open| open.session) {
            self.pump(session);
            self.relieve(id);
        }
    }

    /// Records are kept: what waited for them leaves.
    pub(super) fn handle_persisted(&mut self, up_to: u64) {
        let was_failing = self.persistence.is_failing();
        self.persistence.keep(up_to);
        let mut waiting = self.persistence.take_waiting();
        waiting.retain(|id| self.release(*id));
        self.persistence.wait_on(waiting);
        if was_failing && !self.persistence.is_failing() {
            self.end_shortage();
        }
        if self.shutting_down && !self.persistence.is_awaited() {
            self.close_all();
        }
    }

    /// Lets go of what a connection need not hold any more. Whether it still holds something.
    pub(super) fn release(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        let Stage::Open(open) = &mut connection.stage else { return false };
        while connection.held.front().is_some_and(|held| held.seq <= self.persistence.kept) {
            let Some(Held { mut packet, since, .. }) = connection.held.pop_front() else { break };
            // [MQTT-3.3.2-6] It has gone on waiting here.
            if let Packet::Publish(publish) = &mut packet {
                publish.message_expiry_interval = left_of(publish, self.now.monotonic.saturating_sub(since));
            }
            open.connack_sent |= matches!(packet, Packet::Connack(_));
            self.statistics.sent.count(&packet, packet.encoded_len(open.version));
            self.effects.push_back(Effect::Send { connection: id, version: open.version, packet });
        }
        !connection.held.is_empty()
    }
}
