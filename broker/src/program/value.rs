//! What a setting can hold, and its one notation: the same on the command line, in the environment and in the file.
//!
//! In the file a size or a time is a string with its unit; a number alone is read as bytes where a size is meant. Outside
//! of the file everything is text, and a time without a unit is in seconds.

use std::{path::PathBuf, time::Duration};

use toml::de::DeValue;

/// A value that fits its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Not set: the setting has no default.
    Nothing,
    Truth(bool),
    Number(u64),
    Time(Duration),
    /// Without bound.
    Never,
    Word(&'static str),
    Text(String),
    Path(PathBuf),
    Texts(Vec<String>),
}

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// True or false.
    Truth,
    /// A whole number.
    Number { least: u64, most: u64 },
    /// Bytes, with a unit.
    Size { least: u64, most: u64 },
    /// A time, with a unit. `grain` is the smallest step; with `never` there is a word for no bound.
    Time { least: Duration, most: Duration, grain: Duration, never: bool },
    /// One of these.
    Word(&'static [&'static str]),
    /// Anything: what it is, and the word for it in a help text.
    Text(&'static str, &'static str),
    /// A file or a folder, likewise. In a file it is relative to that file.
    Path(&'static str, &'static str),
    /// A list of texts, each of them likewise.
    Texts(&'static str, &'static str),
}

/// Units of a size, largest first; those of 1000 are read but not written.
const SIZES: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

/// Units of a time in milliseconds, largest first.
const TIMES: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Kind {
    /// What is expected, for an error: "a size such as …".
    pub(super) fn expected(self) -> String {
        match self {
            Kind::Truth => "true or false".to_owned(),
            Kind::Number { least, most: u64::MAX } => format!("a whole number from {least}"),
            Kind::Number { least, most } => format!("a whole number from {least} to {most}"),
            Kind::Size { least, most: u64::MAX } => {
                format!("a size with its unit (B, KiB, MiB, GiB), from \"{}\"", size(least))
            }
            Kind::Size { least, most } => {
                format!("a size with its unit (B, KiB, MiB, GiB), from \"{}\" to \"{}\"", size(least), size(most))
            }
            Kind::Time { least, most, grain, never } => {
                let whole = if grain >= Duration::from_secs(1) { ", in whole seconds" } else { "" };
                let never = if never { ", or \"never\"" } else { "" };
                let units = if grain >= Duration::from_secs(1) { "s, m, h, d" } else { "ms, s, m, h, d" };
                format!("a time with its unit ({units}), from \"{}\" to \"{}\"{whole}{never}", time(least), time(most))
            }
            Kind::Word(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match words.as_slice() {
                    [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                    _ => words.join(""),
                }
            }
            Kind::Text(what, _) | Kind::Path(what, _) => what.to_owned(),
            Kind::Texts(what, _) => format!("a list, each of it {what}"),
        }
    }

    /// The word for the value in a help text.
    pub(super) fn placeholder(self) -> String {
        match self {
            Kind::Truth => "true|false".to_owned(),
            Kind::Number { least, most } if most - least < 4 => {
                (least..=most).map(|number| number.to_string()).collect::<Vec<_>>().join("|")
            }
            Kind::Number { .. } => "COUNT".to_owned(),
            Kind::Size { .. } => "SIZE".to_owned(),
            Kind::Time { .. } => "TIME".to_owned(),
            Kind::Word(words) => words.join("|"),
            Kind::Text(_, word) | Kind::Path(_, word) | Kind::Texts(_, word) => word.to_owned(),
        }
    }

    /// Reads what stands on the command line or in the environment.
    ///
    /// # Errors
    /// What is expected instead.
    pub(super) fn read(self, text: &str) -> Result<Value, String> {
        let value = match self {
            Kind::Truth => match text {
                "true" | "1" | "yes" | "on" => Some(Value::Truth(true)),
                "false" | "0" | "no" | "off" => Some(Value::Truth(false)),
                _ => None,
            },
            Kind::Number { .. } => whole(text).map(Value::Number),
            Kind::Size { .. } => units(text, SIZES, 1).map(Value::Number),
            Kind::Time { never: true, .. } if text == "never" => Some(Value::Never),
            Kind::Time { .. } => {
                units(text, TIMES, 1000).map(|milliseconds| Value::Time(Duration::from_millis(milliseconds)))
            }
            Kind::Word(words) => words.iter().find(|word| **word == text).map(|word| Value::Word(word)),
            Kind::Text(..) => Some(Value::Text(text.to_owned())),
            Kind::Path(..) => Some(Value::Path(PathBuf::from(text))),
            Kind::Texts(..) => {
                Some(Value::Texts(text.split([',', ' ']).filter(|one| !one.is_empty()).map(str::to_owned).collect()))
            }
        };
        value.filter(|value| self.holds(value)).ok_or_else(|| self.expected())
    }

    /// Reads a value of a file.
    ///
    /// # Errors
    /// What is expected instead.
    pub(super) fn read_toml(self, value: &DeValue<'_>) -> Result<Value, String> {
        let read = match (self, value) {
            (Kind::Truth, DeValue::Boolean(truth)) => Some(Value::Truth(*truth)),
            (Kind::Number { .. } | Kind::Size { .. }, DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str().trim_start_matches('+'), number.radix()).ok().map(Value::Number)
            }
            // "0" needs no unit, and a time without one is a guess.
            (Kind::Time { .. }, DeValue::String(text)) if text != "0" && whole(text).is_some() => None,
            (Kind::Truth | Kind::Number { .. } | Kind::Texts(..), DeValue::String(_)) => None,
            (_, DeValue::String(text)) => return self.read(text),
            (Kind::Texts(..), DeValue::Array(items)) => {
                let texts: Option<Vec<_>> =
                    items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
                texts.map(Value::Texts)
            }
            _ => None,
        };
        read.filter(|value| self.holds(value)).ok_or_else(|| self.expected())
    }

    /// As it stands in a file.
    pub(super) fn write(self, value: &Value) -> String {
        match value {
            Value::Truth(_) => self.show(value),
            Value::Number(_) if matches!(self, Kind::Number { .. }) => self.show(value),
            Value::Texts(texts) => {
                format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
            }
            _ => quoted(&self.show(value)),
        }
    }

    /// As it is given on a command line.
    pub(super) fn show(self, value: &Value) -> String {
        match value {
            Value::Nothing => String::new(),
            Value::Truth(truth) => truth.to_string(),
            Value::Number(bytes) if matches!(self, Kind::Size { .. }) => size(*bytes),
            Value::Number(number) => number.to_string(),
            Value::Time(length) => time(*length),
            Value::Never => "never".to_owned(),
            Value::Word(word) => (*word).to_owned(),
            Value::Text(text) => text.clone(),
            Value::Path(path) => path.display().to_string(),
            Value::Texts(texts) => texts.join(","),
        }
    }

    /// Whether the value is within the bounds.
    fn holds(self, value: &Value) -> bool {
        match (self, value) {
            (Kind::Number { least, most } | Kind::Size { least, most }, Value::Number(number)) => {
                (least..=most).contains(number)
            }
            (Kind::Time { least, most, grain, .. }, Value::Time(length)) => {
                (least..=most).contains(length) && length.as_millis().is_multiple_of(grain.as_millis())
            }
            // A text may go into a packet, which bounds it and forbids U+0000.
            (Kind::Text(..), Value::Text(text)) => (1..=65_535).contains(&text.len()) && !text.contains('\0'),
            (Kind::Path(..), Value::Path(path)) => !path.as_os_str().is_empty(),
            _ => true,
        }
    }
}

/// Digits, with `_` between them as in the file.
fn whole(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|character| *character != '_').collect();
    let plain =
        text.starts_with(|first: char| first.is_ascii_digit()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A sum of numbers with units, such as "1h30m"; one number alone is in `default` units.
fn units(text: &str, table: &[(&str, u64)], default: u64) -> Option<u64> {
    if let Some(number) = whole(text) {
        return number.checked_mul(default);
    }
    let (mut rest, mut sum) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '_')?;
        let number = whole(&rest[..end])?;
        rest = rest[end..].trim_start_matches(' ');
        let end = rest.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, unit) = table.iter().find(|(name, _)| *name == &rest[..end])?;
        sum = sum.checked_add(number.checked_mul(*unit)?)?;
        rest = rest[end..].trim_start_matches(' ');
    }
    (!text.is_empty()).then_some(sum)
}

/// With the largest binary unit of which it is a multiple.
fn size(bytes: u64) -> String {
    let binary = SIZES.iter().filter(|(name, factor)| name.ends_with("iB") || *factor == 1);
    largest(bytes, binary).unwrap_or_else(|| format!("{bytes}B"))
}

/// With the largest unit of which it is a multiple.
fn time(length: Duration) -> String {
    let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    largest(milliseconds, TIMES.iter()).unwrap_or_else(|| "0s".to_owned())
}

fn largest<'a>(number: u64, mut units: impl Iterator<Item = &'a (&'a str, u64)>) -> Option<String> {
    let (name, factor) = units.find(|(_, factor)| number > 0 && number.is_multiple_of(*factor))?;
    Some(format!("{}{name}", number / factor))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// What a setting takes out of a value that its kind has read.
impl Value {
    pub(super) fn truth(self) -> bool {
        match self {
            Value::Truth(truth) => truth,
            other => other.of_another_kind(),
        }
    }

    /// A number as the field has it: the bounds of the kind fit the field.
    pub(super) fn number<T: TryFrom<u64>>(self) -> T {
        match self {
            Value::Number(number) => T::try_from(number).ok().expect("the bounds of a kind fit its field"),
            other => other.of_another_kind(),
        }
    }

    pub(super) fn time(self) -> Duration {
        match self {
            Value::Time(length) => length,
            other => other.of_another_kind(),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Value::Word(word) => word,
            other => other.of_another_kind(),
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Value::Text(text) => text,
            other => other.of_another_kind(),
        }
    }

    pub(super) fn path(self) -> PathBuf {
        match self {
            Value::Path(path) => path,
            other => other.of_another_kind(),
        }
    }

    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Value::Texts(texts) => texts,
            other => other.of_another_kind(),
        }
    }

    fn of_another_kind(self) -> ! {
        unreachable!("a kind reads only values of its own: {self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Kind = Kind::Size { least: 16, most: 1 << 40 };
    const TIME: Kind = Kind::Time {
        least: Duration::ZERO,
        most: Duration::from_secs(86_400 * 30),
        grain: Duration::from_millis(1),
        never: true,
    };

    #[test]
    fn sizes_and_times_are_read_with_their_units() {
        for (text, bytes) in [
            ("16", 16),
            ("16B", 16),
            ("1_000", 1000),
            ("4KiB", 4096),
            ("16 MiB", 16 << 20),
            ("1GiB", 1 << 30),
            ("2kB", 2000),
            ("1MiB 1KiB", (1 << 20) + 1024),
        ] {
            assert_eq!(SIZE.read(text), Ok(Value::Number(bytes)), "{text}");
        }
        for (text, milliseconds) in
            [("0", 0), ("10", 10_000), ("250ms", 250), ("10s", 10_000), ("1h30m", 5_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(TIME.read(text), Ok(Value::Time(Duration::from_millis(milliseconds))), "{text}");
        }
        assert_eq!(TIME.read("never"), Ok(Value::Never));
    }

    #[test]
    fn what_is_no_size_or_time_or_out_of_bounds_is_refused() {
        for text in [
            "",
            " ",
            "-1",
            "+20",
            "15",
            "1.5MiB",
            "16 MB!",
            "MiB",
            "16m",
            "2048GiB",
            "99999999999999999999",
            "18446744073709551615GiB",
            "_1",
        ] {
            assert_eq!(SIZE.read(text), Err(SIZE.expected()), "{text:?}");
        }
        for text in ["", "s", "10x", "10 seconds", "1.5s", "31d", "18446744073709551615d", "Never", "10s5"] {
            assert_eq!(TIME.read(text), Err(TIME.expected()), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for bytes in [16, 1000, 4096, 4097, 16 << 20, (16 << 20) + 1, 1 << 40] {
            let text = SIZE.show(&Value::Number(bytes));
            assert_eq!(SIZE.read(&text), Ok(Value::Number(bytes)), "{text}");
        }
        for milliseconds in [0, 1, 1000, 1001, 60_000, 90_000, 86_400_000] {
            let value = Value::Time(Duration::from_millis(milliseconds));
            assert_eq!(TIME.read(&TIME.show(&value)), Ok(value));
        }
    }
}
