//! Servers on a real socket that are hardly any.

use std::net::SocketAddr;

use bytes::BytesMut;
use squall_codec::{
    packet::{Ack, Connack, Packet, Suback},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::served::served;

async fn acknowledge(mut stream: TcpStream, hangs_up: bool) {
    let mut decoder = Decoder::new(Side::Client, None, u32::MAX);
    let (mut buffer, mut version) = ([0; 4096], Version::V3_1_1);
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        decoder.extend(&buffer[..length]);
        while let Ok(Some(packet)) = decoder.next_packet() {
            let answer = match packet {
                Packet::Connect(connect) => {
                    version = connect.version();
                    Packet::Connack(Box::new(Connack::new(ReasonCode::Success)))
                }
                Packet::Subscribe(subscribe) => {
                    let granted = subscribe.subscriptions.iter().map(|_| ReasonCode::GRANTED_QOS_0).collect();
                    Packet::Suback(Suback::new(subscribe.packet_id, granted))
                }
                Packet::Publish(publish) if publish.qos == Qos::AtLeastOnce => {
                    Packet::Puback(Ack::new(publish.packet_id.expect("QoS 1 has one")))
                }
                Packet::Pingreq if hangs_up => return,
                Packet::Pingreq => Packet::Pingresp,
                _ => continue,
            };
            let mut frame = BytesMut::new();
            answer.encode(version, &mut frame).expect("it exists in every version");
            if stream.write_all(&frame).await.is_err() {
                return;
            }
        }
    }
}

/// Acknowledges everything, and delivers nothing. It may hang up on PINGREQ.
pub(crate) fn acknowledges_everything(but_hangs_up_on_pingreq: bool) -> SocketAddr {
    served(move |listener| async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(acknowledge(stream, but_hangs_up_on_pingreq));
        }
    })
}
