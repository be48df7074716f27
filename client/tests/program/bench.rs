//! The load generator: its counts are those of a server that counts too.

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
    reason::ReasonCode,
};

use crate::{Peer, Server, finished};

/// Serves one publisher and one subscriber, in the order in which they come; loses every message whose number it is told.
fn relay(server: &Server, lost: impl Fn(u32) -> bool) -> (Peer, Peer) {
    let (mut subscriber, _) = server.welcome();
    subscriber.subscribed(ReasonCode::GrantedQos1);
    let (mut publisher, _) = server.welcome();
    let mut number = 0;
    loop {
        match publisher.next() {
            Some(Packet::Publish(publish)) => {
                let packet_id = publish.packet_id.expect("QoS 1 has an identifier");
                publisher.send(Packet::Puback(Ack::new(packet_id)));
                if !lost(number) {
                    subscriber.send(Packet::Publish(publish.at(Qos::AtMostOnce, None)));
                }
                number += 1;
            }
            _ => return (publisher, subscriber),
        }
    }
}

#[test]
fn bench_counts_what_it_sent_and_what_came() {
    let server = Server::new();
    let line = ["bench", "--shape", "1:1", "-q", "1", "-n", "500", "--json", "--quiet", "--drain", "0.2"];
    let child = server.run(&line);
    let peers = relay(&server, |_| false);
    drop(peers);
    let output = finished(child);
    let seen = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{seen}");
    let report: serde_json::Value = serde_json::from_str(&seen).expect("JSON");
    for (pointer, expected) in [
        ("/publish/messages", 500),
        ("/publish/acknowledged", 500),
        ("/receive/messages", 500),
        ("/receive/lost", 0),
        ("/receive/duplicates", 0),
        ("/receive/latency_us/count", 500),
    ] {
        assert_eq!(report.pointer(pointer).and_then(serde_json::Value::as_u64), Some(expected), "{pointer}: {seen}");
    }

    let server = Server::new();
    let child = server.run(&line);
    drop(relay(&server, |number| number % 10 == 3));
    let output = finished(child);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report.pointer("/receive/lost").and_then(serde_json::Value::as_u64), Some(50));
    assert_eq!(output.status.code(), Some(1), "what is lost at QoS 1 is an error");
}
