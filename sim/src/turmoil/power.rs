//! The broker's host: what starts on it, and the switch that takes it down. Only the run loop can stop a host or start it,
//! between two steps: the stage leaves its orders here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use squall_broker::{
    core::statistics::Statistics,
    net::{
        listener::ListenerOptions,
        server::{Server, ServerHandle, ServerOptions},
        websocket::options::WebsocketOptions,
    },
};
use squall_scenarios::{
    links::Links,
    outage::{ClockJump, Outage, Stop},
};
use tokio::{sync::oneshot, time::sleep};

use super::{
    TICK,
    sockets::{EndWithTheHost, PORT, SimulatedListener, Sockets, WEB_SOCKET_PORT},
};
use crate::{
    subject::{self, Medium, Subject},
    wall_clock::WallClock,
};

/// The switch. A cheap clone; whole clients look at it from tasks of their own.
#[derive(Clone)]
pub(super) struct Power(Arc<Mutex<State>>);

struct State {
    subject: Subject,
    seed: u64,
    links: Links,
    /// How often the broker was started.
    starts: u64,
    /// The virtual time at the last step.
    clock: Duration,
    wall_clock: WallClock,
    condition: Condition,
    /// Asks the broker what it holds.
    handle: Option<ServerHandle>,
    /// Asks the broker to end.
    shutdown: Option<oneshot::Sender<()>>,
    order: Option<Order>,
    /// What the broker has accepted.
    sockets: Sockets,
}

/// How it is with the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It is on its way up.
    Starting,
    /// It takes connections.
    Listening,
    /// It has been asked to end.
    Ending,
    /// It does not run; whoever asks for a connection is refused.
    Down,
    /// Its machine has no power; nobody answers.
    Dark,
    /// It could not start.
    Failed(String),
}

/// For the run loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// All tasks of the host end where they are.
    Kill,
    /// The host starts again.
    Start,
}

impl Power {
    pub(super) fn new(subject: Subject, seed: u64, links: Links) -> Self {
        Power(Arc::new(Mutex::new(State {
            subject,
            seed,
            links,
            starts: 0,
            clock: Duration::ZERO,
            wall_clock: WallClock::default(),
            condition: Condition::Starting,
            handle: None,
            shutdown: None,
            order: None,
            sockets: Sockets::default(),
        })))
    }

    /// What runs on the host, from its start to its end.
    pub(super) async fn run(self) -> turmoil::Result {
        let (ask, asked) = oneshot::channel();
        let options = {
            let mut state = self.lock();
            state.shutdown = Some(ask);
            let key = subject::key(state.seed, state.starts);
            state.starts += 1;
            match state.subject.store() {
                Ok(store) => ServerOptions {
                    store,
                    authenticator: Arc::clone(&state.subject.authenticator),
                    ..ServerOptions::new(key, state.wall_clock.shows(state.clock))
                        .with_config(state.subject.config.clone())
                },
                Err(error) => {
                    state.condition = Condition::Failed(error.to_string());
                    return Ok(());
                }
            }
        };
        let sockets = Sockets::default();
        let _ends = EndWithTheHost(sockets.clone());
        self.lock().sockets = sockets.clone();
        let mut server = Server::new(options);
        if let Err(error) = server.restore() {
            self.lock().condition = Condition::Failed(error.to_string());
            return Ok(());
        }
        server.listen(SimulatedListener::bind(PORT, &sockets).await?, ListenerOptions::default());
        if self.has_web_socket() {
            let websocket = Some(WebsocketOptions::default());
            let options = ListenerOptions { websocket, ..ListenerOptions::named("web") };
            server.listen(SimulatedListener::bind(WEB_SOCKET_PORT, &sockets).await?, options);
        }
        {
            let mut state = self.lock();
            state.condition = Condition::Listening;
            state.handle = Some(server.handle());
        }
        let shutdown = async {
            // The switch outlives the host: it is dropped only when nobody can ask any more.
            let _ = asked.await;
        };
        server.run(shutdown).await?;
        self.lock().condition = Condition::Down;
        Ok(())
    }

    pub(super) fn condition(&self) -> Condition {
        self.lock().condition.clone()
    }

    /// The broker's figures, while it runs.
    pub(super) async fn statistics(&self) -> Option<Statistics> {
        let handle = self.lock().handle.clone()?;
        handle.statistics().await
    }

    /// Whether the broker is also reached over a WebSocket.
    pub(super) fn has_web_socket(&self) -> bool {
        self.lock().subject.web_socket
    }

    /// What is under the store.
    pub(super) fn medium(&self) -> Option<Medium> {
        self.lock().subject.medium.clone()
    }

    /// Sets the clock on its wall.
    pub(super) fn set_wall_clock(&self, jump: ClockJump) {
        self.lock().wall_clock.set(jump);
    }

    /// Takes the broker down, or begins to.
    fn go_down(&self, how: Stop) {
        let mut state = self.lock();
        let medium = state.subject.medium.clone();
        match how {
            Stop::Restart => {
                state.condition = Condition::Ending;
                if let Some(ask) = state.shutdown.take() {
                    // One that has ended needs not be asked.
                    let _ = ask.send(());
                }
            }
            Stop::Crash => {
                medium.into_iter().for_each(|medium| medium.crash());
                state.condition = Condition::Down;
                state.order = Some(Order::Kill);
            }
            Stop::PowerLoss => {
                state.links.server_goes_dark();
                medium.into_iter().for_each(|medium| medium.lose_power());
                state.condition = Condition::Dark;
                state.order = Some(Order::Kill);
            }
        }
    }

    /// Takes the broker down, waits, and lets it come back.
    pub(super) async fn outage(&self, outage: Outage) -> Result<(), String> {
        self.go_down(outage.how);
        self.until(|condition| matches!(condition, Condition::Down | Condition::Dark)).await;
        sleep(outage.down).await;
        self.start().await
    }

    /// Lets it start again, until it listens.
    pub(super) async fn start(&self) -> Result<(), String> {
        self.come_back();
        self.until(|condition| matches!(condition, Condition::Listening | Condition::Failed(_))).await;
        match self.condition() {
            Condition::Failed(reason) => Err(reason),
            _ => Ok(()),
        }
    }

    /// The broker's host moves in steps, and so does whoever waits for it.
    async fn until(&self, met: impl Fn(&Condition) -> bool) {
        while !met(&self.condition()) {
            sleep(TICK).await;
        }
    }

    fn come_back(&self) {
        let mut state = self.lock();
        let now = state.clock;
        if state.condition == Condition::Dark {
            state.links.server_comes_back(now);
        }
        state.condition = Condition::Starting;
        state.order = Some(Order::Start);
    }

    /// What the run loop has to do before its next step: where it kills the host, the sockets wait for that.
    pub(super) fn take_order(&self) -> Option<Order> {
        let mut state = self.lock();
        let order = state.order.take();
        if order == Some(Order::Kill) {
            state.sockets.gather();
        }
        order
    }

    /// The virtual time.
    pub(super) fn set_clock(&self, now: Duration) {
        self.lock().clock = now;
    }

    /// Whether the broker's end would be a fault.
    pub(super) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.order.is_none() && matches!(state.condition, Condition::Starting | Condition::Listening)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
