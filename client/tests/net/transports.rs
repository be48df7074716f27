//! TCP, TLS, WebSocket and WebSocket over TLS, from a URL.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use squall_client::{
    core::effect::{DisconnectCause, Event},
    net::{
        driver::start,
        tls::{ClientCertificate, TlsOptions, TlsVersion, Trust},
        transport::{OpenError, UrlConnector, open},
        url::ServerUrl,
    },
    options::{Options, Reconnect},
};
use squall_codec::{packet::Subscription, property::Properties, qos::Qos, reason::ReasonCode, topic::TopicFilter};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpListener,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::{HeaderName, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};

use crate::support::{Files, PATIENCE, Peer, accept, listener, message, options};

/// Trusting the tests' authority.
fn trusting(files: &Files) -> TlsOptions {
    TlsOptions { trust: Trust::Only(vec![files.path("ca.pem")]), ..TlsOptions::default() }
}

fn connector(url: &str, tls: &TlsOptions) -> UrlConnector {
    UrlConnector::new(&url.parse::<ServerUrl>().expect("a URL"), tls).expect("TLS can be set up")
}

/// Subscribes, publishes something large, receives it, and leaves.
async fn round_trip(connector: UrlConnector) {
    let (handle, _messages, _events, driver) = start(options(), connector, 1);
    tokio::spawn(driver);
    let wanted = vec![Subscription::new(TopicFilter::literal("t/#"), Qos::AtMostOnce)];
    let mut stream =
        timeout(PATIENCE, handle.stream(wanted, Properties::new())).await.expect("in time").expect("granted");
    // More than one TLS record, one WebSocket frame and one read.
    let large = "0123456789abcdef".repeat(20_000);
    handle.publish(message("t/x", Qos::AtLeastOnce, &large)).await.expect("published");
    let back = timeout(PATIENCE, stream.next()).await.expect("in time").expect("the client runs");
    assert_eq!((back.topic(), back.payload()), ("t/x", large.as_bytes()));
    timeout(PATIENCE, handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, None)).await.expect("it ends");
}

/// How the first connection to a URL ends.
async fn failure(connector: UrlConnector) -> String {
    let options = Options { reconnect: Reconnect::Never, ..options() };
    let (_handle, _messages, mut events, driver) = start(options, connector, 1);
    tokio::spawn(driver);
    match timeout(PATIENCE, events.next()).await.expect("in time") {
        Some(Event::Disconnected { cause: DisconnectCause::Network(reason), .. }) => reason,
        other => panic!("expected the network to fail, saw {other:?}"),
    }
}

fn tls_echo(listener: TcpListener, config: Arc<ServerConfig>) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let stream = accept(&listener).await.stream;
        match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => Peer::new(stream).echo().await,
            Err(_) => false,
        }
    })
}

/// The server's half of a WebSocket as a stream of bytes, in frames that end anywhere.
pub(crate) async fn web_socket<S>(stream: S, protocol: Option<&'static str>) -> DuplexStream
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[expect(clippy::result_large_err, reason = "the signature is the library's")]
    let answer = move |request: &Request, mut response: Response| {
        assert_eq!(request.uri().path(), "/mqtt");
        assert_eq!(request.headers().get(SEC_WEBSOCKET_PROTOCOL), Some(&HeaderValue::from_static("mqtt")));
        if let Some(protocol) = protocol {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        Ok(response)
    };
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let Ok(socket) = accept_hdr_async(stream, answer).await else { return ours };
    let (mut frames_out, mut frames_in) = socket.split();
    let (mut bytes_in, mut bytes_out) = tokio::io::split(theirs);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = frames_in.next().await {
            match frame {
                Message::Binary(bytes) => bytes_out.write_all(&bytes).await.expect("the peer reads"),
                Message::Close(_) => break,
                other => panic!("not binary: {other:?}"),
            }
        }
        // The end of one is the end of the other.
        let _ = bytes_out.shutdown().await;
    });
    tokio::spawn(async move {
        let mut length = 1;
        let mut buffer = vec![0; 5000];
        while let Ok(count @ 1..) = bytes_in.read(&mut buffer[..length]).await {
            length = length * 3 % 5000 + 1;
            let frame = Message::Binary(bytes::Bytes::copy_from_slice(&buffer[..count]));
            if frames_out.send(frame).await.is_err() {
                return;
            }
        }
        let _ = frames_out.close().await;
    });
    ours
}

#[tokio::test]
async fn a_message_goes_and_comes_over_each_transport() {
    let files = Files::new();
    let tls = trusting(&files);

    let (listener, address) = listener().await;
    let server = tokio::spawn(async move { accept(&listener).await.echo().await });
    round_trip(connector(&format!("mqtt://127.0.0.1:{}", address.port), &tls)).await;
    assert!(server.await.expect("no panic"), "the last packet is DISCONNECT");

    for host in ["localhost", "127.0.0.1"] {
        let (listener, address) = crate::support::listener().await;
        let server = tls_echo(listener, Arc::clone(&files.server));
        round_trip(connector(&format!("mqtts://{host}:{}", address.port), &tls)).await;
        assert!(server.await.expect("no panic"), "the last packet is DISCONNECT");
    }

    let (listener, address) = crate::support::listener().await;
    let server = tokio::spawn(async move {
        let stream = accept(&listener).await.stream;
        Peer::new(web_socket(stream, Some("mqtt")).await).echo().await
    });
    round_trip(connector(&format!("ws://127.0.0.1:{}", address.port), &tls)).await;
    assert!(server.await.expect("no panic"), "the last packet is DISCONNECT");

    let (listener, address) = crate::support::listener().await;
    let config = Arc::clone(&files.server);
    let server = tokio::spawn(async move {
        let stream = accept(&listener).await.stream;
        let stream = TlsAcceptor::from(config).accept(stream).await.expect("TLS");
        Peer::new(web_socket(stream, Some("mqtt")).await).echo().await
    });
    round_trip(connector(&format!("wss://localhost:{}/mqtt", address.port), &tls)).await;
    assert!(server.await.expect("no panic"), "the last packet is DISCONNECT");
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let files = Files::new();
    let certificate = ClientCertificate { chain: files.path("client.pem"), key: files.path("client.key") };
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let tls = TlsOptions { certificate: Some(certificate.clone()), version: Some(version), ..trusting(&files) };
        let (listener, address) = listener().await;
        let server = tls_echo(listener, Arc::clone(&files.mutual));
        round_trip(connector(&format!("mqtts://localhost:{}", address.port), &tls)).await;
        assert!(server.await.expect("no panic"));
    }
    let (listener, address) = listener().await;
    let server = tls_echo(listener, Arc::clone(&files.mutual));
    let reason = failure(connector(&format!("mqtts://localhost:{}", address.port), &trusting(&files))).await;
    assert!(reason.contains("CertificateRequired") || reason.contains("reset"), "{reason}");
    assert!(!server.await.expect("no panic"), "a client without a certificate came in");
}

#[tokio::test]
async fn a_server_that_is_not_believed_learns_nothing() {
    let files = Files::new();
    let others = Files::new();
    let named = |name: &str| TlsOptions { server_name: Some(name.to_owned()), ..trusting(&files) };
    for (tls, expected) in [(trusting(&others), "BadSignature"), (named("elsewhere.example"), "not valid for name")] {
        let (listener, address) = listener().await;
        let server = tls_echo(listener, Arc::clone(&files.server));
        let reason = failure(connector(&format!("mqtts://localhost:{}", address.port), &tls)).await;
        assert!(reason.starts_with("no TLS: ") && reason.contains(expected), "{reason}");
        assert!(!server.await.expect("no panic"));
    }
    // Who believes anybody says so, and who names the name in the certificate is believed.
    for tls in [TlsOptions { trust: Trust::Anybody, ..named("elsewhere.example") }, named("localhost")] {
        let (listener, address) = listener().await;
        let server = tls_echo(listener, Arc::clone(&files.server));
        round_trip(connector(&format!("mqtts://127.0.0.1:{}", address.port), &tls)).await;
        assert!(server.await.expect("no panic"));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_named_as_such() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let mut stream = accept(&listener).await.stream;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("the client reads");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let files = Files::new();
    let reason = failure(connector(&format!("mqtts://localhost:{}", address.port), &trusting(&files))).await;
    assert!(reason.starts_with("no TLS: "), "{reason}");
    server.await.expect("no panic");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    let url: ServerUrl = "mqtts://localhost".parse().expect("a URL");
    let pair = |chain: &str, key: &str| TlsOptions {
        certificate: Some(ClientCertificate { chain: files.path(chain), key: files.path(key) }),
        ..trusting(&files)
    };
    let only = |name: &str| TlsOptions { trust: Trust::Only(vec![files.path(name)]), ..TlsOptions::default() };
    for (tls, named) in [
        (only("nowhere.pem"), "nowhere.pem"),
        (only("empty.pem"), "empty.pem holds no certificate"),
        (only("client.key"), "client.key holds no certificate"),
        (pair("client.pem", "empty.pem"), "empty.pem holds no private key"),
        (pair("client.pem", "nowhere.key"), "cannot read private key in"),
        (pair("client.pem", "server.key"), "cannot use the certificates"),
        (TlsOptions { server_name: Some("no name".to_owned()), ..trusting(&files) }, "'no name'"),
    ] {
        let error = UrlConnector::new(&url, &tls).err().expect("it cannot be used").to_string();
        assert!(error.contains(named), "{error}");
    }
    // A folder stands for the certificates in it.
    assert!(UrlConnector::new(&url, &only(".")).is_ok());
    // Without TLS nobody looks at its files.
    assert!(UrlConnector::new(&"ws://localhost".parse().expect("a URL"), &only("nowhere.pem")).is_ok());
}

#[tokio::test]
async fn a_web_socket_that_is_not_for_mqtt_is_refused() {
    for protocol in [None, Some("chat")] {
        let (listener, address) = listener().await;
        let server = tokio::spawn(async move { web_socket(accept(&listener).await.stream, protocol).await });
        let url = format!("ws://127.0.0.1:{}", address.port);
        let reason = failure(connector(&url, &TlsOptions::default())).await;
        assert!(reason.starts_with("no WebSocket: "), "{reason}");
        drop(server.await);
    }
}

#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let answer = |_: &Request, mut response: Response| {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"));
            Ok(response)
        };
        let mut socket = accept_hdr_async(accept(&listener).await.stream, answer).await.expect("a handshake");
        assert!(matches!(socket.next().await, Some(Ok(Message::Binary(_)))), "CONNECT is binary");
        socket.send(Message::text("\u{20}\u{2}")).await.expect("the client reads");
        socket.next().await.is_none_or(|frame| frame.is_err())
    });
    let reason = failure(connector(&format!("ws://127.0.0.1:{}", address.port), &TlsOptions::default())).await;
    assert_eq!(reason, "the server sent a WebSocket frame that is not binary");
    assert!(server.await.expect("no panic"), "the client hangs up");
}

#[tokio::test]
async fn a_gateway_gets_its_header() {
    let (listener, address) = listener().await;
    let server = tokio::spawn(async move {
        let mut seen = None;
        #[expect(clippy::result_large_err, reason = "the signature is the library's")]
        let answer = |request: &Request, response: Response| {
            seen = request.headers().get("x-token").cloned();
            Ok(response)
        };
        // Without a protocol the client leaves.
        let _ = accept_hdr_async(accept(&listener).await.stream, answer).await;
        seen
    });
    let connector = connector(&format!("ws://127.0.0.1:{}/x", address.port), &TlsOptions::default());
    failure(connector.with_header(HeaderName::from_static("x-token"), HeaderValue::from_static("secret"))).await;
    assert_eq!(server.await.expect("no panic"), Some(HeaderValue::from_static("secret")));
}

#[tokio::test]
async fn a_url_is_enough_to_begin_with() {
    let (listener, address) = listener().await;
    let url = format!("mqtt://ann:secret@127.0.0.1:{}", address.port);
    let (_handle, _messages, _events) = open(&url, options()).expect("a URL");
    let Some(squall_codec::packet::Packet::Connect(connect)) = accept(&listener).await.next().await else {
        panic!("expected CONNECT")
    };
    assert_eq!(connect.username().as_deref(), Some("ann"));
    assert_eq!(connect.password(), Some(&b"secret"[..]));
    assert!(matches!(open("mqtt//x", options()), Err(OpenError::Url(_))));
}
