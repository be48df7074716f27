//! mqttbytes: 3.1.1 and 5.0.

use std::hint::black_box;

use bytes::BytesMut;
use mqttbytes::{Error, v4, v5};
use squall_codec::version::Version;

use super::shared::Buffered;
use crate::codec::Codec;

const MAXIMUM: usize = 1 << 28;

/// A version's module by its own names.
macro_rules! codec {
    ($module:ident, $version:expr, $packet:ident => $disconnect:pat, $bye:expr, $unsubscribe:expr) => {
        Box::new(Buffered::<$module::Packet> {
            name: "mqttbytes",
            package: "mqttbytes",
            version: $version,
            remark: "owns: copies strings, shares the payload",
            read: |bytes| match $module::read(bytes, MAXIMUM) {
                Ok(packet) => Ok(Some(packet)),
                Err(Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            look: |packet| {
                if let $module::Packet::Publish(publish) = packet {
                    black_box::<&str>(&publish.topic);
                    black_box(&publish.payload);
                }
                black_box(packet);
            },
            write: |$packet, out| {
                let written = match $packet {
                    $module::Packet::Connect(packet) => packet.write(out),
                    $module::Packet::ConnAck(packet) => packet.write(out),
                    $module::Packet::Publish(packet) => packet.write(out),
                    $module::Packet::PubAck(packet) => packet.write(out),
                    $module::Packet::PubRec(packet) => packet.write(out),
                    $module::Packet::PubRel(packet) => packet.write(out),
                    $module::Packet::PubComp(packet) => packet.write(out),
                    $module::Packet::Subscribe(packet) => packet.write(out),
                    $module::Packet::SubAck(packet) => packet.write(out),
                    $module::Packet::Unsubscribe(packet) => return $unsubscribe(packet, out),
                    $module::Packet::UnsubAck(packet) => packet.write(out),
                    $module::Packet::PingReq => $module::PingReq.write(out),
                    $module::Packet::PingResp => $module::PingResp.write(out),
                    $disconnect => $bye.write(out),
                };
                written.map(drop).map_err(|error| error.to_string())
            },
            pending: BytesMut::new(),
            kept: Vec::new(),
            out: BytesMut::new(),
        })
    };
}

pub fn both() -> Vec<Box<dyn Codec>> {
    vec![
        codec!(v4, Version::V3_1_1, packet => v4::Packet::Disconnect, v4::Disconnect,
            |packet: &v4::Unsubscribe, out| packet.write(out).map(drop).map_err(|error| error.to_string())),
        codec!(v5, Version::V5_0, packet => v5::Packet::Disconnect(bye), bye,
            |_, _| Err("it prints to the standard error whenever it writes UNSUBSCRIBE".into())),
    ]
}
