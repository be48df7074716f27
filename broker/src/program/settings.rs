//! Everything that can be chosen, as values. What each is called and what it may be stands in `table.rs`.

use std::{ops::Range, path::PathBuf, time::Duration};

use squall_broker::{core::config::Config, store::disk::Durability, users::throttle::ThrottleLimits};

use super::url::{ListenUrl, Scheme};

/// How often figures are published below `$SYS` if nobody says anything.
const SYS_INTERVAL: Duration = Duration::from_secs(10);

/// The choices of one run. The default is what the program does when nobody says anything.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// `[protocol]` and `[limits]`.
    pub(super) config: Config,
    /// `[[listen]]`.
    pub(super) listeners: Vec<Listen>,
    pub(super) users: Users,
    pub(super) store: Store,
    pub(super) log: Log,
    pub(super) http: Http,
}

/// One place where clients come in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listen {
    pub(super) url: ListenUrl,
    /// Where the address stands in the configuration file.
    pub(super) place: Option<Range<usize>>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) client_certificates: ClientCertificates,
    pub(super) proxy_protocol: bool,
    /// Web pages from which browsers may connect; empty for all.
    pub(super) origins: Vec<String>,
    pub(super) use_certificate_name: bool,
    pub(super) allow_anonymous: Option<bool>,
    pub(super) maximum_connections: Option<u64>,
}

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCertificates {
    None,
    Request,
    Require,
}

/// Who may come in, and what they may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Users {
    pub(super) password_file: Option<PathBuf>,
    pub(super) acl_file: Option<PathBuf>,
    /// Unsaid, it depends on who can reach the listener.
    pub(super) allow_anonymous: Option<bool>,
    pub(super) throttle: ThrottleLimits,
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Store {
    /// Without a folder all is in memory.
    pub(super) dir: Option<PathBuf>,
    pub(super) durability: Durability,
}

/// What is told about what happens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Log {
    pub(super) level: String,
    pub(super) json: bool,
    pub(super) packets: bool,
}

/// The listener for metrics and health.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Http {
    pub(super) listen: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let loopback = ListenUrl { scheme: Scheme::Mqtt, host: "127.0.0.1".to_owned(), port: 1883, path: None };
        Settings {
            // Who looks after a server expects its figures.
            config: Config { sys_interval: Some(SYS_INTERVAL), ..Config::default() },
            listeners: vec![Listen::new(loopback, None)],
            users: Users::default(),
            store: Store::default(),
            log: Log { level: "warn".to_owned(), json: false, packets: false },
            http: Http::default(),
        }
    }
}

impl Listen {
    /// A listener about which nothing else is said.
    pub(super) fn new(url: ListenUrl, place: Option<Range<usize>>) -> Self {
        Listen {
            url,
            place,
            certificate: None,
            key: None,
            client_ca: None,
            client_certificates: ClientCertificates::None,
            proxy_protocol: false,
            origins: Vec::new(),
            use_certificate_name: false,
            allow_anonymous: None,
            maximum_connections: None,
        }
    }

    /// What does not go together: a sentence, and what to do.
    pub(super) fn contradiction(&self) -> Option<(String, &'static str)> {
        let tls = self.url.scheme.uses_tls();
        let of_tls = [
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("client_ca", self.client_ca.is_some()),
            ("client_certificates", self.client_certificates != ClientCertificates::None),
        ];
        if let Some((name, _)) = of_tls.iter().find(|(_, given)| *given && !tls) {
            let secure = "mqtts:// and wss:// use TLS; mqtt:// and ws:// do not";
            return Some((format!("{} is not encrypted and has no use for `{name}`", self.url), secure));
        }
        let missing = [("certificate", self.certificate.is_none()), ("key", self.key.is_none())];
        if let Some((name, _)) = missing.iter().find(|(_, missing)| *missing && tls) {
            let files = "TLS needs `certificate` and `key`, two PEM files";
            return Some((format!("{} has no `{name}`", self.url), files));
        }
        if self.client_certificates != ClientCertificates::None && self.client_ca.is_none() {
            let authority = "`client_ca` is the PEM file of those who sign clients' certificates";
            return Some((format!("{} asks for clients' certificates and has no `client_ca`", self.url), authority));
        }
        if self.use_certificate_name && self.client_certificates == ClientCertificates::None {
            let ask = "`client_certificates = \"require\"` asks for them";
            return Some((format!("{} uses the names of certificates and asks for none", self.url), ask));
        }
        if !self.origins.is_empty() && !self.url.scheme.uses_websocket() {
            let web = "browsers connect to ws:// and wss://";
            return Some((format!("{} is no WebSocket and has no use for `origins`", self.url), web));
        }
        None
    }
}
