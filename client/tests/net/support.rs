//! A small server over any stream of bytes, and the files of TLS.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use squall_client::{
    net::{
        connector::TcpConnector,
        driver::start,
        handle::{Events, Handle},
        messages::Messages,
    },
    options::{Options, Reconnect},
};
use squall_codec::{
    packet::{Ack, Connack, Packet, Publish, Suback, Unsuback},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of one connection.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    decoder: Decoder,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Peer { stream, decoder: Decoder::new(Side::Client, None, u32::MAX) }
    }

    /// `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("the client sends well-formed packets") {
                return Some(packet);
            }
            let mut buffer = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("the client says something in time") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.extend(&buffer[..count]),
            }
        }
    }

    pub(crate) async fn send(&mut self, packet: Packet) {
        let version = self.decoder.version().expect("CONNECT has come");
        let mut bytes = bytes::BytesMut::new();
        packet.encode(version, &mut bytes).expect("a test sends what can be written");
        self.stream.write_all(&bytes).await.expect("the client reads");
        self.stream.flush().await.expect("the client reads");
    }

    /// CONNECT and CONNACK.
    pub(crate) async fn welcome(mut self, session_present: bool) -> Self {
        assert!(matches!(self.next().await, Some(Packet::Connect(_))));
        let connack = Connack { session_present, ..Connack::new(ReasonCode::Success) };
        self.send(Packet::Connack(Box::new(connack))).await;
        self
    }

    /// SUBSCRIBE, answered with these reasons.
    pub(crate) async fn subscribed(&mut self, reasons: &[ReasonCode]) {
        let Some(Packet::Subscribe(subscribe)) = self.next().await else { panic!("expected SUBSCRIBE") };
        assert_eq!(subscribe.subscriptions.len(), reasons.len());
        self.send(Packet::Suback(Suback::new(subscribe.packet_id, reasons.to_vec()))).await;
    }

    pub(crate) async fn publish(&mut self, topic: &'static str, qos: Qos, packet_id: u16, payload: &str) {
        let publish = Publish::new(&TopicName::literal(topic), payload).at(qos, PacketId::new(packet_id));
        self.send(Packet::Publish(publish)).await;
    }

    pub(crate) async fn expect_publish(&mut self) -> Publish {
        match self.next().await {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("expected PUBLISH, saw {other:?}"),
        }
    }

    /// Answers everything, and sends each message back at QoS 0, until the client leaves; whether by DISCONNECT.
    pub(crate) async fn echo(mut self) -> bool {
        while let Some(packet) = self.next().await {
            match packet {
                Packet::Connect(_) => {
                    self.send(Packet::Connack(Box::new(Connack::new(ReasonCode::Success)))).await;
                }
                Packet::Subscribe(subscribe) => {
                    let reasons = vec![ReasonCode::Success; subscribe.subscriptions.len()];
                    self.send(Packet::Suback(Suback::new(subscribe.packet_id, reasons))).await;
                }
                Packet::Unsubscribe(unsubscribe) => {
                    let reasons = vec![ReasonCode::Success; unsubscribe.filters.len()];
                    self.send(Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, reasons))).await;
                }
                Packet::Publish(publish) => {
                    if let Some(packet_id) = publish.packet_id {
                        self.send(Packet::Puback(Ack::new(packet_id))).await;
                    }
                    self.send(Packet::Publish(publish.at(Qos::AtMostOnce, None))).await;
                }
                Packet::Pingreq => self.send(Packet::Pingresp).await,
                Packet::Disconnect(_) => {
                    // The client waits for the end of the connection, and what is below may have one of its own.
                    let _ = self.stream.shutdown().await;
                    return true;
                }
                other => panic!("no echo for {other}"),
            }
        }
        false
    }
}

pub(crate) fn options() -> Options {
    Options {
        reconnect: Reconnect::Backoff { first: Duration::from_millis(10), max: Duration::from_millis(50) },
        ..Options::new(Version::V5_0, Text::literal("alice"))
    }
}

/// A session that lasts.
pub(crate) fn lasting() -> Options {
    Options { clean_start: false, session_expiry_seconds: Some(3600), ..options() }
}

pub(crate) fn message(topic: &'static str, qos: Qos, payload: &str) -> Publish {
    Publish::new(&TopicName::literal(topic), payload).at(qos, None)
}

/// A client and the server that it finds.
pub(crate) struct World {
    pub(crate) listener: TcpListener,
    pub(crate) handle: Handle,
    pub(crate) messages: Messages,
    pub(crate) events: Events,
}

impl World {
    pub(crate) async fn new(options: Options) -> World {
        let (listener, connector) = listener().await;
        let (handle, messages, events, driver) = start(options, connector, 1);
        tokio::spawn(driver);
        World { listener, handle, messages, events }
    }

    pub(crate) async fn accept(&self) -> Peer {
        accept(&self.listener).await
    }
}

pub(crate) async fn listener() -> (TcpListener, TcpConnector) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let port = listener.local_addr().expect("bound").port();
    (listener, TcpConnector { host: "127.0.0.1".to_owned(), port })
}

pub(crate) async fn accept(listener: &TcpListener) -> Peer {
    let accepted = timeout(PATIENCE, listener.accept()).await.expect("the client connects in time");
    Peer::new(accepted.expect("accepted").0)
}

/// An authority, a server's certificate for `localhost` and 127.0.0.1, and a client's.
pub(crate) struct Files {
    folder: TempDir,
    pub(crate) server: Arc<tokio_rustls::rustls::ServerConfig>,
    /// As `server`, for clients that show a certificate of the authority.
    pub(crate) mutual: Arc<tokio_rustls::rustls::ServerConfig>,
}

impl Files {
    pub(crate) fn new() -> Files {
        use tokio_rustls::rustls::{
            RootCertStore, ServerConfig,
            pki_types::{CertificateDer, PrivateKeyDer},
            server::WebPkiClientVerifier,
        };
        let key = || KeyPair::generate().expect("keys can be made");
        // Without names of their own all would be called the same, and look as if each had signed itself.
        let named = |names: &[&str], name: &str| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).expect("names");
            params.distinguished_name.push(DnType::CommonName, name);
            params
        };
        let mut authority = named(&[], "the tests' authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
        let signed = |names: &[&str]| {
            let key = key();
            let certificate = named(names, names[0]).signed_by(&key, &authority);
            (certificate.expect("a certificate"), key)
        };
        let (server, server_key) = signed(&["localhost", "127.0.0.1"]);
        let (client, client_key) = signed(&["alice"]);
        let folder = TempDir::new().expect("a folder");
        for (name, content) in [
            ("ca.pem", authority.pem()),
            ("server.pem", server.pem()),
            ("server.key", server_key.serialize_pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
            ("empty.pem", String::new()),
        ] {
            std::fs::write(folder.path().join(name), content).expect("a file");
        }
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = || {
            ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring has the versions")
        };
        let chain: Vec<CertificateDer<'static>> = vec![server.der().clone()];
        let private = || PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("an authority");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().expect("a verifier");
        let plain = builder().with_no_client_auth().with_single_cert(chain.clone(), private()).expect("a pair");
        let mutual = builder().with_client_cert_verifier(verifier).with_single_cert(chain, private()).expect("a pair");
        Files { folder, server: Arc::new(plain), mutual: Arc::new(mutual) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}
