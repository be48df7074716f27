//! Between the core and a store: changes are committed in groups, off the driver's task.

use std::io;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::core::record::{Kept, Record};

/// Keeps what a client must not forget when its process ends.
pub trait Store: Send + 'static {
    /// Everything that was kept. Asked once, first.
    ///
    /// # Errors
    /// It cannot be read.
    fn load(&mut self) -> io::Result<Kept>;

    /// Makes these changes durable, all or none, in this order. May block.
    ///
    /// # Errors
    /// They are not durable. The client then ends its connection.
    fn commit(&mut self, records: Vec<Record>) -> io::Result<()>;
}

/// What is still to be kept.
#[derive(Default)]
pub(super) struct Keeper {
    store: Option<Box<dyn Store>>,
    pending: Vec<Record>,
    committing: Option<JoinHandle<Committed>>,
}

/// The store comes back from its thread.
type Committed = (Box<dyn Store>, io::Result<()>);

impl Keeper {
    pub(super) fn new(store: Option<Box<dyn Store>>) -> Self {
        Keeper { store, ..Keeper::default() }
    }

    pub(super) fn keep(&mut self, record: Record) {
        self.pending.push(record);
    }

    /// Whether everything is durable.
    pub(super) fn is_clear(&self) -> bool {
        self.pending.is_empty() && self.committing.is_none()
    }

    /// Begins to commit what is pending, unless a commit is going on; whether it did.
    pub(super) fn begin(&mut self) -> bool {
        if self.pending.is_empty() || self.committing.is_some() {
            return false;
        }
        let Some(mut store) = self.store.take() else {
            // It failed before: nothing can be kept any more.
            self.pending.clear();
            return false;
        };
        let records = std::mem::take(&mut self.pending);
        self.committing = Some(spawn_blocking(move || {
            let result = store.commit(records);
            (store, result)
        }));
        true
    }

    /// Waits for the end of the commit; for ever where there is none. May be dropped at any time.
    pub(super) async fn committed(&mut self) -> io::Result<()> {
        let Some(committing) = &mut self.committing else { return std::future::pending().await };
        let ended = committing.await;
        self.committing = None;
        match ended {
            Ok((store, Ok(()))) => {
                self.store = Some(store);
                Ok(())
            }
            Ok((_, Err(error))) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
