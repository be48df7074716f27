//! When a storm is over and judged: everybody leaves, the broker is cut off and starts again. It has to hold nothing for those who
//! are gone, and its store has to say what its memory said.

use std::rc::Rc;

use squall_broker::core::{
    effect::{ConnectionId, Input},
    statistics::Statistics,
};
use squall_codec::{
    packet::{Disconnect, Packet},
    reason::ReasonCode,
};
use squall_scenarios::outage::Stop;

use super::{
    connection::{Owner, ServerEnd},
    network::Network,
    stored::differences,
};
use crate::invariants::Invariant;

/// A figure of the broker's state: what it counts, and how it is read.
type Figure = (&'static str, fn(&Statistics) -> usize);

/// What outlives the broker, as it counts it. Those of messages may be less behind a start, which drops what has expired.
const KEPT: [Figure; 11] = [
    ("sessions", |is| is.sessions),
    ("subscriptions", |is| is.subscriptions),
    ("Shared Subscriptions", |is| is.shared_subscriptions),
    ("bytes of filters", |is| is.filter_bytes),
    ("messages in flight", |is| is.in_flight),
    ("QoS 2 messages that were not released", |is| is.unreleased),
    ("retained messages", |is| is.retained_messages),
    ("bytes of retained messages", |is| is.retained_bytes),
    ("messages that wait", |is| is.queued_messages),
    ("bytes of messages that wait", |is| is.queued_bytes),
    ("bytes of messages and wills", |is| is.held_bytes),
];

/// How many of them do not speak of messages that may expire.
const LASTING: usize = 6;

/// How it was.
#[derive(Default)]
pub(super) struct Afterwards {
    /// Who was there, with the number of the connection, and whether they said DISCONNECT.
    pub(super) left: Vec<(Rc<str>, u32, bool)>,
    /// The broker was cut off, and started again.
    pub(super) was_restarted: bool,
    /// What is wrong.
    pub(super) wrong: Vec<(Invariant, String)>,
}

impl Network {
    /// `may_expire`: some messages of this storm do.
    pub(super) fn afterwards(&mut self, may_expire: bool) -> Afterwards {
        let mut of = Afterwards::default();
        // Nobody looks on any more.
        self.witness = None;
        self.is_quiet = true;
        let open = |index: &usize| self.connections[*index].server != ServerEnd::Closed;
        let open: Vec<usize> = self.live.iter().copied().filter(open).collect();
        for (place, index) in open.into_iter().enumerate() {
            let connection = ConnectionId(index as u64);
            // Every other one is gone without a word, and its will waits.
            let says_goodbye = place.is_multiple_of(2);
            if let Owner::Client(client) = self.connections[index].owner {
                let client = &self.clients[client];
                of.left.push((client.actor.clone(), client.number, says_goodbye));
            }
            if !says_goodbye {
                self.tell(Input::Closed { connection });
                continue;
            }
            let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION));
            self.tell(Input::Packet { connection, packet: goodbye });
            self.tell(Input::Closed { connection });
        }
        self.let_the_store_answer();
        let (Some(before), Some(had)) = (self.broker.statistics(), self.broker.state()) else { return of };
        for (what, count) in [("connections", before.connections), ("clients", before.clients)] {
            if count > 0 {
                of.wrong.push((Invariant::Baseline, format!("all are gone, and the broker still has {count} {what}")));
            }
        }
        if self.broker.subject().medium.is_none() {
            return of;
        }
        of.was_restarted = true;
        self.broker.stop(Stop::Crash);
        if let Err(error) = self.broker.start(self.now) {
            of.wrong.push((Invariant::Durable, format!("the broker does not start again: {error}")));
            return of;
        }
        let (Some(after), Some(has)) = (self.broker.statistics(), self.broker.state()) else { return of };
        of.wrong.extend(differences(&had, &has));
        if !of.wrong.is_empty() {
            return of;
        }
        for (place, (what, figure)) in KEPT.into_iter().enumerate() {
            let (had, has) = (figure(&before), figure(&after));
            // Where something is counted, its bytes say no more.
            if what.starts_with("bytes ") && !of.wrong.is_empty() {
                continue;
            }
            let detail = format!(
                "all is done, and the broker has {had} {what}; cut off there and started again from its store it has {has}"
            );
            if has > had {
                of.wrong
                    .push((Invariant::Baseline, format!("{detail}: the store has kept what the broker had let go of")));
            } else if has < had && (place < LASTING || !may_expire) {
                let either = "it has not stored what it has, or has not let go of what is done";
                of.wrong.push((Invariant::Durable, format!("{detail}: {either}")));
            }
        }
        of
    }

    fn let_the_store_answer(&mut self) {
        while !self.broker.is_settled() {
            self.now = self.broker.deadline().map_or(self.now, |due| due.max(self.now));
            if let Some(answer) = self.broker.committed(self.now) {
                self.tell(answer);
            }
            self.tell(Input::Tick);
        }
    }
}
