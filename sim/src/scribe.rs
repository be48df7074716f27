//! A witness that writes down what passes the broker's edge, as a history: what the judges of real brokers read.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use squall_codec::{
    packet::{Packet, Publish},
    topic::TopicName,
};
use squall_scenarios::{
    outage::{DiskState, Stop},
    transcript::EntryId,
};

use crate::{
    edge::{Edge, Witness},
    history::{ConnectionName, Event, Happened, History, resolved},
};

/// Writes a history.
#[derive(Debug, Default)]
pub struct Scribe {
    history: History,
    lines: Vec<(ConnectionName, [BTreeMap<u16, TopicName>; 2])>,
    opened: BTreeMap<usize, u32>,
}

impl Scribe {
    /// What was written so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    fn write(&mut self, at: Duration, connection: usize, what: Happened) {
        let entry = EntryId(self.history.events.len());
        let connection = self.lines[connection].0.clone();
        self.history.events.push(Event { at, entry, connection, what });
    }
}

impl Witness for Scribe {
    fn passes(&mut self, now: Duration, connection: usize, what: Edge<'_>) {
        let happened = match what {
            Edge::Opened(client) => {
                let number = self.opened.entry(client).or_default();
                *number += 1;
                let name = ConnectionName { actor: Rc::from(format!("client{client}")), number: *number };
                return self.lines.push((name, Default::default()));
            }
            Edge::ToServer(packet) => Happened::Sent(self.resolved(connection, 0, packet)),
            // Bytes that are no packet are nobody's packet.
            Edge::Malformed { .. } => return,
            Edge::ToClient(packet) => Happened::Received(self.resolved(connection, 1, packet)),
            Edge::EndedByClient => Happened::Ended { by_server: false, is_reset: false },
            Edge::EndedByServer => Happened::Ended { by_server: true, is_reset: false },
        };
        self.write(now, connection, happened);
    }

    fn stops(&mut self, now: Duration, _how: Stop) {
        for connection in 0..self.lines.len() {
            self.write(now, connection, Happened::Ended { by_server: true, is_reset: true });
        }
    }

    fn starts(&mut self, _now: Duration) {}

    fn disk(&mut self, _now: Duration, _state: DiskState) {}

    fn handed(&mut self, _now: Duration, _client: usize, _message: &Publish) {}

    fn refused(&mut self, _now: Duration, _client: usize, _message: &Publish) {}

    fn slips(&mut self, _client: usize) {}
}

impl Scribe {
    fn resolved(&mut self, connection: usize, way: usize, packet: &Packet) -> Packet {
        resolved(packet.clone(), &mut self.lines[connection].1[way])
    }
}

/// Two witnesses in one place.
pub(crate) struct Both(pub(crate) Rc<std::cell::RefCell<dyn Witness>>, pub(crate) Rc<std::cell::RefCell<dyn Witness>>);

impl Witness for Both {
    fn passes(&mut self, now: Duration, connection: usize, what: Edge<'_>) {
        self.0.borrow_mut().passes(now, connection, what);
        self.1.borrow_mut().passes(now, connection, what);
    }

    fn stops(&mut self, now: Duration, how: Stop) {
        self.0.borrow_mut().stops(now, how);
        self.1.borrow_mut().stops(now, how);
    }

    fn starts(&mut self, now: Duration) {
        self.0.borrow_mut().starts(now);
        self.1.borrow_mut().starts(now);
    }

    fn disk(&mut self, now: Duration, state: DiskState) {
        self.0.borrow_mut().disk(now, state);
        self.1.borrow_mut().disk(now, state);
    }

    fn handed(&mut self, now: Duration, client: usize, message: &Publish) {
        self.0.borrow_mut().handed(now, client, message);
        self.1.borrow_mut().handed(now, client, message);
    }

    fn refused(&mut self, now: Duration, client: usize, message: &Publish) {
        self.0.borrow_mut().refused(now, client, message);
        self.1.borrow_mut().refused(now, client, message);
    }

    fn slips(&mut self, client: usize) {
        self.0.borrow_mut().slips(client);
        self.1.borrow_mut().slips(client);
    }
}
