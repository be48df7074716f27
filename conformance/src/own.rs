//! The virtual worlds: every test on a broker of its own, ours, with nobody else on it. Feature `own-broker`.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use squall_broker::{
    core::acl::{Acl, Actions, Rule, RuleFilter, Verdict, Whom},
    users::{
        self,
        authenticator::{FileAuthenticator, Policy},
        entropy::SeededEntropy,
        password_file::Passwords,
        throttle::ThrottleLimits,
        workshop::AtOnce,
    },
};
use squall_codec::{qos::Qos, wire::Text};
use squall_scenarios::{
    liar::Liar,
    settings::{Settings, Storage},
    stage::{LocalFuture, Stage, World},
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
    lying_web_socket::LyingWebSocket,
    report::human::transcript_line,
    report::model::{CutShort, Line, Report, TestEntry},
    run::{Audience, Audit, Bounds, Ended, base36, internal_error, panicked, play},
    select::Planned,
    setup::{KEEP_ALIVE_SECONDS, PACKET_BYTES, PASSWORD_LINES, SERVER_REFERENCE, Setup},
    stop::Stop,
};

/// Virtual time costs nothing, and no machine is slow in it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same always, so that two audits of one build see the same packets.
const SEED: u64 = 1;

/// An hour of it: no test is cut short while its world goes on.
const BOUNDS: Bounds = Bounds { patience: PATIENCE, test: Duration::from_secs(3600), tolerance: Duration::ZERO };

/// Our broker, set up as a test wants it.
pub fn subject(setup: Setup) -> Subject {
    let mut settings = Settings::default();
    match setup {
        Setup::SmallPackets => settings.maximum_packet_size = Some(PACKET_BYTES),
        Setup::Qos0 => settings.maximum_qos = Some(Qos::AtMostOnce),
        Setup::NoRetain => settings.retain_available = Some(false),
        Setup::KeepAlive => settings.server_keep_alive = Some(KEEP_ALIVE_SECONDS),
        Setup::Persistence => settings.store = Some(Storage::Disk),
        Setup::Redirects => settings.server_reference = Some(Text::literal(SERVER_REFERENCE)),
        _ => {}
    }
    let mut subject = Subject::of(&settings, "", SEED);
    subject.web_socket = setup == Setup::WebSocket;
    let config = &mut subject.config;
    // As its program does, it tells of itself below `$SYS`.
    config.sys_interval = Some(Duration::from_secs(10));
    match setup {
        Setup::Named => config.allow_empty_client_id = false,
        Setup::NoWildcards => config.wildcard_subscription_available = false,
        Setup::NoSubscriptionIdentifiers => config.subscription_identifiers_available = false,
        Setup::NoShared => config.shared_subscription_available = false,
        Setup::Acl => {
            let rule = |(filter, actions)| {
                let filter = RuleFilter::literal(filter).expect("it is a Topic Filter");
                Rule { whom: Whom::Everybody, verdict: Verdict::Allow, actions, filter }
            };
            let rules = [
                ("squall/+/open/#", Actions::READ_WRITE),
                ("squall/+/readonly/#", Actions::READ),
                ("squall/+/writeonly/#", Actions::WRITE),
            ];
            config.acl = Arc::new(Acl::new(rules.map(rule)));
        }
        _ => {}
    }
    if matches!(setup, Setup::Users | Setup::Enhanced) {
        let users =
            Passwords::parse(Path::new("squall.passwords"), PASSWORD_LINES.as_bytes()).expect("its lines are right");
        subject.authenticator = Arc::new(FileAuthenticator::new(
            Some(users),
            users::authenticator::Options {
                policy: Policy { allow_anonymous: setup == Setup::Enhanced, ..Policy::default() },
                listeners: BTreeMap::new(),
                throttle: ThrottleLimits::default(),
                secret: [7; 32],
                entropy: Arc::new(SeededEntropy::new(SEED)),
                workshop: Arc::new(AtOnce),
            },
        ));
    }
    subject
}

async fn on_stage(world: Rc<dyn World>, planned: Planned) -> TestEntry {
    let namespace = format!("t{}", base36(planned.number as u64, 3));
    let stage = Stage::new(world, planned.version, &namespace, BOUNDS.patience)
        .with_credentials(planned.test.setup.credentials());
    play(&stage, &planned, BOUNDS).await
}

fn concluded(planned: &Planned, run: Run<TestEntry>) -> TestEntry {
    run.outcome.unwrap_or_else(|error| {
        let transcript = run.transcript.entries().iter().map(Line::from).collect();
        TestEntry { transcript, ..internal_error(planned, &error.to_string()) }
    })
}

/// One test in the virtual world that has what it needs, on an honest broker or behind a liar: the events world, and for
/// a WebSocket turmoil, where the broker's own is.
pub fn in_virtual_time(planned: &Planned, liar: Option<Box<dyn Liar>>) -> TestEntry {
    match (planned.test.setup, liar) {
        (Setup::WebSocket, None) => in_turmoil(planned),
        (Setup::WebSocket, Some(liar)) => behind_a_lying_web_socket(planned, liar),
        (_, liar) => in_events(planned, liar),
    }
}

/// One test in the events world, on an honest broker or behind a liar.
pub fn in_events(planned: &Planned, liar: Option<Box<dyn Liar>>) -> TestEntry {
    in_events_on(subject(planned.test.setup), planned, liar)
}

/// One test in the events world, on a broker that is set up in a way of its own.
pub fn in_events_on(subject: Subject, planned: &Planned, liar: Option<Box<dyn Liar>>) -> TestEntry {
    in_events_with(EventsOptions { liar, subject, ..EventsOptions::new(SEED) }, planned)
}

/// One test in the events world, on an honest broker so far away: this long, each way.
pub fn in_events_from_afar(planned: &Planned, latency: Duration) -> TestEntry {
    let subject = subject(planned.test.setup);
    in_events_with(EventsOptions { latency, subject, ..EventsOptions::new(SEED) }, planned)
}

/// Plays these on every core, each by itself; what they came to, in their order.
pub fn side_by_side<T: Send>(tests: &[Planned], play: impl Fn(&Planned) -> T + Sync) -> Vec<T> {
    side_by_side_of(tests, play)
}

/// As `side_by_side`, whatever is played.
pub(crate) fn side_by_side_of<G: Sync, T: Send>(games: &[G], play: impl Fn(&G) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let played = Mutex::new(Vec::new());
    let work = || {
        while let Some((number, game)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|number| games.get(number).map(|game| (number, game)))
        {
            let outcome = play(game);
            played.lock().unwrap_or_else(PoisonError::into_inner).push((number, outcome));
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(number, _)| *number);
    played.into_iter().map(|(_, outcome)| outcome).collect()
}

fn in_events_with(options: EventsOptions, planned: &Planned) -> TestEntry {
    let test = *planned;
    let run = catch_unwind(AssertUnwindSafe(|| events::run(options, |world| Box::pin(on_stage(world, test)))));
    run.map_or_else(|panic| panicked(planned, &*panic), |run| concluded(planned, run))
}

/// More actors than this leave no room for arrows.
const DRAWN_ACTORS: usize = 4;

/// One test in the events world on the honest broker, and its packets drawn for a terminal of this width.
pub fn drawn(planned: &Planned, width: usize) -> (TestEntry, String) {
    let test = *planned;
    let options = EventsOptions { subject: subject(planned.test.setup), ..EventsOptions::new(SEED) };
    let play = || events::run(options, |world| Box::pin(on_stage(world, test)));
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
    in_turmoil_world(planned, |world| world)
}

fn behind_a_lying_web_socket(planned: &Planned, liar: Box<dyn Liar>) -> TestEntry {
    in_turmoil_world(planned, |world| Rc::new(LyingWebSocket::new(world, liar)))
}

/// One test in the turmoil world, or in one that lies upon it.
fn in_turmoil_world(planned: &Planned, upon: impl FnOnce(Rc<dyn World>) -> Rc<dyn World> + 'static) -> TestEntry {
    let options = TurmoilOptions { subject: subject(planned.test.setup), ..TurmoilOptions::new(SEED) };
    let test = *planned;
    let play = move |world| Box::pin(on_stage(upon(world), test)) as LocalFuture<'static, TestEntry>;
    let run = catch_unwind(AssertUnwindSafe(|| turmoil::run(options, play)));
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
                        && sender.send(News::Finished(planned, Box::new(in_virtual_time(&planned, None)))).is_ok();
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
