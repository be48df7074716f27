//! Topic Aliases towards a client (section 3.3.2.3.4).

use std::hash::BuildHasher;

use squall_codec::packet::{Packet, Publish};

use super::{broker::Broker, effect::ConnectionId};

impl Broker {
    /// Sends a PUBLISH when the record is kept that says that it was published, with an alias where that is shorter. Whether it
    /// is too large for the client is judged without: it does not depend on what was sent before.
    pub(super) fn send_publish(&mut self, id: ConnectionId, mut publish: Publish, published_by: u64) {
        let key = self.key;
        let open = self.connections.get_mut(&id).and_then(|connection| connection.open_mut());
        if let Some(open) = open
            && let Some(aliases) = &mut open.outgoing_aliases
        {
            // Without a copy of the payload: it is one shared frame.
            let packet = Packet::Publish(publish);
            let room = open.maximum_packet_size.checked_sub(packet.encoded_len(open.version));
            let Packet::Publish(plain) = packet else { return };
            publish = match room {
                Some(room) => aliases.shorten(key.hash_one(plain.topic()), plain, room),
                None => plain,
            };
        }
        self.send_after(id, Packet::Publish(publish), published_by);
    }
}
