//! A real address: how it is written, whether anything is there, and which versions it speaks.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Connect, Disconnect, Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Text},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout, timeout_at},
};

/// Everything that is asked before the first test is answered by then.
const PREFLIGHT: Duration = Duration::from_millis(3500);
/// The connection stands by then.
const CONNECT: Duration = Duration::from_secs(3);
/// A broker that was started a moment ago may still be on its way to its port.
const STARTING: Duration = Duration::from_secs(1);
/// The subject may tell what it is, and is not waited for long.
const IDENTITY: Duration = Duration::from_millis(400);
/// Without a port.
const DEFAULT_PORT: u16 = 1883;

/// Where the subject is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "tcp://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "tcp://{}:{}", self.host, self.port)
        }
    }
}

/// The text names no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A scheme that cannot be spoken.
    #[error("the scheme '{0}' is not spoken here, expected tcp:// or mqtt://")]
    Scheme(String),
    /// A port out of range.
    #[error("'{0}' is no port, expected 1 to 65535")]
    Port(String),
    /// No host.
    #[error("'{0}' names no host, expected HOST:PORT")]
    Host(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let rest = match text.split_once("://") {
            Some(("tcp" | "mqtt", rest)) => rest.trim_end_matches('/'),
            Some((scheme, _)) => return Err(TargetError::Scheme(scheme.to_owned())),
            None => text,
        };
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (host, after) = bracketed.split_once(']').ok_or_else(|| TargetError::Host(text.to_owned()))?;
            (host, after.strip_prefix(':'))
        } else if rest.matches(':').count() > 1 {
            (rest, None)
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(TargetError::Host(text.to_owned()));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(TargetError::Port(port.to_owned())),
                Ok(port) => port,
            },
        };
        Ok(Target { host: host.to_owned(), port })
    }
}

/// Why there is nothing to audit, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says what it is about in its sentence")]
pub enum Unreachable {
    #[error("{target} refused the connection: is a broker listening there?")]
    Refused { target: Target },
    #[error("{target} did not accept a connection within {} s", CONNECT.as_secs())]
    TimedOut { target: Target },
    #[error("the name '{host}' was not found")]
    NotFound { host: String },
    #[error("{target} cannot be reached: {reason}")]
    Other { target: Target, reason: String },
    #[error("{target} accepts connections but answered CONNECT with something that is not MQTT: {excerpt}")]
    NotMqtt { target: Target, excerpt: String },
    #[error("{target} accepts connections but did not answer CONNECT in time: is it an MQTT broker without TLS?")]
    Silent { target: Target },
    #[error("{target} speaks none of the chosen versions: {reasons}")]
    NoVersion { target: Target, reasons: String },
}

/// A subject that can be audited.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As it was asked for.
    pub target: Target,
    /// Where it was found.
    pub address: SocketAddr,
    /// What was asked for, and why it is not spoken, if so.
    pub spoken: Vec<(Version, Result<(), String>)>,
    /// What it says that it is.
    pub identity: Option<String>,
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

    /// Whether it still accepts connections.
    ///
    /// # Errors
    /// How it does not.
    pub async fn is_there(&self) -> Result<(), String> {
        connect(self.address).await.map(drop).map_err(|error| error.to_string())
    }
}

/// How CONNECT was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused(String),
    Closed,
    NotMqtt(String),
    Silent,
}

/// Finds out whether there is a broker and which of these versions it speaks, in less than five seconds.
///
/// # Errors
/// There is nothing to audit.
pub async fn probe(target: &Target, versions: &[Version]) -> Result<Subject, Unreachable> {
    let deadline = Instant::now() + PREFLIGHT;
    let (address, mut first) = reach(target).await?;
    let mut spoken = Vec::new();
    let mut answers = Vec::new();
    let mut identity = None;
    for (position, version) in versions.iter().enumerate() {
        let stream = if position == 0 { Ok(first.take()) } else { connect(address).await.map(Some) };
        let answer = match stream {
            // The versions share what is left of the time, so that each gets its answer heard.
            Ok(Some(mut stream)) => {
                let left = deadline.saturating_duration_since(Instant::now()) / (versions.len() - position) as u32;
                let answer = ask(&mut stream, *version, Instant::now() + left).await;
                if answer == Answer::Accepted && identity.is_none() {
                    identity = timeout(IDENTITY, identify(&mut stream, *version)).await.ok().flatten();
                }
                if answer == Answer::Accepted {
                    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
                    let _ = stream.write_all(&encoded(&goodbye, *version)).await;
                }
                answer
            }
            Ok(None) | Err(_) => Answer::Closed,
        };
        spoken.push((*version, verdict(&answer)));
        answers.push(answer);
    }
    if answers.contains(&Answer::Accepted) {
        return Ok(Subject { target: target.clone(), address, spoken, identity });
    }
    let target = target.clone();
    let not_mqtt = answers.iter().find_map(|answer| match answer {
        Answer::NotMqtt(excerpt) => Some(excerpt.clone()),
        _ => None,
    });
    Err(if let Some(excerpt) = not_mqtt {
        Unreachable::NotMqtt { target, excerpt }
    } else if answers.iter().all(|answer| *answer == Answer::Silent) {
        Unreachable::Silent { target }
    } else {
        let reasons =
            spoken.iter().filter_map(|(version, spoken)| Some(format!("{version}: {}", spoken.as_ref().err()?)));
        Unreachable::NoVersion { target, reasons: reasons.collect::<Vec<_>>().join("; ") }
    })
}

fn verdict(answer: &Answer) -> Result<(), String> {
    Err(match answer {
        Answer::Accepted => return Ok(()),
        Answer::Refused(reason) => format!("CONNECT was refused with {reason}"),
        Answer::Closed => "it closed the connection on CONNECT".to_owned(),
        Answer::NotMqtt(excerpt) => format!("it answered CONNECT with {excerpt}"),
        Answer::Silent => "it did not answer CONNECT in time".to_owned(),
    })
}

/// The first address of the name at which someone accepts.
async fn reach(target: &Target) -> Result<(SocketAddr, Option<TcpStream>), Unreachable> {
    let not_found = || Unreachable::NotFound { host: target.host.clone() };
    let deadline = Instant::now() + CONNECT;
    let addresses = timeout_at(deadline, lookup_host((target.host.as_str(), target.port))).await;
    let addresses: Vec<_> = addresses.map_err(|_| not_found())?.map_err(|_| not_found())?.collect();
    let starting = Instant::now() + STARTING;
    let attempts = async {
        loop {
            match first_of(target, &addresses).await {
                Err(Unreachable::Refused { .. }) if Instant::now() < starting => sleep(STARTING / 10).await,
                found => return found,
            }
        }
    };
    timeout_at(deadline, attempts).await.unwrap_or_else(|_| Err(Unreachable::TimedOut { target: target.clone() }))
}

async fn first_of(target: &Target, addresses: &[SocketAddr]) -> Result<(SocketAddr, Option<TcpStream>), Unreachable> {
    let mut last = Unreachable::NotFound { host: target.host.clone() };
    for address in addresses {
        match connect(*address).await {
            Ok(stream) => return Ok((*address, Some(stream))),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                last = Unreachable::Refused { target: target.clone() };
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                last = Unreachable::TimedOut { target: target.clone() };
            }
            Err(error) => last = Unreachable::Other { target: target.clone(), reason: error.to_string() },
        }
    }
    Err(last)
}

/// A connection without Nagle's delay.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs())))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn encoded(packet: &Packet, version: Version) -> Bytes {
    let mut bytes = BytesMut::new();
    packet.encode(version, &mut bytes).expect("what is asked first exists in every version");
    bytes.freeze()
}

/// Says CONNECT and looks at what comes.
async fn ask(stream: &mut TcpStream, version: Version, deadline: Instant) -> Answer {
    let client_id = Text::new(format!("squallpreflight{}", std::process::id())).expect("letters and digits");
    let connect = Packet::Connect(Box::new(Connect::new(version, client_id)));
    let mut heard = BytesMut::new();
    let exchange = async {
        stream.write_all(&encoded(&connect, version)).await?;
        loop {
            if stream.read_buf(&mut heard).await? == 0 || is_whole(&heard) {
                return io::Result::Ok(());
            }
        }
    };
    match timeout_at(deadline, exchange).await {
        Err(_) if heard.is_empty() => Answer::Silent,
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
        (Ok(Some(Packet::Connack(_))), _) => Answer::Accepted,
        // A CONNACK in the form of another version: that of the server's own.
        (_, [0x20, _, _, code, ..]) if *code != 0 => Answer::Refused(format!("CONNACK 0x{code:02X}")),
        // What is wrong with such a CONNACK is for the tests to say.
        (_, [0x20, _, _, 0, ..]) => Answer::Accepted,
        _ => Answer::NotMqtt(excerpt(heard)),
    }
}

/// The beginning of an answer, in quotation marks where it is text.
fn excerpt(heard: &[u8]) -> String {
    let line = heard.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = &line[..line.len().min(60)];
    if !line.is_empty() && line.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        format!("\"{}\"", String::from_utf8_lossy(line))
    } else {
        let bytes: Vec<_> = heard.iter().take(16).map(|byte| format!("{byte:02X}")).collect();
        format!("the bytes {}", bytes.join(" "))
    }
}

/// What the subject says in `$SYS/broker/version`, if it has that.
async fn identify(stream: &mut TcpStream, version: Version) -> Option<String> {
    let filter = TopicFilter::literal("$SYS/broker/version");
    let packet_id = PacketId::new(1)?;
    let subscribe = Subscribe::new(packet_id, vec![Subscription::new(filter, Qos::AtMostOnce)]);
    stream.write_all(&encoded(&Packet::Subscribe(subscribe), version)).await.ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<String, String> {
        text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_has_many_spellings() {
        for text in ["broker:1883", "broker", "tcp://broker:1883", "mqtt://broker", "mqtt://broker:1883/"] {
            assert_eq!(written(text).as_deref(), Ok("tcp://broker:1883"), "{text}");
        }
        for text in ["[::1]:1884", "tcp://[::1]:1884"] {
            assert_eq!(written(text).as_deref(), Ok("tcp://[::1]:1884"), "{text}");
        }
        assert_eq!(written("::1").as_deref(), Ok("tcp://[::1]:1883"));
    }

    #[test]
    fn a_wrong_address_is_refused_in_words() {
        assert_eq!(written("ws://a:1").unwrap_err(), "the scheme 'ws' is not spoken here, expected tcp:// or mqtt://");
        assert_eq!(written("a:70000").unwrap_err(), "'70000' is no port, expected 1 to 65535");
        assert_eq!(written("a:0").unwrap_err(), "'0' is no port, expected 1 to 65535");
        assert_eq!(written(":1883").unwrap_err(), "':1883' names no host, expected HOST:PORT");
        assert!(written("[::1").is_err());
    }

    #[test]
    fn an_answer_is_judged_by_its_bytes() {
        let of = |version, bytes: &'static [u8]| judge(version, &Bytes::from_static(bytes));
        assert_eq!(of(Version::V3_1_1, b"\x20\x02\x00\x00"), Answer::Accepted);
        assert_eq!(of(Version::V5_0, b"\x20\x03\x00\x00\x00"), Answer::Accepted);
        assert!(matches!(of(Version::V3_1_1, b"\x20\x02\x00\x05"), Answer::Refused(_)));
        assert!(matches!(of(Version::V5_0, b"\x20\x02\x00\x01"), Answer::Refused(_)));
        assert_eq!(
            of(Version::V5_0, b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n"),
            Answer::NotMqtt("\"HTTP/1.1 400 Bad Request\"".to_owned())
        );
        assert_eq!(of(Version::V5_0, b"\x15\x03\x03\x00"), Answer::NotMqtt("the bytes 15 03 03 00".to_owned()));
    }
}
