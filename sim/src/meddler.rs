//! Between a client's core and its connection: where a client is made to be wrong.

use squall_codec::packet::Packet;

/// What becomes of a packet.
#[derive(Debug, Default)]
pub struct Meddled {
    /// Packets that go to the server.
    pub to_server: Vec<Packet>,
    /// Packets that go to the client's core.
    pub to_client: Vec<Packet>,
}

impl Meddled {
    /// Nothing.
    pub fn nothing() -> Self {
        Meddled::default()
    }

    /// It goes on to the server.
    pub fn on(packet: Packet) -> Self {
        Meddled { to_server: vec![packet], to_client: Vec::new() }
    }
}

/// Somebody who stands there. Clients are numbered in the order in which they were started.
pub trait Meddler {
    /// The core of a client sends a packet.
    fn sends(&mut self, client: usize, packet: Packet) -> Meddled;

    /// A packet has come for it.
    fn hears(&mut self, client: usize, packet: Packet) -> Meddled;
}
