//! Which tests run: of which versions, by which filters, in which order.

mod mark;

use std::{fmt, str::FromStr};

use squall_codec::version::Version;

use crate::{
    statement::{Key, Statement, catalogue},
    test::{Isolation, Section, Test},
    tests::SECTIONS,
};

pub use mark::{Grade, Tag};

/// One test with its place in the tables.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Its position in the tables: the same whatever is filtered.
    pub number: usize,
    /// The version that it speaks: that of its section, or 3.1.
    pub version: Version,
    /// Where it stands.
    pub section: &'static Section,
    /// Itself.
    pub test: &'static Test,
}

impl Planned {
    /// Its statements with the rules.
    pub fn statements(&self) -> impl Iterator<Item = (Key<'static>, &'static Statement)> {
        self.test.statements.iter().filter_map(|text| {
            let key = Key::parse(text)?;
            Some((key, catalogue().find(key)?))
        })
    }

    /// 3.1 has no conformance statements: what is seen there is only told.
    pub fn is_information(&self) -> bool {
        self.version == Version::V3_1
    }

    /// The longest wait that its statements ask for, in seconds.
    pub fn wait_seconds(&self) -> u64 {
        self.statements().filter(|(_, rule)| rule.takes_time()).filter_map(|(_, rule)| rule.wait_s).max().unwrap_or(0)
    }
}

/// Every test of every version. A test of 3.1.1 that holds for 3.1 as well stands there a second time.
pub fn all() -> Vec<Planned> {
    let sections = || SECTIONS.iter().copied().flatten();
    let rows = |version: Version| {
        sections().filter(move |section| section.version == version.max(Version::V3_1_1)).flat_map(move |section| {
            let holds = move |test: &&Test| version != Version::V3_1 || test.also_3_1;
            section.tests.iter().filter(holds).map(move |test| (version, section, test))
        })
    };
    Version::ALL
        .into_iter()
        .flat_map(rows)
        .enumerate()
        .map(|(number, (version, section, test))| Planned { number, version, section, test })
        .collect()
}

/// A word of the command line that picks tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    version: Option<Version>,
    wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    /// Statements whose id begins so.
    Id(String),
    /// Words of the test's name, its sentence or its section's title.
    Text(String),
}

impl FromStr for Filter {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (version, rest) = match Key::parse(text) {
            Some(key) => (Some(key.version), key.id),
            None => (None, text),
        };
        let id = rest.to_ascii_uppercase();
        let wanted = if id.starts_with("MQTT-") || id.starts_with("X-") {
            Wanted::Id(id)
        } else {
            Wanted::Text(rest.to_lowercase().replace('_', " "))
        };
        Ok(Filter { version, wanted })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version {
            write!(f, "{version}/")?;
        }
        match &self.wanted {
            Wanted::Id(text) | Wanted::Text(text) => f.write_str(text),
        }
    }
}

impl Filter {
    fn takes(&self, planned: &Planned) -> bool {
        if self.version.is_some_and(|version| version != planned.version) {
            return false;
        }
        match &self.wanted {
            Wanted::Id(prefix) => planned.statements().any(|(key, _)| begins(key.id, prefix)),
            Wanted::Text(words) => {
                let has = |text: &str| text.to_lowercase().replace('_', " ").contains(words.as_str());
                has(planned.test.name) || has(planned.test.about) || has(planned.section.title)
            }
        }
    }

    /// Why nothing matched, in one sentence.
    fn complaint(&self) -> String {
        let Wanted::Id(id) = &self.wanted else { return format!("no test matches '{self}'") };
        let known = catalogue()
            .iter()
            .find(|(key, _)| begins(key.id, id) && self.version.is_none_or(|version| version == key.version));
        match known {
            Some((key, statement)) if key.id == id => format!("{key} has no test here: {}", statement.why_untested()),
            Some(_) => format!("no test of the chosen versions decides a statement that begins with '{self}'"),
            None => {
                format!("no statement begins with '{self}'; the nearest are {}", catalogue().nearest(id).join(", "))
            }
        }
    }
}

/// `MQTT-3.1` begins `MQTT-3.1.2-24`, and not `MQTT-3.10.1-1`.
pub fn begins(id: &str, prefix: &str) -> bool {
    let number = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    id.strip_prefix(prefix).is_some_and(|rest| !(number(prefix.bytes().last()) && number(rest.bytes().next())))
}

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The versions to speak.
    pub versions: Vec<Version>,
    /// A test that any of these takes; all tests if there is none.
    pub filters: Vec<Filter>,
    /// Only these sections of the standard: `3.1` takes `3.1.2.4` too. All if there is none.
    pub sections: Vec<String>,
    /// Only tests of rules of such a weight.
    pub grades: Vec<Grade>,
    /// Only tests with such a mark.
    pub tags: Vec<Tag>,
    /// Also tests that need more than 5 s on a healthy broker.
    pub slow: bool,
}

/// Why a test does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Its version was not asked for, or no filter takes it.
    Filtered,
    /// It is slow.
    Slow,
}

impl Selection {
    /// Whether a test runs.
    ///
    /// # Errors
    /// Why it does not.
    pub fn admits(&self, planned: &Planned) -> Result<(), LeftOut> {
        let taken = self.filters.is_empty() || self.filters.iter().any(|filter| filter.takes(planned));
        let of_section = |prefix: &String| {
            let here = |section: &str| begins(section, prefix);
            here(planned.section.number) || planned.statements().any(|(_, rule)| here(&rule.section))
        };
        let of_grade = |grade: &Grade| planned.statements().any(|(_, rule)| Grade::of(rule.level) == *grade);
        let taken = taken
            && (self.sections.is_empty() || self.sections.iter().any(of_section))
            && (self.grades.is_empty() || self.grades.iter().any(of_grade))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| tag.marks(planned)));
        if !taken || !self.versions.contains(&planned.version) {
            return Err(LeftOut::Filtered);
        }
        if planned.test.slow && !self.slow { Err(LeftOut::Slow) } else { Ok(()) }
    }

    /// The tests that run, those that wait for a clock first and those that must be alone last.
    ///
    /// # Errors
    /// One sentence, when a filter takes no test of these versions at all, or all of them together take none.
    pub fn tests(&self) -> Result<Vec<Planned>, String> {
        let all = all();
        let spoken = |planned: &&Planned| self.versions.contains(&planned.version);
        if let Some(filter) =
            self.filters.iter().find(|filter| !all.iter().filter(spoken).any(|test| filter.takes(test)))
        {
            return Err(filter.complaint());
        }
        if all.iter().all(|planned| self.admits(planned) == Err(LeftOut::Filtered)) {
            return Err("no test has all that was asked for: version, filter, section, grade and tag".to_owned());
        }
        let mut chosen: Vec<_> = all.into_iter().filter(|planned| self.admits(planned).is_ok()).collect();
        chosen.sort_by_key(|planned| {
            let alone = planned.test.isolation == Isolation::Exclusive;
            (alone, !planned.test.slow, std::cmp::Reverse(planned.wait_seconds()), planned.number)
        });
        Ok(chosen)
    }
}
