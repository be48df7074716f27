//! Where the server is, in one word: `mqtts://user:password@host:port`.

use std::{fmt, str::FromStr};

/// The URL of a server, taken apart.
///
/// ```
/// use squall_client::net::url::{Scheme, ServerUrl};
///
/// let url: ServerUrl = "wss://ann:secret@broker.example/mqtt".parse().unwrap();
/// assert_eq!((url.scheme, url.port, url.path.as_deref()), (Scheme::Wss, 443, Some("/mqtt")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// How its bytes travel.
    pub scheme: Scheme,
    /// A name or an address, an IPv6 address without its brackets.
    pub host: String,
    /// As given, or that of the scheme.
    pub port: u16,
    /// User Name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// What follows the authority, with its slash and as it was written; `None` where nothing follows it.
    pub path: Option<String>,
}

/// How the bytes of a connection travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `mqtt://`: TCP.
    Mqtt,
    /// `mqtts://`: TLS.
    Mqtts,
    /// `ws://`: WebSocket.
    Ws,
    /// `wss://`: WebSocket over TLS.
    Wss,
}

impl Scheme {
    const ALL: [Scheme; 4] = [Scheme::Mqtt, Scheme::Mqtts, Scheme::Ws, Scheme::Wss];

    /// As it stands before `://`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Mqtt => "mqtt",
            Scheme::Mqtts => "mqtts",
            Scheme::Ws => "ws",
            Scheme::Wss => "wss",
        }
    }

    /// Where servers of this scheme listen unless they say otherwise.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Mqtt => 1883,
            Scheme::Mqtts => 8883,
            Scheme::Ws => 80,
            Scheme::Wss => 443,
        }
    }

    /// Whether there is TLS below.
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    /// Whether there is a WebSocket.
    pub const fn is_web_socket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Nothing before `://`.
    #[error("'{0}' has no scheme: expected mqtt://, mqtts://, ws:// or wss://")]
    NoScheme(String),
    /// Not one of the four.
    #[error("unsupported scheme '{0}': expected mqtt, mqtts, ws or wss")]
    Scheme(String),
    /// Nothing to connect to.
    #[error("'{0}' names no host")]
    NoHost(String),
    /// An IPv6 address without brackets, or with half of them.
    #[error("'{0}' is no host: an IPv6 address stands in brackets, as in [::1]")]
    Host(String),
    /// No number from 1 to 65,535.
    #[error("'{0}' is no port: expected a number from 1 to 65535")]
    Port(String),
    /// `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("'{0}' has a '%' without two hexadecimal digits of UTF-8 behind it")]
    Escape(String),
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| UrlError::NoScheme(text.to_owned()))?;
        let known = Scheme::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(scheme));
        let scheme = known.ok_or_else(|| UrlError::Scheme(scheme.to_owned()))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], Some(&rest[slash..])),
            None => (rest, None),
        };
        let (user, server) = match authority.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, authority),
        };
        let (username, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            None => (None, None),
            Some((name, "")) => (Some(decode(name)?), None),
            Some((name, password)) => (Some(decode(name)?), Some(decode(password)?)),
        };
        let (host, port) = split_port(server)?;
        let port = match port {
            None => scheme.default_port(),
            Some(port) => match port.parse() {
                Ok(number) if number > 0 => number,
                _ => return Err(UrlError::Port(port.to_owned())),
            },
        };
        let username = username.filter(|name| !name.is_empty());
        Ok(ServerUrl { scheme, host: host.to_owned(), port, username, password, path: path.map(str::to_owned) })
    }
}

impl ServerUrl {
    /// What follows the first slash, decoded; `None` where that is nothing.
    ///
    /// # Errors
    /// A wrong escape.
    pub fn decoded_path(&self) -> Result<Option<String>, UrlError> {
        let path = self.path.as_deref().map(|path| path.strip_prefix('/').unwrap_or(path));
        path.filter(|path| !path.is_empty()).map(decode).transpose()
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for ServerUrl {
    /// Without its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path.as_deref().unwrap_or_default())
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn split_port(server: &str) -> Result<(&str, Option<&str>), UrlError> {
    let wrong = || UrlError::Host(server.to_owned());
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or_else(wrong)?),
            };
            (host, port)
        }
        None => match server.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(wrong()),
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    if host.is_empty() {
        return Err(UrlError::NoHost(server.to_owned()));
    }
    Ok((host, port))
}

/// Reads `%2F` and the like.
fn decode(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError::Escape(text.to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = tail else { return Err(wrong()) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).ok_or_else(wrong);
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(scheme: Scheme, host: &str) -> ServerUrl {
        let port = scheme.default_port();
        ServerUrl { scheme, host: host.to_owned(), port, username: None, password: None, path: None }
    }

    #[test]
    fn urls_are_taken_apart() {
        let user = Some("user".to_owned());
        let path = |path: &str| Some(path.to_owned());
        let mqtt = |host: &str| url(Scheme::Mqtt, host);
        for (text, expected) in [
            ("mqtt://host", mqtt("host")),
            ("mqtts://host", ServerUrl { port: 8883, ..url(Scheme::Mqtts, "host") }),
            ("ws://host", ServerUrl { port: 80, ..url(Scheme::Ws, "host") }),
            ("WSS://host/mqtt?a=b", ServerUrl { port: 443, path: path("/mqtt?a=b"), ..url(Scheme::Wss, "host") }),
            ("mqtt://host/", ServerUrl { path: path("/"), ..mqtt("host") }),
            ("mqtt://host:1884", ServerUrl { port: 1884, ..mqtt("host") }),
            ("mqtt://[::1]:1884/a/%23", ServerUrl { port: 1884, path: path("/a/%23"), ..mqtt("::1") }),
            ("mqtt://user@host", ServerUrl { username: user.clone(), ..mqtt("host") }),
            (
                "mqtt://user:p%40s:s@host",
                ServerUrl { username: user, password: Some("p@s:s".to_owned()), ..mqtt("host") },
            ),
            ("mqtt://:secret@host", ServerUrl { password: Some("secret".to_owned()), ..mqtt("host") }),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        let topic = |text: &str| text.parse::<ServerUrl>().expect("a URL").decoded_path();
        assert_eq!(topic("mqtt://host/a/%23"), Ok(path("a/#")));
        assert_eq!(topic("mqtt://host/"), Ok(None));
        assert!(topic("mqtt://host/%2").is_err());
    }

    #[test]
    fn what_is_no_url_is_refused_in_words_that_name_the_fault() {
        for (text, sentence) in [
            ("host", "'host' has no scheme: expected mqtt://, mqtts://, ws:// or wss://"),
            ("http://host", "unsupported scheme 'http': expected mqtt, mqtts, ws or wss"),
            ("mqtt://", "'' names no host"),
            ("mqtt://:1883", "':1883' names no host"),
            ("mqtt://host:x", "'x' is no port: expected a number from 1 to 65535"),
            ("mqtt://host:0", "'0' is no port: expected a number from 1 to 65535"),
            ("mqtt://host:65536", "'65536' is no port: expected a number from 1 to 65535"),
            ("mqtt://[::1", "'[::1' is no host: an IPv6 address stands in brackets, as in [::1]"),
            ("mqtt://::1", "'::1' is no host: an IPv6 address stands in brackets, as in [::1]"),
            ("mqtt://a%2@b", "'a%2' has a '%' without two hexadecimal digits of UTF-8 behind it"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().map_err(|error| error.to_string()), Err(sentence.to_owned()));
        }
    }

    #[test]
    fn a_url_is_shown_without_its_credentials() {
        let shown = "mqtts://ann:secret@[::1]/x".parse::<ServerUrl>().expect("a URL").to_string();
        assert_eq!(shown, "mqtts://[::1]:8883/x");
    }
}
