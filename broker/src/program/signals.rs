//! The signals: stop, stop at once, reload.

use std::{io, process};

use tokio::sync::mpsc;

/// What the signals bring.
pub(super) struct Signals {
    /// The first SIGINT or SIGTERM.
    pub(super) stop: mpsc::Receiver<()>,
    /// Each SIGHUP; several at once are one.
    pub(super) reload: mpsc::Receiver<()>,
}

/// Listens to the signals. The handlers stand when this returns. The second signal to stop ends the process at once.
#[cfg(unix)]
pub(super) fn listen() -> io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let ((stops, stop), (reloads, reload)) = (mpsc::channel(1), mpsc::channel(1));
    tokio::spawn(async move {
        let mut stopping = Stopping(stops);
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => stopping.signal(SignalKind::interrupt().as_raw_value()),
                _ = terminate.recv() => stopping.signal(SignalKind::terminate().as_raw_value()),
                // One that waits already stands for this one too.
                _ = hangup.recv() => drop(reloads.try_send(())),
            }
        }
    });
    Ok(Signals { stop, reload })
}

/// Listens to Ctrl-C.
#[cfg(not(unix))]
pub(super) fn listen() -> io::Result<Signals> {
    let ((stops, stop), (reloads, reload)) = (mpsc::channel(1), mpsc::channel(1));
    tokio::spawn(async move {
        let mut stopping = Stopping(stops);
        while tokio::signal::ctrl_c().await.is_ok() {
            stopping.signal(2);
        }
        // Nothing asks for a reload here, and nothing says that nothing will.
        reloads.closed().await;
    });
    Ok(Signals { stop, reload })
}

/// Tells of the first signal to stop.
struct Stopping(mpsc::Sender<()>);

impl Stopping {
    /// The second one ends the process, with the status that shells give to one that was killed.
    fn signal(&mut self, number: i32) {
        // The channel holds one: it is full, or nobody listens any more, when the first was told.
        if self.0.is_closed() || self.0.try_send(()).is_err() {
            process::exit(128 + number);
        }
    }
}
