//! Runs tests: each on its own stage, in bounded time, and never lets one take the others down.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use squall_codec::version::Version;
use squall_scenarios::{
    stage::Stage,
    verdict::{Halt, Outcome, Verdict},
};

use crate::{
    baseline::Baseline,
    event::{Event, Listener},
    profile::Profile,
    report::model::{CutShort, Header, Line, Report, TestEntry, micros},
    select::{Planned, Selection},
    stop::Stop,
    tally::tally,
    test::Test,
    tests::{not_offered, without_qos_2},
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// An answer.
    pub patience: Duration,
    /// A test, beyond what its statements have to wait.
    pub test: Duration,
    /// How much later than usual the subject's clocks may be before they are late.
    pub tolerance: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        // A test of thirty malformed packets at a server that overlooks them all is patient thirty times.
        Bounds { patience: Duration::from_secs(5), test: Duration::from_secs(180), tolerance: Duration::ZERO }
    }
}

impl Bounds {
    /// A test may take so long.
    fn of(&self, planned: &Planned) -> Duration {
        // A rule with a clock is watched from before it begins until well after it is due, perhaps more than once.
        self.test + 4 * (Duration::from_secs(planned.wait_seconds()) + self.tolerance)
    }
}

/// What a test came to, and whether that was a fault of ours.
struct Concluded {
    outcome: Outcome,
    internal_error: bool,
}

/// Plays one test on a stage.
pub async fn play(stage: &Stage, planned: &Planned, bounds: Bounds) -> TestEntry {
    let missing = planned.test.needs.iter().find_map(|need| stage.world().offers(*need).err());
    let concluded = match missing {
        Some(reason) => Concluded { outcome: Err(Halt::unsupported(reason)), internal_error: false },
        None => {
            let bound = bounds.of(planned);
            let concluded = stage.within(bound, guarded(stage, planned.test)).await.unwrap_or_else(|| {
                let reason = format!("no verdict after {} s", bound.as_secs());
                Concluded { outcome: Err(Halt::inconclusive(reason)), internal_error: false }
            });
            match concluded.outcome {
                Err(halt) => {
                    let halt = without_qos_2::excused(stage, halt).await;
                    Concluded { outcome: Err(not_offered::excused(stage, halt).await), ..concluded }
                }
                Ok(_) => concluded,
            }
        }
    };
    let most = if stage.transcript().overflows() { LINES_OF_A_FLOOD } else { usize::MAX };
    let transcript = stage.transcript().entries().iter().take(most).map(Line::from).collect();
    TestEntry { timings: stage.timings(), ..entry(planned, concluded, transcript, stage.now()) }
}

thread_local! {
    /// Where the last panic on this thread was, while a test runs.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
    static IN_TEST: Cell<bool> = const { Cell::new(false) };
}

/// From now on a test that panics is told in its verdict alone, with the place, and not on standard error.
pub fn keep_panics_of_tests_quiet() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if IN_TEST.get() {
            PANICKED_AT.set(panic.location().map(ToString::to_string));
        } else {
            loud(panic);
        }
    }));
}

/// Runs a test, and turns a panic into a verdict: one broken test says nothing about the others.
async fn guarded(stage: &Stage, test: &Test) -> Concluded {
    let mut future = (test.run)(stage);
    std::future::poll_fn(|context| {
        IN_TEST.set(true);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        IN_TEST.set(false);
        match polled {
            // Whatever the test makes of that.
            Ok(_) if stage.transcript().overflows() => Poll::Ready(flooded()),
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Concluded { outcome, internal_error: false }),
            Err(panic) => {
                let place = PANICKED_AT.take().map(|place| format!(" at {place}")).unwrap_or_default();
                Poll::Ready(broken(&format!("{}{place}", panic_text(&*panic))))
            }
        }
    })
    .await
}

/// What came is not looked at: nobody can tell what belongs to the question.
fn flooded() -> Concluded {
    let reason =
        "the question was not reached: the server sends without end, more packets or bytes than any test asks for";
    Concluded { outcome: Err(Halt::inconclusive(reason)), internal_error: false }
}

/// So many lines of a record that never ends are kept.
const LINES_OF_A_FLOOD: usize = 100;

fn broken(reason: &str) -> Concluded {
    Concluded { outcome: Err(Halt::inconclusive(format!("internal error: {reason}"))), internal_error: true }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

fn entry(planned: &Planned, concluded: Concluded, transcript: Vec<Line>, duration: Duration) -> TestEntry {
    let (mut verdict, mut reason, evidence) = match concluded.outcome {
        Ok(evidence) => {
            let verdict = if evidence.warning().is_some() { Verdict::Warn } else { Verdict::Pass };
            (verdict, evidence.warning().map(str::to_owned), evidence.entries().iter().map(|entry| entry.0).collect())
        }
        Err(halt) => (halt.verdict, Some(halt.reason), halt.entry.iter().map(|entry| entry.0).collect()),
    };
    if planned.is_information() && verdict == Verdict::Fail {
        // 3.1 has no conformance statements, so that nothing can be broken: what differs is told.
        verdict = Verdict::Warn;
        reason = reason.map(|reason| format!("for information: {reason}"));
    }
    TestEntry {
        name: planned.test.name.to_owned(),
        version: planned.version.to_string(),
        section: format!("{} {}", planned.section.number, planned.section.title),
        about: planned.test.about.to_owned(),
        // Of 3.1 the ids of 3.1.1 are told, under its own version.
        statements: planned.statements().map(|(key, _)| format!("{}/{}", planned.version, key.id)).collect(),
        verdict,
        reason,
        information: planned.is_information(),
        internal_error: concluded.internal_error,
        evidence,
        accepted: None,
        timings: Vec::new(),
        started_us: 0,
        duration_us: micros(duration),
        transcript,
    }
}

/// A verdict without a run.
pub(crate) fn unplayed(planned: &Planned, halt: Halt) -> TestEntry {
    entry(planned, Concluded { outcome: Err(halt), internal_error: false }, Vec::new(), Duration::ZERO)
}

/// A test that a world could not finish, by a fault of ours.
#[cfg(feature = "own-broker")]
pub(crate) fn internal_error(planned: &Planned, reason: &str) -> TestEntry {
    entry(planned, broken(reason), Vec::new(), Duration::ZERO)
}

#[cfg(feature = "own-broker")]
pub(crate) fn panicked(planned: &Planned, panic: &(dyn Any + Send)) -> TestEntry {
    internal_error(planned, panic_text(panic))
}

/// Everyone who listens to a run.
pub struct Audience(Vec<Box<dyn Listener>>);

impl Audience {
    /// Of these.
    pub fn new(listeners: Vec<Box<dyn Listener>>) -> Self {
        Audience(listeners)
    }

    /// Tells all.
    ///
    /// # Errors
    /// What one of them has to write cannot be written.
    pub fn tell(&mut self, event: Event<'_>) -> std::io::Result<()> {
        self.0.iter_mut().try_for_each(|listener| listener.hear(event))
    }
}

/// An audit: what to run, for whom.
pub struct Audit<'a> {
    /// Versions, filters.
    pub selection: &'a Selection,
    /// What that comes to.
    pub tests: Vec<Planned>,
    /// So many tests at a time.
    pub jobs: usize,
    /// How long things may take.
    pub bounds: Bounds,
    /// What is run on what.
    pub header: Header,
    /// What is known of the subject.
    pub profile: Option<&'a Profile>,
    /// Deviations that are accepted.
    pub baseline: Option<&'a Baseline>,
    /// The run ends at the first failure that nobody accepted.
    pub fail_fast: bool,
    /// Ends the run before its time.
    pub stop: Stop,
}

impl<'a> Audit<'a> {
    /// With what is known of the subject, unless somebody named a profile.
    #[must_use]
    pub fn knowing<'b>(self, found: Option<&'b Profile>) -> Audit<'b>
    where
        'a: 'b,
    {
        match (self.profile, found) {
            (None, Some(found)) => {
                let bounds = Bounds { tolerance: found.tolerance(), ..self.bounds };
                Audit { profile: Some(found), bounds, ..self }
            }
            _ => self,
        }
    }
}

impl Audit<'_> {
    /// Whether a run that stops at the first failure stops here.
    pub(crate) fn is_failure(&self, entry: &TestEntry) -> bool {
        let counts = match entry.verdict {
            Verdict::Fail => true,
            Verdict::Warn => self.header.strict && !entry.information,
            _ => false,
        };
        counts && self.baseline.is_none_or(|baseline| baseline.of_test(entry).is_none())
    }

    /// Counts, and tells it.
    pub(crate) fn finish(self, ended: Ended, audience: &mut Audience) -> std::io::Result<Report> {
        let Ended { done, duration, gone, cut_short } = ended;
        let mut report = Report { gone, ..tally(self.header, self.selection, done, duration, cut_short) };
        if let Some(profile) = self.profile {
            profile.annotate(&mut report);
        }
        if let Some(baseline) = self.baseline {
            baseline.compare(&mut report);
        }
        audience.tell(Event::RunFinished(&report))?;
        Ok(report)
    }
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) done: Vec<(Planned, TestEntry)>,
    pub(crate) duration: Duration,
    pub(crate) gone: Option<String>,
    pub(crate) cut_short: Option<CutShort>,
}

/// Letters and digits that no other run on the same subject is likely to use.
pub fn run_id(started_unix: u64) -> String {
    let process = u64::from(std::process::id());
    format!("sq{}", base36(started_unix.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ process, 5))
}

/// The namespace of one of many storms of this run.
pub fn storm_namespace(number: u64) -> String {
    format!("{}{}", run_id(u64::from(std::process::id())), base36(number, 4))
}

/// The lowest `digits` digits of a number.
pub fn base36(mut number: u64, digits: usize) -> String {
    let mut text = Vec::with_capacity(digits);
    for _ in 0..digits {
        text.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
    }
    text.reverse();
    String::from_utf8(text).expect("letters and digits")
}

/// The versions that a run without `--mqtt` speaks.
pub const DEFAULT_VERSIONS: [Version; 2] = [Version::V3_1_1, Version::V5_0];
