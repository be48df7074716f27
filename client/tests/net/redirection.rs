//! A server that names another, and the client that goes there, over each transport.

use squall_client::{
    core::effect::{DisconnectCause, Event},
    net::{driver::start, tls::TlsOptions, tls::Trust, transport::UrlConnector},
    options::{Options, ServerReference},
};
use squall_codec::{
    packet::{Ack, Connack, Disconnect, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    wire::Text,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    support::{Files, PATIENCE, Peer, accept, lasting, listener, message},
    transports::web_socket,
};

fn following() -> Options {
    Options { server_reference: ServerReference::Follow { most: 3 }, ..lasting() }
}

fn named(listener: &TcpListener, host: &str) -> Properties {
    let port = listener.local_addr().expect("bound").port();
    Properties::new().with(Property::ServerReference(Text::new(format!("{host}:{port}")).expect("text")))
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut peer: Peer<S>, reason: ReasonCode, properties: Properties) {
    assert!(matches!(peer.next().await, Some(Packet::Connect(_))));
    peer.send(Packet::Connack(Box::new(Connack { properties, ..Connack::new(reason) }))).await;
    assert_eq!(peer.next().await, None);
}

#[tokio::test]
async fn a_message_that_one_server_did_not_acknowledge_goes_to_the_one_that_it_names() {
    let ((first, connector), (second, _)) = (listener().await, listener().await);
    let credentials = Options { username: Some(Text::literal("ann")), ..following() };
    let (handle, _messages, mut events, driver) = start(credentials, connector, 1);
    tokio::spawn(driver);
    let mut peer = accept(&first).await.welcome(false).await;
    let publishing = tokio::spawn(async move { handle.publish(message("t", Qos::AtLeastOnce, "x")).await });
    let packet_id = peer.expect_publish().await.packet_id;
    let (reason, properties) = (ReasonCode::UseAnotherServer, named(&second, "127.0.0.1"));
    peer.send(Packet::Disconnect(Disconnect { reason, properties })).await;
    assert_eq!(peer.next().await, None);

    let mut peer = accept(&second).await;
    let Some(Packet::Connect(connect)) = peer.next().await else { panic!("expected CONNECT") };
    assert_eq!((connect.username().as_deref(), connect.clean_start), (Some("ann"), false));
    let connack = Connack { session_present: true, ..Connack::new(ReasonCode::Success) };
    peer.send(Packet::Connack(Box::new(connack))).await;
    let again = peer.expect_publish().await;
    assert_eq!((again.packet_id, again.dup), (packet_id, true));
    peer.send(Packet::Puback(Ack::new(packet_id.expect("QoS 1 has one")))).await;
    assert!(publishing.await.expect("no panic").is_ok());
    drop(peer);
    // It was another server for this once.
    let _peer = accept(&first).await.welcome(true).await;

    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.push(match timeout(PATIENCE, events.next()).await.expect("in time").expect("it runs") {
            Event::Connected { resumed, .. } => {
                if resumed {
                    "resumed"
                } else {
                    "new"
                }
            }
            Event::Disconnected { cause: DisconnectCause::Server { .. }, reconnecting: true } => "sent away",
            Event::Disconnected { reconnecting: true, .. } => "lost",
            other => panic!("unexpected: {other:?}"),
        });
    }
    assert_eq!(seen, ["new", "sent away", "resumed", "lost", "resumed"]);
}

#[tokio::test]
async fn servers_that_name_each_other_are_not_asked_without_end() {
    let ((first, connector), (second, _)) = (listener().await, listener().await);
    let options = Options { reconnect: squall_client::options::Reconnect::Never, ..following() };
    let (_handle, _messages, mut events, driver) = start(options, connector, 1);
    let driver = tokio::spawn(driver);
    let reason = ReasonCode::ServerMoved;
    refuse(accept(&first).await, reason, named(&second, "127.0.0.1")).await;
    refuse(accept(&second).await, reason, named(&first, "127.0.0.1")).await;
    refuse(accept(&first).await, reason, named(&second, "127.0.0.1")).await;
    timeout(PATIENCE, driver).await.expect("it ends").expect("no panic");
    let mut ends = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Disconnected { reconnecting, .. } = event {
            ends.push(reconnecting);
        }
    }
    assert_eq!(ends, [true, true, false]);
}

#[tokio::test]
async fn a_server_is_reached_over_the_transport_of_the_one_that_named_it_and_has_to_prove_its_name() {
    let files = Files::new();
    for (scheme, believed) in [("mqtts", true), ("mqtts", false), ("ws", true), ("wss", true)] {
        let (first, address) = listener().await;
        // The certificate is for `localhost` and 127.0.0.1.
        let name = if believed { "localhost" } else { "127.0.0.2" };
        let bound = if believed { "127.0.0.1:0" } else { "127.0.0.2:0" };
        let second = TcpListener::bind(bound).await.expect("a free port on loopback");
        let url = format!("{scheme}://localhost:{}", address.port).parse().expect("a URL");
        let tls = TlsOptions { trust: Trust::Only(vec![files.path("ca.pem")]), ..TlsOptions::default() };
        let connector = UrlConnector::new(&url, &tls).expect("TLS can be set up");
        let (_handle, _messages, mut events, driver) = start(following(), connector, 1);
        tokio::spawn(driver);
        let acceptor = TlsAcceptor::from(files.server.clone());
        let properties = named(&second, name);
        let reason = ReasonCode::UseAnotherServer;
        let (one, other) = (accept(&first).await.stream, second);
        match scheme {
            "mqtts" => {
                let stream = acceptor.accept(one).await.expect("believed");
                refuse(Peer::new(stream), reason, properties).await;
                let stream = acceptor.accept(accept(&other).await.stream).await;
                match stream {
                    Ok(stream) if believed => drop(Peer::new(stream).welcome(false).await),
                    Err(_) if !believed => {}
                    other => panic!("{name}: {:?}", other.map(drop)),
                }
            }
            "ws" => {
                refuse(Peer::new(web_socket(one, Some("mqtt")).await), reason, properties).await;
                let stream = accept(&other).await.stream;
                drop(Peer::new(web_socket(stream, Some("mqtt")).await).welcome(false).await);
            }
            _ => {
                let stream = acceptor.accept(one).await.expect("believed");
                refuse(Peer::new(web_socket(stream, Some("mqtt")).await), reason, properties).await;
                let stream = acceptor.accept(accept(&other).await.stream).await.expect("believed");
                drop(Peer::new(web_socket(stream, Some("mqtt")).await).welcome(false).await);
            }
        }
        assert!(matches!(timeout(PATIENCE, events.next()).await, Ok(Some(Event::Refused { .. }))));
        assert!(matches!(timeout(PATIENCE, events.next()).await, Ok(Some(Event::Disconnected { .. }))));
        match timeout(PATIENCE, events.next()).await.expect("in time") {
            Some(Event::Connected { .. }) if believed => {}
            Some(Event::Disconnected { cause: DisconnectCause::Network(_), .. }) if !believed => {}
            other => panic!("{scheme}, {name}: {other:?}"),
        }
    }
}
