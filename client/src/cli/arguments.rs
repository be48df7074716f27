//! What can be said on the command line, in the letters that people know from `mosquitto_pub` and `mosquitto_sub`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use squall_client::net::{tls::TlsVersion, url::ServerUrl};
use squall_codec::{
    packet::RetainHandling,
    qos::Qos,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};

use super::{Trouble, bench::Shape, format::Format};

const EXAMPLES: &str = "\
Examples:
  client sub -t 'home/#' -v                       print every message with its topic
  client pub -t home/door -m open -q 1 -r         publish one retained message at QoS 1
  sensors | client pub -t home/log -l             publish each line of standard input
  client sub -h broker.local -t '#' -C 1 -W 5     wait at most 5 s for one message
  client pub --url mqtts://ann:secret@host/t -n   publish an empty message over TLS
  client sub --url wss://host/mqtt -t '#' -F %j   one JSON object for each message, over WebSocket
  client sub -t 'home/#' -F '@H:@M:@S %-20t %p'   the time, the topic in a column, the payload
  client request -t door/ask -m '?' -W 2          ask, and print the answer
  client bench --shape 1:50 -q 1 --duration 10    one publisher, fifty subscribers, ten seconds

Exit status: 0 done; 1 the server refused or was lost, or what was waited for did not come; 2 no connection, or wrong
arguments.";

/// Publishes to and subscribes at an MQTT server, asks questions, and measures.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = EXAMPLES, disable_help_flag = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print help
    #[arg(long, action = ArgAction::Help, global = true)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish messages
    #[command(after_help = EXAMPLES, disable_help_flag = true)]
    Pub(Box<Publish>),
    /// Subscribe, and print what comes
    #[command(after_help = EXAMPLES, disable_help_flag = true)]
    Sub(Box<Subscribe>),
    /// Publish a question, and print the answer (5.0)
    #[command(after_help = EXAMPLES, disable_help_flag = true)]
    Request(Box<Request>),
    /// Put a server under load, and measure
    #[command(after_help = EXAMPLES, disable_help_flag = true)]
    Bench(Box<Bench>),
}

#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// Name or address of the server
    #[arg(short = 'h', long, default_value = "127.0.0.1", conflicts_with = "url")]
    pub(crate) host: String,
    /// Port of the server [default: 1883, with TLS 8883]
    #[arg(short, long, conflicts_with = "url", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Transport, server, credentials and topic in one: mqtt://, mqtts://, ws:// or wss://, then
    /// user:password@host:port, then /topic, or for ws and wss the /path of the WebSocket
    #[arg(short = 'L', long, value_name = "URL")]
    pub(crate) url: Option<ServerUrl>,
    /// Client identifier [default: chosen by the server]
    #[arg(short, long, value_parser = text)]
    pub(crate) id: Option<Text>,
    /// User name
    #[arg(short, long, value_parser = text)]
    pub(crate) username: Option<Text>,
    /// Password
    #[arg(short = 'P', long = "pw", alias = "password")]
    pub(crate) password: Option<String>,
    /// 5.0: prove the password by SCRAM-SHA-256 instead of sending it, and have the server prove that it knows it
    #[arg(long)]
    pub(crate) scram: bool,
    /// Seconds between two signs of life; 0: none needed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) keepalive: u16,
    /// Keep the session: subscriptions and queued messages outlive the connection (needs -i)
    #[arg(short = 'c', long = "disable-clean-session")]
    pub(crate) keep_session: bool,
    /// Keep the client's half of the session in this file: what was not acknowledged is sent by the next run (needs -i
    /// and -c)
    #[arg(long, value_name = "FILE", requires = "keep_session")]
    pub(crate) session_file: Option<PathBuf>,
    /// 5.0: how long the session is kept, in seconds [default: for ever with -c, else not at all]
    #[arg(short = 'x', long = "session-expiry-interval", value_name = "SECONDS")]
    pub(crate) session_expiry: Option<u32>,
    /// Version of MQTT: 3.1, 3.1.1 or 5
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "5", value_parser = version)]
    pub(crate) version: Version,
    /// 5.0: a property of a packet: COMMAND is connect, publish, subscribe, disconnect or will; a
    /// user-property has a name and a value
    #[arg(short = 'D', long = "property", value_names = ["COMMAND", "PROPERTY", "VALUE", "VALUE2"], num_args = 3..=4,
          action = ArgAction::Append, allow_negative_numbers = true)]
    pub(crate) properties: Vec<String>,
    /// 5.0: go where the server sends ("use another server", "server moved"), with the same credentials, over at most COUNT
    /// servers in a row [default: not at all; without a COUNT 5]
    #[arg(long, value_name = "COUNT", num_args = 0..=1, require_equals = true, default_missing_value = "5",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) follow: Option<u32>,
    /// Seconds to wait for a connection
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) connect_timeout: u64,
    /// Show packets as they are sent and received
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// Say nothing on standard error
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Have this topic published to when the connection is lost
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) will_topic: Option<TopicName>,
    /// Payload of the will
    #[arg(long, value_name = "PAYLOAD", requires = "will_topic")]
    pub(crate) will_payload: Option<String>,
    /// QoS of the will
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos, requires = "will_topic")]
    pub(crate) will_qos: Qos,
    /// Retain the will
    #[arg(long, requires = "will_topic")]
    pub(crate) will_retain: bool,
    #[command(flatten)]
    pub(crate) tls: Tls,
}

/// TLS. Any of these turns it on.
#[derive(Args, Debug)]
pub(crate) struct Tls {
    /// TLS, trusting whom this machine trusts
    #[arg(long, alias = "tls-use-os-certs", conflicts_with_all = ["cafile", "capath"])]
    pub(crate) tls: bool,
    /// TLS, trusting the certificates in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) cafile: Option<PathBuf>,
    /// TLS, trusting the certificates in the PEM files of this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) capath: Option<PathBuf>,
    /// Certificate of the client, PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// TLS with anybody: nothing proves who the server is. For tests
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Speak no other version of TLS: tlsv1.2 or tlsv1.3
    #[arg(long, value_name = "VERSION", value_parser = tls_version)]
    pub(crate) tls_version: Option<TlsVersion>,
    /// Protocol of ALPN
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) tls_alpn: Option<String>,
    /// The name in the server's certificate, where it is not the host
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_server_name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Topic to publish to
    #[arg(short, long, value_parser = topic_name)]
    topic: Option<TopicName>,
    /// QoS: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub(crate) qos: Qos,
    /// Let the server keep the message for later subscribers
    #[arg(short, long)]
    pub(crate) retain: bool,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Publish it so many times
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..),
          conflicts_with = "stdin_line")]
    pub(crate) repeat: u64,
    /// Seconds between them
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds, requires = "repeat")]
    pub(crate) repeat_delay: f64,
}

/// Where the payload comes from.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Source {
    /// Publish this text
    #[arg(short, long)]
    pub(crate) message: Option<String>,
    /// Publish the content of a file
    #[arg(short, long)]
    pub(crate) file: Option<PathBuf>,
    /// Publish each line of standard input
    #[arg(short = 'l', long)]
    pub(crate) stdin_line: bool,
    /// Publish all of standard input as one message
    #[arg(short = 's', long)]
    pub(crate) stdin_file: bool,
    /// Publish an empty message
    #[arg(short = 'n', long)]
    pub(crate) null_message: bool,
}

/// How messages are printed.
#[derive(Args, Debug)]
pub(crate) struct Printing {
    /// Print the topic before the payload
    #[arg(short, long, conflicts_with = "format")]
    pub(crate) verbose: bool,
    /// Print no newline after each message
    #[arg(short = 'N', long)]
    pub(crate) no_newline: bool,
    /// Print messages in this form: %t topic, %p payload, %x or %X payload in hexadecimal, %l its length, %q QoS,
    /// %r retain, %m packet identifier, %j JSON, %J JSON with the payload as JSON, %U seconds since 1970, %I date and
    /// time, %A topic alias (put back by now, so empty), %C content type, %R response topic, %D correlation data, %E expiry,
    /// %F payload format, %P user properties, %S subscription identifiers, %% a percent sign. %20t is at least 20
    /// characters wide, %-20t with the topic at the left, %.20t at most 20, and %08m is filled up with zeros. @Y, @H and
    /// the other letters of strftime are parts of the local time, @N nanoseconds, @@ an at sign; then \n, \t, \r, \a,
    /// \e, \0 and \\
    #[arg(short = 'F', long, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
}

#[derive(Args, Debug)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Topic filter to subscribe to; may be given several times
    #[arg(short, long, value_parser = topic_filter)]
    topic: Vec<TopicFilter>,
    /// Highest QoS of what comes: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub(crate) qos: Qos,
    #[command(flatten)]
    pub(crate) printing: Printing,
    /// End after so many messages
    #[arg(short = 'C', long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after so many seconds; an error if -C messages have not come by then
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<f64>,
    /// End when the server has granted the subscriptions
    #[arg(short = 'E', long)]
    pub(crate) exit_after_subscribing: bool,
    /// Print no message that was retained
    #[arg(short = 'R', long, conflicts_with = "retained_only")]
    pub(crate) no_retained: bool,
    /// Print only messages that were retained
    #[arg(long)]
    pub(crate) retained_only: bool,
    /// Print no message whose topic matches this filter; may be given several times
    #[arg(short = 'T', long = "filter-out", value_name = "FILTER", value_parser = topic_filter)]
    pub(crate) filter_out: Vec<TopicFilter>,
    /// Unsubscribe from this filter first, of an older session; may be given several times
    #[arg(short = 'U', long, value_name = "FILTER", value_parser = topic_filter)]
    pub(crate) unsubscribe: Vec<TopicFilter>,
    /// 5.0: keep the retain flag of live messages
    #[arg(long)]
    pub(crate) retain_as_published: bool,
    /// 5.0: retained messages are sent always, for a new subscription, or never
    #[arg(long, value_name = "always|new|never", default_value = "always", value_parser = retain_handling)]
    pub(crate) retain_handling: RetainHandling,
    /// 5.0: nothing that this client publishes itself
    #[arg(long)]
    pub(crate) no_local: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Request {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Topic of the question
    #[arg(short, long, value_parser = topic_name)]
    topic: Option<TopicName>,
    /// Topic of the answer [default: one of this run's own]
    #[arg(short = 'e', long, value_name = "TOPIC", value_parser = topic_name)]
    pub(crate) response_topic: Option<TopicName>,
    /// QoS of the question: 0, 1 or 2
    #[arg(short, long, default_value = "1", value_parser = qos)]
    pub(crate) qos: Qos,
    /// Seconds to wait for the answer
    #[arg(short = 'W', long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    pub(crate) timeout: f64,
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

#[derive(Args, Debug)]
pub(crate) struct Bench {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// Publishers and subscribers. Each publisher has a topic of its own, and each subscriber subscribes to all of them
    #[arg(long, value_name = "P:S", default_value = "1:1")]
    pub(crate) shape: Shape,
    /// Each subscriber subscribes to the topic of one publisher: as many of the one as of the other
    #[arg(long)]
    pub(crate) pairs: bool,
    /// Topics begin with this
    #[arg(short, long, default_value = "squall/bench", value_parser = topic_name)]
    pub(crate) topic: TopicName,
    /// QoS of messages and subscriptions: 0, 1 or 2
    #[arg(short, long, default_value = "0", value_parser = qos)]
    pub(crate) qos: Qos,
    /// Payload bytes, at least 16: they carry the time
    #[arg(short, long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..))]
    pub(crate) size: u32,
    /// Messages a second, of all publishers together [default: as fast as it goes]
    #[arg(short, long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: Option<u32>,
    /// Messages in all
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Seconds to publish [default: 10, unless there is a count]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<f64>,
    /// QoS 1 and 2: messages in flight for each publisher
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) in_flight: u16,
    /// Connections opened in a second [default: one after the other, as fast as it goes]
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) ramp: Option<u32>,
    /// Seconds to wait for the last messages
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) drain: f64,
    /// Print the result as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl Publish {
    /// Of `-t`, or of the URL.
    pub(crate) fn topic(&self) -> Result<TopicName, Trouble> {
        self.connection.topic(self.topic.as_ref())
    }
}

impl Request {
    /// Of `-t`, or of the URL.
    pub(crate) fn topic(&self) -> Result<TopicName, Trouble> {
        self.connection.topic(self.topic.as_ref())
    }
}

impl Connection {
    fn topic(&self, given: Option<&TopicName>) -> Result<TopicName, Trouble> {
        match (given, self.url_topic()?) {
            (Some(topic), _) => Ok(topic.clone()),
            (None, Some(topic)) => topic_name(&topic).map_err(Trouble::unable),
            (None, None) => Err(Trouble::unable("nowhere to publish to: give a topic by -t")),
        }
    }

    /// The path of a WebSocket is none.
    fn url_topic(&self) -> Result<Option<String>, Trouble> {
        match self.url.as_ref().filter(|url| !url.scheme.is_web_socket()) {
            Some(url) => url.decoded_path().map_err(|error| Trouble::unable(error.to_string())),
            None => Ok(None),
        }
    }
}

impl Subscribe {
    /// Of `-t`, or of the URL.
    pub(crate) fn filters(&self) -> Result<Vec<TopicFilter>, Trouble> {
        match (self.topic.is_empty(), self.connection.url_topic()?) {
            (false, _) => Ok(self.topic.clone()),
            (true, Some(topic)) => Ok(vec![topic_filter(&topic).map_err(Trouble::unable)?]),
            // Who only unsubscribes needs none.
            (true, None) if !self.unsubscribe.is_empty() => Ok(Vec::new()),
            (true, None) => Err(Trouble::unable("nothing to subscribe to: give a topic filter by -t")),
        }
    }
}

impl Command {
    pub(crate) fn connection(&self) -> &Connection {
        match self {
            Command::Pub(publish) => &publish.connection,
            Command::Sub(subscribe) => &subscribe.connection,
            Command::Request(request) => &request.connection,
            Command::Bench(bench) => &bench.connection,
        }
    }
}

pub(crate) fn text(value: &str) -> Result<Text, String> {
    Text::try_from(value).map_err(|error| error.to_string())
}

fn topic_name(value: &str) -> Result<TopicName, String> {
    TopicName::try_from(value).map_err(|error| format!("the topic '{value}' {error}"))
}

fn topic_filter(value: &str) -> Result<TopicFilter, String> {
    TopicFilter::try_from(value).map_err(|error| format!("the topic filter '{value}' {error}"))
}

fn qos(value: &str) -> Result<Qos, String> {
    value.parse().ok().and_then(Qos::from_bits).ok_or_else(|| "expected 0, 1 or 2".to_owned())
}

fn seconds(value: &str) -> Result<f64, String> {
    let number = value.parse::<f64>().ok().filter(|number| (0.0..=1e9).contains(number));
    number.ok_or_else(|| "expected seconds, 0 or more".to_owned())
}

fn retain_handling(value: &str) -> Result<RetainHandling, String> {
    match value {
        "always" => Ok(RetainHandling::Send),
        "new" => Ok(RetainHandling::SendIfNew),
        "never" => Ok(RetainHandling::DoNotSend),
        _ => Err("expected always, new or never".to_owned()),
    }
}

fn tls_version(value: &str) -> Result<TlsVersion, String> {
    match value.strip_prefix("tlsv").unwrap_or(value) {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err("expected tlsv1.2 or tlsv1.3".to_owned()),
    }
}

/// As the standard writes them, and as `mosquitto_pub` does.
fn version(value: &str) -> Result<Version, String> {
    let value = value.strip_prefix("mqttv").unwrap_or(value);
    let value = match value {
        "31" => "3.1",
        "311" => "3.1.1",
        other => other,
    };
    value.parse::<Version>().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn h_is_the_host_and_help_is_written_out() {
        let arguments = Arguments::try_parse_from(["client", "sub", "-h", "there", "-t", "a"]).expect("valid");
        assert_eq!(arguments.command.connection().host, "there");
        for line in [&["client", "--help"][..], &["client", "pub", "--help"]] {
            let help = Arguments::try_parse_from(line).expect_err("help ends the program");
            assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp, "{help}");
        }
    }

    #[test]
    fn versions_are_read_in_both_spellings() {
        for (value, expected) in [("3.1", Version::V3_1), ("311", Version::V3_1_1), ("mqttv5", Version::V5_0)] {
            assert_eq!(version(value), Ok(expected));
        }
        assert!(version("6").is_err());
    }
}
