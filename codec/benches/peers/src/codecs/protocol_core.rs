//! mqtt-protocol-core: 3.1.1 and 5.0; takes the body of a frame, gives a vector of bytes for each packet.

use std::hint::black_box;

use mqtt_protocol_core::mqtt::{
    Arc,
    packet::{GenericPacketTrait, Packet, v3_1_1, v5_0},
    result_code::MqttError,
};
use squall_codec::version::Version;

use crate::codec::{Codec, Pending, ROOM, frame_len};

struct Core {
    version: Version,
    pending: Pending,
    kept: Vec<Packet>,
    out: Vec<u8>,
}

pub fn both() -> Vec<Box<dyn Codec>> {
    [Version::V3_1_1, Version::V5_0].map(|version| Box::new(Core::new(version)) as Box<dyn Codec>).into()
}

fn look(packet: &Packet) {
    match packet {
        Packet::V3_1_1Publish(publish) => {
            black_box(publish.topic_name());
            black_box(publish.payload().as_slice());
        }
        Packet::V5_0Publish(publish) => {
            black_box(publish.topic_name());
            black_box(publish.payload().as_slice());
        }
        _ => {}
    }
    black_box(packet);
}

/// What its connection does with a whole frame: a PUBLISH gets a buffer of its own, and any byte left over is an error.
fn parse(version: Version, first: u8, body: &[u8]) -> Result<Packet, MqttError> {
    macro_rules! each {
        ($module:ident: $($number:literal $type:ident $variant:ident),*) => {
            match first >> 4 {
                3 => $module::Publish::parse(first & 0x0F, Arc::from(body)).map(|(packet, used)| (packet.into(), used)),
                $($number => $module::$type::parse(body).map(|(packet, used)| (Packet::$variant(packet), used)),)*
                _ => Err(MqttError::MalformedPacket),
            }
        };
    }
    let (packet, used) = match version {
        Version::V5_0 => each!(v5_0: 1 Connect V5_0Connect, 2 Connack V5_0Connack, 4 Puback V5_0Puback,
            5 Pubrec V5_0Pubrec, 6 Pubrel V5_0Pubrel, 7 Pubcomp V5_0Pubcomp, 8 Subscribe V5_0Subscribe,
            9 Suback V5_0Suback, 10 Unsubscribe V5_0Unsubscribe, 11 Unsuback V5_0Unsuback, 12 Pingreq V5_0Pingreq,
            13 Pingresp V5_0Pingresp, 14 Disconnect V5_0Disconnect, 15 Auth V5_0Auth),
        _ => each!(v3_1_1: 1 Connect V3_1_1Connect, 2 Connack V3_1_1Connack, 4 Puback V3_1_1Puback,
            5 Pubrec V3_1_1Pubrec, 6 Pubrel V3_1_1Pubrel, 7 Pubcomp V3_1_1Pubcomp, 8 Subscribe V3_1_1Subscribe,
            9 Suback V3_1_1Suback, 10 Unsubscribe V3_1_1Unsubscribe, 11 Unsuback V3_1_1Unsuback,
            12 Pingreq V3_1_1Pingreq, 13 Pingresp V3_1_1Pingresp, 14 Disconnect V3_1_1Disconnect),
    }?;
    if used == body.len() { Ok(packet) } else { Err(MqttError::MalformedPacket) }
}

impl Core {
    fn new(version: Version) -> Self {
        Core { version, pending: Pending::default(), kept: Vec::new(), out: Vec::new() }
    }
}

impl Codec for Core {
    fn name(&self) -> &'static str {
        "mqtt-protocol-core"
    }

    fn package(&self) -> &'static str {
        "mqtt-protocol-core"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn remark(&self) -> &'static str {
        "owns: a PUBLISH shares a copy of its frame, the others copy every field; `encode` gives a vector for each packet"
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
            let Some((header, length)) = frame_len(left) else { return Ok(count) };
            let packet = parse(self.version, left[0], &left[header..length]).map_err(|error| format!("{error:?}"))?;
            look(&packet);
            self.pending.advance(length);
            count += 1;
        }
    }

    fn keep(&mut self, mut stream: &[u8]) -> Result<(), String> {
        self.kept.clear();
        while let Some((header, length)) = frame_len(stream) {
            let packet = parse(self.version, stream[0], &stream[header..length]);
            self.kept.push(packet.map_err(|error| format!("{error:?}"))?);
            stream = &stream[length..];
        }
        Ok(())
    }

    fn prepare(&mut self) {
        self.out.clear();
        self.out.reserve(ROOM);
    }

    fn encode(&mut self) -> Result<(), String> {
        for packet in &self.kept {
            self.out.extend_from_slice(&packet.to_continuous_buffer());
        }
        Ok(())
    }

    fn written(&mut self) -> Vec<u8> {
        self.out.clone()
    }
}
