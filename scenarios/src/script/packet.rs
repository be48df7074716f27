//! The packets in the words of a script: the same fields are sent and expected. Unnamed fields are not compared.

use std::num::NonZeroU32;

use bytes::Bytes;
use serde::Deserialize;
use squall_codec::property::{Properties, Property};

use crate::script::{
    place::{Place, Placed},
    words::{
        Expiry, Filter, KeepAlive, PacketIdWord, QosWord, Reason, RetainHandlingWord, ScramWord, Seconds, TextWord,
        Time, Topic, UserProperties, VersionWord,
    },
};

/// The fields of one packet: those that every version has, and those that only 5.0 has, with their places.
macro_rules! fields {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* } only_5 { $($field_5:ident: $type_5:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$type>,)*
            $(pub(crate) $field_5: Option<Placed<$type_5>>,)*
        }

        impl $name {
            /// The first field that only 5.0 has.
            pub(crate) fn only_5(&self) -> Option<(&'static str, Place)> {
                $(if let Some(field) = &self.$field_5 {
                    return Some((stringify!($field_5), field.place));
                })*
                None
            }
        }
    };
}

fields! {
    /// CONNECT as it is sent; as a verb also what must come back.
    ConnectWords {
        clean_start: bool,
        keep_alive: KeepAlive,
        client_id: String,
        session_expiry: Placed<Expiry>,
        will: WillWords,
        username: TextWord,
        password: String,
        // What the verb expects of CONNACK; not part of `send: { connect: … }`.
        session_present: Placed<bool>,
        reason: Placed<Reason>,
        within: Placed<Time>,
        // Only for whole clients.
        reconnect: Placed<Reconnect>,
        first_packet_id: Placed<u16>,
        last_packet_id: Placed<u16>,
        // Only in a storm.
        version: Placed<VersionWord>,
        answers: Placed<AnswersWords>,
    } only_5 {
        receive_maximum: u16,
        maximum_packet_size: u32,
        topic_alias_maximum: u16,
        request_response_information: bool,
        request_problem_information: bool,
        authentication_method: TextWord,
        authentication_data: String,
        user_properties: UserProperties,
        // The whole exchange of a verb: its method, its data, and the AUTH packets that follow.
        scram: ScramWords,
    }
}

/// What an application does with messages above QoS 0.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswersWords {
    pub(crate) after: Time,
    /// Each message with this number.
    pub(crate) refuses: Option<NonZeroU32>,
}

fields! {
    /// The will inside CONNECT.
    WillWords {
        topic: Topic,
        payload: String,
        qos: QosWord,
        retain: bool,
    } only_5 {
        delay: Seconds,
        message_expiry: Seconds,
        payload_format_indicator: u8,
        content_type: TextWord,
        response_topic: TextWord,
        correlation_data: String,
        user_properties: UserProperties,
    }
}

fields! {
    /// CONNACK.
    ConnackWords {
        session_present: bool,
        reason: Reason,
    } only_5 {
        session_expiry: Expiry,
        receive_maximum: u16,
        maximum_qos: u8,
        retain_available: bool,
        maximum_packet_size: u32,
        assigned_client_identifier: TextWord,
        topic_alias_maximum: u16,
        reason_string: TextWord,
        wildcard_subscription_available: bool,
        subscription_identifier_available: bool,
        shared_subscription_available: bool,
        server_keep_alive: KeepAlive,
        response_information: TextWord,
        server_reference: TextWord,
        authentication_method: TextWord,
        authentication_data: String,
        user_properties: UserProperties,
    }
}

fields! {
    /// PUBLISH; also a message as a whole client hands it to its application.
    PublishWords {
        topic: Topic,
        payload: String,
        qos: QosWord,
        retain: bool,
        dup: bool,
        packet_id: PacketIdWord,
    } only_5 {
        payload_format_indicator: u8,
        message_expiry: Seconds,
        topic_alias: u16,
        response_topic: TextWord,
        correlation_data: String,
        subscription_identifiers: Vec<u32>,
        content_type: TextWord,
        user_properties: UserProperties,
    }
}

fields! {
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    AckWords {
        packet_id: PacketIdWord,
    } only_5 {
        reason: Reason,
        reason_string: TextWord,
        user_properties: UserProperties,
    }
}

fields! {
    /// SUBSCRIBE with one filter; as a verb also what is granted.
    SubscribeWords {
        packet_id: Placed<PacketIdWord>,
        filter: Filter,
        qos: QosWord,
        granted: Placed<Reason>,
        // Only in a storm.
        also: Placed<Vec<AlsoWords>>,
    } only_5 {
        no_local: bool,
        retain_as_published: bool,
        retain_handling: RetainHandlingWord,
        subscription_identifier: u32,
        user_properties: UserProperties,
    }
}

/// What a SUBSCRIBE asks for beside its first filter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlsoWords {
    pub(crate) filter: Filter,
    pub(crate) qos: Option<QosWord>,
    pub(crate) no_local: Option<bool>,
    pub(crate) retain_as_published: Option<bool>,
    pub(crate) retain_handling: Option<RetainHandlingWord>,
}

fields! {
    /// SUBACK.
    SubackWords {
        packet_id: PacketIdWord,
        reasons: Vec<Reason>,
    } only_5 {
        reason_string: TextWord,
        user_properties: UserProperties,
    }
}

fields! {
    /// UNSUBSCRIBE with one filter.
    UnsubscribeWords {
        packet_id: Placed<PacketIdWord>,
        filter: Filter,
        // Only in a storm.
        also: Placed<Vec<Filter>>,
    } only_5 {
        user_properties: UserProperties,
    }
}

fields! {
    /// UNSUBACK.
    UnsubackWords {
        packet_id: PacketIdWord,
    } only_5 {
        reasons: Vec<Reason>,
        reason_string: TextWord,
        user_properties: UserProperties,
    }
}

fields! {
    /// DISCONNECT.
    DisconnectWords {
    } only_5 {
        reason: Reason,
        session_expiry: Expiry,
        reason_string: TextWord,
        server_reference: TextWord,
        user_properties: UserProperties,
    }
}

fields! {
    /// AUTH, which only 5.0 has as a whole.
    AuthWords {
    } only_5 {
        reason: Reason,
        authentication_method: TextWord,
        authentication_data: String,
        reason_string: TextWord,
        user_properties: UserProperties,
    }
}

/// Name and password of SCRAM-SHA-256.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScramWords {
    pub(crate) username: ScramWord,
    pub(crate) password: ScramWord,
}

/// A re-authentication, and how it ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReauthenticateWords {
    /// Left out: as the actor has connected.
    pub(crate) scram: Option<ScramWords>,
    /// Of the DISCONNECT that says no.
    pub(crate) reason: Option<Placed<Reason>>,
}

/// `{}`: a packet or a verb without fields.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Whether and how soon a whole client tries again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reconnect {
    /// Not at all.
    Never,
    /// First after this long, with jitter; doubled each time up to ten times as long.
    After(Time),
}

/// Collects the properties that are named, in the order of the standard's table where it matters to nobody.
struct Collect(Vec<Property>);

impl Collect {
    fn new() -> Self {
        Collect(Vec::new())
    }

    fn one<T: Clone>(mut self, value: Option<&Placed<T>>, property: impl FnOnce(T) -> Property) -> Self {
        self.0.extend(value.map(|placed| property(placed.value.clone())));
        self
    }

    fn flag(self, value: Option<&Placed<bool>>, property: impl FnOnce(u8) -> Property) -> Self {
        self.one(value, |yes| property(u8::from(yes)))
    }

    fn text(
        self,
        value: Option<&Placed<TextWord>>,
        property: impl FnOnce(squall_codec::wire::Text) -> Property,
    ) -> Self {
        self.one(value, |text| property(text.0))
    }

    fn data(self, value: Option<&Placed<String>>, property: impl FnOnce(Bytes) -> Property) -> Self {
        self.one(value, |data| property(Bytes::from(data)))
    }

    fn pairs(mut self, value: Option<&Placed<UserProperties>>) -> Self {
        self.0.extend(value.iter().flat_map(|placed| placed.value.properties()));
        self
    }

    fn done(self) -> Properties {
        self.0.into_iter().collect()
    }
}

impl ConnectWords {
    /// The packet identifiers that a whole client gives out.
    pub(crate) fn packet_ids(&self) -> Option<(u16, u16)> {
        let (first, last) = (self.first_packet_id.as_ref(), self.last_packet_id.as_ref());
        first.or(last)?;
        Some((first.map_or(1, |first| first.value), last.map_or(u16::MAX, |last| last.value)))
    }

    /// What only a whole client does by itself.
    pub(crate) fn only_client(&self) -> Option<(&'static str, Place)> {
        let numbers = self.first_packet_id.as_ref().map(|placed| ("first_packet_id", placed.place));
        let numbers = numbers.or(self.last_packet_id.as_ref().map(|placed| ("last_packet_id", placed.place)));
        self.reconnect.as_ref().map(|placed| ("reconnect", placed.place)).or(numbers)
    }

    /// What the client library leaves to itself.
    pub(crate) fn only_peer(&self) -> Option<(&'static str, Place)> {
        let flag = |name, field: &Option<Placed<bool>>| field.as_ref().map(|field| (name, field.place));
        self.authentication()
            .or(flag("request_response_information", &self.request_response_information))
            .or(flag("request_problem_information", &self.request_problem_information))
    }

    /// A method in the words of the wire.
    pub(crate) fn authentication(&self) -> Option<(&'static str, Place)> {
        let method = self.authentication_method.as_ref().map(|field| ("authentication_method", field.place));
        method.or(self.authentication_data.as_ref().map(|field| ("authentication_data", field.place)))
    }

    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .one(self.session_expiry.as_ref(), |expiry| Property::SessionExpiryInterval(expiry.0))
            .one(self.receive_maximum.as_ref(), Property::ReceiveMaximum)
            .one(self.maximum_packet_size.as_ref(), Property::MaximumPacketSize)
            .one(self.topic_alias_maximum.as_ref(), Property::TopicAliasMaximum)
            .flag(self.request_response_information.as_ref(), Property::RequestResponseInformation)
            .flag(self.request_problem_information.as_ref(), Property::RequestProblemInformation)
            .text(self.authentication_method.as_ref(), Property::AuthenticationMethod)
            .data(self.authentication_data.as_ref(), Property::AuthenticationData)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl WillWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .one(self.delay.as_ref(), |delay| Property::WillDelayInterval(delay.0))
            .one(self.payload_format_indicator.as_ref(), Property::PayloadFormatIndicator)
            .one(self.message_expiry.as_ref(), |expiry| Property::MessageExpiryInterval(expiry.0))
            .text(self.content_type.as_ref(), Property::ContentType)
            .text(self.response_topic.as_ref(), Property::ResponseTopic)
            .data(self.correlation_data.as_ref(), Property::CorrelationData)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl ConnackWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .one(self.session_expiry.as_ref(), |expiry| Property::SessionExpiryInterval(expiry.0))
            .one(self.receive_maximum.as_ref(), Property::ReceiveMaximum)
            .one(self.maximum_qos.as_ref(), Property::MaximumQos)
            .flag(self.retain_available.as_ref(), Property::RetainAvailable)
            .one(self.maximum_packet_size.as_ref(), Property::MaximumPacketSize)
            .text(self.assigned_client_identifier.as_ref(), Property::AssignedClientIdentifier)
            .one(self.topic_alias_maximum.as_ref(), Property::TopicAliasMaximum)
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .flag(self.wildcard_subscription_available.as_ref(), Property::WildcardSubscriptionAvailable)
            .flag(self.subscription_identifier_available.as_ref(), Property::SubscriptionIdentifierAvailable)
            .flag(self.shared_subscription_available.as_ref(), Property::SharedSubscriptionAvailable)
            .one(self.server_keep_alive.as_ref(), |keep_alive| Property::ServerKeepAlive(keep_alive.0))
            .text(self.response_information.as_ref(), Property::ResponseInformation)
            .text(self.server_reference.as_ref(), Property::ServerReference)
            .text(self.authentication_method.as_ref(), Property::AuthenticationMethod)
            .data(self.authentication_data.as_ref(), Property::AuthenticationData)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl PublishWords {
    pub(crate) fn properties(&self) -> Properties {
        let mut properties = Collect::new()
            .one(self.payload_format_indicator.as_ref(), Property::PayloadFormatIndicator)
            .one(self.message_expiry.as_ref(), |expiry| Property::MessageExpiryInterval(expiry.0))
            .one(self.topic_alias.as_ref(), Property::TopicAlias)
            .text(self.response_topic.as_ref(), Property::ResponseTopic)
            .data(self.correlation_data.as_ref(), Property::CorrelationData)
            .text(self.content_type.as_ref(), Property::ContentType)
            .pairs(self.user_properties.as_ref());
        let identifiers = self.subscription_identifiers.iter().flat_map(|placed| placed.value.iter().copied());
        properties.0.extend(identifiers.map(Property::SubscriptionIdentifier));
        properties.done()
    }
}

impl AckWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl SubscribeWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .one(self.subscription_identifier.as_ref(), Property::SubscriptionIdentifier)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl SubackWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl UnsubscribeWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new().pairs(self.user_properties.as_ref()).done()
    }
}

impl UnsubackWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl DisconnectWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .one(self.session_expiry.as_ref(), |expiry| Property::SessionExpiryInterval(expiry.0))
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .text(self.server_reference.as_ref(), Property::ServerReference)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}

impl AuthWords {
    pub(crate) fn properties(&self) -> Properties {
        Collect::new()
            .text(self.authentication_method.as_ref(), Property::AuthenticationMethod)
            .data(self.authentication_data.as_ref(), Property::AuthenticationData)
            .text(self.reason_string.as_ref(), Property::ReasonString)
            .pairs(self.user_properties.as_ref())
            .done()
    }
}
