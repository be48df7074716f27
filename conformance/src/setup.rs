//! How a test wants its subject set up. Who starts the subject carries it out: our own broker in a virtual world, a profile
//! with `--launch`. A server that was only named is as it is.

use squall_codec::wire::Text;
use squall_scenarios::stage::Credentials;

/// The user whom a server with users knows.
pub const USERNAME: &str = "squall";
/// That user's password.
pub const PASSWORD: &str = "storm-7";
/// That user as our broker keeps it: by a hash of the password, and for SCRAM-SHA-256.
pub const PASSWORD_LINES: &str = include_str!("../brokers/squall.passwords");
/// Bytes of the largest packet of a server that takes only small ones.
pub const PACKET_BYTES: u32 = 1024;
/// The Keep Alive in seconds that a server with one of its own asks for.
pub const KEEP_ALIVE_SECONDS: u16 = 3;

/// Where a server that takes nobody sends clients.
pub const SERVER_REFERENCE: &str = "elsewhere.example:1883";

/// What is different from the subject as it usually is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setup {
    /// Nothing.
    #[default]
    Plain,
    /// [`USERNAME`] comes in with [`PASSWORD`], and nobody else does.
    Users,
    /// Everybody may publish and subscribe below `squall/+/open`, subscribe below `squall/+/readonly`, publish below
    /// `squall/+/writeonly`, and nothing else.
    Acl,
    /// [`USERNAME`] may prove by SCRAM-SHA-256 that it knows [`PASSWORD`].
    Enhanced,
    /// A client without an identifier is refused.
    Named,
    /// Packets of clients have at most [`PACKET_BYTES`].
    SmallPackets,
    /// The highest QoS is 0.
    Qos0,
    /// Nothing is retained.
    NoRetain,
    /// Filters have no wildcards.
    NoWildcards,
    /// Subscriptions have no identifiers.
    NoSubscriptionIdentifiers,
    /// Subscriptions are not shared.
    NoShared,
    /// The server says how long a client may be silent: [`KEEP_ALIVE_SECONDS`].
    KeepAlive,
    /// Sessions and retained messages survive a restart.
    Persistence,
    /// MQTT over WebSocket.
    WebSocket,
    /// Every client is sent to [`SERVER_REFERENCE`].
    Redirects,
}

impl Setup {
    /// All of them.
    pub const ALL: [Setup; 15] = [
        Setup::Plain,
        Setup::Users,
        Setup::Acl,
        Setup::Enhanced,
        Setup::Named,
        Setup::SmallPackets,
        Setup::Qos0,
        Setup::NoRetain,
        Setup::NoWildcards,
        Setup::NoSubscriptionIdentifiers,
        Setup::NoShared,
        Setup::KeepAlive,
        Setup::Persistence,
        Setup::WebSocket,
        Setup::Redirects,
    ];

    /// Its name in a profile.
    pub const fn name(self) -> &'static str {
        match self {
            Setup::Plain => "plain",
            Setup::Users => "users",
            Setup::Acl => "acl",
            Setup::Enhanced => "enhanced",
            Setup::Named => "named",
            Setup::SmallPackets => "small_packets",
            Setup::Qos0 => "qos_0",
            Setup::NoRetain => "no_retain",
            Setup::NoWildcards => "no_wildcards",
            Setup::NoSubscriptionIdentifiers => "no_subscription_identifiers",
            Setup::NoShared => "no_shared",
            Setup::KeepAlive => "keep_alive",
            Setup::Persistence => "persistence",
            Setup::WebSocket => "websocket",
            Setup::Redirects => "redirects",
        }
    }

    /// Finishes "needs a server …".
    pub const fn wanted(self) -> &'static str {
        match self {
            Setup::Plain => "as it is",
            Setup::Users => "that asks for a user name and a password",
            Setup::Acl => "that does not let everybody publish and subscribe everywhere",
            Setup::Enhanced => "with the enhanced authentication SCRAM-SHA-256",
            Setup::Named => "that takes no client without an identifier",
            Setup::SmallPackets => "that takes only small packets",
            Setup::Qos0 => "whose Maximum QoS is 0",
            Setup::NoRetain => "that retains nothing",
            Setup::NoWildcards => "without wildcard subscriptions",
            Setup::NoSubscriptionIdentifiers => "without Subscription Identifiers",
            Setup::NoShared => "without shared subscriptions",
            Setup::KeepAlive => "with a Server Keep Alive",
            Setup::Persistence => "that keeps sessions over a restart",
            Setup::WebSocket => "that is reached over a WebSocket",
            Setup::Redirects => "that sends its clients to another",
        }
    }

    /// Whether a server may be so by itself and shows it, so that the test finds out. Otherwise somebody has to set it up.
    pub const fn shows(self) -> bool {
        match self {
            Setup::Plain
            | Setup::Named
            | Setup::SmallPackets
            | Setup::Qos0
            | Setup::NoRetain
            | Setup::NoWildcards
            | Setup::NoSubscriptionIdentifiers
            | Setup::NoShared
            | Setup::KeepAlive
            | Setup::WebSocket => true,
            Setup::Users | Setup::Acl | Setup::Enhanced | Setup::Persistence | Setup::Redirects => false,
        }
    }

    /// What clients show that are not about credentials.
    pub fn credentials(self) -> Option<Credentials> {
        let known = Credentials { username: Text::literal(USERNAME), password: Some(PASSWORD.into()) };
        matches!(self, Setup::Users).then_some(known)
    }
}
