//! A frame taken apart into its fields, as far as its bytes go: for showing where in it something is wrong.

use std::ops::Range;

use squall_codec::{packet::Packet, reason::Side, version::Version};

use super::model::{Direction, Line, TestEntry};

/// A field and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// As in the standard.
    pub name: &'static str,
    /// Bytes of the frame.
    pub range: Range<usize>,
}

/// A frame with the field that decided.
#[derive(Clone, Debug)]
pub struct Exhibit<'a> {
    /// The line of the transcript.
    pub line: &'a Line,
    /// Why it is shown.
    pub role: &'static str,
    /// As many bytes as the report kept.
    pub bytes: Vec<u8>,
    /// In order, without gaps.
    pub fields: Vec<Field>,
    /// Which of them.
    pub marked: usize,
}

/// What a test that did not pass is about: what the subject sent, or what it should have refused.
pub fn exhibits(test: &TestEntry) -> Vec<Exhibit<'_>> {
    let Ok(version) = test.version.parse::<Version>() else { return Vec::new() };
    let reason = test.reason.as_deref().unwrap_or_default();
    let mut shown = Vec::new();
    for position in &test.evidence {
        let Some(line) = test.transcript.get(*position) else { continue };
        let answers_ping = line.direction == Direction::Received && line.summary.starts_with("PINGRESP");
        if answers_ping || line.direction != Direction::Received {
            // The subject went on as if nothing had been wrong: what was wrong is the frame before.
            let before = test.transcript[..=*position].iter().rev().find(|before| {
                let same = before.actor == line.actor && before.connection == line.connection;
                same && before.direction == Direction::Sent && !before.summary.starts_with("PINGREQ")
            });
            shown.extend(before.and_then(|before| exhibit(before, version, reason, "sent to it")));
        }
        if line.direction == Direction::Received && !answers_ping {
            shown.extend(exhibit(line, version, reason, "what came"));
        }
    }
    shown
}

fn exhibit<'a>(line: &'a Line, version: Version, reason: &str, role: &'static str) -> Option<Exhibit<'a>> {
    let bytes = unhex(line.hex.as_deref()?);
    let fields = fields(&bytes, version);
    let side = if line.direction == Direction::Sent { Side::Client } else { Side::Server };
    // What the codec says of a malformed frame is nearer to the byte than the words of the test.
    let whole = line.bytes == Some(bytes.len());
    let error = Packet::decode(version, side, bytes.clone().into()).err().filter(|_| whole);
    let words = error.map_or_else(|| reason.to_owned(), |error| error.to_string());
    let marked = decisive(&fields, &words);
    Some(Exhibit { line, role, bytes, fields, marked })
}

/// The bytes of a line.
pub fn unhex(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Words by which a reason names a field whose name it does not say.
const ALIASES: [(&str, &str); 18] = [
    ("after its last field", REST),
    ("retain", TYPE_AND_FLAGS),
    ("dup", TYPE_AND_FLAGS),
    ("qos", TYPE_AND_FLAGS),
    ("has the flags", TYPE_AND_FLAGS),
    ("session present", "Connect Acknowledge Flags"),
    ("protocol version", "Protocol Version"),
    ("connect flag", "Connect Flags"),
    ("packet identifier", "Packet Identifier"),
    ("identifier of the message", "Packet Identifier"),
    ("option", "Subscription Options"),
    ("filter", "Topic Filter"),
    ("topic", "Topic Name"),
    ("packet of", "Remaining Length"),
    ("property", "Property Length"),
    ("reason", "Reason Code"),
    ("0x", "Reason Code"),
    ("payload", "Payload"),
];

/// The field that these words are about; the first byte where they name none.
fn decisive(fields: &[Field], words: &str) -> usize {
    let words = words.to_lowercase();
    let named = |field: &Field| words.contains(&field.name.to_lowercase());
    let alias = || {
        ALIASES
            .iter()
            .filter(|(word, _)| words.contains(word))
            .find_map(|(_, name)| fields.iter().position(|field| field.name == *name))
    };
    // The longest name first: "Subscription Identifier" and not "Subscription".
    let mut found: Vec<_> = (0..fields.len()).filter(|index| named(&fields[*index])).collect();
    found.sort_by_key(|index| std::cmp::Reverse(fields[*index].name.len()));
    found.first().copied().or_else(alias).unwrap_or(0)
}

const TYPE_AND_FLAGS: &str = "Packet type and flags";
const REST: &str = "Rest";

/// Takes a frame apart. What cannot be read is the last field.
pub fn fields(frame: &[u8], version: Version) -> Vec<Field> {
    let mut cursor = Cursor { frame, at: 0, fields: Vec::new(), five: version == Version::V5_0 };
    // None only says that the bytes ended before the packet did.
    let _ = cursor.packet();
    if cursor.at < frame.len() {
        cursor.fields.push(Field { name: REST, range: cursor.at..frame.len() });
    }
    cursor.fields
}

struct Cursor<'a> {
    frame: &'a [u8],
    at: usize,
    fields: Vec<Field>,
    five: bool,
}

impl Cursor<'_> {
    fn take(&mut self, name: &'static str, length: usize) -> Option<()> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.frame.len())?;
        if length > 0 {
            self.fields.push(Field { name, range: self.at..end });
        }
        self.at = end;
        Some(())
    }

    fn left(&self) -> usize {
        self.frame.len() - self.at
    }

    /// A Variable Byte Integer: its value.
    fn variable(&mut self, name: &'static str) -> Option<usize> {
        let (length, value) = variable(&self.frame[self.at..])?;
        self.take(name, length)?;
        Some(value)
    }

    /// A string or binary data behind two bytes of length.
    fn prefixed(&mut self, name: &'static str) -> Option<()> {
        let length = self.frame.get(self.at..self.at + 2)?;
        self.take(name, 2 + usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    fn rest(&mut self, name: &'static str) -> Option<()> {
        self.take(name, self.left())
    }

    fn properties(&mut self) -> Option<()> {
        if !self.five {
            return Some(());
        }
        let length = self.variable("Property Length")?;
        let end = self.at + length;
        while self.at < end {
            let (name, length) = property(&self.frame[self.at..])?;
            self.take(name, length)?;
        }
        Some(())
    }

    fn packet(&mut self) -> Option<()> {
        let first = *self.frame.first()?;
        self.take(TYPE_AND_FLAGS, 1)?;
        self.variable("Remaining Length")?;
        match first >> 4 {
            1 => self.connect(),
            2 => {
                self.take("Connect Acknowledge Flags", 1)?;
                self.take("Reason Code", 1)?;
                self.properties()
            }
            3 => {
                self.prefixed("Topic Name")?;
                if first & 0b0110 != 0 {
                    self.take("Packet Identifier", 2)?;
                }
                self.properties()?;
                self.rest("Payload")
            }
            4..=7 => {
                self.take("Packet Identifier", 2)?;
                self.reason_and_properties()
            }
            8 => {
                self.take("Packet Identifier", 2)?;
                self.properties()?;
                while self.left() > 0 {
                    self.prefixed("Topic Filter")?;
                    self.take("Subscription Options", 1)?;
                }
                Some(())
            }
            9 | 11 => {
                self.take("Packet Identifier", 2)?;
                self.properties()?;
                self.rest("Reason Code")
            }
            10 => {
                self.take("Packet Identifier", 2)?;
                self.properties()?;
                while self.left() > 0 {
                    self.prefixed("Topic Filter")?;
                }
                Some(())
            }
            14 | 15 => self.reason_and_properties(),
            _ => None,
        }
    }

    fn reason_and_properties(&mut self) -> Option<()> {
        if self.left() == 0 {
            return Some(());
        }
        self.take("Reason Code", 1)?;
        if self.left() > 0 { self.properties() } else { Some(()) }
    }

    fn connect(&mut self) -> Option<()> {
        self.prefixed("Protocol Name")?;
        self.five = *self.frame.get(self.at)? == 5;
        self.take("Protocol Version", 1)?;
        let flags = *self.frame.get(self.at)?;
        self.take("Connect Flags", 1)?;
        self.take("Keep Alive", 2)?;
        self.properties()?;
        self.prefixed("Client Identifier")?;
        if flags & 0b0100 != 0 {
            self.properties()?;
            self.prefixed("Will Topic")?;
            self.prefixed("Will Payload")?;
        }
        if flags & 0b1000_0000 != 0 {
            self.prefixed("User Name")?;
        }
        if flags & 0b0100_0000 != 0 {
            self.prefixed("Password")?;
        }
        Some(())
    }
}

/// How many bytes a Variable Byte Integer takes, and its value.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 1, value));
        }
    }
    None
}

/// The property that begins here: its name and its length with the identifier.
fn property(bytes: &[u8]) -> Option<(&'static str, usize)> {
    let string = |at: usize| {
        let length = bytes.get(at..at + 2)?;
        Some(2 + usize::from(u16::from_be_bytes([length[0], length[1]])))
    };
    let (name, length) = match bytes.first()? {
        0x01 => ("Payload Format Indicator", 1),
        0x02 => ("Message Expiry Interval", 4),
        0x03 => ("Content Type", string(1)?),
        0x08 => ("Response Topic", string(1)?),
        0x09 => ("Correlation Data", string(1)?),
        0x0B => ("Subscription Identifier", variable(&bytes[1..])?.0),
        0x11 => ("Session Expiry Interval", 4),
        0x12 => ("Assigned Client Identifier", string(1)?),
        0x13 => ("Server Keep Alive", 2),
        0x15 => ("Authentication Method", string(1)?),
        0x16 => ("Authentication Data", string(1)?),
        0x17 => ("Request Problem Information", 1),
        0x18 => ("Will Delay Interval", 4),
        0x19 => ("Request Response Information", 1),
        0x1A => ("Response Information", string(1)?),
        0x1C => ("Server Reference", string(1)?),
        0x1F => ("Reason String", string(1)?),
        0x21 => ("Receive Maximum", 2),
        0x22 => ("Topic Alias Maximum", 2),
        0x23 => ("Topic Alias", 2),
        0x24 => ("Maximum QoS", 1),
        0x25 => ("Retain Available", 1),
        0x26 => {
            let name = string(1)?;
            ("User Property", name + string(1 + name)?)
        }
        0x27 => ("Maximum Packet Size", 4),
        0x28 => ("Wildcard Subscription Available", 1),
        0x29 => ("Subscription Identifier Available", 1),
        0x2A => ("Shared Subscription Available", 1),
        _ => return None,
    };
    Some((name, 1 + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_apart(frame: &[u8], version: Version) -> Vec<(&'static str, Range<usize>)> {
        fields(frame, version).into_iter().map(|field| (field.name, field.range)).collect()
    }

    #[test]
    fn a_publish_is_taken_apart() {
        let frame = b"\x32\x0a\x00\x01t\x00\x07\x02\x01\x01hi";
        assert_eq!(
            taken_apart(frame, Version::V5_0),
            [
                (TYPE_AND_FLAGS, 0..1),
                ("Remaining Length", 1..2),
                ("Topic Name", 2..5),
                ("Packet Identifier", 5..7),
                ("Property Length", 7..8),
                ("Payload Format Indicator", 8..10),
                ("Payload", 10..12),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_the_rest_and_no_byte_is_lost() {
        let frames: [&[u8]; 6] = [
            b"",
            b"\x30",
            b"\x10\x04\x00\x09MQ",
            b"\xff\xff\xff\xff\xff",
            b"\x82\x03\x00\x01\x00",
            b"\x20\x03\x00\x00\x7f",
        ];
        for frame in frames {
            for version in [Version::V3_1_1, Version::V5_0] {
                let fields = fields(frame, version);
                let mut at = 0;
                for field in &fields {
                    assert_eq!(field.range.start, at, "{frame:?}: {fields:?}");
                    at = field.range.end;
                }
                assert_eq!(at, frame.len(), "{frame:?}: {fields:?}");
            }
        }
    }

    #[test]
    fn the_words_of_a_reason_find_the_field() {
        let fields = fields(b"\x33\x08\x00\x01t\x00\x07\x00hi", Version::V5_0);
        let named = |words: &str| fields[decisive(&fields, words)].name;
        assert_eq!(named("the copy has RETAIN"), TYPE_AND_FLAGS);
        assert_eq!(named("expected the payload 'a'"), "Payload");
        assert_eq!(named("the Packet Identifier is in use"), "Packet Identifier");
        assert_eq!(named("no idea"), TYPE_AND_FLAGS);
        let longer = super::fields(b"\xc0\x01\x00", Version::V5_0);
        assert_eq!(longer[decisive(&longer, "PINGREQ has 1 bytes after its last field")].range, 2..3);
    }
}
