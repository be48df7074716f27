//! Server redirection (section 4.11): where the client goes when its server names another.

use std::time::Duration;

use squall_codec::{property::Properties, reason::ReasonCode};

use super::{
    client::{Client, Phase},
    handshake,
};
use crate::options::ServerReference;

/// A connection that stood for so long had arrived: a server that names another then begins a new search.
const ARRIVED: Duration = Duration::from_secs(60);

/// A server that another server named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an address, an IPv6 address without its brackets.
    pub host: String,
    /// `None`: the same as before.
    pub port: Option<u16>,
}

impl Address {
    /// Those of a Server Reference that can be read: `name`, `name:port` or `[address]:port`, with spaces between them.
    ///
    /// ```
    /// use squall_client::core::redirection::Address;
    ///
    /// let hosts: Vec<_> = Address::list("one.example two.example:8883 [::1]:1883").map(|one| (one.host, one.port)).collect();
    /// let expected = [("one.example", None), ("two.example", Some(8883)), ("::1", Some(1883))];
    /// assert_eq!(hosts, expected.map(|(host, port)| (host.to_owned(), port)));
    /// ```
    pub fn list(reference: &str) -> impl Iterator<Item = Address> {
        reference.split_whitespace().filter_map(Address::read)
    }

    fn read(text: &str) -> Option<Address> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        let plain = |character: char| character.is_ascii_alphanumeric() || "-._:%".contains(character);
        let sensible = !host.is_empty() && host.chars().all(plain);
        sensible.then(|| Address { host: host.to_owned(), port })
    }
}

/// What follows the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Nothing,
    /// Where the options want it.
    AnotherTry,
    /// At once, to the server that was named.
    Elsewhere,
}

/// Where the next connection goes. `None` is the server that the driver was told of.
#[derive(Debug, Default)]
pub(super) struct Route {
    /// Where the client belongs: another server than at first, once it was named for good.
    home: Option<Address>,
    /// Where it was sent for this once.
    away: Option<Address>,
    /// Servers that were named since the client last belonged somewhere.
    named: Vec<Address>,
}

impl Route {
    pub(super) fn next(&self) -> Option<&Address> {
        self.away.as_ref().or(self.home.as_ref())
    }

    /// Takes the first server of the reference that was not named before; whether there is one, and within the bound.
    fn follow(&mut self, reference: &str, for_good: bool, most: u32) -> bool {
        let fresh = Address::list(reference).find(|address| !self.named.contains(address));
        let Some(next) = fresh.filter(|_| self.named.len() < most as usize) else { return false };
        self.named.push(next.clone());
        if for_good {
            self.home = Some(next);
            self.away = None;
        } else {
            self.away = Some(next);
        }
        true
    }

    /// The next connection goes where the client belongs.
    pub(super) fn go_home(&mut self) {
        self.away = None;
        self.named.clear();
    }
}

impl Client {
    /// What follows a refusal or a DISCONNECT of the server.
    pub(super) fn after(&mut self, now: Duration, reason: ReasonCode, properties: &Properties) -> After {
        let for_good = match reason {
            ReasonCode::UseAnotherServer => false,
            ReasonCode::ServerMoved => true,
            reason if handshake::worth_another_try(reason) => return After::AnotherTry,
            _ => return After::Nothing,
        };
        let ServerReference::Follow { most } = self.options.server_reference else { return After::Nothing };
        let Some(reference) = properties.server_reference() else { return After::Nothing };
        if Address::list(reference.as_str()).next().is_none() {
            return After::Nothing;
        }
        if let Phase::Connected(connection) = &self.phase
            && now.saturating_sub(connection.since) >= ARRIVED
        {
            self.route.go_home();
        }
        match self.route.follow(reference.as_str(), for_good, most) {
            true => After::Elsewhere,
            // In a circle, or too far: from the start, and not at once.
            false => After::AnotherTry,
        }
    }
}
