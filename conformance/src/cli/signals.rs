//! Ctrl-C ends a run and keeps what is known; a second one ends the program.

use std::{io, thread};

use squall_conformance::stop::Stop;

/// What a shell says of a program that was interrupted.
pub(super) const INTERRUPTED: u8 = 130;

/// From now on Ctrl-C (and, where there is such a thing, SIGTERM) asks the run to stop. When this returns it does so already: what
/// the run launches next is not left behind, however slowly threads start.
pub(super) fn listen(stop: &Stop) {
    // Without listeners Ctrl-C ends the program at once, as it does everywhere.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let signals = {
        let _inside = runtime.enter();
        Signals::new()
    };
    let Ok(mut signals) = signals else { return };
    let stop = stop.clone();
    let listener = thread::Builder::new().name("signals".to_owned());
    let _ = listener.spawn(move || {
        runtime.block_on(async {
            if signals.next().await {
                stop.ask();
                eprintln!("\nconformance: interrupted; what is known follows (once more to leave at once)");
                if signals.next().await {
                    stop.leave();
                }
            }
        });
    });
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            interrupt = self.interrupt.recv() => interrupt.is_some(),
            terminate = self.terminate.recv() => terminate.is_some(),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals)
    }

    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}
