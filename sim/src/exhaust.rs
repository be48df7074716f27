//! A small flow, cut everywhere: at each packet boundary and each byte of the connections of its whole clients, both ways, with each
//! kind of end, and then at pairs of such places. The clients have to come through; the invariants judge whether they did.
//!
//! A cut flow is a script again, with the cuts as its first steps and the invariants as its judge: what is found here is
//! replayed by `sim run`, byte for byte.

mod cuts;
mod flow;

use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::{liar::Direction, liar::Liar, script::Script, verdict::Verdict};
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use self::cuts::{Cut, Frame, Place};
use self::flow::{Flow, Played};

/// A filter on the broker's side of every link, made anew for each play.
pub type MakeLiar = Arc<dyn Fn() -> Box<dyn Liar> + Send + Sync>;

/// What is cut, and how much of it.
#[derive(Clone)]
pub struct ExhaustOptions {
    /// Everything random comes from it.
    pub seed: u64,
    /// Only this client's connections; otherwise those of all whole clients.
    pub link: Option<String>,
    /// At most this many pairs of cuts.
    pub pairs: usize,
    /// Plays at once.
    pub jobs: usize,
    /// A broker that is not honest.
    pub liar: Option<MakeLiar>,
}

impl ExhaustOptions {
    /// An honest broker, no pairs, one play at a time.
    pub fn new(seed: u64) -> Self {
        ExhaustOptions { seed, link: None, pairs: 0, jobs: 1, liar: None }
    }
}

/// Why a flow cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExhaustError {
    /// The flow does not hold as it stands.
    #[error("{file} does not hold in {version} before anything is cut: {reason}")]
    DoesNotHold {
        /// The script.
        file: String,
        /// In which version.
        version: Version,
        /// Why.
        reason: String,
    },
    /// Nobody would come back.
    #[error("{file} has no whole client that connects again by itself: there is nothing to cut")]
    NobodyComesBack {
        /// The script.
        file: String,
    },
    /// The link that was named is none of a whole client.
    #[error("'{link}' is no whole client of {file}, which has {clients}")]
    UnknownLink {
        /// As it was named.
        link: String,
        /// The script.
        file: String,
        /// Those that could be named.
        clients: String,
    },
    /// The cuts cannot be written into the script.
    #[error("{0}")]
    Unwritable(String),
}

/// Cuts after which something did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One, or two.
    pub cuts: Vec<Cut>,
    /// What did not hold, in sentences.
    pub breaches: Vec<String>,
    /// The script that plays it.
    pub script: String,
}

/// One kind of packet one way: where its frames were cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// In the flow as it stands.
    pub frames: usize,
    /// All of them together.
    pub bytes: usize,
    /// Cuts before or behind a whole frame that took effect.
    pub at_boundaries: usize,
    /// Cuts within a frame that took effect.
    pub within: usize,
}

/// What came of it in one version.
#[derive(Clone, Debug)]
pub struct Exhausted {
    /// The version that was spoken.
    pub version: Version,
    /// Whose connections were cut.
    pub links: Vec<String>,
    /// Their frames in the flow as it stands.
    pub frames: Vec<Frame>,
    /// Single cuts that there are, and that were played.
    pub singles: usize,
    /// Pairs of cuts that there are.
    pub pairs: usize,
    /// Pairs that were played.
    pub pairs_played: usize,
    /// Plays in which not every cut found something to cut: behind a half-open link nobody sees which packets were lost.
    pub missed: usize,
    /// Which packets were cut, which way.
    pub coverage: BTreeMap<(PacketKind, Direction), Cell>,
    /// In the order of the cuts.
    pub violations: Vec<Violation>,
}

/// What is being played, for whoever shows progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many plays begin.
    Begins {
        /// Cuts in each.
        cuts: usize,
        /// How many.
        plays: usize,
    },
    /// One is over.
    Played {
        /// Something did not hold.
        violated: bool,
    },
}

/// Cuts the flow in one version everywhere.
///
/// # Errors
/// A flow that does not hold by itself, or that cannot be cut.
pub fn exhaust(
    script: &Rc<Script>,
    text: &str,
    version: Version,
    options: &ExhaustOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Exhausted, ExhaustError> {
    let links = links(script, options)?;
    let flow = Flow::new(script.file(), text, version, options.seed, links.clone())?;
    let frames = flow.frames_as_it_stands(script)?;
    let mut exhausted = Exhausted {
        version,
        links,
        singles: 0,
        pairs: 0,
        pairs_played: 0,
        missed: 0,
        coverage: BTreeMap::new(),
        violations: Vec::new(),
        frames,
    };
    for frame in &exhausted.frames {
        let cell = exhausted.coverage.entry((frame.kind, frame.direction)).or_default();
        cell.frames += 1;
        cell.bytes += frame.size;
    }

    let singles: Vec<Vec<Cut>> = exhausted.frames.iter().flat_map(Frame::cuts).map(|cut| vec![cut]).collect();
    exhausted.singles = singles.len();
    let outcomes = play_all(&flow, &singles, options, progress);
    let mut pairs: Vec<Vec<Cut>> = Vec::new();
    for (cuts, outcome) in singles.iter().zip(&outcomes) {
        let seconds = outcome.frames_behind.iter().filter(|frame| flow.is_worth_a_second_cut(frame, &exhausted.frames));
        for second in seconds.flat_map(Frame::cuts) {
            pairs.push(vec![cuts[0].clone(), second]);
        }
    }
    exhausted.note(&flow, &singles, outcomes);

    exhausted.pairs = pairs.len();
    if options.pairs > 0 {
        let pairs = sample(pairs, options.pairs, options.seed);
        exhausted.pairs_played = pairs.len();
        let outcomes = play_all(&flow, &pairs, options, progress);
        exhausted.note(&flow, &pairs, outcomes);
    }
    Ok(exhausted)
}

impl Exhausted {
    fn note(&mut self, flow: &Flow, plays: &[Vec<Cut>], outcomes: Vec<Played>) {
        for (cuts, outcome) in plays.iter().zip(outcomes) {
            self.missed += usize::from(!outcome.all_hit);
            for cut in cuts.iter().filter(|_| outcome.all_hit) {
                let cell = self.coverage.entry((cut.kind, cut.direction)).or_default();
                match cut.place {
                    Place::Before | Place::After => cell.at_boundaries += 1,
                    Place::Within(_) => cell.within += 1,
                }
            }
            if !outcome.breaches.is_empty() {
                let script = flow.with(cuts);
                self.violations.push(Violation { cuts: cuts.clone(), breaches: outcome.breaches, script });
            }
        }
    }
}

/// Whose connections are cut.
fn links(script: &Script, options: &ExhaustOptions) -> Result<Vec<String>, ExhaustError> {
    let clients: Vec<String> = script.reconnecting_clients().map(str::to_owned).collect();
    if clients.is_empty() {
        return Err(ExhaustError::NobodyComesBack { file: script.file().to_owned() });
    }
    match &options.link {
        None => Ok(clients),
        Some(link) if clients.contains(link) => Ok(vec![link.clone()]),
        Some(link) => Err(ExhaustError::UnknownLink {
            link: link.clone(),
            file: script.file().to_owned(),
            clients: clients.join(", "),
        }),
    }
}

/// So many of them, drawn by the seed, in their order.
fn sample(all: Vec<Vec<Cut>>, most: usize, seed: u64) -> Vec<Vec<Cut>> {
    if all.len() <= most {
        return all;
    }
    let mut order: Vec<(u64, usize)> =
        (0..all.len()).map(|index| (xxh3_64_with_seed(&(index as u64).to_le_bytes(), seed), index)).collect();
    order.sort_unstable();
    let mut chosen = vec![false; all.len()];
    for (_, index) in &order[..most] {
        chosen[*index] = true;
    }
    all.into_iter().zip(chosen).filter_map(|(cuts, chosen)| chosen.then_some(cuts)).collect()
}

/// Plays all of them, several at once; the outcomes stand in the order of the plays.
fn play_all(
    flow: &Flow,
    plays: &[Vec<Cut>],
    options: &ExhaustOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Vec<Played> {
    progress(Progress::Begins { cuts: plays.first().map_or(0, Vec::len), plays: plays.len() });
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Played)>> = Mutex::new(Vec::with_capacity(plays.len()));
    let work = || {
        let mut own = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(cuts) = plays.get(index) else { break };
            let played = flow.play(cuts, options.liar.as_ref().map(|make| make()));
            progress(Progress::Played { violated: !played.breaches.is_empty() });
            own.push((index, played));
        }
        done.lock().unwrap_or_else(PoisonError::into_inner).extend(own);
    };
    thread::scope(|scope| {
        for _ in 1..options.jobs.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, played)| played).collect()
}

/// Whether a play says that all is well.
fn holds(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Pass | Verdict::Warn)
}
