//! The 27 properties of 5.0 (section 2.2.2.2): one table says identifier, type, where each may stand and how often.

mod block;
mod view;

use std::fmt;

use bytes::Bytes;

pub(crate) use block::{Head, block_len, put_block_len};
pub use view::{PropertiesView, PropertyViews, ValueView};

use crate::{
    error::{DecodeError, EncodeError},
    packet::PacketKind,
    reason::Side,
    wire::{Reader, Text, TextView, VARIABLE_BYTE_INTEGER_MAX, Writer, variable_len},
};

/// A place that may hold properties: a packet, or the will inside CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the standard's packet names")]
pub enum Place {
    Connect,
    Will,
    Connack,
    Publish,
    Puback,
    Pubrec,
    Pubrel,
    Pubcomp,
    Subscribe,
    Suback,
    Unsubscribe,
    Unsuback,
    Disconnect,
    Auth,
}

/// How a property's value is written (section 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// One byte.
    Byte,
    /// Two Byte Integer.
    Two,
    /// Four Byte Integer.
    Four,
    /// Variable Byte Integer.
    Variable,
    /// UTF-8 Encoded String.
    Text,
    /// Binary Data.
    Binary,
    /// UTF-8 String Pair.
    Pair,
}

/// A property's value by its kind: for those who treat all 27 alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `PropertyKind`")]
pub enum PropertyValue<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    Text(&'a Text),
    Binary(&'a Bytes),
    Pair(&'a Text, &'a Text),
}

macro_rules! rust_type {
    (Byte) => {
        u8
    };
    (Two) => {
        u16
    };
    (Four) => {
        u32
    };
    (Variable) => {
        u32
    };
    (Text) => {
        Text
    };
    (Binary) => {
        Bytes
    };
    (Pair) => {
        (Text, Text)
    };
}

macro_rules! properties {
    ($($id:literal $name:ident $getter:ident $kind:ident [$($place:ident),*] $text:literal;)*) => {
        /// The identifier of a property.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = concat!("`", stringify!($id), "` ", $text, ".")] $name = $id,)*
        }

        /// A property with its value, unchecked but for its type: `decode` checks the bounds of section 2.2.2.2.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Property {
            $(#[doc = concat!("`", stringify!($id), "` ", $text, ".")]
              $name(rust_type!($kind)),)*
        }

        impl PropertyId {
            /// All 27, in the order of their identifiers.
            pub const ALL: &[PropertyId] = &[$(PropertyId::$name),*];

            /// The property with this identifier, if the standard has one.
            pub const fn from_value(value: u32) -> Option<PropertyId> {
                match value {
                    $($id => Some(PropertyId::$name),)*
                    _ => None,
                }
            }

            /// The standard's name.
            pub const fn name(self) -> &'static str {
                match self { $(PropertyId::$name => $text,)* }
            }

            /// The standard's name as one word, as in `session_expiry_interval`.
            pub const fn word(self) -> &'static str {
                match self { $(PropertyId::$name => stringify!($getter),)* }
            }

            /// How the value is written.
            pub const fn kind(self) -> PropertyKind {
                match self { $(PropertyId::$name => PropertyKind::$kind,)* }
            }

            /// Whether the property may stand in this place, whoever sends it.
            pub const fn allowed_in(self, place: Place) -> bool {
                self.places() >> place as u16 & 1 != 0
            }

            /// The places that allow it, a bit for each.
            const fn places(self) -> u16 {
                match self { $(PropertyId::$name => 0 $(| 1 << Place::$place as u16)*,)* }
            }
        }

        impl Property {
            /// The identifier.
            pub const fn id(&self) -> PropertyId {
                match self { $(Property::$name(_) => PropertyId::$name,)* }
            }
        }

        impl Properties {
            $(properties!(@getter $name $getter $kind $text);)*
        }

        impl<'a> PropertiesView<'a> {
            $(properties!(@view $name $getter $kind $text);)*
        }

        impl Property {
            /// Reads the value of the property whose identifier was read, in what was checked before.
            #[inline]
            pub(crate) fn read(id: PropertyId, reader: &mut Reader<'_>) -> Result<Property, DecodeError> {
                Ok(match id { $(PropertyId::$name => Property::$name(properties!(@read reader $kind $text)),)* })
            }

            /// Bytes that the property takes, identifier included.
            pub(crate) fn encoded_len(&self) -> usize {
                1 + match self { $(Property::$name(value) => properties!(@len value $kind),)* }
            }

            /// Appends identifier and value.
            #[inline]
            pub(crate) fn encode(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self { $(Property::$name(value) => properties!(@put out $id value $kind $text),)* }
                Ok(())
            }

            /// The value by its kind.
            pub fn value(&self) -> PropertyValue<'_> {
                match self { $(Property::$name(value) => properties!(@value value $kind),)* }
            }
        }
    };
    (@read $reader:ident Byte $text:literal) => { $reader.u8($text)? };
    (@read $reader:ident Two $text:literal) => { $reader.u16($text)? };
    (@read $reader:ident Four $text:literal) => { $reader.u32($text)? };
    (@read $reader:ident Variable $text:literal) => { $reader.variable($text)? };
    (@read $reader:ident Text $text:literal) => { $reader.checked_text($text)? };
    (@read $reader:ident Binary $text:literal) => { $reader.binary($text)? };
    (@read $reader:ident Pair $text:literal) => { ($reader.checked_text($text)?, $reader.checked_text($text)?) };
    (@len $value:ident Byte) => {{ let _ = $value; 1 }};
    (@len $value:ident Two) => {{ let _ = $value; 2 }};
    (@len $value:ident Four) => {{ let _ = $value; 4 }};
    (@len $value:ident Variable) => { variable_len(*$value) };
    (@len $value:ident Pair) => { 4 + $value.0.len() + $value.1.len() };
    (@len $value:ident $kind:ident) => { 2 + $value.len() };
    (@put $out:ident $id:literal $value:ident Byte $text:literal) => { $out.put([$id, *$value]) };
    (@put $out:ident $id:literal $value:ident Two $text:literal) => {{
        let [high, low] = $value.to_be_bytes();
        $out.put([$id, high, low])
    }};
    (@put $out:ident $id:literal $value:ident Four $text:literal) => {{
        let [first, second, third, fourth] = $value.to_be_bytes();
        $out.put([$id, first, second, third, fourth])
    }};
    (@put $out:ident $id:literal $value:ident Variable $text:literal) => {{
        $out.put_u8($id);
        $out.put_bounded(*$value, $text)?
    }};
    (@put $out:ident $id:literal $value:ident Text $text:literal) => {{
        $out.put_u8($id);
        $out.put_text($value)
    }};
    (@put $out:ident $id:literal $value:ident Binary $text:literal) => {{
        $out.put_u8($id);
        $out.put_binary($value, $text)?
    }};
    (@put $out:ident $id:literal $value:ident Pair $text:literal) => {{
        $out.put_u8($id);
        $out.put_text(&$value.0);
        $out.put_text(&$value.1)
    }};
    (@value $value:ident Byte) => { PropertyValue::Byte(*$value) };
    (@value $value:ident Two) => { PropertyValue::Two(*$value) };
    (@value $value:ident Four) => { PropertyValue::Four(*$value) };
    (@value $value:ident Variable) => { PropertyValue::Variable(*$value) };
    (@value $value:ident Text) => { PropertyValue::Text($value) };
    (@value $value:ident Binary) => { PropertyValue::Binary($value) };
    (@value $value:ident Pair) => { PropertyValue::Pair(&$value.0, &$value.1) };
    (@getter UserProperty $getter:ident $kind:ident $text:literal) => {
        /// Every User Property, in order.
        pub fn user_properties(&self) -> impl Iterator<Item = &(Text, Text)> {
            self.iter().filter_map(|property| match property {
                Property::UserProperty(pair) => Some(pair),
                _ => None,
            })
        }
    };
    (@getter SubscriptionIdentifier $getter:ident $kind:ident $text:literal) => {
        /// Every Subscription Identifier, in order.
        pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
            self.iter().filter_map(|property| match property {
                Property::SubscriptionIdentifier(value) => Some(*value),
                _ => None,
            })
        }
    };
    (@getter $name:ident $getter:ident Text $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(&self) -> Option<&Text> {
            self.iter().find_map(|property| match property { Property::$name(value) => Some(value), _ => None })
        }
    };
    (@getter $name:ident $getter:ident Binary $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(&self) -> Option<&Bytes> {
            self.iter().find_map(|property| match property { Property::$name(value) => Some(value), _ => None })
        }
    };
    (@getter $name:ident $getter:ident $kind:ident $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(&self) -> Option<rust_type!($kind)> {
            self.iter().find_map(|property| match property { Property::$name(value) => Some(*value), _ => None })
        }
    };
    (@view UserProperty $getter:ident $kind:ident $text:literal) => {
        /// Every User Property, in order.
        pub fn user_properties(self) -> impl Iterator<Item = (&'a str, &'a str)> {
            self.iter().filter_map(|(_, value)| match value { ValueView::Pair(name, value) => Some((name, value)), _ => None })
        }
    };
    (@view SubscriptionIdentifier $getter:ident $kind:ident $text:literal) => {
        /// Every Subscription Identifier, in order.
        pub fn subscription_identifiers(self) -> impl Iterator<Item = u32> {
            self.iter().filter_map(|(_, value)| match value { ValueView::Variable(value) => Some(value), _ => None })
        }
    };
    (@view $name:ident $getter:ident Text $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(self) -> Option<TextView<'a>> {
            match self.value(PropertyId::$name)? {
                ValueView::Text(value) => Some(TextView::checked(value.as_bytes())),
                _ => None,
            }
        }
    };
    (@view $name:ident $getter:ident Binary $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(self) -> Option<&'a [u8]> {
            match self.value(PropertyId::$name)? { ValueView::Binary(value) => Some(value), _ => None }
        }
    };
    (@view $name:ident $getter:ident $kind:ident $text:literal) => {
        #[doc = concat!("The value of ", $text, ", if it is there.")]
        pub fn $getter(self) -> Option<rust_type!($kind)> {
            match self.value(PropertyId::$name)? { ValueView::$kind(value) => Some(value), _ => None }
        }
    };
}

/// The properties of one packet, in the order in which they stand on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Properties {
    list: Vec<Property>,
    /// Bytes that they take on the wire, without the length of the block.
    bytes: usize,
}

properties! {
    0x01 PayloadFormatIndicator payload_format_indicator Byte [Will, Publish] "Payload Format Indicator";
    0x02 MessageExpiryInterval message_expiry_interval Four [Will, Publish] "Message Expiry Interval";
    0x03 ContentType content_type Text [Will, Publish] "Content Type";
    0x08 ResponseTopic response_topic Text [Will, Publish] "Response Topic";
    0x09 CorrelationData correlation_data Binary [Will, Publish] "Correlation Data";
    0x0B SubscriptionIdentifier subscription_identifier Variable [Publish, Subscribe] "Subscription Identifier";
    0x11 SessionExpiryInterval session_expiry_interval Four [Connect, Connack, Disconnect] "Session Expiry Interval";
    0x12 AssignedClientIdentifier assigned_client_identifier Text [Connack] "Assigned Client Identifier";
    0x13 ServerKeepAlive server_keep_alive Two [Connack] "Server Keep Alive";
    0x15 AuthenticationMethod authentication_method Text [Connect, Connack, Auth] "Authentication Method";
    0x16 AuthenticationData authentication_data Binary [Connect, Connack, Auth] "Authentication Data";
    0x17 RequestProblemInformation request_problem_information Byte [Connect] "Request Problem Information";
    0x18 WillDelayInterval will_delay_interval Four [Will] "Will Delay Interval";
    0x19 RequestResponseInformation request_response_information Byte [Connect] "Request Response Information";
    0x1A ResponseInformation response_information Text [Connack] "Response Information";
    0x1C ServerReference server_reference Text [Connack, Disconnect] "Server Reference";
    0x1F ReasonString reason_string Text [Connack, Puback, Pubrec, Pubrel, Pubcomp, Suback, Unsuback, Disconnect, Auth] "Reason String";
    0x21 ReceiveMaximum receive_maximum Two [Connect, Connack] "Receive Maximum";
    0x22 TopicAliasMaximum topic_alias_maximum Two [Connect, Connack] "Topic Alias Maximum";
    0x23 TopicAlias topic_alias Two [Publish] "Topic Alias";
    0x24 MaximumQos maximum_qos Byte [Connack] "Maximum QoS";
    0x25 RetainAvailable retain_available Byte [Connack] "Retain Available";
    0x26 UserProperty user_property Pair [Connect, Will, Connack, Publish, Puback, Pubrec, Pubrel, Pubcomp, Subscribe, Suback, Unsubscribe, Unsuback, Disconnect, Auth] "User Property";
    0x27 MaximumPacketSize maximum_packet_size Four [Connect, Connack] "Maximum Packet Size";
    0x28 WildcardSubscriptionAvailable wildcard_subscription_available Byte [Connack] "Wildcard Subscription Available";
    0x29 SubscriptionIdentifierAvailable subscription_identifier_available Byte [Connack] "Subscription Identifier Available";
    0x2A SharedSubscriptionAvailable shared_subscription_available Byte [Connack] "Shared Subscription Available";
}

impl Place {
    /// All 14.
    pub(crate) const ALL: [Place; 14] = [
        Place::Connect,
        Place::Will,
        Place::Connack,
        Place::Publish,
        Place::Puback,
        Place::Pubrec,
        Place::Pubrel,
        Place::Pubcomp,
        Place::Subscribe,
        Place::Suback,
        Place::Unsubscribe,
        Place::Unsuback,
        Place::Disconnect,
        Place::Auth,
    ];

    /// The packet that holds the place.
    pub const fn packet(self) -> PacketKind {
        match self {
            Place::Connect | Place::Will => PacketKind::Connect,
            Place::Connack => PacketKind::Connack,
            Place::Publish => PacketKind::Publish,
            Place::Puback => PacketKind::Puback,
            Place::Pubrec => PacketKind::Pubrec,
            Place::Pubrel => PacketKind::Pubrel,
            Place::Pubcomp => PacketKind::Pubcomp,
            Place::Subscribe => PacketKind::Subscribe,
            Place::Suback => PacketKind::Suback,
            Place::Unsubscribe => PacketKind::Unsubscribe,
            Place::Unsuback => PacketKind::Unsuback,
            Place::Disconnect => PacketKind::Disconnect,
            Place::Auth => PacketKind::Auth,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Will => f.write_str("the will"),
            place => f.write_str(place.packet().name()),
        }
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PropertyId {
    /// Whether this side may send the property in this place, where the place allows it at all.
    pub const fn sent_by(self, place: Place, sender: Side) -> bool {
        match (self, place) {
            // [MQTT-3.3.4-6]
            (PropertyId::SubscriptionIdentifier, Place::Publish) => matches!(sender, Side::Server),
            // [MQTT-3.14.2-2]
            (PropertyId::SessionExpiryInterval, Place::Disconnect) => matches!(sender, Side::Client),
            (PropertyId::ServerReference, Place::Disconnect) => matches!(sender, Side::Server),
            _ => true,
        }
    }

    /// The smallest and the largest value of a number; of no meaning for the other kinds.
    pub const fn bounds(self) -> (u32, u32) {
        let least = match self {
            // [MQTT-3.3.2-8] A Topic Alias is not 0. The others are said without a number in 3.1.2.11 and 3.8.2.1.
            PropertyId::ReceiveMaximum
            | PropertyId::MaximumPacketSize
            | PropertyId::SubscriptionIdentifier
            | PropertyId::TopicAlias => 1,
            _ => 0,
        };
        let most = match self.kind() {
            // Every property of one byte is a yes or no, or a QoS of 0 or 1.
            PropertyKind::Byte => 1,
            PropertyKind::Two => u16::MAX as u32,
            PropertyKind::Variable => VARIABLE_BYTE_INTEGER_MAX,
            PropertyKind::Four | PropertyKind::Text | PropertyKind::Binary | PropertyKind::Pair => u32::MAX,
        };
        (least, most)
    }

    /// Whether the property may stand in this place more than once: User Property anywhere, Subscription Identifier
    /// in a PUBLISH from the server.
    pub const fn repeats_in(self, place: Place) -> bool {
        matches!((self, place), (PropertyId::UserProperty, _) | (PropertyId::SubscriptionIdentifier, Place::Publish))
    }
}

impl Properties {
    /// No properties.
    pub const fn new() -> Self {
        Properties { list: Vec::new(), bytes: 0 }
    }

    /// Appends one.
    pub fn push(&mut self, property: Property) {
        self.bytes += property.encoded_len();
        self.list.push(property);
    }

    /// The same with one more: for building a packet in one expression.
    #[must_use]
    pub fn with(mut self, property: Property) -> Self {
        self.push(property);
        self
    }

    /// In the order of the wire.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.list.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        let mut collected = Properties::new();
        properties.into_iter().for_each(|property| collected.push(property));
        collected
    }
}
