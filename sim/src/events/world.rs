//! The stage's view of the network: wires, clocks, faults.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use squall_client::options::Options;
use squall_scenarios::{
    armed::Armed,
    fault::{Fault, Moment, Triggered},
    liar::Direction,
    outage::{ClockJump, DiskState, Outage, Stop},
    stage::{Arrival, ClientActor, End, LocalFuture, Need, Wire, World},
    transcript::{Transcript, What},
};

use super::{client_actor::EventsClient, connection::Owner, executor::SleeperId, network::Network, outage::FAREWELL};
use crate::{
    subject::ASKED_AGAIN_AFTER,
    told::{BROKER, RUNS_AGAIN},
};

/// The events world.
pub(super) struct EventsWorld {
    network: Rc<RefCell<Network>>,
    transcript: Transcript,
}

impl EventsWorld {
    pub(super) fn new(network: Rc<RefCell<Network>>) -> Self {
        let transcript = network.borrow().transcript.clone();
        EventsWorld { network, transcript }
    }
}

impl World for EventsWorld {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor: Rc<str> = Rc::from(actor);
        Box::pin(async move {
            loop {
                let due = self.network.borrow().reaches_broker_at();
                self.sleep_until(due).await;
                if !self.network.borrow().dark {
                    break;
                }
                // Nobody answers: it is asked again.
                self.sleep_until(self.now() + ASKED_AGAIN_AFTER).await;
            }
            if !self.network.borrow().broker.is_running() {
                return Err(format!("{actor} cannot connect: the broker does not run"));
            }
            let index = self.network.borrow_mut().open(&actor, Owner::Peer);
            let wire = EventsWire { network: Rc::clone(&self.network), index, ended: None, aborted: false };
            Ok(Box::new(wire) as Box<dyn Wire>)
        })
    }

    fn client(&self, actor: &str, options: Options) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        let actor = Rc::from(actor);
        Box::pin(async move {
            let index = self.network.borrow_mut().add_client(&actor, options);
            Ok(Rc::new(EventsClient::new(Rc::clone(&self.network), index)) as Rc<dyn ClientActor>)
        })
    }

    fn now(&self) -> Duration {
        self.network.borrow().now
    }

    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()> {
        Box::pin(Sleep { network: Rc::clone(&self.network), at, asleep: None })
    }

    fn offers(&self, need: Need) -> Result<(), String> {
        match need {
            Need::Jump
            | Need::Client
            | Need::Clock
            | Need::Invariants
            | Need::Network
            | Need::Restart
            | Need::PowerLoss
            | Need::Arrival
            | Need::OwnBroker
            | Need::WholeTree
            | Need::Configuration => Ok(()),
        }
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.strike(outage.to_string());
            self.network.borrow_mut().go_down(outage.how);
            if outage.how == Stop::Restart {
                let latest = self.now() + FAREWELL;
                while self.now() < latest && !self.network.borrow().has_said_farewell() {
                    self.sleep_until(self.now() + Duration::from_millis(1)).await;
                }
                self.network.borrow_mut().end_run(outage.how);
            }
            self.sleep_until(self.now() + outage.down).await;
            self.network.borrow_mut().come_back()?;
            self.strike(RUNS_AGAIN.to_owned());
            Ok(())
        })
    }

    fn set_disk(&self, state: DiskState) -> Result<(), String> {
        let network = self.network.borrow();
        let medium = network.broker.subject().medium.as_ref().ok_or("the broker of this story has no disk")?;
        medium.set_state(state);
        self.strike(state.to_string());
        Ok(())
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let applied = self.network.borrow_mut().apply(fault);
        Box::pin(std::future::ready(applied))
    }

    fn set_clock(&self, jump: ClockJump) -> Result<(), String> {
        self.network.borrow_mut().broker.set_clock(jump);
        self.strike(jump.to_string());
        Ok(())
    }

    fn arm(&self, moment: &Moment, what: Triggered) -> Result<Armed, String> {
        self.network.borrow().links.arm(moment, what)
    }

    fn distance(&self) -> Duration {
        self.network.borrow().distance()
    }

    fn untouched(&self) -> Vec<String> {
        self.network.borrow().untouched()
    }

    fn why_untouched(&self, fault: &str) -> Option<String> {
        self.network.borrow().links.why_unhit(fault)
    }

    fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }
}

impl EventsWorld {
    /// Something befell the broker itself.
    fn strike(&self, summary: String) {
        self.transcript.record(self.now(), &Rc::from(BROKER), 0, What::Fault { summary });
    }
}

/// A raw connection.
struct EventsWire {
    network: Rc<RefCell<Network>>,
    index: usize,
    ended: Option<End>,
    /// Ended by this side's abort: nothing arrives that would have a time.
    aborted: bool,
}

impl Wire for EventsWire {
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()> {
        let mut bytes = Some(bytes);
        Box::pin(poll_fn(move |context| {
            let network = &mut *self.network.borrow_mut();
            if let Some(bytes) = bytes.take() {
                network.events += 1;
                network.write(self.index, bytes);
            }
            let connection = &mut network.connections[self.index];
            if connection.is_written() {
                return Poll::Ready(());
            }
            connection.wait_to_write(context.waker());
            Poll::Pending
        }))
    }

    fn receive(&mut self) -> LocalFuture<'_, Arrival> {
        Box::pin(poll_fn(move |context| {
            if let Some(how) = self.ended {
                return Poll::Ready(Arrival::End(how));
            }
            let network = &mut *self.network.borrow_mut();
            let connection = &mut network.connections[self.index];
            let Some(arrival) = connection.read(network.now) else {
                connection.wait_to_read(context.waker());
                return Poll::Pending;
            };
            network.events += 1;
            // There is room for more now.
            network.touch(self.index);
            if let Arrival::End(how) = arrival {
                self.ended = Some(how);
            }
            Poll::Ready(arrival)
        }))
    }

    fn close(&mut self, how: End) -> LocalFuture<'_, ()> {
        let network = &mut *self.network.borrow_mut();
        network.events += 1;
        network.connections[self.index].end(network.now, how);
        network.touch(self.index);
        if how == End::Reset {
            self.ended = Some(End::Reset);
            self.aborted = true;
        }
        Box::pin(std::future::ready(()))
    }

    fn arrived(&self) -> Option<Duration> {
        let network = self.network.borrow();
        (!self.aborted).then(|| network.connections[self.index].link.with(|link| link.arrived(Direction::ToClient)))
    }
}

impl Drop for EventsWire {
    fn drop(&mut self) {
        // While a panic unwinds through the loop the network may be in use; then nothing matters any more.
        if let Ok(mut network) = self.network.try_borrow_mut() {
            let now = network.now;
            network.connections[self.index].abandon(now);
            network.touch(self.index);
        }
    }
}

/// Resolves at a time.
struct Sleep {
    network: Rc<RefCell<Network>>,
    at: Duration,
    asleep: Option<SleeperId>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let network = Rc::clone(&self.network);
        let network = &mut *network.borrow_mut();
        if network.now >= self.at {
            return Poll::Ready(());
        }
        match self.asleep {
            Some(id) => network.sleepers.replace(id, context.waker()),
            None => self.asleep = Some(network.sleepers.add(self.at, context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.asleep
            && let Ok(mut network) = self.network.try_borrow_mut()
        {
            network.sleepers.remove(id);
        }
    }
}
