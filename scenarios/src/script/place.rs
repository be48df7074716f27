//! Where something stands in a script, and how an error about it is shown: file, line, excerpt, caret, nearest word.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, SeqAccess, Visitor},
};

use crate::yaml::{Fault, PLACED};

/// A place in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    length: usize,
}

impl Place {
    /// For what is wrong with the script as a whole.
    pub(crate) const FIRST: Place = Place { line: 1, column: 1, length: 1 };

    pub(crate) const fn new(line: usize, column: usize, length: usize) -> Place {
        Place { line, column, length }
    }

    /// What [`Place::new`] takes.
    pub(crate) const fn numbers(self) -> [usize; 3] {
        [self.line, self.column, self.length]
    }

    fn in_text(text: &str, line: usize, column: usize, length: usize) -> Place {
        let rest = text.lines().nth(line.saturating_sub(1)).map_or(0, |line| line.chars().count());
        let room = (rest + 1).saturating_sub(column);
        Place { line, column, length: length.clamp(1, room.max(1)) }
    }

    /// The word that a pair of braces opens with, where the place is a brace.
    #[must_use]
    pub(crate) fn word(self, text: &str) -> Place {
        let line = text.lines().nth(self.line.saturating_sub(1)).unwrap_or_default();
        let rest: Vec<char> = line.chars().skip(self.column.saturating_sub(1)).collect();
        if rest.first() != Some(&'{') {
            return self;
        }
        let blank = rest.iter().skip(1).take_while(|c| c.is_whitespace()).count();
        let length = rest.iter().skip(1 + blank).take_while(|c| c.is_alphanumeric() || **c == '_').count();
        Place { column: self.column + 1 + blank, length: length.max(1), ..self }
    }

    /// The line with a caret under the place, drawn as a compiler draws it.
    pub(crate) fn excerpt(self, text: &str) -> String {
        let line = text.lines().nth(self.line.saturating_sub(1)).unwrap_or_default();
        let place = Place::in_text(text, self.line, self.column, self.length);
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        let indent = " ".repeat(self.column.saturating_sub(1));
        let carets = "^".repeat(place.length);
        format!("{gap} |\n{number} | {line}\n{gap} | {indent}{carets}")
    }
}

/// A value that knows where it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AndPlace<T>(PhantomData<T>);
        impl<'de, T: DeserializeOwned> Visitor<'de> for AndPlace<T> {
            type Value = Placed<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value and its place")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Placed<T>, A::Error> {
                let [line, column, length] = [number(&mut parts)?, number(&mut parts)?, number(&mut parts)?];
                let value =
                    parts.next_element()?.ok_or_else(|| de::Error::invalid_length(3, &"a value and its place"))?;
                Ok(Placed { value, place: Place::new(line, column, length) })
            }
        }
        deserializer.deserialize_newtype_struct(PLACED, AndPlace(PhantomData))
    }
}

fn number<'de, A: SeqAccess<'de>>(parts: &mut A) -> Result<usize, A::Error> {
    parts.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &"a place"))
}

/// A script that cannot be played: whose line is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ScriptError {
    /// The file's name as it was given.
    pub file: String,
    /// Where; `None` if the file could not be read at all.
    pub place: Option<Place>,
    /// One sentence.
    pub message: String,
    excerpt: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => {
                write!(f, "{}:{}:{}: {}\n{}", self.file, place.line, place.column, self.message, self.excerpt)
            }
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl ScriptError {
    pub(crate) fn at(file: &str, text: &str, place: Place, message: impl Into<String>) -> Self {
        let place = place.word(text);
        ScriptError { file: file.to_owned(), place: Some(place), message: message.into(), excerpt: place.excerpt(text) }
    }

    pub(crate) fn unreadable(file: &str, error: &std::io::Error) -> Self {
        ScriptError {
            file: file.to_owned(),
            place: None,
            message: format!("failed to read the script: {error}"),
            excerpt: String::new(),
        }
    }

    pub(crate) fn from_yaml(file: &str, text: &str, fault: Fault) -> Self {
        let (place, message) = fault.into_parts();
        ScriptError::at(file, text, place, message)
    }
}

/// "unknown field 'filer', did you mean 'filter'?", or the whole list if nothing is near.
pub(crate) fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, &known) {
        Some(near) => format!("unknown {what} '{word}', did you mean '{near}'?"),
        None if known.is_empty() => format!("unknown {what} '{word}'"),
        None => format!("unknown {what} '{word}', expected one of {}", known.join(", ")),
    }
}

fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let bound = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
