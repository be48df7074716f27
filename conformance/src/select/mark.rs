//! Marks of a test by which it can be chosen: the weight of its rules, and what it needs. All are computed.

use std::{fmt, str::FromStr};

use super::Planned;
use crate::{
    statement::{Level, Observable, Party},
    test::Isolation,
};

/// The weight of a rule, whether it asks or forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the keywords")]
pub enum Grade {
    Must,
    Should,
    May,
}

impl Grade {
    /// Of a keyword.
    pub fn of(level: Level) -> Self {
        match level {
            Level::Must | Level::MustNot => Grade::Must,
            Level::Should | Level::ShouldNot => Grade::Should,
            Level::May => Grade::May,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grade::Must => "MUST",
            Grade::Should => "SHOULD",
            Grade::May => "MAY",
        })
    }
}

impl FromStr for Grade {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Grade::Must, Grade::Should, Grade::May]
            .into_iter()
            .find(|grade| grade.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("unknown grade '{text}', expected MUST, SHOULD or MAY"))
    }
}

/// A mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A clock of the standard runs.
    Time,
    /// The subject has to be set up for it.
    Configuration,
    /// The subject is stopped and started again.
    Restart,
    /// A healthy broker needs more than 5 s for it.
    Slow,
    /// It runs alone.
    Exclusive,
    /// Of a statement with a number.
    Numbered,
    /// Of what is expected without a number.
    Unnumbered,
    /// Of a rule that binds the client alone: the server is judged by what it does about the breach.
    Client,
}

const TAGS: [(&str, Tag); 8] = [
    ("time", Tag::Time),
    ("configuration", Tag::Configuration),
    ("restart", Tag::Restart),
    ("slow", Tag::Slow),
    ("exclusive", Tag::Exclusive),
    ("numbered", Tag::Numbered),
    ("unnumbered", Tag::Unnumbered),
    ("client", Tag::Client),
];

impl FromStr for Tag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = TAGS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|(_, tag)| *tag).ok_or_else(|| {
            let names: Vec<_> = TAGS.iter().map(|(name, _)| *name).collect();
            format!("unknown tag '{text}', expected one of {}", names.join(", "))
        })
    }
}

impl Tag {
    pub(super) fn marks(self, planned: &Planned) -> bool {
        let observed = |how| planned.statements().any(|(_, rule)| rule.observable.contains(&how));
        match self {
            Tag::Time => planned.statements().any(|(_, rule)| rule.takes_time()),
            Tag::Configuration => observed(Observable::NeedsConfig),
            Tag::Restart => observed(Observable::NeedsRestart),
            Tag::Slow => planned.test.slow,
            Tag::Exclusive => planned.test.isolation == Isolation::Exclusive,
            Tag::Numbered => planned.statements().any(|(_, rule)| rule.is_numbered()),
            Tag::Unnumbered => planned.statements().any(|(_, rule)| !rule.is_numbered()),
            Tag::Client => planned.statements().any(|(_, rule)| rule.applies_to == [Party::Client]),
        }
    }
}
