//! Where to listen: `mqtt://`, `mqtts://`, `ws://`, `wss://`, or a plain `address:port`.

use std::{fmt, str::FromStr};

use super::fault::nearest;

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

const SCHEMES: &[(&str, Scheme)] =
    &[("mqtt", Scheme::Mqtt), ("mqtts", Scheme::Mqtts), ("ws", Scheme::Ws), ("wss", Scheme::Wss)];

impl Scheme {
    pub(super) fn name(self) -> &'static str {
        SCHEMES.iter().find(|(_, scheme)| *scheme == self).map_or("mqtt", |(name, _)| name)
    }

    pub(super) fn uses_tls(self) -> bool {
        matches!(self, Scheme::Mqtts | Scheme::Wss)
    }

    pub(super) fn uses_websocket(self) -> bool {
        matches!(self, Scheme::Ws | Scheme::Wss)
    }

    /// Where nothing else is said: the registered ports of MQTT and of the web.
    fn port(self) -> u16 {
        match self {
            Scheme::Mqtt => 1883,
            Scheme::Mqtts => 8883,
            Scheme::Ws => 80,
            Scheme::Wss => 443,
        }
    }
}

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListenUrl {
    pub(super) scheme: Scheme,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// The only path at which a WebSocket is served.
    pub(super) path: Option<String>,
}

impl ListenUrl {
    /// Host and port as the system takes them.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority(), self.path.as_deref().unwrap_or_default())
    }
}

impl FromStr for ListenUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected mqtt://, mqtts://, ws:// or wss:// with host:port, or address:port";
        let (scheme, rest) = match text.split_once("://") {
            None => (Scheme::Mqtt, text),
            Some((name, rest)) => match SCHEMES.iter().find(|(known, _)| *known == name) {
                Some((_, scheme)) => (*scheme, rest),
                None => {
                    let hint = nearest(name, SCHEMES.iter().map(|(known, _)| *known));
                    let hint = hint.map_or_else(|| EXPECTED.to_owned(), |word| format!("did you mean '{word}://'?"));
                    return Err(format!("'{name}://' is not spoken here; {hint}"));
                }
            },
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], Some(&rest[at..])),
            None => (rest, None),
        };
        let path = path.filter(|path| *path != "/" || scheme.uses_websocket());
        if path.is_some() && !scheme.uses_websocket() {
            return Err(format!("{}:// has no path; only ws:// and wss:// do", scheme.name()));
        }
        if authority.contains('@') || rest.contains(['?', '#']) || text.contains(char::is_whitespace) {
            return Err(EXPECTED.to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(inside) => {
                let (host, after) = inside.split_once(']').ok_or("the ']' of an IPv6 address is missing")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| format!("'{host}' is no IPv6 address"))?;
                (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")).ok_or(EXPECTED)?)
            }
            None if authority.matches(':').count() > 1 => {
                return Err("an IPv6 address stands in brackets, as in [::1]:1883".to_owned());
            }
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        // Without scheme and without port it is rather a word than an address.
        if host.is_empty() || (port.is_empty() && !text.contains("://")) {
            return Err(EXPECTED.to_owned());
        }
        let port = match port {
            "" => scheme.port(),
            port => port.parse().map_err(|_| format!("'{port}' is no port: expected 0 to 65535"))?,
        };
        Ok(ListenUrl { scheme, host: host.to_owned(), port, path: path.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_address_is_understood_and_printed_again() {
        for (text, printed) in [
            ("127.0.0.1:1883", "mqtt://127.0.0.1:1883"),
            ("[::1]:0", "mqtt://[::1]:0"),
            ("mqtt://0.0.0.0", "mqtt://0.0.0.0:1883"),
            ("mqtts://broker.example", "mqtts://broker.example:8883"),
            ("mqtts://[::]:8884", "mqtts://[::]:8884"),
            ("ws://localhost:8080/mqtt", "ws://localhost:8080/mqtt"),
            ("wss://localhost", "wss://localhost:443"),
        ] {
            assert_eq!(text.parse::<ListenUrl>().map(|url| url.to_string()).as_deref(), Ok(printed));
            assert_eq!(printed.parse::<ListenUrl>().map(|url| url.to_string()).as_deref(), Ok(printed));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_wrong() {
        for (text, wrong) in [
            ("nonsense", "expected mqtt://"),
            ("", "expected mqtt://"),
            ("http://a:1", "'http://' is not spoken here"),
            ("mqqt://a:1", "did you mean 'mqtt://'?"),
            ("mqtt://a:99999", "'99999' is no port"),
            ("::1:1883", "in brackets"),
            ("mqtt://[::1:1883", "the ']' of an IPv6 address is missing"),
            ("mqtt://[x]:1883", "'x' is no IPv6 address"),
            ("mqtt://a:1/path", "has no path"),
            ("mqtt://user@a:1", "expected mqtt://"),
            ("ws://a:1/x?y", "expected mqtt://"),
        ] {
            let error = text.parse::<ListenUrl>().expect_err(text);
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
