//! The program from outside: what it prints, what it sends, and its exit status.

mod bench;
mod endings;

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish, Suback},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicName,
    wire::PacketId,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Server(TcpListener);

struct Peer {
    stream: TcpStream,
    decoder: Decoder,
}

impl Server {
    fn new() -> Self {
        Server(TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"))
    }

    fn port(&self) -> String {
        self.0.local_addr().expect("bound").port().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Child {
        program(arguments).args(["-p", &self.port()]).spawn().expect("the program starts")
    }

    fn accept(&self) -> Peer {
        let (stream, _) = self.0.accept().expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has time-outs");
        Peer { stream, decoder: Decoder::new(Side::Client, None, u32::MAX) }
    }

    fn welcome(&self) -> (Peer, Connect) {
        let mut peer = self.accept();
        let Some(Packet::Connect(connect)) = peer.next() else { panic!("expected CONNECT") };
        peer.send(Packet::Connack(Box::new(Connack::new(ReasonCode::Success))));
        (peer, connect)
    }
}

impl Peer {
    fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("the program sends well-formed packets") {
                return Some(packet);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.decoder.extend(&buffer[..count]),
                // A child of this process ended: that is no answer.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the program says nothing in time: {error}"),
            }
        }
    }

    fn send(&mut self, packet: Packet) {
        let version = self.decoder.version().expect("CONNECT has come");
        let mut bytes = bytes::BytesMut::new();
        packet.encode(version, &mut bytes).expect("a test sends what can be written");
        self.stream.write_all(&bytes).expect("the program reads");
    }

    fn expect_publish(&mut self) -> Publish {
        match self.next() {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("expected PUBLISH, saw {other:?}"),
        }
    }

    fn subscribed(&mut self, reason: ReasonCode) {
        let Some(Packet::Subscribe(subscribe)) = self.next() else { panic!("expected SUBSCRIBE") };
        let reasons = vec![reason; subscribe.subscriptions.len()];
        self.send(Packet::Suback(Suback::new(subscribe.packet_id, reasons)));
    }

    fn expect_goodbye(mut self) {
        assert_eq!(self.next(), Some(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))));
        assert_eq!(self.next(), None);
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn message(packet_id: u16, topic: &'static str, payload: &str) -> Packet {
    let publish = Publish::new(&TopicName::literal(topic), payload);
    Packet::Publish(publish.at(Qos::AtLeastOnce, PacketId::new(packet_id)))
}

#[track_caller]
fn check(output: &Output, status: i32, out: &str, err: &str) {
    let (seen_out, seen_err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*seen_out, &*seen_err), (Some(status), out, err));
}

#[track_caller]
fn finished(child: Child) -> Output {
    child.wait_with_output().expect("the program ends")
}

#[test]
fn pub_publishes_and_says_goodbye() {
    for version in ["3.1", "3.1.1", "5"] {
        let server = Server::new();
        let child = server.run(&["pub", "-t", "a/b", "-m", "hello", "-q", "1", "-r", "-i", "me", "-V", version]);
        let (mut peer, connect) = server.welcome();
        assert_eq!((connect.client_id().as_str(), connect.version()), ("me", version.parse().expect("a version")));
        let publish = peer.expect_publish();
        assert_eq!((publish.topic(), publish.payload(), publish.retain), ("a/b", &b"hello"[..], true));
        peer.send(Packet::Puback(Ack::new(publish.packet_id.expect("QoS 1 has an identifier"))));
        peer.expect_goodbye();
        check(&finished(child), 0, "", "");
    }
}

#[test]
fn pub_publishes_each_line_of_standard_input() {
    let server = Server::new();
    let mut command = program(&["pub", "-t", "t", "-l", "-p", &server.port()]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("piped").write_all(b"one\ntwo\r\n\nlast").expect("the program reads");
    let (mut peer, _) = server.welcome();
    for expected in ["one", "two", "", "last"] {
        assert_eq!(peer.expect_publish().payload(), expected.as_bytes());
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}

#[test]
fn a_refused_message_is_status_1() {
    let server = Server::new();
    let child = server.run(&["pub", "-t", "t", "-m", "x", "-q", "1"]);
    let (mut peer, _) = server.welcome();
    let packet_id = peer.expect_publish().packet_id.expect("QoS 1 has an identifier");
    peer.send(Packet::Puback(Ack::with_reason(packet_id, ReasonCode::NotAuthorized)));
    peer.expect_goodbye();
    let sentence = "error: cannot publish: the server refused the message: 0x87 Not authorized\n";
    check(&finished(child), 1, "", sentence);
}

#[test]
fn a_refused_connection_is_status_1() {
    let server = Server::new();
    let child = server.run(&["sub", "-t", "t", "-u", "user", "-P", "wrong"]);
    let mut peer = server.accept();
    let Some(Packet::Connect(connect)) = peer.next() else { panic!("expected CONNECT") };
    assert_eq!(connect.username().as_deref(), Some("user"));
    assert_eq!(connect.password(), Some(&b"wrong"[..]));
    peer.send(Packet::Connack(Box::new(Connack::new(ReasonCode::BadUserNameOrPassword))));
    let expected =
        format!("error: 127.0.0.1:{} refused the connection: 0x86 Bad User Name or Password\n", server.port());
    check(&finished(child), 1, "", &expected);
}

#[test]
fn no_connection_is_status_2() {
    let port = Server::new().port();
    let output = program(&["pub", "-t", "t", "-m", "x", "-p", &port]).output().expect("the program ends");
    let seen = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{seen}");
    assert!(seen.starts_with(&format!("error: cannot connect to 127.0.0.1:{port}: ")), "{seen}");
    assert_eq!(seen.lines().count(), 1, "{seen}");
}

#[test]
fn a_server_that_says_nothing_is_status_2() {
    let server = Server::new();
    let child = server.run(&["pub", "-t", "t", "-m", "x", "--connect-timeout", "1"]);
    let _silent = server.accept();
    let expected = format!("error: cannot connect to 127.0.0.1:{}: no answer within 1 s\n", server.port());
    check(&finished(child), 2, "", &expected);
}

#[test]
fn wrong_arguments_are_status_2_and_name_the_fault() {
    for (arguments, named) in [
        (&["sub", "-t", "a/#/b"][..], "'#'"),
        (&["pub", "-t", "a/+", "-m", "x"], "wildcard"),
        (&["pub", "-t", "a", "-m", "x", "-q", "3"], "expected 0, 1 or 2"),
        (&["pub", "-t", "a", "-m", "x", "-n"], "cannot be used with"),
        (&["sub", "-t", "a", "--url", "http://host"], "unsupported scheme 'http'"),
        (&["sub", "-t", "a", "--url", "mqtt://host:99999"], "'99999' is no port"),
        (&["sub", "-t", "a", "--url", "mqtt://host", "--tls"], "take mqtts://"),
        (&["sub", "-t", "a", "-F", "%T"], "no field '%T': did you mean '%t'"),
        (&["pub", "-t", "a", "-m", "x", "--follow=0"], "--follow"),
        (&["pub", "-t", "a", "-m", "x", "-D", "publish", "colour", "red"], "no property 'colour'"),
        (&["pub", "-t", "a", "-m", "x", "--cafile", "/nowhere.pem"], "/nowhere.pem"),
        (&["pub", "-t", "a", "-m", "x", "--scram", "-u", "ann"], "-u and -P"),
        (&["bench", "--shape", "0:1"], "publishers:subscribers"),
        (&["request", "-t", "a", "-m", "x", "-V", "3.1.1"], "5.0"),
        (&["sub", "-t", "a", "-c"], "-i"),
        (&["sub"], "-t"),
    ] {
        let output = program(arguments).output().expect("the program ends");
        let seen = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{seen}");
        assert!(seen.contains(named), "{arguments:?}: {seen}");
    }
}

#[test]
fn sub_prints_what_comes_and_acknowledges_what_it_printed() {
    let server = Server::new();
    let child = server.run(&["sub", "-t", "a/#", "-v", "-q", "1", "-C", "2"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    for packet_id in 1..=3 {
        peer.send(message(packet_id, "a/b", "x y"));
    }
    // The third was not wanted, so it is not acknowledged and the server keeps it.
    for packet_id in 1..=2 {
        assert_eq!(peer.next(), Some(Packet::Puback(Ack::new(PacketId::new(packet_id).expect("not 0")))));
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "a/b x y\na/b x y\n", "");
}

#[test]
fn sub_subscribes_again_where_the_server_has_forgotten() {
    let server = Server::new();
    let child = server.run(&["sub", "-t", "a", "-C", "1"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::Success);
    drop(peer);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::Success);
    peer.send(Packet::Publish(Publish::new(&TopicName::literal("a"), "x")));
    peer.expect_goodbye();
    let told = "the network connection was lost: the server closed it; trying again\n";
    check(&finished(child), 0, "x\n", told);
}

#[test]
fn a_refused_subscription_is_status_1() {
    let server = Server::new();
    let child = server.run(&["sub", "-t", "secret/#"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::NotAuthorized);
    peer.expect_goodbye();
    let sentence = "error: the server refused the subscription to 'secret/#': 0x87 Not authorized\n";
    check(&finished(child), 1, "", sentence);
}

#[test]
fn a_server_that_names_another_is_followed_where_it_is_asked_for() {
    for follow in [false, true] {
        let (first, second) = (Server::new(), Server::new());
        let line = ["pub", "-t", "t", "-m", "x"];
        let child = first.run(if follow { &["pub", "-t", "t", "-m", "x", "--follow"] } else { &line });
        let mut peer = first.accept();
        assert!(matches!(peer.next(), Some(Packet::Connect(_))));
        let name = format!("127.0.0.1:{}", second.port());
        let reference = squall_codec::wire::Text::new(name.clone()).expect("text");
        let properties = [squall_codec::property::Property::ServerReference(reference)].into_iter().collect();
        let connack = Connack { properties, ..Connack::new(ReasonCode::UseAnotherServer) };
        peer.send(Packet::Connack(Box::new(connack)));
        drop(peer);
        if follow {
            let (mut peer, _) = second.welcome();
            peer.expect_publish();
            peer.expect_goodbye();
            let told = format!(
                "the server disconnected: 0x9C Use another server; it names another server: {name}; going there\n"
            );
            check(&finished(child), 0, "", &told);
        } else {
            let told = format!(
                "error: 127.0.0.1:{} refused the connection: 0x9C Use another server; it names another server: {name}\n",
                first.port()
            );
            check(&finished(child), 1, "", &told);
        }
    }
}

#[test]
fn debug_shows_packets_on_standard_error() {
    let server = Server::new();
    let child = server.run(&["pub", "-t", "t", "-m", "x", "-d"]);
    let (mut peer, _) = server.welcome();
    peer.expect_publish();
    peer.expect_goodbye();
    let output = finished(child);
    let seen = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<_> = seen.lines().collect();
    for (line, expected) in
        lines.iter().zip(["sending CONNECT", "received CONNACK", "sending PUBLISH t", "sending DISCONNECT"])
    {
        assert!(line.starts_with(expected), "{seen}");
    }
    assert_eq!(lines.len(), 4, "{seen}");
}

#[test]
fn sub_prints_in_the_form_that_is_asked_for() {
    let server = Server::new();
    let child = server.run(&["sub", "-t", "a/#", "-q", "1", "-C", "2", "-F", "%t|%q|%r|%l|%p\\t%%", "-T", "a/not"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    peer.send(message(1, "a/b", "x y"));
    peer.send(message(2, "a/not", "hidden"));
    peer.send(message(3, "a/c", "z"));
    for packet_id in 1..=3 {
        assert_eq!(peer.next(), Some(Packet::Puback(Ack::new(PacketId::new(packet_id).expect("not 0")))));
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "a/b|1|0|3|x y\t%\na/c|1|0|1|z\t%\n", "");
}

#[test]
fn properties_of_every_packet_are_said_by_d() {
    let server = Server::new();
    let child = server.run(&[
        "pub",
        "-t",
        "t",
        "-m",
        "x",
        "-D",
        "publish",
        "content-type",
        "text/plain",
        "-D",
        "connect",
        "user-property",
        "a",
        "b",
        "-D",
        "connect",
        "session-expiry-interval",
        "60",
        "-D",
        "disconnect",
        "session-expiry-interval",
        "5",
    ]);
    let (mut peer, connect) = server.welcome();
    assert_eq!(connect.properties().session_expiry_interval(), Some(60));
    assert_eq!(connect.properties().user_properties().count(), 1);
    let publish = peer.expect_publish();
    assert_eq!(publish.forwarded_properties().content_type().map(|text| text.as_str()), Some("text/plain"));
    let Some(Packet::Disconnect(disconnect)) = peer.next() else { panic!("expected DISCONNECT") };
    assert_eq!(disconnect.properties.session_expiry_interval(), Some(5));
    drop(peer);
    check(&finished(child), 0, "", "");
}

#[test]
fn request_prints_the_answer() {
    let server = Server::new();
    let child = server.run(&["request", "-t", "ask", "-m", "?", "-q", "0", "-e", "answers"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    let question = peer.expect_publish();
    let asked = question.forwarded_properties();
    assert_eq!(asked.response_topic().map(|topic| topic.as_str()), Some("answers"));
    let data = asked.correlation_data().expect("a question has Correlation Data").clone();
    let properties = [squall_codec::property::Property::CorrelationData(data)].into_iter().collect();
    let answer = Publish::new(&TopicName::literal("answers"), "42").with_properties(&properties);
    peer.send(Packet::Publish(answer));
    peer.expect_goodbye();
    check(&finished(child), 0, "42\n", "");
}

#[test]
fn a_request_without_an_answer_is_status_1() {
    let server = Server::new();
    let child = server.run(&["request", "-t", "ask", "-m", "?", "-q", "0", "-W", "0.2"]);
    let (mut peer, _) = server.welcome();
    peer.subscribed(ReasonCode::GrantedQos1);
    peer.expect_publish();
    peer.expect_goodbye();
    check(&finished(child), 1, "", "error: no answer within 0.2 s\n");
}

#[test]
fn a_session_file_brings_the_message_of_an_interrupted_run_to_the_server() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("session").display().to_string();
    let server = Server::new();
    let line = ["pub", "-t", "t", "-m", "precious", "-q", "1", "-i", "me", "-c", "--session-file", &file];
    let mut child = server.run(&line);
    let (mut peer, _) = server.welcome();
    let first = peer.expect_publish();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    drop(peer);
    let child = server.run(&["pub", "-t", "t", "-n", "-q", "1", "-i", "me", "-c", "--session-file", &file]);
    let mut peer = server.accept();
    assert!(matches!(peer.next(), Some(Packet::Connect(_))));
    let connack = Connack { session_present: true, ..Connack::new(ReasonCode::Success) };
    peer.send(Packet::Connack(Box::new(connack)));
    let again = peer.expect_publish();
    assert_eq!((again.payload(), again.packet_id, again.dup), (&b"precious"[..], first.packet_id, true));
    let second = peer.expect_publish();
    for publish in [again, second] {
        peer.send(Packet::Puback(Ack::new(publish.packet_id.expect("QoS 1 has an identifier"))));
    }
    peer.expect_goodbye();
    check(&finished(child), 0, "", "");
}
