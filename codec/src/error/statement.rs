//! From an error to the numbered statement that it breaks, one table for each version that numbers its statements.

use super::DecodeError;
use crate::{
    packet::PacketKind,
    property::{Place, PropertyId},
    reason::Side,
    topic::TopicError,
    version::Version,
    wire::TextError,
};

impl DecodeError {
    /// The statement of this version that the frame breaks (without brackets, as `MQTT-2.2.2-2`); where the breach has
    /// no number, the statement that has the receiver close. `None` in 3.1, which numbers nothing.
    pub const fn statement(&self, version: Version) -> Option<&'static str> {
        match version {
            Version::V3_1 => None,
            Version::V3_1_1 => Some(self.statement_3_1_1()),
            Version::V5_0 => Some(self.statement_5_0()),
        }
    }

    const fn statement_3_1_1(&self) -> &'static str {
        use DecodeError as E;
        match self {
            E::UnsupportedVersion { .. } => "MQTT-3.1.2-2",
            E::ProtocolName { .. } => "MQTT-3.1.2-1",
            E::NotConnect { .. } => "MQTT-3.1.0-1",
            E::FixedFlags { packet: PacketKind::Pubrel, .. } => "MQTT-3.6.1-1",
            E::FixedFlags { packet: PacketKind::Subscribe, .. } => "MQTT-3.8.1-1",
            E::FixedFlags { packet: PacketKind::Unsubscribe, .. } => "MQTT-3.10.1-1",
            E::FixedFlags { packet: PacketKind::Disconnect, .. } => "MQTT-3.14.1-1",
            E::FixedFlags { .. } => "MQTT-2.2.2-2",
            E::Truncated { packet: PacketKind::Connect, .. } | E::Leftover { packet: PacketKind::Connect, .. } => {
                "MQTT-3.1.4-1"
            }
            E::Text { error: TextError::Null, .. } => "MQTT-1.5.3-2",
            E::Text { .. } => "MQTT-1.5.3-1",
            E::ZeroPacketId { packet: PacketKind::Suback | PacketKind::Unsuback, .. } => "MQTT-2.3.1-7",
            E::ZeroPacketId {
                packet: PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubrel | PacketKind::Pubcomp,
                ..
            } => "MQTT-2.3.1-6",
            E::ZeroPacketId { .. } => "MQTT-2.3.1-1",
            E::ReasonCode { packet: PacketKind::Suback, .. } => "MQTT-3.9.3-2",
            E::ConnectFlags { .. } => "MQTT-3.1.2-3",
            E::WillQosWithoutWill { .. } => "MQTT-3.1.2-13",
            E::WillRetainWithoutWill => "MQTT-3.1.2-15",
            E::WillQos => "MQTT-3.1.2-14",
            E::PasswordWithoutUserName => "MQTT-3.1.2-22",
            E::EmptyClientId => "MQTT-3.1.3-8",
            E::SessionPresentWithFailure { .. } => "MQTT-3.2.2-4",
            E::PublishQos => "MQTT-3.3.1-4",
            E::DupWithQos0 => "MQTT-3.3.1-2",
            E::TopicName { place: Place::Publish, error: TopicError::Wildcard } => "MQTT-3.3.2-2",
            E::TopicName { error, .. } | E::TopicFilter { error, .. } | E::ResponseTopic { error } => match error {
                TopicError::Empty => "MQTT-4.7.3-1",
                TopicError::Wildcard => "MQTT-4.7.1-1",
                TopicError::MultiLevel => "MQTT-4.7.1-2",
                TopicError::SingleLevel => "MQTT-4.7.1-3",
                TopicError::Text(TextError::Null) => "MQTT-4.7.3-2",
                TopicError::Text(_) => "MQTT-1.5.3-1",
                // Before 5.0 `$share` has no form that could be wrong.
                TopicError::ShareName | TopicError::Share => "MQTT-4.8.0-1",
            },
            E::NoTopicFilter { packet: PacketKind::Subscribe } => "MQTT-3.8.3-3",
            E::NoTopicFilter { .. } => "MQTT-3.10.3-2",
            E::SubscribeQos | E::SubscriptionOptions { .. } => "MQTT-3.8.3-4",
            _ => "MQTT-4.8.0-1",
        }
    }

    const fn statement_5_0(&self) -> &'static str {
        use DecodeError as E;
        match self {
            E::PacketTooLarge { sender: Side::Client, .. } => "MQTT-3.2.2-15",
            E::PacketTooLarge { sender: Side::Server, .. } => "MQTT-3.1.2-24",
            E::UnsupportedVersion { .. } => "MQTT-3.1.2-2",
            E::ProtocolName { .. } => "MQTT-3.1.2-1",
            E::NotConnect { .. } => "MQTT-3.1.0-1",
            E::FixedFlags { packet, .. } => match packet {
                PacketKind::Connect => "MQTT-3.1.4-1",
                PacketKind::Pubrel => "MQTT-3.6.1-1",
                PacketKind::Subscribe => "MQTT-3.8.1-1",
                PacketKind::Unsubscribe => "MQTT-3.10.1-1",
                PacketKind::Disconnect => "MQTT-3.14.1-1",
                PacketKind::Auth => "MQTT-3.15.1-1",
                _ => "MQTT-2.1.3-1",
            },
            E::NotMinimal { .. } => "MQTT-1.5.5-1",
            E::Truncated { packet: PacketKind::Connect, .. } | E::Leftover { packet: PacketKind::Connect, .. } => {
                "MQTT-3.1.4-1"
            }
            E::Text { error: TextError::Null, .. } => "MQTT-1.5.4-2",
            E::Text { .. } => "MQTT-1.5.4-1",
            E::ZeroPacketId { packet: PacketKind::Suback | PacketKind::Unsuback, .. } => "MQTT-2.2.1-6",
            E::ZeroPacketId {
                packet: PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubrel | PacketKind::Pubcomp,
                ..
            } => "MQTT-2.2.1-5",
            E::ZeroPacketId { sender: Side::Client, .. } => "MQTT-2.2.1-3",
            E::ZeroPacketId { sender: Side::Server, .. } => "MQTT-2.2.1-4",
            E::PropertySender { property: PropertyId::SubscriptionIdentifier, .. } => "MQTT-3.3.4-6",
            E::PropertySender { property: PropertyId::SessionExpiryInterval, .. } => "MQTT-3.14.2-2",
            E::PropertyValue { property: PropertyId::TopicAlias, .. } => "MQTT-3.3.2-8",
            E::ReasonCode { packet, .. } => match packet {
                PacketKind::Connack => "MQTT-3.2.2-8",
                PacketKind::Puback => "MQTT-3.4.2-1",
                PacketKind::Pubrec => "MQTT-3.5.2-1",
                PacketKind::Pubrel => "MQTT-3.6.2-1",
                PacketKind::Pubcomp => "MQTT-3.7.2-1",
                PacketKind::Suback => "MQTT-3.9.3-2",
                PacketKind::Unsuback => "MQTT-3.11.3-2",
                PacketKind::Disconnect => "MQTT-3.14.2-1",
                PacketKind::Auth => "MQTT-3.15.2-1",
                _ => "MQTT-4.13.1-1",
            },
            E::ConnectFlags { .. } => "MQTT-3.1.2-3",
            E::WillQosWithoutWill { .. } => "MQTT-3.1.2-11",
            E::WillRetainWithoutWill => "MQTT-3.1.2-13",
            E::WillQos => "MQTT-3.1.2-12",
            E::ConnackFlags { .. } => "MQTT-3.2.2-1",
            E::SessionPresentWithFailure { .. } => "MQTT-3.2.2-6",
            E::PublishQos => "MQTT-3.3.1-4",
            E::DupWithQos0 => "MQTT-3.3.1-2",
            E::TopicName { place: Place::Publish, error: TopicError::Wildcard } => "MQTT-3.3.2-2",
            E::ResponseTopic { error: TopicError::Wildcard } => "MQTT-3.3.2-14",
            E::TopicName { error, .. } | E::TopicFilter { error, .. } | E::ResponseTopic { error } => match error {
                TopicError::Empty => "MQTT-4.7.3-1",
                TopicError::Wildcard => "MQTT-4.7.0-1",
                TopicError::MultiLevel => "MQTT-4.7.1-1",
                TopicError::SingleLevel => "MQTT-4.7.1-2",
                TopicError::ShareName => "MQTT-4.8.2-1",
                TopicError::Share => "MQTT-4.8.2-2",
                TopicError::Text(TextError::Null) => "MQTT-4.7.3-2",
                TopicError::Text(_) => "MQTT-1.5.4-1",
            },
            E::NoTopicFilter { packet: PacketKind::Subscribe } => "MQTT-3.8.3-2",
            E::NoTopicFilter { .. } => "MQTT-3.10.3-2",
            E::SubscriptionOptions { .. } => "MQTT-3.8.3-5",
            E::NoLocalOnShared => "MQTT-3.8.3-4",
            E::NoReasonCode { packet: PacketKind::Unsuback } => "MQTT-3.11.3-2",
            _ => "MQTT-4.13.1-1",
        }
    }
}
