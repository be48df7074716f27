//! The protocol versions. A version is an argument of `encode` and `decode`, not a second set of types.

use std::fmt;

/// A version of the protocol, in the order in which they were published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Version {
    /// MQTT 3.1 (IBM and Eurotech, 2010): protocol name `MQIsdp`, version byte 3.
    V3_1,
    /// MQTT 3.1.1 (OASIS, 2014): protocol name `MQTT`, version byte 4.
    V3_1_1,
    /// MQTT 5.0 (OASIS, 2019): protocol name `MQTT`, version byte 5.
    V5_0,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5_0];

    /// The protocol name that CONNECT carries.
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Version::V3_1 => "MQIsdp",
            Version::V3_1_1 | Version::V5_0 => "MQTT",
        }
    }

    /// The protocol version byte that CONNECT carries.
    pub const fn level(self) -> u8 {
        match self {
            Version::V3_1 => 3,
            Version::V3_1_1 => 4,
            Version::V5_0 => 5,
        }
    }

    /// Whether packets of this version carry properties and reason codes.
    pub const fn has_properties(self) -> bool {
        matches!(self, Version::V5_0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V3_1 => "3.1",
            Version::V3_1_1 => "3.1.1",
            Version::V5_0 => "5.0",
        })
    }
}

impl std::str::FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "3.1" => Ok(Version::V3_1),
            "3.1.1" => Ok(Version::V3_1_1),
            "5.0" | "5" => Ok(Version::V5_0),
            other => Err(UnknownVersion(other.to_owned())),
        }
    }
}

/// The text names no version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol version '{0}', expected one of 3.1, 3.1.1, 5.0")]
pub struct UnknownVersion(String);
