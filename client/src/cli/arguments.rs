//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use clap::{ArgAction, Args, Parser, Subcommand};
use squall_client::options::{Options, Reconnect};
use squall_codec::{
    packet::Will,
    property::Properties,
    qos::Qos,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::Text,
};

use super::{Trouble, address::Url};

const EXAMPLES: &str = "\
Examples:
  client sub -t 'home/#' -v                       print every message with its topic
  client pub -t home/door -m open -q 1 -r         publish one retained message at QoS 1
  sensors | client pub -t home/log -l             publish each line of standard input
  client sub -h broker.local -t '#' -C 1 -W 5     wait at most 5 s for one message
  client pub --url mqtt://ann:secret@host/t -n    publish an empty message

Exit status: 0 done; 1 the server refused or was lost; 2 no connection, or wrong arguments.";

/// Publishes to and subscribes at an MQTT server.
#[derive(Debug, Parser)]
#[command(name = "client", after_help = EXAMPLES, disable_help_flag = true, disable_help_subcommand = true)]
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
}

#[derive(Args, Debug)]
pub(crate) struct Connection {
    /// Name or address of the server
    #[arg(short = 'h', long, default_value = "127.0.0.1", conflicts_with = "url")]
    host: String,
    /// Port of the server
    #[arg(short, long, default_value_t = 1883, conflicts_with = "url")]
    port: u16,
    /// Server, credentials and topic in one, as far as they are needed: `mqtt://user:password@host:port/topic`
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<Url>,
    /// Client identifier [default: chosen by the server]
    #[arg(short, long, value_parser = text)]
    id: Option<Text>,
    /// User name
    #[arg(short, long, value_parser = text)]
    username: Option<Text>,
    /// Password
    #[arg(short = 'P', long = "pw", alias = "password")]
    password: Option<String>,
    /// Seconds between two signs of life; 0: none needed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    keepalive: u16,
    /// Keep the session: subscriptions and queued messages outlive the connection (needs -i)
    #[arg(short = 'c', long = "disable-clean-session")]
    keep_session: bool,
    /// 5.0: how long the session is kept, in seconds [default: for ever with -c, else not at all]
    #[arg(short = 'x', long = "session-expiry-interval", value_name = "SECONDS")]
    session_expiry: Option<u32>,
    /// Version of MQTT: 3.1, 3.1.1 or 5
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "5", value_parser = version)]
    pub(crate) version: Version,
    /// Seconds to wait for a connection
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    connect_timeout: u64,
    /// Show packets as they are sent and received
    #[arg(short, long)]
    pub(crate) debug: bool,
    /// Have this topic published to when the connection is lost
    #[arg(long, value_name = "TOPIC", value_parser = topic_name)]
    will_topic: Option<TopicName>,
    /// Payload of the will
    #[arg(long, value_name = "PAYLOAD", requires = "will_topic")]
    will_payload: Option<String>,
    /// QoS of the will
    #[arg(long, value_name = "QOS", default_value = "0", value_parser = qos, requires = "will_topic")]
    will_qos: Qos,
    /// Retain the will
    #[arg(long, requires = "will_topic")]
    will_retain: bool,
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
    /// Print the topic before the payload
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print no newline after the payload
    #[arg(short = 'N', long)]
    pub(crate) no_newline: bool,
    /// End after so many messages
    #[arg(short = 'C', long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// End after so many seconds; an error if -C messages have not come by then
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
}

impl Connection {
    /// Host and port.
    pub(crate) fn server(&self) -> (String, u16) {
        match &self.url {
            Some(url) => (url.host.clone(), url.port.unwrap_or(1883)),
            None => (self.host.clone(), self.port),
        }
    }

    /// What the client is told.
    pub(crate) fn options(&self, seed: u64) -> Result<Options, Trouble> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None if self.keep_session => return Err(Trouble::unable("a session to keep needs a name: give one by -i")),
            // 3.1 wants 1 to 23 characters of every client.
            None if self.version == Version::V3_1 => {
                Text::new(format!("squall-{:08x}", seed as u32)).expect("hexadecimal digits are text")
            }
            None => Text::default(),
        };
        let url = self.url.as_ref();
        let url_username =
            url.and_then(|url| url.username.as_deref()).map(text).transpose().map_err(Trouble::unable)?;
        let username = self.username.clone().or(url_username);
        let password = self.password.as_ref().or(url.and_then(|url| url.password.as_ref()));
        if password.is_some() && username.is_none() && !self.version.has_properties() {
            return Err(Trouble::unable("before MQTT 5.0 a password needs a user name: give one by -u"));
        }
        let forever = (self.keep_session && self.version.has_properties()).then_some(u32::MAX);
        Ok(Options {
            clean_start: !self.keep_session,
            // What an earlier run left behind is the server's alone: this program ends no run with open exchanges that
            // it could take up again.
            existing_session: self.keep_session,
            keep_alive: Duration::from_secs(self.keepalive.into()),
            session_expiry_seconds: self.session_expiry.or(forever),
            will: self.will_topic.as_ref().map(|topic| Will {
                qos: self.will_qos,
                retain: self.will_retain,
                topic: topic.clone(),
                payload: Bytes::from(self.will_payload.clone().unwrap_or_default()),
                properties: Properties::new(),
            }),
            username,
            password: password.map(|password| Bytes::from(password.clone())),
            reconnect: Reconnect::Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) },
            connect_timeout: Duration::from_secs(self.connect_timeout),
            ..Options::new(self.version, id)
        })
    }

    fn url_topic(&self) -> Option<&str> {
        self.url.as_ref()?.topic.as_deref()
    }
}

impl Publish {
    /// Of `-t`, or of the URL.
    pub(crate) fn topic(&self) -> Result<TopicName, Trouble> {
        match (&self.topic, self.connection.url_topic()) {
            (Some(topic), _) => Ok(topic.clone()),
            (None, Some(topic)) => topic_name(topic).map_err(Trouble::unable),
            (None, None) => Err(Trouble::unable("nowhere to publish to: give a topic by -t")),
        }
    }
}

impl Subscribe {
    /// Of `-t`, or of the URL.
    pub(crate) fn filters(&self) -> Result<Vec<TopicFilter>, Trouble> {
        match (self.topic.is_empty(), self.connection.url_topic()) {
            (false, _) => Ok(self.topic.clone()),
            (true, Some(topic)) => Ok(vec![topic_filter(topic).map_err(Trouble::unable)?]),
            (true, None) => Err(Trouble::unable("nothing to subscribe to: give a topic filter by -t")),
        }
    }
}

fn text(value: &str) -> Result<Text, String> {
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
        let Command::Sub(subscribe) = arguments.command else { panic!("expected sub") };
        assert_eq!(subscribe.connection.server(), ("there".to_owned(), 1883));
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
