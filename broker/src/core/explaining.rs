//! Reason Strings: what a refusal tells a person, where the client wants to be told and the packet has room.

use squall_codec::{packet::Packet, property::Property, reason::ReasonCode, wire::Text};

use super::{broker::Broker, effect::ConnectionId, shortage::NO_ROOM};

impl Broker {
    /// The acknowledgement with a Reason String. The server has no User Properties of its own to send with one
    /// ([MQTT-3.4.2-3] [MQTT-3.5.2-3] [MQTT-3.6.2-3] [MQTT-3.7.2-3] [MQTT-3.9.2-2] [MQTT-3.11.2-2] [MQTT-3.14.2-4]
    /// [MQTT-3.15.2-3] [MQTT-3.2.2-20]).
    pub(super) fn explained(&self, id: ConnectionId, packet: Packet, detail: Option<&'static str>) -> Packet {
        let open = self.connections.get(&id).and_then(|connection| connection.open());
        // [MQTT-3.1.2-29] Not where Request Problem Information is 0.
        let Some((open, detail)) = open.filter(|open| open.problem_information).zip(detail) else { return packet };
        let mut explained = packet.clone();
        let properties = match &mut explained {
            Packet::Puback(ack) | Packet::Pubrec(ack) => &mut ack.properties,
            Packet::Suback(suback) => &mut suback.properties,
            _ => return packet,
        };
        properties.push(Property::ReasonString(Text::literal(detail)));
        // [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.9.2-1]. PUBREL, PUBCOMP, UNSUBACK and AUTH say all by their codes ([MQTT-3.6.2-2]
        // [MQTT-3.7.2-2] [MQTT-3.11.2-1] [MQTT-3.15.2-2]).
        if explained.encoded_len(open.version) <= open.maximum_packet_size { explained } else { packet }
    }

    /// Why it was refused, in the words that fit what was asked for; a store that fails is the reason whatever that was.
    pub(super) fn why(
        &self,
        reason: ReasonCode,
        words: fn(ReasonCode) -> Option<&'static str>,
    ) -> Option<&'static str> {
        let is_short = reason == ReasonCode::QuotaExceeded && self.persistence.is_failing();
        if is_short { Some(NO_ROOM) } else { words(reason) }
    }
}

/// Why a PUBLISH was refused.
pub(super) fn refused_publish(reason: ReasonCode) -> Option<&'static str> {
    match reason {
        ReasonCode::NotAuthorized => Some("publishing to this topic is not allowed"),
        ReasonCode::TopicNameInvalid => Some("the topic is longer, or has more levels, than this server takes"),
        ReasonCode::QuotaExceeded => Some("there is no room for another retained message"),
        _ => None,
    }
}

/// Why a filter of a SUBSCRIBE was refused.
pub(super) fn refused_subscription(reason: ReasonCode) -> Option<&'static str> {
    match reason {
        ReasonCode::NotAuthorized => Some("subscribing to this filter is not allowed"),
        ReasonCode::TopicFilterInvalid => Some("the filter is longer, or has more levels, than this server takes"),
        ReasonCode::QuotaExceeded => Some("there is no room for another subscription"),
        _ => None,
    }
}

/// Why a CONNECT was refused. Those who failed to prove who they are learn nothing.
pub(super) fn refused_connect(reason: ReasonCode) -> Option<&'static str> {
    match reason {
        ReasonCode::ClientIdentifierNotValid => Some("this server does not take this client identifier"),
        ReasonCode::TopicNameInvalid => Some("the will's topic is longer, or has more levels, than this server takes"),
        ReasonCode::PacketTooLarge => Some("CONNECT, or the answer to it, is too large"),
        ReasonCode::QuotaExceeded => Some("there is no room for another session"),
        ReasonCode::QosNotSupported => Some("the will's QoS is above what this server offers"),
        ReasonCode::RetainNotSupported => Some("this server retains no will"),
        ReasonCode::UseAnotherServer | ReasonCode::ServerMoved => Some("this server sends its clients to another one"),
        _ => None,
    }
}
