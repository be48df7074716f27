//! What both commands do: connect, and say in one sentence why it came to an end.

use squall_client::{
    core::effect::{DisconnectCause, Event},
    net::{
        clock::seed_of_this_run,
        connector::TcpConnector,
        driver::start,
        handle::{Events, Handle, Messages},
    },
    options::{Acknowledge, Options},
};
use squall_codec::{reason::ReasonCode, version::Version};

use super::{Trouble, arguments::Connection};

/// A client that is connected.
pub(crate) struct Session {
    pub(crate) handle: Handle,
    pub(crate) messages: Messages,
    pub(crate) life: Life,
}

/// The events of the connection, for a person.
pub(crate) struct Life {
    events: Events,
    server: String,
    refused: Option<ReasonCode>,
    seconds: u64,
    version: Version,
}

/// Connects, or says why not.
pub(crate) async fn connect(connection: &Connection, acknowledge: Acknowledge) -> Result<Session, Trouble> {
    let seed = seed_of_this_run();
    let options = Options { acknowledge, ..connection.options(seed)? };
    let version = options.version;
    let seconds = options.connect_timeout.as_secs();
    let (host, port) = connection.server();
    let server = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let (handle, messages, events, driver) = start(options, TcpConnector { host, port }, seed);
    tokio::spawn(driver);
    let mut life = Life { events, server, refused: None, seconds, version };
    match life.next().await {
        Some(Event::Connected { .. }) => Ok(Session { handle, messages, life }),
        Some(Event::Disconnected { cause, .. }) => Err(life.no_connection(cause)),
        Some(Event::Refused { .. }) | None => Err(Trouble::unable(format!("no connection to {}", life.server))),
    }
}

impl Life {
    /// The next event but `Refused`, which is remembered.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.events.next().await {
                Some(Event::Refused { reason }) => self.refused = Some(reason),
                other => return other,
            }
        }
    }

    /// Waits until the connection stands anew, telling of it on standard error; gives whether the session is the same.
    pub(crate) async fn reconnected(&mut self) -> Result<bool, Trouble> {
        loop {
            match self.next().await {
                Some(Event::Connected { resumed, .. }) => return Ok(resumed),
                Some(Event::Disconnected { cause, reconnecting: true }) => {
                    anstream::eprintln!("{cause}; trying again");
                }
                Some(Event::Disconnected { cause, .. }) => return Err(Trouble::refused(cause.to_string())),
                Some(Event::Refused { .. }) | None => return Err(Trouble::refused("the client has ended")),
            }
        }
    }

    fn no_connection(&self, cause: DisconnectCause) -> Trouble {
        let server = &self.server;
        match (self.refused, cause) {
            (Some(reason @ ReasonCode::UnsupportedProtocolVersion), _) => {
                Trouble::refused(format!("{server} refused the connection: {reason}; try another version by -V"))
            }
            (Some(reason), _) => Trouble::refused(format!("{server} refused the connection: {reason}")),
            (None, DisconnectCause::Network(reason)) => {
                Trouble::unable(format!("cannot connect to {server}: {reason}"))
            }
            (None, DisconnectCause::NoAnswer) => {
                Trouble::unable(format!("cannot connect to {server}: no answer within {} s", self.seconds))
            }
            // A server that knows no 5.0 refuses in the words of 3.1.1, which 5.0 cannot read.
            (None, DisconnectCause::Violation(detail)) if self.version == Version::V5_0 => Trouble::unable(format!(
                "cannot connect to {server}: {detail}; if it speaks an older MQTT, try -V 3.1.1"
            )),
            (None, cause) => Trouble::unable(format!("cannot connect to {server}: {cause}")),
        }
    }
}

/// Waits until a person or the system asks the program to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
