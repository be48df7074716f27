//! The data types of section 1.5: integers, variable byte integers, UTF-8 strings, binary data.

use std::{fmt, num::NonZeroU16, ops::Deref};

use bytes::Bytes;
use bytestring::ByteString;

/// The largest value of a Variable Byte Integer (section 1.5.5; 3.1.1 section 2.2.3).
pub const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// A UTF-8 Encoded String: at most 65,535 bytes, well-formed, without U+0000. A cheap clone: it shares its bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(ByteString);

/// Why bytes are no UTF-8 Encoded String.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More than 65,535 bytes.
    #[error("a string of {0} bytes is longer than 65535")]
    TooLong(usize),
    /// [MQTT-1.5.4-1]: not well-formed.
    #[error("a string is not well-formed UTF-8")]
    NotUtf8,
    /// [MQTT-1.5.4-2]: holds U+0000.
    #[error("a string holds U+0000")]
    Null,
}

impl Text {
    /// Checks the bytes of a string.
    ///
    /// # Errors
    /// Too long, not UTF-8, or with U+0000.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TextError> {
        if bytes.len() > usize::from(u16::MAX) {
            return Err(TextError::TooLong(bytes.len()));
        }
        // [MQTT-1.5.4-2]
        if bytes.contains(&0) {
            return Err(TextError::Null);
        }
        ByteString::try_from(bytes).map(Text).map_err(|_| TextError::NotUtf8)
    }

    /// Checks a string of Rust's.
    ///
    /// # Errors
    /// Too long, or with U+0000.
    pub fn new(text: impl Into<String>) -> Result<Self, TextError> {
        Text::from_bytes(Bytes::from(text.into()))
    }

    /// A string that stands in the source.
    ///
    /// # Panics
    /// On U+0000 or more than 65,535 bytes: a mistake in the source.
    #[track_caller]
    pub fn literal(text: &'static str) -> Self {
        Text::from_bytes(Bytes::from_static(text.as_bytes())).expect("a literal is a valid UTF-8 Encoded String")
    }

    /// As Rust's string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, shared.
    pub fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// A copy that owns exactly its own bytes, so that it keeps no read buffer alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Text(ByteString::from(self.as_str()))
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl std::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;
    fn try_from(text: &str) -> Result<Self, TextError> {
        Text::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A Packet Identifier: never zero ([MQTT-2.2.1-3], [MQTT-2.2.1-4]; 3.1.1 [MQTT-2.3.1-1]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The smallest.
    pub const MIN: PacketId = PacketId(NonZeroU16::MIN);

    /// `None` for zero.
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(PacketId(value)),
            None => None,
        }
    }

    /// As a number.
    pub const fn value(self) -> u16 {
        self.0.get()
    }

    /// The one after this; after 65,535 comes 1.
    #[must_use]
    pub const fn next(self) -> Self {
        match self.0.checked_add(1) {
            Some(value) => PacketId(value),
            None => PacketId::MIN,
        }
    }
}

impl fmt::Debug for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PacketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.value())
    }
}
