//! Several listeners of one server, each with its own settings.

use squall_broker::net::listener::ListenerOptions;
use squall_codec::packet::Packet;
use tokio::{io::AsyncReadExt, net::TcpStream};

use crate::{
    client::{Client, connect, dial, soon},
    server::{ALL, Transport, options, server, server_with},
};

#[tokio::test]
async fn a_connection_carries_the_name_of_its_listener() {
    let mut server = server(|_| {}).await;
    for transport in ALL {
        Client::connected(&server, transport, "alice").await;
        let peer = server.peers.recv().await.expect("a note");
        assert_eq!(*peer.listener, *format!("{transport:?}"));
        assert!(peer.address.is_some());
        assert_eq!(peer.certificate_name, None);
    }
}

#[tokio::test]
async fn beyond_its_maximum_a_listener_closes_at_once_and_takes_others_when_one_has_left() {
    let mut small = options(Transport::Tls);
    small.maximum_connections = 2;
    let server = server_with(vec![small, ListenerOptions::named("large")], |_| {}).await;
    let dial_small = || TcpStream::connect(server.addresses[0]);
    // Connections count from their first byte on: these two never say a word of TLS.
    let (first, second) = (dial_small().await.expect("open"), dial_small().await.expect("open"));
    let mut third = dial_small().await.expect("the listener accepts");
    assert_eq!(soon("the end", third.read(&mut [0; 1])).await.expect("FIN"), 0);
    let mut elsewhere = Client::over(dial(server.addresses[1], None).await.expect("open"));
    elsewhere.greet(connect("elsewhere")).await;
    drop(first);
    soon("room for another", async {
        loop {
            let mut socket = dial_small().await.expect("the listener accepts");
            match tokio::time::timeout(std::time::Duration::from_millis(50), socket.read(&mut [0; 1])).await {
                // It is still open: it was taken.
                Err(_) => return,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
    drop(second);
    elsewhere.send(&Packet::Pingreq).await;
    assert_eq!(elsewhere.next().await, Some(Packet::Pingresp));
}

#[tokio::test]
async fn a_running_server_tells_its_numbers() {
    let server = server(|_| {}).await;
    let _alice = Client::connected(&server, Transport::Tls, "alice").await;
    let statistics = server.handle.statistics().await.expect("the server runs");
    assert_eq!((statistics.connections, statistics.sessions), (1, 1));
    server.stop.send(()).expect("the server runs");
    soon("the server's end", server.task).await.expect("no panic").expect("no error");
    assert_eq!(server.handle.statistics().await, None);
}
