//! Sweeps: which seeds are played, with what wrong, and what is kept of each.

use std::{ops::Range, sync::Arc, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::{
    fault::FaultKind,
    liar::Liar,
    plan::{Act, Doing, Plan, Step},
    script::Statement,
};

use super::{
    faults, generate,
    report::{Report, Violation},
    run::StormRun,
    shrink::shrink,
    threads::{self, ENDLESS},
};
use crate::{
    events::storm::{StormOptions, play},
    invariants::Invariant,
    meddler::Meddler,
    turmoil,
    world::VirtualWorld,
};

/// What is wrong in a play, made anew for each: a broken broker, or broken clients.
#[derive(Default)]
pub struct Wrong {
    /// A filter in front of the broker.
    pub liar: Option<Box<dyn Liar>>,
    /// What stands between the clients and their connections.
    pub meddler: Option<Box<dyn Meddler>>,
}

/// Makes it.
pub type Breaking = dyn Fn() -> Wrong + Send + Sync;

/// How long one storm may take of the time on the wall, where nothing else is said: it takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What is swept.
#[derive(Clone)]
pub struct Sweep {
    /// Where they are played.
    pub world: VirtualWorld,
    /// Which seeds.
    pub seeds: Range<u64>,
    /// The `i`-th of `n` parts of them, from 1.
    pub shard: (u64, u64),
    /// Threads.
    pub jobs: usize,
    /// What is wrong with the broker, in the events world; `None`: nothing.
    pub broken: Option<Arc<Breaking>>,
    /// Ends at the first violation.
    pub first_only: bool,
    /// Who needs more time on the wall for one storm has lost itself in a loop without an end: a violation of its own.
    pub patience: Duration,
}

/// Plays a plan without a word.
pub fn play_quietly(plan: &Plan, broken: Option<&Breaking>) -> StormRun {
    let Wrong { liar, meddler } = broken.map(|make| make()).unwrap_or_default();
    play(plan, StormOptions { liar, meddler, is_quiet: true, ..StormOptions::default() })
}

/// The invariants that a plan breaks in the events world.
pub fn broken_by(plan: &Plan, broken: Option<&Breaking>) -> Vec<Invariant> {
    broken_in(&play_quietly(plan, broken))
}

fn broken_in(run: &StormRun) -> Vec<Invariant> {
    let mut found: Vec<Invariant> = run.breaches.iter().map(|breach| breach.invariant).collect();
    if run.error.is_some() {
        found.push(Invariant::Progress);
    }
    found
}

impl Sweep {
    /// These seeds, as a whole, on one thread, in the events world, with nothing broken.
    pub fn of(seeds: Range<u64>) -> Self {
        Sweep {
            world: VirtualWorld::Events,
            seeds,
            shard: (1, 1),
            jobs: 1,
            broken: None,
            first_only: false,
            patience: PATIENCE,
        }
    }

    /// Sweeps; `progress` is told how many seeds are done, and how many violations there are.
    ///
    /// A storm that does not end is given up, and so is its thread, which nobody can stop before the process ends.
    pub fn run(&self, progress: &mut dyn FnMut(u64, u64)) -> Report {
        threads::run(self, progress)
    }

    /// Plays a plan as this sweep does.
    pub(super) fn play(&self, plan: &Plan) -> StormRun {
        match self.world {
            VirtualWorld::Events => play_quietly(plan, self.broken.as_deref()),
            VirtualWorld::Turmoil => turmoil::storm::play(plan),
        }
    }

    /// The smallest plan that shows the violation of a seed. One that does not end is not cut down: that would not end either.
    pub fn smallest(&self, violation: &Violation) -> Option<Plan> {
        let mut plan = generate::plan(violation.seed);
        if violation.invariant == ENDLESS {
            plan.title = format!("{ENDLESS}, as storm {} has shown", violation.seed);
            return Some(plan);
        }
        let broken_by = |plan: &Plan| broken_in(&self.play(plan));
        let invariant = *broken_by(&plan).first()?;
        plan = shrink(&plan, invariant, &broken_by).plan;
        // Of what is left: what the whole storm has said may speak of steps that are gone.
        let shown = self.play(&plan).breaches;
        let shown = shown.iter().find(|breach| breach.invariant == invariant).map(|breach| breach.detail.as_str());
        let detail = shown.unwrap_or(&violation.detail).replace("squall//", "");
        plan.proves = proven(invariant, &plan);
        plan.title = format!("{invariant}: {detail}");
        let version = env!("CARGO_PKG_VERSION");
        plan.about =
            Some(format!("Found by squall {version} in storm {}, and cut down to what shows it.", violation.seed));
        Some(plan)
    }
}

/// The statements that the invariant stands for, of the versions that the clients speak.
fn proven(invariant: Invariant, plan: &Plan) -> Vec<Statement> {
    let spoken = |version: Version| {
        let speaks = |step: &Step| matches!(&step.act, Act::Client(_, Doing::Connect(with)) if with.version == version);
        plan.steps.iter().any(speaks)
    };
    let all = invariant.statements().iter().filter_map(|statement| statement.parse::<Statement>().ok());
    all.filter(|statement| spoken(statement.version)).collect()
}

/// What of a play is a violation.
pub(super) fn violation(seed: u64, run: &StormRun) -> Option<Violation> {
    if let Some(error) = &run.error {
        return Some(Violation { seed, invariant: "the run".to_owned(), detail: error.to_string(), more: 0 });
    }
    let first = run.breaches.first()?;
    let (invariant, more) = (first.invariant.to_string(), run.breaches.len() - 1);
    Some(Violation { seed, invariant, detail: first.to_string(), more })
}

/// Which of what waits for a packet came to its moment.
pub(super) fn count_cells(report: &mut Report, plan: &Plan, run: &StormRun) {
    for (number, step) in plan.steps.iter().enumerate() {
        let Some(how) = faults::how(&step.act) else { continue };
        let struck = match (&step.on, &step.act) {
            (Some(moment), _) => {
                let struck = run.struck.iter().find(|(struck, _)| *struck == number);
                struck.map(|(_, first)| (&moment.on, moment.pass, *first))
            }
            (None, Act::Link(Some(who), kind @ FaultKind::Cut { on, pass, .. })) => {
                let struck = run.cuts.get(&format!("{}: {kind}", plan.actors[*who]));
                struck.map(|first| (on, *pass, *first))
            }
            _ => None,
        };
        if let Some((on, pass, first)) = struck {
            *report.cells.entry(faults::cell(on.packet, first, on.direction, pass, how)).or_default() += 1;
        }
    }
}
