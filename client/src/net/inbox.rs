//! From the driver to the application: a bounded channel, and what waits for room in it.

use std::collections::VecDeque;

use tokio::sync::mpsc;

/// The driver's end of a channel whose reader may be slow, or gone.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    sender: mpsc::Sender<T>,
    waiting: VecDeque<T>,
}

impl<T> Inbox<T> {
    pub(super) fn new(capacity: usize) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Inbox::with(sender), receiver)
    }

    pub(super) fn with(sender: mpsc::Sender<T>) -> Self {
        Inbox { sender, waiting: VecDeque::new() }
    }

    /// Whether the reader is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Hands it over, or keeps it until there is room. What nobody can read any more is dropped.
    pub(super) fn put(&mut self, item: T) {
        if !self.waiting.is_empty() {
            return self.waiting.push_back(item);
        }
        match self.sender.try_send(item) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(item)) => self.waiting.push_back(item),
        }
    }

    /// As `put`, but at most `most` wait: the oldest give way.
    pub(super) fn put_newest(&mut self, item: T, most: usize) {
        self.put(item);
        while self.waiting.len() > most {
            self.waiting.pop_front();
        }
    }

    /// Whether nothing waits for room.
    pub(super) fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until the reader is gone.
    pub(super) async fn closed(&self) {
        self.sender.closed().await;
    }

    /// Waits until `retry` gets on. May be dropped at any time.
    pub(super) async fn room(&self) {
        // Nobody else sends, so the place stays free when the permit is dropped.
        drop(self.sender.reserve().await);
    }

    /// Hands over what waits, as far as there is room.
    pub(super) fn retry(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().for_each(|item| self.put(item));
    }
}
