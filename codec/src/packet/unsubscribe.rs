//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use super::{
    PacketKind,
    ack::reason,
    subscribe::{FilterView, count},
};
use crate::{
    error::{DecodeError, EncodeError},
    property::{Place, Properties},
    reason::{ReasonCode, Side},
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Reader, Writer},
};

/// Ends subscriptions. At least one ([MQTT-3.10.3-2]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Answered by the UNSUBACK with the same.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// In the order of the packet.
    pub filters: Vec<TopicFilter>,
}

/// The answer to UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsuback {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// One for each filter, in order; empty before 5.0, where the packet has none.
    pub reasons: Vec<ReasonCode>,
}

impl Unsubscribe {
    /// Without properties.
    pub fn new(packet_id: PacketId, filters: Vec<TopicFilter>) -> Self {
        Unsubscribe { packet_id, properties: Properties::new(), filters }
    }
}

impl Unsuback {
    /// Without properties.
    pub fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Unsuback { packet_id, properties: Properties::new(), reasons }
    }
}

impl Unsubscribe {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(sender)?;
        let properties = match version {
            Version::V5_0 => Properties::decode(reader, Place::Unsubscribe, sender)?,
            _ => Properties::new(),
        };
        // [MQTT-3.10.3-2]
        if reader.left() == 0 {
            return Err(DecodeError::NoTopicFilter { packet: PacketKind::Unsubscribe });
        }
        let mut filters = Vec::with_capacity(count(reader, 0));
        while reader.left() > 0 {
            filters.push(FilterView::read(version, PacketKind::Unsubscribe, reader)?.kept(reader.keep()));
        }
        Ok(Unsubscribe { packet_id, properties, filters })
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        let properties = if version.has_properties() { self.properties.encoded_len() } else { 0 };
        2 + properties + self.filters.iter().map(|filter| 2 + filter.text().len()).sum::<usize>()
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u16(self.packet_id.value());
        if version.has_properties() {
            out = self.properties.encode(out)?;
        }
        for filter in &self.filters {
            out.put_text(filter.text());
        }
        Ok(())
    }
}

impl Unsuback {
    pub(super) fn decode(version: Version, sender: Side, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id(sender)?;
        let mut unsuback = Unsuback::new(packet_id, Vec::new());
        if version.has_properties() {
            unsuback.properties = Properties::decode(reader, Place::Unsuback, sender)?;
            if reader.left() == 0 {
                return Err(DecodeError::NoReasonCode { packet: PacketKind::Unsuback });
            }
            unsuback.reasons.reserve_exact(reader.left());
            while reader.left() > 0 {
                unsuback.reasons.push(reason(reader, PacketKind::Unsuback, sender)?);
            }
        }
        Ok(unsuback)
    }

    pub(super) fn body_len(&self, version: Version) -> usize {
        if version.has_properties() { 2 + self.properties.encoded_len() + self.reasons.len() } else { 2 }
    }

    pub(super) fn encode(&self, version: Version, mut out: Writer<'_>) -> Result<(), EncodeError> {
        out.put_u16(self.packet_id.value());
        if version.has_properties() {
            out = self.properties.encode(out)?;
            self.reasons.iter().for_each(|reason| out.put_u8(reason.value()));
        }
        Ok(())
    }
}
