//! Ends a run before its time: what is known so far is still reported.

use std::sync::Arc;

use tokio::sync::watch;

/// A cheap clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// Asks the run to end.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when somebody asks.
    pub async fn asked(&self) {
        // The sender lives as long as this clone of it: an error cannot come.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
