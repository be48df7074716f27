//! What is told of connections: who came, who went and why, and each packet where that is wanted. Every line names the
//! client and its address.

use std::net::SocketAddr;

use squall_codec::{
    packet::{Connack, Packet},
    reason::ReasonCode,
    version::Version,
};

use crate::core::effect::{CloseCause, ConnectionId, PeerInfo};

/// The target of the lines about packets, so that they can be switched alone.
pub const PACKETS: &str = "squall_broker::packets";

/// Whether anything is to be noted of a packet that came.
pub(super) fn notes(packet: &Packet) -> bool {
    matches!(packet, Packet::Connect(_)) || tracing::enabled!(target: PACKETS, tracing::Level::DEBUG)
}

/// What a connection is called in a line.
#[derive(Debug)]
pub(super) struct Who {
    connection: ConnectionId,
    address: Option<SocketAddr>,
    client_id: Box<str>,
}

impl Who {
    pub(super) fn new(connection: ConnectionId, peer: &PeerInfo) -> Self {
        let who = Who { connection, address: peer.address, client_id: Box::default() };
        tracing::debug!(connection = connection.0, address = who.address(), listener = &*peer.listener, "accepted");
        who
    }

    /// A packet has come.
    pub(super) fn received(&mut self, packet: &Packet) {
        // The first one: a second is an error of the protocol and names nobody.
        if let Packet::Connect(connect) = packet
            && self.client_id.is_empty()
        {
            self.client_id = connect.client_id().as_str().into();
        }
        tracing::debug!(
            target: PACKETS,
            connection = self.connection.0, client_id = &*self.client_id, address = self.address(),
            "received {packet:#}"
        );
    }

    /// A packet goes out.
    pub(super) fn sent(&mut self, version: Version, packet: &Packet) {
        if let Packet::Connack(connack) = packet {
            self.answered(version, connack);
        }
        tracing::debug!(
            target: PACKETS,
            connection = self.connection.0, client_id = &*self.client_id, address = self.address(),
            "sent {packet:#}"
        );
    }

    fn answered(&mut self, version: Version, connack: &Connack) {
        if let Some(assigned) = &connack.properties.assigned_client_identifier() {
            self.client_id = assigned.as_str().into();
        }
        let (connection, client_id, address) = (self.connection.0, &*self.client_id, self.address());
        match connack.reason {
            ReasonCode::Success => {
                let session_present = connack.session_present;
                tracing::info!(connection, client_id, address, %version, session_present, "connected");
            }
            reason => tracing::info!(connection, client_id, address, %version, %reason, "not let in"),
        }
    }

    /// The core ends the connection.
    pub(super) fn closed(&self, cause: &CloseCause) {
        let (connection, client_id, address) = (self.connection.0, &*self.client_id, self.address());
        match cause {
            // Said with its CONNACK, or there was not even one.
            CloseCause::Refused(_) => tracing::debug!(connection, client_id, address, %cause, "closed"),
            CloseCause::Violation { statement: Some(statement), .. } => {
                tracing::info!(connection, client_id, address, %cause, statement, "closed");
            }
            _ => tracing::info!(connection, client_id, address, %cause, "closed"),
        }
    }

    /// The other side, or the network, has ended it.
    pub(super) fn lost(&self) {
        let (connection, client_id, address) = (self.connection.0, &*self.client_id, self.address());
        tracing::info!(connection, client_id, address, cause = "no DISCONNECT came", "closed");
    }

    fn address(&self) -> Option<tracing::field::DisplayValue<SocketAddr>> {
        self.address.map(tracing::field::display)
    }
}
