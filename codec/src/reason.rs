//! The reason codes of 5.0 (sections 2.4, 3.2.2.2, 3.4.2.1 … 3.15.2.1) and their counterparts in 3.1 and 3.1.1: one table.

use std::fmt;

use crate::packet::PacketKind;

/// Which end of a connection: it decides which packets, properties and codes may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Side {
    /// The end that sent CONNECT.
    Client,
    /// The end that answered it.
    Server,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Client => "client",
            Side::Server => "server",
        })
    }
}

const CLIENT: u8 = 1;
const SERVER: u8 = 2;
const BOTH: u8 = CLIENT | SERVER;

macro_rules! reason_codes {
    ($($name:ident = $value:literal, $text:literal, [$($packet:ident $sender:ident),*];)*) => {
        /// Why something happened. Values below 0x80 are success, the others failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        #[repr(u8)]
        pub enum ReasonCode {
            $(#[doc = concat!("`", stringify!($value), "` ", $text, ".")] $name = $value,)*
        }

        impl ReasonCode {
            /// Every code, in the order of their values.
            pub const ALL: &[ReasonCode] = &[$(ReasonCode::$name),*];

            /// The code with this value, if the standard has one.
            pub const fn from_value(value: u8) -> Option<ReasonCode> {
                match value {
                    $($value => Some(ReasonCode::$name),)*
                    _ => None,
                }
            }

            /// The standard's name of the code.
            pub const fn name(self) -> &'static str {
                match self { $(ReasonCode::$name => $text,)* }
            }

            const fn senders(self, packet: PacketKind) -> u8 {
                match self {
                    $(ReasonCode::$name => match packet {
                        $(PacketKind::$packet => $sender,)*
                        _ => 0,
                    },)*
                }
            }
        }
    };
}

reason_codes! {
    Success = 0x00, "Success", [Connack SERVER, Puback BOTH, Pubrec BOTH, Pubrel BOTH, Pubcomp BOTH, Suback SERVER, Unsuback SERVER, Disconnect BOTH, Auth SERVER];
    GrantedQos1 = 0x01, "Granted QoS 1", [Suback SERVER];
    GrantedQos2 = 0x02, "Granted QoS 2", [Suback SERVER];
    DisconnectWithWillMessage = 0x04, "Disconnect with Will Message", [Disconnect CLIENT];
    NoMatchingSubscribers = 0x10, "No matching subscribers", [Puback SERVER, Pubrec SERVER];
    NoSubscriptionExisted = 0x11, "No subscription existed", [Unsuback SERVER];
    ContinueAuthentication = 0x18, "Continue authentication", [Auth BOTH];
    ReAuthenticate = 0x19, "Re-authenticate", [Auth CLIENT];
    UnspecifiedError = 0x80, "Unspecified error", [Connack SERVER, Puback BOTH, Pubrec BOTH, Suback SERVER, Unsuback SERVER, Disconnect BOTH];
    MalformedPacket = 0x81, "Malformed Packet", [Connack SERVER, Disconnect BOTH];
    ProtocolError = 0x82, "Protocol Error", [Connack SERVER, Disconnect BOTH];
    ImplementationSpecificError = 0x83, "Implementation specific error", [Connack SERVER, Puback BOTH, Pubrec BOTH, Suback SERVER, Unsuback SERVER, Disconnect BOTH];
    UnsupportedProtocolVersion = 0x84, "Unsupported Protocol Version", [Connack SERVER];
    ClientIdentifierNotValid = 0x85, "Client Identifier not valid", [Connack SERVER];
    BadUserNameOrPassword = 0x86, "Bad User Name or Password", [Connack SERVER];
    NotAuthorized = 0x87, "Not authorized", [Connack SERVER, Puback BOTH, Pubrec BOTH, Suback SERVER, Unsuback SERVER, Disconnect SERVER];
    ServerUnavailable = 0x88, "Server unavailable", [Connack SERVER];
    ServerBusy = 0x89, "Server busy", [Connack SERVER, Disconnect SERVER];
    Banned = 0x8A, "Banned", [Connack SERVER];
    ServerShuttingDown = 0x8B, "Server shutting down", [Disconnect SERVER];
    BadAuthenticationMethod = 0x8C, "Bad authentication method", [Connack SERVER, Disconnect BOTH];
    KeepAliveTimeout = 0x8D, "Keep Alive timeout", [Disconnect SERVER];
    SessionTakenOver = 0x8E, "Session taken over", [Disconnect SERVER];
    TopicFilterInvalid = 0x8F, "Topic Filter invalid", [Suback SERVER, Unsuback SERVER, Disconnect SERVER];
    TopicNameInvalid = 0x90, "Topic Name invalid", [Connack SERVER, Puback BOTH, Pubrec BOTH, Disconnect BOTH];
    PacketIdentifierInUse = 0x91, "Packet Identifier in use", [Puback BOTH, Pubrec BOTH, Suback SERVER, Unsuback SERVER];
    PacketIdentifierNotFound = 0x92, "Packet Identifier not found", [Pubrel BOTH, Pubcomp BOTH];
    ReceiveMaximumExceeded = 0x93, "Receive Maximum exceeded", [Disconnect BOTH];
    TopicAliasInvalid = 0x94, "Topic Alias invalid", [Disconnect BOTH];
    PacketTooLarge = 0x95, "Packet too large", [Connack SERVER, Disconnect BOTH];
    MessageRateTooHigh = 0x96, "Message rate too high", [Disconnect BOTH];
    QuotaExceeded = 0x97, "Quota exceeded", [Connack SERVER, Puback BOTH, Pubrec BOTH, Suback SERVER, Disconnect BOTH];
    AdministrativeAction = 0x98, "Administrative action", [Disconnect BOTH];
    PayloadFormatInvalid = 0x99, "Payload format invalid", [Connack SERVER, Puback BOTH, Pubrec BOTH, Disconnect BOTH];
    RetainNotSupported = 0x9A, "Retain not supported", [Connack SERVER, Disconnect SERVER];
    QosNotSupported = 0x9B, "QoS not supported", [Connack SERVER, Disconnect BOTH];
    UseAnotherServer = 0x9C, "Use another server", [Connack SERVER, Disconnect SERVER];
    ServerMoved = 0x9D, "Server moved", [Connack SERVER, Disconnect SERVER];
    SharedSubscriptionsNotSupported = 0x9E, "Shared Subscriptions not supported", [Suback SERVER, Disconnect SERVER];
    ConnectionRateExceeded = 0x9F, "Connection rate exceeded", [Connack SERVER, Disconnect SERVER];
    MaximumConnectTime = 0xA0, "Maximum connect time", [Disconnect SERVER];
    SubscriptionIdentifiersNotSupported = 0xA1, "Subscription Identifiers not supported", [Suback SERVER, Disconnect SERVER];
    WildcardSubscriptionsNotSupported = 0xA2, "Wildcard Subscriptions not supported", [Suback SERVER, Disconnect SERVER];
}

impl ReasonCode {
    /// `Success` under the name it has in DISCONNECT.
    pub const NORMAL_DISCONNECTION: ReasonCode = ReasonCode::Success;
    /// `Success` under the name it has in SUBACK.
    pub const GRANTED_QOS_0: ReasonCode = ReasonCode::Success;

    /// The byte on the wire.
    pub const fn value(self) -> u8 {
        self as u8
    }

    /// Whether the code stands for a failure (0x80 and above).
    pub const fn is_failure(self) -> bool {
        self.value() >= 0x80
    }

    /// Whether `sender` may put this code into this packet (the tables of 3.2.2.2, 3.4.2.1, … 3.15.2.1).
    pub const fn allowed_in(self, packet: PacketKind, sender: Side) -> bool {
        let bit = match sender {
            Side::Client => CLIENT,
            Side::Server => SERVER,
        };
        self.senders(packet) & bit != 0
    }

    /// The CONNACK return code of 3.1 and 3.1.1 (table 3.1 of 3.1.1) that says the same; `None` where those versions
    /// have no way to say it and the connection is closed without a CONNACK.
    pub const fn connack_return_code(self) -> Option<u8> {
        match self {
            ReasonCode::Success => Some(0),
            ReasonCode::UnsupportedProtocolVersion => Some(1),
            ReasonCode::ClientIdentifierNotValid => Some(2),
            ReasonCode::ServerUnavailable | ReasonCode::ServerBusy | ReasonCode::QuotaExceeded => Some(3),
            ReasonCode::BadUserNameOrPassword => Some(4),
            ReasonCode::NotAuthorized | ReasonCode::Banned => Some(5),
            _ => None,
        }
    }

    /// The reason that a CONNACK return code of 3.1 and 3.1.1 stands for.
    pub const fn from_connack_return_code(code: u8) -> Option<ReasonCode> {
        match code {
            0 => Some(ReasonCode::Success),
            1 => Some(ReasonCode::UnsupportedProtocolVersion),
            2 => Some(ReasonCode::ClientIdentifierNotValid),
            3 => Some(ReasonCode::ServerUnavailable),
            4 => Some(ReasonCode::BadUserNameOrPassword),
            5 => Some(ReasonCode::NotAuthorized),
            _ => None,
        }
    }

    /// The SUBACK return code of 3.1.1 (section 3.9.3): the granted QoS, or 0x80 for any failure.
    pub const fn suback_return_code(self) -> u8 {
        if self.is_failure() { 0x80 } else { self.value() }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X} {}", self.value(), self.name())
    }
}
