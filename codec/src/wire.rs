//! The data types of section 1.5: integers, variable byte integers, UTF-8 strings, binary data.

use std::{fmt, mem, num::NonZeroU16, ops::Deref};

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use crate::{
    ascii::{as_str, is_plain},
    error::{DecodeError, EncodeError},
    packet::PacketKind,
    reason::Side,
};

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
fn check_odd_text(bytes: &[u8]) -> Result<(), TextError> {
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

/// The bytes of a whole frame, and what becomes of those that a packet keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Frame<'a> {
    /// What is kept is a slice that shares the frame.
    Shared(&'a Bytes),
    /// What is kept is copied out: for packets that keep nothing but a property now and then.
    Lent(&'a [u8]),
}

impl Frame<'_> {
    /// Keeps a part of the frame.
    #[inline]
    pub(crate) fn keep(self, part: &[u8]) -> Bytes {
        match self {
            Frame::Shared(frame) => {
                let at = part.as_ptr().addr().wrapping_sub(frame.as_ptr().addr());
                frame.slice(at..at + part.len())
            }
            Frame::Lent(_) => Bytes::copy_from_slice(part),
        }
    }
}

/// Reads the fields of one packet, or of a block within it, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    frame: Frame<'a>,
    /// What is left of the packet or block.
    rest: &'a [u8],
    /// Where `rest` ends in the frame.
    end: usize,
    packet: PacketKind,
}

impl<'a> Reader<'a> {
    /// Begins at an offset of the frame. The packet is what errors speak of.
    #[inline]
    pub(crate) fn new(frame: Frame<'a>, at: usize, packet: PacketKind) -> Self {
        let bytes: &'a [u8] = match frame {
            Frame::Shared(bytes) => bytes,
            Frame::Lent(bytes) => bytes,
        };
        Reader { frame, rest: &bytes[at..], end: bytes.len(), packet }
    }

    /// Where the next field begins in the frame.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.end - self.rest.len()
    }

    /// Bytes that are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// The bytes that are left, unread.
    pub(crate) fn peek(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, needed: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(needed) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(cut(self.packet, field, needed, self.rest.len())),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((array, rest)) => {
                self.rest = rest;
                Ok(*array)
            }
            None => Err(cut(self.packet, field, N, self.rest.len())),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn variable(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        // Property identifiers and most lengths are a single byte.
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        let (value, rest) = long_variable(self.rest, self.packet, field)?;
        self.rest = rest;
        Ok(value)
    }

    /// What a length of two bytes counts.
    #[inline]
    pub(crate) fn prefixed(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }

    /// Of a part of the frame alone.
    pub(crate) const fn part(frame: Frame<'a>, part: &'a [u8]) -> Self {
        Reader { frame, rest: part, end: part.len(), packet: PacketKind::Publish }
    }

    /// The frame that is read.
    #[inline]
    pub(crate) const fn frame(&self) -> Frame<'a> {
        self.frame
    }

    #[inline]
    pub(crate) fn binary(&mut self, field: &'static str) -> Result<Bytes, DecodeError> {
        let bytes = self.prefixed(field)?;
        Ok(self.frame.keep(bytes))
    }

    /// A string in what was checked before.
    #[inline]
    pub(crate) fn checked_text(&mut self, field: &'static str) -> Result<Text, DecodeError> {
        Ok(TextView(self.prefixed(field)?).within(self.frame))
    }

    /// A string where it lies.
    #[inline]
    pub(crate) fn text_view(&mut self, field: &'static str) -> Result<TextView<'a>, DecodeError> {
        let bytes = self.prefixed(field)?;
        if !is_plain(bytes) {
            check_odd_text(bytes).map_err(|error| DecodeError::Text { field, error })?;
        }
        Ok(TextView(bytes))
    }

    #[inline]
    pub(crate) fn packet_id(&mut self, sender: Side) -> Result<PacketId, DecodeError> {
        let value = self.u16("the packet identifier")?;
        // [MQTT-2.2.1-3], [MQTT-2.2.1-4]
        PacketId::new(value).ok_or(DecodeError::ZeroPacketId { packet: self.packet, sender })
    }

    /// A reader of the next bytes alone; this one goes on behind them.
    #[inline]
    pub(crate) fn within(&mut self, length: usize, field: &'static str) -> Result<Reader<'a>, DecodeError> {
        let rest = self.take(length, field)?;
        Ok(Reader { rest, end: self.position(), ..*self })
    }

    /// Nothing may be left.
    #[inline]
    pub(crate) fn finish(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            bytes => Err(DecodeError::Leftover { packet: self.packet, bytes }),
        }
    }
}

// Neither of these takes the reader: what is lent to a function has to lie in memory, and a reader that is not lent to
// any stays in registers.

#[cold]
fn cut(packet: PacketKind, field: &'static str, needed: usize, left: usize) -> DecodeError {
    DecodeError::Truncated { packet, field, needed, left }
}

#[cold]
fn long_variable<'a>(rest: &'a [u8], packet: PacketKind, field: &'static str) -> Result<(u32, &'a [u8]), DecodeError> {
    let Some((value, length)) = variable(rest, field)? else {
        return Err(cut(packet, field, rest.len() + 1, rest.len()));
    };
    // [MQTT-1.5.5-1]
    if length != variable_len(value) {
        return Err(DecodeError::NotMinimal { field, value });
    }
    Ok((value, &rest[length..]))
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

/// Room for something whose length was computed, filled from its beginning.
pub(crate) struct Writer<'a>(&'a mut [u8]);

const ROOM: &str = "the length that was computed is the length that is written";

impl<'a> Writer<'a> {
    /// Makes room behind what stands in the buffer.
    #[inline]
    pub(crate) fn behind(out: &'a mut BytesMut, room: usize) -> Self {
        let start = out.len();
        out.resize(start + room, 0);
        Writer(&mut out[start..])
    }

    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let (place, room) = mem::take(&mut self.0).split_first_chunk_mut().expect(ROOM);
        *place = bytes;
        self.0 = room;
    }

    #[inline]
    pub(crate) fn put_u8(&mut self, value: u8) {
        self.put([value]);
    }

    #[inline]
    pub(crate) fn put_u16(&mut self, value: u16) {
        self.put(value.to_be_bytes());
    }

    #[inline]
    pub(crate) fn put_u32(&mut self, value: u32) {
        self.put(value.to_be_bytes());
    }

    /// Writes a value that is known to be at most 268,435,455.
    #[inline]
    pub(crate) fn put_variable(&mut self, value: u32) {
        if value < 0x80 { self.put([value as u8]) } else { self.put_long_variable(value) }
    }

    fn put_long_variable(&mut self, value: u32) {
        let [first, second, third, fourth] = variable_bytes(value);
        match variable_len(value) {
            2 => self.put([first, second]),
            3 => self.put([first, second, third]),
            _ => self.put([first, second, third, fourth]),
        }
    }

    /// Writes a value that may be too large for a Variable Byte Integer.
    #[inline]
    pub(crate) fn put_bounded(&mut self, value: u32, field: &'static str) -> Result<(), EncodeError> {
        if value > VARIABLE_BYTE_INTEGER_MAX {
            return Err(EncodeError::VariableTooLarge { field, value });
        }
        self.put_variable(value);
        Ok(())
    }

    #[inline]
    pub(crate) fn put_slice(&mut self, bytes: &[u8]) {
        let (place, room) = mem::take(&mut self.0).split_at_mut_checked(bytes.len()).expect(ROOM);
        copy(place, bytes);
        self.0 = room;
    }

    /// Writes a string: its length in two bytes, then its bytes.
    #[inline]
    pub(crate) fn put_text(&mut self, text: &str) {
        self.put_prefixed(text.as_bytes());
    }

    /// Writes the bytes of what is known to be a string.
    #[inline]
    pub(crate) fn put_prefixed(&mut self, bytes: &[u8]) {
        self.put_u16(u16::try_from(bytes.len()).expect("a `Text` has at most 65535 bytes"));
        self.put_slice(bytes);
    }

    /// Writes Binary Data: its length in two bytes, then its bytes.
    #[inline]
    pub(crate) fn put_binary(&mut self, bytes: &[u8], field: &'static str) -> Result<(), EncodeError> {
        let length = u16::try_from(bytes.len()).map_err(|_| EncodeError::BinaryTooLong { field, size: bytes.len() })?;
        self.put_u16(length);
        self.put_slice(bytes);
        Ok(())
    }
}

/// Copies to a place of the same length. Most strings are short: two copies that overlap and whose lengths the compiler
/// knows cost less than a call.
#[inline]
fn copy(place: &mut [u8], bytes: &[u8]) {
    match bytes.len() {
        16..=32 => copy_ends::<16>(place, bytes),
        8..16 => copy_ends::<8>(place, bytes),
        4..8 => copy_ends::<4>(place, bytes),
        _ => place.copy_from_slice(bytes),
    }
}

/// Copies the first and the last so many bytes, which are all.
#[inline]
fn copy_ends<const N: usize>(place: &mut [u8], bytes: &[u8]) {
    let (first, last) = (&bytes[..N], &bytes[bytes.len() - N..]);
    place[..N].copy_from_slice(first);
    let behind = place.len() - N;
    place[behind..].copy_from_slice(last);
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
