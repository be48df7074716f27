//! Frames of a client to the bytes inside (RFC 6455, section 5), as they come: no frame and no message is ever held.
//! Where packets begin and end is no matter of frames ([MQTT-6.0.0-2]).

use std::io::Cursor;

use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

/// The longest header of a frame.
const LONGEST_HEADER: usize = 14;
/// RFC 6455, section 5.5.
const LONGEST_CONTROL: u64 = 125;

/// Why the WebSocket is closed: the code that the client is told, and words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) code: CloseCode,
    pub(super) detail: &'static str,
}

/// What the client wants of the WebSocket itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// An answer to a ping, with the same bytes.
    Pong(Vec<u8>),
    /// The end, with these bytes (a code and a reason, or nothing).
    Close(Vec<u8>),
}

/// Where in the stream of frames we are.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    place: Place,
    /// A message has begun and not ended: its next frame is a continuation.
    within_message: bool,
    /// What the client may not send was sent: the reason why we are at the end.
    breach: Option<Breach>,
}

#[derive(Debug)]
enum Place {
    /// In a header, of which so many bytes are here.
    Header([u8; LONGEST_HEADER], usize),
    /// In the payload of a data frame.
    Payload { mask: Mask, left: u64 },
    /// In the payload of a control frame.
    Control { kind: Control, mask: Mask, left: usize, payload: Vec<u8> },
    /// Behind a Close, or a breach: nothing counts any more.
    End,
}

impl Default for Place {
    fn default() -> Self {
        Place::Header([0; LONGEST_HEADER], 0)
    }
}

impl Incoming {
    /// Whether the client's last frame has come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.place, Place::End)
    }

    /// What the client has done that ends the WebSocket, once.
    pub(super) fn take_breach(&mut self) -> Option<Breach> {
        self.breach.take()
    }

    /// Takes bytes as they came, and leaves what is inside the frames at their beginning: how many bytes those are. What
    /// stands before a breach counts.
    pub(super) fn decode(&mut self, bytes: &mut [u8], wishes: &mut Vec<Wish>) -> usize {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            let went_on = match &mut self.place {
                Place::End => break,
                Place::Header(header, have) => {
                    let more = (LONGEST_HEADER - *have).min(bytes.len() - from);
                    header[*have..*have + more].copy_from_slice(&bytes[from..from + more]);
                    let mut cursor = Cursor::new(&header[..*have + more]);
                    match FrameHeader::parse(&mut cursor) {
                        Ok(None) => {
                            *have += more;
                            from += more;
                            Ok(())
                        }
                        Ok(Some((header, length))) => {
                            from += cursor.position() as usize - *have;
                            self.place_after(&header, length).map(|place| self.place = place)
                        }
                        Err(_) => Err(breach("an opcode that is reserved")),
                    }
                }
                Place::Payload { mask, left } => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len() - from);
                    bytes.copy_within(from..from + count, to);
                    mask.take_off(&mut bytes[to..to + count]);
                    (from, to) = (from + count, to + count);
                    *left -= count as u64;
                    Ok(())
                }
                Place::Control { mask, left, payload, .. } => {
                    let count = (*left).min(bytes.len() - from);
                    let start = payload.len();
                    payload.extend_from_slice(&bytes[from..from + count]);
                    mask.take_off(&mut payload[start..]);
                    from += count;
                    *left -= count;
                    Ok(())
                }
            };
            if let Err(breach) = went_on.and_then(|()| self.end_frame(wishes)) {
                self.breach = Some(breach);
                self.place = Place::End;
            }
        }
        to
    }

    fn place_after(&mut self, header: &FrameHeader, length: u64) -> Result<Place, Breach> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(breach("a reserved bit of a frame is set"));
        }
        let Some(mask) = header.mask.map(Mask) else { return Err(breach("a frame without a mask")) };
        match header.opcode {
            OpCode::Control(kind) => {
                if !header.is_final || length > LONGEST_CONTROL {
                    return Err(breach("a control frame in parts, or with more than 125 bytes"));
                }
                return Ok(Place::Control { kind, mask, left: length as usize, payload: Vec::new() });
            }
            OpCode::Data(Data::Continue) if !self.within_message => {
                return Err(breach("a continuation of nothing"));
            }
            OpCode::Data(Data::Binary) if self.within_message => {
                return Err(breach("a new message before the end of the one before"));
            }
            OpCode::Data(Data::Continue | Data::Binary) => {}
            // [MQTT-6.0.0-1]; 3.1.1 [MQTT-6.0.0-1]
            OpCode::Data(_) => {
                return Err(Breach { code: CloseCode::Unsupported, detail: "a frame that is not binary" });
            }
        }
        if length > i64::MAX as u64 {
            return Err(breach("a frame with more than 2^63 bytes"));
        }
        self.within_message = !header.is_final;
        Ok(Place::Payload { mask, left: length })
    }

    /// Goes on to the next header if a frame has ended.
    fn end_frame(&mut self, wishes: &mut Vec<Wish>) -> Result<(), Breach> {
        match &mut self.place {
            Place::Payload { left: 0, .. } => self.place = Place::default(),
            Place::Control { kind, left: 0, payload, .. } => {
                let payload = std::mem::take(payload);
                match kind {
                    Control::Close if payload.len() == 1 => return Err(breach("a Close with half a code")),
                    Control::Close => {
                        wishes.push(Wish::Close(payload));
                        self.place = Place::End;
                        return Ok(());
                    }
                    Control::Ping => {
                        // The last of several is the one to be answered.
                        wishes.retain(|wish| !matches!(wish, Wish::Pong(_)));
                        wishes.push(Wish::Pong(payload));
                    }
                    Control::Pong | Control::Reserved(_) => {}
                }
                self.place = Place::default();
            }
            _ => {}
        }
        Ok(())
    }
}

fn breach(detail: &'static str) -> Breach {
    Breach { code: CloseCode::Protocol, detail }
}

/// The mask, turned to the byte that comes next.
#[derive(Clone, Copy, Debug)]
struct Mask([u8; 4]);

impl Mask {
    fn take_off(&mut self, bytes: &mut [u8]) {
        let Mask(mask) = *self;
        let mut words = bytes.chunks_exact_mut(4);
        for word in &mut words {
            for (byte, mask) in word.iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
        let rest = words.into_remainder();
        for (byte, mask) in rest.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        self.0.rotate_left(rest.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client writes it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x37, 0xFA, 0x21, 0x3D];
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            medium @ 126..65536 => {
                frame.push(0x80 | 126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
        frame
    }

    /// What comes out when the bytes come in pieces of this size.
    fn decode(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<Wish>, Option<CloseCode>) {
        let (mut incoming, mut out, mut wishes) = (Incoming::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            let mut piece = piece.to_vec();
            let count = incoming.decode(&mut piece, &mut wishes);
            out.extend_from_slice(&piece[..count]);
        }
        (out, wishes, incoming.take_breach().map(|breach| breach.code))
    }

    #[test]
    fn bytes_come_out_the_same_however_the_frames_are_cut() {
        let payload: Vec<u8> = (0..70_000_u32).map(|index| (index * 7) as u8).collect();
        let bytes = [
            frame(0x02, &payload[..3]),
            frame(0x89, b"are you there"),
            frame(0x00, &payload[3..200]),
            frame(0x8A, b""),
            frame(0x80, &payload[200..200]),
            frame(0x82, &payload[200..]),
            frame(0x88, &[0x03, 0xE8]),
            frame(0x82, b"behind the end"),
        ]
        .concat();
        for size in [1, 2, 3, 5, 7, 64, 4096, bytes.len()] {
            let (out, wishes, breach) = decode(&bytes, size);
            assert!(out == payload, "cut by {size}");
            assert_eq!(breach, None);
            assert_eq!(wishes, [Wish::Pong(b"are you there".to_vec()), Wish::Close(vec![0x03, 0xE8])]);
        }
    }

    #[test]
    fn what_a_client_must_not_send_is_a_breach_with_its_code() {
        let mut unmasked = frame(0x82, b"hi");
        unmasked[1] &= 0x7F;
        let mut endless = frame(0x82, b"");
        endless.splice(1..2, [[0xFF].as_slice(), &[0xFF; 8]].concat());
        let cases: [(&str, Vec<u8>, CloseCode); 11] = [
            ("text", frame(0x81, b"hi"), CloseCode::Unsupported),
            ("text in parts", frame(0x01, b"hi"), CloseCode::Unsupported),
            ("unmasked", unmasked, CloseCode::Protocol),
            ("reserved bit", frame(0xC2, b"hi"), CloseCode::Protocol),
            ("reserved opcode", frame(0x83, b"hi"), CloseCode::Protocol),
            ("continuation of nothing", frame(0x80, b"hi"), CloseCode::Protocol),
            ("two beginnings", [frame(0x02, b"a"), frame(0x82, b"b")].concat(), CloseCode::Protocol),
            ("ping in parts", frame(0x09, b"hi"), CloseCode::Protocol),
            ("long ping", frame(0x89, &[0; 126]), CloseCode::Protocol),
            ("half a code", frame(0x88, &[3]), CloseCode::Protocol),
            ("endless", endless, CloseCode::Protocol),
        ];
        for (name, bytes, code) in cases {
            let bytes = [frame(0x82, b"before"), bytes, frame(0x82, b"behind")].concat();
            for size in [1, bytes.len()] {
                let (out, _, breach) = decode(&bytes, size);
                assert_eq!(breach, Some(code), "{name}");
                assert!(out.starts_with(b"before") && !out.ends_with(b"behind"), "{name}: {out:?}");
            }
        }
    }

    #[test]
    fn of_many_pings_the_last_is_answered() {
        let bytes: Vec<u8> = (0..100_u8).flat_map(|index| frame(0x89, &[index])).collect();
        assert_eq!(decode(&bytes, 4096).1, [Wish::Pong(vec![99])]);
    }
}
