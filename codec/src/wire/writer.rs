//! Writing: into room whose length was computed before.

use std::mem;

use bytes::BytesMut;

use super::{Text, VARIABLE_BYTE_INTEGER_MAX, variable_bytes, variable_len};
use crate::error::EncodeError;

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

    /// Writes a value that is known to be at most 268,435,455.
    #[inline]
    pub(crate) fn put_variable(&mut self, value: u32) {
        match value {
            0..0x80 => self.put([value as u8]),
            0x80..0x4000 => self.put([value as u8 | 0x80, (value >> 7) as u8]),
            _ => self.put_long_variable(value),
        }
    }

    fn put_long_variable(&mut self, value: u32) {
        let [first, second, third, fourth] = variable_bytes(value);
        match variable_len(value) {
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
    pub(crate) fn put_text(&mut self, text: &Text) {
        let length = u16::try_from(text.len()).expect("a `Text` has at most 65535 bytes");
        let (place, room) = mem::take(&mut self.0).split_at_mut_checked(2 + text.len()).expect(ROOM);
        let (before, place) = place.split_at_mut(2);
        before.copy_from_slice(&length.to_be_bytes());
        copy(place, text.as_bytes());
        self.0 = room;
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
