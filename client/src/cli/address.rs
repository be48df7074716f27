//! Where the server is: `mqtt://user:password@host:port/topic`.

use std::{fmt, str::FromStr};

/// A URL taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// What follows the first slash.
    pub(crate) topic: Option<String>,
}

/// Why a text is no URL of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlError(String);

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UrlError {}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let wrong = |what: String| UrlError(format!("{what}, expected mqtt://[user[:password]@]host[:port][/topic]"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("no scheme".to_owned()))?;
        if scheme != "mqtt" {
            return Err(wrong(format!("unsupported scheme '{scheme}'")));
        }
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic)),
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
        let (host, port) = split_port(server).ok_or_else(|| wrong(format!("no address in '{server}'")))?;
        let port = port.map(|port| port.parse().map_err(|_| wrong(format!("no port in '{port}'")))).transpose()?;
        let topic = topic.filter(|topic| !topic.is_empty()).map(decode).transpose()?;
        Ok(Url { host: host.to_owned(), port, username, password, topic })
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn split_port(server: &str) -> Option<(&str, Option<&str>)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match server.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    (!host.is_empty()).then_some((host, port))
}

/// Reads `%2F` and the like.
fn decode(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError(format!("'{text}' has a '%' without two hexadecimal digits of UTF-8 behind it"));
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

    fn url(host: &str) -> Url {
        Url { host: host.to_owned(), port: None, username: None, password: None, topic: None }
    }

    #[test]
    fn urls_are_taken_apart() {
        let user = Some("user".to_owned());
        for (text, expected) in [
            ("mqtt://host", url("host")),
            ("mqtt://host/", url("host")),
            ("mqtt://host:1884", Url { port: Some(1884), ..url("host") }),
            ("mqtt://[::1]:1884/a/%23", Url { port: Some(1884), topic: Some("a/#".to_owned()), ..url("::1") }),
            ("mqtt://user@host", Url { username: user.clone(), ..url("host") }),
            ("mqtt://user:p%40ss@host", Url { username: user, password: Some("p@ss".to_owned()), ..url("host") }),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["host", "http://host", "mqtt://", "mqtt://:1883", "mqtt://host:x", "mqtt://[::1", "mqtt://a/%2"] {
            assert!(text.parse::<Url>().is_err(), "{text} was taken");
        }
    }
}
