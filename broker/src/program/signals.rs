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
        let mut stopping = Stopping { tell: stops, told: false };
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
        let mut stopping = Stopping { tell: stops, told: false };
        while tokio::signal::ctrl_c().await.is_ok() {
            stopping.signal(2);
        }
        // Nothing asks for a reload here, and nothing says that nothing will.
        reloads.closed().await;
    });
    Ok(Signals { stop, reload })
}

/// Tells of the first signal to stop.
struct Stopping {
    tell: mpsc::Sender<()>,
    told: bool,
}

impl Stopping {
    /// The second one ends the process, with the status that shells give to one that was killed.
    fn signal(&mut self, number: i32) {
        if self.told {
            process::exit(128 + number);
        }
        self.told = true;
        // There is room for one, and somebody listens until it is there.
        let _ = self.tell.try_send(());
    }
}
