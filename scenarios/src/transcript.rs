//! Everything that was seen, in order: the evidence under each verdict, the trace whose digest is compared, the lines
//! of the sequence diagram.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::{self, Write as _},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::{liar::Direction, shared_link::Note};

/// Bytes of a frame that `render` shows.
const SHOWN_BYTES: usize = 24;

/// The position of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub usize);

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since the stage began.
    pub at: Duration,
    /// Who.
    pub actor: Rc<str>,
    /// Which of the actor's connections, from 1.
    pub connection: u32,
    /// What.
    pub what: What,
}

/// What an entry tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The actor opened a connection.
    Opened,
    /// The actor sent these bytes: one frame, or the bytes of a step that sends no whole frame.
    Sent {
        /// The frame in words.
        summary: String,
        /// As written.
        bytes: Bytes,
    },
    /// The actor received this frame.
    Received {
        /// The frame in words, or what is wrong with it.
        summary: String,
        /// As read.
        bytes: Bytes,
    },
    /// The actor ended the connection.
    Closed {
        /// `FIN` or `RST`.
        how: &'static str,
    },
    /// The connection ended from the other side.
    Ended {
        /// `FIN` or `RST`.
        how: &'static str,
    },
    /// A fault took effect on the actor's link.
    Fault {
        /// In words.
        summary: String,
    },
    /// What a whole client told its application: a message, an event, an outcome.
    Told {
        /// In words.
        summary: String,
    },
}

/// A frame on one connection, for comparing runs: without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketLine {
    /// Which way it went.
    pub direction: Direction,
    /// In words.
    pub summary: String,
    /// As it was on the wire.
    pub bytes: Bytes,
}

/// The shared record of one stage. A cheap clone.
#[derive(Clone, Default)]
pub struct Transcript(Rc<Record>);

/// Gives what was written beside the record since it was last asked.
type Source = Box<dyn Fn() -> Vec<Note>>;

#[derive(Default)]
struct Record {
    entries: RefCell<Vec<Entry>>,
    source: RefCell<Option<Source>>,
    names: RefCell<BTreeMap<Arc<str>, Rc<str>>>,
    received_bytes: Cell<usize>,
}

/// More than any test or story comes to. Beyond that the subject sends without end.
const MOST_LINES: usize = 20_000;
const MOST_RECEIVED_BYTES: usize = 32 * 1024 * 1024;

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Transcript").field(&self.0.entries).finish()
    }
}

impl Transcript {
    /// Empty.
    pub fn new() -> Self {
        Transcript::default()
    }

    /// What is in it by now, as a record of its own: nothing is added to that.
    pub fn so_far(&self) -> Transcript {
        let copy = Transcript::new();
        *copy.0.entries.borrow_mut() = self.entries();
        copy
    }

    /// Before each line, and whenever it is read, the record takes in what this source has written meanwhile: so the
    /// faults stand where they took effect. `Links::transcript` makes such a record.
    pub fn pull_from(&self, source: impl Fn() -> Vec<Note> + 'static) {
        *self.0.source.borrow_mut() = Some(Box::new(source));
    }

    /// Appends a line.
    pub fn record(&self, at: Duration, actor: &Rc<str>, connection: u32, what: What) -> EntryId {
        self.pull();
        let mut entries = self.0.entries.borrow_mut();
        entries.push(Entry { at, actor: Rc::clone(actor), connection, what });
        EntryId(entries.len() - 1)
    }

    /// The number of the actor's next connection: one more than it has opened so far.
    pub fn next_connection(&self, actor: &str) -> u32 {
        self.pull();
        let entries = self.0.entries.borrow();
        let opened = entries.iter().filter(|entry| matches!(entry.what, What::Opened) && &*entry.actor == actor);
        1 + u32::try_from(opened.count()).expect("fewer connections than a u32 can count")
    }

    /// A copy of all lines so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.pull();
        self.0.entries.borrow().clone()
    }

    /// So many bytes were read, also of packets that are not whole yet.
    pub fn received(&self, bytes: usize) {
        self.0.received_bytes.set(self.0.received_bytes.get().saturating_add(bytes));
    }

    /// Whether the subject sends without end: nothing more is read then, and it feels that.
    pub fn overflows(&self) -> bool {
        self.0.entries.borrow().len() > MOST_LINES || self.0.received_bytes.get() > MOST_RECEIVED_BYTES
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.pull();
        self.0.entries.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lines for a person: time, actor and connection, what happened, the bytes in hex (cut after 24).
    pub fn render(&self) -> String {
        let entries = self.entries();
        let who = |entry: &Entry| format!("{}#{}", entry.actor, entry.connection);
        let width = entries.iter().map(|entry| who(entry).chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for entry in &entries {
            let micros = entry.at.as_micros();
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            writeln!(text, "{seconds:>5}.{micros:06}  {:<width$}  {}", who(entry), entry.what)
                .expect("a string takes all that is written to it");
        }
        text
    }

    /// The canonical form: one JSON object a line, its keys always in the same order, times in whole microseconds,
    /// bytes in lower-case hex.
    pub fn json_lines(&self) -> String {
        let mut text = String::new();
        for (sequence, entry) in self.entries().iter().enumerate() {
            let line = serde_json::to_string(&Line::new(sequence, entry)).expect("texts and numbers are JSON");
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// xxh3-64 of the canonical JSON lines.
    pub fn digest(&self) -> u64 {
        xxh3_64(self.json_lines().as_bytes())
    }

    /// The connections that were opened, in that order.
    pub fn connections(&self) -> Vec<(Rc<str>, u32)> {
        let opened = |entry: Entry| matches!(entry.what, What::Opened).then_some((entry.actor, entry.connection));
        self.entries().into_iter().filter_map(opened).collect()
    }

    /// The frames of one connection in order, without times: what has to be the same in every world.
    pub fn packets_of(&self, actor: &str, connection: u32) -> Vec<PacketLine> {
        let of_connection = |entry: &Entry| &*entry.actor == actor && entry.connection == connection;
        let line = |entry: Entry| match entry.what {
            What::Sent { summary, bytes } => Some(PacketLine { direction: Direction::ToServer, summary, bytes }),
            What::Received { summary, bytes } => Some(PacketLine { direction: Direction::ToClient, summary, bytes }),
            _ => None,
        };
        self.entries().into_iter().filter(of_connection).filter_map(line).collect()
    }

    fn pull(&self) {
        let source = self.0.source.borrow();
        let Some(source) = &*source else { return };
        for note in source() {
            let mut names = self.0.names.borrow_mut();
            let actor = names.entry(note.actor).or_insert_with_key(|name| Rc::from(&**name));
            let entry = Entry { at: note.at, actor: Rc::clone(actor), connection: note.connection, what: note.what };
            self.0.entries.borrow_mut().push(entry);
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Opened => f.write_str("opens a connection"),
            What::Sent { summary, bytes } => write!(f, "-> {summary}  [{}]", Hex::first(bytes, SHOWN_BYTES)),
            What::Received { summary, bytes } => write!(f, "<- {summary}  [{}]", Hex::first(bytes, SHOWN_BYTES)),
            What::Closed { how } => write!(f, "-> {how}"),
            What::Ended { how } => write!(f, "<- {how}"),
            What::Fault { summary } => write!(f, "!! {summary}"),
            What::Told { summary } => write!(f, "** {summary}"),
        }
    }
}

/// Bytes as a person reads them: "c0 00", and how many more there are.
struct Hex<'a> {
    bytes: &'a [u8],
    more: usize,
}

impl<'a> Hex<'a> {
    fn first(bytes: &'a [u8], most: usize) -> Self {
        let shown = bytes.len().min(most);
        Hex { bytes: &bytes[..shown], more: bytes.len() - shown }
    }
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{byte:02x}")?;
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

/// A line of the canonical form. The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Line<'a> {
    seq: usize,
    at_us: u64,
    actor: &'a str,
    connection: u32,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl<'a> Line<'a> {
    fn new(seq: usize, entry: &'a Entry) -> Self {
        let (what, text, bytes) = match &entry.what {
            What::Opened => ("opened", None, None),
            What::Sent { summary, bytes } => ("sent", Some(&**summary), Some(bytes)),
            What::Received { summary, bytes } => ("received", Some(&**summary), Some(bytes)),
            What::Closed { how } => ("closed", Some(*how), None),
            What::Ended { how } => ("ended", Some(*how), None),
            What::Fault { summary } => ("fault", Some(&**summary), None),
            What::Told { summary } => ("told", Some(&**summary), None),
        };
        let hex = |bytes: &Bytes| {
            let mut hex = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                write!(hex, "{byte:02x}").expect("a string takes all that is written to it");
            }
            hex
        };
        Line {
            seq,
            at_us: u64::try_from(entry.at.as_micros()).unwrap_or(u64::MAX),
            actor: &entry.actor,
            connection: entry.connection,
            what,
            text,
            bytes: bytes.map(hex),
        }
    }
}
