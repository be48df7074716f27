//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use crate::{property::Properties, qos::Qos, reason::ReasonCode, topic::TopicFilter, wire::PacketId};

/// Asks for subscriptions. At least one ([MQTT-3.8.3-2]; 3.1.1 [MQTT-3.8.3-3]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Answered by the SUBACK with the same.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// In the order of the packet.
    pub subscriptions: Vec<Subscription>,
}

/// One filter with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// What is subscribed to.
    pub filter: TopicFilter,
    /// The byte that follows it.
    pub options: SubscriptionOptions,
}

/// Subscription Options (section 3.8.3.1). Before 5.0 only the QoS is on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SubscriptionOptions {
    /// Maximum QoS (before 5.0: requested QoS).
    pub qos: Qos,
    /// No Local: the client's own messages are not sent back to it.
    pub no_local: bool,
    /// Retain As Published: RETAIN is forwarded as it came.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum RetainHandling {
    /// 0: at each SUBSCRIBE.
    #[default]
    Send = 0,
    /// 1: only if the subscription did not exist.
    SendIfNew = 1,
    /// 2: never.
    DoNotSend = 2,
}

/// The answer to SUBSCRIBE, one reason for each filter, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suback {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before 5.0.
    pub properties: Properties,
    /// Before 5.0 a failure is written as 0x80 and read as [`ReasonCode::UnspecifiedError`].
    pub reasons: Vec<ReasonCode>,
}

impl Subscribe {
    /// Without properties.
    pub fn new(packet_id: PacketId, subscriptions: Vec<Subscription>) -> Self {
        Subscribe { packet_id, properties: Properties::new(), subscriptions }
    }
}

impl Subscription {
    /// With this maximum QoS and all other options 0.
    pub fn new(filter: TopicFilter, qos: Qos) -> Self {
        Subscription { filter, options: SubscriptionOptions { qos, ..SubscriptionOptions::default() } }
    }
}

impl Suback {
    /// Without properties.
    pub fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Suback { packet_id, properties: Properties::new(), reasons }
    }
}
