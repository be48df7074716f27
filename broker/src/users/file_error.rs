//! What is wrong with a file that a person writes: which file, which line, what stands there, what was expected.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
    path::{Path, PathBuf},
};

/// Bytes that such a file may have.
const FILE_BYTES: u64 = 64 << 20;
/// Characters of a line that are shown.
const EXCERPT: usize = 100;

/// Why a file was not taken, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The machine's fault.
    #[error("failed to {doing} {}: {error}", path.display())]
    Io {
        /// As in "read", "replace".
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the machine says.
        error: io::Error,
    },
    /// The writer's fault.
    #[error(transparent)]
    Line(#[from] Box<LineError>),
    /// A name that cannot stand in a password file, or one that is not there.
    #[error("{0}")]
    User(String),
}

impl FileError {
    pub(super) fn io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        FileError::Io { doing, path: path.to_owned(), error }
    }
}

/// What is wrong with one line. Its `Display` is the sentence, the line, and a mark under what is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Which file.
    pub path: PathBuf,
    /// The line's number, from 1.
    pub number: usize,
    /// What may be shown of the line: without secrets and control characters, and not too long.
    pub excerpt: String,
    /// The characters of `excerpt` that are meant.
    pub marked: Range<usize>,
    /// What is wrong.
    pub sentence: String,
    /// What could be done.
    pub help: Option<String>,
}

impl std::error::Error for LineError {}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LineError { path, number, excerpt, marked, sentence, help } = self;
        write!(f, "{}:{number}: {sentence}", path.display())?;
        if let Some(help) = help {
            write!(f, "; {help}")?;
        }
        let margin = " ".repeat(number.to_string().len());
        let (before, carets) = (" ".repeat(marked.start), "^".repeat(marked.len().max(1)));
        write!(f, "\n  {number} | {excerpt}\n  {margin} | {before}{carets}")
    }
}

/// One line of a file, for those who read it and complain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) path: &'a Path,
    pub(super) number: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// An error about a part of the line; `part` is a slice of its text.
    pub(super) fn error(self, part: &str, sentence: impl Into<String>, help: Option<String>) -> FileError {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len());
        let before = self.text.get(..start).unwrap_or("").chars().count();
        // A mark that lies far to the right is shown with some of what stands before it.
        let skipped = (before + part.chars().count()).saturating_sub(EXCERPT).min(before);
        let excerpt: String = self.text.chars().skip(skipped).take(EXCERPT).map(printable).collect();
        let start = before - skipped;
        let marked = start..(start + part.chars().count()).min(excerpt.chars().count());
        self.fault(excerpt, marked, sentence, help)
    }

    /// An error about a line that must not be shown whole: what may be shown, and the part of it that is meant.
    pub(super) fn fault(
        self,
        excerpt: String,
        marked: Range<usize>,
        sentence: impl Into<String>,
        help: Option<String>,
    ) -> FileError {
        let (path, sentence) = (self.path.to_owned(), sentence.into());
        FileError::Line(Box::new(LineError { path, number: self.number, excerpt, marked, sentence, help }))
    }
}

/// A character that does nothing to a terminal.
pub(super) fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    }
}

/// The whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |error| FileError::io("read", path, error);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(failed(io::Error::other(format!("it has more than {FILE_BYTES} bytes"))));
    }
    Ok(bytes)
}

/// The file as text, from behind a byte order mark.
pub(super) fn text<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, FileError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let number = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let line = Line { path, number, text: "" };
            Err(line.fault(String::new(), 0..0, "a byte that is no UTF-8", None))
        }
    }
}

/// The lines that say something: without comments and empty ones, and without space around them.
pub(super) fn lines<'a>(path: &'a Path, text: &'a str) -> impl Iterator<Item = Line<'a>> {
    let lines = text.lines().enumerate().map(|(index, text)| (index + 1, text.trim()));
    lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).map(move |(number, text)| Line {
        path,
        number,
        text,
    })
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &&str| strsim::jaro_winkler(word, candidate) > 0.75;
    words
        .into_iter()
        .filter(close)
        .max_by(|a, b| strsim::jaro_winkler(word, a).total_cmp(&strsim::jaro_winkler(word, b)))
}
