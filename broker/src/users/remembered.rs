//! Passwords that were right a while ago. A fleet that comes back after a broken link, or a user whose name is under attack,
//! is recognised in microseconds where a hash is meant to take long.
//!
//! What is kept is no password but a code of it under a key that never leaves the memory of this run: one for each user, and
//! only while the user's line in the password file is the same.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use squall_codec::wire::Text;
use subtle::ConstantTimeEq;

use super::password_hash::PasswordHash;

/// The code of a right password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code([u8; 32]);

/// The codes of the users that came in.
pub(super) struct Remembered {
    key: [u8; 32],
    codes: Mutex<BTreeMap<Text, Code>>,
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").finish_non_exhaustive()
    }
}

impl Remembered {
    /// Nobody came in yet. The key is a secret of this run.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Remembered { key, codes: Mutex::default() }
    }

    /// The code that a password has for a user with this line.
    pub(super) fn code(&self, name: &str, hash: &PasswordHash, password: &[u8]) -> Code {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        for part in [name.as_bytes(), hash.to_string().as_bytes(), password] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Code(mac.finalize().into_bytes().into())
    }

    /// Whether this was right the last time.
    pub(super) fn knows(&self, name: &str, code: &Code) -> bool {
        let codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        codes.get(name).is_some_and(|known| known.0.ct_eq(&code.0).into())
    }

    /// This was right.
    pub(super) fn add(&self, name: Text, code: Code) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).insert(name, code);
    }

    /// The users are others.
    pub(super) fn forget(&self) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
