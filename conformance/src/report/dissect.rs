//! The frames that a verdict is about, and which of their fields decided.

use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::dissect::{Field, REST, TYPE_AND_FLAGS, fields};

use super::model::{Direction, Line, TestEntry};

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
pub fn decisive(fields: &[Field], words: &str) -> usize {
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
