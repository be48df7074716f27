//! The preflight: whether anything is at an address, which versions it speaks, and what it says that it is.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_client::net::tls::TlsError;
use squall_codec::{
    packet::{Connack, Connect, Disconnect, Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Text},
};
use squall_scenarios::stage::Credentials;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::lookup_host,
    time::{Instant, sleep, timeout, timeout_at},
};

use crate::{
    dial::{Access, CONNECT, Dialer, Socket},
    launch::built_in,
    profile::Profile,
    target::Target,
};

/// Everything that is asked before the first test is answered by then.
const PREFLIGHT: Duration = Duration::from_millis(3500);
/// A broker that was started a moment ago may still be on its way to its port.
const STARTING: Duration = Duration::from_secs(1);
/// A Keep Alive in seconds that outlasts every test, for servers that turn away who has none.
const LONG: u16 = 600;
/// Who closes every connection for so long, though nothing else is asked of it, is out of order.
const TURNED_AWAY: Duration = Duration::from_secs(2);
/// Between two connections to a server that closes them.
const ASKED_AGAIN: Duration = Duration::from_millis(100);
/// The subject may tell what it is, and is not waited for long: so long, and so many times as long as it took to answer CONNECT.
const IDENTITY: Duration = Duration::from_millis(400);
const IDENTITY_ANSWERS: u32 = 2;

/// Why there is nothing to audit, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says what it is about in its sentence")]
pub enum Unreachable {
    #[error("{target} refused the connection: is a broker listening there?")]
    Refused { target: String },
    #[error("{target} did not accept a connection within {} s", CONNECT.as_secs())]
    TimedOut { target: String },
    #[error("the name '{host}' was not found")]
    NotFound { host: String },
    #[error("{target} cannot be reached: {reason}")]
    Other { target: String, reason: String },
    #[error("{0}")]
    Tls(String),
    #[error("{target} accepts connections but answered CONNECT with something that is not MQTT: {excerpt}")]
    NotMqtt { target: String, excerpt: String },
    #[error(
        "{target} accepts connections but did not answer CONNECT in time: is it an MQTT broker, and is this not its port for TLS?"
    )]
    Silent { target: String },
    #[error(
        "{target} accepts connections and closes them on CONNECT: is it an MQTT broker, and is this not its port for \
         another transport (tls://, ws://)?"
    )]
    Closes { target: String },
    #[error("{target} asks for a certificate of ours: --cert FILE and --key FILE show one")]
    WantsCertificate { target: String },
    #[error("{target} speaks none of the chosen versions: {reasons}")]
    NoVersion { target: String, reasons: String },
}

/// A subject that can be audited.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As it was asked for.
    pub target: Target,
    /// Opens connections to where it was found.
    dialer: Dialer,
    /// Where a version has an address of its own.
    elsewhere: Vec<(Version, Dialer)>,
    /// What every CONNECT shows.
    pub credentials: Option<Credentials>,
    /// What every CONNECT says that is not about it: 0 unless the server does not take that.
    pub keep_alive: u16,
    /// The topics of tests are below this one.
    pub topic_root: String,
    /// What was asked for, and why it is not spoken, if so.
    pub spoken: Vec<(Version, Result<(), String>)>,
    /// What it says that it is.
    pub identity: Option<String>,
    /// The CONNACK with which 5.0 was accepted: what it offers.
    pub connack: Option<Connack>,
}

impl Subject {
    /// Whether it speaks a version.
    ///
    /// # Errors
    /// Why not.
    pub fn speaks(&self, version: Version) -> Result<(), String> {
        match self.spoken.iter().find(|(known, _)| *known == version) {
            Some((_, Err(reason))) => Err(format!("the server does not speak MQTT {version}: {reason}")),
            Some((_, Ok(()))) => Ok(()),
            None => Err(format!("MQTT {version} was not asked for")),
        }
    }

    /// Opens connections to where a version is spoken.
    pub fn dialer(&self, version: Version) -> &Dialer {
        self.elsewhere.iter().find(|(other, _)| *other == version).map_or(&self.dialer, |(_, dialer)| dialer)
    }

    /// One server that speaks each version at an address of its own: this one and the other.
    fn and(mut self, other: Subject) -> Subject {
        self.elsewhere.extend(other.spoken.iter().map(|(version, _)| (*version, other.dialer.clone())));
        self.spoken.extend(other.spoken);
        self.keep_alive = self.keep_alive.max(other.keep_alive);
        self.identity = self.identity.or(other.identity);
        self.connack = self.connack.or(other.connack);
        self
    }

    /// What is known of a server that says so much of itself.
    pub fn profile(&self) -> Option<Profile> {
        built_in::of_identity(self.identity.as_deref()?)
    }

    /// Whether it still answers CONNECT, in whatever way. Who comes back often may be turned away without a word, for a while; a
    /// server that goes on with that serves nobody any more.
    pub async fn answers(&self) -> bool {
        let mut asked: Vec<SocketAddr> = Vec::new();
        for (version, _) in self.spoken.iter().filter(|(_, spoken)| spoken.is_ok()) {
            let address = self.dialer(*version).address();
            if !asked.contains(&address) {
                if !self.answers_in(*version).await {
                    return false;
                }
                asked.push(address);
            }
        }
        !asked.is_empty()
    }

    async fn answers_in(&self, version: Version) -> bool {
        let turned_away = Instant::now() + TURNED_AWAY;
        loop {
            let Ok(mut stream) = self.dialer(version).dial().await else { return false };
            let by = Instant::now() + PREFLIGHT;
            match ask(&mut stream, version, self.credentials.as_ref(), self.keep_alive, by).await {
                Answer::Silent => return false,
                Answer::Closed if Instant::now() >= turned_away => return false,
                Answer::Closed => sleep(ASKED_AGAIN).await,
                _ => return true,
            }
        }
    }

    /// Whether it still accepts connections.
    ///
    /// # Errors
    /// How it does not.
    pub async fn is_there(&self) -> Result<(), String> {
        for dialer in [&self.dialer].into_iter().chain(self.elsewhere.iter().map(|(_, dialer)| dialer)) {
            dialer.dial().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// How CONNECT was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Accepted(Option<Box<Connack>>),
    Refused(String),
    Closed,
    /// TLS ended for want of a certificate of ours.
    WantsCertificate,
    NotMqtt(String),
    Silent,
}

/// Finds out whether there is a broker and which of these versions it speaks, in less than five seconds.
///
/// # Errors
/// There is nothing to audit.
pub async fn probe(target: &Target, access: &Access, versions: &[Version]) -> Result<Subject, Unreachable> {
    let deadline = Instant::now() + PREFLIGHT;
    let (dialer, mut first) = reach(target, access).await?;
    let credentials = access.credentials.clone();
    let mut spoken = Vec::new();
    let mut answers = Vec::new();
    let (mut identity, mut connack, mut keep_alive) = (None, None, 0);
    for (position, version) in versions.iter().enumerate() {
        let stream = if position == 0 { Ok(first.take()) } else { dialer.dial().await.map(Some) };
        let answer = match stream {
            // The versions share what is left of the time, so that each gets its answer heard.
            Ok(Some(mut stream)) => {
                let left = deadline.saturating_duration_since(Instant::now()) / (versions.len() - position) as u32;
                let by = Instant::now() + left;
                let asked = Instant::now();
                let mut answer = ask(&mut stream, *version, credentials.as_ref(), keep_alive, by).await;
                let distance = asked.elapsed();
                if matches!(answer, Answer::Closed | Answer::Refused(_))
                    && let Ok(mut other) = dialer.dial().await
                    && let Answer::Accepted(said) = ask(&mut other, *version, credentials.as_ref(), LONG, by).await
                {
                    (stream, answer, keep_alive) = (other, Answer::Accepted(said), LONG);
                }
                if let Answer::Accepted(said) = &answer {
                    if *version == Version::V5_0 {
                        connack = said.as_deref().cloned();
                    }
                    if identity.is_none() {
                        let patience = IDENTITY.max(by.saturating_duration_since(Instant::now()));
                        let patience = patience.min(IDENTITY + distance * IDENTITY_ANSWERS);
                        identity = timeout(patience, identify(&mut stream, *version)).await.ok().flatten();
                    }
                    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
                    let _ = stream.write_all(&encoded(&goodbye, *version)).await;
                    let _ = stream.flush().await;
                }
                answer
            }
            Ok(None) | Err(_) => Answer::Closed,
        };
        let is_there = access.may_refuse && *version == Version::V5_0 && matches!(answer, Answer::Refused(_));
        spoken.push((*version, if is_there { Ok(()) } else { verdict(&answer) }));
        answers.push(answer);
    }
    if spoken.iter().any(|(_, spoken)| spoken.is_ok()) {
        let (target, elsewhere, topic_root) = (target.clone(), Vec::new(), access.topic_root.clone());
        return Ok(Subject {
            target,
            dialer,
            elsewhere,
            credentials,
            keep_alive,
            topic_root,
            spoken,
            identity,
            connack,
        });
    }
    let target = target.to_string();
    let not_mqtt = answers.iter().find_map(|answer| match answer {
        Answer::NotMqtt(excerpt) => Some(excerpt.clone()),
        _ => None,
    });
    Err(if let Some(excerpt) = not_mqtt {
        Unreachable::NotMqtt { target, excerpt }
    } else if answers.contains(&Answer::WantsCertificate) {
        Unreachable::WantsCertificate { target }
    } else if answers.iter().all(|answer| *answer == Answer::Silent) {
        Unreachable::Silent { target }
    } else if answers.iter().all(|answer| *answer == Answer::Closed) {
        Unreachable::Closes { target }
    } else {
        let reasons =
            spoken.iter().filter_map(|(version, spoken)| Some(format!("{version}: {}", spoken.as_ref().err()?)));
        Unreachable::NoVersion { target, reasons: reasons.collect::<Vec<_>>().join("; ") }
    })
}

/// The same for one server that has several addresses, each for versions of its own.
///
/// # Errors
/// There is nothing to audit.
pub async fn probe_each(places: &[(Target, Vec<Version>)], access: &Access) -> Result<Subject, Unreachable> {
    let mut subject: Option<Subject> = None;
    let mut silent = Vec::new();
    let mut last = None;
    for (target, versions) in places {
        match probe(target, access, versions).await {
            Ok(found) => {
                subject = Some(match subject {
                    Some(subject) => subject.and(found),
                    None => found,
                });
            }
            Err(error @ (Unreachable::NoVersion { .. } | Unreachable::Closes { .. })) => {
                silent.extend(versions.iter().map(|version| (*version, Err(error.to_string()))));
                last = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match (subject, last) {
        (Some(mut subject), _) => {
            subject.spoken.extend(silent);
            subject.spoken.sort_by_key(|(version, _)| *version);
            Ok(subject)
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(Unreachable::NoVersion { target: String::new(), reasons: "none was asked for".to_owned() }),
    }
}

fn verdict(answer: &Answer) -> Result<(), String> {
    Err(match answer {
        Answer::Accepted(_) => return Ok(()),
        Answer::Refused(reason) => format!("CONNECT was refused with {reason}"),
        Answer::Closed => "it closed the connection on CONNECT".to_owned(),
        Answer::WantsCertificate => "it asks for a certificate of ours".to_owned(),
        Answer::NotMqtt(excerpt) => format!("it answered CONNECT with {excerpt}"),
        Answer::Silent => "it did not answer CONNECT in time".to_owned(),
    })
}

/// The first address of the name at which someone accepts.
async fn reach(target: &Target, access: &Access) -> Result<(Dialer, Option<Socket>), Unreachable> {
    let (host, port) = (target.url.host.as_str(), target.url.port);
    let not_found = || Unreachable::NotFound { host: host.to_owned() };
    let deadline = Instant::now() + CONNECT;
    let addresses = timeout_at(deadline, lookup_host((host, port))).await;
    let addresses: Vec<_> = addresses.map_err(|_| not_found())?.map_err(|_| not_found())?.collect();
    let dialers = addresses.into_iter().map(|address| Dialer::new(target, address, &access.tls));
    let dialers: Vec<_> =
        dialers.collect::<Result<_, TlsError>>().map_err(|error| Unreachable::Tls(error.to_string()))?;
    let starting = Instant::now() + STARTING;
    let attempts = async {
        loop {
            match first_of(target, &dialers).await {
                Err(Unreachable::Refused { .. }) if Instant::now() < starting => sleep(STARTING / 10).await,
                found => return found,
            }
        }
    };
    timeout_at(deadline, attempts).await.unwrap_or_else(|_| Err(Unreachable::TimedOut { target: target.to_string() }))
}

async fn first_of(target: &Target, dialers: &[Dialer]) -> Result<(Dialer, Option<Socket>), Unreachable> {
    let mut last = Unreachable::NotFound { host: target.url.host.clone() };
    for dialer in dialers {
        match dialer.dial().await {
            Ok(stream) => return Ok((dialer.clone(), Some(stream))),
            Err(error) => last = unreachable(target, &error),
        }
    }
    Err(last)
}

fn unreachable(target: &Target, error: &io::Error) -> Unreachable {
    let target = target.to_string();
    match error.kind() {
        ErrorKind::ConnectionRefused => Unreachable::Refused { target },
        ErrorKind::TimedOut => Unreachable::TimedOut { target },
        _ => {
            let mut reason = error.to_string();
            if reason.contains("invalid peer certificate") {
                reason.push_str(" (--ca FILE names who signs it, --insecure takes any)");
            }
            Unreachable::Other { target, reason }
        }
    }
}

fn encoded(packet: &Packet, version: Version) -> Bytes {
    let mut bytes = BytesMut::new();
    packet.encode(version, &mut bytes).expect("what is asked first exists in every version");
    bytes.freeze()
}

/// Says CONNECT and looks at what comes.
async fn ask(
    stream: &mut Socket,
    version: Version,
    credentials: Option<&Credentials>,
    keep_alive: u16,
    deadline: Instant,
) -> Answer {
    // Several may ask at a time: each has a name of its own, so that nobody takes over another.
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let client_id = Text::new(format!("squall{}x{number}", std::process::id())).expect("letters and digits");
    let mut connect = Connect::new(version, client_id);
    connect.keep_alive = keep_alive;
    if let Some(credentials) = credentials {
        connect.set_username(Some(credentials.username.clone()));
        connect.set_password(credentials.password.clone());
    }
    let connect = Packet::Connect(connect);
    let mut heard = BytesMut::new();
    let exchange = async {
        stream.write_all(&encoded(&connect, version)).await?;
        stream.flush().await?;
        loop {
            if stream.read_buf(&mut heard).await? == 0 || is_whole(&heard) {
                return io::Result::Ok(());
            }
        }
    };
    match timeout_at(deadline, exchange).await {
        // Also who has begun, and does not come to the end.
        Err(_) if !is_whole(&heard) => Answer::Silent,
        // TLS 1.3 asks after the handshake, and says so in an alert.
        Ok(Err(error)) if heard.is_empty() && error.to_string().contains("CertificateRequired") => {
            Answer::WantsCertificate
        }
        Ok(Err(_)) if heard.is_empty() => Answer::Closed,
        _ if heard.is_empty() => Answer::Closed,
        _ => judge(version, &heard.freeze()),
    }
}

/// Whether enough came to judge: a whole CONNACK, or the beginning of something else.
fn is_whole(heard: &[u8]) -> bool {
    match heard {
        [0x20, length, rest @ ..] => *length < 0x80 && rest.len() >= usize::from(*length) || rest.len() > 128,
        [0x20] | [] => false,
        _ => true,
    }
}

fn judge(version: Version, heard: &Bytes) -> Answer {
    let mut decoder = Decoder::new(Side::Server, Some(version), u32::MAX);
    decoder.extend(heard);
    match (decoder.next_packet(), &heard[..]) {
        (Ok(Some(Packet::Connack(connack))), _) if connack.reason.is_failure() => {
            Answer::Refused(format!("0x{:02X} {}", connack.reason.value(), connack.reason.name()))
        }
        (Ok(Some(Packet::Connack(connack))), _) => Answer::Accepted(Some(connack)),
        // A CONNACK in the form of another version: that of the server's own.
        (_, [0x20, _, _, code, ..]) if *code != 0 => Answer::Refused(format!("CONNACK 0x{code:02X}")),
        // What is wrong with such a CONNACK is for the tests to say.
        (_, [0x20, _, _, 0, ..]) => Answer::Accepted(None),
        _ => Answer::NotMqtt(excerpt(heard)),
    }
}

/// The beginning of an answer, in quotation marks where it is text.
fn excerpt(heard: &[u8]) -> String {
    let line = heard.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = &line[..line.len().min(60)];
    if line.iter().any(u8::is_ascii_graphic) && line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        format!("\"{}\"", String::from_utf8_lossy(line))
    } else {
        let bytes: Vec<_> = heard.iter().take(16).map(|byte| format!("{byte:02X}")).collect();
        format!("the bytes {}", bytes.join(" "))
    }
}

/// What the subject says in `$SYS/broker/version`, if it has that.
async fn identify(stream: &mut Socket, version: Version) -> Option<String> {
    let filter = TopicFilter::literal("$SYS/broker/version");
    let packet_id = PacketId::new(1)?;
    let subscribe = Subscribe::new(packet_id, vec![Subscription::new(filter, Qos::AtMostOnce)]);
    stream.write_all(&encoded(&Packet::Subscribe(subscribe), version)).await.ok()?;
    stream.flush().await.ok()?;
    let mut decoder = Decoder::new(Side::Server, Some(version), 1 << 16);
    let mut buffer = [0; 1024];
    loop {
        while let Some(packet) = decoder.next_packet().ok()? {
            if let Packet::Publish(publish) = packet {
                return said(&publish);
            }
        }
        let length = stream.read(&mut buffer).await.ok().filter(|length| *length > 0)?;
        decoder.extend(&buffer[..length]);
    }
}

fn said(publish: &Publish) -> Option<String> {
    let text = std::str::from_utf8(publish.payload()).ok()?;
    let plain: String = text.chars().filter(|letter| !letter.is_control()).take(80).collect();
    (!plain.is_empty()).then_some(plain)
}
