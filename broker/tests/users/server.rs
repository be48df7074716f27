//! Log-ins over TCP: real sockets, real time, answers that take their time. Every step waits for an event.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_broker::{
    core::{
        HashKey,
        access::{Answer, Authenticator},
        config::Config,
        effect::{AuthenticationOutcome, AuthenticationRequest},
    },
    net::{
        hashing::HashingPool,
        server::{ServerOptions, serve},
    },
    users::{
        authenticator::{FileAuthenticator, Options, Policy},
        password_file::Passwords,
        throttle::ThrottleLimits,
    },
};
use squall_codec::{
    packet::{Auth, Connect, Packet},
    property::Property,
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::support::{ScramClient, options, text, users};

/// Only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: still waiting"))
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

async fn server(authenticator: Arc<dyn Authenticator>, change: impl FnOnce(&mut Config)) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let mut config = Config::default();
    change(&mut config);
    let mut options = ServerOptions::new(HashKey([1, 2]), Duration::ZERO).with_config(config);
    options.authenticator = authenticator;
    let task = tokio::spawn(serve(listener, options, async {
        let _ = stopped.await;
    }));
    Server { address, stop, task }
}

/// alice, bob and user of `support.rs`, hashed on threads. A refusal is said after a moment.
async fn server_with_users(policy: Policy) -> Server {
    let throttle = ThrottleLimits { first_delay: Duration::from_millis(1), ..ThrottleLimits::default() };
    let options = Options { throttle, ..options(policy, Arc::new(HashingPool::default())) };
    server(Arc::new(FileAuthenticator::new(Some(users()), options)), |_| {}).await
}

struct Client {
    stream: TcpStream,
    decoder: Decoder,
    version: Version,
}

impl Client {
    async fn open(server: &Server, version: Version) -> Client {
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        Client { stream, decoder: Decoder::new(Side::Server, Some(version), u32::MAX), version }
    }

    async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).expect("a packet");
        self.stream.write_all(&out).await.expect("the connection is open");
    }

    /// The next packet; `None` at the end.
    async fn next(&mut self) -> Option<Packet> {
        soon("the next packet", async {
            let mut buffer = vec![0; 4096];
            loop {
                if let Some(packet) = self.decoder.next_packet().expect("the server sends packets") {
                    return Some(packet);
                }
                match self.stream.read(&mut buffer).await.expect("no reset") {
                    0 => return None,
                    count => self.decoder.extend(&buffer[..count]),
                }
            }
        })
        .await
    }

    async fn connack(&mut self) -> ReasonCode {
        match self.next().await {
            Some(Packet::Connack(connack)) => connack.reason,
            other => panic!("no CONNACK: {other:?}"),
        }
    }

    /// Is served.
    async fn ping(&mut self) {
        self.send(&Packet::Pingreq).await;
        assert_eq!(self.next().await, Some(Packet::Pingresp));
    }
}

fn connect(version: Version, client_id: &str, username: Option<&str>, password: Option<&str>) -> Packet {
    let mut connect = Connect::new(version, text(client_id));
    connect.set_username(username.map(text));
    connect.set_password(password.map(|password| Bytes::copy_from_slice(password.as_bytes())));
    Packet::Connect(connect)
}

async fn log_in(server: &Server, version: Version, username: Option<&str>, password: Option<&str>) -> ReasonCode {
    let mut client = Client::open(server, version).await;
    client.send(&connect(version, "phone", username, password)).await;
    let reason = client.connack().await;
    match reason {
        ReasonCode::Success => client.ping().await,
        _ => assert_eq!(client.next().await, None),
    }
    reason
}

#[tokio::test]
async fn the_right_password_comes_in_and_the_wrong_one_hears_why_in_every_version() {
    let server = server_with_users(Policy::default()).await;
    for version in [Version::V3_1, Version::V3_1_1, Version::V5_0] {
        for (username, password, expected) in [
            (Some("alice"), Some("secret"), ReasonCode::Success),
            (Some("bob"), Some("pä:ss"), ReasonCode::Success),
            (Some("alice"), Some("wrong"), ReasonCode::BadUserNameOrPassword),
            (Some("alice"), None, ReasonCode::BadUserNameOrPassword),
            (Some("bob"), Some("wrong"), ReasonCode::BadUserNameOrPassword),
            (Some("mallory"), Some("secret"), ReasonCode::BadUserNameOrPassword),
            (None, None, ReasonCode::NotAuthorized),
        ] {
            let reason = log_in(&server, version, username, password).await;
            assert_eq!(reason, expected, "{version:?} {username:?} {password:?}");
        }
    }
}

#[tokio::test]
async fn who_has_no_name_comes_in_where_that_is_allowed() {
    let server = server_with_users(Policy { allow_anonymous: true, ..Policy::default() }).await;
    for version in [Version::V3_1_1, Version::V5_0] {
        assert_eq!(log_in(&server, version, None, None).await, ReasonCode::Success);
        assert_eq!(log_in(&server, version, Some("alice"), None).await, ReasonCode::BadUserNameOrPassword);
    }
}

#[tokio::test]
async fn many_who_are_wrong_hold_up_nobody_who_is_right() {
    let throttle = ThrottleLimits { first_delay: Duration::from_secs(3600), ..ThrottleLimits::default() };
    let throttle = ThrottleLimits { longest_delay: Duration::from_secs(3600), ..throttle };
    let options = Options { throttle, ..options(Policy::default(), Arc::new(HashingPool::default())) };
    let authenticator = Arc::new(FileAuthenticator::new(Some(users()), options));
    let server = server(authenticator.clone(), |_| {}).await;
    let mut wrong = Vec::new();
    for number in 0..40 {
        let mut client = Client::open(&server, Version::V5_0).await;
        let name = if number % 2 == 0 { "alice" } else { "mallory" };
        client.send(&connect(Version::V5_0, &format!("wrong{number}"), Some(name), Some("wrong"))).await;
        wrong.push(client);
    }
    // They all wait for an hour to hear it. Those who are right come from the same address and have the same name.
    for version in [Version::V3_1_1, Version::V5_0] {
        assert_eq!(log_in(&server, version, Some("alice"), Some("secret")).await, ReasonCode::Success);
        assert_eq!(log_in(&server, version, Some("bob"), Some("pä:ss")).await, ReasonCode::Success);
    }
    for client in &wrong {
        let nothing = client.stream.try_read(&mut [0; 1]);
        assert_eq!(nothing.expect_err("no answer yet").kind(), io::ErrorKind::WouldBlock);
    }
}

/// AUTH of the client.
fn auth(reason: ReasonCode, data: String) -> Packet {
    let properties = [Property::AuthenticationMethod(text("SCRAM-SHA-256")), Property::AuthenticationData(data.into())];
    Packet::Auth(Auth { reason, properties: properties.into_iter().collect() })
}

fn words(data: Option<&Bytes>) -> String {
    String::from_utf8(data.expect("data").to_vec()).expect("text")
}

impl Client {
    /// CONNECT with SCRAM, up to the proof.
    async fn begin_scram(&mut self, scram: &ScramClient) -> String {
        let mut connect = Connect::new(Version::V5_0, text("phone"));
        connect.push_property(Property::AuthenticationMethod(text("SCRAM-SHA-256")));
        connect.push_property(Property::AuthenticationData(scram.first().into()));
        self.send(&Packet::Connect(connect)).await;
        self.challenge().await
    }

    /// AUTH 0x18 of the server.
    async fn challenge(&mut self) -> String {
        let Some(Packet::Auth(auth)) = self.next().await else { panic!("no AUTH") };
        assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
        assert_eq!(auth.properties.authentication_method(), Some(&text("SCRAM-SHA-256")));
        words(auth.properties.authentication_data())
    }
}

#[tokio::test]
async fn scram_goes_round_and_again_while_the_client_is_in() {
    let server = server_with_users(Policy::default()).await;
    let scram = ScramClient::new("user", "pencil");
    let mut client = Client::open(&server, Version::V5_0).await;
    let (proof, signature) = scram.answer(&client.begin_scram(&scram).await);
    client.send(&auth(ReasonCode::ContinueAuthentication, proof)).await;
    let Some(Packet::Connack(connack)) = client.next().await else { panic!("no CONNACK") };
    assert_eq!(connack.reason, ReasonCode::Success);
    assert_eq!(words(connack.properties.authentication_data()), signature);
    client.ping().await;

    client.send(&auth(ReasonCode::ReAuthenticate, scram.first())).await;
    let (proof, signature) = scram.answer(&client.challenge().await);
    // What else it does goes on.
    client.ping().await;
    client.send(&auth(ReasonCode::ContinueAuthentication, proof)).await;
    let Some(Packet::Auth(last)) = client.next().await else { panic!("no AUTH") };
    assert_eq!(last.reason, ReasonCode::Success);
    assert_eq!(words(last.properties.authentication_data()), signature);
    client.ping().await;
}

#[tokio::test]
async fn scram_with_the_wrong_password_ends_without_a_session() {
    let server = server_with_users(Policy::default()).await;
    for (name, password) in [("user", "pen"), ("mallory", "pencil")] {
        let scram = ScramClient::new(name, password);
        let mut client = Client::open(&server, Version::V5_0).await;
        let (proof, _) = scram.answer(&client.begin_scram(&scram).await);
        client.send(&auth(ReasonCode::ContinueAuthentication, proof)).await;
        assert_eq!(client.connack().await, ReasonCode::NotAuthorized);
        assert_eq!(client.next().await, None);
    }
}

#[tokio::test]
async fn who_proves_to_be_somebody_else_or_nobody_is_out() {
    let mut lines = crate::support::scram_line("user", "pencil", &[1; 16]);
    lines += &crate::support::scram_line("other", "pen", &[2; 16]);
    let users = Passwords::parse("users".as_ref(), lines.as_bytes()).expect("valid lines");
    let options = options(Policy::default(), Arc::new(HashingPool::default()));
    let server = server(Arc::new(FileAuthenticator::new(Some(users), options)), |_| {}).await;
    // The right proof of somebody else, and the wrong proof of oneself.
    for (name, password) in [("other", "pen"), ("user", "pen")] {
        let scram = ScramClient::new("user", "pencil");
        let mut client = Client::open(&server, Version::V5_0).await;
        let (proof, _) = scram.answer(&client.begin_scram(&scram).await);
        client.send(&auth(ReasonCode::ContinueAuthentication, proof)).await;
        assert_eq!(client.connack().await, ReasonCode::Success);
        let scram = ScramClient::new(name, password);
        client.send(&auth(ReasonCode::ReAuthenticate, scram.first())).await;
        let (proof, _) = scram.answer(&client.challenge().await);
        client.send(&auth(ReasonCode::ContinueAuthentication, proof)).await;
        let Some(Packet::Disconnect(disconnect)) = client.next().await else { panic!("no DISCONNECT") };
        assert_eq!(disconnect.reason, ReasonCode::NotAuthorized);
        assert_eq!(client.next().await, None);
    }
}

/// Asks the test, which answers when it likes.
struct Asking(mpsc::UnboundedSender<Question>);

struct Question {
    client_id: String,
    answer: oneshot::Sender<AuthenticationOutcome>,
}

impl Authenticator for Asking {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        let (answer, answered) = oneshot::channel();
        let client_id = request.client_id.to_string();
        if client_id == "quick" {
            return Answer::Now(AuthenticationOutcome::Allowed { user: None, data: None });
        }
        self.0.send(Question { client_id, answer }).expect("the test waits");
        Answer::Later(Box::pin(async { answered.await.expect("the test answers, or asks for a panic") }))
    }
}

impl Question {
    fn allow(self) {
        self.answer.send(AuthenticationOutcome::Allowed { user: None, data: None }).expect("somebody waits");
    }
}

async fn asking_server() -> (Server, mpsc::UnboundedReceiver<Question>) {
    let (questions, asked) = mpsc::unbounded_channel();
    (server(Arc::new(Asking(questions)), |_| {}).await, asked)
}

async fn joining(server: &Server, client_id: &str) -> Client {
    let mut client = Client::open(server, Version::V5_0).await;
    client.send(&connect(Version::V5_0, client_id, None, None)).await;
    client
}

#[tokio::test]
async fn others_are_served_while_an_answer_takes_its_time() {
    let (server, mut asked) = asking_server().await;
    let mut slow = joining(&server, "slow").await;
    let question = soon("the question", asked.recv()).await.expect("a question");
    assert_eq!(question.client_id, "slow");
    let mut quick = joining(&server, "quick").await;
    assert_eq!(quick.connack().await, ReasonCode::Success);
    for _ in 0..100 {
        quick.ping().await;
    }
    question.allow();
    assert_eq!(slow.connack().await, ReasonCode::Success);
    slow.ping().await;
}

#[tokio::test]
async fn a_question_is_dropped_with_its_connection() {
    let (server, mut asked) = asking_server().await;
    let slow = joining(&server, "slow").await;
    let mut question = soon("the question", asked.recv()).await.expect("a question");
    drop(slow);
    soon("nobody waits for the answer", question.answer.closed()).await;
    let mut quick = joining(&server, "quick").await;
    assert_eq!(quick.connack().await, ReasonCode::Success);
}

#[tokio::test]
async fn a_question_that_nobody_answers_ends_with_the_connect_timeout() {
    let (questions, mut asked) = mpsc::unbounded_channel();
    let server = server(Arc::new(Asking(questions)), |config| {
        config.limits.connect_timeout = Duration::from_millis(50);
    })
    .await;
    let mut slow = joining(&server, "slow").await;
    let mut question = soon("the question", asked.recv()).await.expect("a question");
    assert_eq!(slow.next().await, None);
    soon("nobody waits for the answer", question.answer.closed()).await;
}

#[tokio::test]
async fn the_one_that_is_allowed_later_takes_over() {
    let (server, mut asked) = asking_server().await;
    let mut first = joining(&server, "phone").await;
    let question = soon("the question", asked.recv()).await.expect("a question");
    let mut second = joining(&server, "phone").await;
    let second_question = soon("the question", asked.recv()).await.expect("a question");
    second_question.allow();
    assert_eq!(second.connack().await, ReasonCode::Success);
    second.ping().await;
    question.allow();
    assert_eq!(first.connack().await, ReasonCode::Success);
    let Some(Packet::Disconnect(disconnect)) = second.next().await else { panic!("no DISCONNECT") };
    assert_eq!(disconnect.reason, ReasonCode::SessionTakenOver);
    first.ping().await;
}

#[tokio::test]
async fn an_authenticator_that_fails_refuses_its_client_and_nobody_else() {
    let (server, mut asked) = asking_server().await;
    let mut slow = joining(&server, "slow").await;
    let question = soon("the question", asked.recv()).await.expect("a question");
    drop(question);
    assert_eq!(slow.connack().await, ReasonCode::ServerUnavailable);
    assert_eq!(slow.next().await, None);
    let mut quick = joining(&server, "quick").await;
    assert_eq!(quick.connack().await, ReasonCode::Success);
}

#[tokio::test]
async fn the_server_ends_while_an_answer_takes_its_time() {
    let (server, mut asked) = asking_server().await;
    let mut slow = joining(&server, "slow").await;
    let mut question = soon("the question", asked.recv()).await.expect("a question");
    server.stop.send(()).expect("the server runs");
    assert_eq!(slow.next().await, None);
    soon("the server's end", server.task).await.expect("no panic").expect("no error");
    soon("nobody waits for the answer", question.answer.closed()).await;
}
