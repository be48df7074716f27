//! rumqttc: its `mqttbytes` for 3.1.1 and for 5.0.

use std::hint::black_box;

use bytes::BytesMut;
use rumqttc::{
    mqttbytes::{self, v4},
    v5::mqttbytes::{self as mqttbytes5, v5},
};
use squall_codec::version::Version;

use super::shared::Buffered;
use crate::codec::Codec;

const MAXIMUM: usize = 1 << 28;

pub fn both() -> Vec<Box<dyn Codec>> {
    vec![
        Box::new(Buffered::<v4::Packet> {
            name: "rumqttc",
            package: "rumqttc",
            version: Version::V3_1_1,
            remark: "owns: copies strings, shares the payload",
            read: |bytes| match v4::Packet::read(bytes, MAXIMUM) {
                Ok(packet) => Ok(Some(packet)),
                Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            look: |packet| {
                if let v4::Packet::Publish(publish) = packet {
                    black_box::<&str>(&publish.topic);
                    black_box(&publish.payload);
                }
                black_box(packet);
            },
            write: |packet, out| packet.write(out, MAXIMUM).map(drop).map_err(|error| error.to_string()),
            pending: BytesMut::new(),
            kept: Vec::new(),
            out: BytesMut::new(),
        }),
        Box::new(Buffered::<v5::Packet> {
            name: "rumqttc",
            package: "rumqttc",
            version: Version::V5_0,
            remark: "owns: copies strings, shares topic and payload; the topic is bytes until somebody checks it",
            read: |bytes| match v5::Packet::read(bytes, None) {
                Ok(packet) => Ok(Some(packet)),
                Err(mqttbytes5::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            look: |packet| {
                if let v5::Packet::Publish(publish) = packet {
                    let _ = black_box(std::str::from_utf8(&publish.topic));
                    black_box(&publish.payload);
                }
                black_box(packet);
            },
            write: |packet, out| packet.write(out, None).map(drop).map_err(|error| error.to_string()),
            pending: BytesMut::new(),
            kept: Vec::new(),
            out: BytesMut::new(),
        }),
    ]
}
