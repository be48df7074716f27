//! Liars about WebSockets. What passes them is the head of a handshake or one frame of the WebSocket, not a packet.

use bytes::Bytes;
use squall_scenarios::{
    frames::FrameSplitter,
    liar::{Direction, Liar},
};

use super::filter::{Passing, liar};
use crate::{
    tests::web_socket::{BINARY, CONTINUATION, TEXT},
    web_socket_frame::unmasked,
};

/// The opcode of a frame; `None` of the head of a handshake.
fn opcode(passing: &Passing<'_>) -> Option<u8> {
    let head = passing.raw.starts_with(b"HTTP/") || passing.raw.starts_with(b"GET ");
    passing.raw.first().map(|first| first & 0x0F).filter(|_| !head)
}

/// Puts another opcode in a data frame.
fn put_as(passing: &mut Passing<'_>, opcode: u8) {
    let mut raw = passing.raw.to_vec();
    raw[0] = raw[0] & 0xF0 | opcode;
    passing.put_bytes(passing.connection, passing.direction, Bytes::from(raw));
}

/// Answers text frames as if they were binary.
pub(crate) fn takes_text_for_binary() -> Box<dyn Liar> {
    liar(|passing| {
        if passing.direction == Direction::ToServer && opcode(passing) == Some(TEXT) {
            return put_as(passing, BINARY);
        }
        passing.pass();
    })
}

/// Writes text frames.
pub(crate) fn writes_text_frames() -> Box<dyn Liar> {
    liar(|passing| {
        if passing.direction == Direction::ToClient && opcode(passing) == Some(BINARY) {
            return put_as(passing, TEXT);
        }
        passing.pass();
    })
}

/// Closes the connection where a frame is not one packet.
pub(crate) fn takes_a_frame_for_a_packet() -> Box<dyn Liar> {
    liar(|passing| {
        let data = matches!(opcode(passing), Some(CONTINUATION | TEXT | BINARY));
        if passing.direction == Direction::ToServer
            && data
            && unmasked(&passing.raw).is_none_or(|payload| !is_one_packet(&payload))
        {
            return passing.close();
        }
        passing.pass();
    })
}

fn is_one_packet(payload: &[u8]) -> bool {
    let mut splitter = FrameSplitter::default();
    splitter.extend(payload);
    splitter.next_frame().is_some() && splitter.take_rest().is_empty()
}

/// Chooses a subprotocol that is not MQTT's.
pub(crate) fn chooses_another_subprotocol() -> Box<dyn Liar> {
    liar(|passing| {
        if passing.direction == Direction::ToClient && opcode(passing).is_none() {
            let head = String::from_utf8_lossy(&passing.raw).replace(": mqtt\r\n", ": foo\r\n");
            return passing.put_bytes(passing.connection, passing.direction, head.into());
        }
        passing.pass();
    })
}
