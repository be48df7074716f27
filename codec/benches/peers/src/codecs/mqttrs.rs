//! mqttrs: 3.1.1, borrows from the buffer, writes into a slice.

use std::hint::black_box;

use mqttrs::{Packet, decode_slice, encode_slice};
use squall_codec::version::Version;

use crate::codec::{Codec, Pending, ROOM, frame_len};

#[derive(Default)]
pub struct Mqttrs {
    pending: Pending,
    kept: Vec<Packet<'static>>,
    out: Vec<u8>,
    written: usize,
}

fn look(packet: &Packet<'_>) {
    if let Packet::Publish(publish) = packet {
        black_box(publish.topic_name);
        black_box(publish.payload);
    }
    black_box(packet);
}

impl Codec for Mqttrs {
    fn name(&self) -> &'static str {
        "mqttrs"
    }

    fn package(&self) -> &'static str {
        "mqttrs"
    }

    fn version(&self) -> Version {
        Version::V3_1_1
    }

    fn remark(&self) -> &'static str {
        "borrows: a packet ends with the read buffer"
    }

    fn begin(&mut self) {
        self.pending.clear();
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.pending.feed(bytes);
    }

    fn drain(&mut self) -> Result<usize, String> {
        let mut count = 0;
        loop {
            let left = self.pending.left();
            // It says neither how long the packet was nor, for some, that bytes are missing.
            let Some((_, length)) = frame_len(left) else { return Ok(count) };
            match decode_slice(&left[..length]).map_err(|error| error.to_string())? {
                Some(packet) => look(&packet),
                None => return Err("a whole frame is taken for a part of one".into()),
            }
            self.pending.advance(length);
            count += 1;
        }
    }

    fn keep(&mut self, stream: &[u8]) -> Result<(), String> {
        // A packet borrows; the few streams of a run may stay.
        let mut left: &'static [u8] = Box::leak(stream.into());
        self.kept.clear();
        while let Some((_, length)) = frame_len(left) {
            let (frame, rest) = left.split_at(length);
            self.kept.extend(decode_slice(frame).map_err(|error| error.to_string())?);
            left = rest;
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.out.resize(ROOM, 0);
    }

    fn encode(&mut self) -> Result<(), String> {
        self.written = 0;
        for packet in &self.kept {
            self.written += encode_slice(packet, &mut self.out[self.written..]).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        self.out[..self.written].to_vec()
    }
}
