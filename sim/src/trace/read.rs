//! A trace from its text. What is damaged, cut short, changed, or no trace at all is an error with its line.

use std::{fmt, fs, path::Path};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value as Json;

use super::model::{Broken, Cause, End, FORMAT, FORMAT_VERSION, HASH, Happening, Header, Line, Trace};

/// So many characters of a line are shown.
const SHOWN: usize = 90;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TraceError {
    /// The file's name as it was given.
    pub file: String,
    /// From 1; `None` if the file could not be read at all.
    pub line: Option<usize>,
    /// One sentence.
    pub message: String,
    excerpt: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(line) = self.line else { return write!(f, "{}: {}", self.file, self.message) };
        write!(f, "{}:{line}: {}", self.file, self.message)?;
        if self.excerpt.is_empty() {
            return Ok(());
        }
        let gap = " ".repeat(line.to_string().len());
        write!(f, "\n{gap} |\n{line} | {}\n{gap} |", self.excerpt)
    }
}

/// Whether a text looks as if it were meant to be a trace: a script begins with a word, a trace with a brace.
pub fn looks_like_one(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Reads a trace from a file.
///
/// # Errors
/// See [`parse`].
pub fn load(path: &Path) -> Result<Trace, TraceError> {
    let file = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| unreadable(&file, &format!("failed to read the trace: {error}")))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(&file, &text),
        Err(_) => Err(unreadable(&file, "this is no trace of Squall: it is no text")),
    }
}

fn unreadable(file: &str, message: &str) -> TraceError {
    TraceError { file: file.to_owned(), line: None, message: message.to_owned(), excerpt: String::new() }
}

/// Reads a trace from its text; `file` is what errors call it.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(file: &str, text: &str) -> Result<Trace, TraceError> {
    let mut reader = Reader { file, lines: text.lines().enumerate(), at: (0, "") };
    let header = reader.header()?;
    let mut lines: Vec<Line> = Vec::with_capacity(header.entries.min(1 << 20));
    let mut breaches: Vec<Broken> = Vec::new();
    while let Some(json) = reader.next()? {
        if json.get("end").is_some() {
            let end = reader.read::<Last>(json)?.end;
            if lines.len() != header.entries {
                let (found, wanted) = (lines.len(), header.entries);
                return Err(reader.error(format!("the header speaks of {wanted} entries, and there are {found}")));
            }
            if reader.next()?.is_some() {
                return Err(reader.error("nothing may follow the line with \"end\""));
            }
            let trace = Trace { header, lines, breaches, end };
            return check_digest(file, trace);
        }
        if json.get("breach").is_some() {
            let breach: Broken = reader.read(json)?;
            if breach.seq >= lines.len() {
                return Err(reader.error(format!("a breach at seq {}, which has not come yet", breach.seq)));
            }
            breaches.push(breach);
            continue;
        }
        let entry = reader.entry(json)?;
        if entry.seq != lines.len() {
            let message =
                format!("expected seq {}, found {}: lines are missing or out of order", lines.len(), entry.seq);
            return Err(reader.error(message));
        }
        lines.push(entry);
    }
    Err(reader.error("the trace ends without its line \"end\": it was cut short"))
}

/// What was changed by hand is evidence of nothing.
fn check_digest(file: &str, trace: Trace) -> Result<Trace, TraceError> {
    let digest = format!("{:016x}", trace.transcript().digest());
    if digest == trace.header.digest {
        return Ok(trace);
    }
    let message = format!(
        "the digest in the header is {}, that of the entries is {digest}: the trace was changed after it was written",
        trace.header.digest
    );
    Err(TraceError { file: file.to_owned(), line: Some(1), message, excerpt: String::new() })
}

/// An entry as it is written. Its packet is not read: the bytes say the same.
#[derive(Deserialize)]
struct Written {
    seq: usize,
    at_us: u64,
    node: String,
    connection: u32,
    what: String,
    #[serde(default)]
    text: String,
    bytes: Option<String>,
    cause: Option<Cause>,
}

#[derive(Deserialize)]
struct Last {
    end: End,
}

struct Reader<'a> {
    file: &'a str,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The number of the latest line, from 1, and the line.
    at: (usize, &'a str),
}

impl Reader<'_> {
    fn error(&self, message: impl Into<String>) -> TraceError {
        let (line, text) = self.at;
        let mut excerpt: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        if text.chars().count() > SHOWN {
            excerpt.push('…');
        }
        TraceError { file: self.file.to_owned(), line: Some(line.max(1)), message: message.into(), excerpt }
    }

    fn next(&mut self) -> Result<Option<Json>, TraceError> {
        let Some((index, line)) = self.lines.next() else { return Ok(None) };
        self.at = (index + 1, line);
        let json: Json = serde_json::from_str(line)
            .map_err(|error| self.error(format!("no JSON at column {}: {}", error.column(), words(&error))))?;
        if json.is_object() { Ok(Some(json)) } else { Err(self.error("expected a JSON object")) }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, json: Json) -> Result<T, TraceError> {
        serde_json::from_value(json).map_err(|error| self.error(words(&error)))
    }

    fn header(&mut self) -> Result<Header, TraceError> {
        let foreign = "this is no trace of Squall";
        let first =
            self.next().map_err(|error| TraceError { message: format!("{foreign}: {}", error.message), ..error })?;
        let Some(json) = first else { return Err(self.error(format!("{foreign}: the file is empty"))) };
        match json.get("format").and_then(Json::as_str) {
            Some(FORMAT) => {}
            Some(other) => return Err(self.error(format!("{foreign}: its format is '{other}', not '{FORMAT}'"))),
            None => return Err(self.error(format!("{foreign}: the first line has no \"format\": \"{FORMAT}\""))),
        }
        if json.get("version").and_then(Json::as_u64) != Some(FORMAT_VERSION.into()) {
            let version = json.get("version").map_or_else(|| "none".to_owned(), Json::to_string);
            return Err(
                self.error(format!("the version of the format is {version}; this program reads {FORMAT_VERSION}"))
            );
        }
        let header: Header = self.read(json)?;
        if header.hash != HASH {
            return Err(self.error(format!("unknown hash '{}', expected '{HASH}'", header.hash)));
        }
        Ok(header)
    }

    fn entry(&self, json: Json) -> Result<Line, TraceError> {
        let Written { seq, at_us, node, connection, what, text, bytes, cause } = self.read(json)?;
        let Some(what) = Happening::ALL.into_iter().find(|one| one.word() == what) else {
            let known = Happening::ALL.map(Happening::word).join(", ");
            return Err(self.error(format!("unknown \"what\": '{what}', expected one of {known}")));
        };
        let bytes = match bytes {
            None if matches!(what, Happening::Sent | Happening::Received) => {
                return Err(self.error(format!("field 'bytes' is missing: something was {}", what.word())));
            }
            None => Bytes::new(),
            Some(hex) => Bytes::from(unhex(&hex).map_err(|message| self.error(message))?),
        };
        if matches!(what, Happening::Closed | Happening::Ended) && !matches!(text.as_str(), "FIN" | "RST") {
            return Err(self.error(format!("unknown end of a connection '{text}', expected FIN or RST")));
        }
        Ok(Line { seq, at_us, node, connection, what, text, bytes, cause })
    }
}

fn unhex(hex: &str) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    match digits {
        None => Err("\"bytes\" are not hexadecimal digits".to_owned()),
        Some(digits) if digits.len() % 2 == 1 => Err("\"bytes\" have half a byte at their end".to_owned()),
        Some(digits) => Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()),
    }
}

/// Without the place, which counts within the line.
fn words(error: &serde_json::Error) -> String {
    let text = error.to_string().replace('`', "'");
    let end = text.find(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}
