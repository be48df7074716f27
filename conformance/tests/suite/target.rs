//! A real address, as people write it.

use std::time::Duration;

use bytes::BytesMut;
use squall_codec::{
    packet::{Connack, Packet},
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version,
};
use squall_conformance::{
    dial::Access,
    preflight::{Unreachable, probe},
    target::Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

fn written(text: &str) -> Result<String, String> {
    text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string())
}

#[test]
fn an_address_has_many_spellings() {
    for (texts, shown) in [
        (
            &["broker:1883", "broker", "tcp://broker:1883", "mqtt://broker", "mqtt://broker:1883/"][..],
            "tcp://broker:1883",
        ),
        (&["[::1]:1883", "tcp://[::1]:1883", "::1"], "tcp://[::1]:1883"),
        (&["tls://broker", "mqtts://broker:8883", "ssl://broker"], "tls://broker:8883"),
        (&["ws://broker"], "ws://broker:80"),
        (&["wss://[::1]:9001/mqtt?a=b", "WSS://[::1]:9001/mqtt?a=b"], "wss://[::1]:9001/mqtt?a=b"),
        (&["tcp://ann:secret@broker"], "tcp://broker:1883"),
    ] {
        for text in texts {
            assert_eq!(written(text).as_deref(), Ok(shown), "{text}");
        }
    }
    let target: Target = "tls://ann:s%40@broker".parse().expect("a target");
    assert_eq!((target.url.username.as_deref(), target.url.password.as_deref()), (Some("ann"), Some("s@")));
    assert_eq!("ws://broker".parse::<Target>().expect("a target").path(), "/mqtt");
}

#[test]
fn a_wrong_address_is_refused_in_words() {
    for (text, sentence) in [
        ("quic://a:1", "the scheme 'quic' is not spoken here, expected tcp, tls, ws or wss (mqtt, mqtts)"),
        ("a:70000", "'70000' is no port: expected a number from 1 to 65535"),
        ("a:0", "'0' is no port: expected a number from 1 to 65535"),
        (":1883", "':1883' names no host"),
        ("tcp://a:1/b", "'/b' has a path, which only ws:// and wss:// have"),
        ("a b:1", "'a b' is no host"),
    ] {
        assert_eq!(written(text).unwrap_err(), sentence, "{text}");
    }
    assert!(written("[::1").is_err());
}

/// Lets a client in.
async fn let_in(mut stream: TcpStream) {
    let mut decoder = Decoder::new(Side::Client, None, u32::MAX);
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        decoder.extend(&buffer[..length]);
        while let Ok(Some(packet)) = decoder.next_packet() {
            if let Packet::Connect(connect) = packet {
                let mut frame = BytesMut::new();
                let connack = Packet::Connack(Box::new(Connack::new(ReasonCode::Success)));
                connack.encode(connect.version(), &mut frame).expect("a CONNACK of every version");
                if stream.write_all(&frame).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A server that lets the first client in, then hangs up on so many, and lets all others in.
async fn hangs_up_on(clients: usize) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("a port");
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            if number == 0 || number > clients {
                tokio::spawn(let_in(stream));
            }
        }
    });
    address.to_string().parse().expect("an address")
}

#[tokio::test]
async fn who_turns_somebody_away_still_answers_and_who_turns_everybody_away_does_not() {
    for (clients, answers) in [(0, true), (3, true), (usize::MAX, false)] {
        let target = hangs_up_on(clients).await;
        let (access, versions) = (Access::default(), [Version::V3_1_1]);
        let asked = probe(&target, &access, &versions);
        let subject = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("in time").expect("it lets in");
        assert_eq!(subject.answers().await, answers, "{clients}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_told_in_less_than_five_seconds() {
    // The clock stands while anything is on its way, and jumps once everybody waits.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target: Target = listener.local_addr().expect("a port").to_string().parse().expect("an address");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let versions = [Version::V3_1_1, Version::V5_0];
    let began = Instant::now();
    let error = probe(&target, &Access::default(), &versions).await.expect_err("nobody answers");
    assert!(matches!(error, Unreachable::Silent { .. }), "{error}");
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(1) && waited < Duration::from_secs(5), "{waited:?}");
}
