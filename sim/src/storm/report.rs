//! What a sweep has seen: mergeable, so that many machines can sweep.

use std::{collections::BTreeMap, fmt, ops::Range};

use serde::{Deserialize, Serialize};

use super::run::StormRun;
use crate::{model::Situation, world::VirtualWorld};

/// A seed that broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub seed: u64,
    /// The first invariant that it broke.
    pub invariant: String,
    /// What was seen.
    pub detail: String,
    /// Further breaches behind it.
    pub more: usize,
}

/// Lines of one kind in the text of a report; the JSON has all.
const LISTED: usize = 20;

/// The sums of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version that swept.
    pub squall: String,
    /// The world in which it swept: `events`, or `turmoil`.
    #[serde(default = "events")]
    pub world: String,
    /// The first seed and the one behind the last.
    pub seeds: (u64, u64),
    /// Which parts of them, each as part and number of parts.
    pub shards: Vec<(u64, u64)>,
    /// Plans that were played.
    pub played: u64,
    /// Packets that the broker got, and that it sent.
    pub packets: (u64, u64),
    /// PUBLISH packets that the broker accepted, by QoS.
    pub accepted: [u64; 3],
    /// PUBLISH packets that it sent.
    pub delivered: u64,
    /// Faults that hit something, and all.
    pub faults: (u64, u64),
    /// xxh3-64 digests of all plays, added up: the same on every machine, in whatever order.
    pub digest: u64,
    /// Situations that matter, and in how many plays they came. Only the model of the events world sees them.
    pub situations: BTreeMap<String, u64>,
    /// What waited for a packet and struck: packet with the state of its exchange, direction, place and fault, and how often.
    /// Those that never did are there with 0. Empty where nobody counts them, as the situations are.
    pub cells: BTreeMap<String, u64>,
    /// In the order of the seeds.
    pub violations: Vec<Violation>,
}

/// What was swept before there was a choice.
fn events() -> String {
    VirtualWorld::Events.name().to_owned()
}

impl Report {
    /// Of nothing yet.
    pub fn new(world: VirtualWorld, seeds: Range<u64>, shard: (u64, u64)) -> Self {
        let (situations, cells) = match world {
            VirtualWorld::Events => (
                Situation::ALL.iter().map(|situation| (situation.name().to_owned(), 0)).collect(),
                super::faults::cells().map(|cell| (cell, 0)).collect(),
            ),
            VirtualWorld::Turmoil => (BTreeMap::new(), BTreeMap::new()),
        };
        Report {
            squall: env!("CARGO_PKG_VERSION").to_owned(),
            world: world.name().to_owned(),
            seeds: (seeds.start, seeds.end),
            shards: vec![shard],
            played: 0,
            packets: (0, 0),
            accepted: [0; 3],
            delivered: 0,
            faults: (0, 0),
            digest: 0,
            situations,
            cells,
            violations: Vec::new(),
        }
    }

    /// One play more.
    pub fn count(&mut self, run: &StormRun) {
        self.played += 1;
        self.packets.0 += run.tally.received;
        self.packets.1 += run.tally.sent;
        for (sum, more) in self.accepted.iter_mut().zip(run.tally.accepted) {
            *sum += more;
        }
        self.delivered += run.tally.delivered;
        self.faults.0 += run.faults.0 as u64;
        self.faults.1 += run.faults.1 as u64;
        self.digest = self.digest.wrapping_add(run.digest);
        for (situation, count) in Situation::ALL.iter().zip(run.tally.situations) {
            if let Some(sum) = self.situations.get_mut(situation.name()) {
                *sum += u64::from(count > 0);
            }
        }
    }

    /// Whether both may be parts of one sweep.
    pub fn is_of_one_sweep_with(&self, other: &Report) -> bool {
        self.is_like(other) && self.seeds == other.seeds
    }

    fn is_like(&self, other: &Report) -> bool {
        self.squall == other.squall && self.world == other.world
    }

    /// Whether the other one is a whole sweep as this is, and its seeds begin where these end.
    pub fn is_continued_by(&self, other: &Report) -> bool {
        let is_whole = |report: &Report| report.shards == [(1, 1)];
        self.is_like(other) && is_whole(self) && is_whole(other) && self.seeds.1 == other.seeds.0
    }

    /// Adds another part of the same sweep, or the sweep of the seeds behind it.
    pub fn merge(&mut self, other: Report) {
        self.seeds.1 = self.seeds.1.max(other.seeds.1);
        self.played += other.played;
        self.packets = (self.packets.0 + other.packets.0, self.packets.1 + other.packets.1);
        for (sum, more) in self.accepted.iter_mut().zip(other.accepted) {
            *sum += more;
        }
        self.delivered += other.delivered;
        self.faults = (self.faults.0 + other.faults.0, self.faults.1 + other.faults.1);
        self.digest = self.digest.wrapping_add(other.digest);
        for (name, count) in other.situations {
            *self.situations.entry(name).or_default() += count;
        }
        for (name, count) in other.cells {
            *self.cells.entry(name).or_default() += count;
        }
        for shard in other.shards {
            if !self.shards.contains(&shard) {
                self.shards.push(shard);
            }
        }
        self.shards.sort_unstable();
        self.violations.extend(other.violations);
        self.violations.sort_by_key(|violation| violation.seed);
    }

    /// Situations that no play came to.
    pub fn never(&self) -> Vec<&str> {
        self.situations.iter().filter(|(_, count)| **count == 0).map(|(name, _)| name.as_str()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [none, once, exactly] = self.accepted;
        let world = if self.world == events() { String::new() } else { format!(" in {}", self.world) };
        writeln!(f, "{} storms{world}, seeds {} to {}", self.played, self.seeds.0, self.seeds.1.saturating_sub(1))?;
        writeln!(f, "  packets      {} to the broker, {} from it", self.packets.0, self.packets.1)?;
        writeln!(
            f,
            "  accepted     {none} of QoS 0, {once} of QoS 1, {exactly} of QoS 2; {} delivered",
            self.delivered
        )?;
        writeln!(f, "  faults       {} of {} hit something", self.faults.0, self.faults.1)?;
        writeln!(f, "  digest       {:016x}", self.digest)?;
        self.write_situations(f)?;
        writeln!(f, "  violations   {}", self.violations.len())?;
        for violation in self.violations.iter().take(LISTED) {
            writeln!(f, "    seed {}: {}", violation.seed, violation.detail)?;
        }
        if self.violations.len() > LISTED {
            writeln!(f, "    and {} more", self.violations.len() - LISTED)?;
        }
        Ok(())
    }
}

impl Report {
    /// What the model has counted, where there was one.
    fn write_situations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.situations.is_empty() {
            return Ok(());
        }
        writeln!(f, "  situations, and in how many storms they came")?;
        for (name, count) in &self.situations {
            writeln!(f, "    {count:>8}  {name}")?;
        }
        let never: Vec<&str> =
            self.cells.iter().filter(|(_, count)| **count == 0).map(|(cell, _)| cell.as_str()).collect();
        let (reached, all) = (self.cells.len() - never.len(), self.cells.len());
        writeln!(
            f,
            "  {reached} of {all} cells (packet, state of its exchange, direction, place, fault) came to their moment"
        )?;
        for cell in never.iter().take(LISTED) {
            writeln!(f, "    never     {cell}")?;
        }
        if never.len() > LISTED {
            writeln!(f, "    never     {} more", never.len() - LISTED)?;
        }
        Ok(())
    }
}
