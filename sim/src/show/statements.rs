//! The statements of the two standards in plain words: `statements.tsv` has key, section and words of each, drawn from
//! the catalogue of the audit, whose tests compare the two.

/// The file, a statement a line: `5.0/MQTT-3.1.0-2`, tab, section, tab, words.
const STATEMENTS: &str = include_str!("statements.tsv");

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// With its version: `5.0/MQTT-3.1.0-2`.
    pub key: &'static str,
    /// Of the standard.
    pub section: &'static str,
    /// In plain words.
    pub words: &'static str,
}

/// All of them, in the order of the standards.
pub fn all() -> impl Iterator<Item = Statement> {
    STATEMENTS.lines().filter_map(|line| {
        let (key, rest) = line.split_once('\t')?;
        let (section, words) = rest.split_once('\t')?;
        Some(Statement { key, section, words })
    })
}

/// The one with this key.
pub fn find(key: &str) -> Option<Statement> {
    all().find(|statement| statement.key == key)
}
