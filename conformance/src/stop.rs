//! Ends a run before its time: what is known so far is still reported. Who cannot wait for that either leaves at once.

use std::sync::Arc;

use tokio::sync::watch;

/// A cheap clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<Haste>>);

/// How soon it shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Haste {
    None,
    Ends,
    Leaves,
}

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::Sender::new(Haste::None)))
    }
}

impl Stop {
    /// Asks the run to end.
    pub fn ask(&self) {
        self.0.send_replace(Haste::Ends);
    }

    /// Asks the program to end without a report, but not without stopping what it started.
    pub fn leave(&self) {
        self.0.send_replace(Haste::Leaves);
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() >= Haste::Ends
    }

    /// Resolves when somebody asks.
    pub async fn asked(&self) {
        self.reached(Haste::Ends).await;
    }

    /// Resolves when somebody asks to leave.
    pub async fn left(&self) {
        self.reached(Haste::Leaves).await;
    }

    async fn reached(&self, haste: Haste) {
        // The sender lives as long as this clone of it: an error cannot come.
        let _ = self.0.subscribe().wait_for(|asked| *asked >= haste).await;
    }
}
