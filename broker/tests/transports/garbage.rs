//! Whatever comes in place of a handshake or of MQTT: its connection ends, and nothing else.

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use squall_codec::packet::Packet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    client::{Client, PROXY_HEADER, soon},
    server::{ALL, Transport, server},
};

/// Until the server has ended the connection, in whatever way.
async fn ended(mut socket: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end as well: the server need not read all that is thrown at it.
    let _ = soon("the end", socket.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn random_bytes_end_their_connection_and_nothing_else() {
    let server = server(|config| config.limits.connect_timeout = Duration::from_millis(300)).await;
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    for transport in ALL {
        let mut witness = Client::connected(&server, transport, "witness").await;
        for length in [1, 2, 5, 16, 100, 5_000, 100_000] {
            eprintln!("{length} bytes over {transport:?}");
            let mut bytes = vec![0; length];
            generator.fill_bytes(&mut bytes);
            let mut socket = TcpStream::connect(server.address(transport)).await.expect("the server listens");
            // It may have ended the connection before all is written.
            let _ = socket.write_all(&bytes).await;
            ended(socket).await;
        }
        assert_eq!(witness.fence().await, []);
    }
}

#[tokio::test]
async fn another_protocol_on_the_port_is_closed() {
    let server = server(|config| config.limits.connect_timeout = Duration::from_millis(300)).await;
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice();
    let mqtt = b"\x10\x0F\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x02ab".as_slice();
    for transport in ALL {
        for bytes in [http, mqtt, b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x00\x05hello", b"\r\n\r\n"] {
            let (is_http, is_mqtt) = (bytes == http, bytes == mqtt);
            if (is_mqtt && transport == Transport::Tcp) || (is_http && transport == Transport::Websocket) {
                continue;
            }
            eprintln!("{} over {transport:?}", bytes.escape_ascii());
            let mut socket = TcpStream::connect(server.address(transport)).await.expect("the server listens");
            socket.write_all(bytes).await.expect("open");
            let answer = ended(socket).await;
            assert!(!answer.starts_with(b"\x20"), "a CONNACK");
        }
    }
}

#[tokio::test]
async fn silence_is_closed_after_the_connect_timeout_wherever_it_begins() {
    let server = server(|config| config.limits.connect_timeout = Duration::from_millis(200)).await;
    let beginnings: [(Transport, &[u8]); 9] = [
        (Transport::Tcp, b""),
        (Transport::Tcp, b"\x10"),
        (Transport::Tls, b""),
        (Transport::Tls, b"\x16\x03\x01\x02\x00\x01"),
        (Transport::Websocket, b"GET /mqtt HT"),
        (Transport::SecureWebsocket, b""),
        (Transport::Proxied, b""),
        (Transport::Proxied, b"\r\n\r\n\0\r\nQUIT\n\x21\x11"),
        (Transport::Proxied, PROXY_HEADER),
    ];
    for (transport, bytes) in beginnings {
        eprintln!("{} over {transport:?}", bytes.escape_ascii());
        let mut socket = TcpStream::connect(server.address(transport)).await.expect("the server listens");
        socket.write_all(bytes).await.expect("open");
        ended(socket).await;
    }
    for transport in ALL {
        eprintln!("silence behind the handshakes of {transport:?}");
        let mut client = Client::open(&server, transport).await;
        assert_eq!(client.next().await, None);
    }
    let statistics = server.handle.statistics().await.expect("the server runs");
    assert_eq!(statistics.connections, 0);
}

#[tokio::test]
async fn handshakes_that_hang_keep_nobody_else_waiting() {
    let server = server(|_| {}).await;
    let mut hanging = Vec::new();
    for transport in ALL {
        for _ in 0..50 {
            hanging.push(TcpStream::connect(server.address(transport)).await.expect("the server listens"));
        }
        let mut client = Client::connected(&server, transport, "alice").await;
        client.send(&Packet::Pingreq).await;
        assert_eq!(client.next().await, Some(Packet::Pingresp));
    }
}
