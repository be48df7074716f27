//! What is wrong with bytes that came (`DecodeError`) or with a packet that should leave (`EncodeError`).
//!
//! One variant per cause; `reason_code` is the one map to the wire, `statement` (in a file of its own) names the
//! rule that is broken.

mod statement;

use crate::{
    packet::PacketKind,
    property::{Place, PropertyId},
    reason::{ReasonCode, Side},
    topic::TopicError,
    version::Version,
    wire::TextError,
};

/// A frame that must not be acted on (sections 4.8 of 3.1.1 and 4.13 of 5.0).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame is larger than the limit that was announced.
    #[error("a packet of {size} bytes exceeds the maximum packet size of {limit}")]
    PacketTooLarge {
        /// Bytes of the whole frame.
        size: u64,
        /// The limit in bytes.
        limit: u32,
        /// Who sent it.
        sender: Side,
    },
    /// CONNECT asks for a version that does not exist.
    #[error("unsupported protocol version {level}")]
    UnsupportedVersion {
        /// The version byte.
        level: u8,
    },
    /// CONNECT names another protocol.
    #[error("protocol name '{name}' is neither 'MQTT' nor 'MQIsdp'")]
    ProtocolName {
        /// The beginning of the name, as far as it can be read.
        name: String,
    },
    /// No packet has this type.
    #[error("packet type {number} is reserved")]
    ReservedType {
        /// The upper four bits of the first byte.
        number: u8,
    },
    /// The lower four bits of the first byte are not those of the packet.
    #[error("{packet} has the flags {flags:#06b} instead of {:#06b}", .packet.fixed_flags())]
    FixedFlags {
        /// The packet.
        packet: PacketKind,
        /// The lower four bits.
        flags: u8,
    },
    /// This side never sends such a packet.
    #[error("a {sender} sends no {packet}")]
    WrongDirection {
        /// The packet.
        packet: PacketKind,
        /// Who sent it.
        sender: Side,
    },
    /// Something else stands where CONNECT has to.
    #[error("the first packet has type {number} instead of 1, CONNECT")]
    NotConnect {
        /// The upper four bits of the first byte.
        number: u8,
    },
    /// A Variable Byte Integer has a fifth byte.
    #[error("{field} takes more than 4 bytes")]
    VariableTooLong {
        /// What was read.
        field: &'static str,
    },
    /// A Variable Byte Integer takes more bytes than its value needs.
    #[error("{field} {value} is not written in the fewest bytes")]
    NotMinimal {
        /// What was read.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The packet, or its block of properties, ends inside a field.
    #[error("{packet} ends inside {field}: {needed} bytes are needed and {left} are left")]
    Truncated {
        /// The packet.
        packet: PacketKind,
        /// The field that is cut.
        field: &'static str,
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes follow the last field.
    #[error("{packet} has {bytes} bytes after its last field")]
    Leftover {
        /// The packet.
        packet: PacketKind,
        /// How many.
        bytes: usize,
    },
    /// A string is no UTF-8 Encoded String.
    #[error("{field}: {error}")]
    Text {
        /// Which string.
        field: &'static str,
        /// What is wrong with it.
        error: TextError,
    },
    /// The packet identifier is 0.
    #[error("{packet} has the packet identifier 0")]
    ZeroPacketId {
        /// The packet.
        packet: PacketKind,
        /// Who sent it.
        sender: Side,
    },
    /// No property has this identifier.
    #[error("property identifier {id:#04X} is unknown")]
    UnknownProperty {
        /// The identifier.
        id: u32,
    },
    /// The property has no business in this place.
    #[error("{} does not belong into {place}", .property.name())]
    PropertyNotAllowed {
        /// The property.
        property: PropertyId,
        /// The place.
        place: Place,
    },
    /// The property may stand here, but not from this side.
    #[error("{} in {place} is not for a {sender} to send", .property.name())]
    PropertySender {
        /// The property.
        property: PropertyId,
        /// The place.
        place: Place,
        /// Who sent it.
        sender: Side,
    },
    /// The property stands here more than once.
    #[error("{} stands more than once in {place}", .property.name())]
    PropertyRepeated {
        /// The property.
        property: PropertyId,
        /// The place.
        place: Place,
    },
    /// A number is outside the property's bounds.
    #[error("{} is {value} instead of {} to {}", .property.name(), .property.bounds().0, .property.bounds().1)]
    PropertyValue {
        /// The property.
        property: PropertyId,
        /// Its value.
        value: u32,
    },
    /// Authentication Data without Authentication Method.
    #[error("{place} has Authentication Data without Authentication Method")]
    AuthenticationDataAlone {
        /// The place.
        place: Place,
    },
    /// AUTH without Authentication Method.
    #[error("AUTH has no Authentication Method")]
    NoAuthenticationMethod,
    /// The code is not in the packet's table, or not for this sender.
    #[error("{packet} from a {sender} has the reason code {code:#04X}")]
    ReasonCode {
        /// The packet.
        packet: PacketKind,
        /// Who sent it.
        sender: Side,
        /// The code.
        code: u8,
    },
    /// Bit 0 of the Connect Flags is set.
    #[error("the reserved bit of the connect flags {flags:#010b} is set")]
    ConnectFlags {
        /// The Connect Flags.
        flags: u8,
    },
    /// Will QoS without Will Flag.
    #[error("will QoS is {qos} without a will")]
    WillQosWithoutWill {
        /// The two bits.
        qos: u8,
    },
    /// Will Retain without Will Flag.
    #[error("will retain is set without a will")]
    WillRetainWithoutWill,
    /// Will QoS 3.
    #[error("will QoS is 3 instead of 0 to 2")]
    WillQos,
    /// Before 5.0: Password Flag without User Name Flag.
    #[error("CONNECT has a password without a user name")]
    PasswordWithoutUserName,
    /// Before 5.0: no Client Identifier for a session that should last (3.1: for any session).
    #[error("the client identifier is empty")]
    EmptyClientId,
    /// Bits 7 to 1 of the Connect Acknowledge Flags are not 0.
    #[error("CONNACK has the reserved flags {flags:#010b}")]
    ConnackFlags {
        /// The byte.
        flags: u8,
    },
    /// A refusal that claims a session.
    #[error("CONNACK has session present with the reason code {code:#04X}")]
    SessionPresentWithFailure {
        /// The code.
        code: u8,
    },
    /// PUBLISH with QoS 3.
    #[error("PUBLISH has QoS 3 instead of 0 to 2")]
    PublishQos,
    /// PUBLISH with DUP 1 and QoS 0.
    #[error("PUBLISH has DUP 1 with QoS 0")]
    DupWithQos0,
    /// No Topic Name, in PUBLISH or in the will.
    #[error("the topic name of {place} {error}")]
    TopicName {
        /// PUBLISH or the will.
        place: Place,
        /// What is wrong with it.
        error: TopicError,
    },
    /// A Response Topic that is no Topic Name.
    #[error("the response topic {error}")]
    ResponseTopic {
        /// What is wrong with it.
        error: TopicError,
    },
    /// No Topic Filter, in SUBSCRIBE or UNSUBSCRIBE.
    #[error("the topic filter of {packet} {error}")]
    TopicFilter {
        /// The packet.
        packet: PacketKind,
        /// What is wrong with it.
        error: TopicError,
    },
    /// SUBSCRIBE or UNSUBSCRIBE without a Topic Filter.
    #[error("{packet} has no topic filter")]
    NoTopicFilter {
        /// The packet.
        packet: PacketKind,
    },
    /// SUBSCRIBE with QoS 3.
    #[error("SUBSCRIBE asks for QoS 3 instead of 0 to 2")]
    SubscribeQos,
    /// Reserved bits of the byte after a Topic Filter are set.
    #[error("the subscription options {options:#010b} have reserved bits set")]
    SubscriptionOptions {
        /// The byte.
        options: u8,
    },
    /// Retain Handling 3.
    #[error("retain handling is 3 instead of 0 to 2")]
    RetainHandling,
    /// No Local on a Shared Subscription.
    #[error("no local is set on a shared subscription")]
    NoLocalOnShared,
    /// SUBACK or UNSUBACK without a reason code.
    #[error("{packet} has no reason code")]
    NoReasonCode {
        /// The packet.
        packet: PacketKind,
    },
}

impl DecodeError {
    /// The 5.0 reason code for CONNACK or DISCONNECT. Whether the version has a way to say it is another question:
    /// see [`ReasonCode::connack_return_code`].
    pub const fn reason_code(&self) -> ReasonCode {
        use DecodeError as E;
        match self {
            E::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            E::UnsupportedVersion { .. } | E::ProtocolName { .. } => ReasonCode::UnsupportedProtocolVersion,
            E::EmptyClientId => ReasonCode::ClientIdentifierNotValid,
            E::TopicName { place: Place::Publish, error: TopicError::Empty } => ReasonCode::ProtocolError,
            E::TopicName { .. } | E::ResponseTopic { .. } => ReasonCode::TopicNameInvalid,
            E::TopicFilter { .. } => ReasonCode::TopicFilterInvalid,
            E::PropertyValue { property: PropertyId::TopicAlias, .. } => ReasonCode::TopicAliasInvalid,
            E::WrongDirection { .. }
            | E::NotConnect { .. }
            | E::ZeroPacketId { .. }
            | E::PropertySender { .. }
            | E::PropertyRepeated { .. }
            | E::PropertyValue { .. }
            | E::AuthenticationDataAlone { .. }
            | E::NoAuthenticationMethod
            | E::ReasonCode { .. }
            | E::SessionPresentWithFailure { .. }
            | E::NoTopicFilter { .. }
            | E::SubscribeQos
            | E::RetainHandling
            | E::NoLocalOnShared
            | E::NoReasonCode { .. } => ReasonCode::ProtocolError,
            E::ReservedType { .. }
            | E::FixedFlags { .. }
            | E::VariableTooLong { .. }
            | E::NotMinimal { .. }
            | E::Truncated { .. }
            | E::Leftover { .. }
            | E::Text { .. }
            | E::UnknownProperty { .. }
            | E::PropertyNotAllowed { .. }
            | E::ConnectFlags { .. }
            | E::WillQosWithoutWill { .. }
            | E::WillRetainWithoutWill
            | E::WillQos
            | E::PasswordWithoutUserName
            | E::ConnackFlags { .. }
            | E::PublishQos
            | E::DupWithQos0
            | E::SubscriptionOptions { .. } => ReasonCode::MalformedPacket,
        }
    }
}

/// A packet that cannot be written.
///
/// Only what has no form on the wire is refused. A packet that can be written and breaks a rule is written: those who
/// test the other side need it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// This version has no such packet (AUTH, or a DISCONNECT with a reason, before 5.0).
    #[error("MQTT {version} has no {packet}")]
    NoSuchPacket {
        /// The version asked for.
        version: Version,
        /// The packet's name.
        packet: &'static str,
    },
    /// Longer than a Remaining Length can say.
    #[error("a packet of {0} bytes is longer than a frame can be")]
    TooLong(usize),
    /// CONNACK of this version has no return code for this reason: the connection is closed without one.
    #[error("CONNACK of MQTT {version} has no return code for {reason}")]
    NoReturnCode {
        /// The version asked for.
        version: Version,
        /// The reason.
        reason: ReasonCode,
    },
    /// PUBLISH with QoS above 0 and no packet identifier.
    #[error("PUBLISH with QoS above 0 has no packet identifier")]
    NoPacketId,
    /// Binary Data holds at most 65,535 bytes.
    #[error("{field} of {size} bytes is longer than 65535")]
    BinaryTooLong {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        size: usize,
    },
    /// A Variable Byte Integer holds at most 268,435,455.
    #[error("{field} {value} is larger than 268435455")]
    VariableTooLarge {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
}
