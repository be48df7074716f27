//! What the table of tests and liars is expected to show beside each test and its own liar. It is data
//! (`statements/acknowledged.yaml`, `statements/implied.yaml`), each line with its reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};

use crate::statement::{Key, catalogue};

/// Statements that a broker fulfils which acknowledges everything and delivers nothing: nothing else is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledged {
    /// `5.0/MQTT-3.12.4-1`.
    pub statements: Vec<String>,
    /// One sentence.
    pub because: String,
}

/// A lie that breaks the rules of other tests too.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Implied {
    /// In the words of the table of tests.
    pub liar: String,
    /// Of these tests.
    pub tests: Vec<String>,
    /// One sentence: why whoever tells this lie breaks their rules.
    pub because: String,
}

static ACKNOWLEDGED: LazyLock<Vec<Acknowledged>> = LazyLock::new(|| {
    serde_saphyr::from_str(include_str!("../statements/acknowledged.yaml")).expect("the data is right")
});

static IMPLIED: LazyLock<Vec<Implied>> =
    LazyLock::new(|| serde_saphyr::from_str(include_str!("../statements/implied.yaml")).expect("the data is right"));

/// What acknowledging everything fulfils.
pub fn acknowledged() -> &'static [Acknowledged] {
    &ACKNOWLEDGED
}

/// What a lie breaks beside the rule that it is about.
pub fn implied() -> &'static [Implied] {
    &IMPLIED
}

/// The statements that acknowledging everything fulfils, each with the reason.
pub fn by_acknowledging() -> BTreeMap<&'static str, &'static str> {
    let lines = acknowledged().iter();
    lines.flat_map(|line| line.statements.iter().map(|key| (key.as_str(), line.because.as_str()))).collect()
}

/// Whether a liar in these words is expected to break the rule of this test.
pub fn is_implied(liar: &str, test: &str) -> bool {
    implied().iter().any(|line| line.liar == liar && line.tests.iter().any(|name| name == test))
}

/// The lies and tests that the data joins though the one does not break the other: `broken` has those that do.
pub fn needless(broken: &BTreeSet<(&str, &str)>) -> Vec<Needless> {
    let pairs = implied().iter().flat_map(|line| line.tests.iter().map(|test| (line.liar.as_str(), test.as_str())));
    let needless = pairs.filter(|pair| !broken.contains(pair));
    needless.map(|(liar, test)| Needless { liar: liar.to_owned(), test: test.to_owned() }).collect()
}

/// A line that would excuse an accusation which nobody makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Needless {
    /// In the words of the table of tests.
    pub liar: String,
    /// Its name.
    pub test: String,
}

/// Whether one of these statements touches one of the others, as the catalogue says.
pub fn touch(some: &[&str], others: &[&str]) -> bool {
    let touches = |one: &str, other: &str| {
        let (Some(one), Some(other)) = (Key::parse(one), Key::parse(other)) else { return false };
        let named = |key: Key<'_>, id: &str| {
            catalogue().find(key).is_some_and(|statement| statement.related.iter().any(|related| related == id))
        };
        one.version == other.version && (named(one, other.id) || named(other, one.id))
    };
    some.iter().any(|one| others.iter().any(|other| touches(one, other)))
}
