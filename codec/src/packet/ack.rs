//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): four packets of one shape.

use crate::{property::Properties, reason::ReasonCode, wire::PacketId};

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
