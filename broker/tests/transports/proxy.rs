//! PROXY protocol 2 in front of MQTT.

use tokio::io::AsyncWriteExt;

use crate::{
    client::{Client, PROXY_HEADER, connect, dial},
    server::{Transport, options, server, server_with},
};

#[tokio::test]
async fn the_clients_address_is_the_one_in_the_header() {
    let mut server = server(|_| {}).await;
    Client::connected(&server, Transport::Proxied, "alice").await;
    let peer = server.peers.recv().await.expect("a note");
    assert_eq!(peer.address, Some("192.0.2.7:4660".parse().expect("an address")));
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_keeps_its_own_address() {
    let mut server = server(|_| {}).await;
    let mut io = dial(server.address(Transport::Proxied), None).await.expect("open");
    io.write_all(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0").await.expect("open");
    Client::over(io).greet(connect("alice")).await;
    let peer = server.peers.recv().await.expect("a note");
    assert!(peer.address.expect("an address").ip().is_loopback());
}

#[tokio::test]
async fn the_header_stands_before_the_handshake_of_tls() {
    let mut behind = options(Transport::Tls);
    behind.proxy_protocol = true;
    let mut server = server_with(vec![behind], |_| {}).await;
    let mut socket = tokio::net::TcpStream::connect(server.addresses[0]).await.expect("open");
    socket.write_all(PROXY_HEADER).await.expect("open");
    let config = crate::server::authority().client(None, &[&rustls::version::TLS13]);
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let secure = connector.connect(name, socket).await.expect("a handshake");
    Client::over(Box::new(secure)).greet(connect("alice")).await;
    let peer = server.peers.recv().await.expect("a note");
    assert_eq!(peer.address, Some("192.0.2.7:4660".parse().expect("an address")));
}
