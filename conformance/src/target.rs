//! A real address, as it is written on a command line.

use std::{fmt, str::FromStr};

use squall_client::net::url::{Scheme, ServerUrl, UrlError};

/// Where the subject is, and how bytes travel there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host, port and path. Credentials in it are used where no others are given.
    pub url: ServerUrl,
}

impl Target {
    /// Over plain TCP.
    pub fn tcp(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Target { url: ServerUrl { scheme: Scheme::Mqtt, host, port, username: None, password: None, path: None } }
    }

    /// Where MQTT lives on a WebSocket whose URL names no path.
    pub fn path(&self) -> &str {
        self.url.path.as_deref().unwrap_or("/mqtt")
    }
}

impl fmt::Display for Target {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.url.scheme {
            Scheme::Mqtt => "tcp",
            Scheme::Mqtts => "tls",
            other => other.name(),
        };
        let path = self.url.path.as_deref().filter(|_| self.url.scheme.is_web_socket());
        write!(f, "{scheme}://{}{}", self.url.authority(), path.unwrap_or_default())
    }
}

/// The text names no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A scheme that cannot be spoken.
    #[error("the scheme '{0}' is not spoken here, expected tcp, tls, ws or wss (mqtt, mqtts)")]
    Scheme(String),
    /// Words behind the port, where there is no path.
    #[error("'{0}' has a path, which only ws:// and wss:// have")]
    Path(String),
    /// No host has such a name.
    #[error("'{0}' is no host")]
    Host(String),
    /// Anything else that is wrong with it.
    #[error(transparent)]
    Url(#[from] UrlError),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (scheme, rest) = match text.split_once("://") {
            None => ("mqtt", text),
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "tcp" | "mqtt" => ("mqtt", rest),
                "tls" | "ssl" | "mqtts" => ("mqtts", rest),
                "ws" => ("ws", rest),
                "wss" => ("wss", rest),
                _ => return Err(TargetError::Scheme(scheme.to_owned())),
            },
        };
        // An IPv6 address alone needs no brackets.
        let is_bare_ipv6 = rest.parse::<std::net::Ipv6Addr>().is_ok();
        let url = if is_bare_ipv6 { format!("{scheme}://[{rest}]") } else { format!("{scheme}://{rest}") };
        let mut url: ServerUrl = url.parse()?;
        if url.path.as_deref() == Some("/") && !url.scheme.is_web_socket() {
            url.path = None;
        }
        match &url.path {
            Some(path) if !url.scheme.is_web_socket() => Err(TargetError::Path(path.clone())),
            _ if url.host.contains(' ') => Err(TargetError::Host(url.host)),
            _ => Ok(Target { url }),
        }
    }
}
