//! Bytes in as they come, whole packets out.

use bytes::Bytes;

use crate::{error::DecodeError, packet::Packet, reason::Side, version::Version};

/// Finds frames in a stream of bytes and decodes them. Owns no buffer while nothing is pending.
///
/// A server's decoder learns its version from the CONNECT.
#[derive(Debug)]
pub struct Decoder {
    sender: Side,
    version: Option<Version>,
    maximum_packet_size: u32,
}

impl Decoder {
    /// Reads what `sender` sends. `version` is `None` for a server that waits for CONNECT. `maximum_packet_size` in
    /// bytes, as Maximum Packet Size counts them.
    pub fn new(sender: Side, version: Option<Version>, maximum_packet_size: u32) -> Self {
        Decoder { sender, version, maximum_packet_size }
    }

    /// The version in use, once it is known.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes bytes as they came.
    pub fn extend(&mut self, bytes: &[u8]) {
        let _ = bytes;
        todo!()
    }

    /// The next whole frame, undecoded; `None` when more bytes are needed.
    ///
    /// # Errors
    /// A fixed header that can begin no frame, or a frame beyond the limit: both before the frame is buffered.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let _ = self.maximum_packet_size;
        todo!()
    }

    /// The next whole packet; `None` when more bytes are needed. After an error nothing more comes.
    ///
    /// # Errors
    /// As [`Decoder::next_frame`] and [`Packet::decode`].
    pub fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let _ = self.sender;
        todo!()
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending_bytes(&self) -> usize {
        todo!()
    }
}
