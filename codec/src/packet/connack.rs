//! CONNACK (section 3.2).

use super::PacketKind;
use crate::{
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Reader, Writer},
};

/// The server's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connack {
    /// Session Present; always 0 in 3.1, which has no such bit.
    pub session_present: bool,
    /// Before 5.0 the wire carries a return code; see [`ReasonCode::connack_return_code`].
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: Properties,
}

impl Connack {
    /// An answer without properties. Session Present is 0.
    pub fn new(reason: ReasonCode) -> Self {
        Connack { session_present: false, reason, properties: Properties::new() }
    }
}

impl Connack {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = reader.u8("the acknowledge flags")?;
        // [MQTT-3.2.2-1] In 3.1 the byte is reserved and means nothing.
        if version > Version::V3_1 && flags & !1 != 0 {
            return Err(DecodeError::ConnackFlags { flags });
        }
        let session_present = version > Version::V3_1 && flags & 1 != 0;
        let code = reader.u8("the reason code")?;
        let reason = match version {
            // [MQTT-3.2.2-8]
            Version::V5_0 => {
                ReasonCode::from_value(code).filter(|reason| reason.allowed_in(PacketKind::Connack, sender))
            }
            _ => ReasonCode::from_connack_return_code(code),
        };
        let reason = reason.ok_or(DecodeError::ReasonCode { packet: PacketKind::Connack, sender, code })?;
        // [MQTT-3.2.2-6]; 3.1.1 [MQTT-3.2.2-4]
        if session_present && reason != ReasonCode::Success {
            return Err(DecodeError::SessionPresentWithFailure { code });
        }
        let properties = match version {
            Version::V5_0 => Properties::decode(reader, Place::Connack, sender)?,
            _ => Properties::new(),
        };
        Ok(Connack { session_present, reason, properties })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + if version.has_properties() { self.properties.encoded_len() } else { 0 }
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u8(u8::from(self.session_present && version > Version::V3_1));
        if version.has_properties() {
            out.put_u8(self.reason.value());
            return self.properties.encode(out).map(drop);
        }
        let code = self.reason.connack_return_code();
        // 3.1.1 [MQTT-3.2.2-6] Where no return code fits there is no CONNACK.
        out.put_u8(code.ok_or(EncodeError::NoReturnCode { version, reason: self.reason })?);
        Ok(())
    }
}
