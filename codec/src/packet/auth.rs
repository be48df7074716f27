//! AUTH (section 3.15), only in 5.0.

use super::{PacketKind, ack::reason};
use crate::{
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Reader, Writer},
};

/// One step of enhanced authentication (section 4.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method and Data among them.
    pub properties: Properties,
}

impl Auth {
    /// Without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Auth { reason, properties: Properties::new() }
    }
}

impl Auth {
    pub(super) fn decode(sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // The text lets the short form stand for success, and yet asks for an Authentication Method in every AUTH:
        // it is taken from a server, for a client never says success.
        if reader.left() == 0 {
            let (packet, success) = (PacketKind::Auth, ReasonCode::Success);
            return match success.allowed_in(packet, sender) {
                true => Ok(Auth::new(success)),
                // [MQTT-3.15.2-1]
                false => Err(DecodeError::ReasonCode { packet, sender, code: success.value() }),
            };
        }
        let reason = reason(reader, PacketKind::Auth, sender)?;
        let properties = Properties::decode(reader, Place::Auth, sender)?;
        if properties.authentication_method().is_none() {
            return Err(DecodeError::NoAuthenticationMethod);
        }
        Ok(Auth { reason, properties })
    }

    /// Success without properties has no other form; everything else is written in full.
    fn is_short(&self) -> bool {
        self.reason == ReasonCode::Success && self.properties.is_empty()
    }

    pub(super) fn body_len(&self) -> usize {
        if self.is_short() { 0 } else { 1 + self.properties.encoded_len() }
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        if !version.has_properties() {
            return Err(EncodeError::NoSuchPacket { version, packet: PacketKind::Auth.name() });
        }
        if !self.is_short() {
            out.put_u8(self.reason.value());
            self.properties.encode(out)?;
        }
        Ok(())
    }
}
