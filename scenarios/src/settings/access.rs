//! Who may come in and what they may do: `users:` and `acl:` of a script's `broker:`.
//!
//! Rules are lines of the broker's own file of rules. Their filters go below the stage's root and the Client Identifiers of
//! their sections become the stage's, as those of the steps do.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, Visitor},
};
use squall_codec::wire::Text;

use crate::{
    script::{Filter, ScramWord, unknown},
    stage,
};

/// Somebody whom the broker knows by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As CONNECT has it.
    pub name: Text,
    /// For a password in CONNECT.
    pub password: Option<String>,
    /// For SCRAM-SHA-256; it is as SASLprep allows it, and so is the name.
    pub scram: Option<String>,
}

/// The users, in the order of the script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(pub Vec<User>);

/// One line of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclLine(Line);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    /// `user alice`: whom the rules below concern.
    Section { word: &'static str, name: Option<Text> },
    /// `topic read home/#`
    Rule { word: &'static str, access: &'static str, filter: String },
}

/// What may stand between `topic` or `pattern` and the filter.
pub const ACCESS_WORDS: [&str; 12] = [
    "read",
    "write",
    "readwrite",
    "publish",
    "subscribe",
    "receive",
    "deny",
    "deny-read",
    "deny-write",
    "deny-publish",
    "deny-subscribe",
    "deny-receive",
];

/// What a line may begin with.
const LINE_WORDS: [&str; 6] = ["topic", "pattern", "user", "client", "anonymous", "everybody"];

/// Levels that the filter of a rule may have below the stage's root: no broker of ours takes many more.
pub const RULE_LEVELS: usize = 100;
/// Bytes of a user's name.
const NAME_BYTES: usize = 1000;

impl AclLine {
    /// The line for a broker on which a stage with this namespace plays.
    pub fn placed(&self, namespace: &str) -> String {
        match &self.0 {
            Line::Section { word, name: None } => (*word).to_owned(),
            Line::Section { word: "client", name: Some(name) } => {
                format!("client {}", stage::client_id_in(namespace, name))
            }
            Line::Section { word, name: Some(name) } => format!("{word} {name}"),
            Line::Rule { word, access, filter } => {
                format!("{word} {access} {}", stage::full_topic_in(namespace, filter))
            }
        }
    }
}

/// The first word, and what stands behind it.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn acl_line(text: &str) -> Result<AclLine, String> {
    let text = text.trim();
    if text.contains(['\n', '\r']) {
        return Err("a rule is one line: each has an item of its own".to_owned());
    }
    let (first, rest) = split_word(text);
    let Some(word) = LINE_WORDS.into_iter().find(|word| *word == first) else {
        return Err(unknown("word of a rule", first, LINE_WORDS));
    };
    match word {
        "topic" | "pattern" => rule(word, rest),
        "anonymous" | "everybody" if rest.is_empty() => Ok(AclLine(Line::Section { word, name: None })),
        "anonymous" | "everybody" => Err(format!("'{word}' stands alone: the rules below it concern them")),
        _ if rest.is_empty() => Err(format!("'{word}' is followed by a name: the rules below it concern them")),
        _ => {
            let name = Text::new(rest).map_err(|error| format!("the name {error}"))?;
            Ok(AclLine(Line::Section { word, name: Some(name) }))
        }
    }
}

/// `[access] filter`.
fn rule(word: &'static str, rest: &str) -> Result<AclLine, String> {
    let (first, behind) = split_word(rest);
    let access = ACCESS_WORDS.into_iter().find(|access| *access == first);
    let (access, filter) = match access {
        Some(access) if !behind.is_empty() => (access, behind),
        // YAML takes what follows ` #` for a comment.
        _ if behind.is_empty() && (access.is_some() || first.is_empty()) => {
            return Err(format!("'{word} {rest}' names no topic; a rule with a # behind a space stands in quotes"));
        }
        None if behind.is_empty() => ("readwrite", rest),
        _ => return Err(unknown("access", first, ACCESS_WORDS)),
    };
    if filter.starts_with("$share/") {
        return Err("a rule speaks of the filter behind '$share/{ShareName}/', for every share alike".to_owned());
    }
    let Filter(filter) = Filter::parse(filter)?;
    let levels = filter.split('/').count();
    if levels > RULE_LEVELS {
        return Err(format!("{levels} levels are more than the {RULE_LEVELS} that a rule may have"));
    }
    Ok(AclLine(Line::Rule { word, access, filter }))
}

impl<'de> Deserialize<'de> for AclLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        acl_line(&text).map_err(de::Error::custom)
    }
}

/// A name that can stand in a file of users.
struct Name(Text);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let odd = name.contains(':') || name.starts_with('#') || name.trim() != name || name.contains(char::is_control);
        if name.is_empty() || odd || name.len() > NAME_BYTES {
            let message = format!(
                "'{name}' is no name of a user: it has 1 to {NAME_BYTES} bytes, no ':', no '#' in front, no space around it \
                 and no control characters"
            );
            return Err(de::Error::custom(message));
        }
        Text::new(name).map(Name).map_err(de::Error::custom)
    }
}

/// How a user proves who they are.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProofWords {
    password: Option<String>,
    scram: Option<ScramWord>,
}

#[derive(Deserialize)]
#[serde(try_from = "ProofWords")]
struct Proof(ProofWords);

impl TryFrom<ProofWords> for Proof {
    type Error = &'static str;

    fn try_from(words: ProofWords) -> Result<Self, &'static str> {
        match words {
            ProofWords { password: None, scram: None } => {
                Err("a user has a password, a scram (the password for SCRAM-SHA-256), or both")
            }
            words => Ok(Proof(words)),
        }
    }
}

/// What stands behind the name of a user.
struct Named(Text);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = User;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<User, D::Error> {
        let Named(name) = self;
        let Proof(ProofWords { password, scram }) = Proof::deserialize(deserializer)?;
        if scram.is_some() && stringprep::saslprep(&name).ok().as_deref() != Some(name.as_str()) {
            let message = format!("'{name}' is no name for SCRAM: SASLprep (RFC 4013) writes it otherwise");
            return Err(de::Error::custom(message));
        }
        Ok(User { name, password, scram: scram.map(|word| word.0) })
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Users;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("users with their passwords: { alice: { password: secret } }")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Users, A::Error> {
                let mut users = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    users.push(map.next_value_seed(Named(name))?);
                }
                Ok(Users(users))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
