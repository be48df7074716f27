//! How a message is printed: `-F`, as `mosquitto_sub` has it. What stands for something begins with `%` (the message), `@` (the
//! time) or `\` (a character that is hard to type).

use std::{borrow::Cow, io, io::Write, str::FromStr};

use jiff::{Zoned, fmt::strtime};
use squall_codec::{packet::Publish, property::Properties};

use super::json::{date_and_time, json, text};

/// A format that was read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Field(Field),
    /// In the words of strftime.
    Time(String),
    /// Nanoseconds of the second.
    Nanoseconds,
}

/// What stands behind `%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    letter: char,
    /// `-`: what is too short stands on the left.
    left: bool,
    /// `0`: a number that is too short is filled up with zeros.
    zeros: bool,
    width: usize,
    most: Option<usize>,
}

/// The letters behind `%`, and whether they are numbers.
const FIELDS: &[(char, &str, bool)] = &[
    ('t', "topic", false),
    ('p', "payload", false),
    ('x', "payload in hexadecimal", true),
    ('X', "payload in hexadecimal, large", true),
    ('l', "length of the payload", true),
    ('q', "QoS", true),
    ('r', "retain", true),
    ('m', "packet identifier", true),
    ('j', "JSON", false),
    ('J', "JSON with the payload as JSON", false),
    ('U', "seconds since 1970", false),
    ('I', "date and time", false),
    ('A', "topic alias", true),
    ('C', "content type", false),
    ('D', "correlation data", false),
    ('E', "message expiry interval", true),
    ('F', "payload format indicator", true),
    ('P', "user properties", false),
    ('R', "response topic", false),
    ('S', "subscription identifiers", true),
];
/// The letters behind `@`, as strftime has them in the C locale.
const TIMES: &str = "aAbBcCdDeFgGhHIjklmMnNpPrRsStTuUVwWxXyYzZ";
/// The letters behind `\`, and what they stand for.
const ESCAPES: &[(char, u8)] =
    &[('\\', b'\\'), ('n', b'\n'), ('r', b'\r'), ('t', b'\t'), ('a', 7), ('e', 27), ('0', 0)];
/// No field is made wider.
const WIDEST: usize = 10_000;

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let piece = match character {
                '%' => field(&mut rest)?,
                '@' => time(&mut rest)?,
                '\\' => Piece::Bytes(vec![escape(&mut rest)?]),
                other => Piece::Bytes(other.to_string().into_bytes()),
            };
            match piece {
                Piece::Bytes(bytes) => plain.extend(bytes),
                piece => {
                    pieces.push(Piece::Bytes(std::mem::take(&mut plain)));
                    pieces.push(piece);
                }
            }
        }
        pieces.push(Piece::Bytes(plain));
        pieces.retain(|piece| !matches!(piece, Piece::Bytes(bytes) if bytes.is_empty()));
        Ok(Format(pieces))
    }
}

fn field(rest: &mut std::str::Chars<'_>) -> Result<Piece, String> {
    let whole = rest.as_str();
    let flags = take_while(rest, |character| "-0".contains(character));
    let width = number(take_while(rest, |character| character.is_ascii_digit()))?;
    let most = match rest.as_str().starts_with('.') {
        true => {
            rest.next();
            Some(number(take_while(rest, |character| character.is_ascii_digit()))?)
        }
        false => None,
    };
    let Some(letter) = rest.next() else {
        return Err("a '%' without a letter at the end: a percent sign is '%%'".to_owned());
    };
    let said = &whole[..whole.len() - rest.as_str().len()];
    if said == "%" {
        return Ok(Piece::Bytes(b"%".to_vec()));
    }
    let Some((_, _, is_number)) = FIELDS.iter().find(|(known, _, _)| *known == letter) else {
        return Err(unknown(letter));
    };
    if most.is_some() && *is_number {
        return Err(format!("'%{said}': %{letter} has no greatest width, as a number is not cut"));
    }
    Ok(Piece::Field(Field { letter, left: flags.contains('-'), zeros: *is_number && flags.contains('0'), width, most }))
}

/// Takes what the characters at the front have in common.
fn take_while<'a>(rest: &mut std::str::Chars<'a>, wanted: impl Fn(char) -> bool) -> &'a str {
    let text = rest.as_str();
    let end = text.find(|character| !wanted(character)).unwrap_or(text.len());
    *rest = text[end..].chars();
    &text[..end]
}

fn number(digits: &str) -> Result<usize, String> {
    let number = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
    number.filter(|number| *number <= WIDEST).ok_or_else(|| format!("a width of {digits}: the widest is {WIDEST}"))
}

/// Names what comes nearest to a letter that stands for nothing.
fn unknown(letter: char) -> String {
    let swapped = if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    let known = |wanted: char| FIELDS.iter().find(|(letter, _, _)| *letter == wanted);
    if ESCAPES.iter().any(|(escape, _)| *escape == letter) {
        return format!("no field '%{letter}': did you mean '\\{letter}'?");
    }
    if let Some((near, name, _)) = known(swapped) {
        return format!("no field '%{letter}': did you mean '%{near}', {name}?");
    }
    if TIMES.contains(letter) {
        return format!("no field '%{letter}': did you mean '@{letter}', a part of the time?");
    }
    let all: String = FIELDS.iter().map(|(letter, _, _)| *letter).collect();
    format!("no field '%{letter}': expected one of {all}, or %%")
}

fn time(rest: &mut std::str::Chars<'_>) -> Result<Piece, String> {
    match rest.next() {
        Some('@') => Ok(Piece::Bytes(b"@".to_vec())),
        Some('N') => Ok(Piece::Nanoseconds),
        Some('n') => Ok(Piece::Bytes(b"\n".to_vec())),
        Some('t') => Ok(Piece::Bytes(b"\t".to_vec())),
        // As in the C locale, which has no words of its own for these.
        Some('c') => Ok(Piece::Time("%a %b %e %H:%M:%S %Y".to_owned())),
        Some('x') => Ok(Piece::Time("%m/%d/%y".to_owned())),
        Some('X') => Ok(Piece::Time("%H:%M:%S".to_owned())),
        Some('r') => Ok(Piece::Time("%I:%M:%S %p".to_owned())),
        Some(letter) if TIMES.contains(letter) => Ok(Piece::Time(format!("%{letter}"))),
        Some(other) => Err(format!("no time '@{other}': expected one of {TIMES}, or @@")),
        None => Err("an '@' at the end: it is written '@@'".to_owned()),
    }
}

fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    let Some(letter) = rest.next() else { return Err("a '\\' at the end: a backslash is '\\\\'".to_owned()) };
    let known = ESCAPES.iter().find(|(known, _)| *known == letter);
    known.map(|(_, byte)| *byte).ok_or_else(|| {
        let all: Vec<_> = ESCAPES.iter().map(|(letter, _)| format!("\\{letter}")).collect();
        format!("no escape '\\{letter}': expected one of {}", all.join(" "))
    })
}

impl Format {
    /// Prints a message that came at this time.
    pub(crate) fn print(&self, message: &Publish, at: &Zoned, out: &mut impl Write) -> io::Result<()> {
        let properties = message.forwarded_properties();
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.write_all(bytes)?,
                Piece::Field(field) => field.print(&value(field.letter, message, &properties, at), out)?,
                Piece::Time(words) => write!(out, "{}", strtime::format(words, at).map_err(io::Error::other)?)?,
                Piece::Nanoseconds => write!(out, "{:09}", at.subsec_nanosecond())?,
            }
        }
        Ok(())
    }
}

impl Field {
    /// In its width: of characters where it is text, else of bytes.
    fn print(&self, value: &[u8], out: &mut impl Write) -> io::Result<()> {
        let (value, length) = match std::str::from_utf8(value) {
            Ok(text) => {
                let end = self.most.and_then(|most| text.char_indices().nth(most)).map_or(text.len(), |(end, _)| end);
                (&value[..end], text[..end].chars().count())
            }
            Err(_) => {
                let end = value.len().min(self.most.unwrap_or(usize::MAX));
                (&value[..end], end)
            }
        };
        let missing = self.width.saturating_sub(length);
        // What is not there is not zero.
        let filler = if self.zeros && !self.left && !value.is_empty() { b"0" } else { b" " };
        if self.left {
            out.write_all(value)?;
        }
        (0..missing).try_for_each(|_| out.write_all(filler))?;
        if !self.left {
            out.write_all(value)?;
        }
        Ok(())
    }
}

/// What a letter stands for; empty where the message does not say.
fn value<'a>(letter: char, message: &'a Publish, properties: &Properties, at: &Zoned) -> Cow<'a, [u8]> {
    let text_of = |text: Option<&str>| Cow::Owned(text.unwrap_or_default().as_bytes().to_vec());
    let shown = |value: String| Cow::Owned(value.into_bytes());
    let number = |number: Option<u32>| shown(number.map(|number| number.to_string()).unwrap_or_default());
    let hexadecimal = |digits: fn(&u8) -> String| shown(message.payload().iter().map(digits).collect());
    match letter {
        't' => Cow::Borrowed(message.topic().as_bytes()),
        'p' => Cow::Borrowed(message.payload()),
        'x' => hexadecimal(|byte| format!("{byte:02x}")),
        'X' => hexadecimal(|byte| format!("{byte:02X}")),
        'l' => shown(message.payload().len().to_string()),
        'q' => shown(message.qos.bits().to_string()),
        'r' => shown(u8::from(message.retain).to_string()),
        'm' => number(Some(message.packet_id.map_or(0, |packet_id| packet_id.value().into()))),
        'j' => shown(json(message, properties, at, text(message.payload())).to_string()),
        'J' => {
            let payload = serde_json::from_slice(message.payload()).unwrap_or_else(|_| text(message.payload()));
            shown(json(message, properties, at, payload).to_string())
        }
        'U' => {
            let since = at.timestamp();
            shown(format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()))
        }
        'I' => shown(date_and_time(at, "")),
        // The client has put the topic in its place.
        'A' => number(message.topic_alias.map(u32::from)),
        'C' => text_of(properties.content_type().map(|text| text.as_str())),
        'R' => text_of(properties.response_topic().map(|text| text.as_str())),
        'D' => Cow::Owned(properties.correlation_data().map(|data| data.to_vec()).unwrap_or_default()),
        'E' => number(message.message_expiry_interval),
        'F' => number(properties.payload_format_indicator().map(u32::from)),
        'P' => {
            let pairs: Vec<_> = properties.user_properties().map(|(name, value)| format!("{name}:{value}")).collect();
            shown(pairs.join(" "))
        }
        _ => {
            let ids: Vec<_> = message.subscription_identifiers.iter().map(ToString::to_string).collect();
            shown(ids.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, tz::TimeZone};
    use squall_codec::{
        property::Property,
        qos::Qos,
        topic::TopicName,
        wire::{PacketId, Text},
    };

    use super::*;

    /// An hour east of Greenwich.
    fn at() -> Zoned {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        Timestamp::new(1_795_276_323, 123_456_789).expect("a time").to_zoned(zone)
    }

    fn printed(format: &str, message: &Publish) -> String {
        let mut out = Vec::new();
        let format = format.parse::<Format>().unwrap_or_else(|error| panic!("{format}: {error}"));
        format.print(message, &at(), &mut out).expect("memory takes everything");
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
        let line = printed("%t|%p|%q|%r|%m|%l|%x|%C|%P|%S|%E|%A|%U|%%|\\t\\n@@", &message());
        let expected = "a/b|{\"x\":1}|1|0|7|7|7b2278223a317d|text/plain|a:b||||1795276323.123456789|%|\t\n@";
        assert_eq!(line, expected);
    }

    #[test]
    fn fields_have_widths_and_flags() {
        for (format, expected) in [
            ("%6t|", "   a/b|"),
            ("%-6t|", "a/b   |"),
            ("%06t|", "   a/b|"),
            ("%.2t|", "a/|"),
            ("%5.2t|", "   a/|"),
            ("%-5.2t|", "a/   |"),
            ("%5m|", "    7|"),
            ("%05m|", "00007|"),
            ("%-05m|", "7    |"),
            ("%5E|", "     |"),
            ("%05E|", "     |"),
            ("%2t|", "a/b|"),
            ("%9p|", "  {\"x\":1}|"),
            ("%016x|", "007b2278223a317d|"),
            ("%.4p|", "{\"x\"|"),
        ] {
            assert_eq!(printed(format, &message()), expected, "{format}");
        }
        let wide = Publish::new(&TopicName::literal("täß"), "");
        assert_eq!(printed("%5t|%.2t", &wide), "  täß|tä", "characters, not bytes");
    }

    #[test]
    fn the_time_is_said_in_the_words_of_strftime() {
        for (format, expected) in [
            ("@Y-@m-@d", "2026-11-21"),
            ("@H:@M:@S", "16:52:03"),
            ("@N", "123456789"),
            ("@z", "+0100"),
            ("@a @A @b @B @j @y", "Sat Saturday Nov November 325 26"),
            ("@c", "Sat Nov 21 16:52:03 2026"),
            ("@x @X", "11/21/26 16:52:03"),
            ("@s", "1795276323"),
            ("%I", "2026-11-21T16:52:03+0100"),
            ("%12.10I|", "  2026-11-21|"),
        ] {
            assert_eq!(printed(format, &message()), expected, "{format}");
        }
        for letter in TIMES.chars() {
            assert!(!printed(&format!("@{letter}"), &message()).is_empty(), "@{letter}");
        }
    }

    #[test]
    fn json_has_everything_and_takes_the_payload_as_text_or_as_json() {
        let head = "{\"tst\":\"2026-11-21T16:52:03.123456+0100\",\"topic\":\"a/b\",\"qos\":1,\"retain\":0,\"payloadlen\":7,\
                    \"mid\":7,\"properties\":{\"content-type\":\"text/plain\",\"user-properties\":[{\"a\":\"b\"}]},";
        assert_eq!(printed("%j", &message()), format!("{head}\"payload\":\"{{\\\"x\\\":1}}\"}}"));
        assert_eq!(printed("%J", &message()), format!("{head}\"payload\":{{\"x\":1}}}}"));
        let binary = Publish::new(&TopicName::literal("t"), [0xFF, 0x00]);
        assert!(printed("%j", &binary).ends_with(",\"payload_base64\":\"/wA=\"}"));
    }

    #[test]
    fn what_is_no_format_is_refused_and_the_nearest_is_named() {
        for (format, named) in [
            ("%T", "did you mean '%t', topic?"),
            ("%5Q", "no field '%Q': did you mean '%q', QoS?"),
            ("%n", "did you mean '\\n'?"),
            ("%Y", "did you mean '@Y'"),
            ("%v", "expected one of tpxXlqrm"),
            ("%", "at the end"),
            ("%-5", "at the end"),
            ("%5%", "'%%'"),
            ("%.3m", "%m has no greatest width"),
            ("%10001t", "a width of 10001"),
            ("%99999999999999999999t", "the widest is 10000"),
            ("\\q", "'\\q'"),
            ("\\", "at the end"),
            ("@", "at the end"),
            ("@E", "no time '@E'"),
        ] {
            let error = format.parse::<Format>().expect_err(format);
            assert!(error.contains(named), "{format}: {error}");
        }
    }
}
