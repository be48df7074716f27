//! SCRAM-SHA-256 (RFC 5802 and RFC 7677), the server's side, without channel binding. Bytes in, bytes out; nonces are handed
//! in.
//!
//! ```text
//! client → n,,n=user,r=<client nonce>                          CONNECT, or AUTH 0x19
//! server → r=<client nonce><server nonce>,s=<salt>,i=<count>   AUTH 0x18
//! client → c=biws,r=<both nonces>,p=<proof>                    AUTH 0x18
//! server → v=<signature>                                       CONNACK, or AUTH 0x00
//! ```
//!
//! An unknown name is led through the same steps, with a salt that is always the same for that name, and refused at the end
//! as a wrong password is.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use squall_codec::wire::Text;
use subtle::ConstantTimeEq;

use super::{
    password_file::{Passwords, ScramShape},
    password_hash::{HashError, cost, decode, salt_of},
};

/// The Authentication Method.
pub const METHOD: &str = "SCRAM-SHA-256";
/// Iterations of a new line. The client pays for them at each log-in, and it may be a small one.
pub const ITERATIONS: u32 = 20_000;
/// Iterations that a line may ask for; RFC 7677 names the least.
pub const ITERATIONS_BOUNDS: std::ops::RangeInclusive<u32> = 4096..=10_000_000;
/// Bytes of a message of the client.
const MESSAGE_BYTES: usize = 4096;
/// Bytes of the salt of a new line.
const SALT_BYTES: usize = 16;

type Key = [u8; 32];

/// What the server keeps of a password: enough to recognise it, not enough to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

impl ScramCredential {
    /// From a password.
    ///
    /// # Errors
    /// When the password has a character that SASLprep does not allow, or nothing is left of it.
    pub fn create(password: &str, salt: Vec<u8>, iterations: u32) -> Result<Self, ScramError> {
        let prepared = prepare(password)?;
        let mut salted = Key::default();
        pbkdf2::pbkdf2::<Hmac<Sha256>>(prepared.as_bytes(), &salt, iterations, &mut salted)
            .expect("HMAC takes a key of any length");
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        Ok(ScramCredential { iterations, salt, stored_key, server_key: hmac(&salted, b"Server Key") })
    }

    /// Reads `iterations$salt$StoredKey$ServerKey`.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let parts: Vec<&str> = text.split('$').collect();
        let [iterations, salt, stored_key, server_key] = parts[..] else {
            return Err(HashError::Parts("$scram-sha-256$iterations$salt$StoredKey$ServerKey"));
        };
        let key = |part, text| {
            let bytes = decode(part, text)?;
            Key::try_from(&*bytes).map_err(|_| HashError::Length { part, found: bytes.len(), expected: "32" })
        };
        Ok(ScramCredential {
            iterations: cost("iterations", iterations, *ITERATIONS_BOUNDS.start(), *ITERATIONS_BOUNDS.end())?,
            salt: salt_of(salt)?,
            stored_key: key("StoredKey", stored_key)?,
            server_key: key("ServerKey", server_key)?,
        })
    }

    pub(super) fn shape(&self) -> ScramShape {
        ScramShape { iterations: self.iterations, salt_bytes: self.salt.len() }
    }

    /// Looks like one of a user, and nobody's password opens it.
    fn fake(secret: &Key, name: &str, shape: ScramShape) -> Self {
        let mut salt = Vec::new();
        while salt.len() < shape.salt_bytes {
            let count = (salt.len() / 32) as u8;
            salt.extend(hmac(secret, &[b"salt".as_slice(), &[count], name.as_bytes()].concat()));
        }
        salt.truncate(shape.salt_bytes);
        let key = hmac(secret, &[b"key".as_slice(), name.as_bytes()].concat());
        ScramCredential { iterations: shape.iterations, salt, stored_key: key, server_key: key }
    }
}

/// As it stands in the file, behind the name.
impl fmt::Display for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|b| BASE64.encode(b));
        write!(f, "$scram-sha-256${}${salt}${stored}${server}", self.iterations)
    }
}

/// Without the keys.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$scram-sha-256${}$…", self.iterations)
    }
}

/// Why an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not as RFC 5802 writes it.
    #[error("the client's message is malformed: {0}")]
    Malformed(&'static str),
    /// `p=`: channel binding, or something else that is mandatory and unknown.
    #[error("the client wants what is not offered: {0}")]
    Unsupported(&'static str),
    /// A name or password that SASLprep refuses.
    #[error("a name or password has characters that SASLprep does not allow")]
    Unprepared,
    /// The wrong password, or nobody's name.
    #[error("wrong name or password")]
    Wrong,
}

/// An exchange whose first half is done.
pub struct ServerFirst {
    name: Text,
    is_known: bool,
    credential: ScramCredential,
    /// What the client's `c=` has to say.
    gs2_header: String,
    /// Both nonces.
    nonce: String,
    /// `client-first-message-bare,server-first-message`
    so_far: String,
    /// How long the first of these is.
    bare: usize,
}

impl fmt::Debug for ServerFirst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFirst").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ServerFirst {
    /// Takes the client's first message. `secret` makes the salts of unknown names; `nonce` has never been used before.
    ///
    /// # Errors
    /// When the message is not one, or nobody could ever answer it.
    pub fn new(message: &[u8], users: &Passwords, secret: &Key, nonce: &str) -> Result<Self, ScramError> {
        let message = text(message)?;
        let (gs2_header, bare) = split_gs2_header(message)?;
        let mut parts = bare.split(',');
        let name = match parts.next() {
            Some(part) if part.starts_with("m=") => return Err(ScramError::Unsupported("a mandatory extension")),
            part => value(part, "n=").ok_or(ScramError::Malformed("no n="))?,
        };
        let client_nonce = value(parts.next(), "r=").ok_or(ScramError::Malformed("no r="))?;
        if client_nonce.is_empty() || !client_nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ScramError::Malformed("a nonce that is empty or not printable"));
        }
        check_extensions(parts)?;
        let name = prepare(&unescape(name)?)?;
        let authorization = gs2_header.split(',').nth(1).and_then(|part| part.strip_prefix("a="));
        if let Some(other) = authorization
            && prepare(&unescape(other)?)? != name
        {
            return Err(ScramError::Unsupported("to act for somebody else"));
        }
        let known = users.user(&name).and_then(|user| user.scram.clone());
        let is_known = known.is_some();
        // Computed for known names too, so that it costs the same.
        let number = u64::from_le_bytes(hmac(secret, name.as_bytes())[..8].try_into().expect("8 of 32 bytes"));
        let shape = users.any_scram(number).unwrap_or(ScramShape { iterations: ITERATIONS, salt_bytes: SALT_BYTES });
        let fake = ScramCredential::fake(secret, &name, shape);
        let name = Text::new(name).map_err(|_| ScramError::Unprepared)?;
        let mut first = ServerFirst {
            name,
            is_known,
            credential: known.unwrap_or(fake),
            gs2_header: gs2_header.to_owned(),
            nonce: format!("{client_nonce}{nonce}"),
            so_far: bare.to_owned(),
            bare: bare.len(),
        };
        let answer = first.compose();
        first.so_far = format!("{bare},{answer}");
        Ok(first)
    }

    fn compose(&self) -> String {
        let ScramCredential { iterations, salt, .. } = &self.credential;
        format!("r={},s={},i={iterations}", self.nonce, BASE64.encode(salt))
    }

    /// The server's first message.
    pub fn message(&self) -> &str {
        &self.so_far[self.bare + 1..]
    }

    /// Who it claims to be.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Takes the client's second message: the user's name and the server's last message.
    ///
    /// # Errors
    /// When the message is not one, or the proof is wrong.
    pub fn finish(self, message: &[u8]) -> Result<(Text, String), ScramError> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed("no p= at the end"))?;
        let mut parts = without_proof.split(',');
        let binding = value(parts.next(), "c=").ok_or(ScramError::Malformed("no c="))?;
        if binding != BASE64.encode(&self.gs2_header) {
            return Err(ScramError::Malformed("c= is not of the first message"));
        }
        if value(parts.next(), "r=") != Some(&*self.nonce) {
            return Err(ScramError::Malformed("r= is not the nonce"));
        }
        check_extensions(parts)?;
        let proof: Key = BASE64
            .decode(proof)
            .ok()
            .and_then(|proof| proof.try_into().ok())
            .ok_or(ScramError::Malformed("p= is no proof"))?;
        let signed = format!("{},{without_proof}", self.so_far);
        let signature = hmac(&self.credential.stored_key, signed.as_bytes());
        let mut client_key = Key::default();
        for (byte, (proof, signature)) in client_key.iter_mut().zip(proof.iter().zip(signature)) {
            *byte = proof ^ signature;
        }
        let found: Key = Sha256::digest(client_key).into();
        let is_right: bool = found.ct_eq(&self.credential.stored_key).into();
        let answer = format!("v={}", BASE64.encode(hmac(&self.credential.server_key, signed.as_bytes())));
        if is_right & self.is_known { Ok((self.name, answer)) } else { Err(ScramError::Wrong) }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES {
        return Err(ScramError::Malformed("longer than any message is"));
    }
    let text = std::str::from_utf8(message).map_err(|_| ScramError::Malformed("no UTF-8"))?;
    if text.contains('\0') { Err(ScramError::Malformed("a NUL")) } else { Ok(text) }
}

/// `n,,` or `y,,` or with `a=name` between the commas; and the rest.
fn split_gs2_header(message: &str) -> Result<(&str, &str), ScramError> {
    let mut parts = message.splitn(3, ',');
    match parts.next() {
        Some("n" | "y") => {}
        Some(part) if part.starts_with("p=") => return Err(ScramError::Unsupported("channel binding")),
        _ => return Err(ScramError::Malformed("it begins with neither n, y nor p=")),
    }
    match parts.next() {
        Some("") => {}
        Some(part) if part.starts_with("a=") => {}
        _ => return Err(ScramError::Malformed("no second comma")),
    }
    let bare = parts.next().ok_or(ScramError::Malformed("no second comma"))?;
    Ok((&message[..message.len() - bare.len()], bare))
}

fn value<'a>(part: Option<&'a str>, name: &str) -> Option<&'a str> {
    part?.strip_prefix(name)
}

/// What may follow: `letter=value`, ignored.
fn check_extensions<'a>(parts: impl Iterator<Item = &'a str>) -> Result<(), ScramError> {
    for part in parts {
        match part.as_bytes() {
            [b'm', b'=', ..] => return Err(ScramError::Unsupported("a mandatory extension")),
            [letter, b'=', _, ..] if letter.is_ascii_alphabetic() => {}
            _ => return Err(ScramError::Malformed("an extension that is none")),
        }
    }
    Ok(())
}

/// `=2C` is a comma and `=3D` an equals sign; no other `=` stands in a name.
fn unescape(name: &str) -> Result<String, ScramError> {
    let mut pieces = name.split('=');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (character, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Malformed("an '=' in the name")),
        };
        text.push(character);
        text.push_str(rest);
    }
    Ok(text)
}

fn prepare(text: &str) -> Result<String, ScramError> {
    match stringprep::saslprep(text) {
        Ok(prepared) if !prepared.is_empty() => Ok(prepared.into_owned()),
        _ => Err(ScramError::Unprepared),
    }
}

fn hmac(key: &Key, message: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
