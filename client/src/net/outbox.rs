//! Bytes on their way out. Those that follow a change of the session wait until the store has it.

use bytes::{Buf, BytesMut};
use squall_codec::{error::EncodeError, packet::Packet, version::Version};

/// In the order of the packets.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: BytesMut,
    /// As many may be written.
    free: usize,
    /// As many will be free when the commit that is going on is done.
    next: usize,
    /// Written, but perhaps kept back by TLS or a WebSocket.
    unflushed: bool,
}

impl Outbox {
    /// Appends a packet. It is free unless something before it waits for the store.
    pub(super) fn put(&mut self, version: Version, packet: &Packet, waits: bool) -> Result<(), EncodeError> {
        let whole = self.bytes.len();
        let encoded = packet.encode(version, &mut self.bytes);
        if encoded.is_err() {
            self.bytes.truncate(whole);
        }
        if !waits {
            self.free = self.bytes.len();
        }
        encoded
    }

    /// A commit begins: it covers all that is here.
    pub(super) fn commit_begins(&mut self) {
        self.next = self.bytes.len();
    }

    /// The commit is done; whether something is left that waits for another.
    pub(super) fn commit_done(&mut self, waits: bool) {
        self.free = if waits { self.next } else { self.bytes.len() };
    }

    /// What may be written.
    pub(super) fn free(&self) -> &[u8] {
        &self.bytes[..self.free]
    }

    pub(super) fn written(&mut self, count: usize) {
        self.bytes.advance(count);
        self.free -= count;
        self.next = self.next.saturating_sub(count);
        self.unflushed = true;
    }

    /// Whether there is something to write or to flush.
    pub(super) fn is_due(&self) -> bool {
        self.free > 0 || self.unflushed
    }

    pub(super) fn flushed(&mut self) {
        self.unflushed = false;
    }

    /// Bytes that have not been written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The connection is gone, and what was not written with it.
    pub(super) fn clear(&mut self) {
        *self = Outbox::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_behind_a_change_waits_for_its_commit_and_not_for_the_next() {
        let mut outbox = Outbox::default();
        let put = |outbox: &mut Outbox, waits| outbox.put(Version::V5_0, &Packet::Pingreq, waits).expect("fits");
        put(&mut outbox, false);
        assert_eq!(outbox.free().len(), 2);
        put(&mut outbox, true);
        outbox.commit_begins();
        put(&mut outbox, true);
        assert_eq!(outbox.free().len(), 2);
        outbox.written(2);
        assert_eq!(outbox.free().len(), 0);
        outbox.commit_done(true);
        assert_eq!(outbox.free().len(), 2);
        outbox.commit_begins();
        outbox.commit_done(false);
        assert_eq!(outbox.free().len(), 4);
        outbox.written(4);
        assert!(outbox.is_due());
        outbox.flushed();
        assert!(!outbox.is_due());
    }
}
