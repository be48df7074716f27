//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): four packets of one shape.

use bytes::BytesMut;

use super::PacketKind;
use crate::{
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{PacketId, Reader, Writer},
};

/// The content of PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The exchange it belongs to.
    pub packet_id: PacketId,
    /// Before 5.0 always [`ReasonCode::Success`].
    pub reason: ReasonCode,
    /// Empty before 5.0.
    pub properties: Properties,
}

impl Ack {
    /// Success, without properties.
    pub fn new(packet_id: PacketId) -> Self {
        Ack::with_reason(packet_id, ReasonCode::Success)
    }

    /// With this reason, without properties.
    pub fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Ack { packet_id, reason, properties: Properties::new() }
    }
}

impl Ack {
    pub(super) fn decode(
        version: Version,
        sender: Side,
        place: Place,
        reader: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(sender)?;
        let mut ack = Ack::new(packet_id);
        // The short forms: 2 bytes mean success, 3 bytes mean no properties.
        if version.has_properties() && reader.left() > 0 {
            ack.reason = reason(reader, place.packet(), sender)?;
            if reader.left() > 0 {
                ack.properties = Properties::decode(reader, place, sender)?;
            }
        }
        Ok(ack)
    }

    /// Appends the whole frame of one without properties, which nearly all are: four or five bytes at once.
    #[inline]
    pub(super) fn write_without_properties(&self, first: u8, version: Version, out: &mut BytesMut) {
        let [high, low] = self.packet_id.value().to_be_bytes();
        if version.has_properties() && self.reason != ReasonCode::Success {
            out.extend_from_slice(&[first, 3, high, low, self.reason.value()]);
        } else {
            out.extend_from_slice(&[first, 2, high, low]);
        }
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        2 + short_form_len(version, self.reason, &self.properties)
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u16(self.packet_id.value());
        put_short_form(version, self.reason, &self.properties, out)
    }
}

/// Reads a reason code of 5.0 and looks it up in the packet's table.
pub(super) fn reason(reader: &mut Reader<'_>, packet: PacketKind, sender: Side) -> Result<ReasonCode, DecodeError> {
    let code = reader.u8("the reason code")?;
    // [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1], [MQTT-3.9.3-2], [MQTT-3.11.3-2],
    // [MQTT-3.14.2-1], [MQTT-3.15.2-1]
    ReasonCode::from_value(code).filter(|reason| reason.allowed_in(packet, sender)).ok_or(DecodeError::ReasonCode {
        packet,
        sender,
        code,
    })
}

/// Bytes of reason and properties at the end of a packet that leaves out what says nothing: success without
/// properties is nothing, a reason without properties one byte.
pub(super) fn short_form_len(version: Version, reason: ReasonCode, properties: &Properties) -> usize {
    match (version.has_properties(), reason, properties.is_empty()) {
        (false, ..) | (true, ReasonCode::Success, true) => 0,
        (true, _, true) => 1,
        (true, _, false) => 1 + properties.encoded_len(),
    }
}

/// Appends reason and properties in that form.
pub(super) fn put_short_form(
    version: Version,
    reason: ReasonCode,
    properties: &Properties,
    mut out: Writer<'_>,
) -> Result<(), EncodeError> {
    if version.has_properties() && (reason != ReasonCode::Success || !properties.is_empty()) {
        out.put_u8(reason.value());
        if !properties.is_empty() {
            properties.encode(out)?;
        }
    }
    Ok(())
}
