//! Who may come in, and who may do what.

use super::effect::{AuthenticationOutcome, AuthenticationRequest};

/// Answers `Effect::Authenticate`. Asked by the drivers, never by the core.
pub trait Authenticator: Send + Sync {
    /// Whether this client may come in.
    fn authenticate(&self, request: &AuthenticationRequest) -> AuthenticationOutcome;
}

/// Everyone may come in.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAll;

impl Authenticator for AllowAll {
    fn authenticate(&self, _: &AuthenticationRequest) -> AuthenticationOutcome {
        AuthenticationOutcome::Allowed
    }
}

/// Whether clients may publish to this topic.
///
/// Section 4.7.2: the server SHOULD keep clients from using `$` topics among themselves. `$SYS` is the server's own;
/// other prefixes are left to those who use them.
pub(super) fn may_publish(topic: &str) -> bool {
    topic != "$SYS" && !topic.starts_with("$SYS/")
}
