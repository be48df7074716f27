//! How a run ends that nobody lets finish: signals, and pipes that close.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
};

use squall_codec::{
    packet::{Ack, Disconnect, Packet, Publish},
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
};

use crate::{Server, check, finished, program};

#[test]
fn a_reader_that_has_seen_enough_ends_sub_with_a_goodbye() {
    let server = Server::new();
    let mut child = server.run(&["sub", "-t", "a"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::Success);
    drop(child.stdout.take());
    peer.send(Packet::Publish(Publish::new(&TopicName::literal("a"), "x")));
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_sub_with_a_goodbye() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::new();
        let child = server.run(&["sub", "-t", "a", "-V", "3.1.1"]);
        let (mut peer, connect) = server.welcome();
        assert_eq!(connect.version(), Version::V3_1_1);
        peer.subscribed(ReasonCode::Success);
        send_signal(&child, signal);
        peer.expect_goodbye();
        check(&finished(child), 0, "", "");
    }
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    send_signal(child, "-INT");
}

#[cfg(unix)]
fn send_signal(child: &Child, signal: &str) {
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_pub_from_a_pipe_with_a_goodbye() {
    let server = Server::new();
    let mut command = program(&["pub", "-t", "t", "-l", "-p", &server.port()]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(b"one\n").expect("the program reads");
    let (mut peer, _) = server.welcome();
    assert_eq!(peer.expect_publish().payload(), b"one");
    interrupt(&child);
    peer.expect_goodbye();
    // The pipe is open all the while.
    check(&finished(child), 0, "", "");
    drop(pipe);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_request_with_a_goodbye() {
    let server = Server::new();
    let child = server.run(&["request", "-t", "ask", "-m", "?", "-q", "0"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    peer.expect_publish();
    interrupt(&child);
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_bench_with_its_report_and_goodbyes() {
    let server = Server::new();
    let child = server.run(&["bench", "--shape", "1:0", "--json", "--quiet", "--duration", "1000", "--rate", "100"]);
    let (mut peer, _) = server.welcome();
    peer.expect_publish();
    interrupt(&child);
    let mut last = None;
    while let Some(packet) = peer.next() {
        last = Some(packet);
    }
    assert_eq!(last, Some(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))));
    let output = finished(child);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let published = report.pointer("/publish/messages").and_then(serde_json::Value::as_u64);
    assert!(published.is_some_and(|published| published > 0), "{report}");
    assert_eq!(output.status.code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_interrupt_before_the_connection_stands_ends_every_command() {
    for line in
        [&["pub", "-t", "t", "-m", "x"][..], &["sub", "-t", "t"], &["request", "-t", "t", "-m", "?"], &["bench"]]
    {
        let server = Server::new();
        let child = server.run(line);
        let mut silent = server.accept();
        assert!(matches!(silent.next(), Some(Packet::Connect(_))));
        interrupt(&child);
        let output = finished(child);
        let seen = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line:?}: {seen}");
        assert!(seen.contains("error: interrupted before "), "{line:?}: {seen}");
    }
}

#[test]
fn a_reader_that_has_gone_ends_request_and_bench_without_a_word() {
    let server = Server::new();
    let mut child = server.run(&["request", "-t", "ask", "-m", "?", "-q", "0", "-e", "answers"]);
    drop(child.stdout.take());
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    let data = peer.expect_publish().forwarded_properties().correlation_data().expect("a question has it").clone();
    let properties = [squall_codec::property::Property::CorrelationData(data)].into_iter().collect();
    let answer = Publish::new(&TopicName::literal("answers"), "42").with_properties(&properties);
    peer.send(Packet::Publish(answer));
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");

    let server = Server::new();
    let mut child = server.run(&["bench", "--shape", "1:0", "-n", "3", "--quiet"]);
    drop(child.stdout.take());
    let (mut peer, _) = server.welcome();
    for _ in 0..3 {
        peer.expect_publish();
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}

#[test]
fn a_pipe_that_closes_ends_pub_with_a_goodbye_when_all_is_acknowledged() {
    let server = Server::new();
    let mut command = program(&["pub", "-t", "t", "-l", "-q", "1", "-p", &server.port()]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("piped");
    let (mut peer, _) = server.welcome();
    pipe.write_all(b"one\ntwo\n").expect("the program reads");
    let ids: Vec<_> = (0..2).map(|_| peer.expect_publish().packet_id.expect("QoS 1 has one")).collect();
    drop(pipe);
    for packet_id in ids {
        peer.send(Packet::Puback(Ack::new(packet_id)));
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}
