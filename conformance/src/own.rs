//! The virtual worlds: every test on a broker of its own, ours, with nobody else on it. Feature `own-broker`.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use squall_broker::core::config::Config;
use squall_scenarios::{
    liar::Liar,
    stage::{Stage, World},
};
use squall_sim::{
    diagram,
    events::{self, EventsOptions},
    run::Run,
    subject::Subject,
    turmoil::{self, TurmoilOptions},
};

use crate::{
    event::Event,
    report::human::transcript_line,
    report::model::{CutShort, Line, Report, TestEntry},
    run::{Audience, Audit, Bounds, Ended, base36, internal_error, panicked, play},
    select::Planned,
    stop::Stop,
};

/// Virtual time costs nothing, and no machine is slow in it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same always, so that two audits of one build see the same packets.
const SEED: u64 = 1;

/// An hour of it: no test is cut short while its world goes on.
const BOUNDS: Bounds = Bounds { patience: PATIENCE, test: Duration::from_secs(3600), tolerance: Duration::ZERO };

/// Our broker as its program sets it up: it tells of itself below `$SYS`.
fn subject() -> Subject {
    Subject::new(Config { sys_interval: Some(Duration::from_secs(10)), ..Config::default() })
}

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
    let options = EventsOptions { liar, subject: subject(), ..EventsOptions::new(SEED) };
    let test = *planned;
    let run = catch_unwind(AssertUnwindSafe(|| events::run(options, |world| Box::pin(on_stage(world, test)))));
    run.map_or_else(|panic| panicked(planned, &*panic), |run| concluded(planned, run))
}

/// More actors than this leave no room for arrows.
const DRAWN_ACTORS: usize = 4;

/// One test in the events world on the honest broker, and its packets drawn for a terminal of this width.
pub fn drawn(planned: &Planned, width: usize) -> (TestEntry, String) {
    let test = *planned;
    let options = || EventsOptions { subject: subject(), ..EventsOptions::new(SEED) };
    let play = || events::run(options(), |world| Box::pin(on_stage(world, test)));
    let run = match catch_unwind(AssertUnwindSafe(play)) {
        Ok(run) => run,
        Err(panic) => return (panicked(planned, &*panic), String::new()),
    };
    let entries = run.transcript.entries();
    let mut actors: Vec<_> = entries.iter().map(|entry| Rc::clone(&entry.actor)).collect();
    actors.sort_unstable();
    actors.dedup();
    let picture = (actors.len() <= DRAWN_ACTORS).then(|| diagram::draw_packets(&entries, width));
    let entry = concluded(planned, run);
    let lines = || entry.transcript.iter().map(transcript_line).collect::<Vec<_>>().join("\n");
    let picture = picture.unwrap_or_else(lines);
    (entry, picture)
}

/// One test in the turmoil world, on the honest broker with its real driver.
pub fn in_turmoil(planned: &Planned) -> TestEntry {
    let test = *planned;
    let run = catch_unwind(AssertUnwindSafe(|| {
        let options = TurmoilOptions { subject: subject(), ..TurmoilOptions::new(SEED) };
        turmoil::run(options, move |world| Box::pin(on_stage(world, test)))
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
    let mut cut_short = None;
    // Ends the workers, whether somebody asked for it or a failure does.
    let enough = Stop::default();
    thread::scope(|scope| {
        let (sender, news) = mpsc::channel();
        for _ in 0..workers {
            let (sender, waiting, enough, stop) = (sender.clone(), &waiting, &enough, &audit.stop);
            scope.spawn(move || {
                let next = || {
                    let asked = enough.is_asked() || stop.is_asked();
                    waiting.lock().unwrap_or_else(PoisonError::into_inner).next().filter(|_| !asked)
                };
                while let Some(planned) = next() {
                    // Nobody listens any more when a report could not be written.
                    let heard = sender.send(News::Started(planned)).is_ok()
                        && sender.send(News::Finished(planned, Box::new(in_events(&planned, None)))).is_ok();
                    if !heard {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for news in news {
            match news {
                News::Started(planned) => audience.tell(Event::TestStarted(&planned))?,
                News::Finished(planned, mut entry) => {
                    audience.tell(Event::TestFinished(&entry))?;
                    entry.forget_frames();
                    if audit.fail_fast && audit.is_failure(&entry) {
                        cut_short = Some(CutShort::FirstFailure);
                        enough.ask();
                    }
                    done.push((planned, *entry));
                }
            }
        }
        io::Result::Ok(())
    })?;
    if audit.stop.is_asked() && done.len() < audit.tests.len() {
        cut_short = Some(CutShort::Interrupted);
    }
    audit.finish(Ended { done, duration: started.elapsed(), gone: None, cut_short }, audience)
}

/// What a worker tells.
enum News {
    Started(Planned),
    Finished(Planned, Box<TestEntry>),
}
