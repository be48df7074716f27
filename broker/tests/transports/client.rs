//! A raw client over any transport.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rustls::{ClientConfig, pki_types::ServerName, version::TLS13};
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Subscribe, Subscription, Will},
    qos::Qos,
    reason::Side,
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use crate::server::{Running, Transport, authority};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a proxy says before it passes on the bytes of 192.0.2.7:4660.
pub(crate) const PROXY_HEADER: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\x00\x02\x07\x7F\0\0\x01\x12\x34\x07\x5B";

/// Waits for an event; a test that gets nothing fails here.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: still waiting"))
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Stream for Io {}

enum Wire {
    Bytes(Box<dyn Stream>),
    Frames(Box<WebSocketStream<Box<dyn Stream>>>),
}

pub(crate) struct Client {
    wire: Wire,
    decoder: Decoder,
}

/// A TCP connection, and TLS over it if `tls` says how.
pub(crate) async fn dial(address: std::net::SocketAddr, tls: Option<ClientConfig>) -> io::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let Some(config) = tls else { return Ok(Box::new(socket)) };
    let name = ServerName::try_from("localhost").expect("a name");
    Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await?))
}

/// A WebSocket over that.
pub(crate) async fn websocket(io: Box<dyn Stream>) -> WebSocketStream<Box<dyn Stream>> {
    let mut request = "ws://localhost/mqtt".into_client_request().expect("a request");
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
    let (websocket, response) = tokio_tungstenite::client_async(request, io).await.expect("a WebSocket");
    // [MQTT-6.0.0-4]
    assert_eq!(response.headers().get(SEC_WEBSOCKET_PROTOCOL), Some(&HeaderValue::from_static("mqtt")));
    websocket
}

impl Client {
    /// A connection on which nothing of MQTT was said.
    pub(crate) async fn open(server: &Running, transport: Transport) -> Client {
        let tls = transport.is_secure().then(|| authority().client(None, &[&TLS13]));
        let mut io = dial(server.address(transport), tls).await.expect("the server listens");
        if transport == Transport::Proxied {
            io.write_all(PROXY_HEADER).await.expect("open");
        }
        match transport.is_websocket() {
            true => Client::of(Wire::Frames(Box::new(websocket(io).await))),
            false => Client::over(io),
        }
    }

    /// A client over a stream that is there.
    pub(crate) fn over(io: Box<dyn Stream>) -> Client {
        Client::of(Wire::Bytes(io))
    }

    fn of(wire: Wire) -> Client {
        Client { wire, decoder: Decoder::new(Side::Server, Some(Version::V5_0), u32::MAX) }
    }

    pub(crate) async fn connected(server: &Running, transport: Transport, client_id: &'static str) -> Client {
        let mut client = Client::open(server, transport).await;
        client.greet(connect(client_id)).await;
        client
    }

    /// CONNECT and CONNACK.
    pub(crate) async fn greet(&mut self, connect: Connect) {
        self.send(&Packet::Connect(connect)).await;
        let answer = self.next().await;
        assert!(matches!(answer, Some(Packet::Connack(_))), "{answer:?}");
    }

    pub(crate) async fn send(&mut self, packet: &Packet) {
        self.send_bytes(&bytes(packet)).await.expect("the connection is open");
    }

    /// These bytes as one piece: one write, or one frame.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Bytes(io) => {
                io.write_all(bytes).await?;
                io.flush().await
            }
            Wire::Frames(frames) => {
                let message = Message::Binary(Bytes::copy_from_slice(bytes));
                frames.send(message).await.map_err(io::Error::other)
            }
        }
    }

    /// The next packet; `None` at an orderly end of the transport: FIN, close_notify, Close. Any other end is a failure.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        soon("the next packet", async {
            loop {
                if let Some(packet) = self.decoder.next_packet().expect("the server sends packets") {
                    return Some(packet);
                }
                match &mut self.wire {
                    Wire::Bytes(io) => {
                        let mut buffer = vec![0; 16 * 1024];
                        match io.read(&mut buffer).await.expect("no reset, no truncation") {
                            0 => return None,
                            count => self.decoder.extend(&buffer[..count]),
                        }
                    }
                    Wire::Frames(frames) => match frames.next().await.expect("a Close comes first").expect("a frame") {
                        Message::Binary(bytes) => self.decoder.extend(&bytes),
                        Message::Close(_) => return None,
                        Message::Ping(_) | Message::Pong(_) => {}
                        other => panic!("unexpected {other:?}"),
                    },
                }
            }
        })
        .await
    }

    /// PINGREQ and everything that comes before its answer.
    pub(crate) async fn fence(&mut self) -> Vec<Packet> {
        self.send(&Packet::Pingreq).await;
        let mut before = Vec::new();
        loop {
            match self.next().await.expect("the connection is open") {
                Packet::Pingresp => return before,
                packet => before.push(packet),
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &'static str, qos: Qos) {
        let subscription = Subscription::new(TopicFilter::literal(filter), qos);
        self.send(&Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![subscription]))).await;
        assert!(matches!(self.next().await, Some(Packet::Suback(_))));
    }

    /// Ends the transport in its own orderly way, without a word of MQTT.
    pub(crate) async fn close(mut self) {
        match &mut self.wire {
            Wire::Bytes(io) => io.shutdown().await.expect("open"),
            Wire::Frames(frames) => frames.close(None).await.expect("open"),
        }
        assert_eq!(self.next().await, None);
    }
}

pub(crate) fn bytes(packet: &Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(Version::V5_0, &mut out).expect("a packet");
    out
}

pub(crate) fn connect(client_id: &'static str) -> Connect {
    Connect::new(Version::V5_0, Text::literal(client_id))
}

/// CONNECT with a will on the topic "will".
pub(crate) fn connect_with_will(client_id: &'static str, payload: &'static [u8]) -> Connect {
    let mut connect = connect(client_id);
    connect.set_will(Some(Will {
        qos: Qos::AtMostOnce,
        retain: false,
        topic: TopicName::literal("will"),
        payload: Bytes::from_static(payload),
        properties: Default::default(),
    }));
    connect
}

pub(crate) fn publish(topic: &'static str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish::new(&TopicName::literal(topic), payload))
}

pub(crate) fn publish_at(qos: Qos, packet_id: u16, topic: &'static str, payload: &[u8]) -> Packet {
    let packet_id = PacketId::new(packet_id).expect("not 0");
    Packet::Publish(Publish::new(&TopicName::literal(topic), payload).at(qos, Some(packet_id)))
}

pub(crate) fn ack(packet_id: u16) -> Ack {
    Ack::new(PacketId::new(packet_id).expect("not 0"))
}
