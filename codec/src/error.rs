//! What is wrong with bytes that came (`DecodeError`) or with a packet that should leave (`EncodeError`).
//!
//! One variant per cause; `reason_code` is the one map to the wire, `statement` names the rule that is broken.

use crate::{reason::ReasonCode, version::Version};

/// A frame that must not be acted on (section 4.13; `packets.md` section 6 lists every cause).
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
    },
    /// CONNECT asks for a version that does not exist.
    #[error("unsupported protocol version {level}")]
    UnsupportedVersion {
        /// The version byte.
        level: u8,
    },
}

impl DecodeError {
    /// The 5.0 reason code for CONNACK or DISCONNECT.
    pub const fn reason_code(&self) -> ReasonCode {
        match self {
            DecodeError::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            DecodeError::UnsupportedVersion { .. } => ReasonCode::UnsupportedProtocolVersion,
        }
    }

    /// The statement of this version that is broken (without brackets, as `MQTT-2.2.2-2`), where one has a number.
    pub const fn statement(&self, version: Version) -> Option<&'static str> {
        let _ = version;
        None
    }
}

/// A packet that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// This version has no such packet (AUTH before 5.0).
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
}
