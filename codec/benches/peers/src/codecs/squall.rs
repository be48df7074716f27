//! Ours.

use std::hint::black_box;

use bytes::BytesMut;
use squall_codec::{packet::Packet, reason::Side, stream::Decoder, version::Version};

use crate::codec::{Codec, ROOM};

struct Squall {
    version: Version,
    decoder: Decoder,
    kept: Vec<Packet>,
    out: BytesMut,
}

pub fn both() -> Vec<Box<dyn Codec>> {
    [Version::V3_1_1, Version::V5_0].map(|version| Box::new(Squall::new(version)) as Box<dyn Codec>).into()
}

fn decoder(version: Version) -> Decoder {
    Decoder::new(Side::Client, Some(version), u32::MAX)
}

fn look(packet: &Packet) {
    if let Packet::Publish(publish) = packet {
        black_box(publish.topic());
        black_box(publish.payload());
    }
    black_box(packet);
}

impl Squall {
    fn new(version: Version) -> Self {
        Squall { version, decoder: decoder(version), kept: Vec::new(), out: BytesMut::new() }
    }

    fn each(&mut self, mut with: impl FnMut(&mut Self, Packet)) -> Result<usize, String> {
        let mut count = 0;
        while let Some(packet) = self.decoder.next_packet().map_err(|error| error.to_string())? {
            with(self, packet);
            count += 1;
        }
        Ok(count)
    }
}

impl Codec for Squall {
    fn name(&self) -> &'static str {
        "squall"
    }

    fn package(&self) -> &'static str {
        "squall-codec"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        "owns: a PUBLISH shares the read buffer"
    }

    fn begin(&mut self) {
        self.decoder = decoder(self.version);
    }

    fn begin_with(&mut self, sender: Side) {
        self.decoder = Decoder::new(sender, Some(self.version), u32::MAX);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.decoder.extend(bytes);
    }

    fn drain(&mut self) -> Result<usize, String> {
        self.each(|_, packet| look(&packet))
    }

    fn keep(&mut self, stream: &[u8]) -> Result<(), String> {
        self.begin();
        self.feed(stream);
        self.kept.clear();
        self.each(|own, packet| own.kept.push(packet)).map(drop)
    }

    fn prepare(&mut self) {
        self.out.clear();
        self.out.reserve(ROOM);
    }

    fn encode(&mut self) -> Result<(), String> {
        for packet in &self.kept {
            packet.encode(self.version, &mut self.out).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.to_vec()
    }
}
