//! The accept loop of one listener, and the task of each connection from the first byte to the last.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    connection::{self, Conversation},
    listener::{Listener, ListenerOptions},
    mailbox::mailbox,
    server::ToCore,
    transport::Transport,
};
#[cfg(feature = "transports")]
use super::{mailbox, proxy, transport};
#[cfg(feature = "transports")]
use crate::core::effect::Input;
use crate::core::{
    effect::{ConnectionId, PeerInfo},
    limits::Limits,
};

/// The pause after an accept that failed for want of something (file descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listeners of a server share.
#[derive(Debug)]
pub(super) struct Door {
    core: connection::Core,
    maximum_packet_size: u32,
    /// How long what comes before the core hears of a connection may take.
    #[cfg(feature = "transports")]
    patience: Duration,
    /// The last `ConnectionId`.
    last: AtomicU64,
}

impl Door {
    pub(super) fn new(core: connection::Core, limits: &Limits) -> Self {
        Door {
            core,
            maximum_packet_size: limits.maximum_packet_size,
            #[cfg(feature = "transports")]
            patience: limits.connect_timeout,
            last: AtomicU64::new(0),
        }
    }
}

/// Accepts for ever; the error is one that the listener does not recover from.
pub(super) async fn accept<L: Listener>(listener: L, options: ListenerOptions, door: Arc<Door>) -> io::Error {
    let options = Arc::new(options);
    let room = Arc::new(Semaphore::new(options.maximum_connections.min(Semaphore::MAX_PERMITS)));
    loop {
        let (io, mut peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) if error.raw_os_error().is_some() => {
                tracing::warn!(listener = &*options.name, %error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            Err(error) => return error,
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::info!(listener = &*options.name, "refused a connection: there are maximum_connections already");
            continue;
        };
        peer.listener = Arc::clone(&options.name);
        let connection = ConnectionId(door.last.fetch_add(1, Ordering::Relaxed) + 1);
        welcome(connection, io, peer, permit, Arc::clone(&options), Arc::clone(&door));
    }
}

/// Apart from `accept`, of which there is one for each type of listener: what a connection needs is compiled once.
fn welcome(
    connection: ConnectionId,
    io: Transport,
    peer: PeerInfo,
    permit: OwnedSemaphorePermit,
    options: Arc<ListenerOptions>,
    door: Arc<Door>,
) {
    tokio::spawn(attend(connection, io, peer, permit, options, door));
}

/// The life of one connection. The core knows of it from the beginning: what the handshakes of its transport take is a
/// part of the time that it has for CONNECT.
#[cfg_attr(
    not(feature = "transports"),
    expect(unused_mut, unused_variables, reason = "plain TCP takes no preparation")
)]
async fn attend(
    connection: ConnectionId,
    mut io: Transport,
    mut peer: PeerInfo,
    permit: OwnedSemaphorePermit,
    options: Arc<ListenerOptions>,
    door: Arc<Door>,
) {
    #[cfg(feature = "transports")]
    if options.proxy_protocol && !Box::pin(learn_address(connection, &mut io, &mut peer, &door)).await {
        return;
    }
    let (sender, mut mailbox) = mailbox();
    if door.core.inputs.send(ToCore::Opened { connection, peer, mailbox: sender }).await.is_err() {
        return;
    }
    #[cfg(feature = "transports")]
    if options.tls.is_some() || options.websocket.is_some() {
        match Box::pin(prepare(connection, io, &options, &door, &mut mailbox)).await {
            Some(ready) => io = ready,
            None => return,
        }
    }
    Conversation::new(connection, io, door.maximum_packet_size, door.core.clone(), mailbox).hold().await;
    drop(permit);
}

/// Whom the proxy speaks for. `false`: there is no talking to it.
#[cfg(feature = "transports")]
async fn learn_address(connection: ConnectionId, io: &mut Transport, peer: &mut PeerInfo, door: &Door) -> bool {
    let header = tokio::time::timeout(door.patience, proxy::read_header(io)).await;
    match header.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(address) => {
            peer.address = address.or(peer.address);
            true
        }
        Err(error) => {
            tracing::info!(connection = connection.0, proxy = ?peer.address, %error, "closed before the PROXY header");
            false
        }
    }
}

/// The handshakes, until they are over or the core has lost patience.
#[cfg(feature = "transports")]
async fn prepare(
    connection: ConnectionId,
    io: Transport,
    options: &ListenerOptions,
    door: &Door,
    mailbox: &mut mailbox::Receiver,
) -> Option<Transport> {
    let established = tokio::select! {
        biased;
        () = mailbox.ended() => return None,
        established = transport::establish(io, options) => established,
    };
    let (input, transport) = match established {
        Ok((transport, None)) => return Some(transport),
        Ok((transport, Some(certificate_name))) => {
            (Input::Identified { connection, certificate_name }, Some(transport))
        }
        Err(error) => {
            tracing::info!(connection = connection.0, %error, "no connection came about");
            (Input::Closed { connection }, None)
        }
    };
    mailbox.sending();
    let group = ToCore::Inputs { connection, inputs: vec![input] };
    door.core.inputs.send(group).await.ok().and(transport)
}

/// Errors that concern a connection which went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, NotConnected};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | BrokenPipe | NotConnected
    )
}
