//! UTF-8 Encoded Strings (section 1.5.4): kept, or where they lie.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use bytestring::ByteString;

use super::Frame;
use crate::ascii::{as_str, is_plain};

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
    #[inline]
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TextError> {
        // [MQTT-4.7.3-3]
        check_length(&bytes)?;
        // [MQTT-1.5.4-1]
        let text = ByteString::try_from(bytes).map_err(|_| TextError::NotUtf8)?;
        check_null(text.as_bytes())?;
        Ok(Text(text))
    }

    /// Of bytes that were checked, which has to be shown again for UTF-8.
    #[inline]
    pub(crate) fn checked(bytes: Bytes) -> Self {
        match ByteString::try_from(bytes) {
            Ok(text) => Text(text),
            Err(_) => unreachable!("well-formed when it was checked"),
        }
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

#[inline]
fn check_length(bytes: &[u8]) -> Result<(), TextError> {
    if bytes.len() > usize::from(u16::MAX) {
        return Err(TextError::TooLong(bytes.len()));
    }
    Ok(())
}

#[inline]
fn check_null(bytes: &[u8]) -> Result<(), TextError> {
    // [MQTT-1.5.4-2]
    if !is_plain(bytes) && bytes.contains(&0) {
        return Err(TextError::Null);
    }
    Ok(())
}

/// Checks a string where it lies. U+FEFF, controls and noncharacters are legal and kept ([MQTT-1.5.4-3]).
#[inline]
pub(crate) fn check_text(bytes: &[u8]) -> Result<(), TextError> {
    check_length(bytes)?;
    if is_plain(bytes) { Ok(()) } else { check_odd_text(bytes) }
}

#[cold]
pub(super) fn check_odd_text(bytes: &[u8]) -> Result<(), TextError> {
    std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?;
    check_null(bytes)
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

/// A UTF-8 Encoded String where it lies in a buffer that somebody else owns: checked.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct TextView<'a>(&'a [u8]);

impl<'a> TextView<'a> {
    /// Of bytes that were checked.
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        TextView(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// As Rust's string.
    #[inline]
    pub fn as_str(self) -> &'a str {
        as_str(self.0)
    }

    /// The same, kept as the frame keeps what lies in it.
    #[inline]
    pub(crate) fn within(self, frame: Frame<'_>) -> Text {
        Text::checked(frame.keep(self.0))
    }
}

impl fmt::Debug for TextView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
