//! Who is to be looked at, and when: connections or clients, by their number.
//!
//! Within a moment they come up in rounds, in the order of their numbers; whoever something happens to behind the place of
//! the round waits for the next. What is noted for later is a bound and no promise: whoever comes up is asked again, so that a
//! timer that is always put off costs nothing.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

/// The sooner of two times, where there is one.
pub fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The calendar of one kind of participants.
#[derive(Debug, Default)]
pub struct Agenda {
    /// Nothing happens to one before its earliest time here.
    later: BinaryHeap<Reverse<(Duration, usize)>>,
    /// The earliest time of each in `later`.
    noted: Vec<Option<Duration>>,
    /// Those still to come in this round.
    round: BinaryHeap<Reverse<usize>>,
    /// Those of the next one.
    next_round: Vec<usize>,
    /// Whether each is in one of the two.
    is_listed: Vec<bool>,
    /// How far this round has come.
    place: Option<usize>,
}

impl Agenda {
    /// One more takes part; it is to be looked at now.
    pub fn add(&mut self) {
        let index = self.noted.len();
        self.noted.push(None);
        self.is_listed.push(false);
        self.touch(index);
    }

    /// Something has happened to it: it is to be looked at now.
    pub fn touch(&mut self, index: usize) {
        if std::mem::replace(&mut self.is_listed[index], true) {
            return;
        }
        match self.place {
            Some(place) if index <= place => self.next_round.push(index),
            _ => self.round.push(Reverse(index)),
        }
    }

    /// By itself it does something at this time, and nothing before.
    pub fn note(&mut self, index: usize, at: Option<Duration>) {
        let Some(at) = at else { return };
        if self.noted[index].is_none_or(|noted| at < noted) {
            self.noted[index] = Some(at);
            self.later.push(Reverse((at, index)));
        }
    }

    /// When the next one does something by itself, as it says when it is asked. Nobody is asked who does nothing before `limit`:
    /// then that is the answer.
    pub fn next(&mut self, limit: Option<Duration>, ask: impl Fn(usize) -> Option<Duration>) -> Option<Duration> {
        while let Some(Reverse((at, index))) = self.later.peek().copied() {
            if limit.is_some_and(|limit| limit <= at) {
                break;
            }
            let is_earliest = self.noted[index] == Some(at);
            let asked = if is_earliest { ask(index) } else { None };
            if asked == Some(at) {
                return Some(at);
            }
            self.later.pop();
            if is_earliest {
                self.noted[index] = None;
                self.note(index, asked);
            }
        }
        limit
    }

    /// Whether the time of one has come, or may have.
    pub fn is_due(&self, now: Duration) -> bool {
        self.later.peek().is_some_and(|Reverse((at, _))| *at <= now)
    }

    /// Lists those whose time has come. Whoever is listed and has nothing to do does nothing.
    pub fn list_due(&mut self, now: Duration) {
        if self.is_due(now) {
            self.list_those_due(now);
        }
    }

    fn list_those_due(&mut self, now: Duration) {
        while let Some(Reverse((at, index))) = self.later.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.later.pop();
            if self.noted[index] == Some(at) {
                self.noted[index] = None;
                self.touch(index);
            }
        }
    }

    /// The next one of this round; `None` ends the round.
    pub fn pop(&mut self) -> Option<usize> {
        let Some(Reverse(index)) = self.round.pop() else {
            self.place = None;
            self.round.extend(self.next_round.drain(..).map(Reverse));
            return None;
        };
        self.place = Some(index);
        self.is_listed[index] = false;
        Some(index)
    }

    /// Whether somebody is to be looked at now.
    pub fn is_empty(&self) -> bool {
        self.round.is_empty() && self.next_round.is_empty()
    }
}
