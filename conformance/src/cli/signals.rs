//! Ctrl-C ends a run and keeps what is known; a second one ends the program.

use std::thread;

use squall_conformance::stop::Stop;

/// What a shell says of a program that was interrupted.
pub(super) const INTERRUPTED: u8 = 130;

/// From now on Ctrl-C (and, where there is such a thing, SIGTERM) asks the run to stop.
pub(super) fn listen(stop: &Stop) {
    let stop = stop.clone();
    let listener = thread::Builder::new().name("signals".to_owned());
    // Without the thread Ctrl-C ends the program at once, as it does everywhere.
    let _ = listener.spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
        runtime.block_on(async {
            if interrupted().await {
                stop.ask();
                eprintln!("\nconformance: interrupted; what is known follows (once more to leave at once)");
                if interrupted().await {
                    stop.leave();
                }
            }
        });
    });
}

#[cfg(unix)]
async fn interrupted() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return tokio::signal::ctrl_c().await.is_ok();
    };
    tokio::select! {
        biased;
        interrupt = tokio::signal::ctrl_c() => interrupt.is_ok(),
        term = terminate.recv() => term.is_some(),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
