//! What the handles ask for, as the driver takes it: publishes with their own bound, everything else beside them.

use tokio::sync::mpsc;

use super::handle::{Command, PublishCommand};

/// Publishes taken in a row before the socket has its turn.
const TURN: u32 = 64;

/// What the handles ask for. A channel whose handles are gone is `None`.
pub(super) struct Requests {
    publishes: Option<mpsc::Receiver<PublishCommand>>,
    commands: Option<mpsc::Receiver<Command>>,
    /// Publishes that may still be taken before the socket has its turn.
    budget: u32,
}

pub(super) enum Request {
    Publish(PublishCommand),
    Command(Command),
    /// The handles are gone.
    Closed,
}

impl Requests {
    pub(super) fn new(publishes: mpsc::Receiver<PublishCommand>, commands: mpsc::Receiver<Command>) -> Self {
        Requests { publishes: Some(publishes), commands: Some(commands), budget: TURN }
    }

    /// Waits for the next request; for ever when the handles are gone. May be dropped at any time.
    pub(super) async fn next(&mut self, publishes_too: bool) -> Request {
        let publishes_too = publishes_too && !self.is_tired();
        tokio::select! {
            biased;
            command = receive(&mut self.commands) => command.map_or(Request::Closed, Request::Command),
            publish = receive(&mut self.publishes), if publishes_too => {
                self.budget -= 1;
                publish.map_or(Request::Closed, Request::Publish)
            }
        }
    }

    /// A request that is there already.
    pub(super) fn take(&mut self, publishes_too: bool) -> Option<Request> {
        if let Some(command) = self.commands.as_mut().and_then(|commands| commands.try_recv().ok()) {
            return Some(Request::Command(command));
        }
        if !publishes_too || self.is_tired() {
            return None;
        }
        let publish = self.publishes.as_mut()?.try_recv().ok()?;
        self.budget -= 1;
        Some(Request::Publish(publish))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.commands.is_none()
    }

    pub(super) fn is_tired(&self) -> bool {
        self.budget == 0
    }

    pub(super) fn rest(&mut self) {
        self.budget = TURN;
    }
}

async fn receive<T>(channel: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    let Some(receiver) = channel else { return std::future::pending().await };
    let item = receiver.recv().await;
    if item.is_none() {
        *channel = None;
    }
    item
}
