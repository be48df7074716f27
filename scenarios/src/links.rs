//! The book of links that a world holds: the faults in force for each actor, before and after its connections exist, and
//! which of them have touched anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    armed::Armed,
    fault::{Delay, Fault, FaultKind, Moment, Triggered},
    liar::Direction,
    link::{Fired, Link, Strike},
    shared_link::{Journal, Note, Number, SharedLink},
    transcript::Transcript,
    words,
};

/// All links of one world. A cheap clone of one book.
///
/// What lasts (latency, bandwidth, loss, splits, outages, a stalled reader) holds for the connections that an actor has and for
/// those it opens later. What happens once (RST, FIN, a client that is gone) needs a connection: it befalls the actor's
/// newest. A cut, and whatever else waits for a moment of the protocol, waits over as many connections as that takes, each
/// time on the newest.
#[derive(Clone, Debug)]
pub struct Links(Arc<Mutex<Book>>, Arc<AtomicU64>);

#[derive(Debug)]
pub(crate) struct Book {
    seed: u64,
    faults: Vec<Placed>,
    awaited: Vec<Awaited>,
    /// What each actor has opened.
    actors: BTreeMap<Arc<str>, Opened>,
    /// Oldest first, by the number of links that were opened before.
    links: BTreeMap<u64, SharedLink>,
    opened: u64,
    journal: Journal,
    /// Faults from here on are those of the calm.
    calm_from: Option<usize>,
    changes: Arc<AtomicU64>,
}

/// A fault in the book.
#[derive(Debug)]
struct Placed {
    fault: Fault,
    /// Where it struck at a moment of the protocol.
    moment: Option<Moment>,
    /// Actors on whose links a cut has been put in place.
    given: BTreeSet<Arc<str>>,
}

/// The connections of one actor.
#[derive(Debug, Default)]
struct Opened {
    /// How many it has opened.
    connections: u32,
    /// Those on which something may still happen, oldest first, by their place among the links of the book.
    links: Vec<u64>,
}

/// Something that waits for a moment of the protocol.
#[derive(Debug)]
struct Awaited {
    moment: Moment,
    what: Triggered,
    armed: Armed,
    /// One of the actor's links looks out for it, or has done so.
    given: bool,
    /// Why it could not be put in place when its moment came.
    refused: Option<String>,
}

impl Awaited {
    const fn strike(&self) -> Strike {
        match &self.what {
            Triggered::Fault(_) => Strike::Fault,
            Triggered::Outage => Strike::Outage,
            Triggered::Signal => Strike::Signal,
        }
    }

    /// The fault, if it has touched nothing.
    fn unhit(&self) -> Option<(&Fault, &Moment)> {
        match &self.what {
            Triggered::Fault(fault) if self.refused.is_some() || self.armed.came().is_none() => {
                Some((fault, &self.moment))
            }
            _ => None,
        }
    }

    fn look_out_on(&mut self, link: &SharedLink, number: usize) {
        self.given = true;
        let Moment { on, pass, .. } = self.moment.clone();
        link.place(Number::Awaited(number), |link| link.await_moment(on, pass, self.strike()));
    }
}

impl Links {
    /// An empty book. Each link's randomness comes from this seed, the actor's name and the number of its connection.
    pub fn new(seed: u64) -> Self {
        let changes = Arc::new(AtomicU64::new(0));
        let book = Book {
            seed,
            faults: Vec::new(),
            awaited: Vec::new(),
            actors: BTreeMap::new(),
            links: BTreeMap::new(),
            opened: 0,
            journal: Journal::default(),
            calm_from: None,
            changes: Arc::clone(&changes),
        };
        Links(Arc::new(Mutex::new(book)), changes)
    }

    /// How often links have been changed by another hand than the one that drives them: whoever drives them looks at all of
    /// them when it grows.
    pub fn changes(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// Puts a fault in place.
    ///
    /// # Errors
    /// One sentence: a value that means nothing, or nobody with a connection for what happens once.
    pub fn apply(&self, now: Duration, fault: &Fault) -> Result<(), String> {
        self.lock().apply(now, fault, None)
    }

    /// Has something wait for a moment of the protocol. A fault is put in place by itself when it comes; what else there
    /// is, the one does who waits for it.
    ///
    /// # Errors
    /// One sentence: a value that means nothing.
    pub fn arm(&self, moment: &Moment, what: Triggered) -> Result<Armed, String> {
        self.lock().arm(moment, what)
    }

    /// The link of the actor's next connection, with all faults that stand for it. To be called when the connection
    /// stands, so that the numbers are those of the transcript.
    pub fn open(&self, now: Duration, actor: &str) -> SharedLink {
        self.lock().open(now, actor, &Arc::downgrade(&self.0))
    }

    /// The subject's machine has lost its power, under all connections at once.
    pub fn server_goes_dark(&self) {
        let book = self.lock();
        book.changed();
        for link in book.links.values() {
            link.with(Link::server_goes_dark);
        }
    }

    /// The subject's machine has its power again, and has forgotten all connections.
    pub fn server_comes_back(&self, now: Duration) {
        let book = self.lock();
        book.changed();
        for link in book.links.values() {
            link.with(|link| link.server_comes_back(now));
        }
    }

    /// Nothing goes wrong any more: what stands is healed, and what waits for its moment is taken away.
    ///
    /// # Panics
    /// Never: what it puts in place is what the book takes.
    pub fn calm(&self, now: Duration) {
        let mut book = self.lock();
        book.calm_from = Some(book.faults.len());
        for link in book.links.values() {
            drop(link.with(Link::release_strikes));
        }
        for kind in [
            FaultKind::Heal { reset: false },
            FaultKind::Latency { time: Delay::fixed(Duration::ZERO), direction: None },
            FaultKind::Bandwidth { bytes_per_second: 0, direction: None },
            FaultKind::Coalesce { bytes: 1, time: Duration::ZERO, direction: None },
            FaultKind::Drop { probability: 0.0, direction: None },
        ] {
            book.apply(now, &Fault { actor: None, kind }, None).expect("these lasting faults need no connection");
        }
    }

    /// How many faults were put in place before the calm, or wait for their moment.
    pub fn placed(&self) -> usize {
        let book = self.lock();
        book.counted() + book.awaited.iter().filter(|awaited| awaited.unhit().is_some()).count()
    }

    /// How many connections the actor has opened.
    pub fn connection_number(&self, actor: &str) -> u32 {
        self.lock().actors.get(actor).map_or(0, |opened| opened.connections)
    }

    /// A fresh record that takes over, in their place, what the links have noted.
    pub fn transcript(&self) -> Transcript {
        let (transcript, book) = (Transcript::new(), self.clone());
        transcript.pull_from(move || book.take_notes());
        transcript
    }

    /// What the links have written since the last call, in order.
    pub fn take_notes(&self) -> Vec<Note> {
        std::mem::take(&mut self.lock().journal.lock().notes)
    }

    /// Faults that have touched nothing so far, in words.
    pub fn unhit(&self) -> Vec<String> {
        let book = self.lock();
        let written = book.journal.lock();
        let faults = book.faults.iter().enumerate().take(book.counted());
        let in_place =
            faults.filter(|(number, _)| !written.touched.contains_key(number)).map(|(_, placed)| placed.words());
        let awaited = book.awaited.iter().filter_map(Awaited::unhit);
        in_place.chain(awaited.map(|(fault, moment)| words_at(fault, moment))).collect()
    }

    /// Faults that have struck at a packet so far, in the words of `unhit`, with the first byte of that packet.
    pub fn struck(&self) -> BTreeMap<String, u8> {
        let book = self.lock();
        let written = book.journal.lock();
        let struck =
            written.touched.iter().filter_map(|(number, packet)| Some((book.faults.get(*number)?, (*packet)?)));
        struck.map(|(placed, packet)| (placed.words(), packet)).collect()
    }

    /// Why nothing came of a fault that waited for a moment, in the words of `unhit`.
    pub fn why_unhit(&self, words: &str) -> Option<String> {
        let book = self.lock();
        let told = |awaited: &&Awaited| matches!(&awaited.what, Triggered::Fault(fault) if words_at(fault, &awaited.moment) == words);
        let awaited = book
            .awaited
            .iter()
            .filter(told)
            .find(|awaited| awaited.refused.is_some() || awaited.armed.came().is_none())?;
        Some(awaited.refused.clone().unwrap_or_else(|| "its moment never came".to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self) -> usize {
        self.calm_from.unwrap_or(self.faults.len())
    }

    /// `struck`: it strikes at a moment on this link, and what has entered this way still passes.
    fn apply(
        &mut self,
        now: Duration,
        fault: &Fault,
        struck: Option<(&SharedLink, Direction, &Moment)>,
    ) -> Result<(), String> {
        check(&fault.kind)?;
        self.changed();
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
            self.journal.lock().touched.insert(number, None);
        }
        let given = concerned.iter().map(|link| Arc::from(link.actor())).collect();
        let moment = struck.map(|(_, _, moment)| moment.clone());
        self.faults.push(Placed { fault: fault.clone(), moment, given });
        for link in concerned {
            let behind = struck.filter(|(on, _, _)| on.is(&link)).map(|(_, direction, _)| direction);
            link.place(Number::Fault(number), |link| link.apply_behind(now, fault.kind.clone(), behind));
        }
        Ok(())
    }

    fn arm(&mut self, moment: &Moment, what: Triggered) -> Result<Armed, String> {
        if let Triggered::Fault(fault) = &what {
            check(&fault.kind)?;
        }
        if moment.on.nth == 0 {
            return Err(format!("the first {} is number 1, not 0", moment.on.packet));
        }
        let armed = Armed::default();
        let mut awaited = Awaited { moment: moment.clone(), what, armed: armed.clone(), given: false, refused: None };
        let newest = self.links_of_actor(&moment.actor).rev().find(|link| link.with(|link| link.is_open()));
        if let Some(link) = newest {
            awaited.look_out_on(link, self.awaited.len());
        }
        self.awaited.push(awaited);
        Ok(armed)
    }

    /// The moment has come for which this waited.
    pub(crate) fn strike(&mut self, link: &SharedLink, number: usize, fired: &Fired) {
        self.changed();
        let Some(awaited) = self.awaited.get(number) else { return };
        let (moment, what, armed) = (awaited.moment.clone(), awaited.what.clone(), awaited.armed.clone());
        if let Triggered::Fault(fault) = what
            && let Err(reason) = self.apply(fired.at, &fault, Some((link, fired.direction, &moment)))
        {
            self.awaited[number].refused = Some(reason);
        }
        armed.comes(fired.at, link.with(|link| link.struck_by(fired.position)));
    }

    fn open(&mut self, now: Duration, actor: &str, book: &Weak<Mutex<Book>>) -> SharedLink {
        let name = match self.actors.get_key_value(actor) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(actor),
        };
        let opened = self.actors.entry(Arc::clone(&name)).or_default();
        opened.connections += 1;
        let connection = opened.connections;
        let seed = {
            let mut of = name.as_bytes().to_vec();
            of.extend(connection.to_le_bytes());
            xxh3_64_with_seed(&of, self.seed)
        };
        let link = SharedLink::new(Link::new(seed), Arc::clone(&name), connection, self.journal.clone(), book.clone());

        for number in self.standing_for(actor) {
            let kind = self.faults[number].fault.kind.clone();
            link.place(Number::Fault(number), |link| link.apply(now, kind));
        }
        for older in self.links_of_actor(actor) {
            for strike in older.with(Link::release_strikes) {
                let number = older.number_of(strike.position);
                link.place(number, |link| link.adopt(strike));
            }
        }
        for (number, placed) in self.faults.iter_mut().enumerate() {
            let meant = placed.fault.actor.as_deref().is_none_or(|meant| meant == actor);
            let waits = matches!(placed.fault.kind, FaultKind::Cut { .. }) && self.calm_from.is_none();
            if meant && waits && placed.given.insert(Arc::clone(&name)) {
                let kind = placed.fault.kind.clone();
                link.place(Number::Fault(number), |link| link.apply(now, kind));
            }
        }
        for (number, awaited) in self.awaited.iter_mut().enumerate() {
            if awaited.moment.actor == actor && !awaited.given && self.calm_from.is_none() {
                awaited.look_out_on(&link, number);
            }
        }

        let Book { actors, links, opened: place, .. } = self;
        let of_actor = &mut actors.entry(name).or_default().links;
        of_actor.retain(|older| {
            let is_finished = links.get(older).is_none_or(|link| link.with(|link| link.is_finished()));
            if is_finished {
                links.remove(older);
            }
            !is_finished
        });
        of_actor.push(*place);
        links.insert(*place, link.clone());
        *place += 1;
        link
    }

    fn links_of<'a>(&'a self, fault: &Fault) -> Box<dyn Iterator<Item = &'a SharedLink> + 'a> {
        match &fault.actor {
            Some(actor) => Box::new(self.links_of_actor(actor)),
            None => Box::new(self.links.values()),
        }
    }

    fn links_of_actor<'a>(&'a self, actor: &str) -> impl DoubleEndedIterator<Item = &'a SharedLink> + use<'a> {
        let places = self.actors.get(actor).into_iter().flat_map(|opened| &opened.links);
        places.filter_map(|place| self.links.get(place))
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

impl Placed {
    fn words(&self) -> String {
        match &self.moment {
            Some(moment) => words_at(&self.fault, moment),
            None => self.fault.to_string(),
        }
    }
}

/// A fault that strikes at a moment, in words: "alice: hold, before PUBREL 1 from alice".
pub(crate) fn words_at(fault: &Fault, moment: &Moment) -> String {
    format!("{fault}, {moment}")
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
    is_outage(kind)
        || matches!(
            kind,
            FaultKind::Latency { .. }
                | FaultKind::Bandwidth { .. }
                | FaultKind::Drop { .. }
                | FaultKind::Split { .. }
                | FaultKind::Coalesce { .. }
        )
}

/// Values that mean something.
fn check(kind: &FaultKind) -> Result<(), String> {
    match kind {
        FaultKind::Latency { time: Delay::Between { min, max }, .. } if min > max => {
            Err(format!("a latency of at least {} cannot be at most {}", words::duration(*min), words::duration(*max)))
        }
        FaultKind::Latency { time: Delay::Spread { median, p99 }, .. } => check_spread(*median, *p99),
        FaultKind::Coalesce { bytes: 0, .. } => Err("segments of 0 bytes carry nothing".to_owned()),
        FaultKind::Drop { probability, .. } if !(0.0..=1.0).contains(probability) => {
            Err(format!("a probability of {probability} is not between 0 and 1"))
        }
        FaultKind::Split { bytes: 0 } => Err("segments of 0 bytes carry nothing".to_owned()),
        FaultKind::Cut { on, .. } if on.nth == 0 => Err(format!("the first {} is number 1, not 0", on.packet)),
        _ => Ok(()),
    }
}

/// The widest that a spread of delays can be.
const WIDEST_SPREAD: u32 = 1_000_000;

pub(crate) fn check_spread(median: Duration, p99: Duration) -> Result<(), String> {
    let (low, high) = (words::duration(median), words::duration(p99));
    if median.as_micros() == 0 {
        return Err("a median latency is at least 1 us".to_owned());
    }
    if p99 < median {
        return Err(format!("of latencies with a median of {low}, 99 of 100 cannot be at most {high}"));
    }
    match median.checked_mul(WIDEST_SPREAD) {
        Some(widest) if p99 > widest => Err(format!("{high} is more than a million times the median of {low}")),
        _ => Ok(()),
    }
}
