//! Something that waits for a moment of the protocol, and whether that moment has come.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

/// A moment that is waited for. A cheap clone.
#[derive(Clone, Debug, Default)]
pub struct Armed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    came: Option<Duration>,
    packet: Option<u8>,
    waiting: Vec<Waker>,
}

impl Armed {
    /// When the moment came, if it has come.
    pub fn came(&self) -> Option<Duration> {
        self.lock().came
    }

    /// The first byte of the packet that it came with, if it has come.
    pub fn packet(&self) -> Option<u8> {
        self.lock().packet
    }

    /// Resolves when the moment comes, with its time.
    pub async fn wait(&self) -> Duration {
        poll_fn(|context| {
            let mut state = self.lock();
            if let Some(came) = state.came {
                return Poll::Ready(came);
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// It has come, with a packet that has this first byte.
    pub(crate) fn comes(&self, now: Duration, packet: Option<u8>) {
        let mut state = self.lock();
        state.came = Some(now);
        state.packet = packet;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
