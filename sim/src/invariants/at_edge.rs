//! What a witness at a server's edge can demand of it: whoever sees what has been written to its sockets and what has been read
//! from them, and nothing of the network behind.
//!
//! The order on one connection is known. Between two connections only this is: what was read was caused by what had been written
//! before. So each judge accuses where every order that is left would be wrong, allows time for what a server may do in the
//! background, and leaves out clients who share an identifier, because nobody knows which of them the server met first.
//!
//! A server that goes down and comes back has what it has acknowledged. Of the connections that fell with it, and of those that had
//! ended just before, nobody knows what else it had met: their wills may come or not, nothing need be answered on them, and what
//! it had sent may come again as if for the first time.

mod clocks;
mod conversations;
mod matching;
mod owed;
mod retained;
mod scene;
mod wills;

use std::time::Duration;

use self::scene::{Line, Scene};
use super::{Breach, Invariant, delivery, walk::walk};
use crate::history::History;

/// How much time a server is given.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// For an answer, or for what it has to do at once, when nothing is in its way.
    pub answer: Duration,
    /// By how much its own clocks may be late: some look at them every few seconds.
    pub clock: Duration,
    /// Between its answer and the moment when all of it knows.
    pub lag: Duration,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { answer: Duration::from_secs(5), clock: Duration::from_secs(8), lag: Duration::from_millis(500) }
    }
}

/// What was found at the edge.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// What nothing can mend any more.
    pub broken: Vec<Breach>,
    /// What has to come and has not come yet.
    pub missing: Vec<Breach>,
    /// Until then a clock runs on which something has to happen.
    pub runs_until: Duration,
}

impl Found {
    /// All of it, for a history that has come to its end.
    pub fn at_the_end(self) -> Vec<Breach> {
        let mut breaches = self.broken;
        breaches.extend(self.missing);
        breaches.sort_by_key(|breach| breach.entry);
        breaches.dedup_by(|one, other| one.invariant == other.invariant && one.detail == other.detail);
        breaches
    }
}

/// Judges a history of the edge that ends at `until`.
pub fn judge(history: &History, until: Duration, allowance: &Allowance) -> Found {
    let walked = walk(history);
    let scene = Scene::of(history, &walked, until, *allowance);
    let mut found = Found { broken: delivery::excess(history, &walked), ..Found::default() };
    found.broken.extend(walked.by_server.iter().cloned());
    found.broken.retain(|breach| is_told_apart(&scene, breach));
    for breach in &mut found.broken {
        breach.version = line_of(&scene, breach).map(|line| line.connect.version());
    }
    conversations::judge(&scene, &mut found);
    clocks::judge(&scene, &mut found);
    matching::judge(&scene, &mut found);
    retained::judge(&scene, &mut found);
    wills::judge(&scene, &mut found);
    owed::judge(&scene, &mut found);
    found.broken.sort_by_key(|breach| breach.entry);
    found
}

/// The connection on which it shows.
fn line_of<'s, 'h>(scene: &'s Scene<'h>, breach: &Breach) -> Option<&'s Line<'h>> {
    let event = scene.history.events.iter().find(|event| event.entry == breach.entry)?;
    scene.line_of(&event.connection).map(|line| &scene.lines[line])
}

/// Whose sessions nobody can tell apart, of those nobody knows what came when.
fn is_told_apart(scene: &Scene<'_>, breach: &Breach) -> bool {
    let is_shared = line_of(scene, breach).is_none_or(|line| scene.shared.contains(line.client()));
    !is_shared && (breach.invariant != Invariant::Order || scene.shared.is_empty())
}
