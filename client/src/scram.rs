//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as an Authentication Method: the password never leaves, and the server proves that
//! it knows it too.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use squall_codec::wire::Text;
use subtle::ConstantTimeEq;

use crate::core::authentication::{Exchange, Method};

/// What RFC 7677 asks for at least; a server that asks for less gives the password away more cheaply.
const LEAST_ITERATIONS: u32 = 4096;
/// About a second of work: a server must not occupy the client for longer.
const MOST_ITERATIONS: u32 = 2_000_000;
/// The header of a client that binds no channel, in Base64 as it is repeated.
const GS2_HEADER: &str = "n,,";

type Nonces = Arc<dyn Fn() -> [u8; 18] + Send + Sync>;

/// SCRAM-SHA-256 without channel binding.
#[derive(Clone)]
pub struct ScramSha256 {
    username: String,
    password: String,
    nonces: Nonces,
    /// A proof is worked out where it is asked for.
    is_simulated: bool,
}

/// Why these credentials cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} holds characters that SASLprep does not allow")]
pub struct CredentialsError(&'static str);

impl ScramSha256 {
    /// With nonces from the operating system.
    ///
    /// # Errors
    /// SASLprep (RFC 4013) refuses the name or the password.
    pub fn new(username: &str, password: &str) -> Result<Self, CredentialsError> {
        let nonces = || {
            let mut nonce = [0; 18];
            getrandom::fill(&mut nonce).expect("the operating system has randomness");
            nonce
        };
        Ok(ScramSha256 { is_simulated: false, ..ScramSha256::with_nonces(username, password, nonces)? })
    }

    /// With nonces of the caller: for simulations. They must never repeat, nor be guessed. The proof, which costs thousands
    /// of hashes, is then worked out at once and not beside the driver's task, so that every run is the same.
    ///
    /// # Errors
    /// As [`ScramSha256::new`].
    pub fn with_nonces(
        username: &str,
        password: &str,
        nonces: impl Fn() -> [u8; 18] + Send + Sync + 'static,
    ) -> Result<Self, CredentialsError> {
        let username = stringprep::saslprep(username).map_err(|_| CredentialsError("user name"))?.into_owned();
        let password = stringprep::saslprep(password).map_err(|_| CredentialsError("password"))?.into_owned();
        Ok(ScramSha256 { username, password, nonces: Arc::new(nonces), is_simulated: true })
    }
}

impl fmt::Debug for ScramSha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramSha256").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Method for ScramSha256 {
    fn name(&self) -> Text {
        Text::literal("SCRAM-SHA-256")
    }

    fn begin(&self) -> Box<dyn Exchange> {
        // Base64 has no comma, so it is a nonce as it stands.
        let nonce = STANDARD.encode((self.nonces)());
        Box::new(Running::new(&self.username, self.password.clone(), nonce))
    }

    fn is_slow(&self) -> bool {
        !self.is_simulated
    }
}

/// One exchange.
struct Running {
    password: String,
    nonce: String,
    /// The first message without its header.
    first_bare: String,
    step: Step,
}

/// What the server says next.
enum Step {
    Challenge,
    /// Its signature must be this.
    Signature([u8; 32]),
    Done,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SCRAM-SHA-256 exchange")
    }
}

impl Running {
    fn new(username: &str, password: String, nonce: String) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={name},r={nonce}");
        Running { password, nonce, first_bare, step: Step::Challenge }
    }

    /// The proof, and what the server has to prove in turn.
    fn prove(&self, challenge: &str) -> Result<(String, [u8; 32]), String> {
        let mut fields = challenge.split(',');
        let mut field = |name: &str| {
            let found = fields.next().and_then(|field| field.strip_prefix(name));
            found.ok_or_else(|| format!("the server's challenge has no '{name}' in its place"))
        };
        // A mandatory extension, `m=`, would stand first, and is then no nonce.
        let nonce = field("r=")?;
        let salt = field("s=")?;
        let iterations = field("i=")?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not go on from the client's".to_owned());
        }
        let salt = STANDARD.decode(salt).map_err(|_| "the server's salt is no Base64".to_owned())?;
        let iterations: u32 = iterations.parse().map_err(|_| format!("'{iterations}' is no iteration count"))?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(format!(
                "the server asks for {iterations} iterations, not for {LEAST_ITERATIONS} to {MOST_ITERATIONS}"
            ));
        }
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(self.password.as_bytes(), &salt, iterations, &mut salted);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = Sha256::digest(client_key);
        let last_bare = format!("c={},r={nonce}", STANDARD.encode(GS2_HEADER));
        let all = format!("{},{challenge},{last_bare}", self.first_bare);
        let client_signature = mac(&stored_key, all.as_bytes());
        let mut proof = client_key;
        proof.iter_mut().zip(client_signature).for_each(|(key, signature)| *key ^= signature);
        let server_signature = mac(&mac(&salted, b"Server Key"), all.as_bytes());
        Ok((format!("{last_bare},p={}", STANDARD.encode(proof)), server_signature))
    }
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

impl Exchange for Running {
    fn first(&mut self) -> Option<Bytes> {
        Some(format!("{GS2_HEADER}{}", self.first_bare).into())
    }

    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Bytes>, String> {
        let Step::Challenge = self.step else { return Err("the server asks for more than SCRAM has".to_owned()) };
        let challenge =
            std::str::from_utf8(data.unwrap_or_default()).map_err(|_| "the challenge is no UTF-8".to_owned())?;
        let (proof, signature) = self.prove(challenge)?;
        self.step = Step::Signature(signature);
        Ok(Some(proof.into()))
    }

    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), String> {
        let Step::Signature(expected) = std::mem::replace(&mut self.step, Step::Done) else {
            return Err("the server is convinced before it has seen a proof".to_owned());
        };
        let said = std::str::from_utf8(data.unwrap_or_default()).unwrap_or_default();
        if let Some(error) = said.strip_prefix("e=") {
            return Err(format!("the server says '{error}'"));
        }
        let signature = said.split(',').next().and_then(|field| field.strip_prefix("v="));
        let signature = signature.and_then(|signature| STANDARD.decode(signature).ok());
        let signature = signature.ok_or("the server does not prove that it knows the password")?;
        match bool::from(signature.ct_eq(&expected)) {
            true => Ok(()),
            false => Err("the server's signature is wrong: it does not know the password".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// The example of RFC 7677, section 3.
    fn example() -> Running {
        Running::new("user", "pencil".to_owned(), "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let mut exchange = example();
        assert_eq!(exchange.first().as_deref(), Some(&b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"[..]));
        let proof = exchange.answer(Some(CHALLENGE.as_bytes())).expect("a good challenge").expect("a proof");
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(proof, expected.as_bytes());
        assert_eq!(exchange.finish(Some(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")), Ok(()));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_not_believed() {
        for said in [
            &b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="[..],
            b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4",
            b"v=",
            b"",
            b"e=other-error",
            b"\xff",
        ] {
            let mut exchange = example();
            exchange.answer(Some(CHALLENGE.as_bytes())).expect("a good challenge");
            assert!(exchange.finish(Some(said)).is_err(), "{said:?} was believed");
        }
        assert!(example().finish(None).is_err(), "convinced without a proof");
    }

    #[test]
    fn a_challenge_that_is_wrong_gets_no_proof() {
        for challenge in [
            "",
            "r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
            "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        ] {
            assert!(example().answer(Some(challenge.as_bytes())).is_err(), "{challenge} was answered");
        }
        let mut twice = example();
        twice.answer(Some(CHALLENGE.as_bytes())).expect("a good challenge");
        assert!(twice.answer(Some(CHALLENGE.as_bytes())).is_err(), "a second challenge was answered");
    }

    #[test]
    fn names_with_commas_are_written_with_escapes_and_secrets_are_not_shown() {
        let scram = ScramSha256::with_nonces("a=b,c", "secret", || [0; 18]).expect("printable");
        let first = scram.begin().first().expect("SCRAM begins");
        assert_eq!(first, format!("n,,n=a=3Db=2Cc,r={}", STANDARD.encode([0; 18])).as_bytes());
        assert!(!format!("{scram:?} {:?}", scram.begin()).contains("secret"));
        assert!(ScramSha256::new("a\u{7}", "x").is_err());
    }
}
