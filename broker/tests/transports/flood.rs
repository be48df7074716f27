//! Publishers that send as fast as they can.

use squall_codec::{packet::Packet, qos::Qos};

use crate::{
    client::{Client, bytes, publish},
    server::{ALL, Transport, server},
};

/// `count` messages with their number as payload, in pieces of about 64 KiB.
fn pieces(count: u32) -> Vec<Vec<u8>> {
    let mut pieces = vec![Vec::new()];
    for number in 0..count {
        let mut payload = [7; 64];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let piece = pieces.last_mut().expect("there is one");
        piece.extend_from_slice(&bytes(&publish("t", &payload)));
        if piece.len() >= 64 * 1024 {
            pieces.push(Vec::new());
        }
    }
    pieces
}

async fn flood(alice: &mut Client, pieces: &[Vec<u8>]) {
    for piece in pieces {
        alice.send_bytes(piece).await.expect("open");
    }
}

/// Reads until the last of `count` messages: all of them, in order.
async fn read_all(bob: &mut Client, count: u32) {
    for number in 0..count {
        let Some(Packet::Publish(publish)) = bob.next().await else { panic!("no PUBLISH") };
        let got = u32::from_be_bytes(publish.payload()[..4].try_into().expect("four bytes"));
        assert_eq!(got, number, "{} were lost", got.wrapping_sub(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_reads_loses_nothing_of_a_flood_over_any_transport() {
    // Little enough that no client of these tests reads fast enough by itself.
    let server = server(|config| config.limits.unflushed_soft = 256 * 1024).await;
    for transport in ALL {
        // Many times what may wait for a reader.
        let count = if transport == Transport::Tcp { 300_000 } else { 100_000 };
        eprintln!("{count} messages over {transport:?}");
        let pieces = pieces(count);
        let mut alice = Client::connected(&server, transport, "alice").await;
        let mut bob = Client::connected(&server, transport, "bob").await;
        bob.subscribe("t", Qos::AtMostOnce).await;
        let writer = tokio::spawn(async move {
            flood(&mut alice, &pieces).await;
            alice
        });
        read_all(&mut bob, count).await;
        writer.await.expect("no panic");
    }
    let statistics = server.handle.statistics().await.expect("the server runs");
    assert_eq!(statistics.dropped(), 0);
    assert!(statistics.publisher_pauses > 0, "it was no flood");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_publishers_at_once_lose_nothing_to_a_reader_that_reads() {
    let server = server(|_| {}).await;
    let mut bob = Client::connected(&server, Transport::Tcp, "bob").await;
    bob.subscribe("t", Qos::AtMostOnce).await;
    let (publishers, each) = (50, 6_000);
    let pieces = std::sync::Arc::new(pieces(each));
    let names: Vec<&'static str> = (0..publishers).map(|index| &*format!("p{index}").leak()).collect();
    let mut writers = Vec::new();
    for name in names {
        let mut alice = Client::connected(&server, Transport::Tcp, name).await;
        let pieces = std::sync::Arc::clone(&pieces);
        writers.push(tokio::spawn(async move {
            flood(&mut alice, &pieces).await;
            alice
        }));
    }
    for count in 0..publishers * each {
        assert!(matches!(bob.next().await, Some(Packet::Publish(_))), "the end after {count}");
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_flood_is_held_back_everybody_else_is_served() {
    let server = server(|config| config.limits.publisher_patience = std::time::Duration::from_secs(3600)).await;
    let mut stuck = Client::connected(&server, Transport::Tcp, "stuck").await;
    stuck.subscribe("t", Qos::AtMostOnce).await;
    let mut alice = Client::connected(&server, Transport::Tcp, "alice").await;
    let pieces = pieces(400_000);
    let writer = tokio::spawn(async move {
        flood(&mut alice, &pieces).await;
        alice
    });
    let held = async {
        while server.handle.statistics().await.expect("the server runs").publisher_pauses == 0 {
            tokio::task::yield_now().await;
        }
    };
    crate::client::soon("the flood is held back", held).await;
    let mut carol = Client::connected(&server, Transport::Tcp, "carol").await;
    carol.subscribe("c", Qos::AtMostOnce).await;
    carol.send(&publish("c", b"hello")).await;
    assert_eq!(carol.next().await, Some(publish("c", b"hello")));
    assert!(!writer.is_finished(), "its own transport holds the flood up");
    read_all(&mut stuck, 400_000).await;
    writer.await.expect("no panic");
}
