//! The small values of the language: durations with units, reasons, topics, packet identifiers, statements.

use std::{fmt, str::FromStr, time::Duration};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, Visitor},
};
use squall_codec::{
    packet::RetainHandling,
    property::{Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

use crate::{
    fault::Delay,
    liar::Direction,
    links::check_spread,
    script::place::{Placed, unknown},
};

/// Gives a type its `Deserialize` from a scalar by a function from text to `Result<Self, String>`.
macro_rules! from_scalar {
    ($($name:ident $read:expr;)*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let read: fn(&str) -> Result<$name, String> = $read;
                read(&text).map_err(de::Error::custom)
            }
        }
    )*};
}

from_scalar! {
    Time |text| time(text).map(Time);
    Seconds |text| Ok(Seconds(seconds(text)?));
    KeepAlive |text| {
        let seconds = if text == "0" { 0 } else { seconds(text)? };
        u16::try_from(seconds).map(KeepAlive).map_err(|_| format!("'{text}' is longer than a keep alive can be: 65535s"))
    };
    Expiry |text| if text == "never" { Ok(Expiry(u32::MAX)) } else { seconds(text).map(Expiry) };
    Percent percent;
    Rate rate;
    Hex hex;
    QosWord |text| match text {
        "0" => Ok(QosWord(Qos::AtMostOnce)),
        "1" => Ok(QosWord(Qos::AtLeastOnce)),
        "2" => Ok(QosWord(Qos::ExactlyOnce)),
        other => Err(format!("'{other}' is no QoS: expected 0, 1 or 2")),
    };
    Reason reason;
    TextWord |text| Text::new(text).map(TextWord).map_err(|error| error.to_string());
    Topic |text| {
        // Where an alias stands for it, a PUBLISH that comes has none.
        if text.is_empty() {
            return Ok(Topic(String::new()));
        }
        let checked = Text::new(text).map_err(|error| error.to_string())?;
        let name = TopicName::new(checked).map_err(|error| format!("'{text}' is no topic name: it {error}"))?;
        short(name.as_str()).map(|()| Topic(text.to_owned()))
    };
    Filter Filter::parse;
    ScramWord |text| match stringprep::saslprep(text) {
        Ok(prepared) if !prepared.is_empty() => Ok(ScramWord(text.to_owned())),
        Ok(_) => Err("SCRAM has no empty names and passwords".to_owned()),
        Err(_) => Err(format!("'{text}' is nothing for SCRAM: SASLprep (RFC 4013) does not allow it")),
    };
    PacketIdWord packet_id;
    PropertyWord property;
    VersionWord |text| Version::from_str(text).map(VersionWord).map_err(|error| error.to_string());
    Statement Statement::from_str;
}

/// A duration with its unit: `2s`, `500ms`, `1.5s`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// Whole seconds, as the wire carries them: `10s`, `1h`; `0s` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u32);

/// Whole seconds in two bytes. 0 switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepAlive(pub(crate) u16);

/// How long a session is kept: whole seconds, or `never` for 0xFFFFFFFF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry(pub(crate) u32);

/// A share: `10%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Percent(pub(crate) f64);

/// What a line takes in a second: `64kB/s`, `9600bit/s`; `unlimited` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// Bytes as they are: `C0 00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Bytes);

/// 0, 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QosWord(pub(crate) Qos);

/// A reason code: its value (`0x8E`) or the standard's name with underscores (`session_taken_over`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) ReasonCode);

/// A string of MQTT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextWord(pub(crate) Text);

/// A topic name of the script, below the stage's own root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic(pub(crate) String);

/// A topic filter of the script, below the stage's own root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) String);

impl Filter {
    pub(crate) fn parse(text: &str) -> Result<Filter, String> {
        let checked = Text::new(text).map_err(|error| error.to_string())?;
        let filter = TopicFilter::new(checked).map_err(|error| format!("'{text}' is no topic filter: it {error}"))?;
        short(filter.as_str()).map(|()| Filter(text.to_owned()))
    }
}

/// A name or a password that SCRAM takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScramWord(pub(crate) String);

/// A packet identifier: a number, or a name that the first expectation binds and all later uses mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PacketIdWord {
    Number(PacketId),
    Name(String),
}

/// A property by its name, as the fields of packets are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PropertyWord(pub(crate) PropertyId);

/// A protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VersionWord(pub(crate) Version);

/// A statement of the standard: `5.0/MQTT-4.3.3-10`. The version belongs to it, since ids repeat with other meanings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Statement {
    /// Of the standard.
    pub version: Version,
    /// As the catalogue writes it.
    pub id: String,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.id)
    }
}

impl FromStr for Statement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' names no statement: expected version and id, such as 5.0/MQTT-4.3.3-10");
        let (version, id) = text.split_once('/').ok_or_else(wrong)?;
        let version = Version::from_str(version).map_err(|error| error.to_string())?;
        let numbered = id.strip_prefix("MQTT-").is_some_and(|numbers| {
            let parts: Vec<&str> = numbers.split(['.', '-']).collect();
            parts.len() == 4
                && numbers.matches('-').count() == 1
                && parts.iter().all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
        });
        let unnumbered = id.strip_prefix("X-").is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-')
        });
        if !numbered && !unnumbered {
            return Err(wrong());
        }
        Ok(Statement { version, id: id.to_owned() })
    }
}

/// How long each segment takes: `10ms`, `{ min: 5ms, max: 20ms }`, or `{ median: 20ms, p99: 200ms }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency(pub(crate) Delay);

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum To {
    Server,
    Client,
}

impl From<To> for Direction {
    fn from(to: To) -> Self {
        match to {
            To::Server => Direction::ToServer,
            To::Client => Direction::ToClient,
        }
    }
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetainHandlingWord {
    Send,
    SendIfNew,
    DoNotSend,
}

impl From<RetainHandlingWord> for RetainHandling {
    fn from(word: RetainHandlingWord) -> Self {
        match word {
            RetainHandlingWord::Send => RetainHandling::Send,
            RetainHandlingWord::SendIfNew => RetainHandling::SendIfNew,
            RetainHandlingWord::DoNotSend => RetainHandling::DoNotSend,
        }
    }
}

/// `[ { name: value }, … ]`, in order: a name may come twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserProperties(Vec<(Text, Text)>);

impl UserProperties {
    pub(crate) fn properties(&self) -> impl Iterator<Item = Property> + '_ {
        self.0.iter().cloned().map(Property::UserProperty)
    }
}

impl<'de> Deserialize<'de> for UserProperties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<Pairs<TextWord>>::deserialize(deserializer)?;
        let mut pairs = Vec::new();
        for (name, value) in entries.into_iter().flat_map(|entry| entry.0) {
            pairs.push((Text::new(name.value).map_err(de::Error::custom)?, value.0));
        }
        Ok(UserProperties(pairs))
    }
}

/// A mapping in the order of the file, whose keys know their place.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<V>(pub(crate) Vec<(Placed<String>, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Pairs(Vec::new())
    }
}

impl<'de, V: DeserializeOwned> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(std::marker::PhantomData<V>);
        impl<'de, V: DeserializeOwned> Visitor<'de> for InOrder<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names with their values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(InOrder(std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Bounds {
            min: Option<Time>,
            max: Option<Time>,
            median: Option<Time>,
            p99: Option<Time>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Latency;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 10ms, { min: 5ms, max: 20ms }, or { median: 20ms, p99: 200ms }")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Latency, E> {
                let each = time(text).map_err(E::custom)?;
                Ok(Latency(Delay::fixed(each)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Latency, A::Error> {
                let bounds = Bounds::deserialize(de::value::MapAccessDeserializer::new(map))?;
                match bounds {
                    Bounds { min: Some(min), max: Some(max), median: None, p99: None } if min.0 > max.0 => {
                        Err(de::Error::custom("min is longer than max"))
                    }
                    Bounds { min: Some(min), max: Some(max), median: None, p99: None } => {
                        Ok(Latency(Delay::Between { min: min.0, max: max.0 }))
                    }
                    Bounds { min: None, max: None, median: Some(median), p99: Some(p99) } => {
                        check_spread(median.0, p99.0).map_err(de::Error::custom)?;
                        Ok(Latency(Delay::Spread { median: median.0, p99: p99.0 }))
                    }
                    _ => Err(de::Error::custom("a latency has min and max, or median and p99")),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The stage's own root stands before each topic, and both together have to fit into 65,535 bytes.
const LONGEST_TOPIC_BYTES: usize = 65_000;

fn short(topic: &str) -> Result<(), String> {
    if topic.len() > LONGEST_TOPIC_BYTES {
        return Err(format!("{} bytes is longer than a script's topic can be: {LONGEST_TOPIC_BYTES}", topic.len()));
    }
    Ok(())
}

/// No story is longer, and no clock has to count further.
const LONGEST_TIME: Duration = Duration::from_secs(100 * 365 * 86_400);

const UNITS: [(&str, u64); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let wrong =
        || format!("'{text}' is no duration: expected a number with its unit (us, ms, s, min, h, d), such as 2s");
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.ends_with('.') {
        return Err(wrong());
    }
    let mut total = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(*nanos)).ok_or_else(wrong)?;
    let mut place = *nanos;
    for digit in fraction.chars() {
        place /= 10;
        let more = u64::from(digit.to_digit(10).ok_or_else(wrong)?) * place;
        total = total.checked_add(more).ok_or_else(wrong)?;
    }
    if Duration::from_nanos(total) > LONGEST_TIME {
        return Err(format!("'{text}' is longer than a hundred years"));
    }
    Ok(Duration::from_nanos(total))
}

fn seconds(text: &str) -> Result<u32, String> {
    let time = time(text)?;
    if time.subsec_nanos() != 0 {
        return Err(format!("'{text}' is not whole seconds, and the wire carries nothing else here"));
    }
    u32::try_from(time.as_secs()).map_err(|_| format!("'{text}' does not fit into four bytes of seconds"))
}

fn percent(text: &str) -> Result<Percent, String> {
    text.strip_suffix('%')
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|share| (0.0..=100.0).contains(share))
        .map(|share| Percent(share / 100.0))
        .ok_or_else(|| format!("'{text}' is no share: expected a number with %, such as 10%"))
}

/// In bytes and in bits, as lines are sold.
const RATES: [(&str, u64, u64); 6] = [
    ("B/s", 1, 1),
    ("kB/s", 1_000, 1),
    ("MB/s", 1_000_000, 1),
    ("bit/s", 1, 8),
    ("kbit/s", 1_000, 8),
    ("Mbit/s", 1_000_000, 8),
];

fn rate(text: &str) -> Result<Rate, String> {
    if text == "unlimited" {
        return Ok(Rate(0));
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let wrong = || {
        format!(
            "'{text}' is no bandwidth: expected a whole number with its unit (B/s, kB/s, MB/s, bit/s, kbit/s, Mbit/s), such as 64kB/s, or unlimited"
        )
    };
    let (_, times, parts) = RATES.iter().find(|(name, _, _)| *name == unit).ok_or_else(wrong)?;
    let total = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*times)).ok_or_else(wrong)?;
    match total / parts {
        0 => Err(format!("'{text}' is less than a byte in a second, and nothing would ever arrive")),
        rate => Ok(Rate(rate)),
    }
}

fn hex(text: &str) -> Result<Hex, String> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let wrong = || format!("'{text}' is no row of bytes: expected pairs of hexadecimal digits, such as C0 00");
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let value = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(wrong);
    let bytes: Result<Vec<u8>, String> =
        digits.chunks(2).map(|pair| Ok(value(pair[0])? << 4 | value(pair[1])?)).collect();
    bytes.map(|bytes| Hex(Bytes::from(bytes)))
}

/// The name of a reason as a script writes it.
pub(crate) fn reason_word(name: &str) -> String {
    name.to_lowercase().replace([' ', '-'], "_")
}

fn reason(text: &str) -> Result<Reason, String> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u8::from_str_radix(digits, 16)
            .ok()
            .and_then(ReasonCode::from_value)
            .map(Reason)
            .ok_or_else(|| format!("'{text}' is the value of no reason code"));
    }
    if matches!(text, "normal_disconnection" | "granted_qos_0") {
        return Ok(Reason(ReasonCode::Success));
    }
    let names: Vec<(String, ReasonCode)> =
        ReasonCode::ALL.iter().map(|code| (reason_word(code.name()), *code)).collect();
    names
        .iter()
        .find(|(name, _)| name == text)
        .map(|(_, code)| Reason(*code))
        .ok_or_else(|| unknown("reason", text, names.iter().map(|(name, _)| name.as_str())))
}

/// The name of a property as a script writes it.
pub(crate) fn property_word(id: PropertyId) -> String {
    match reason_word(&id.to_string()).trim_end_matches("_interval") {
        "user_property" => "user_properties".to_owned(),
        "subscription_identifier" => "subscription_identifiers".to_owned(),
        word => word.to_owned(),
    }
}

fn property(text: &str) -> Result<PropertyWord, String> {
    let names: Vec<(String, PropertyId)> = PropertyId::ALL.iter().map(|id| (property_word(*id), *id)).collect();
    names
        .iter()
        .find(|(name, _)| name == text)
        .map(|(_, id)| PropertyWord(*id))
        .ok_or_else(|| unknown("property", text, names.iter().map(|(name, _)| name.as_str())))
}

fn packet_id(text: &str) -> Result<PacketIdWord, String> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text
            .parse::<u16>()
            .ok()
            .and_then(PacketId::new)
            .map(PacketIdWord::Number)
            .ok_or_else(|| format!("'{text}' is no packet identifier: expected 1 to 65535, or a name"));
    }
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Err(format!("'{text}' names no packet identifier: use small letters, digits and _"));
    }
    Ok(PacketIdWord::Name(text.to_owned()))
}
