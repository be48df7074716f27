//! SCRAM-SHA-256 over a connection, with a server that knows the password, and with one that pretends to.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use squall_client::{
    core::{
        authentication::{Exchange, Method},
        effect::{DisconnectCause, Event},
    },
    options::Options,
    scram::ScramSha256,
};
use squall_codec::{
    packet::{Ack, Auth, Connack, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    wire::Text,
};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{PATIENCE, Peer, World, lasting, message};

const SALT: &[u8] = b"sixteen bytes...";
const ITERATIONS: u32 = 4096;

/// The server's half, straight from RFC 5802.
struct Scram {
    password: &'static str,
    first_bare: String,
    nonce: String,
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

impl Scram {
    fn challenge(password: &'static str, first: &str) -> (Scram, String) {
        let first_bare = first.strip_prefix("n,,").expect("no channel is bound").to_owned();
        let (name, nonce) = first_bare.split_once(",r=").expect("a nonce");
        assert_eq!(name, "n=ann");
        let nonce = format!("{nonce}server");
        let challenge = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(SALT));
        (Scram { password, first_bare, nonce }, challenge)
    }

    /// Whether the client knows the password, and the proof that the server does.
    fn check(&self, challenge: &str, last: &str) -> (bool, String) {
        let mut salted = mac(self.password.as_bytes(), &[SALT, &[0, 0, 0, 1]].concat());
        let mut block = salted.clone();
        for _ in 1..ITERATIONS {
            block = mac(self.password.as_bytes(), &block);
            salted.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
        }
        let (bare, proof) = last.split_once(",p=").expect("a proof");
        assert_eq!(bare, format!("c=biws,r={}", self.nonce));
        let all = format!("{},{challenge},{bare}", self.first_bare);
        let client_key = mac(&salted, b"Client Key");
        let signature = mac(&Sha256::digest(&client_key), all.as_bytes());
        let expected: Vec<_> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
        let server = mac(&mac(&salted, b"Server Key"), all.as_bytes());
        (STANDARD.decode(proof).expect("Base64") == expected, format!("v={}", STANDARD.encode(server)))
    }
}

fn properties(data: &str) -> Properties {
    Properties::new()
        .with(Property::AuthenticationMethod(Text::literal("SCRAM-SHA-256")))
        .with(Property::AuthenticationData(bytes::Bytes::copy_from_slice(data.as_bytes())))
}

fn data(properties: &Properties) -> String {
    assert_eq!(properties.authentication_method(), Some(&Text::literal("SCRAM-SHA-256")));
    let data = properties.authentication_data().expect("Authentication Data");
    String::from_utf8(data.to_vec()).expect("SCRAM is text")
}

/// From the client's first message to its proof; gives whether it is good, and the server's.
async fn exchange(peer: &mut Peer, password: &'static str, first: &str) -> (bool, String) {
    let (scram, challenge) = Scram::challenge(password, first);
    let reason = ReasonCode::ContinueAuthentication;
    peer.send(Packet::Auth(Auth { reason, properties: properties(&challenge) })).await;
    let Some(Packet::Auth(auth)) = peer.next().await else { panic!("expected AUTH") };
    assert_eq!(auth.reason, reason);
    scram.check(&challenge, &data(&auth.properties))
}

async fn connecting() -> (World, Peer, String) {
    let scram = ScramSha256::new("ann", "pencil").expect("printable");
    let world = World::new(Options { authentication: Some(Arc::new(scram)), ..lasting() }).await;
    let mut peer = world.accept().await;
    let Some(Packet::Connect(connect)) = peer.next().await else { panic!("expected CONNECT") };
    assert_eq!((connect.username(), connect.password()), (None, None));
    let first = data(&connect.properties().to_owned());
    (world, peer, first)
}

#[tokio::test]
async fn both_sides_prove_that_they_know_the_password_and_may_do_so_again() {
    let (mut world, mut peer, first) = connecting().await;
    let (is_good, proof) = exchange(&mut peer, "pencil", &first).await;
    assert!(is_good, "the client's proof is wrong");
    let connack = Connack { properties: properties(&proof), ..Connack::new(ReasonCode::Success) };
    peer.send(Packet::Connack(Box::new(connack))).await;
    assert!(matches!(timeout(PATIENCE, world.events.next()).await, Ok(Some(Event::Connected { .. }))));

    let handle = world.handle.clone();
    let again = tokio::spawn(async move { handle.reauthenticate().await });
    let Some(Packet::Auth(auth)) = peer.next().await else { panic!("expected AUTH") };
    assert_eq!(auth.reason, ReasonCode::ReAuthenticate);
    let second = data(&auth.properties);
    assert_ne!(first, second, "a nonce is used once");
    let (is_good, proof) = exchange(&mut peer, "pencil", &second).await;
    assert!(is_good, "the client's second proof is wrong");
    peer.send(Packet::Auth(Auth { reason: ReasonCode::Success, properties: properties(&proof) })).await;
    assert_eq!(again.await.expect("no panic"), Ok(()));
}

#[tokio::test]
async fn a_server_that_only_pretends_to_know_the_password_is_left() {
    let (mut world, mut peer, first) = connecting().await;
    let (is_good, proof) = exchange(&mut peer, "eraser", &first).await;
    assert!(!is_good, "the two passwords differ");
    let connack = Connack { properties: properties(&proof), ..Connack::new(ReasonCode::Success) };
    peer.send(Packet::Connack(Box::new(connack))).await;
    match timeout(PATIENCE, world.events.next()).await.expect("in time") {
        Some(Event::Disconnected { cause: DisconnectCause::Authentication(_), reconnecting: false }) => {}
        other => panic!("expected a failed authentication, saw {other:?}"),
    }
    assert_eq!(peer.next().await, None);
}

/// An exchange whose answer waits until the test lets it go.
#[derive(Clone, Debug)]
struct Stuck {
    asked: mpsc::UnboundedSender<()>,
    gate: Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl Method for Stuck {
    fn name(&self) -> Text {
        Text::literal("SCRAM-SHA-256")
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(self.clone())
    }

    fn is_slow(&self) -> bool {
        true
    }
}

impl Exchange for Stuck {
    fn first(&mut self) -> Option<bytes::Bytes> {
        Some("hello".into())
    }

    fn answer(&mut self, _data: Option<&[u8]>) -> Result<Option<bytes::Bytes>, String> {
        self.asked.send(()).map_err(|error| error.to_string())?;
        let gate = self.gate.lock().map_err(|error| error.to_string())?;
        gate.recv_timeout(PATIENCE).map_err(|error| error.to_string())?;
        Ok(Some("done".into()))
    }

    fn finish(&mut self, _data: Option<&[u8]>) -> Result<(), String> {
        Ok(())
    }
}

/// One thread runs the client and the server, so that an answer worked out there would stop both.
#[tokio::test]
async fn messages_go_on_while_an_answer_is_worked_out() {
    let (asked, mut is_asked) = mpsc::unbounded_channel();
    let (open, gate) = std::sync::mpsc::channel();
    let stuck = Stuck { asked, gate: Arc::new(std::sync::Mutex::new(gate)) };
    let mut world = World::new(Options { authentication: Some(Arc::new(stuck)), ..lasting() }).await;
    let mut peer = world.accept().await;
    assert!(matches!(peer.next().await, Some(Packet::Connect(_))));
    let challenge = Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, properties: properties("go") });
    peer.send(challenge.clone()).await;
    timeout(PATIENCE, is_asked.recv()).await.expect("in time").expect("it runs");
    open.send(()).expect("it waits");
    assert!(matches!(peer.next().await, Some(Packet::Auth(_))));
    let connack = Connack { properties: properties("ok"), ..Connack::new(ReasonCode::Success) };
    peer.send(Packet::Connack(Box::new(connack))).await;
    assert!(matches!(timeout(PATIENCE, world.events.next()).await, Ok(Some(Event::Connected { .. }))));

    let handle = world.handle.clone();
    let again = tokio::spawn(async move { handle.reauthenticate().await });
    assert!(matches!(peer.next().await, Some(Packet::Auth(_))));
    peer.send(challenge).await;
    timeout(PATIENCE, is_asked.recv()).await.expect("in time").expect("it runs");
    let handle = world.handle.clone();
    let publishing = tokio::spawn(async move { handle.publish(message("t", Qos::AtLeastOnce, "x")).await });
    let packet_id = peer.expect_publish().await.packet_id.expect("QoS 1 has one");
    peer.send(Packet::Puback(Ack::new(packet_id))).await;
    assert!(timeout(PATIENCE, publishing).await.expect("in time").expect("no panic").is_ok());
    assert!(!again.is_finished());

    open.send(()).expect("it waits");
    assert!(matches!(peer.next().await, Some(Packet::Auth(_))));
    peer.send(Packet::Auth(Auth { reason: ReasonCode::Success, properties: properties("ok") })).await;
    assert_eq!(again.await.expect("no panic"), Ok(()));
}

/// What a method does that breaks.
#[derive(Debug)]
struct Broken;

impl Method for Broken {
    fn name(&self) -> Text {
        Text::literal("SCRAM-SHA-256")
    }

    fn begin(&self) -> Box<dyn Exchange> {
        Box::new(Broken)
    }

    fn is_slow(&self) -> bool {
        true
    }
}

impl Exchange for Broken {
    fn first(&mut self) -> Option<bytes::Bytes> {
        None
    }

    fn answer(&mut self, _data: Option<&[u8]>) -> Result<Option<bytes::Bytes>, String> {
        panic!("broken")
    }

    fn finish(&mut self, _data: Option<&[u8]>) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_method_that_breaks_ends_its_connection_and_nothing_else() {
    let mut world = World::new(Options { authentication: Some(Arc::new(Broken)), ..lasting() }).await;
    let mut peer = world.accept().await;
    assert!(matches!(peer.next().await, Some(Packet::Connect(_))));
    peer.send(Packet::Auth(Auth { reason: ReasonCode::ContinueAuthentication, properties: properties("go") })).await;
    assert_eq!(peer.next().await, None);
    match timeout(PATIENCE, world.events.next()).await.expect("in time") {
        Some(Event::Disconnected { cause: DisconnectCause::Network(reason), reconnecting: true }) => {
            assert!(reason.starts_with("the authentication method failed"), "{reason}");
        }
        other => panic!("expected the end of the connection, saw {other:?}"),
    }
    let _next = world.accept().await;
}
