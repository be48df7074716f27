//! The part of the command line that says how to get in at a target.

use std::path::PathBuf;

use clap::Args;
use squall_client::net::tls::{ClientCertificate, TlsOptions, Trust};
use squall_codec::{topic::TopicName, wire::Text};
use squall_conformance::{dial::Access, target::Target};
use squall_scenarios::stage::{Credentials, TOPIC_ROOT};

/// Credentials, certificates.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Getting in at the target")]
pub(super) struct AccessArgs {
    /// User Name of every CONNECT that is not about user names
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Password that goes with it
    #[arg(long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Certificates that are believed, in PEM: a file or a folder, repeatable [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
    /// Our own certificate, in PEM, for a server that asks for one
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key that goes with it
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Believe any certificate
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
    /// The topics of tests are below this one: where a rule of the server leaves us only some [default: squall]
    #[arg(long, value_name = "TOPIC", value_parser = topic_root)]
    topic_prefix: Option<String>,
}

/// Whole levels, without a slash at the end.
fn topic_root(text: &str) -> Result<String, String> {
    let levels = text.trim_end_matches('/');
    if levels.starts_with('$') {
        return Err(format!("'{text}' begins with $: such topics are the server's own"));
    }
    let name = Text::new(levels).map_err(|error| error.to_string());
    name.and_then(|name| TopicName::new(name).map_err(|error| error.to_string()))
        .map(|_| levels.to_owned())
        .map_err(|error| format!("'{text}' is no topic: it {error}"))
}

impl AccessArgs {
    /// The same again, as words of a command line. A password is not told.
    #[cfg(feature = "own-broker")]
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |flag: &str, value: &dyn std::fmt::Display| words.extend([flag.to_owned(), value.to_string()]);
        if let Some(username) = &self.username {
            say("--username", username);
        }
        if let Some(password) = &self.password {
            say("--password", password);
        }
        self.ca.iter().for_each(|file| say("--ca", &file.display()));
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            say("--cert", &cert.display());
            say("--key", &key.display());
        }
        if let Some(topics) = &self.topic_prefix {
            say("--topic-prefix", topics);
        }
        if self.insecure {
            words.push("--insecure".to_owned());
        }
        without_secrets(words)
    }

    /// What that comes to at this target.
    ///
    /// # Errors
    /// One sentence: what does not go together.
    pub(super) fn at(&self, target: &Target) -> Result<Access, String> {
        let url = &target.url;
        let encrypted = [("--ca", !self.ca.is_empty()), ("--cert", self.cert.is_some()), ("--insecure", self.insecure)];
        if let Some((flag, _)) = encrypted.iter().find(|(_, given)| *given && !url.scheme.is_encrypted()) {
            return Err(format!("{target} is not encrypted and has no use for {flag}: tls:// and wss:// are"));
        }
        let username = self.username.clone().or_else(|| url.username.clone());
        let password = self.password.clone().or_else(|| url.password.clone());
        if username.is_none() && password.is_some() {
            return Err("a password needs --username: MQTT before 5.0 has no password without a user name".to_owned());
        }
        let username = username.map(Text::new).transpose().map_err(|error| format!("the user name {error}"))?;
        let credentials =
            username.map(|username| Credentials { username, password: password.map(|password| password.into()) });
        let trust = match (&self.ca[..], self.insecure) {
            (_, true) => Trust::Anybody,
            ([], false) => Trust::System,
            (files, false) => Trust::Only(files.to_vec()),
        };
        let certificate = self.cert.clone().zip(self.key.clone());
        let certificate = certificate.map(|(chain, key)| ClientCertificate { chain, key });
        let topic_root = self.topic_prefix.clone().unwrap_or_else(|| TOPIC_ROOT.to_owned());
        let tls = TlsOptions { trust, certificate, ..TlsOptions::default() };
        Ok(Access { credentials, tls, may_refuse: false, topic_root })
    }
}

/// The words of a command line as a report may show them.
pub(super) fn without_secrets(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut is_secret = false;
    let hide = |word: String| {
        if std::mem::replace(&mut is_secret, word == "--password") {
            return "...".to_owned();
        }
        if word.starts_with("--password=") {
            return "--password=...".to_owned();
        }
        match word.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
            Some((scheme, (user, host))) if user.contains(':') => format!("{scheme}://...@{host}"),
            _ => word,
        }
    };
    words.into_iter().map(hide).collect()
}
