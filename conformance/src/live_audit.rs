//! An audit at a real address: tests run side by side. What one of them does to the server is no verdict on the rule of
//! another: a test whose connection was lost is asked once more, alone, and so is all that ran or went wrong beside a crash.
//! Who brings a launched server down alone is told with what it sent last.

use std::{cell::RefCell, future::Future, io, rc::Rc, time::Instant, vec::IntoIter};

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
    report::model::{CutShort, Direction, Line, Report, TestEntry, micros},
    run::{Audience, Audit, Bounds, Ended, base36, play, run_id, unplayed},
    select::Planned,
    sweep::Leftovers,
    test::Isolation,
    topics::Topics,
};

/// Seconds for asking once more those whose connection was lost.
const AGAIN_SECONDS: u64 = 120;
/// Where a lost connection turned out to be the doing of other tests, all that failed is asked once more, so many at a time.
const AGAIN_JOBS: usize = 4;

/// So many packets are told beside a crash, and so many letters of each.
const PACKETS: usize = 3;
const PACKET_LETTERS: usize = 80;

type Verdicts = Vec<(Planned, TestEntry)>;

/// A test that was played.
struct Played {
    planned: Planned,
    entry: TestEntry,
    /// How the server that was launched for it ended, by itself, by the time it was over.
    fell: Option<String>,
}

impl Played {
    /// The server was no more at its end, or a connection ended that should not have.
    fn was_cut_off(&self) -> bool {
        self.fell.is_some() || was_cut_off(&self.entry)
    }
}

impl Audit<'_> {
    /// Runs all tests against a real address, or on what was launched for them. Call it inside a `LocalSet`.
    ///
    /// # Errors
    /// A report cannot be written.
    pub async fn live(
        mut self,
        subject: &Subject,
        launcher: Option<Rc<Launcher>>,
        audience: &mut Audience,
    ) -> io::Result<Report> {
        let run = run_id(self.header.started_unix);
        // What was launched here lets everybody use what is asked of it.
        let namespace = format!("{run}echo");
        let topics = match launcher {
            // Whoever asks to stop does not wait for the answer.
            None => tokio::select! {
                biased;
                () = self.stop.asked() => Topics::default(),
                topics = Topics::of(subject, &namespace, self.bounds.patience) => topics,
            },
            Some(_) => Topics::default(),
        };
        self.header.notes.extend(topics.note());
        audience.tell(Event::RunStarted(&self.header, self.tests.len()))?;
        let places = launcher.clone().map_or_else(|| Places::Named(Rc::new(subject.clone())), Places::Launched);
        let mut players = Players {
            run: run.clone(),
            places,
            bounds: self.bounds,
            launcher: launcher.clone(),
            leftovers: Rc::default(),
            topics: Rc::new(topics),
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
        let mut shared = shared.into_iter();
        while shared.len() > 0 && players.cut_short.is_none() {
            let doubtful = players.side_by_side(&mut shared, &self, audience).await?;
            players.once_more(doubtful, &self, audience).await?;
        }
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
    topics: Rc<Topics>,
    started: Instant,
    done: Verdicts,
    cut_short: Option<CutShort>,
}

impl Players {
    /// One test. `again` tells its names from those of the first time.
    fn play(&self, planned: Planned, again: &str) -> impl Future<Output = Played> + use<> {
        let (bounds, leftovers, places) = (self.bounds, Rc::clone(&self.leftovers), self.places.clone());
        let (launcher, topics) = (self.launcher.clone(), Rc::clone(&self.topics));
        let namespace = format!("{}{}{again}", self.run, base36(planned.number as u64, 3));
        let started_us = micros(self.started.elapsed());
        async move {
            let (world, credentials, keep_alive) = match places.of(&planned).await {
                Ok(found) => found,
                Err(halt) => return Played { planned, entry: unplayed(&planned, halt), fell: None },
            };
            let instance = world.instance().map(Rc::clone);
            let stage = Stage::new(Rc::new(world), planned.version, &namespace, bounds.patience)
                .tolerating(bounds.tolerance)
                .with_credentials(credentials)
                .with_keep_alive(keep_alive)
                .with_topic_root(topics.root());
            let entry = topics.weighed(play(&stage, &planned, bounds).await);
            leftovers.borrow_mut().learn(planned.version, &stage.transcript().entries());
            let mut fell = None;
            if let Some((launcher, instance)) = launcher.zip(instance) {
                if is_bad(&entry) {
                    launcher.suspect(planned.test.setup);
                }
                if is_bad(&entry) || entry.transcript.iter().any(|line| line.direction == Direction::Ended) {
                    fell = instance.fell().await;
                    fell.iter().for_each(|end| launcher.list(&instance, end));
                }
            }
            Played { planned, entry: TestEntry { started_us, ..entry }, fell }
        }
    }

    /// A test that had the server for itself: if that is no more, everybody hears of it.
    fn alone(&self, played: Played) -> (Planned, TestEntry) {
        let Played { planned, mut entry, fell } = played;
        if let Some((launcher, end)) = self.launcher.as_ref().zip(fell) {
            launcher.accuse(&deed(&entry), &end);
            if let Some(reason) = &mut entry.reason {
                reason.push_str(&format!("; the server {end}"));
            }
        }
        (planned, entry)
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

    /// Many at a time. What comes back has no verdict yet: it was cut off, or went wrong after another had been, or the server
    /// ended meanwhile, however well it went. Where a server was launched a crash may show only later, so that all that went
    /// wrong has to wait. A run that ends at the first failure asks about it before it goes on: nothing more is begun then.
    async fn side_by_side(
        &mut self,
        waiting: &mut IntoIter<Planned>,
        audit: &Audit<'_>,
        audience: &mut Audience,
    ) -> io::Result<Vec<Played>> {
        let jobs = audit.jobs.max(1);
        let mut doubtful: Vec<Played> = Vec::new();
        let mut running = JoinSet::new();
        while self.cut_short.is_none() {
            let goes_on = doubtful.is_empty() || !audit.fail_fast;
            while running.len() < jobs
                && goes_on
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
            let played = finished.expect("a test's panic is caught, and nobody cancels it");
            let may_have_crashed = self.launcher.is_some() && !audit.fail_fast;
            let waits = may_have_crashed || was_cut_off(&played.entry) || !doubtful.is_empty();
            if jobs == 1 {
                let (planned, entry) = self.alone(played);
                self.conclude(planned, entry, audit, audience)?;
            } else if played.fell.is_some() || (is_bad(&played.entry) && waits) {
                doubtful.push(played);
            } else {
                self.conclude(played.planned, played.entry, audit, audience)?;
            }
        }
        Ok(doubtful)
    }

    /// Once more, with fewer beside: where the server was brought down, all that has no verdict yet. Else those that were cut
    /// off, and, if that shows that it was the doing of others, all that went wrong beside them.
    async fn once_more(&mut self, doubtful: Vec<Played>, audit: &Audit<'_>, audience: &mut Audience) -> io::Result<()> {
        if self.crashes() > 0 {
            let left = self.few_at_a_time(doubtful, audit, audience).await?;
            return self.each_alone(left, audit, audience).await.map(drop);
        }
        let (cut_off, others): (Vec<Played>, Vec<Played>) = doubtful.into_iter().partition(Played::was_cut_off);
        let disturbed = self.each_alone(cut_off, audit, audience).await?;
        if !disturbed && self.crashes() == 0 {
            let mut others = others.into_iter();
            return others.try_for_each(|played| self.conclude(played.planned, played.entry, audit, audience));
        }
        let left = self.few_at_a_time(others, audit, audience).await?;
        self.each_alone(left, audit, audience).await.map(drop)
    }

    /// Some at a time. What comes back ran beside a crash again, or was cut off again.
    async fn few_at_a_time(
        &mut self,
        doubtful: Vec<Played>,
        audit: &Audit<'_>,
        audience: &mut Audience,
    ) -> io::Result<Vec<Played>> {
        let mut left = Vec::new();
        let mut waiting = doubtful.into_iter();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AGAIN_JOBS
                && self.cut_short.is_none()
                && let Some(Played { planned, .. }) = waiting.next()
            {
                let (play, crashes) = (self.play(planned, "x"), self.crashes());
                running.spawn_local(async move { (crashes, play.await) });
            }
            let Some(finished) = self.unless_stopped(running.join_next(), audit).await.flatten() else { break };
            let (crashes, played) = finished.expect("a test's panic is caught, and nobody cancels it");
            let beside = crashes < self.crashes() || played.was_cut_off() && self.launcher.is_some();
            match played.fell.is_some() || is_bad(&played.entry) && beside {
                true => left.push(played),
                false => self.conclude(played.planned, played.entry, audit, audience)?,
            }
        }
        Ok(left)
    }

    /// One after the other, with nobody beside; whether one of them goes well so.
    async fn each_alone(
        &mut self,
        doubtful: Vec<Played>,
        audit: &Audit<'_>,
        audience: &mut Audience,
    ) -> io::Result<bool> {
        let began = Instant::now();
        let mut disturbed = false;
        for Played { planned, entry: first, .. } in doubtful {
            let in_time = began.elapsed().as_secs() < AGAIN_SECONDS;
            let entry = match in_time && !first.internal_error {
                true => self.unless_stopped(self.play(planned, "y"), audit).await.map(|played| self.alone(played).1),
                false => None,
            };
            disturbed |= entry.as_ref().is_some_and(|entry| !is_bad(entry));
            self.conclude(planned, entry.unwrap_or_else(|| undecided(first)), audit, audience)?;
        }
        Ok(disturbed)
    }

    /// How often what was launched ended or hung though nobody asked it to.
    fn crashes(&self) -> usize {
        self.launcher.as_ref().map_or(0, |launcher| launcher.crashes())
    }

    /// Those that want the subject for themselves.
    async fn one_by_one(&mut self, tests: Vec<Planned>, audit: &Audit<'_>, audience: &mut Audience) -> io::Result<()> {
        for planned in tests {
            if self.cut_short.is_some() {
                break;
            }
            audience.tell(Event::TestStarted(&planned))?;
            let Some(played) = self.unless_stopped(self.play(planned, ""), audit).await else { break };
            let (planned, entry) = self.alone(played);
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

/// What a test did to a server that is no more: what was sent and not answered any more before connections ended, or what
/// was sent last.
fn deed(entry: &TestEntry) -> String {
    let answered = entry.transcript.iter().rposition(|line| line.direction == Direction::Received);
    let unanswered = answered.map_or(0, |position| position + 1);
    let rest = &entry.transcript[unanswered..];
    let end = rest.iter().position(|line| line.direction == Direction::Ended).unwrap_or(rest.len());
    let is_sent = |line: &&Line| line.direction == Direction::Sent;
    let mut sent: Vec<&Line> = rest[..end].iter().filter(is_sent).collect();
    sent.extend(entry.transcript[..unanswered].iter().rfind(is_sent).filter(|_| sent.is_empty()));
    let packets: Vec<String> = sent.iter().rev().take(PACKETS).rev().map(|line| in_short(&line.summary)).collect();
    let test = format!("{} {}", entry.version, entry.name);
    match packets.is_empty() {
        true => format!("in {test}"),
        false => format!("after {} in {test}", packets.join(" and ")),
    }
}

fn in_short(packet: &str) -> String {
    match packet.char_indices().nth(PACKET_LETTERS) {
        Some((end, _)) => format!("{}…", &packet[..end]),
        None => packet.to_owned(),
    }
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
