//! Plays one seed after the other, on as many threads as are asked for, and keeps what matters of each.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use squall_scenarios::{
    fault::FaultKind,
    liar::Liar,
    plan::{Act, Plan},
};

use super::{
    faults, generate,
    report::{Report, Violation},
    shrink::shrink,
};
use crate::{
    events::storm::{StormOptions, StormRun, play},
    invariants::Invariant,
    meddler::Meddler,
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
pub type Breaking = dyn Fn() -> Wrong + Sync;

/// What is swept.
pub struct Sweep<'a> {
    /// Which seeds.
    pub seeds: Range<u64>,
    /// The `i`-th of `n` parts of them, from 1.
    pub shard: (u64, u64),
    /// Threads.
    pub jobs: usize,
    /// What is wrong with the broker; `None`: nothing.
    pub broken: Option<&'a Breaking>,
    /// Ends at the first violation.
    pub first_only: bool,
}

/// Plays a plan without a word.
pub fn play_quietly(plan: &Plan, broken: Option<&Breaking>) -> StormRun {
    let Wrong { liar, meddler } = broken.map(|make| make()).unwrap_or_default();
    play(plan, StormOptions { liar, meddler, is_quiet: true, ..StormOptions::default() })
}

/// The invariants that a plan breaks.
pub fn broken_by(plan: &Plan, broken: Option<&Breaking>) -> Vec<Invariant> {
    let run = play_quietly(plan, broken);
    let mut found: Vec<Invariant> = run.breaches.iter().map(|breach| breach.invariant).collect();
    if run.error.is_some() {
        found.push(Invariant::Progress);
    }
    found
}

impl Sweep<'_> {
    /// Sweeps; `progress` is told of each seed that is done, and how many violations there are.
    pub fn run(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Report {
        let next = AtomicU64::new(0);
        let done = AtomicU64::new(0);
        let found = AtomicU64::new(0);
        let (part, parts) = self.shard;
        let work = || {
            let mut report = Report::new(self.seeds.clone(), self.shard);
            loop {
                let seed = self.seeds.start + next.fetch_add(1, Ordering::Relaxed);
                if seed >= self.seeds.end || (self.first_only && found.load(Ordering::Relaxed) > 0) {
                    return report;
                }
                if seed % parts != part - 1 {
                    continue;
                }
                let plan = generate::plan(seed);
                let run = play_quietly(&plan, self.broken);
                if let Some(violation) = violation(seed, &run) {
                    found.fetch_add(1, Ordering::Relaxed);
                    report.violations.push(violation);
                }
                report.count(&run);
                count_cells(&mut report, &plan, &run);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, found.load(Ordering::Relaxed));
            }
        };
        let mut whole = Report::new(self.seeds.clone(), self.shard);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                // A panic of a play is a violation of its own; one of ours goes on its way.
                whole.merge(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        whole
    }

    /// The smallest plan that shows the violation of a seed.
    pub fn smallest(&self, violation: &Violation) -> Option<Plan> {
        let plan = generate::plan(violation.seed);
        let invariant = *broken_by(&plan, self.broken).first()?;
        let mut plan = shrink(&plan, invariant, &|plan| broken_by(plan, self.broken)).plan;
        // Of what is left: what the whole storm has said may speak of steps that are gone.
        let shown = play_quietly(&plan, self.broken).breaches;
        let shown = shown.iter().find(|breach| breach.invariant == invariant).map(ToString::to_string);
        let detail = shown.as_ref().unwrap_or(&violation.detail);
        plan.title = format!("{invariant}, as storm {} has shown", violation.seed);
        plan.about = Some(format!("Found by squall {}: {detail}", env!("CARGO_PKG_VERSION")));
        Some(plan)
    }
}

fn violation(seed: u64, run: &StormRun) -> Option<Violation> {
    if let Some(error) = &run.error {
        return Some(Violation { seed, invariant: "the run".to_owned(), detail: error.to_string(), more: 0 });
    }
    let first = run.breaches.first()?;
    let (invariant, more) = (first.invariant.to_string(), run.breaches.len() - 1);
    Some(Violation { seed, invariant, detail: first.to_string(), more })
}

/// Which of what waits for a packet came to its moment.
fn count_cells(report: &mut Report, plan: &Plan, run: &StormRun) {
    for (number, step) in plan.steps.iter().enumerate() {
        let Some(how) = faults::how(&step.act) else { continue };
        let (on, pass) = match (&step.on, &step.act) {
            (Some(moment), _) if run.struck.contains(&number) => (&moment.on, moment.pass),
            (None, Act::Link(Some(who), kind @ FaultKind::Cut { on, pass, .. }))
                if !run.untouched.contains(&format!("{}: {kind}", plan.actors[*who])) =>
            {
                (on, *pass)
            }
            _ => continue,
        };
        *report.cells.entry(faults::cell(on.packet, on.direction, pass, how)).or_default() += 1;
    }
}
