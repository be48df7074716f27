//! Servers on a real socket that are hardly any.

use std::{net::SocketAddr, sync::mpsc, thread};

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
    net::{TcpListener, TcpStream},
};

/// Runs a server on a thread of its own.
pub(crate) fn served<F: Future<Output = ()>>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            sender.send(listener.local_addr().expect("it is bound")).expect("someone waits for the address");
            serve(listener).await;
        });
    });
    receiver.recv().expect("the server starts")
}

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
