//! Bytes in as they come, whole packets out.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    error::DecodeError,
    packet::{
        Ack, Connect, Fields, Packet, PacketKind, PacketView, Publish, PublishView, REMAINING_LENGTH, check_first_byte,
        check_flags, check_minimal, connect_version,
    },
    reason::{ReasonCode, Side},
    version::Version,
    wire::{Keep, PacketId, variable},
};

/// Finds frames in a stream of bytes and decodes them. Owns no buffer while nothing is pending.
///
/// A server's decoder learns its version from the CONNECT.
#[derive(Debug)]
pub struct Decoder {
    sender: Side,
    version: Option<Version>,
    maximum_packet_size: u32,
    /// What came at once and is worth to be shared as it is: frames are cut from it first. Empty while `pending` is not.
    input: Bytes,
    /// What came in pieces: whole frames, and the beginning of one whose rest has not come.
    pending: BytesMut,
    /// So many bytes, the first of those, are done with, unless a view still looks at the last of them. They go when
    /// more come: once for all packets that came together.
    done: usize,
    /// So many bytes have to be in `pending` before it is worth to look again. Above 0 only while nothing is there but the
    /// beginning of a frame, behind what is done with.
    needed: usize,
    /// What ended the stream: it is said again to whoever asks again.
    failed: Option<DecodeError>,
}

impl Decoder {
    /// Reads what `sender` sends. `version` is `None` for a server that waits for CONNECT. `maximum_packet_size` in
    /// bytes, as Maximum Packet Size counts them.
    pub fn new(sender: Side, version: Option<Version>, maximum_packet_size: u32) -> Self {
        let (input, pending) = (Bytes::new(), BytesMut::new());
        Decoder { sender, version, maximum_packet_size, input, pending, done: 0, needed: 0, failed: None }
    }

    /// The version in use, once it is known. A CONNECT that says its version and is malformed after that still
    /// counts: the refusal has to be written in that version.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Takes bytes as they came. After an error they are dropped.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.needed > 0 && bytes.len() <= self.room() || self.takes(bytes.len()) {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// How much can be written behind what is in `pending` without another buffer.
    #[inline]
    fn room(&self) -> usize {
        self.pending.capacity() - self.pending.len()
    }

    /// Whether bytes are taken still, behind what is in `pending` then.
    fn takes(&mut self, room: usize) -> bool {
        if self.failed.is_some() {
            return false;
        }
        if self.done > 0 || !self.input.is_empty() {
            self.gather(room);
        }
        true
    }

    /// Takes bytes that can be shared: frames are cut from them without a copy, where no frame had begun before them.
    pub fn extend_shared(&mut self, bytes: Bytes) {
        match self.pending_bytes() {
            // No bytes may still hold a buffer.
            0 if self.failed.is_none() && !bytes.is_empty() => {
                self.forget();
                self.input = bytes;
            }
            _ => self.extend(&bytes),
        }
    }

    /// The next whole frame, undecoded; `None` when more bytes are needed.
    ///
    /// # Errors
    /// A fixed header that can begin no frame, or a frame beyond the limit: both before the frame is buffered.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, DecodeError> {
        let Header { body, frame, .. } = match self.find_frame() {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => return self.fail(error),
        };
        let frame = self.cut(frame);
        if self.version.is_none() {
            self.version = connect_version(self.sender, &frame, body).ok();
        }
        Ok(Some(frame))
    }

    /// The next whole packet; `None` when more bytes are needed. After an error nothing more comes.
    ///
    /// # Errors
    /// As [`Decoder::next_frame`] and [`Packet::decode`].
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        if self.waits() { Ok(None) } else { self.find_packet() }
    }

    fn find_packet(&mut self) -> Result<Option<Packet>, DecodeError> {
        let header = match self.find_frame() {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => return self.fail(error),
        };
        // Most packets are these, and a packet is large: each function that returned it would copy it. The frame is cut
        // first: what has just been written in small parts cannot be copied at once.
        if let Some(version) = self.version_of_publish(&header) {
            let frame = self.cut(header.frame);
            return match self.read_publish(version, &header, &frame) {
                Ok(fields) => Ok(Some(Packet::Publish(Publish::within(frame, fields)))),
                Err(error) => self.fail(error),
            };
        }
        if let Some((packet_id, reason)) = self.read_acknowledgement(&header) {
            self.done += header.frame;
            return Ok(Some(acknowledgement(header.first, packet_id, reason)));
        }
        let version = match self.version {
            Some(version) if header.first >> 4 != PacketKind::Connect.number() => version,
            _ => {
                let frame = self.cut(header.frame);
                return match self.read_connect(&header, frame) {
                    Ok(connect) => Ok(Some(Packet::Connect(connect))),
                    Err(error) => self.fail(error),
                };
            }
        };
        let packet = self.read_packet(version, &header);
        match &packet {
            Ok(_) => self.done += header.frame,
            Err(error) => self.stop(error),
        }
        packet
    }

    /// The next whole packet where it lies, until the decoder is used again; otherwise as [`Decoder::next_packet`].
    ///
    /// # Errors
    /// Those of [`Decoder::next_packet`].
    #[inline]
    pub fn next_view(&mut self) -> Result<Option<PacketView<'_>>, DecodeError> {
        if self.waits() { Ok(None) } else { self.find_view() }
    }

    fn find_view(&mut self) -> Result<Option<PacketView<'_>>, DecodeError> {
        let header = match self.find_frame() {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(None),
            Err(error) => return self.fail(error),
        };
        if let Some(version) = self.version_of_publish(&header) {
            return match self.read_publish(version, &header, &self.bytes()[..header.frame]) {
                Ok(fields) => {
                    let start = self.done;
                    self.done += header.frame;
                    Ok(Some(PacketView::Publish(PublishView::within(&self.all()[start..self.done], fields))))
                }
                Err(error) => self.fail(error),
            };
        }
        if let Some((packet_id, reason)) = self.read_acknowledgement(&header) {
            self.done += header.frame;
            return Ok(Some(PacketView::Other(acknowledgement(header.first, packet_id, reason))));
        }
        let Header { first, length, body, frame } = header;
        let judged = match self.version {
            Some(version) if first >> 4 == PacketKind::Connect.number() => Ok(version),
            Some(version) => check_minimal(version, length, body - 1).map(|()| version),
            // Nothing but a CONNECT gets here.
            None => connect_version(self.sender, &self.bytes()[..frame], body),
        };
        let version = match judged {
            Ok(version) => *self.version.insert(version),
            Err(error) => return self.fail(error),
        };
        let start = self.done;
        self.done += frame;
        // As `all`, by its fields, which are lent apart from the others.
        let bytes = if self.input.is_empty() { &self.pending[..] } else { &self.input[..] };
        let view = PacketView::read(version, self.sender, first, &bytes[start..self.done], body);
        if let Err(error) = &view {
            // As `stop`, but for the buffer, which goes when the decoder is used again.
            self.done = bytes.len();
            self.failed = Some(error.clone());
        }
        view
    }

    /// Bytes that wait for the rest of their frame.
    pub fn pending_bytes(&self) -> usize {
        self.input.len() + self.pending.len() - self.done
    }

    /// Whether the frame that has begun is not whole: what can be said at once.
    #[inline]
    fn waits(&self) -> bool {
        self.pending.len() < self.needed
    }

    /// Keeps no buffer.
    fn forget(&mut self) {
        (self.input, self.pending, self.done, self.needed) = (Bytes::new(), BytesMut::new(), 0, 0);
    }

    #[cold]
    fn fail<T>(&mut self, error: DecodeError) -> Result<Option<T>, DecodeError> {
        self.stop(&error);
        Err(error)
    }

    /// Nothing more is taken, and nothing kept.
    #[cold]
    fn stop(&mut self, error: &DecodeError) {
        self.forget();
        self.failed = Some(error.clone());
    }

    /// The version to read a PUBLISH by; `None` for any other packet.
    #[inline]
    fn version_of_publish(&self, header: &Header) -> Option<Version> {
        self.version.filter(|_| header.first >> 4 == PacketKind::Publish.number())
    }

    #[inline(always)]
    fn read_publish(&self, version: Version, header: &Header, frame: &[u8]) -> Result<Fields, DecodeError> {
        let Header { first, length, body, .. } = *header;
        check_minimal(version, length, body - 1)?;
        Fields::read(version, self.sender, first, frame, body)
    }

    /// Any packet but CONNECT and PUBLISH.
    #[inline]
    fn read_packet(&mut self, version: Version, header: &Header) -> Result<Option<Packet>, DecodeError> {
        let Header { first, length, body, frame } = *header;
        check_minimal(version, length, body - 1)?;
        if !keeps_little(first) {
            self.share();
        }
        Packet::decode_body(version, self.sender, first, &self.bytes()[..frame], self.keep(), body)
    }

    /// A CONNECT is decoded by its own version.
    #[inline(always)]
    fn read_connect(&mut self, header: &Header, frame: Bytes) -> Result<Connect, DecodeError> {
        let version = connect_version(self.sender, &frame, header.body)?;
        self.version.get_or_insert(version);
        check_flags(version, PacketKind::Connect, header.first & 0x0F)?;
        Connect::decode(version, frame, header.body)
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP without properties, which is most of what comes beside PUBLISH: all that can
    /// be wrong with it is in two or three bytes. `None` leaves the judgement to those who read everything.
    #[inline]
    fn read_acknowledgement(&self, header: &Header) -> Option<(PacketId, ReasonCode)> {
        let (4..=7, true) = (header.first >> 4, header.body == 2) else { return None };
        match self.bytes()[2..header.frame] {
            [high, low] => Some((packet_id(high, low)?, ReasonCode::Success)),
            [high, low, code] if self.version == Some(Version::V5_0) => {
                let kind = PacketKind::from_number(Version::V5_0, header.first >> 4)?;
                let reason = ReasonCode::from_value(code).filter(|reason| reason.allowed_in(kind, self.sender))?;
                Some((packet_id(high, low)?, reason))
            }
            _ => None,
        }
    }

    /// All that came and did not go yet.
    #[inline]
    fn all(&self) -> &[u8] {
        if self.input.is_empty() { &self.pending } else { &self.input }
    }

    /// What is not done with.
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.all()[self.done..]
    }

    /// Nothing is written any more behind what is there: what packets keep of it can be shared without a cut.
    #[inline]
    fn share(&mut self) {
        if self.input.is_empty() {
            self.input = mem::take(&mut self.pending).freeze();
        }
    }

    /// What becomes of the bytes that a packet keeps.
    #[inline]
    fn keep(&self) -> Keep<'_> {
        if self.input.is_empty() { Keep::Copy } else { Keep::Share(&self.input) }
    }

    /// Cuts off a frame.
    #[inline(never)]
    fn cut(&mut self, frame: usize) -> Bytes {
        let start = mem::take(&mut self.done);
        let end = start + frame;
        if end < self.input.len() {
            self.done = end;
            self.input.slice(start..end)
        } else {
            self.cut_off(start, end)
        }
    }

    /// The same for a frame that is the last of the input, or in `pending`.
    fn cut_off(&mut self, start: usize, end: usize) -> Bytes {
        let behind = self.pending.len().saturating_sub(end);
        let mut frame = if !self.input.is_empty() {
            mem::take(&mut self.input)
        } else if behind == 0 {
            mem::take(&mut self.pending).freeze()
        } else if behind >= end - start {
            // More such frames are there: a part of what is shared costs less than to split it off.
            self.share();
            self.done = end;
            return self.input.slice(start..end);
        } else {
            self.pending.split_to(end).freeze()
        };
        frame.advance(start);
        frame
    }

    /// The header of the next frame, once the frame is whole.
    #[inline(always)]
    fn find_frame(&mut self) -> Result<Option<Header>, DecodeError> {
        if self.waits() {
            return Ok(None);
        }
        if self.pending.len() >= MANY_BYTES {
            self.share();
        }
        let Some((&first, rest)) = self.bytes().split_first() else { return self.nothing() };
        match self.version {
            Some(version) => check_first_byte(version, self.sender, first)?,
            // [MQTT-3.1.0-1] The flags are judged when the frame has said its version.
            None if first >> 4 != PacketKind::Connect.number() => {
                return Err(DecodeError::NotConnect { number: first >> 4 });
            }
            None => {}
        }
        let Some((length, bytes)) = variable(rest, REMAINING_LENGTH)? else {
            self.wait_for(1 + rest.len() + 1);
            return Ok(None);
        };
        let body = 1 + bytes;
        let frame = body + length as usize;
        if frame as u64 > u64::from(self.maximum_packet_size) {
            let (size, limit) = (frame as u64, self.maximum_packet_size);
            return Err(DecodeError::PacketTooLarge { size, limit, sender: self.sender });
        }
        if body + length as usize > 1 + rest.len() {
            self.wait_for(frame);
            return Ok(None);
        }
        self.needed = 0;
        Ok(Some(Header { first, length, body, frame }))
    }

    /// What is to be said when no byte is there.
    #[inline(never)]
    fn nothing(&mut self) -> Result<Option<Header>, DecodeError> {
        // An idle connection owns no buffer.
        if self.done > 0 || self.pending.capacity() > 0 {
            self.forget();
        }
        match &self.failed {
            None => Ok(None),
            Some(error) => Err(error.clone()),
        }
    }

    /// Nothing is to be done before a frame has so many bytes.
    #[inline(never)]
    fn wait_for(&mut self, frame: usize) {
        // Room for the rest, so that a buffer does not grow byte by byte; no more of it is asked for than comes in one read.
        let room = (frame - self.pending_bytes()).min(ONE_READ);
        if !self.input.is_empty() || self.room() < room {
            self.gather(room);
            // What is there of a frame moves to the front of the buffer. Where that has no room the buffer grows by more
            // than the frame needs, so that it is done once for what comes in one read, and not for each frame.
            if !self.pending.try_reclaim(room) {
                self.pending.reserve(ONE_READ);
            }
        }
        self.needed = self.done + frame;
    }

    /// Parts with what is done with. What is left of the input begins a frame whose rest goes behind it, in the same buffer
    /// where nobody else has kept a part of that and it is no large one.
    fn gather(&mut self, room: usize) {
        if !self.input.is_empty() {
            let whole = self.input.len();
            let rest = mem::take(&mut self.input).split_off(self.done);
            match rest.try_into_mut() {
                Ok(rest) if whole.max(rest.capacity()) < MANY_BYTES => self.pending = rest,
                Ok(rest) => self.refill(&rest, room),
                Err(rest) => self.refill(&rest, room),
            }
        } else if self.done > 0 {
            self.pending.advance(self.done);
        }
        self.needed = self.needed.saturating_sub(self.done);
        self.done = 0;
    }

    /// Copies the beginning of a frame into a buffer of its own.
    fn refill(&mut self, rest: &[u8], room: usize) {
        self.pending.reserve(rest.len() + room);
        self.pending.extend_from_slice(rest);
    }
}

/// About what a network hands over at once.
const ONE_READ: usize = 1460;

/// So much that there are many frames in it, or a large one.
const MANY_BYTES: usize = 4 * ONE_READ;

fn packet_id(high: u8, low: u8) -> Option<PacketId> {
    PacketId::new(u16::from_be_bytes([high, low]))
}

/// The packet that begins with this byte, one of four.
#[inline]
fn acknowledgement(first: u8, packet_id: PacketId, reason: ReasonCode) -> Packet {
    let ack = Ack::with_reason(packet_id, reason);
    match first >> 4 {
        4 => Packet::Puback(ack),
        5 => Packet::Pubrec(ack),
        6 => Packet::Pubrel(ack),
        _ => Packet::Pubcomp(ack),
    }
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

/// Whether a packet of this type keeps nothing of its frame but a Reason String or User Property now and then: no buffer
/// is shared for PUBACK, PUBREC, PUBREL, PUBCOMP, PINGREQ, PINGRESP and DISCONNECT.
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
