//! How a message is printed: `-F`, as `mosquitto_sub` has it.

use std::{io, io::Write, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use squall_codec::{packet::Publish, property::Properties};

/// A format that was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// The letter behind `%`.
    Field(char),
}

const FIELDS: &str = "CDEFIjJlmpPqrRStUxX";

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let byte = match character {
                '%' => match characters.next() {
                    Some('%') => b'%',
                    Some(field) if FIELDS.contains(field) => {
                        pieces.push(Piece::Bytes(std::mem::take(&mut plain)));
                        pieces.push(Piece::Field(field));
                        continue;
                    }
                    Some(other) => return Err(format!("no field '%{other}': expected one of {FIELDS}, or %%")),
                    None => return Err("a '%' at the end: a percent sign is '%%'".to_owned()),
                },
                '\\' => match characters.next() {
                    Some('\\') => b'\\',
                    Some('n') => b'\n',
                    Some('r') => b'\r',
                    Some('t') => b'\t',
                    Some('a') => 7,
                    Some('e') => 27,
                    Some('0') => 0,
                    Some(other) => {
                        return Err(format!("no escape '\\{other}': expected one of \\n \\r \\t \\a \\e \\0 \\\\"));
                    }
                    None => return Err("a '\\' at the end: a backslash is '\\\\'".to_owned()),
                },
                other => {
                    let mut buffer = [0; 4];
                    plain.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
                    continue;
                }
            };
            plain.push(byte);
        }
        pieces.push(Piece::Bytes(plain));
        Ok(Format(pieces))
    }
}

impl Format {
    /// Prints a message that came at this time since 1970.
    pub(crate) fn print(&self, message: &Publish, at: Duration, out: &mut impl Write) -> io::Result<()> {
        let properties = message.forwarded_properties();
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.write_all(bytes)?,
                Piece::Field(field) => self.field(*field, message, &properties, at, out)?,
            }
        }
        Ok(())
    }

    fn field(
        &self,
        field: char,
        message: &Publish,
        properties: &Properties,
        at: Duration,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let optional = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        match field {
            't' => write!(out, "{}", message.topic()),
            'p' => out.write_all(message.payload()),
            'x' => message.payload().iter().try_for_each(|byte| write!(out, "{byte:02x}")),
            'X' => message.payload().iter().try_for_each(|byte| write!(out, "{byte:02X}")),
            'l' => write!(out, "{}", message.payload().len()),
            'q' => write!(out, "{}", message.qos.bits()),
            'r' => write!(out, "{}", u8::from(message.retain)),
            'm' => write!(out, "{}", message.packet_id.map_or(0, |packet_id| packet_id.value())),
            'j' => write!(out, "{}", json(message, properties, at, text(message.payload()))),
            'J' => {
                let payload = serde_json::from_slice(message.payload()).unwrap_or_else(|_| text(message.payload()));
                write!(out, "{}", json(message, properties, at, payload))
            }
            'U' => write!(out, "{}.{:09}", at.as_secs(), at.subsec_nanos()),
            'I' => write!(out, "{}", date_and_time(at)),
            'C' => out.write_all(properties.content_type().map_or(&b""[..], |text| text.as_bytes())),
            'R' => out.write_all(properties.response_topic().map_or(&b""[..], |text| text.as_bytes())),
            'D' => out.write_all(properties.correlation_data().map_or(&b""[..], |data| &data[..])),
            'E' => write!(out, "{}", optional(message.message_expiry_interval)),
            'F' => write!(out, "{}", optional(properties.payload_format_indicator().map(u32::from))),
            'P' => {
                let pairs: Vec<_> =
                    properties.user_properties().map(|(name, value)| format!("{name}:{value}")).collect();
                write!(out, "{}", pairs.join(" "))
            }
            _ => {
                let ids: Vec<_> = message.subscription_identifiers.iter().map(ToString::to_string).collect();
                write!(out, "{}", ids.join(" "))
            }
        }
    }
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn json(message: &Publish, properties: &Properties, at: Duration, payload: Value) -> Value {
    let mut object = Map::new();
    object.insert("tst".to_owned(), date_and_time(at).into());
    object.insert("topic".to_owned(), message.topic().into());
    object.insert("qos".to_owned(), message.qos.bits().into());
    object.insert("retain".to_owned(), u8::from(message.retain).into());
    object.insert("payloadlen".to_owned(), message.payload().len().into());
    if let Some(packet_id) = message.packet_id {
        object.insert("mid".to_owned(), packet_id.value().into());
    }
    let said = said(message, properties);
    if !said.is_empty() {
        object.insert("properties".to_owned(), said.into());
    }
    object.insert("payload".to_owned(), payload);
    // What is no text cannot stand in JSON as it is.
    if std::str::from_utf8(message.payload()).is_err() {
        object.insert("payload_base64".to_owned(), STANDARD.encode(message.payload()).into());
    }
    object.into()
}

fn said(message: &Publish, properties: &Properties) -> Map<String, Value> {
    let mut said = Map::new();
    let mut put = |name: &str, value: Value| drop(said.insert(name.to_owned(), value));
    if let Some(format) = properties.payload_format_indicator() {
        put("payload-format-indicator", format.into());
    }
    if let Some(seconds) = message.message_expiry_interval {
        put("message-expiry-interval", seconds.into());
    }
    if let Some(kind) = properties.content_type() {
        put("content-type", kind.as_str().into());
    }
    if let Some(topic) = properties.response_topic() {
        put("response-topic", topic.as_str().into());
    }
    if let Some(data) = properties.correlation_data() {
        put("correlation-data", text(data));
    }
    if !message.subscription_identifiers.is_empty() {
        put("subscription-identifiers", message.subscription_identifiers.clone().into());
    }
    let pairs: Vec<_> =
        properties.user_properties().map(|(name, value)| json!({ name.as_str(): value.as_str() })).collect();
    if !pairs.is_empty() {
        put("user-properties", pairs.into());
    }
    said
}

/// `2026-11-21T15:52:03.123456Z`, from the time since 1970.
fn date_and_time(at: Duration) -> String {
    let seconds = at.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", at.subsec_micros())
}

/// Year, month and day of a day since 1970, by the rules of the Gregorian calendar. Years are counted from March, so
/// that the leap day ends one.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use squall_codec::{
        property::Property,
        qos::Qos,
        topic::TopicName,
        wire::{PacketId, Text},
    };

    use super::*;

    const AT: Duration = Duration::new(1_795_276_323, 123_456_789);

    fn printed(format: &str, message: &Publish) -> String {
        let mut out = Vec::new();
        format.parse::<Format>().expect("a format").print(message, AT, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    fn message() -> Publish {
        let properties = Properties::new()
            .with(Property::ContentType(Text::literal("text/plain")))
            .with(Property::UserProperty((Text::literal("a"), Text::literal("b"))));
        let message = Publish::new(&TopicName::literal("a/b"), "{\"x\":1}").with_properties(&properties);
        message.at(Qos::AtLeastOnce, PacketId::new(7))
    }

    #[test]
    fn fields_are_filled_in() {
        let line = printed("%t|%p|%q|%r|%m|%l|%x|%C|%P|%S|%E|%U|%%|\\t\\n", &message());
        let expected = "a/b|{\"x\":1}|1|0|7|7|7b2278223a317d|text/plain|a:b|||1795276323.123456789|%|\t\n";
        assert_eq!(line, expected);
    }

    #[test]
    fn json_has_everything_and_takes_the_payload_as_text_or_as_json() {
        let head = "{\"tst\":\"2026-11-21T15:52:03.123456Z\",\"topic\":\"a/b\",\"qos\":1,\"retain\":0,\"payloadlen\":7,\
                    \"mid\":7,\"properties\":{\"content-type\":\"text/plain\",\"user-properties\":[{\"a\":\"b\"}]},";
        assert_eq!(printed("%j", &message()), format!("{head}\"payload\":\"{{\\\"x\\\":1}}\"}}"));
        assert_eq!(printed("%J", &message()), format!("{head}\"payload\":{{\"x\":1}}}}"));
        let binary = Publish::new(&TopicName::literal("t"), [0xFF, 0x00]);
        assert!(printed("%j", &binary).ends_with(",\"payload_base64\":\"/wA=\"}"));
    }

    #[test]
    fn dates_follow_the_calendar() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(day), expected, "day {day}");
        }
    }

    #[test]
    fn what_is_no_format_is_refused_by_name() {
        for (format, named) in [("%y", "'%y'"), ("%", "end"), ("\\q", "'\\q'"), ("\\", "end")] {
            let error = format.parse::<Format>().expect_err("no format");
            assert!(error.contains(named), "{error}");
        }
    }
}
