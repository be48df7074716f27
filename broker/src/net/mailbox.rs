//! The way from the core's task to the task of one connection: what is to be written, and how much more may be read.
//!
//! One allocation, and nothing in it while the connection is idle: a channel of tokio's is ten times as large.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use squall_codec::{packet::Packet, version::Version};

/// Groups of inputs of one connection that may be on their way to the core. With two the connection reads while the core
/// is busy with what came before; a connection that floods is kept to its turn, and nobody waits behind it.
const GROUPS_UNDER_WAY: u8 = 2;

/// What the core's task tells a connection's task.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Write this.
    Packet(Version, Packet),
    /// Write what is still to be written, and end the connection.
    Close { patient: bool },
}

/// The core's end.
#[derive(Debug)]
pub(super) struct Sender(Arc<Mutex<Shared>>);

/// The connection's end.
#[derive(Debug)]
pub(super) struct Receiver(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    letters: Vec<Outgoing>,
    /// Groups of inputs that the connection may still send.
    allowance: u8,
    /// The core has forgotten the connection.
    ended: bool,
    /// The connection's task, if it waits for anything of this.
    waiting: Option<Waker>,
}

/// Both ends.
pub(super) fn mailbox() -> (Sender, Receiver) {
    let shared =
        Arc::new(Mutex::new(Shared { letters: Vec::new(), allowance: GROUPS_UNDER_WAY, ended: false, waiting: None }));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl Sender {
    /// Hands over what is to be written, and allows as many more groups of inputs.
    pub(super) fn send(&self, letters: Vec<Outgoing>, allowance: u8) {
        // A task that is gone has said, or will say, that its connection is closed.
        if Arc::strong_count(&self.0) == 1 {
            return;
        }
        let mut shared = lock(&self.0);
        let awaited = !letters.is_empty() || shared.allowance == 0;
        shared.allowance += allowance;
        match shared.letters.is_empty() {
            true => shared.letters = letters,
            false => shared.letters.extend(letters),
        }
        if awaited {
            wake(shared);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.ended = true;
        wake(shared);
    }
}

/// What is there for a connection's task.
#[derive(Debug)]
pub(super) struct Mail {
    /// What is to be written.
    pub(super) letters: Vec<Outgoing>,
    /// There will be nothing more: the core has forgotten the connection.
    pub(super) ended: bool,
    /// Whether one more group of inputs may be sent.
    pub(super) may_send: bool,
}

impl Receiver {
    /// What is there now. The task is woken when there is more.
    pub(super) fn take(&mut self, cx: &Context<'_>) -> Mail {
        let mut shared = lock(&self.0);
        match &mut shared.waiting {
            Some(waiting) => waiting.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let letters = mem::take(&mut shared.letters);
        Mail { letters, ended: shared.ended, may_send: shared.allowance > 0 }
    }

    /// Until the core has closed the connection. Before CONNECT it has nothing else to say.
    #[cfg(feature = "transports")]
    pub(super) async fn ended(&mut self) {
        std::future::poll_fn(|cx| match self.take(cx) {
            Mail { ended: false, letters, .. } if letters.is_empty() => std::task::Poll::Pending,
            _ => std::task::Poll::Ready(()),
        })
        .await;
    }

    /// A group of inputs is being sent.
    pub(super) fn sending(&mut self) {
        let mut shared = lock(&self.0);
        shared.allowance = shared.allowance.saturating_sub(1);
    }
}

/// A panic elsewhere leaves nothing half done here.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Not under the lock: the task may run at once on another thread.
fn wake(mut shared: MutexGuard<'_, Shared>) {
    let waiting = shared.waiting.take();
    drop(shared);
    if let Some(waiting) = waiting {
        waiting.wake();
    }
}
