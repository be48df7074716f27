//! Everything that was seen, in order: the evidence under each verdict, the trace whose digest is compared, the lines
//! of the sequence diagram.

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;

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

/// The shared record of one stage. A cheap clone.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Rc<RefCell<Vec<Entry>>>);

impl Transcript {
    /// Empty.
    pub fn new() -> Self {
        Transcript::default()
    }

    /// Appends a line.
    pub fn record(&self, at: Duration, actor: &Rc<str>, connection: u32, what: What) -> EntryId {
        let mut entries = self.0.borrow_mut();
        entries.push(Entry { at, actor: Rc::clone(actor), connection, what });
        EntryId(entries.len() - 1)
    }

    /// The number of the actor's next connection: one more than it has opened so far.
    pub fn next_connection(&self, actor: &str) -> u32 {
        let entries = self.0.borrow();
        let opened = entries.iter().filter(|entry| matches!(entry.what, What::Opened) && &*entry.actor == actor);
        1 + u32::try_from(opened.count()).expect("fewer connections than a u32 can count")
    }

    /// A copy of all lines so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.borrow().clone()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
