//! What all commands do: connect, and say in one sentence why it came to an end.

use std::{future::pending, io, sync::OnceLock};

use squall_client::{
    core::effect::{DisconnectCause, Event},
    net::{
        clock::seed_of_this_run,
        driver::{start, start_with_store},
        handle::{Events, Handle},
        messages::Messages,
        store::FileStore,
    },
    options::{Acknowledge, Options},
};
use squall_codec::{property::Properties, reason::ReasonCode, version::Version};
use tokio::sync::watch;

use super::{Trouble, arguments::Connection, tell};

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
    quiet: bool,
}

/// Connects, or says why not.
pub(crate) async fn connect(connection: &Connection, acknowledge: Acknowledge) -> Result<Session, Trouble> {
    let seed = seed_of_this_run();
    let options = Options { acknowledge, ..connection.options(seed)? };
    let version = options.version;
    let seconds = options.connect_timeout.as_secs();
    let server = connection.server().authority();
    let connector = connection.connector()?;
    let (handle, messages, events) = match &connection.session_file {
        None => {
            let (handle, messages, events, driver) = start(options, connector, seed);
            tokio::spawn(driver);
            (handle, messages, events)
        }
        Some(path) => {
            let unusable = |error: std::io::Error| Trouble::unable(error.to_string());
            let store = FileStore::open(path).map_err(unusable)?;
            let (handle, messages, events, driver) =
                start_with_store(options, connector, seed, Box::new(store)).map_err(unusable)?;
            tokio::spawn(driver);
            (handle, messages, events)
        }
    };
    let mut life = Life { events, server, refused: None, seconds, version, quiet: connection.quiet };
    tokio::select! {
        biased;
        () = interrupted() => {
            goodbye(&handle, &Properties::new()).await;
            return Err(Trouble::refused("interrupted before the connection stood"));
        }
        connected = life.connected(connection.follow.unwrap_or(0)) => connected?,
    }
    Ok(Session { handle, messages, life })
}

/// Whether the server named another.
fn is_elsewhere(cause: &DisconnectCause) -> bool {
    matches!(cause, DisconnectCause::Server { server_reference: Some(_), .. })
}

impl Life {
    /// Waits for the first connection that stands, over so many servers that name another.
    async fn connected(&mut self, most: u32) -> Result<(), Trouble> {
        let mut followed = 0;
        loop {
            match self.next().await {
                Some(Event::Connected { .. }) => return Ok(()),
                Some(Event::Disconnected { cause, reconnecting: true }) if is_elsewhere(&cause) && followed < most => {
                    followed += 1;
                    self.refused = None;
                    self.tell(format_args!("{}; going there", explained(&cause)));
                }
                Some(Event::Disconnected { cause, .. }) => return Err(self.no_connection(cause)),
                Some(Event::Refused { .. } | Event::Resubscribed { .. }) | None => {
                    return Err(Trouble::unable(format!("no connection to {}", self.server)));
                }
            }
        }
    }

    /// The next event of those that begin or end a connection.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.events.next().await {
                Some(Event::Refused { reason }) => self.refused = Some(reason),
                Some(Event::Resubscribed { refused }) => {
                    for (filter, reason) in refused {
                        self.tell(format_args!("the server refused to renew the subscription to '{filter}': {reason}"));
                    }
                }
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
                    self.tell(format_args!("{}; trying again", explained(&cause)));
                }
                Some(Event::Disconnected { cause, .. }) => return Err(Trouble::refused(explained(&cause))),
                Some(Event::Refused { .. } | Event::Resubscribed { .. }) | None => {
                    return Err(Trouble::refused("the client has ended"));
                }
            }
        }
    }

    fn tell(&self, sentence: std::fmt::Arguments<'_>) {
        if !self.quiet {
            tell(sentence);
        }
    }

    fn no_connection(&self, cause: DisconnectCause) -> Trouble {
        let server = &self.server;
        match (self.refused, cause) {
            (Some(reason @ ReasonCode::UnsupportedProtocolVersion), _) => {
                Trouble::refused(format!("{server} refused the connection: {reason}; try another version by -V"))
            }
            (Some(reason), cause) => {
                let more = more(&cause);
                Trouble::refused(format!("{server} refused the connection: {reason}{more}"))
            }
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
            (None, cause @ DisconnectCause::Authentication(_)) => Trouble::refused(format!("{server}: {cause}")),
            (None, cause) => Trouble::unable(format!("cannot connect to {server}: {}", explained(&cause))),
        }
    }
}

/// With what the server said for people, and where it sends them.
fn explained(cause: &DisconnectCause) -> String {
    format!("{cause}{}", more(cause))
}

fn more(cause: &DisconnectCause) -> String {
    let DisconnectCause::Server { explanation, server_reference, .. } = cause else { return String::new() };
    let explanation = explanation.as_ref().map(|text| format!(" ({text})"));
    let reference = server_reference.as_ref().map(|server| format!("; it names another server: {server}"));
    [explanation, reference].into_iter().flatten().collect()
}

/// DISCONNECT, and the end of the connection.
pub(crate) async fn goodbye(handle: &Handle, said: &Properties) {
    handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, said.session_expiry_interval()).await;
}

/// Waits until a person or the system asks the program to end. Whoever asked while nobody waited, between one step of a command and
/// the next, is heard too.
pub(crate) async fn interrupted() {
    static ASKED: OnceLock<watch::Receiver<bool>> = OnceLock::new();
    let mut asked = ASKED.get_or_init(listen).clone();
    if asked.wait_for(|asked| *asked).await.is_err() {
        pending::<()>().await;
    }
}

/// From now on the program is not ended by the signals, and its commands are told.
fn listen() -> watch::Receiver<bool> {
    let (tell, asked) = watch::channel(false);
    #[cfg(unix)]
    let asks = {
        use tokio::signal::unix::{Signal, SignalKind, signal};

        async fn first(signal: io::Result<Signal>) {
            match signal {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => pending().await,
            }
        }
        // Here, and not when the task runs for the first time.
        let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async move {
            tokio::select! {
                () = first(interrupt) => {}
                () = first(terminate) => {}
            }
        }
    };
    #[cfg(not(unix))]
    let asks = async {
        if tokio::signal::ctrl_c().await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::spawn(async move {
        asks.await;
        tell.send_replace(true);
    });
    asked
}
