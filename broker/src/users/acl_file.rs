//! The file of rules. What Mosquitto's `acl_file` says is read as Mosquitto reads it; sections for Client Identifiers and
//! finer words are ours.
//!
//! ```text
//! # Before the first section: clients without a user name.
//! topic read public/#
//!
//! user alice
//! topic home/#
//! topic deny-write home/settings/#
//!
//! client boiler-7
//! topic publish plant/boiler/7
//!
//! # Everybody, in whichever section it stands; %c is the Client Identifier, %u the user's name.
//! pattern readwrite users/%u/#
//! ```
//!
//! A line without an access word means `readwrite`. `read` is `subscribe` and `receive`. A subscription that one rule does
//! not cover as a whole is refused; where Mosquitto would grant it and filter what it brings, `pattern subscribe #` does the
//! same.

use std::path::Path;

use squall_codec::wire::Text;

use super::file_error::{self, FileError, Line, nearest};
use crate::core::acl::{Acl, Actions, Rule, RuleFilter, Verdict, Whom};

/// What may stand between `topic` or `pattern` and the filter.
const ACCESS: &[(&str, Verdict, Actions)] = &[
    ("read", Verdict::Allow, Actions::READ),
    ("write", Verdict::Allow, Actions::WRITE),
    ("readwrite", Verdict::Allow, Actions::READ_WRITE),
    ("publish", Verdict::Allow, Actions::PUBLISH),
    ("subscribe", Verdict::Allow, Actions::SUBSCRIBE),
    ("receive", Verdict::Allow, Actions::RECEIVE),
    ("deny", Verdict::Deny, Actions::READ_WRITE),
    ("deny-read", Verdict::Deny, Actions::READ),
    ("deny-write", Verdict::Deny, Actions::WRITE),
    ("deny-publish", Verdict::Deny, Actions::PUBLISH),
    ("deny-subscribe", Verdict::Deny, Actions::SUBSCRIBE),
    ("deny-receive", Verdict::Deny, Actions::RECEIVE),
];

/// What a line may begin with.
const WORDS: &[&str] = &["topic", "pattern", "user", "client", "anonymous", "everybody"];

/// Reads the rules of a file. A file without rules denies everything.
///
/// # Errors
/// When the file cannot be read, or names the line that is wrong.
pub fn read(path: &Path) -> Result<Acl, FileError> {
    parse(path, &file_error::read(path)?)
}

/// Reads rules; `path` is what errors call them.
///
/// # Errors
/// Names the line that is wrong.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Acl, FileError> {
    let mut section = Whom::Anonymous;
    let mut rules = Vec::new();
    for line in file_error::lines(path, file_error::text(path, bytes)?) {
        let (word, rest) = split_word(line.text);
        match word {
            "topic" => rules.push(rule(line, section.clone(), rest, RuleFilter::literal)?),
            "pattern" => rules.push(rule(line, Whom::Everybody, rest, RuleFilter::pattern)?),
            "user" => section = Whom::User(name(line, "user", rest)?),
            "client" => section = Whom::Client(name(line, "client", rest)?),
            "anonymous" | "everybody" if !rest.is_empty() => {
                return Err(line.error(rest, format!("'{word}' stands alone on its line"), None));
            }
            "anonymous" => section = Whom::Anonymous,
            "everybody" => section = Whom::Everybody,
            unknown => {
                let help = match nearest(unknown, WORDS.iter().copied()) {
                    Some(word) => format!("did you mean '{word}'?"),
                    None => format!("expected one of {}", WORDS.join(", ")),
                };
                return Err(line.error(unknown, format!("unknown word '{}'", shown(unknown)), Some(help)));
            }
        }
    }
    Ok(Acl::new(rules))
}

/// `[access] filter`.
fn rule<E: std::fmt::Display>(
    line: Line<'_>,
    whom: Whom,
    rest: &str,
    parse: impl Fn(&str) -> Result<RuleFilter, E>,
) -> Result<Rule, FileError> {
    let (word, behind) = split_word(rest);
    let access = ACCESS.iter().find(|(name, ..)| *name == word);
    let (verdict, actions, filter) = match access {
        Some(&(_, verdict, actions)) if !behind.is_empty() => (verdict, actions, behind),
        Some(_) => {
            let help = format!("where '{word}' is the topic, write 'readwrite {word}'");
            return Err(line.error(word, format!("no topic behind '{word}'"), Some(help)));
        }
        None if rest.is_empty() => return Err(line.error(line.text, "no topic", None)),
        None if behind.is_empty() => (Verdict::Allow, Actions::READ_WRITE, rest),
        None => {
            let help = match nearest(word, ACCESS.iter().map(|(name, ..)| *name)) {
                Some(word) => format!("did you mean '{word}'?"),
                None => {
                    let words: Vec<&str> = ACCESS.iter().map(|(name, ..)| *name).collect();
                    format!("expected one of {}, which only a topic without spaces can do without", words.join(", "))
                }
            };
            return Err(line.error(word, format!("'{}' is no access", shown(word)), Some(help)));
        }
    };
    match parse(filter) {
        Ok(filter) => Ok(Rule { whom, verdict, actions, filter }),
        Err(error) => {
            let help = filter.contains(" #").then(|| "a comment has a line of its own".to_owned());
            Err(line.error(filter, format!("the topic {error}"), help))
        }
    }
}

/// The name of a section.
fn name(line: Line<'_>, word: &str, name: &str) -> Result<Text, FileError> {
    if name.is_empty() {
        return Err(line.error(line.text, format!("no name behind '{word}'"), None));
    }
    Text::new(name).map_err(|error| line.error(name, format!("the name {error}"), None))
}

/// The first word, and what stands behind it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, &text[text.len()..]));
    (word, rest.trim_start())
}

/// A word for a sentence: not longer than a word is.
fn shown(word: &str) -> String {
    word.chars().take(32).map(file_error::printable).collect()
}
