//! Bytes in as they come, whole packets out.

use bytes::{Bytes, BytesMut};

use crate::{
    error::DecodeError,
    packet::{Packet, PacketKind, REMAINING_LENGTH, check_first_byte, connect_version},
    reason::Side,
    version::Version,
    wire::variable,
};

/// Finds frames in a stream of bytes and decodes them. Owns no buffer while nothing is pending.
///
/// A server's decoder learns its version from the CONNECT.
#[derive(Debug)]
pub struct Decoder {
    sender: Side,
    version: Option<Version>,
    maximum_packet_size: u32,
    /// Bytes whose frame is not whole yet, and frames that were not asked for yet.
    pending: BytesMut,
    /// What ended the stream: it is said again to whoever asks again.
    failed: Option<DecodeError>,
}

impl Decoder {
    /// Reads what `sender` sends. `version` is `None` for a server that waits for CONNECT. `maximum_packet_size` in
    /// bytes, as Maximum Packet Size counts them.
    pub fn new(sender: Side, version: Option<Version>, maximum_packet_size: u32) -> Self {
        Decoder { sender, version, maximum_packet_size, pending: BytesMut::new(), failed: None }
    }

    /// The version in use, once it is known. A CONNECT that says its version and is malformed after that still
    /// counts: the refusal has to be written in that version.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes bytes as they came. After an error they are dropped.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// The next whole frame, undecoded; `None` when more bytes are needed.
    ///
    /// # Errors
    /// A fixed header that can begin no frame, or a frame beyond the limit: both before the frame is buffered.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.find_frame().map_err(|error| self.fail(error))
    }

    /// The next whole packet; `None` when more bytes are needed. After an error nothing more comes.
    ///
    /// # Errors
    /// As [`Decoder::next_frame`] and [`Packet::decode`].
    pub fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let Some(frame) = self.next_frame()? else { return Ok(None) };
        // Before the CONNECT nothing but a CONNECT gets here, and that is decoded by its own version.
        let version = self.version.unwrap_or(Version::V5_0);
        Packet::decode(version, self.sender, frame).map(Some).map_err(|error| self.fail(error))
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    fn fail(&mut self, error: DecodeError) -> DecodeError {
        self.pending = BytesMut::new();
        self.failed = Some(error.clone());
        error
    }

    fn find_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Some(first) = self.pending.first() else { return Ok(None) };
        match self.version {
            Some(version) => check_first_byte(version, self.sender, *first)?,
            // [MQTT-3.1.0-1] The flags are judged when the frame has said its version.
            None if first >> 4 != PacketKind::Connect.number() => {
                return Err(DecodeError::NotConnect { number: first >> 4 });
            }
            None => {}
        }
        let Some(length) = frame_len(&self.pending)? else { return Ok(None) };
        if length as u64 > u64::from(self.maximum_packet_size) {
            let (size, limit) = (length as u64, self.maximum_packet_size);
            return Err(DecodeError::PacketTooLarge { size, limit, sender: self.sender });
        }
        if self.pending.len() < length {
            return Ok(None);
        }
        let frame = self.pending.split_to(length).freeze();
        if self.pending.is_empty() {
            // An idle connection owns no buffer.
            self.pending = BytesMut::new();
        }
        if self.version.is_none() {
            self.version = connect_version(&frame);
        }
        Ok(Some(frame))
    }
}

/// The length of the frame that these bytes begin, fixed header included, judged by nothing but its Remaining Length;
/// `None` when the header is not whole yet. For those who pass frames on as they are.
///
/// # Errors
/// A Remaining Length of more than four bytes.
pub fn frame_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(rest) = bytes.get(1..) else { return Ok(None) };
    Ok(variable(rest, REMAINING_LENGTH)?.map(|(length, header)| 1 + header + length as usize))
}
