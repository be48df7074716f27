//! rmqtt-codec: 3.1.1 and 5.0, as a codec of tokio-util.

use std::hint::black_box;

use bytes::BytesMut;
use rmqtt_codec::{v3, v5};
use squall_codec::version::Version;
use tokio_util::codec::{Decoder, Encoder};

use crate::codec::{Codec, ROOM};

struct Rmqtt<C, P> {
    version: Version,
    new: fn() -> C,
    look: fn(&P),
    codec: C,
    pending: BytesMut,
    kept: Vec<P>,
    copies: Vec<P>,
    out: BytesMut,
}

pub fn both() -> Vec<Box<dyn Codec>> {
    fn look3(packet: &v3::Packet) {
        if let v3::Packet::Publish(publish) = packet {
            black_box::<&str>(&publish.topic);
            black_box(&publish.payload);
        }
        black_box(packet);
    }
    fn look5(packet: &v5::Packet) {
        if let v5::Packet::Publish(publish) = packet {
            black_box::<&str>(&publish.topic);
            black_box(&publish.payload);
        }
        black_box(packet);
    }
    vec![
        Box::new(Rmqtt::new(Version::V3_1_1, v3::Codec::default, look3)),
        Box::new(Rmqtt::new(Version::V5_0, v5::Codec::default, look5)),
    ]
}

impl<C, P> Rmqtt<C, P> {
    fn new(version: Version, new: fn() -> C, look: fn(&P)) -> Self {
        let (pending, out) = (BytesMut::new(), BytesMut::new());
        Rmqtt { version, new, look, codec: new(), pending, kept: Vec::new(), copies: Vec::new(), out }
    }
}

impl<C, P: Clone> Codec for Rmqtt<C, P>
where
    C: Decoder<Item = (P, u32)> + Encoder<P>,
    <C as Decoder>::Error: std::fmt::Debug,
    <C as Encoder<P>>::Error: std::fmt::Debug,
{
    fn name(&self) -> &'static str {
        "rmqtt-codec"
    }

    fn package(&self) -> &'static str {
        "rmqtt-codec"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        "owns: shares the read buffer; `encode` takes the packet by value, copied before the clock starts"
    }

    fn begin(&mut self) {
        self.codec = (self.new)();
        self.pending = BytesMut::new();
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    fn drain(&mut self) -> Result<usize, String> {
        let mut count = 0;
        while let Some((packet, _)) = self.codec.decode(&mut self.pending).map_err(|error| format!("{error:?}"))? {
            (self.look)(&packet);
            count += 1;
        }
        Ok(count)
    }

    fn keep(&mut self, stream: &[u8]) -> Result<(), String> {
        self.begin();
        self.feed(stream);
        self.kept.clear();
        while let Some((packet, _)) = self.codec.decode(&mut self.pending).map_err(|error| format!("{error:?}"))? {
            self.kept.push(packet);
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.copies.clone_from(&self.kept);
        self.out.clear();
        self.out.reserve(ROOM);
    }

    fn encode(&mut self) -> Result<(), String> {
        for packet in self.copies.drain(..) {
            self.codec.encode(packet, &mut self.out).map_err(|error| format!("{error:?}"))?;
        }
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.to_vec()
    }
}
