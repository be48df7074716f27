//! CONNECT as the options want it, and what refusals mean.

use bytes::Bytes;
use squall_codec::{
    packet::Connect,
    property::{Properties, Property},
    reason::ReasonCode,
    version::Version,
    wire::Text,
};

use super::connection::keep_alive_seconds;
use crate::options::{LARGEST_FRAME, Options};

/// CONNECT with this Clean Start.
pub(super) fn connect(options: &Options, client_id: &Text, clean_start: bool, authentication: Properties) -> Connect {
    let mut connect = Connect::new(options.version, client_id.clone());
    connect.clean_start = clean_start;
    connect.keep_alive = keep_alive_seconds(options);
    connect.set_properties(properties(options, &authentication));
    connect.set_will(options.will.clone());
    connect.set_username(options.username.clone());
    connect.set_password(password(options));
    connect
}

/// Whether this connection asks for a session without a past.
pub(super) fn clean_start(options: &Options, client_id: &Text, session_exists: bool) -> bool {
    // 3.1.1 [MQTT-3.1.3-7] An empty Client Identifier goes with Clean Session 1.
    if client_id.is_empty() && !options.version.has_properties() {
        return true;
    }
    // [MQTT-3.1.2-4]; 3.1.1 [MQTT-3.1.2-6] A clean start discards the state of both ends, so it is asked for only where
    // there is none to go on with.
    options.clean_start && !session_exists
}

fn password(options: &Options) -> Option<Bytes> {
    // 3.1.1 [MQTT-3.1.2-22] No password without a user name; 5.0 allows it.
    if options.username.is_none() && !options.version.has_properties() {
        return None;
    }
    options.password.clone()
}

fn properties(options: &Options, authentication: &Properties) -> Properties {
    if options.version != Version::V5_0 {
        return Properties::new();
    }
    let size = options.maximum_packet_size;
    [
        options.session_expiry_seconds.map(Property::SessionExpiryInterval),
        options.receive_maximum.filter(|most| *most > 0).map(Property::ReceiveMaximum),
        (size > 0 && size < LARGEST_FRAME).then_some(Property::MaximumPacketSize(size)),
        (options.topic_alias_maximum > 0).then_some(Property::TopicAliasMaximum(options.topic_alias_maximum)),
    ]
    .into_iter()
    .flatten()
    .chain(authentication.iter().cloned())
    .chain(options.user_properties.iter().cloned().map(Property::UserProperty))
    .collect()
}

/// Whether a server that refused or disconnected with this reason may think otherwise later. After the others the same
/// CONNECT would fare no better, or (session taken over) two clients would throw each other out for ever.
pub(super) fn worth_another_try(reason: ReasonCode) -> bool {
    !matches!(
        reason,
        ReasonCode::UnsupportedProtocolVersion
            | ReasonCode::ClientIdentifierNotValid
            | ReasonCode::BadUserNameOrPassword
            | ReasonCode::NotAuthorized
            | ReasonCode::Banned
            | ReasonCode::BadAuthenticationMethod
            | ReasonCode::SessionTakenOver
            | ReasonCode::TopicNameInvalid
            | ReasonCode::PacketTooLarge
            | ReasonCode::PayloadFormatInvalid
            | ReasonCode::RetainNotSupported
            | ReasonCode::QosNotSupported
            | ReasonCode::UseAnotherServer
            | ReasonCode::ServerMoved
            | ReasonCode::MalformedPacket
            | ReasonCode::ProtocolError
    )
}
