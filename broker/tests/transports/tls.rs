//! TLS: versions, files, certificates of clients, and new certificates in a running server.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};
use squall_broker::net::{
    listener::ListenerOptions,
    tls::{ClientCertificates, Tls, TlsFiles},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    authorities::{Authority, Pair},
    client::{Client, connect, dial},
    server::{Running, Transport, authority, server, server_with},
};

async fn server_of(files: TlsFiles) -> (Running, Arc<Tls>) {
    let tls = Arc::new(Tls::load(files).expect("good files"));
    let options = ListenerOptions { tls: Some(Arc::clone(&tls)), ..ListenerOptions::default() };
    (server_with(vec![options], |_| {}).await, tls)
}

async fn handshake(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").expect("a name");
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

#[tokio::test]
async fn clients_of_both_versions_come_in() {
    let server = server(|_| {}).await;
    for version in [&TLS12, &TLS13] {
        let config = authority().client(None, &[version]);
        let io = dial(server.address(Transport::Tls), Some(config)).await.expect("a handshake");
        Client::over(io).greet(connect("alice")).await;
    }
}

#[tokio::test]
async fn the_application_protocol_may_be_asked_for() {
    let server = server(|_| {}).await;
    for (asked, chosen) in [("", None), ("mqtt", Some("mqtt")), ("h2 http/1.1", Some("http/1.1"))] {
        let mut config = authority().client(None, &[&TLS13]);
        config.alpn_protocols = asked.split_whitespace().map(|name| name.as_bytes().to_vec()).collect();
        let stream = handshake(server.address(Transport::Tls), config).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes));
    }
    let mut config = authority().client(None, &[&TLS13]);
    config.alpn_protocols = vec![b"smtp".to_vec()];
    handshake(server.address(Transport::Tls), config).await.expect_err("nothing in common");
}

/// What became of a client: the name that the server knows it by, or that it did not get in.
async fn name_of(server: &mut Running, authority: &Authority, pair: Option<&Pair>) -> Result<Option<String>, ()> {
    let config = authority.client(pair, &[&TLS13]);
    let mut io = handshake(server.addresses[0], config).await.map_err(drop)?;
    // In TLS 1.3 the client's handshake is over before the server has judged its certificate.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    io.write_all(b"\x10\x0F\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x02ab").await.map_err(drop)?;
    let mut answer = [0; 2];
    io.read_exact(&mut answer).await.map_err(drop)?;
    assert_eq!(answer[0], 0x20, "a CONNACK");
    let peer = server.peers.recv().await.expect("a note");
    Ok(peer.certificate_name.map(|name| name.as_str().to_owned()))
}

#[tokio::test]
async fn the_name_in_a_verified_certificate_is_the_clients() {
    let ours = Authority::new("Ours");
    let theirs = Authority::new("Theirs");
    let authorities = ours.path("ca.pem");
    let named = ours.sign(Some("sensor-7"), &["sensor-7.example"]);
    let nameless = ours.sign(None, &["sensor-8.example"]);
    let stranger = theirs.sign(Some("sensor-7"), &[]);

    let request = ClientCertificates::Request { authorities: authorities.clone() };
    let (mut server, _) = server_of(ours.server("localhost", request)).await;
    assert_eq!(name_of(&mut server, &ours, None).await, Ok(None));
    assert_eq!(name_of(&mut server, &ours, Some(&named)).await, Ok(Some("sensor-7".to_owned())));
    assert_eq!(name_of(&mut server, &ours, Some(&nameless)).await, Ok(Some("sensor-8.example".to_owned())));
    assert_eq!(name_of(&mut server, &ours, Some(&stranger)).await, Err(()));

    let require = ClientCertificates::Require { authorities };
    let (mut server, _) = server_of(ours.server("localhost", require)).await;
    assert_eq!(name_of(&mut server, &ours, None).await, Err(()));
    assert_eq!(name_of(&mut server, &ours, Some(&named)).await, Ok(Some("sensor-7".to_owned())));
    assert_eq!(name_of(&mut server, &ours, Some(&stranger)).await, Err(()));

    let (mut server, _) = server_of(ours.server("localhost", ClientCertificates::None)).await;
    assert_eq!(name_of(&mut server, &ours, Some(&named)).await, Ok(None), "nobody asked for it");
}

#[tokio::test]
async fn new_certificates_serve_new_connections_and_bad_ones_change_nothing() {
    let authority = Authority::new("Reloaded");
    let files = authority.server("first", ClientCertificates::None);
    let (server, tls) = server_of(files.clone()).await;
    let shown = async || {
        let stream = handshake(server.addresses[0], authority.client(None, &[&TLS13])).await.expect("a handshake");
        stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone().into_owned()
    };
    let first = shown().await;
    let mut alice =
        Client::over(dial(server.addresses[0], Some(authority.client(None, &[&TLS13]))).await.expect("a handshake"));
    alice.greet(connect("alice")).await;

    let second = authority.sign(Some("second"), &["localhost"]);
    authority.write("server.pem", &second.certificate);
    // The key still is the first one's.
    let error = tls.reload().expect_err("they do not fit").to_string();
    assert!(error.contains("server.key") && error.contains("does not fit"), "{error}");
    assert_eq!(shown().await, first);

    authority.write("server.key", &second.key);
    tls.reload().expect("good files");
    assert_eq!(shown().await, CertificateDer::from_pem_slice(second.certificate.as_bytes()).expect("a certificate"));
    assert_eq!(alice.fence().await, [], "who was there stays");

    std::fs::remove_file(&files.certificates).expect("it was there");
    tls.reload().expect_err("the file is gone");
    assert_ne!(shown().await, first);
}

#[test]
fn errors_name_the_file_and_what_is_wrong_with_it() {
    let authority = Authority::new("Errors");
    let good = authority.server("localhost", ClientCertificates::None);
    let Pair { certificate, key } = authority.sign(Some("other"), &[]);
    let file = |name: &str, text: &str| authority.write(name, text);
    let nowhere = authority.path("nowhere.pem");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cut = &certificate[..certificate.len() / 2];
    let rubbish = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rubbish_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let require = |authorities| ClientCertificates::Require { authorities };
    let with = |certificates: Option<_>, key: Option<_>, clients| TlsFiles {
        certificates: certificates.unwrap_or(good.certificates.clone()),
        key: key.unwrap_or(good.key.clone()),
        clients,
    };
    let none = ClientCertificates::None;
    let cases: [(&str, TlsFiles, [&str; 2]); 11] = [
        ("no file", with(Some(nowhere.clone()), None, none.clone()), ["failed to read", "nowhere.pem"]),
        ("no key file", with(None, Some(nowhere.clone()), none.clone()), ["failed to read", "nowhere.pem"]),
        ("empty", with(Some(file("empty.pem", "")), None, none.clone()), ["empty.pem", "no certificate"]),
        ("a key instead", with(Some(file("key.pem", &key)), None, none.clone()), ["key.pem", "no certificate"]),
        ("cut", with(Some(file("cut.pem", cut)), None, none.clone()), ["cut.pem", "is no PEM"]),
        ("rubbish", with(Some(file("rubbish.pem", rubbish)), None, none.clone()), ["rubbish.pem", "cannot be used"]),
        (
            "no key",
            with(None, Some(file("cert.key", &certificate)), none.clone()),
            ["cert.key", "a certificate is there"],
        ),
        ("encrypted", with(None, Some(file("enc.key", encrypted)), none.clone()), ["enc.key", "is encrypted"]),
        (
            "rubbish key",
            with(None, Some(file("rubbish.key", rubbish_key)), none.clone()),
            ["rubbish.key", "cannot be used"],
        ),
        ("another's key", with(None, Some(file("other.key", &key)), none), ["other.key", "does not fit"]),
        ("no authorities", with(None, None, require(nowhere)), ["failed to read", "nowhere.pem"]),
    ];
    for (name, files, words) in cases {
        let error = Tls::load(files).expect_err(name).to_string();
        for word in words {
            assert!(error.contains(word), "{name}: '{error}' has no '{word}'");
        }
    }
}
