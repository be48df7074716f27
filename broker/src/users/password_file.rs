//! The password file: who there is, and how each proves it. `name:hash`, one user a line; a user may have a line with a
//! password and one for SCRAM-SHA-256.

use std::{collections::BTreeMap, path::Path};

use squall_codec::wire::Text;

use super::{
    file_error::{self, FileError, Line, printable},
    password_hash::{HashError, PasswordHash},
    scram::ScramCredential,
};

/// The users of a server.
#[derive(Clone, Debug, Default)]
pub struct Passwords {
    users: BTreeMap<Text, User>,
    /// Every password hash, in the order of the file: an unknown name is compared with one of them.
    hashes: Vec<PasswordHash>,
    /// What a client is told of each SCRAM line: an unknown name is answered with something like one of them.
    scrams: Vec<ScramShape>,
}

/// One user.
#[derive(Clone, Debug, Default)]
pub struct User {
    /// For a password in CONNECT.
    pub password: Option<PasswordHash>,
    /// For SCRAM-SHA-256.
    pub scram: Option<ScramCredential>,
}

/// How a SCRAM line looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScramShape {
    pub(super) iterations: u32,
    pub(super) salt_bytes: usize,
}

/// What stands behind the name of a line.
pub(super) enum Proof {
    Password(PasswordHash),
    Scram(ScramCredential),
}

impl Passwords {
    /// Reads a password file.
    ///
    /// # Errors
    /// When the file cannot be read, or names the line that is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Passwords::parse(path, &file_error::read(path)?)
    }

    /// Reads the lines of a password file; `path` is what errors call it.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, FileError> {
        let mut passwords = Passwords::default();
        let mut seen: BTreeMap<(Text, bool), usize> = BTreeMap::new();
        for line in file_error::lines(path, file_error::text(path, bytes)?) {
            let (name, proof) = parse_line(line)?;
            let is_scram = matches!(proof, Proof::Scram(_));
            if let Some(first) = seen.insert((name.clone(), is_scram), line.number) {
                let what = if is_scram { "SCRAM line" } else { "password" };
                let sentence = format!("'{name}' has a {what} in line {first} already");
                return Err(complain(line, &name, 0..name.chars().count(), sentence));
            }
            passwords.insert(name, proof);
        }
        Ok(passwords)
    }

    /// Adds how a user proves who they are.
    fn insert(&mut self, name: Text, proof: Proof) {
        let user = self.users.entry(name).or_default();
        match proof {
            Proof::Password(hash) => {
                self.hashes.push(hash.clone());
                user.password = Some(hash);
            }
            Proof::Scram(credential) => {
                self.scrams.push(credential.shape());
                user.scram = Some(credential);
            }
        }
    }

    /// A user, by name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether anybody has a SCRAM line: otherwise the method is not offered.
    pub fn offers_scram(&self) -> bool {
        !self.scrams.is_empty()
    }

    /// Some user's hash, always the same for the same number: what an unknown name costs is spread as it is for known ones.
    pub(super) fn any_hash(&self, number: u64) -> Option<&PasswordHash> {
        pick(&self.hashes, number)
    }

    /// As `any_hash`, of the SCRAM lines.
    pub(super) fn any_scram(&self, number: u64) -> Option<ScramShape> {
        pick(&self.scrams, number).copied()
    }
}

fn pick<T>(all: &[T], number: u64) -> Option<&T> {
    let index = number.checked_rem(all.len() as u64)?;
    all.get(usize::try_from(index).ok()?)
}

/// One line: name and proof.
pub(super) fn parse_line(line: Line<'_>) -> Result<(Text, Proof), FileError> {
    let Some((name, proof)) = line.text.split_once(':') else {
        // The whole line may be a password that somebody forgot to hash.
        return Err(line.fault("…".to_owned(), 0..1, "expected name:hash", None));
    };
    let (name, proof) = (name.trim_end(), proof.trim_start());
    if name.is_empty() {
        return Err(complain(line, name, 0..1, "no name before ':'".to_owned()));
    }
    let behind_name = name.chars().count() + 1;
    let marked = behind_name..behind_name + 1;
    let name_text = check_name(name).map_err(|sentence| complain(line, name, 0..behind_name - 1, sentence))?;
    let parsed = match proof.strip_prefix("$scram-sha-256$") {
        Some(rest) => ScramCredential::parse(rest).map(Proof::Scram),
        None => PasswordHash::parse(proof).map(Proof::Password),
    };
    let proof = parsed.map_err(|error| {
        let help = match error {
            HashError::Unhashed if proof.is_empty() => "a user without a password cannot log in".to_owned(),
            error => error.to_string(),
        };
        complain(line, name, marked, help)
    })?;
    if matches!(proof, Proof::Scram(_)) && stringprep::saslprep(name).ok().as_deref() != Some(name) {
        let sentence = "a name for SCRAM has to be as SASLprep (RFC 4013) leaves it".to_owned();
        return Err(complain(line, name, 0..behind_name - 1, sentence));
    }
    Ok((name_text, proof))
}

/// An error that shows of the line the name alone: what follows is a secret, hashed or not.
fn complain(line: Line<'_>, name: &str, marked: std::ops::Range<usize>, sentence: String) -> FileError {
    let name: String = name.chars().take(64).map(printable).collect();
    let end = name.chars().count() + 2;
    let marked = marked.start.min(end - 1)..marked.end.min(end);
    line.fault(format!("{name}:…"), marked, sentence, None)
}

/// A name that can stand in a password file and in CONNECT.
pub(super) fn check_name(name: &str) -> Result<Text, String> {
    if name.is_empty() {
        return Err("the name of a user is empty".to_owned());
    }
    if name.contains(':') || name.starts_with('#') || name.trim() != name || name.contains(char::is_control) {
        return Err(
            "the name of a user has no ':', no '#' in front, no space around it, and no control characters".to_owned()
        );
    }
    match Text::new(name) {
        Ok(text) if name.len() <= usize::from(u16::MAX) => Ok(text),
        Ok(_) => Err(format!("the name of a user has more than {} bytes", u16::MAX)),
        Err(error) => Err(format!("the name of a user {error}")),
    }
}
