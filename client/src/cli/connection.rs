//! From arguments to what the client is told, and how it reaches the server.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use squall_client::{
    core::authentication::Method,
    net::{
        tls::{ClientCertificate, TlsOptions, Trust},
        transport::UrlConnector,
        url::{Scheme, ServerUrl},
    },
    options::{Options, Reconnect, ServerReference},
    scram::ScramSha256,
};
use squall_codec::{packet::Will, version::Version, wire::Text};

use super::{
    Trouble,
    arguments::{Connection, Tls, text},
    properties::PacketProperties,
};

impl Connection {
    /// Where the server is, without what else a URL may hold.
    pub(crate) fn server(&self) -> ServerUrl {
        if let Some(url) = &self.url {
            return ServerUrl { username: None, password: None, ..url.clone() };
        }
        let scheme = if self.tls.is_wanted() { Scheme::Mqtts } else { Scheme::Mqtt };
        ServerUrl {
            scheme,
            host: self.host.clone(),
            port: self.port.unwrap_or(scheme.default_port()),
            username: None,
            password: None,
            path: None,
        }
    }

    pub(crate) fn connector(&self) -> Result<UrlConnector, Trouble> {
        let server = self.server();
        if self.tls.is_wanted() && !server.scheme.is_encrypted() {
            let scheme = server.scheme.name();
            return Err(Trouble::unable(format!(
                "{scheme}:// has no TLS: take {scheme}s:// or leave the TLS options out"
            )));
        }
        UrlConnector::new(&server, &self.tls.options()).map_err(|error| Trouble::unable(error.to_string()))
    }

    /// The properties of `-D`.
    pub(crate) fn packet_properties(&self) -> Result<PacketProperties, Trouble> {
        if !self.version.has_properties() && !self.properties.is_empty() {
            return Err(Trouble::unable("-D: properties need MQTT 5.0"));
        }
        PacketProperties::read(&self.properties)
    }

    /// What the client is told.
    pub(crate) fn options(&self, seed: u64) -> Result<Options, Trouble> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None if self.keep_session => return Err(Trouble::unable("a session to keep needs a name: give one by -i")),
            // 3.1 wants 1 to 23 characters of every client.
            None if self.version == Version::V3_1 => {
                Text::new(format!("squall-{:08x}", seed as u32)).expect("hexadecimal digits are text")
            }
            None => Text::default(),
        };
        let url = self.url.as_ref();
        let url_username =
            url.and_then(|url| url.username.as_deref()).map(text).transpose().map_err(Trouble::unable)?;
        let username = self.username.clone().or(url_username);
        let password = self.password.as_ref().or(url.and_then(|url| url.password.as_ref()));
        if password.is_some() && username.is_none() && !self.version.has_properties() {
            return Err(Trouble::unable("before MQTT 5.0 a password needs a user name: give one by -u"));
        }
        let said = self.packet_properties()?;
        let forever = (self.keep_session && self.version.has_properties()).then_some(u32::MAX);
        let authentication = match self.scram {
            true => Some(self.scram(username.as_ref(), password)?),
            false => None,
        };
        let password = password.filter(|_| !self.scram).map(|password| Bytes::from(password.clone()));
        let defaults = Options::new(self.version, id);
        Ok(Options {
            clean_start: !self.keep_session,
            // Without a file, what an earlier run left behind is the server's alone.
            existing_session: self.keep_session,
            keep_alive: Duration::from_secs(self.keepalive.into()),
            session_expiry_seconds: self.session_expiry.or(said.connect.session_expiry_interval()).or(forever),
            receive_maximum: said.connect.receive_maximum(),
            maximum_packet_size: said.connect.maximum_packet_size().unwrap_or(defaults.maximum_packet_size),
            topic_alias_maximum: said.connect.topic_alias_maximum().unwrap_or(0),
            user_properties: said.connect.user_properties().cloned().collect(),
            will: self.will_topic.as_ref().map(|topic| Will {
                qos: self.will_qos,
                retain: self.will_retain,
                topic: topic.clone(),
                payload: Bytes::from(self.will_payload.clone().unwrap_or_default()),
                properties: said.will,
            }),
            username: username.filter(|_| !self.scram),
            password,
            authentication,
            reconnect: Reconnect::Backoff { first: Duration::from_secs(1), max: Duration::from_secs(30) },
            server_reference: match self.follow {
                Some(most) => ServerReference::Follow { most },
                None => ServerReference::Tell,
            },
            connect_timeout: Duration::from_secs(self.connect_timeout),
            ..defaults
        })
    }

    fn scram(&self, username: Option<&Text>, password: Option<&String>) -> Result<Arc<dyn Method>, Trouble> {
        let (Some(username), Some(password)) = (username, password) else {
            return Err(Trouble::unable("SCRAM needs a user name and a password: give them by -u and -P"));
        };
        if !self.version.has_properties() {
            return Err(Trouble::unable("SCRAM needs MQTT 5.0"));
        }
        let scram = ScramSha256::new(username.as_str(), password);
        Ok(Arc::new(scram.map_err(|error| Trouble::unable(error.to_string()))?))
    }
}

impl Tls {
    fn is_wanted(&self) -> bool {
        let Tls { tls, cafile, capath, cert, key: _, insecure, tls_version, tls_alpn, tls_server_name } = self;
        let files = cafile.is_some() || capath.is_some() || cert.is_some();
        *tls || files || *insecure || tls_version.is_some() || tls_alpn.is_some() || tls_server_name.is_some()
    }

    fn options(&self) -> TlsOptions {
        let named: Vec<_> = self.cafile.iter().chain(&self.capath).cloned().collect();
        TlsOptions {
            trust: match (self.insecure, named.is_empty()) {
                (true, _) => Trust::Anybody,
                (false, true) => Trust::System,
                (false, false) => Trust::Only(named),
            },
            certificate: self.cert.clone().zip(self.key.clone()).map(|(chain, key)| ClientCertificate { chain, key }),
            server_name: self.tls_server_name.clone(),
            version: self.tls_version,
            alpn: self.tls_alpn.iter().cloned().collect(),
        }
    }
}
