//! The one table of all settings: section, key, flag, kind, default, and what it is for. The command line, the environment,
//! the reader of the file and `--print-config` are drawn from it.

use std::time::Duration;

use super::value::{Kind, Value};

pub(super) use listen::{LISTEN, LISTEN_TLS};
pub(super) use sections::SECTIONS;

/// One setting of a `T`.
pub(super) struct Setting<T: 'static> {
    /// In the file.
    pub(super) key: &'static str,
    /// On the command line, without the hyphens; the environment has it in capitals after `SQUALL_`.
    pub(super) flag: &'static str,
    /// Another name for the flag.
    pub(super) alias: Option<&'static str>,
    pub(super) kind: Kind,
    /// One line without a full stop.
    pub(super) about: &'static str,
    /// What to show where there is no default.
    pub(super) example: &'static str,
    pub(super) read: fn(&T) -> Value,
    pub(super) write: fn(&mut T, Value),
}

/// A table of the file.
pub(super) struct Section<T: 'static> {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) settings: &'static [Setting<T>],
}

impl<T> Setting<T> {
    /// The name of its environment variable.
    pub(super) fn variable(&self) -> String {
        variable(self.flag)
    }
}

/// The environment variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("SQUALL_{}", flag.replace('-', "_").to_ascii_uppercase())
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const fn count(least: u64, most: u64) -> Kind {
    Kind::Number { least, most }
}

const fn size(least: u64, most: u64) -> Kind {
    Kind::Size { least, most }
}

const fn time(least: Duration, most: Duration) -> Kind {
    Kind::Time { least, most, grain: Duration::from_millis(1), never: false }
}

/// So many levels of anything, and so many of anything else, fit a machine.
const MANY: u64 = u32::MAX as u64;
/// Bytes that fit a machine.
const VAST: u64 = 1 << 46;

/// One row: key, flag and its other name, kind, what it is for, an example where there is no default, how it is read and set.
macro_rules! setting {
    ($key:literal, $flag:literal $(| $alias:literal)?, $kind:expr, $about:literal $(; $example:literal)?, $read:expr, $write:expr) => {
        Setting {
            key: $key,
            flag: $flag,
            alias: [$(Some($alias),)? None][0],
            kind: $kind,
            about: $about,
            example: [$($example,)? ""][0],
            read: $read,
            write: $write,
        }
    };
}

/// A setting that is a number in a field of its own.
macro_rules! number {
    ($key:literal, $flag:literal $(| $alias:literal)?, $kind:expr, $($field:ident).+, $about:literal) => {
        setting!(
            $key, $flag $(| $alias)?, $kind, $about,
            |all| Value::Number(all.$($field).+ as u64),
            |all, value| all.$($field).+ = value.number()
        )
    };
}

/// A setting that is true or false.
macro_rules! truth {
    ($key:literal, $flag:literal, $($field:ident).+, $about:literal) => {
        setting!(
            $key, $flag, Kind::Truth, $about,
            |all| Value::Truth(all.$($field).+),
            |all, value| all.$($field).+ = value.truth()
        )
    };
}

/// A setting that may be absent.
macro_rules! optional {
    ($key:literal, $flag:literal, $kind:expr, $($field:ident).+, $variant:ident, $take:ident, $example:literal, $about:literal) => {
        setting!(
            $key, $flag, $kind, $about; $example,
            |all| all.$($field).+.clone().map_or(Value::Nothing, Value::$variant),
            |all, value| all.$($field).+ = Some(value.$take())
        )
    };
}

// Behind the macros, which they are written in.
mod listen;
mod sections;
