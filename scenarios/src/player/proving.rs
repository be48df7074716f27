//! SCRAM-SHA-256 for actors: the client library's method, with credentials that a story may change between two exchanges and
//! nonces that are the same in each run.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use squall_client::{
    core::authentication::{Exchange, Method},
    scram::ScramSha256,
};
use squall_codec::{
    packet::{Auth, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
    wire::Text,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::script::ScramWords;

/// The nonces of one actor. A nonce only has to be new: nobody on a stage has a secret worth guessing.
#[derive(Clone, Debug)]
struct Nonces {
    actor: Arc<str>,
    given: Arc<AtomicU64>,
}

impl Nonces {
    fn next(&self) -> [u8; 18] {
        let count = self.given.fetch_add(1, Ordering::Relaxed);
        let mut nonce = [0; 18];
        nonce[..16].copy_from_slice(&xxh3_128(format!("{} {count}", self.actor).as_bytes()).to_le_bytes());
        nonce
    }
}

/// How an actor proves who they are, as the story has said it last.
#[derive(Debug)]
pub(super) struct Credentials {
    nonces: Nonces,
    current: Mutex<Option<ScramSha256>>,
}

impl Credentials {
    pub(super) fn new(actor: &str) -> Arc<Self> {
        let nonces = Nonces { actor: Arc::from(actor), given: Arc::default() };
        Arc::new(Credentials { nonces, current: Mutex::new(None) })
    }

    /// What the next exchange goes by; without words there is none to be had.
    pub(super) fn set(&self, words: Option<&ScramWords>) {
        let method = words.map(|words| {
            let nonces = self.nonces.clone();
            ScramSha256::with_nonces(&words.username.0, &words.password.0, move || nonces.next())
                .expect("a script is checked: SASLprep allows both")
        });
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = method;
    }

    /// A raw peer's exchange; `None` for one that has no credentials.
    pub(super) fn proving(&self) -> Option<Proving> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|method| Proving { method: method.name(), exchange: method.begin() })
    }
}

impl Method for Credentials {
    fn name(&self) -> Text {
        Text::literal("SCRAM-SHA-256")
    }

    fn begin(&self) -> Box<dyn Exchange> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().expect("a client has this method where the story gave it credentials").begin()
    }
}

/// One exchange of a raw peer. What goes wrong is said in words that follow "but".
pub(super) struct Proving {
    method: Text,
    exchange: Box<dyn Exchange>,
}

impl Proving {
    /// Properties of CONNECT, or of the AUTH that asks for re-authentication.
    pub(super) fn first(&mut self) -> Vec<Property> {
        let data = self.exchange.first();
        self.properties(data)
    }

    /// AUTH that begins a re-authentication.
    pub(super) fn again(&mut self) -> Packet {
        Packet::Auth(Auth { reason: ReasonCode::ReAuthenticate, properties: self.first().into_iter().collect() })
    }

    /// The answer to an AUTH of the server.
    pub(super) fn answer(&mut self, auth: &Auth) -> Result<Packet, String> {
        let data = self.exchange.answer(auth.properties.authentication_data().map(|data| &data[..]))?;
        Ok(Packet::Auth(Auth {
            reason: ReasonCode::ContinueAuthentication,
            properties: self.properties(data).into_iter().collect(),
        }))
    }

    /// The server is convinced: so must be the peer.
    pub(super) fn finish(&mut self, said: &Properties) -> Result<(), String> {
        if said.authentication_method() != Some(&self.method) {
            return Err("it has another Authentication Method than CONNECT".to_owned());
        }
        self.exchange.finish(said.authentication_data().map(|data| &data[..]))
    }

    fn properties(&self, data: Option<Bytes>) -> Vec<Property> {
        let method = Property::AuthenticationMethod(self.method.clone());
        std::iter::once(method).chain(data.map(Property::AuthenticationData)).collect()
    }
}
