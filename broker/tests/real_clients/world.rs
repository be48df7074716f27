//! The server that the clients come to, and the processes that they are.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use libtest_mimic::Failed;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use squall_broker::{
    core::{
        HashKey,
        access::{AllowAll, Answer, Authenticator},
        effect::{AuthenticationOutcome, AuthenticationRequest},
    },
    net::{
        clock,
        listener::ListenerOptions,
        server::{Server, ServerOptions},
        tls::{ClientCertificates, Tls, TlsFiles},
        websocket::options::WebsocketOptions,
    },
};
use squall_codec::reason::ReasonCode;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdout, Command},
    runtime::Runtime,
};

/// A client that is not done by then never will be.
const PATIENCE: Duration = Duration::from_secs(60);

/// The one user with a password. Everyone else comes in without one, or not at all.
pub(crate) const USER: (&str, &str) = ("ada", "lovelace");

/// One server for all trials; each keeps to topics and client identifiers of its own.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    folder: TempDir,
    /// mqtt, mqtts, ws, wss.
    addresses: [SocketAddr; 4],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Websocket,
    SecureWebsocket,
}

impl Transport {
    pub(crate) const ALL: [Transport; 4] =
        [Transport::Tcp, Transport::Tls, Transport::Websocket, Transport::SecureWebsocket];

    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "mqtt",
            Transport::Tls => "mqtts",
            Transport::Websocket => "ws",
            Transport::SecureWebsocket => "wss",
        }
    }
}

impl World {
    pub(crate) fn start() -> Arc<World> {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let addresses = runtime.block_on(serve(&folder));
        Arc::new(World { runtime, folder, addresses })
    }

    pub(crate) fn port(&self, transport: Transport) -> u16 {
        self.addresses[transport as usize].port()
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Runs one client to its end: what it printed. It fails with what it said if it is unhappy or takes for ever.
    pub(crate) async fn run(&self, command: &mut Command) -> Result<String, Failed> {
        let words = format!("{:?}", command.as_std());
        let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, child).await.map_err(|_| format!("{words}: still running"))??;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return Err(format!("{words}: {}\n{out}\n{err}", output.status).into());
        }
        Ok(out.into_owned())
    }
}

/// A client that runs beside others, and what it prints.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    words: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Result<Running, Failed> {
        let words = format!("{:?}", command.as_std());
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Running { child, lines: BufReader::new(stdout).lines(), words })
    }

    /// Reads to the first line for which this holds.
    pub(crate) async fn wait_for(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> Result<String, Failed> {
        let mut seen = String::new();
        let reading = async {
            while let Some(line) = self.lines.next_line().await? {
                if is_it(&line) {
                    return Ok(Some(line));
                }
                seen.push_str(&line);
                seen.push('\n');
            }
            Ok::<_, Failed>(None)
        };
        match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => {
                let mut errors = String::new();
                if let Some(stderr) = &mut self.child.stderr {
                    stderr.read_to_string(&mut errors).await?;
                }
                Err(format!("{}: ended before {what}\n{seen}\n{errors}", self.words).into())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(format!("{}: no {what}\n{seen}", self.words).into()),
        }
    }

    /// Kills it as the system does it: it says nothing to anybody.
    pub(crate) async fn kill(mut self) -> Result<(), Failed> {
        Ok(self.child.kill().await?)
    }
}

async fn serve(folder: &TempDir) -> [SocketAddr; 4] {
    let tls = Arc::new(Tls::load(certificates(folder)).expect("good files"));
    let mut options = ServerOptions::new(HashKey([1, 2]), clock::unix_time());
    options.authenticator = Arc::new(OneUser);
    let mut server = Server::new(options);
    let mut addresses = Vec::new();
    for transport in Transport::ALL {
        let mut options = ListenerOptions::named(transport.scheme());
        options.tls = matches!(transport, Transport::Tls | Transport::SecureWebsocket).then(|| Arc::clone(&tls));
        options.websocket =
            matches!(transport, Transport::Websocket | Transport::SecureWebsocket).then(WebsocketOptions::default);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        addresses.push(listener.local_addr().expect("an address"));
        server.listen(listener, options);
    }
    tokio::spawn(server.run(std::future::pending()));
    addresses.try_into().expect("one for each transport")
}

/// An authority, and a certificate for this machine by it.
fn certificates(folder: &TempDir) -> TlsFiles {
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let mut params = CertificateParams::default();
    // The authority and the server must not have one name.
    params.distinguished_name.push(DnType::CommonName, "Tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    write("ca.pem", params.self_signed(&key).expect("a certificate").pem());
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("a certificate");
    TlsFiles {
        certificates: write("server.pem", certificate.pem()),
        key: write("server.key", key.serialize_pem()),
        clients: ClientCertificates::None,
    }
}

/// Without a user name everyone comes in, with one only `USER`.
struct OneUser;

impl Authenticator for OneUser {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        let (user, password) = USER;
        match &request.username {
            None => AllowAll.authenticate(request),
            Some(name) if name.as_str() == user && request.password.as_deref() == Some(password.as_bytes()) => {
                AllowAll.authenticate(request)
            }
            Some(_) => Answer::Now(AuthenticationOutcome::Refused(ReasonCode::BadUserNameOrPassword)),
        }
    }
}
