//! The virtual worlds: every test on a broker of its own, ours, with nobody else on it. Feature `own-broker`.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use squall_scenarios::{
    liar::Liar,
    stage::{Stage, World},
};
use squall_sim::{
    events::{self, EventsOptions},
    run::Run,
    turmoil::{self, TurmoilOptions},
};

use crate::{
    event::Event,
    report::model::{Line, Report, TestEntry},
    run::{Audience, Audit, Bounds, base36, internal_error, panicked, play},
    select::Planned,
};

/// Virtual time costs nothing, and no machine is slow in it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same always, so that two audits of one build see the same packets.
const SEED: u64 = 1;

/// An hour of it: no test is cut short while its world goes on.
const BOUNDS: Bounds = Bounds { patience: PATIENCE, test: Duration::from_secs(3600) };

async fn on_stage(world: Rc<dyn World>, planned: Planned) -> TestEntry {
    let namespace = format!("t{}", base36(planned.number as u64, 3));
    let stage = Stage::new(world, planned.version, &namespace, BOUNDS.patience);
    play(&stage, &planned, BOUNDS).await
}

fn concluded(planned: &Planned, run: Run<TestEntry>) -> TestEntry {
    run.outcome.unwrap_or_else(|error| {
        let transcript = run.transcript.entries().iter().map(Line::from).collect();
        TestEntry { transcript, ..internal_error(planned, &error.to_string()) }
    })
}

/// One test in the events world, on an honest broker or behind a liar.
pub fn in_events(planned: &Planned, liar: Option<Box<dyn Liar>>) -> TestEntry {
    let options = EventsOptions { liar, ..EventsOptions::new(SEED) };
    let test = *planned;
    let run = catch_unwind(AssertUnwindSafe(|| events::run(options, |world| Box::pin(on_stage(world, test)))));
    run.map_or_else(|panic| panicked(planned, &*panic), |run| concluded(planned, run))
}

/// One test in the turmoil world, on the honest broker with its real driver.
pub fn in_turmoil(planned: &Planned) -> TestEntry {
    let test = *planned;
    let run = catch_unwind(AssertUnwindSafe(|| {
        turmoil::run(TurmoilOptions::new(SEED), move |world| Box::pin(on_stage(world, test)))
    }));
    run.map_or_else(|panic| panicked(planned, &*panic), |run| concluded(planned, run))
}

/// Audits our own broker in the events world, on every core.
///
/// # Errors
/// A report cannot be written.
pub fn audit(audit: Audit<'_>, audience: &mut Audience) -> io::Result<Report> {
    let started = Instant::now();
    audience.tell(Event::RunStarted(&audit.header, audit.tests.len()))?;
    let workers = thread::available_parallelism().map_or(1, usize::from).min(audit.jobs.max(1));
    let waiting = Mutex::new(audit.tests.clone().into_iter());
    let mut done = Vec::new();
    thread::scope(|scope| {
        let (sender, finished) = mpsc::channel();
        for _ in 0..workers {
            let (sender, waiting) = (sender.clone(), &waiting);
            scope.spawn(move || {
                let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(planned) = next() {
                    // Nobody listens any more when a report could not be written.
                    if sender.send((planned, in_events(&planned, None))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (planned, entry) in finished {
            audience.tell(Event::TestFinished(&entry))?;
            done.push((planned, entry));
        }
        io::Result::Ok(())
    })?;
    audit.finish(done, started.elapsed(), None, audience)
}
