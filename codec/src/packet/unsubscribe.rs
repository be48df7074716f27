//! UNSUBSCRIBE and UNSUBACK (sections 3.10 and 3.11).

use crate::{property::Properties, reason::ReasonCode, topic::TopicFilter, wire::PacketId};

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
