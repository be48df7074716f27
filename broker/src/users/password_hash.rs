//! The hash of one password, as it stands in a password file.
//!
//! | line | what | who writes it |
//! |---|---|---|
//! | `$argon2id$v=19$m=19456,t=2,p=1$salt$hash` | Argon2id in the PHC format | we; Mosquitto 2.1 |
//! | `$7$iterations$salt$hash` | PBKDF2 with HMAC-SHA-512 | Mosquitto 2.0 |
//! | `$6$salt$hash` | SHA-512 of the password and the salt behind it | Mosquitto 1.x |
//!
//! Salt and hash are Base64.

use std::fmt;

use argon2::{Algorithm, Argon2, Params};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::Hmac;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

/// Iterations that a `$7$` line may ask for: above it one log-in would take seconds.
pub const PBKDF2_ITERATIONS: u32 = 5_000_000;
/// Memory in KiB that an Argon2id line may ask for.
pub const ARGON2_MEMORY: u32 = 256 << 10;
/// Passes over the memory that an Argon2id line may ask for.
pub const ARGON2_PASSES: u32 = 32;
/// Lanes that an Argon2id line may ask for.
pub const ARGON2_LANES: u32 = 16;
/// Bytes of a salt.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 1..=64;
/// What a new line costs: 19 MiB, two passes, one lane.
const NEW_MEMORY: u32 = 19 << 10;
const NEW_PASSES: u32 = 2;
const NEW_LANES: u32 = 1;
const NEW_BYTES: usize = 32;

/// Base64 as others write it, with the padding or without.
pub(super) const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The hash of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Scheme);

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Sha512 { salt: Vec<u8>, hash: Vec<u8> },
    Pbkdf2 { iterations: u32, salt: Vec<u8>, hash: Vec<u8> },
    Argon2id { params: Params, salt: Vec<u8>, hash: Vec<u8> },
}

/// Why a text is no hash of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It does not begin as one.
    #[error("no hash of a password; one begins with $argon2id$, $7$, $6$ or $scram-sha-256$")]
    Unhashed,
    /// Another kind.
    #[error("'${0}$' is no kind of hash that is known; $argon2id$, $7$, $6$ and $scram-sha-256$ are")]
    Unknown(String),
    /// Not the parts of its kind.
    #[error("expected {0}")]
    Parts(&'static str),
    /// Not Base64.
    #[error("the {0} is no Base64")]
    Base64(&'static str),
    /// Base64 of something longer or shorter.
    #[error("the {part} has {found} bytes and not {expected}")]
    Length {
        /// Of the line.
        part: &'static str,
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: &'static str,
    },
    /// A number that would take too long, or is none.
    #[error("{part} '{found}' is not a number from {least} to {most}")]
    Cost {
        /// Of the line.
        part: &'static str,
        /// What stands there.
        found: String,
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
}

impl PasswordHash {
    /// The hash with which a new password is kept: Argon2id.
    pub fn create(password: &[u8], salt: [u8; 16]) -> Self {
        let params = Params::new(NEW_MEMORY, NEW_PASSES, NEW_LANES, Some(NEW_BYTES)).expect("valid costs");
        let hash = argon2id(&params, password, &salt, NEW_BYTES);
        PasswordHash(Scheme::Argon2id { params, salt: salt.to_vec(), hash })
    }

    /// A hash that costs next to nothing, to make and to guess: for simulations.
    pub fn create_cheap(password: &[u8], salt: &[u8]) -> Self {
        let mut hash = vec![0; 64];
        pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, 1, &mut hash).expect("HMAC takes a key of any length");
        PasswordHash(Scheme::Pbkdf2 { iterations: 1, salt: salt.to_vec(), hash })
    }

    /// Reads a line's part behind the name.
    ///
    /// # Errors
    /// Says what is wrong, and never repeats what may be a password.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let (scheme, rest) = text.strip_prefix('$').and_then(|text| text.split_once('$')).ok_or(HashError::Unhashed)?;
        let parts: Vec<&str> = rest.split('$').collect();
        match scheme {
            "6" => match parts[..] {
                [salt, hash] => Ok(PasswordHash(Scheme::Sha512 { salt: salt_of(salt)?, hash: hash_of_64(hash)? })),
                _ => Err(HashError::Parts("$6$salt$hash")),
            },
            "7" => match parts[..] {
                [iterations, salt, hash] => Ok(PasswordHash(Scheme::Pbkdf2 {
                    iterations: cost("iterations", iterations, 1, PBKDF2_ITERATIONS)?,
                    salt: salt_of(salt)?,
                    hash: hash_of_64(hash)?,
                })),
                _ => Err(HashError::Parts("$7$iterations$salt$hash")),
            },
            "argon2id" => argon2id_of(&parts).map(PasswordHash),
            other => Err(HashError::Unknown(kind(other))),
        }
    }

    /// Whether it is the hash of this password. What differs does not show in the time it takes.
    pub fn matches(&self, password: &[u8]) -> bool {
        match &self.0 {
            Scheme::Sha512 { salt, hash } => {
                let found = Sha512::new().chain_update(password).chain_update(salt).finalize();
                found.as_slice().ct_eq(hash).into()
            }
            Scheme::Pbkdf2 { iterations, salt, hash } => {
                let mut found = [0; 64];
                pbkdf2::pbkdf2::<Hmac<Sha512>>(password, salt, *iterations, &mut found)
                    .expect("HMAC takes a key of any length");
                found.ct_eq(hash).into()
            }
            Scheme::Argon2id { params, salt, hash } => {
                argon2id(params, password, salt, hash.len()).as_slice().ct_eq(hash).into()
            }
        }
    }

    /// Whether `matches` takes microseconds: then it is not worth a thread.
    pub fn is_cheap(&self) -> bool {
        matches!(self.0, Scheme::Sha512 { .. })
    }
}

fn argon2id(params: &Params, password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut hash = vec![0; length];
    Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params.clone())
        .hash_password_into(password, salt, &mut hash)
        .expect("lengths were checked when the line was read, and MQTT bounds the password");
    hash
}

fn argon2id_of(parts: &[&str]) -> Result<Scheme, HashError> {
    const SHAPE: HashError = HashError::Parts("$argon2id$v=19$m=memory,t=passes,p=lanes$salt$hash");
    let ["v=19", costs, salt, hash] = parts else { return Err(SHAPE) };
    let mut numbers = costs.split(',').zip(["m=", "t=", "p="]).map(|(text, name)| text.strip_prefix(name));
    let (Some(Some(memory)), Some(Some(passes)), Some(Some(lanes)), 3) =
        (numbers.next(), numbers.next(), numbers.next(), costs.split(',').count())
    else {
        return Err(SHAPE);
    };
    let lanes = cost("p", lanes, 1, ARGON2_LANES)?;
    let passes = cost("t", passes, 1, ARGON2_PASSES)?;
    // Each lane needs eight blocks.
    let memory = cost("m", memory, 8 * lanes, ARGON2_MEMORY)?;
    let salt = salt_of(salt)?;
    let found = salt.len();
    if found < argon2::MIN_SALT_LEN {
        return Err(HashError::Length { part: "salt", found, expected: "8 to 64" });
    }
    let hash = decode("hash", hash)?;
    let found = hash.len();
    if !(16..=64).contains(&found) {
        return Err(HashError::Length { part: "hash", found, expected: "16 to 64" });
    }
    let params = Params::new(memory, passes, lanes, Some(found)).map_err(|_| SHAPE)?;
    Ok(Scheme::Argon2id { params, salt, hash })
}

/// The name of a kind for a sentence, if it looks like one: what stands there could be anything.
fn kind(text: &str) -> String {
    let is_name = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_name { text.to_owned() } else { "…".to_owned() }
}

pub(super) fn cost(part: &'static str, text: &str, least: u32, most: u32) -> Result<u32, HashError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
    number.ok_or_else(|| HashError::Cost { part, found: text.chars().take(20).collect(), least, most })
}

pub(super) fn decode(part: &'static str, text: &str) -> Result<Vec<u8>, HashError> {
    LENIENT.decode(text).map_err(|_| HashError::Base64(part))
}

pub(super) fn salt_of(text: &str) -> Result<Vec<u8>, HashError> {
    let salt = decode("salt", text)?;
    let found = salt.len();
    if SALT_BYTES.contains(&found) {
        Ok(salt)
    } else {
        Err(HashError::Length { part: "salt", found, expected: "1 to 64" })
    }
}

fn hash_of_64(text: &str) -> Result<Vec<u8>, HashError> {
    let hash = decode("hash", text)?;
    let found = hash.len();
    if found == 64 { Ok(hash) } else { Err(HashError::Length { part: "hash", found, expected: "64" }) }
}

/// As it stands in the file.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let padded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let bare = |bytes: &[u8]| base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
        match &self.0 {
            Scheme::Sha512 { salt, hash } => write!(f, "$6${}${}", padded(salt), padded(hash)),
            Scheme::Pbkdf2 { iterations, salt, hash } => {
                write!(f, "$7${iterations}${}${}", padded(salt), padded(hash))
            }
            Scheme::Argon2id { params, salt, hash } => {
                let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
                write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${}${}", bare(salt), bare(hash))
            }
        }
    }
}

/// Without the hash: logs are read by more people than password files.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Scheme::Sha512 { .. } => "$6$…",
            Scheme::Pbkdf2 { .. } => "$7$…",
            Scheme::Argon2id { .. } => "$argon2id$…",
        })
    }
}
