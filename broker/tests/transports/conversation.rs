//! The same conversation over every transport.

use squall_codec::{
    packet::{Disconnect, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};

use crate::{
    client::{Client, ack, bytes, connect, connect_with_will, publish, publish_at, soon},
    server::{ALL, Transport, server},
};

#[tokio::test]
async fn every_quality_of_service_passes_in_both_directions() {
    let server = server(|_| {}).await;
    for transport in ALL {
        eprintln!("over {transport:?}");
        let mut alice = Client::connected(&server, transport, "alice").await;
        let mut bob = Client::connected(&server, transport, "bob").await;
        bob.subscribe("t", Qos::ExactlyOnce).await;
        alice.send(&publish("t", b"zero")).await;
        assert_eq!(bob.next().await, Some(publish("t", b"zero")));

        alice.send(&publish_at(Qos::AtLeastOnce, 7, "t", b"one")).await;
        assert!(matches!(alice.next().await, Some(Packet::Puback(_))));
        let packet_id = expect_publish(bob.next().await, Qos::AtLeastOnce, b"one");
        bob.send(&Packet::Puback(ack(packet_id))).await;

        alice.send(&publish_at(Qos::ExactlyOnce, 8, "t", b"two")).await;
        assert!(matches!(alice.next().await, Some(Packet::Pubrec(_))));
        alice.send(&Packet::Pubrel(ack(8))).await;
        assert!(matches!(alice.next().await, Some(Packet::Pubcomp(_))));
        let packet_id = expect_publish(bob.next().await, Qos::ExactlyOnce, b"two");
        bob.send(&Packet::Pubrec(ack(packet_id))).await;
        assert!(matches!(bob.next().await, Some(Packet::Pubrel(_))));
        bob.send(&Packet::Pubcomp(ack(packet_id))).await;
        assert_eq!(bob.fence().await, []);
        assert_eq!(alice.fence().await, []);
    }
}

fn expect_publish(packet: Option<Packet>, qos: Qos, payload: &[u8]) -> u16 {
    let Some(Packet::Publish(publish)) = packet else { panic!("no PUBLISH: {packet:?}") };
    assert_eq!((publish.qos, publish.payload()), (qos, payload));
    publish.packet_id.expect("an identifier").value()
}

#[tokio::test]
async fn a_mebibyte_split_at_odd_places_arrives_unchanged() {
    let server = server(|_| {}).await;
    let payload: Vec<u8> = (0..1_048_579_u32).map(|index| ((index * 31) >> 3) as u8).collect();
    let frame = bytes(&publish("t", &payload));
    for transport in ALL {
        eprintln!("over {transport:?}");
        let mut alice = Client::connected(&server, transport, "alice").await;
        let mut bob = Client::connected(&server, transport, "bob").await;
        bob.subscribe("t", Qos::AtMostOnce).await;
        let (mut rest, mut sizes) =
            (frame.as_ref(), [1, 2, 3, 1021, 65_537, 125, 126, 127, 300_000].into_iter().cycle());
        let sent = async {
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(sizes.next().expect("a cycle").min(rest.len()));
                alice.send_bytes(piece).await.expect("open");
                rest = behind;
            }
        };
        let ((), received) = tokio::join!(sent, bob.next());
        let Some(Packet::Publish(received)) = received else { panic!("no PUBLISH") };
        assert!(received.payload() == payload);
    }
}

#[tokio::test]
async fn packets_in_one_piece_and_byte_by_byte_are_answered_alike() {
    let server = server(|_| {}).await;
    let all = [
        bytes(&Packet::Connect(connect("alice"))),
        bytes(&publish_at(Qos::AtLeastOnce, 9, "t", b"hi")),
        bytes(&Packet::Pingreq),
    ]
    .concat();
    for transport in ALL {
        for size in [all.len(), 1, 3] {
            eprintln!("over {transport:?} in pieces of {size}");
            let mut client = Client::open(&server, transport).await;
            for piece in all.chunks(size) {
                client.send_bytes(piece).await.expect("open");
            }
            assert!(matches!(client.next().await, Some(Packet::Connack(_))));
            assert!(matches!(client.next().await, Some(Packet::Puback(_))));
            assert_eq!(client.next().await, Some(Packet::Pingresp));
        }
    }
}

#[tokio::test]
async fn an_end_without_disconnect_publishes_the_will() {
    let server = server(|_| {}).await;
    for transport in ALL {
        let mut watcher = Client::connected(&server, transport, "watcher").await;
        watcher.subscribe("will", Qos::AtMostOnce).await;
        for orderly in [false, true] {
            eprintln!("over {transport:?}, the transport ends orderly: {orderly}");
            let mut alice = Client::open(&server, transport).await;
            alice.greet(connect_with_will("alice", b"gone")).await;
            match orderly {
                true => alice.close().await,
                // TLS without close_notify, WebSocket without Close.
                false => drop(alice),
            }
            assert_eq!(watcher.next().await, Some(publish("will", b"gone")));
        }
    }
}

#[tokio::test]
async fn disconnect_publishes_no_will_and_the_transport_ends_orderly() {
    let server = server(|_| {}).await;
    for transport in ALL {
        eprintln!("over {transport:?}");
        let mut watcher = Client::connected(&server, transport, "watcher").await;
        watcher.subscribe("will", Qos::AtMostOnce).await;
        let mut alice = Client::open(&server, transport).await;
        alice.greet(connect_with_will("alice", b"gone")).await;
        alice.send(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))).await;
        assert_eq!(alice.next().await, None);
        assert_eq!(watcher.fence().await, []);
    }
}

#[tokio::test]
async fn a_malformed_packet_is_answered_and_its_connection_ends_orderly() {
    let server = server(|_| {}).await;
    for transport in ALL {
        eprintln!("over {transport:?}");
        let mut alice = Client::connected(&server, transport, "alice").await;
        // Much is still under way when the server closes.
        let mut much = vec![0; 2];
        much.extend(std::iter::repeat_n(0xC0, 30_000));
        alice.send_bytes(&much).await.expect("open");
        let Some(Packet::Disconnect(disconnect)) = alice.next().await else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.reason, ReasonCode::MalformedPacket);
        assert_eq!(alice.next().await, None);
    }
}

#[tokio::test]
async fn shutdown_tells_every_client_and_ends_the_transports_orderly() {
    let server = server(|_| {}).await;
    let mut clients = Vec::new();
    for (transport, client_id) in ALL.into_iter().zip(["a", "b", "c", "d", "e"]) {
        clients.push((transport, Client::connected(&server, transport, client_id).await));
    }
    server.stop.send(()).expect("the server runs");
    for (transport, mut client) in clients {
        eprintln!("over {transport:?}");
        let Some(Packet::Disconnect(disconnect)) = client.next().await else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown);
        assert_eq!(client.next().await, None);
    }
    soon("the server's end", server.task).await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn messages_cross_from_each_transport_to_each_other() {
    let server = server(|_| {}).await;
    let mut clients = Vec::new();
    for (transport, client_id) in ALL.into_iter().zip(["a", "b", "c", "d", "e"]) {
        let mut client = Client::connected(&server, transport, client_id).await;
        client.subscribe("t", Qos::AtMostOnce).await;
        clients.push(client);
    }
    for speaker in 0..clients.len() {
        let payload = [speaker as u8; 3000];
        clients[speaker].send(&publish("t", &payload)).await;
        for listener in &mut clients {
            let Some(Packet::Publish(got)) = listener.next().await else { panic!("no PUBLISH") };
            assert!(Publish::payload(&got) == payload);
        }
    }
}

#[tokio::test]
async fn a_reader_that_stalls_over_any_transport_holds_up_nobody() {
    let server = server(|config| config.limits.unflushed_soft = 64 * 1024).await;
    let mut bob = Client::connected(&server, Transport::Tcp, "bob").await;
    bob.subscribe("small", Qos::AtMostOnce).await;
    for (transport, client_id) in ALL.into_iter().zip(["a", "b", "c", "d", "e"]) {
        eprintln!("over {transport:?}");
        let mut stuck = Client::connected(&server, transport, client_id).await;
        stuck.subscribe("big", Qos::AtMostOnce).await;
        let mut alice = Client::connected(&server, transport, "alice").await;
        // 32 MiB for one who takes nothing: far more than sockets and the soft bound hold.
        let (rounds, payload) = (512, vec![7; 64 * 1024]);
        for round in 0..rounds {
            alice.send(&publish("big", &payload)).await;
            if round % 128 == 0 {
                alice.send(&publish("small", b"still here")).await;
                assert_eq!(bob.next().await, Some(publish("small", b"still here")));
            }
        }
        // What was kept for the stuck one is a small part, in order, and then what is new.
        alice.fence().await;
        let got = stuck.fence().await.len();
        assert!(got < rounds / 2, "{got} of {rounds} were kept");
    }
}
