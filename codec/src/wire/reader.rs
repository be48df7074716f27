//! Reading: the fields of a packet one after the other, and what becomes of those that it keeps.

use bytes::Bytes;

use super::{PacketId, Text, TextView, text::check_odd_text, variable, variable_len};
use crate::{ascii::is_plain, error::DecodeError, packet::PacketKind, reason::Side};

/// What becomes of the bytes that a packet keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep<'a> {
    /// A slice that shares this buffer, in which they lie.
    Share(&'a Bytes),
    /// A copy.
    Copy,
}

impl Keep<'_> {
    /// Keeps a part.
    #[inline]
    pub(crate) fn bytes(self, part: &[u8]) -> Bytes {
        match self {
            Keep::Share(buffer) => {
                let at = part.as_ptr().addr().wrapping_sub(buffer.as_ptr().addr());
                buffer.slice(at..at + part.len())
            }
            Keep::Copy => Bytes::copy_from_slice(part),
        }
    }
}

/// Reads the fields of one packet, or of a block within it, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    /// What is left of the packet or block.
    rest: &'a [u8],
    /// Where `rest` ends in the frame.
    end: usize,
    packet: PacketKind,
    keep: Keep<'a>,
}

impl<'a> Reader<'a> {
    /// Begins at an offset of a whole frame. The packet is what errors speak of; what it keeps is copied.
    #[inline]
    pub(crate) fn new(frame: &'a [u8], at: usize, packet: PacketKind) -> Self {
        Reader { rest: &frame[at..], end: frame.len(), packet, keep: Keep::Copy }
    }

    /// The same for a packet that keeps what it keeps in this way.
    #[inline]
    pub(crate) fn keeping(self, keep: Keep<'a>) -> Self {
        Reader { keep, ..self }
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

    /// What becomes of the bytes that the packet keeps.
    #[inline]
    pub(crate) const fn keep(&self) -> Keep<'a> {
        self.keep
    }

    #[inline]
    pub(crate) fn binary(&mut self, field: &'static str) -> Result<Bytes, DecodeError> {
        let bytes = self.prefixed(field)?;
        Ok(self.keep.bytes(bytes))
    }

    /// A string in what was checked before.
    #[inline]
    pub(crate) fn checked_text(&mut self, field: &'static str) -> Result<Text, DecodeError> {
        Ok(TextView::checked(self.prefixed(field)?).kept(self.keep))
    }

    /// A string where it lies.
    #[inline(always)]
    pub(crate) fn text_view(&mut self, field: &'static str) -> Result<TextView<'a>, DecodeError> {
        let bytes = self.prefixed(field)?;
        if !is_plain(bytes) {
            check_odd_text(bytes).map_err(|error| DecodeError::Text { field, error })?;
        }
        Ok(TextView::checked(bytes))
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
