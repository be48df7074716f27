//! Bytes in as they come, whole packets out.

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    error::DecodeError,
    packet::{Ack, Packet, PacketKind, REMAINING_LENGTH, check_first_byte, check_minimal, connect_version},
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Frame, PacketId, variable},
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
    /// How many bytes have to be there before it is worth to look again.
    needed: usize,
    /// What ended the stream: it is said again to whoever asks again.
    failed: Option<DecodeError>,
}

impl Decoder {
    /// Reads what `sender` sends. `version` is `None` for a server that waits for CONNECT. `maximum_packet_size` in
    /// bytes, as Maximum Packet Size counts them.
    pub fn new(sender: Side, version: Option<Version>, maximum_packet_size: u32) -> Self {
        Decoder { sender, version, maximum_packet_size, pending: BytesMut::new(), needed: 0, failed: None }
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
        let found = self.find_frame();
        self.note_failure(&found);
        Ok(found?.map(|header| self.take_frame(header.frame)))
    }

    /// The next whole packet; `None` when more bytes are needed. After an error nothing more comes.
    ///
    /// # Errors
    /// As [`Decoder::next_frame`] and [`Packet::decode`].
    pub fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.pending.len() < self.needed {
            return Ok(None);
        }
        self.needed = 0;
        if let Some(packet) = self.read_acknowledgement() {
            return Ok(Some(packet));
        }
        let read = self.read_packet();
        self.note_failure(&read);
        read
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    #[inline]
    fn note_failure<T>(&mut self, result: &Result<T, DecodeError>) {
        if let Err(error) = result {
            self.pending = BytesMut::new();
            self.failed = Some(error.clone());
        }
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP without properties, which is most of what comes beside PUBLISH: all that can
    /// be wrong with it is in four or five bytes. `None` leaves the judgement to those who read everything.
    fn read_acknowledgement(&mut self) -> Option<Packet> {
        let (first, ack, length) = match (&self.pending[..], self.version?) {
            (&[first, 2, high, low, ..], _) => (first, Ack::new(packet_id(high, low)?), 4),
            (&[first, 3, high, low, code, ..], Version::V5_0) => {
                let kind = PacketKind::from_number(Version::V5_0, first >> 4)?;
                let reason = ReasonCode::from_value(code).filter(|reason| reason.allowed_in(kind, self.sender))?;
                (first, Ack::with_reason(packet_id(high, low)?, reason), 5)
            }
            _ => return None,
        };
        let packet = match first {
            0x40 => Packet::Puback(ack),
            0x50 => Packet::Pubrec(ack),
            0x62 => Packet::Pubrel(ack),
            0x70 => Packet::Pubcomp(ack),
            _ => return None,
        };
        if length > self.maximum_packet_size as usize {
            return None;
        }
        self.pending.advance(length);
        self.release();
        Some(packet)
    }

    fn read_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let Some(Header { first, length, body, frame }) = self.find_frame()? else { return Ok(None) };
        let (version, sender) = match self.version {
            Some(version) if first >> 4 != PacketKind::Connect.number() => (version, self.sender),
            version => {
                let frame = self.take_frame(frame);
                // Nothing but a CONNECT gets here, and that is decoded by its own version.
                return Packet::decode(version.unwrap_or(Version::V5_0), self.sender, frame).map(Some);
            }
        };
        check_minimal(version, length, body - 1)?;
        if !keeps_little(first) {
            let packet = Packet::decode_shared(version, sender, first, self.take_frame(frame), body)?;
            return Ok(Some(packet));
        }
        let packet = Packet::decode_body(version, sender, first, Frame::Lent(&self.pending[..frame]), body)?;
        self.pending.advance(frame);
        self.release();
        Ok(Some(packet))
    }

    /// The header of the next frame, once the frame is whole.
    fn find_frame(&mut self) -> Result<Option<Header>, DecodeError> {
        let Some((&first, rest)) = self.pending.split_first() else { return Ok(None) };
        match self.version {
            Some(version) => check_first_byte(version, self.sender, first)?,
            // [MQTT-3.1.0-1] The flags are judged when the frame has said its version.
            None if first >> 4 != PacketKind::Connect.number() => {
                return Err(DecodeError::NotConnect { number: first >> 4 });
            }
            None => {}
        }
        let Some((length, bytes)) = variable(rest, REMAINING_LENGTH)? else { return Ok(None) };
        let body = 1 + bytes;
        let frame = body + length as usize;
        if frame as u64 > u64::from(self.maximum_packet_size) {
            let (size, limit) = (frame as u64, self.maximum_packet_size);
            return Err(DecodeError::PacketTooLarge { size, limit, sender: self.sender });
        }
        if self.pending.len() < frame {
            self.needed = frame;
            // Room for the rest, so that a buffer does not grow byte by byte; no more of it than comes in one read.
            self.pending.reserve((frame - self.pending.len()).min(ONE_READ));
            return Ok(None);
        }
        Ok(Some(Header { first, length, body, frame }))
    }

    fn take_frame(&mut self, length: usize) -> Bytes {
        let frame = if length == self.pending.len() {
            std::mem::take(&mut self.pending).freeze()
        } else {
            self.pending.split_to(length).freeze()
        };
        if self.version.is_none() {
            self.version = connect_version(&frame);
        }
        frame
    }

    /// An idle connection owns no buffer.
    fn release(&mut self) {
        if self.pending.is_empty() {
            self.pending = BytesMut::new();
        }
    }
}

/// About what a network hands over at once.
const ONE_READ: usize = 1460;

fn packet_id(high: u8, low: u8) -> Option<PacketId> {
    PacketId::new(u16::from_be_bytes([high, low]))
}

/// The fixed header of a frame that is whole.
struct Header {
    first: u8,
    /// The Remaining Length.
    length: u32,
    /// Where the body begins.
    body: usize,
    /// Where the frame ends.
    frame: usize,
}

/// Whether a packet of this type keeps nothing of its frame but a Reason String or User Property now and then: no frame
/// is made for PUBACK, PUBREC, PUBREL, PUBCOMP, PINGREQ, PINGRESP and DISCONNECT.
fn keeps_little(first: u8) -> bool {
    matches!(first >> 4, 4..=7 | 12..=14)
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
