//! The book of links that a world holds: the faults in force for each actor, before and after its connections exist, and
//! which of them have touched anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    fault::{Fault, FaultKind},
    link::{Link, PendingCut},
    shared_link::{Journal, Note, SharedLink},
    words,
};

/// All links of one world. A cheap clone of one book.
///
/// What lasts (latency, loss, splits, outages, a stalled reader) holds for the connections that an actor has and for
/// those it opens later. What happens once (RST, FIN, a client that is gone) needs a connection: it befalls the actor's
/// newest. A cut waits for its trigger over as many connections as that takes, each time on the newest.
#[derive(Clone, Debug)]
pub struct Links(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    seed: u64,
    faults: Vec<Placed>,
    /// How many connections each actor has opened.
    connections: BTreeMap<Arc<str>, u32>,
    /// Oldest first, without those on which nothing can happen any more.
    links: Vec<SharedLink>,
    journal: Journal,
}

/// A fault in the book.
#[derive(Debug)]
struct Placed {
    fault: Fault,
    /// Actors on whose links a cut has been put in place.
    given: BTreeSet<Arc<str>>,
}

impl Links {
    /// An empty book. Each link's randomness comes from this seed, the actor's name and the number of its connection.
    pub fn new(seed: u64) -> Self {
        Links(Arc::new(Mutex::new(Book {
            seed,
            faults: Vec::new(),
            connections: BTreeMap::new(),
            links: Vec::new(),
            journal: Journal::default(),
        })))
    }

    /// Puts a fault in place.
    ///
    /// # Errors
    /// One sentence: a value that means nothing, or nobody with a connection for what happens once.
    pub fn apply(&self, now: Duration, fault: &Fault) -> Result<(), String> {
        self.lock().apply(now, fault)
    }

    /// The link of the actor's next connection, with all faults that stand for it. To be called when the connection
    /// stands, so that the numbers are those of the transcript.
    pub fn open(&self, now: Duration, actor: &str) -> SharedLink {
        self.lock().open(now, actor)
    }

    /// The subject's machine has lost its power, under all connections at once.
    pub fn server_goes_dark(&self) {
        for link in &self.lock().links {
            link.with(Link::server_goes_dark);
        }
    }

    /// The subject's machine has its power again, and has forgotten all connections.
    pub fn server_comes_back(&self, now: Duration) {
        for link in &self.lock().links {
            link.with(|link| link.server_comes_back(now));
        }
    }

    /// How many connections the actor has opened.
    pub fn connection_number(&self, actor: &str) -> u32 {
        self.lock().connections.get(actor).copied().unwrap_or(0)
    }

    /// What the links have written since the last call, in order.
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut self.lock().journal.lock().notes)
    }

    /// Faults that have touched nothing so far, in words.
    pub fn unhit(&self) -> Vec<String> {
        let book = self.lock();
        let written = book.journal.lock();
        let faults = book.faults.iter().enumerate();
        faults
            .filter(|(number, _)| !written.touched.contains(number))
            .map(|(_, placed)| placed.fault.to_string())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn apply(&mut self, now: Duration, fault: &Fault) -> Result<(), String> {
        check(&fault.kind)?;
        let number = self.faults.len();
        let concerned: Vec<SharedLink> = match befalls(&fault.kind) {
            Befalls::All => {
                self.links_of(fault).filter(|link| !link.with(|link| link.is_finished())).cloned().collect()
            }
            Befalls::Newest => {
                let mut newest = BTreeMap::new();
                for link in self.links_of(fault).filter(|link| link.with(|link| link.is_open())) {
                    newest.insert(link.actor(), link);
                }
                newest.into_values().cloned().collect()
            }
        };
        if concerned.is_empty() && happens_once(&fault.kind) {
            return Err(format!(
                "{} has no connection for '{}'",
                fault.actor.as_deref().unwrap_or("nobody"),
                fault.kind
            ));
        }
        if matches!(fault.kind, FaultKind::Heal { .. }) && self.outage_stands_for(fault) {
            self.journal.lock().touched.insert(number);
        }
        let given = concerned.iter().map(|link| Arc::from(link.actor())).collect();
        self.faults.push(Placed { fault: fault.clone(), given });
        for link in concerned {
            link.place(number, |link| link.apply(now, fault.kind.clone()));
        }
        Ok(())
    }

    fn open(&mut self, now: Duration, actor: &str) -> SharedLink {
        let name = match self.connections.get_key_value(actor) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(actor),
        };
        let connection = self.connections.entry(Arc::clone(&name)).or_insert(0);
        *connection += 1;
        let seed = {
            let mut of = name.as_bytes().to_vec();
            of.extend(connection.to_le_bytes());
            xxh3_64_with_seed(&of, self.seed)
        };
        let link = SharedLink::new(Link::new(seed), Arc::clone(&name), *connection, self.journal.clone());

        for number in self.standing_for(actor) {
            let kind = self.faults[number].fault.kind.clone();
            link.place(number, |link| link.apply(now, kind));
        }
        for older in self.links.iter().filter(|older| older.actor() == actor) {
            for cut in older.with(Link::release_cuts) {
                let number = older.number_of(cut.fault);
                adopt(&link, number, cut);
            }
        }
        for (number, placed) in self.faults.iter_mut().enumerate() {
            let meant = placed.fault.actor.as_deref().is_none_or(|meant| meant == actor);
            if meant && matches!(placed.fault.kind, FaultKind::Cut { .. }) && placed.given.insert(Arc::clone(&name)) {
                let kind = placed.fault.kind.clone();
                link.place(number, |link| link.apply(now, kind));
            }
        }

        self.links.retain(|link| !link.with(|link| link.is_finished()));
        self.links.push(link.clone());
        link
    }

    fn links_of(&self, fault: &Fault) -> impl Iterator<Item = &SharedLink> {
        let actor = fault.actor.clone();
        self.links.iter().filter(move |link| actor.as_deref().is_none_or(|actor| actor == link.actor()))
    }

    /// What lasts and holds for this actor now: later ones beside or in the place of earlier ones, outages until healed.
    fn standing_for(&self, actor: &str) -> Vec<usize> {
        let mut standing: Vec<usize> = Vec::new();
        for (number, Placed { fault, .. }) in self.faults.iter().enumerate() {
            if fault.actor.as_deref().is_some_and(|meant| meant != actor) {
                continue;
            }
            if matches!(fault.kind, FaultKind::Heal { .. }) {
                standing.retain(|number| !is_outage(&self.faults[*number].fault.kind));
            } else if lasts(&fault.kind) {
                standing.push(number);
            }
        }
        standing
    }

    /// Whether a heal would end something for somebody, though nobody may be connected.
    fn outage_stands_for(&self, heal: &Fault) -> bool {
        let is_outage = |number: &usize| is_outage(&self.faults[*number].fault.kind);
        match &heal.actor {
            Some(actor) => self.standing_for(actor).iter().any(is_outage),
            None => {
                let last_heal = |placed: &Placed| {
                    matches!(placed.fault.kind, FaultKind::Heal { .. }) && placed.fault.actor.is_none()
                };
                let since = self.faults.iter().rposition(last_heal).map_or(0, |index| index + 1);
                (since..self.faults.len()).any(|number| is_outage(&number))
            }
        }
    }
}

fn adopt(link: &SharedLink, number: usize, cut: PendingCut) {
    link.place(number, |link| {
        link.adopt_cut(cut);
    });
}

enum Befalls {
    /// Every connection of the actor.
    All,
    /// Its newest.
    Newest,
}

fn befalls(kind: &FaultKind) -> Befalls {
    match kind {
        FaultKind::Cut { .. } => Befalls::Newest,
        kind if happens_once(kind) => Befalls::Newest,
        _ => Befalls::All,
    }
}

fn happens_once(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::Reset | FaultKind::Close | FaultKind::HalfOpen)
}

fn is_outage(kind: &FaultKind) -> bool {
    matches!(kind, FaultKind::Partition { .. } | FaultKind::Hold | FaultKind::StallReading)
}

fn lasts(kind: &FaultKind) -> bool {
    is_outage(kind) || matches!(kind, FaultKind::Latency { .. } | FaultKind::Drop { .. } | FaultKind::Split { .. })
}

/// Values that mean something.
fn check(kind: &FaultKind) -> Result<(), String> {
    match kind {
        FaultKind::Latency { min, max, .. } if min > max => {
            Err(format!("a latency of at least {} cannot be at most {}", words::duration(*min), words::duration(*max)))
        }
        FaultKind::Drop { probability, .. } if !(0.0..=1.0).contains(probability) => {
            Err(format!("a probability of {probability} is not between 0 and 1"))
        }
        FaultKind::Split { bytes: 0 } => Err("segments of 0 bytes carry nothing".to_owned()),
        FaultKind::Cut { on, .. } if on.nth == 0 => Err(format!("the first {} is number 1, not 0", on.packet)),
        _ => Ok(()),
    }
}
