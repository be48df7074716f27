//! Who may come in: what the core asks of those who know, and the scope of their answers. Who may do what stands in
//! `acl.rs`.

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;

use super::effect::{AuthenticationOutcome, AuthenticationRequest};

/// Answers `Effect::Authenticate`. Asked by the drivers, never by the core.
pub trait Authenticator: Send + Sync {
    /// Whether this client may come in, or what it is asked next.
    fn authenticate(&self, request: AuthenticationRequest) -> Answer;
}

/// An authentication that takes several steps (section 4.12), between two of them. It answers `Effect::Continue`.
pub trait Exchange: fmt::Debug + Send + Sync {
    /// The client's next word: Authentication Data of its AUTH.
    fn next(self: Box<Self>, data: Option<Bytes>) -> Answer;
}

/// An answer, at once or when somebody has thought about it.
pub enum Answer {
    /// Known without waiting. In a virtual world every answer is of this kind.
    Now(AuthenticationOutcome),
    /// Waited for outside the core.
    Later(Pin<Box<dyn Future<Output = AuthenticationOutcome> + Send>>),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Now(outcome) => f.debug_tuple("Now").field(outcome).finish(),
            Answer::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// Everyone may come in, and nobody is known: a User Name that nobody checks names no user.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authenticator for AllowAll {
    fn authenticate(&self, request: AuthenticationRequest) -> Answer {
        Answer::Now(match request.method {
            // [MQTT-4.12.0-1]
            Some(_) => AuthenticationOutcome::Refused(squall_codec::reason::ReasonCode::BadAuthenticationMethod),
            None => AuthenticationOutcome::Allowed { user: None, data: None },
        })
    }
}
