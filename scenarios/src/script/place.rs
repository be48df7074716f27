//! Where something stands in a script, and how an error about it is shown: file, line, excerpt, caret, nearest word.

use std::fmt;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_saphyr::{Location, Spanned};

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

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Place {
            line: number(location.line()),
            column: number(location.column()),
            length: number(location.span().len()),
        }
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
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        Ok(Placed { place: spanned.referenced.into(), value: spanned.value })
    }
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

    pub(crate) fn from_yaml(file: &str, text: &str, error: &serde_saphyr::Error) -> Self {
        let place = error.location().map_or(Place::FIRST, Place::from);
        ScriptError::at(file, text, place, in_our_words(error.without_snippet()))
    }
}

/// What a person is told: the names of Rust types say nothing to those who write scripts.
fn in_our_words(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Yaml;
    match error {
        Yaml::SerdeUnknownField { field, expected, .. } => unknown("field", field, expected.iter().copied()),
        Yaml::SerdeUnknownVariant { variant, expected, .. } => unknown("word", variant, expected.iter().copied()),
        Yaml::SerdeMissingField { field, .. } => format!("field '{field}' is missing"),
        Yaml::InvalidScalar { ty, .. } => match *ty {
            "u8" => "expected a whole number from 0 to 255".to_owned(),
            "u16" => "expected a whole number from 0 to 65535".to_owned(),
            "u32" | "u64" | "usize" => "expected a whole number".to_owned(),
            "boolean" => "expected true or false".to_owned(),
            other => format!("expected a value of type {other}"),
        },
        Yaml::InvalidBooleanStrict { .. } => "expected true or false".to_owned(),
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("'{key}' stands here twice"),
        Yaml::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            "one word too many: only one stands here, with its fields".to_owned()
        }
        Yaml::Unexpected { expected: "mapping start", .. } => "expected fields: { name: value }".to_owned(),
        Yaml::Unexpected { expected: "sequence start", .. } => "expected a list: [ one, another ]".to_owned(),
        other => {
            let text = other.to_string();
            let end = text.rfind(" at line ").unwrap_or(text.len());
            text[..end].to_owned()
        }
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
