//! An audit at a real address: tests run side by side. What one of them does to the server is no verdict on the rule of
//! another: a test whose connection was lost is asked once more, alone, and so is all that went wrong beside a crash.

use std::{cell::RefCell, future::Future, io, rc::Rc, time::Instant};

use squall_scenarios::{
    stage::Stage,
    verdict::{Halt, Verdict},
};
use tokio::task::JoinSet;

use crate::{
    event::Event,
    launch::launcher::Launcher,
    place::Places,
    preflight::Subject,
    report::model::{CutShort, Direction, Report, TestEntry, micros},
    run::{Audience, Audit, Bounds, Ended, base36, play, run_id, unplayed},
    select::Planned,
    sweep::Leftovers,
    test::Isolation,
};

/// Seconds for asking once more those whose connection was lost.
const AGAIN_SECONDS: u64 = 120;
/// Where a lost connection turned out to be the doing of other tests, all that failed is asked once more, so many at a time.
const AGAIN_JOBS: usize = 4;

type Verdicts = Vec<(Planned, TestEntry)>;

impl Audit<'_> {
    /// Runs all tests against a real address, or on what was launched for them. Call it inside a `LocalSet`.
    ///
    /// # Errors
    /// A report cannot be written.
    pub async fn live(
        self,
        subject: &Subject,
        launcher: Option<Rc<Launcher>>,
        audience: &mut Audience,
    ) -> io::Result<Report> {
        audience.tell(Event::RunStarted(&self.header, self.tests.len()))?;
        let run = run_id(self.header.started_unix);
        let places = launcher.clone().map_or_else(|| Places::Named(Rc::new(subject.clone())), Places::Launched);
        let mut players = Players {
            run: run.clone(),
            places,
            bounds: self.bounds,
            launcher: launcher.clone(),
            leftovers: Rc::default(),
            started: Instant::now(),
            done: Vec::new(),
            cut_short: None,
        };
        let (spoken, unspoken): (Vec<Planned>, Vec<Planned>) =
            self.tests.iter().copied().partition(|planned| subject.speaks(planned.version).is_ok());
        for planned in unspoken {
            let reason = subject.speaks(planned.version).err().unwrap_or_default();
            players.conclude(planned, unplayed(&planned, Halt::unsupported(reason)), &self, audience)?;
        }

        // Those that share come first, so that the others find the subject with nobody else on it.
        let (shared, alone): (Vec<Planned>, Vec<Planned>) =
            spoken.into_iter().partition(|planned| planned.test.isolation == Isolation::Shared);
        let doubtful = players.side_by_side(shared, &self, audience).await?;
        players.once_more(doubtful, &self, audience).await?;
        players.one_by_one(alone, &self, audience).await?;

        let duration = players.started.elapsed();
        let Players { leftovers, done, cut_short, bounds, .. } = players;
        // What was launched ends with its leftovers.
        if launcher.is_none() {
            leftovers.take().sweep(subject, &format!("{run}end"), bounds.patience).await;
        }
        let gone = match launcher {
            None => subject.is_there().await.err(),
            Some(launcher) => launcher.trouble().await,
        };
        self.finish(Ended { done, duration, gone, cut_short }, audience)
    }
}

/// Plays tests, and keeps what came of them.
struct Players {
    run: String,
    places: Places,
    bounds: Bounds,
    /// Where they are launched.
    launcher: Option<Rc<Launcher>>,
    leftovers: Rc<RefCell<Leftovers>>,
    started: Instant,
    done: Verdicts,
    cut_short: Option<CutShort>,
}

impl Players {
    /// One test. `again` tells its names from those of the first time.
    fn play(&self, planned: Planned, again: &str) -> impl Future<Output = (Planned, TestEntry)> + use<> {
        let (bounds, leftovers, places) = (self.bounds, Rc::clone(&self.leftovers), self.places.clone());
        let launcher = self.launcher.clone();
        let namespace = format!("{}{}{again}", self.run, base36(planned.number as u64, 3));
        let started_us = micros(self.started.elapsed());
        async move {
            let (world, credentials, keep_alive) = match places.of(&planned).await {
                Ok(found) => found,
                Err(halt) => return (planned, unplayed(&planned, halt)),
            };
            let stage = Stage::new(Rc::new(world), planned.version, &namespace, bounds.patience)
                .tolerating(bounds.tolerance)
                .with_credentials(credentials)
                .with_keep_alive(keep_alive);
            let entry = play(&stage, &planned, bounds).await;
            leftovers.borrow_mut().learn(planned.version, &stage.transcript().entries());
            if let Some(launcher) = launcher.filter(|_| is_bad(&entry)) {
                launcher.suspect(planned.test.setup);
            }
            (planned, TestEntry { started_us, ..entry })
        }
    }

    /// Keeps a verdict and tells it.
    fn conclude(
        &mut self,
        planned: Planned,
        mut entry: TestEntry,
        audit: &Audit<'_>,
        audience: &mut Audience,
    ) -> io::Result<()> {
        audience.tell(Event::TestFinished(&entry))?;
        entry.forget_frames();
        if audit.fail_fast && self.cut_short.is_none() && audit.is_failure(&entry) {
            self.cut_short = Some(CutShort::FirstFailure);
        }
        self.done.push((planned, entry));
        Ok(())
    }

    /// Many at a time. What comes back has no verdict yet: it was cut off, or went wrong after another had been. Where a
    /// server was launched a crash may show only later, so that all that went wrong has to wait.
    async fn side_by_side(
        &mut self,
        tests: Vec<Planned>,
        audit: &Audit<'_>,
        audience: &mut Audience,
    ) -> io::Result<Verdicts> {
        let jobs = audit.jobs.max(1);
        let mut doubtful: Verdicts = Vec::new();
        let mut waiting = tests.into_iter();
        let mut running = JoinSet::new();
        while self.cut_short.is_none() {
            while running.len() < jobs
                && let Some(planned) = waiting.next()
            {
                audience.tell(Event::TestStarted(&planned))?;
                running.spawn_local(self.play(planned, ""));
            }
            // What is still running when somebody asks to stop ends with the set.
            let finished = tokio::select! {
                biased;
                () = audit.stop.asked() => {
                    self.cut_short = Some(CutShort::Interrupted);
                    break;
                }
                finished = running.join_next() => finished,
            };
            let Some(finished) = finished else { break };
            let (planned, entry) = finished.expect("a test's panic is caught, and nobody cancels it");
            let may_have_crashed = self.launcher.is_some() && !audit.fail_fast;
            let waits = may_have_crashed || was_cut_off(&entry) || !doubtful.is_empty();
            let in_doubt = jobs > 1 && is_bad(&entry) && waits;
            if in_doubt {
                doubtful.push((planned, entry));
            } else {
                self.conclude(planned, entry, audit, audience)?;
            }
        }
        Ok(doubtful)
    }

    /// Those that were cut off, alone; if that shows that it was the doing of others, all that went wrong beside them too.
    async fn once_more(&mut self, doubtful: Verdicts, audit: &Audit<'_>, audience: &mut Audience) -> io::Result<()> {
        let (cut_off, others): (Verdicts, Verdicts) = doubtful.into_iter().partition(|(_, entry)| was_cut_off(entry));
        let began = Instant::now();
        let mut disturbed = false;
        for (planned, first) in cut_off {
            let in_time = began.elapsed().as_secs() < AGAIN_SECONDS;
            let entry = match in_time && !first.internal_error {
                true => self.unless_stopped(self.play(planned, "x"), audit).await.map(|(_, entry)| entry),
                false => None,
            };
            disturbed |= entry.as_ref().is_some_and(|entry| !is_bad(entry));
            self.conclude(planned, entry.unwrap_or_else(|| undecided(first)), audit, audience)?;
        }
        // One that crashes takes down what runs beside it.
        let crashed = self.launcher.as_ref().is_some_and(|launcher| launcher.crashes() > 0);
        let jobs = if crashed { 1 } else { AGAIN_JOBS };
        if !disturbed && !crashed {
            return others.into_iter().try_for_each(|(planned, entry)| self.conclude(planned, entry, audit, audience));
        }
        let mut waiting = others.into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < jobs
                && self.cut_short.is_none()
                && let Some((planned, _)) = waiting.next()
            {
                running.spawn_local(self.play(planned, "x"));
            }
            let Some(finished) = self.unless_stopped(running.join_next(), audit).await.flatten() else { break };
            let (planned, entry) = finished.expect("a test's panic is caught, and nobody cancels it");
            self.conclude(planned, entry, audit, audience)?;
        }
        Ok(())
    }

    /// Those that want the subject for themselves.
    async fn one_by_one(&mut self, tests: Vec<Planned>, audit: &Audit<'_>, audience: &mut Audience) -> io::Result<()> {
        for planned in tests {
            if self.cut_short.is_some() {
                break;
            }
            audience.tell(Event::TestStarted(&planned))?;
            let Some((planned, entry)) = self.unless_stopped(self.play(planned, ""), audit).await else { break };
            self.conclude(planned, entry, audit, audience)?;
        }
        Ok(())
    }

    /// What comes of it; nothing once the run ends before its time.
    async fn unless_stopped<T>(&mut self, play: impl Future<Output = T>, audit: &Audit<'_>) -> Option<T> {
        if self.cut_short.is_some() {
            return None;
        }
        tokio::select! {
            biased;
            () = audit.stop.asked() => {
                self.cut_short = Some(CutShort::Interrupted);
                None
            }
            played = play => Some(played),
        }
    }
}

fn is_bad(entry: &TestEntry) -> bool {
    matches!(entry.verdict, Verdict::Fail | Verdict::Inconclusive)
}

/// It did not go well, and what shows it is a connection that ended or that could not be had.
fn was_cut_off(entry: &TestEntry) -> bool {
    let shown = match entry.evidence.is_empty() {
        false => entry.evidence_lines(),
        true => entry.transcript.last().cloned().into_iter().collect(),
    };
    let is_end = shown.iter().any(|line| line.direction == Direction::Ended);
    is_bad(entry) && !entry.internal_error && (is_end || shown.is_empty())
}

/// A lost connection that could not be asked about again accuses nobody.
fn undecided(entry: TestEntry) -> TestEntry {
    match entry.verdict {
        Verdict::Fail => TestEntry {
            verdict: Verdict::Inconclusive,
            reason: entry
                .reason
                .map(|reason| format!("beside other tests, and there was no time to ask again: {reason}")),
            ..entry
        },
        _ => entry,
    }
}
