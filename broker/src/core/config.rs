//! What an operator chooses.

use std::{sync::Arc, time::Duration};

use squall_codec::{qos::Qos, wire::Text};

use super::{acl::Acl, limits::Limits};

/// How the server behaves. The default is a server that offers everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every bound.
    pub limits: Limits,
    /// The highest QoS that 5.0 clients may publish with, and that any subscription is granted.
    pub maximum_qos: Qos,
    /// Whether messages are retained.
    pub retain_available: bool,
    /// Whether filters may hold wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_identifiers_available: bool,
    /// Whether there are Shared Subscriptions.
    pub shared_subscription_available: bool,
    /// Where clients are to go instead: nobody is let in, and 5.0 clients are told this Server Reference.
    pub server_reference: Option<Text>,
    /// Whether they are to go there for good (0x9D), and not for now (0x9C).
    pub server_moved: bool,
    /// Whether an empty Client Identifier is answered by an assigned one.
    pub allow_empty_client_id: bool,
    /// The Keep Alive in seconds that 5.0 clients are told to use instead of their own.
    pub server_keep_alive: Option<u16>,
    /// The longest Session Expiry Interval in seconds that 5.0 clients get; `u32::MAX` is no bound.
    pub maximum_session_expiry: u32,
    /// Response Information for 5.0 clients that ask for it: by custom, what their Response Topics begin with.
    pub response_information: Option<Text>,
    /// How often the server publishes its figures below `$SYS`; `None` is never.
    pub sys_interval: Option<Duration>,
    /// Whether the session of a named user is refused (CONNACK 0x87, 3.x: 0x05) to every other user who comes with its Client
    /// Identifier. Otherwise whoever knows the Client Identifier takes the session over, with all that waits in it.
    pub sessions_belong_to_users: bool,
    /// Who may do what, from the start. `Input::Reload` replaces it.
    pub acl: Arc<Acl>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            limits: Limits::default(),
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            subscription_identifiers_available: true,
            shared_subscription_available: true,
            server_reference: None,
            server_moved: false,
            allow_empty_client_id: true,
            server_keep_alive: None,
            maximum_session_expiry: u32::MAX,
            response_information: None,
            sys_interval: None,
            sessions_belong_to_users: true,
            acl: Arc::default(),
        }
    }
}
