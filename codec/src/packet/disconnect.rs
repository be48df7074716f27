//! DISCONNECT (section 3.14).

use super::{
    PacketKind,
    ack::{put_short_form, reason, short_form_len},
};
use crate::{
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Reader, Writer},
};

/// The last packet of a connection. Before 5.0 only a client sends it, without a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Before 5.0 always [`ReasonCode::NORMAL_DISCONNECTION`].
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: Properties,
}

impl Disconnect {
    /// Without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Disconnect { reason, properties: Properties::new() }
    }
}

impl Disconnect {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        if version.has_properties() && reader.left() > 0 {
            disconnect.reason = reason(reader, PacketKind::Disconnect, sender)?;
            if reader.left() > 0 {
                disconnect.properties = Properties::decode(reader, Place::Disconnect, sender)?;
            }
        }
        Ok(disconnect)
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        short_form_len(version, self.reason, &self.properties)
    }

    pub(super) fn encode(&self, version: Version, out: Writer<'_>) -> Result<(), EncodeError> {
        // Before 5.0 every DISCONNECT is a normal one: it would discard a will that this reason asks for.
        if !version.has_properties() && self.reason != ReasonCode::NORMAL_DISCONNECTION {
            return Err(EncodeError::NoSuchPacket { version, packet: PacketKind::Disconnect.name() });
        }
        put_short_form(version, self.reason, &self.properties, out)
    }
}
