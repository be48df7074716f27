//! Changes a password file: one user, everything else as it stands, comments too. The file is replaced in one step, so that
//! whoever reads it sees the old one or the new one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use squall_codec::wire::Text;

use super::{
    entropy::Entropy,
    file_error::{self, FileError, Line},
    password_file::{Passwords, Proof, check_name, parse_line},
    password_hash::PasswordHash,
    scram::{ITERATIONS_BOUNDS, ScramCredential},
};

/// What has happened to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A line was added.
    Added,
    /// The user's line was replaced.
    Replaced,
}

/// Sets a user's password: an Argon2id line. A file that is not there is made, readable by its owner alone.
///
/// # Errors
/// When the name or the password cannot be one, a line of the file is wrong, or the file cannot be replaced.
pub fn set_password(path: &Path, name: &str, password: &[u8], entropy: &dyn Entropy) -> Result<Change, FileError> {
    let name = checked(name)?;
    if password.is_empty() {
        return Err(FileError::User("the password is empty".to_owned()));
    }
    let hash = PasswordHash::create(password, salt(entropy)?);
    set(path, &name, Proof::Password(hash))
}

/// Sets a user's line for SCRAM-SHA-256.
///
/// # Errors
/// As `set_password`, and when SASLprep refuses the name or the password.
pub fn set_scram(
    path: &Path,
    name: &str,
    password: &str,
    iterations: u32,
    entropy: &dyn Entropy,
) -> Result<Change, FileError> {
    let name = checked(name)?;
    let (least, most) = ITERATIONS_BOUNDS.into_inner();
    if !(least..=most).contains(&iterations) {
        return Err(FileError::User(format!("{iterations} iterations: expected {least} to {most}")));
    }
    let salt = salt(entropy)?.to_vec();
    let credential = ScramCredential::create(password, salt, iterations).map_err(|_| {
        FileError::User("the password is empty or has characters that SASLprep does not allow".to_owned())
    })?;
    set(path, &name, Proof::Scram(credential))
}

/// Takes a user out, with both lines.
///
/// # Errors
/// When there is no such user, a line of the file is wrong, or the file cannot be replaced.
pub fn delete(path: &Path, name: &str) -> Result<(), FileError> {
    let editing = Editing::begin(path)?;
    let old = editing.read()?.ok_or_else(|| {
        FileError::io("read", &editing.target, io::Error::new(io::ErrorKind::NotFound, "there is no such file"))
    })?;
    let text = file_error::text(path, &old)?;
    Passwords::parse(path, &old)?;
    let mut kept = String::new();
    let mut found = false;
    for raw in text.split_inclusive('\n') {
        match parsed(path, raw) {
            Some((other, _)) if other == *name => found = true,
            _ => kept.push_str(raw),
        }
    }
    if !found {
        return Err(FileError::User(format!("there is no user '{name}' in {}", path.display())));
    }
    editing.replace(kept.as_bytes())
}

fn checked(name: &str) -> Result<Text, FileError> {
    check_name(name).map_err(FileError::User)
}

fn salt(entropy: &dyn Entropy) -> Result<[u8; 16], FileError> {
    let mut salt = [0; 16];
    entropy.fill(&mut salt).map_err(|error| FileError::User(error.to_string()))?;
    Ok(salt)
}

fn set(path: &Path, name: &Text, proof: Proof) -> Result<Change, FileError> {
    let editing = Editing::begin(path)?;
    let old = editing.read()?.unwrap_or_default();
    let text = file_error::text(path, &old)?;
    Passwords::parse(path, &old)?;
    let (line, is_scram) = match proof {
        Proof::Password(hash) => (format!("{name}:{hash}\n"), false),
        Proof::Scram(credential) => (format!("{name}:{credential}\n"), true),
    };
    let mut change = Change::Added;
    let mut new = String::new();
    for raw in text.split_inclusive('\n') {
        match parsed(path, raw) {
            Some((other, proof)) if other == *name && matches!(proof, Proof::Scram(_)) == is_scram => {
                change = Change::Replaced;
                new.push_str(&line);
            }
            _ => new.push_str(raw),
        }
    }
    if change == Change::Added {
        if !new.is_empty() && !new.ends_with('\n') {
            new.push('\n');
        }
        new.push_str(&line);
    }
    // A name that cannot be read back, as one that SASLprep changes, is told before anything is written.
    Passwords::parse(path, new.as_bytes())?;
    editing.replace(new.as_bytes())?;
    Ok(change)
}

/// Whose line this is, if it says anything.
fn parsed(path: &Path, raw: &str) -> Option<(Text, Proof)> {
    let text = raw.trim();
    let says_something = !text.is_empty() && !text.starts_with('#');
    says_something.then(|| parse_line(Line { path, number: 0, text }).ok()).flatten()
}

/// One change of the file. Others who change it wait; those who read it do not.
struct Editing {
    /// The file itself, where `path` is a link to it.
    target: PathBuf,
    folder: PathBuf,
    /// Held until the end.
    _lock: Option<File>,
}

impl Editing {
    fn begin(path: &Path) -> Result<Self, FileError> {
        let target = match fs::canonicalize(path) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(FileError::io("find", path, error)),
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let lock = lock(&folder).map_err(|error| FileError::io("lock", &folder, error))?;
        Ok(Editing { target, folder, _lock: lock })
    }

    /// What stands there; `None` if nothing does.
    fn read(&self) -> Result<Option<Vec<u8>>, FileError> {
        match file_error::read(&self.target) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FileError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn replace(self, bytes: &[u8]) -> Result<(), FileError> {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let draft = self.folder.join(format!(".{name}.new"));
        let written = self.write(&draft, bytes);
        if written.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&draft);
        }
        written.map_err(|error| FileError::io("replace", &self.target, error))
    }

    fn write(&self, draft: &Path, bytes: &[u8]) -> io::Result<()> {
        // Of somebody who was interrupted; whoever is at work holds the lock.
        match fs::remove_file(draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = private_file(draft)?;
        file.write_all(bytes)?;
        if let Ok(old) = fs::metadata(&self.target) {
            keep_owner_and_mode(&file, &old)?;
        }
        file.sync_all()?;
        fs::rename(draft, &self.target)?;
        sync_folder(&self.folder)
    }
}

#[cfg(unix)]
fn lock(folder: &Path) -> io::Result<Option<File>> {
    let folder = File::open(folder)?;
    folder.lock()?;
    Ok(Some(folder))
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A folder cannot be locked here: who changes a file at the same time may undo the other's change.
#[cfg(not(unix))]
fn lock(_folder: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(not(unix))]
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(not(unix))]
fn keep_owner_and_mode(_file: &File, _old: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
