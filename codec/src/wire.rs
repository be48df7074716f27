//! The data types of section 1.5: integers, variable byte integers, UTF-8 strings, binary data.

mod reader;
mod text;
mod writer;

use std::{fmt, num::NonZeroU16};

use crate::error::DecodeError;

pub(crate) use reader::{Keep, Reader};
pub(crate) use text::check_text;
pub use text::{Text, TextError, TextView};
pub(crate) use writer::Writer;

/// The largest value of a Variable Byte Integer (section 1.5.5; 3.1.1 section 2.2.3).
pub const VARIABLE_BYTE_INTEGER_MAX: u32 = 268_435_455;

/// A Packet Identifier: never zero ([MQTT-2.2.1-3], [MQTT-2.2.1-4]; 3.1.1 [MQTT-2.3.1-1]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The smallest.
    pub const MIN: PacketId = PacketId(NonZeroU16::MIN);

    /// The greatest.
    pub const MAX: PacketId = PacketId(NonZeroU16::MAX);

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

/// Reads a Variable Byte Integer: its value and the bytes that it takes, `None` when more bytes are needed.
#[inline]
pub(crate) fn variable(bytes: &[u8], field: &'static str) -> Result<Option<(u32, usize)>, DecodeError> {
    if let [byte @ 0..0x80, ..] = bytes {
        return Ok(Some((u32::from(*byte), 1)));
    }
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(DecodeError::VariableTooLong { field }) } else { Ok(None) }
}

/// The number of bytes that a Variable Byte Integer takes.
pub(crate) const fn variable_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// The bytes of a Variable Byte Integer; only the first [`variable_len`] count.
#[inline]
pub(crate) const fn variable_bytes(value: u32) -> [u8; 4] {
    let more = match variable_len(value) {
        1 => [0, 0, 0],
        2 => [0x80, 0, 0],
        3 => [0x80, 0x80, 0],
        _ => [0x80, 0x80, 0x80],
    };
    [
        value as u8 & 0x7F | more[0],
        (value >> 7) as u8 & 0x7F | more[1],
        (value >> 14) as u8 & 0x7F | more[2],
        (value >> 21) as u8 & 0x7F,
    ]
}
