//! WebSocket: who is let in, and what its frames may be.

use futures_util::{SinkExt, StreamExt};
use squall_broker::net::{listener::ListenerOptions, websocket::options::WebsocketOptions};
use squall_codec::{packet::Packet, qos::Qos};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            CloseFrame,
            frame::{
                Frame,
                coding::{CloseCode, Data, OpCode},
            },
        },
    },
};

use crate::{
    client::{Client, Stream, bytes, connect, connect_with_will, dial, publish, soon, websocket},
    server::{ALL, Running, Transport, server, server_with},
};

type Socket = WebSocketStream<Box<dyn Stream>>;

async fn open(server: &Running, transport: Transport) -> Socket {
    let tls = transport.is_secure().then(|| crate::server::authority().client(None, &[&rustls::version::TLS13]));
    websocket(dial(server.address(transport), tls).await.expect("the server listens")).await
}

async fn next(socket: &mut Socket) -> Message {
    soon("the next message", socket.next()).await.expect("not the end").expect("a message")
}

fn both() -> impl Iterator<Item = Transport> {
    ALL.into_iter().filter(|transport| transport.is_websocket())
}

#[tokio::test]
async fn who_asks_for_something_else_is_told_what_is_here() {
    let listener = ListenerOptions {
        websocket: Some(WebsocketOptions {
            path: Some("/mqtt".to_owned()),
            origins: Some(vec!["https://plant.example".to_owned()]),
        }),
        ..ListenerOptions::default()
    };
    let server = server_with(vec![listener], |_| {}).await;
    let upgrade = "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mqtt = "Sec-WebSocket-Protocol: mqtt\r\n";
    let good = "GET /mqtt HTTP/1.1\r\n";
    let huge = format!("{good}{upgrade}{mqtt}X: {}\r\n\r\n", "x".repeat(20_000));
    let cases: [(&str, String, &str, &str); 14] = [
        ("good", format!("{good}{upgrade}{mqtt}\r\n"), "101", "Sec-WebSocket-Protocol: mqtt\r\n"),
        ("query", format!("GET /mqtt?a=b HTTP/1.1\r\n{upgrade}{mqtt}\r\n"), "101", "Upgrade"),
        (
            "old name",
            format!("{good}{upgrade}Sec-WebSocket-Protocol: chat, mqttv3.1\r\n\r\n"),
            "101",
            "Protocol: mqttv3.1\r\n",
        ),
        (
            "the standard's name first, in two headers",
            format!("{good}{upgrade}Sec-WebSocket-Protocol: mqttv3.1\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"),
            "101",
            "Protocol: mqtt\r\n",
        ),
        ("our page", format!("{good}{upgrade}{mqtt}Origin: https://plant.example\r\n\r\n"), "101", "Upgrade"),
        ("other page", format!("{good}{upgrade}{mqtt}Origin: https://evil.example\r\n\r\n"), "403", "origin"),
        ("no subprotocol", format!("{good}{upgrade}\r\n"), "400", "it has to be 'mqtt'"),
        ("other subprotocol", format!("{good}{upgrade}Sec-WebSocket-Protocol: chat\r\n\r\n"), "400", "'chat'"),
        ("case", format!("{good}{upgrade}Sec-WebSocket-Protocol: MQTT\r\n\r\n"), "400", "'MQTT'"),
        ("path", format!("GET / HTTP/1.1\r\n{upgrade}{mqtt}\r\n"), "404", "served at /mqtt"),
        ("a browser", format!("{good}Host: x\r\n\r\n"), "426", "Upgrade: websocket"),
        ("POST", "POST /mqtt HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "405", "Allow: GET"),
        ("HTTP/1.0", "GET /mqtt HTTP/1.0\r\n\r\n".to_owned(), "400", "HTTP"),
        ("huge", huge, "431", "more than"),
    ];
    for (name, request, status, words) in cases {
        for size in [1, request.len()] {
            let mut socket = TcpStream::connect(server.addresses[0]).await.expect("the server listens");
            socket.set_nodelay(true).expect("a socket");
            for piece in request.as_bytes().chunks(size) {
                // The server need not read a huge request to its end.
                if socket.write_all(piece).await.is_err() {
                    break;
                }
            }
            let mut answer = String::new();
            if status == "101" {
                let mut buffer = [0; 4096];
                while !answer.ends_with("\r\n\r\n") {
                    let count = soon(name, socket.read(&mut buffer)).await.expect("no reset");
                    answer.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
                }
            } else if soon(name, socket.read_to_string(&mut answer)).await.is_err() {
                assert_eq!(name, "huge", "only what was not read to its end may be reset");
                continue;
            }
            let words = words.to_ascii_lowercase();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {answer}");
            assert!(answer.to_ascii_lowercase().contains(&words), "{name}: {answer}");
        }
    }
}

#[tokio::test]
async fn packets_may_share_a_frame_and_fill_several() {
    let server = server(|_| {}).await;
    for transport in both() {
        let mut socket = open(&server, transport).await;
        let all = [bytes(&Packet::Connect(connect("alice"))), bytes(&Packet::Pingreq)].concat();
        let (first, rest) = all.split_at(5);
        let (second, third) = rest.split_at(1);
        // One message in three frames, a ping between them.
        let frame =
            |part: &[u8], opcode, last| Message::Frame(Frame::message(part.to_vec(), OpCode::Data(opcode), last));
        socket.send(frame(first, Data::Binary, false)).await.expect("open");
        socket.send(frame(second, Data::Continue, false)).await.expect("open");
        socket.send(Message::Ping("are you there".into())).await.expect("open");
        assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()));
        socket.send(frame(third, Data::Continue, true)).await.expect("open");
        let mut answers = Vec::new();
        while !answers.ends_with(&[0xD0, 0x00]) {
            let Message::Binary(bytes) = next(&mut socket).await else { panic!("not binary") };
            answers.extend_from_slice(&bytes);
        }
        assert_eq!(answers[0], 0x20, "a CONNACK comes first");
    }
}

#[tokio::test]
async fn a_frame_that_is_not_binary_ends_the_connection_and_the_will_is_published() {
    let server = server(|_| {}).await;
    for transport in both() {
        let mut watcher = Client::connected(&server, transport, "watcher").await;
        watcher.subscribe("will", Qos::AtMostOnce).await;
        let mut socket = open(&server, transport).await;
        let connect = bytes(&Packet::Connect(connect_with_will("alice", b"broke the rules")));
        socket.send(Message::Binary(connect.freeze())).await.expect("open");
        assert!(matches!(next(&mut socket).await, Message::Binary(_)));
        // [MQTT-6.0.0-1]
        socket.send(Message::Text("hello".into())).await.expect("open");
        let Message::Close(Some(CloseFrame { code, .. })) = next(&mut socket).await else { panic!("no Close") };
        assert_eq!(code, CloseCode::Unsupported);
        assert_eq!(watcher.next().await, Some(publish("will", b"broke the rules")));
    }
}

#[tokio::test]
async fn close_is_answered_with_the_same_code_and_the_server_closes_with_one_of_its_own() {
    let server = server(|_| {}).await;
    for transport in both() {
        let mut socket = open(&server, transport).await;
        let goodbye = CloseFrame { code: CloseCode::Away, reason: "leaving".into() };
        socket.close(Some(goodbye)).await.expect("open");
        let Message::Close(Some(answer)) = next(&mut socket).await else { panic!("no Close") };
        assert_eq!(answer.code, CloseCode::Away);

        let mut socket = open(&server, transport).await;
        // No CONNECT: MQTT has nothing to say to it, and the transport says goodbye.
        socket.send(Message::Binary(vec![0xC0, 0x00].into())).await.expect("open");
        let Message::Close(Some(goodbye)) = next(&mut socket).await else { panic!("no Close") };
        assert_eq!(goodbye.code, CloseCode::Normal);
    }
}

#[tokio::test]
async fn what_comes_right_behind_the_request_is_read() {
    let server = server(|_| {}).await;
    let mut socket = TcpStream::connect(server.address(Transport::Websocket)).await.expect("the server listens");
    let request =
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    // A mask of zeros leaves the bytes as they are.
    let connect = bytes(&Packet::Connect(connect("alice")));
    let frame = [&[0x82, 0x80 | connect.len() as u8, 0, 0, 0, 0], connect.as_ref()].concat();
    socket.write_all(&[request.as_slice(), &frame].concat()).await.expect("open");
    let mut answer = Vec::new();
    while !answer.windows(5).any(|window| window[..4] == *b"\r\n\r\n" && window[4] == 0x82) {
        assert_ne!(soon("CONNACK", socket.read_buf(&mut answer)).await.expect("no reset"), 0, "an end");
    }
    let behind = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head") + 4;
    assert_eq!(answer[behind + 2], 0x20, "a CONNACK in a frame");
}
