//! The threads of a sweep: each plays one seed after the other, and one that has lost itself in a storm is given up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use squall_scenarios::words;

use super::{
    generate,
    report::{Report, Violation},
    sweep::{self, Sweep},
};

/// The violation of a storm that takes longer than [`Sweep::patience`].
pub(super) const ENDLESS: &str = "it comes to an end";

/// Nobody is looked after more often.
const LOOK_ROUND: Duration = Duration::from_millis(500);

/// Sweeps; `progress` is told how many seeds are done, and how many violations there are.
pub(super) fn run(sweep: &Sweep, progress: &mut dyn FnMut(u64, u64)) -> Report {
    let (tell, told) = mpsc::channel();
    let common = Arc::new(Common { sweep: sweep.clone(), next: AtomicU64::new(0), found: AtomicU64::new(0) });
    let mut numbers = 0..;
    let mut another = || numbers.next().map(|number| (number, Worker::begin(&common, &tell, number)));
    let mut workers: BTreeMap<u64, Worker> = (0..sweep.jobs.max(1)).filter_map(|_| another()).collect();
    let mut whole = Report::new(sweep.world, sweep.seeds.clone(), sweep.shard);
    let mut done = 0;
    while !workers.is_empty() {
        match told.recv_timeout(LOOK_ROUND.min(sweep.patience)) {
            Ok(Told::Played) => done += 1,
            Ok(Told::Left(number)) => {
                if let Some(Worker { desk, thread }) = workers.remove(&number) {
                    // A panic of a play is a violation of its own; one of ours goes on its way.
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                    lock(&desk).report.take().into_iter().for_each(|report| whole.merge(report));
                }
            }
            Err(_) => {}
        }
        let lost: Vec<(u64, Report)> =
            workers.iter().filter_map(|(number, worker)| Some((*number, worker.given_up(sweep.patience)?))).collect();
        for (number, report) in lost {
            done += 1;
            common.found.fetch_add(1, Ordering::Relaxed);
            whole.merge(report);
            workers.remove(&number);
            workers.extend(another());
        }
        progress(done, common.found.load(Ordering::Relaxed));
    }
    whole
}

/// What all threads of a sweep share.
struct Common {
    sweep: Sweep,
    next: AtomicU64,
    found: AtomicU64,
}

/// What a thread tells the one that waits.
enum Told {
    /// A seed is done.
    Played,
    /// The thread of this number comes to its end.
    Left(u64),
}

/// What a thread has before it.
struct Desk {
    /// `None`: it has been given up, and whatever it still finds out does not count.
    report: Option<Report>,
    /// The seed that it plays, and since when.
    playing: Option<(u64, Instant)>,
}

/// A thread that plays, and what is seen of it from without.
struct Worker {
    desk: Arc<Mutex<Desk>>,
    thread: JoinHandle<()>,
}

/// Says that a thread ends, however it does.
struct Leaving {
    tell: Sender<Told>,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Nobody listens any more to one that was given up.
        let _ = self.tell.send(Told::Left(self.number));
    }
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Common {
    fn nothing_yet(&self) -> Report {
        Report::new(self.sweep.world, self.sweep.seeds.clone(), self.sweep.shard)
    }

    /// The next seed of this part of the sweep.
    fn next(&self) -> Option<u64> {
        let (part, parts) = self.sweep.shard;
        loop {
            let seed = self.sweep.seeds.start + self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= self.sweep.seeds.end || (self.sweep.first_only && self.found.load(Ordering::Relaxed) > 0) {
                return None;
            }
            if seed % parts == part - 1 {
                return Some(seed);
            }
        }
    }

    /// Plays until nothing is left, or nobody waits for it any more.
    #[expect(clippy::disallowed_methods, reason = "how long somebody has waited, not the world")]
    fn work(&self, desk: &Mutex<Desk>, tell: &Sender<Told>) {
        while let Some(seed) = self.next() {
            lock(desk).playing = Some((seed, Instant::now()));
            let plan = generate::plan(seed);
            let run = self.sweep.play(&plan);
            let mut desk = lock(desk);
            desk.playing = None;
            let Some(report) = &mut desk.report else { return };
            if let Some(violation) = sweep::violation(seed, &run) {
                self.found.fetch_add(1, Ordering::Relaxed);
                report.violations.push(violation);
            }
            report.count(&run);
            sweep::count_cells(report, &plan, &run);
            // Who waits is there as long as there is work.
            let _ = tell.send(Told::Played);
        }
    }
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "each world stays on one thread")]
    fn begin(common: &Arc<Common>, tell: &Sender<Told>, number: u64) -> Self {
        let desk = Arc::new(Mutex::new(Desk { report: Some(common.nothing_yet()), playing: None }));
        let leaving = Leaving { tell: tell.clone(), number };
        let (own, common) = (Arc::clone(&desk), Arc::clone(common));
        let thread = thread::spawn(move || common.work(&own, &leaving.tell));
        Worker { desk, thread }
    }

    /// What it had counted before it lost itself in a storm, with the violation.
    fn given_up(&self, patience: Duration) -> Option<Report> {
        let mut desk = lock(&self.desk);
        let (seed, since) = desk.playing?;
        if since.elapsed() < patience {
            return None;
        }
        let mut report = desk.report.take()?;
        report.played += 1;
        let detail = format!("not within {} on the wall: sim plan {seed} shows the storm", words::duration(patience));
        report.violations.push(Violation { seed, invariant: ENDLESS.to_owned(), detail, more: 0 });
        Some(report)
    }
}
