//! `--data`: what is there after the program has ended and begins again, and folders that cannot be used.

use std::path::Path;

use squall_codec::{
    packet::{Connect, Packet, Publish},
    property::Property,
    qos::Qos,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};

use super::support::{Client, Running, address, ended, one_sentence, tcp};

fn started(folder: &Path) -> (Running, std::net::SocketAddr) {
    let mut program = Running::start(folder, &["--listen", "127.0.0.1:0", "--data", "data"]);
    let line = program.line();
    assert!(line.ends_with(" (anonymous, data in data)"), "{line}");
    let address = address(&line, "mqtt");
    (program, address)
}

/// bob, whose session is kept. Whether it was there.
fn bob(address: std::net::SocketAddr) -> (Client<std::net::TcpStream>, bool) {
    let mut bob = Client::over(tcp(address), Version::V5_0);
    let mut connect = Connect::new(Version::V5_0, Text::literal("bob"));
    connect.clean_start = false;
    connect.push_property(Property::SessionExpiryInterval(3600));
    bob.send(&Packet::Connect(connect));
    match bob.next() {
        Some(Packet::Connack(connack)) => (bob, connack.session_present),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_stop_and_after_a_kill() {
    for signal in ["-TERM", "-KILL"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (program, address) = started(folder.path());
        let (mut subscriber, present) = bob(address);
        assert!(!present);
        subscriber.subscribe("t", Qos::AtLeastOnce);
        drop(subscriber);
        let mut alice = Client::connected(address, Version::V5_0, "alice");
        let mut publish = Publish::new(&TopicName::literal("t"), b"kept".as_slice());
        publish.qos = Qos::AtLeastOnce;
        publish.packet_id = Some(PacketId::MIN);
        publish.retain = true;
        alice.send(&Packet::Publish(publish));
        assert!(matches!(alice.next(), Some(Packet::Puback(_))));
        program.signal(signal);
        program.status();

        let (_program, address) = started(folder.path());
        let (mut bob, present) = bob(address);
        assert!(present, "after {signal}");
        assert!(matches!(bob.next(), Some(Packet::Publish(publish)) if publish.payload() == b"kept"), "after {signal}");
        let mut carol = Client::connected(address, Version::V3_1_1, "carol");
        carol.subscribe("t", Qos::AtMostOnce);
        assert!(matches!(carol.next(), Some(Packet::Publish(publish)) if publish.retain), "after {signal}");
    }
}

#[test]
fn a_store_that_cannot_be_used_is_one_sentence_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_program, _) = started(folder.path());
    std::fs::write(folder.path().join("file"), "no folder").expect("a file");
    for (data, words) in
        [("data", "is in use by another process"), ("file", "file"), ("/proc/nowhere", "/proc/nowhere")]
    {
        let output = ended(folder.path(), &["--listen", "127.0.0.1:0", "--data", data]);
        let sentence = one_sentence(&output);
        assert!(sentence.starts_with("broker: ") && sentence.contains(words), "{sentence}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_damaged_store_is_told_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, _) = started(folder.path());
    program.signal("-TERM");
    program.status();
    let data = folder.path().join("data");
    let files = std::fs::read_dir(&data).expect("a folder").map(|entry| entry.expect("an entry").path());
    let store = files.max_by_key(|path| path.metadata().expect("a file").len()).expect("a store");
    let damaged = vec![b'x'; 8192];
    std::fs::write(&store, &damaged).expect("a file");
    let sentence = one_sentence(&ended(folder.path(), &["--listen", "127.0.0.1:0", "--data", "data"]));
    assert!(sentence.contains("data/") && sentence.contains("is no store of squall"), "{sentence}");
    assert_eq!(std::fs::read(&store).expect("a file"), damaged);
}

#[test]
fn durability_without_a_folder_is_a_mistake() {
    let sentence = one_sentence(&ended(Path::new("/"), &["--durability", "os"]));
    assert_eq!(sentence, "broker: --durability is given, and no folder to keep data in: give --data too\n");
}
