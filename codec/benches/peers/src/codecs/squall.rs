//! Ours: packets that own what they hold, and views that borrow it.

use std::hint::black_box;

use bytes::BytesMut;
use squall_codec::{
    packet::{ConnectView, Packet, PacketView},
    reason::Side,
    stream::Decoder,
    version::Version,
};

use crate::codec::{Codec, OUR_VIEWS, OURS, ROOM};

struct Squall {
    version: Version,
    decoder: Decoder,
    kept: Vec<Packet>,
    out: BytesMut,
}

struct Views(Squall);

pub fn both() -> Vec<Box<dyn Codec>> {
    [Version::V3_1_1, Version::V5_0].map(|version| Box::new(Squall::new(version)) as Box<dyn Codec>).into()
}

pub fn views() -> Vec<Box<dyn Codec>> {
    [Version::V3_1_1, Version::V5_0].map(|version| Box::new(Views(Squall::new(version))) as Box<dyn Codec>).into()
}

fn decoder(version: Version) -> Decoder {
    Decoder::new(Side::Client, Some(version), u32::MAX)
}

fn look(packet: &Packet) {
    match packet {
        Packet::Publish(publish) => {
            black_box(publish.topic());
            black_box(publish.payload());
            publish.forwarded_views().for_each(|property| {
                black_box(property);
            });
        }
        Packet::Connect(connect) => look_at_connect(&connect.view()),
        _ => {}
    }
    black_box(packet);
}

fn look_at_connect(connect: &ConnectView<'_>) {
    black_box(connect.client_id().as_str());
    black_box(connect.username().map(|username| username.as_str()));
    black_box(connect.password());
    connect.properties().iter().for_each(|property| {
        black_box(property);
    });
    if let Some(will) = connect.will() {
        black_box(will.topic.as_str());
        black_box(will.payload);
        will.properties.iter().for_each(|property| {
            black_box(property);
        });
    }
}

fn look_at_view(packet: &PacketView<'_>) {
    match packet {
        PacketView::Publish(publish) => {
            black_box(publish.topic());
            black_box(publish.payload());
            publish.properties().iter().for_each(|property| {
                black_box(property);
            });
        }
        PacketView::Connect(connect) => look_at_connect(connect),
        PacketView::Subscribe(subscribe) => {
            subscribe.subscriptions().for_each(|(filter, options)| {
                black_box((filter.as_str(), options));
            });
        }
        PacketView::Unsubscribe(unsubscribe) => {
            unsubscribe.filters().for_each(|filter| {
                black_box(filter.as_str());
            });
        }
        PacketView::Other(_) => {}
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
        OURS
    }

    fn package(&self) -> &'static str {
        "squall-codec"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        "owns: PUBLISH and CONNECT share the read buffer"
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

impl Codec for Views {
    fn name(&self) -> &'static str {
        OUR_VIEWS
    }

    fn package(&self) -> &'static str {
        self.0.package()
    }

    fn version(&self) -> Version {
        self.0.version
    }

    fn remark(&self) -> &'static str {
        "borrows: a packet ends with the read buffer"
    }

    fn begin(&mut self) {
        self.0.begin();
    }

    fn begin_with(&mut self, sender: Side) {
        self.0.begin_with(sender);
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn drain(&mut self) -> Result<usize, String> {
        let mut count = 0;
        while let Some(packet) = self.0.decoder.next_view().map_err(|error| error.to_string())? {
            look_at_view(&packet);
            count += 1;
        }
        Ok(count)
    }

    fn keep(&mut self, _stream: &[u8]) -> Result<(), String> {
        Err("a view is read, and what is written is a packet".into())
    }

    fn prepare(&mut self) {}

    fn encode(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        Vec::new()
    }
}
