//! UTF-8 Encoded Strings (section 1.5.4): kept, or where they lie.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use bytes::Bytes;

use super::Keep;
use crate::ascii::{as_str, is_plain};

/// A UTF-8 Encoded String: at most 65,535 bytes, well-formed, without U+0000. A cheap clone: it shares its bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(Bytes);

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
        check_text(&bytes)?;
        Ok(Text(bytes))
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
    #[inline]
    pub fn as_str(&self) -> &str {
        as_str(&self.0)
    }

    /// The bytes, shared.
    #[inline]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// How many bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that owns exactly its own bytes, so that it keeps no read buffer alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Text(Bytes::copy_from_slice(&self.0))
    }
}

#[inline]
fn check_length(bytes: &[u8]) -> Result<(), TextError> {
    // [MQTT-4.7.3-3]
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
    // [MQTT-1.5.4-1]
    std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?;
    check_null(bytes)
}

impl Hash for Text {
    /// As `str` does, which it can be borrowed as.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
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
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
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

    /// A string of its own with the same bytes.
    pub fn to_text(self) -> Text {
        self.kept(Keep::Copy)
    }

    /// The same, kept.
    #[inline]
    pub(crate) fn kept(self, keep: Keep<'_>) -> Text {
        Text(keep.bytes(self.0))
    }
}

impl Deref for TextView<'_> {
    type Target = str;
    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for TextView<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for TextView<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<Text> for TextView<'_> {
    fn eq(&self, other: &Text) -> bool {
        *self.0 == other.0
    }
}

impl PartialEq<TextView<'_>> for Text {
    fn eq(&self, other: &TextView<'_>) -> bool {
        self.0 == *other.0
    }
}

impl fmt::Display for TextView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TextView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
