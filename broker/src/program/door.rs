//! A listener that is bound: its name, and who may come in by it.

use std::net::SocketAddr;

use squall_broker::users::authenticator::Policy;
use tokio::net::TcpListener;

use super::{
    fault::Failure,
    settings::{Listen, Settings},
};

/// A listener that is bound.
pub(super) struct Door<'a> {
    pub(super) listen: &'a Listen,
    pub(super) listener: TcpListener,
    /// The URL with the port that it really has.
    pub(super) name: String,
    pub(super) policy: Policy,
    is_loopback: bool,
    has_users: bool,
}

impl<'a> Door<'a> {
    /// Binds it.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) async fn open(settings: &Settings, listen: &'a Listen) -> Result<Self, Failure> {
        let (listener, bound) = bind(&listen.url.to_string(), &listen.url.authority()).await?;
        let path = listen.url.path.as_deref().unwrap_or_default();
        let name = format!("{}://{bound}{path}", listen.url.scheme.name());
        let (is_loopback, has_users) = (bound.ip().is_loopback(), settings.users.password_file.is_some());
        // Who has said nothing about anonymous clients wants to try something at home, or has users.
        let unsaid = is_loopback && !has_users && !listen.use_certificate_name;
        let allow_anonymous = listen.allow_anonymous.or(settings.users.allow_anonymous).unwrap_or(unsaid);
        let policy = Policy { allow_anonymous, use_certificate_name: listen.use_certificate_name };
        Ok(Door { listen, listener, name, policy, is_loopback, has_users })
    }

    /// Who comes in, in few words.
    pub(super) fn guests(&self) -> String {
        let groups = [
            ("users", self.has_users),
            ("certificates", self.policy.use_certificate_name),
            ("anonymous", self.policy.allow_anonymous),
        ];
        let groups: Vec<_> = groups.iter().filter(|(_, come)| *come).map(|(name, _)| *name).collect();
        if groups.is_empty() { "nobody".to_owned() } else { groups.join(" and ") }
    }

    /// Why nobody can come in, if nobody can.
    pub(super) fn closed(&self) -> Option<String> {
        let Policy { allow_anonymous, use_certificate_name } = self.policy;
        if allow_anonymous || use_certificate_name || self.has_users {
            return None;
        }
        let reason = if self.is_loopback {
            "clients without a user name are not allowed"
        } else {
            "other machines can reach it, so clients without a user name are only let in when you say so"
        };
        let name = &self.name;
        Some(format!(
            "nobody can connect to {name}: there are no users, and {reason}; \
             give it --password-file FILE, or --allow-anonymous if everyone may come in"
        ))
    }
}

/// A listening socket and the address that it has got.
///
/// # Errors
/// When the address cannot be had; the error calls it `name`.
pub(super) async fn bind(name: &str, address: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::to(format_args!("listen on {name}"), error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
