//! How the program ends, and how it reloads.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use squall_codec::{packet::Packet, qos::Qos, reason::ReasonCode, version::Version};

use super::support::{self, Client, Running, ended, one_sentence, read, tcp};

#[test]
fn everyone_is_told_when_it_stops_and_the_status_is_0() {
    for signal in ["-TERM", "-INT"] {
        let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0"]);
        let address = program.address("mqtt");
        let mut alice = Client::connected(address, Version::V5_0, "alice");
        let mut bob = Client::connected(address, Version::V3_1_1, "bob");
        program.signal(signal);
        match alice.next() {
            Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.reason, ReasonCode::ServerShuttingDown),
            other => panic!("{other:?}"),
        }
        // 3.1.1 has no words for it.
        assert_eq!((alice.next(), bob.next()), (None, None));
        let (status, told) = program.end();
        assert_eq!((status.code(), told.as_str()), (Some(0), ""));
    }
}

/// A subscriber that reads nothing, while more waits for it than sockets hold.
fn stuck(address: SocketAddr) -> (TcpStream, Client<TcpStream>) {
    let mut stuck = Client::connected(address, Version::V5_0, "stuck");
    stuck.subscribe("flood", Qos::AtMostOnce);
    let mut loud = Client::connected(address, Version::V5_0, "loud");
    let payload = vec![7; 1 << 20];
    for _ in 0..16 {
        loud.publish("flood", &payload);
    }
    loud.send(&Packet::Pingreq);
    assert_eq!(loud.next(), Some(Packet::Pingresp));
    (stuck.stream, loud)
}

#[test]
fn clients_that_are_stuck_or_silent_or_half_way_in_do_not_keep_it_from_ending() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let address = program.address("mqtt");
    let web = support::address(&program.line(), "http");
    let (_stuck, _loud) = stuck(address);
    let _silent = [tcp(address), tcp(web)];
    let _reads_nothing = Client::connected(address, Version::V5_0, "reads nothing");
    program.signal("-TERM");
    let (status, told) = program.end();
    assert_eq!(status.code(), Some(0), "{told}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0"]);
    let (_stuck, mut loud) = stuck(program.address("mqtt"));
    program.signal("-TERM");
    // It has begun to stop, and waits for the one that does not read.
    assert!(matches!(loud.next(), Some(Packet::Disconnect(_))));
    program.signal("-TERM");
    let (status, _) = program.end();
    assert_eq!(status.code(), Some(128 + 15));
}

/// Writes a certificate for localhost with its key, and returns it.
fn certificate(folder: &Path) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("server.pem"), made.cert.pem()).expect("a file");
    std::fs::write(folder.join("server.key"), made.signing_key.serialize_pem()).expect("a file");
    made
}

/// Whether the server proves that it has this certificate; then MQTT works too.
fn shows(address: SocketAddr, certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("ring has them");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), tcp(address));
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock).is_err() {
            return false;
        }
    }
    let mut client = Client::over(stream, Version::V5_0);
    matches!(client.connect("alice"), Packet::Connack(_))
}

#[test]
fn a_hangup_reloads_certificates_and_a_wrong_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = certificate(folder.path());
    let listener = "[[listen]]\nurl = \"mqtts://127.0.0.1:0\"\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    std::fs::write(folder.path().join("squall.toml"), listener).expect("a file");
    let mut program = Running::start(folder.path(), &["--config", "squall.toml"]);
    let address = program.address("mqtts");
    assert!(shows(address, &first));

    let second = certificate(folder.path());
    assert!(!shows(address, &second), "it was reloaded without a signal");
    program.signal("-HUP");
    assert_eq!(program.line(), "reloaded the certificate of mqtts://127.0.0.1:0");
    assert!(shows(address, &second) && !shows(address, &first));

    std::fs::write(folder.path().join("server.pem"), "nothing").expect("a file");
    program.signal("-HUP");
    let told = program.log();
    assert!(told.contains("not reloaded, what was in force stays") && told.contains("server.pem"), "{told}");
    assert!(shows(address, &second));
}

#[test]
fn a_hangup_without_anything_to_reload_says_so_and_everyone_stays() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0"]);
    let mut alice = Client::connected(program.address("mqtt"), Version::V5_0, "alice");
    program.signal("-HUP");
    assert_eq!(program.line(), "nothing to reload: the settings name no files that can change");
    alice.send(&Packet::Pingreq);
    assert_eq!(alice.next(), Some(Packet::Pingresp));
}

#[test]
fn nobody_who_listens_to_it_is_no_reason_to_end() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0", "--log", "debug"]);
    let address = program.address("mqtt");
    program.hang_up();
    program.signal("-HUP");
    // The log is written and the reload is announced to nobody; both come before the answer.
    let mut alice = Client::connected(address, Version::V5_0, "alice");
    alice.send(&Packet::Pingreq);
    assert_eq!(alice.next(), Some(Packet::Pingresp));
    program.signal("-TERM");
    assert!(matches!(alice.next(), Some(Packet::Disconnect(_))));
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn a_missing_certificate_is_one_sentence_before_anything_listens() {
    let arguments = ["--listen", "wss://127.0.0.1:0", "--certificate", "no.pem", "--key", "no.key"];
    for check in [&[][..], &["--check-config"]] {
        let output = ended(Path::new("/"), &[&arguments, check].concat());
        let sentence = one_sentence(&output);
        assert!(sentence.starts_with("broker: failed to listen on wss://127.0.0.1:0: "), "{sentence}");
        assert!(sentence.contains("no.pem"), "{sentence}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_client_that_sends_nothing_is_gone_when_its_time_is_over() {
    let mut program = Running::start(Path::new("/"), &["--listen", "127.0.0.1:0", "--connect-timeout", "200ms"]);
    let mut silent = tcp(program.address("mqtt"));
    assert_eq!(read(&mut silent, &mut [0]), 0);
}
