//! mqtt-codec-kit: 3.1.1 and 5.0, reads from `io::Read`, writes to `io::Write`.

use std::hint::black_box;

use mqtt_codec_kit::{
    common::{Decodable, Encodable},
    v4, v5,
};
use squall_codec::version::Version;

use crate::codec::{Codec, Pending, ROOM, frame_len};

struct Kit<P> {
    version: Version,
    look: fn(&P),
    pending: Pending,
    kept: Vec<P>,
    out: Vec<u8>,
}

pub fn both() -> Vec<Box<dyn Codec>> {
    fn look4(packet: &v4::packet::VariablePacket) {
        if let v4::packet::VariablePacket::PublishPacket(publish) = packet {
            black_box::<&str>(publish.topic_name());
            black_box(publish.payload());
        }
        black_box(packet);
    }
    fn look5(packet: &v5::packet::VariablePacket) {
        if let v5::packet::VariablePacket::PublishPacket(publish) = packet {
            black_box::<&str>(publish.topic_name());
            black_box(publish.payload());
        }
        black_box(packet);
    }
    vec![Box::new(Kit::new(Version::V3_1_1, look4)), Box::new(Kit::new(Version::V5_0, look5))]
}

impl<P> Kit<P> {
    fn new(version: Version, look: fn(&P)) -> Self {
        Kit { version, look, pending: Pending::default(), kept: Vec::new(), out: Vec::new() }
    }
}

impl<P: Encodable + Decodable> Codec for Kit<P>
where
    P::Cond: Default,
{
    fn name(&self) -> &'static str {
        "mqtt-codec-kit"
    }

    fn package(&self) -> &'static str {
        "mqtt-codec-kit"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        "owns: copies every field"
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
            let Some((_, length)) = frame_len(left) else { return Ok(count) };
            (self.look)(&P::decode(&mut &left[..length]).map_err(|error| error.to_string())?);
            self.pending.advance(length);
            count += 1;
        }
    }

    fn keep(&mut self, mut stream: &[u8]) -> Result<(), String> {
        self.kept.clear();
        while let Some((_, length)) = frame_len(stream) {
            let (mut frame, rest) = stream.split_at(length);
            self.kept.push(P::decode(&mut frame).map_err(|error| error.to_string())?);
            stream = rest;
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.out.clear();
        self.out.reserve(ROOM);
    }

    fn encode(&mut self) -> Result<(), String> {
        for packet in &self.kept {
            packet.encode(&mut self.out).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.clone()
    }
}
