//! Storms: what a seed makes, whether it says the same twice, whether our broker comes through, and whether broken ones do not.

use std::{
    path::Path,
    rc::Rc,
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use bytes::Bytes;
use squall_broker::core::effect::Record;
use squall_codec::{property::Properties, qos::Qos, version::Version};
use squall_scenarios::{
    fault::FaultKind,
    liar::{Direction, Liar, Lie},
    plan::{Act, Connecting, Doing, Message, Plan, Step, Subscribing, Wanted},
    script::Script,
    settings::{Settings, Storage},
    transcript::{Entry, What},
    verdict::Verdict,
};
use squall_sim::{
    events::storm::{StormOptions, play},
    invariants::Invariant,
    journal::Forgets,
    model::Situation,
    show::html,
    storm::{
        broken, generate,
        report::Report,
        sweep::{Breaking, Sweep, Wrong, broken_by, play_quietly},
        violations::violations,
    },
    story,
    trace::{model::Trace, read, write},
    world::VirtualWorld,
};

const SEEDS: u64 = 200;

fn sweep(shard: (u64, u64), jobs: usize) -> Report {
    Sweep { shard, jobs, ..Sweep::of(0..SEEDS) }.run(&mut |_, _| {})
}

#[test]
fn our_broker_comes_through_the_storms() {
    let report = sweep((1, 1), 2);
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.played, SEEDS);
    assert!(report.accepted.iter().all(|accepted| *accepted > 1_000), "{report}");
    assert_eq!(report.never(), [""; 0], "situations that no storm came to:\n{report}");
}

#[test]
fn a_storm_is_the_same_as_script_and_as_plan() {
    for seed in 0..SEEDS {
        let plan = generate::plan(seed);
        let text = plan.to_script();
        let script = Script::parse("storm.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(script.plan(), Some(&plan), "seed {seed}");
    }
}

#[test]
fn a_storm_passes_the_edge_in_the_same_way_whether_it_is_written_down_or_not() {
    for seed in 0..20 {
        let plan = generate::plan(seed);
        let written = play(&plan, StormOptions::default());
        let quiet = play_quietly(&plan, None);
        assert_eq!(written.digest, quiet.digest, "seed {seed}");
        assert!(quiet.transcript.is_empty());
        assert!(!written.transcript.is_empty());
    }
}

#[test]
fn the_parts_of_a_sweep_make_the_whole() {
    let whole = sweep((1, 1), 1);
    let mut merged = sweep((1, 2), 1);
    merged.merge(sweep((2, 2), 2));
    merged.shards.clone_from(&whole.shards);
    assert_eq!(merged, whole);
}

/// Of each that is broken the first of 2000 storms in which it is noticed by what it breaks.
static NOTICED: LazyLock<Vec<Option<u64>>> = LazyLock::new(|| {
    let all = broken::everything();
    let first = |(_, caught_by, breaking): &(String, &[Invariant], Arc<Breaking>)| {
        (0..2_000).find(|seed| {
            let found = broken_by(&generate::plan(*seed), Some(&**breaking));
            found.iter().any(|invariant| caught_by.contains(invariant))
        })
    };
    let (one, other) = all.split_at(all.len() / 2);
    thread::scope(|scope| {
        let beside = scope.spawn(move || other.iter().map(first).collect::<Vec<_>>());
        let mut seeds: Vec<_> = one.iter().map(first).collect();
        seeds.extend(beside.join().expect("the storms end"));
        seeds
    })
});

#[test]
fn whatever_is_broken_is_noticed_by_what_it_breaks() {
    let mut missed = String::new();
    let all = broken::everything();
    for ((name, caught_by, _), _) in all.iter().zip(&*NOTICED).filter(|(_, seed)| seed.is_none()) {
        missed += &format!("{name}: none of {caught_by:?} was broken in 2000 storms\n");
    }
    assert!(all.len() >= 70, "{} broken brokers and clients", all.len());
    assert!(missed.is_empty(), "\n{missed}");
}

/// Seven hundred messages, one at a time, to a client whose application takes 52 ms for each.
#[test]
fn a_calm_is_long_enough_for_who_takes_one_message_at_a_time() {
    let run = play_quietly(&generate::plan(40_295_854), None);
    assert_eq!((run.error, run.breaches), (None, Vec::new()));
}

/// What a store may forget: each of them has to be noticed.
const FORGOTTEN: [(&str, Forgets); 9] = [
    ("a subscription", |record| matches!(record, Record::Subscribed { .. })),
    ("the end of a subscription", |record| matches!(record, Record::Unsubscribed { .. })),
    ("the end of a session", |record| matches!(record, Record::SessionEnded { .. })),
    ("a retained message", |record| matches!(record, Record::Retained { .. })),
    ("that a retained message was taken away", |record| matches!(record, Record::RetainedCleared { .. })),
    ("that a message was sent", |record| matches!(record, Record::Sent { .. })),
    ("that a message was acknowledged", |record| matches!(record, Record::Settled { .. })),
    ("that a QoS 2 message was received", |record| matches!(record, Record::Received { .. })),
    ("that a QoS 2 message was released", |record| matches!(record, Record::Completed { .. })),
];

#[test]
fn whoever_breaks_a_rule_is_shown_out_and_nobody_else() {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5_0] {
        for (what, bytes) in violations(version) {
            let rude = Connecting { will: Some((message("gone", "rude"), 0)), ..Connecting::new(version) };
            let at = |millis, who, doing| Step::at(Duration::from_millis(millis), Act::Client(who, doing));
            let plan = Plan {
                title: what.to_owned(),
                about: None,
                proves: Vec::new(),
                seed: 1,
                broker: Settings::default(),
                actors: ["alice", "bob"].map(str::to_owned).to_vec(),
                steps: vec![
                    at(0, 0, Doing::Connect(Box::new(Connecting::new(version)))),
                    at(0, 1, Doing::Connect(Box::new(rude))),
                    at(10, 0, Doing::Subscribe(Subscribing::to(Wanted::new("#", Qos::ExactlyOnce)))),
                    at(20, 1, Doing::Send(bytes)),
                    // Nobody listens to what comes behind it.
                    at(20, 1, Doing::Publish(message("behind", "it"))),
                ],
                lasts: Duration::from_secs(1),
                calm: Duration::from_secs(1),
            };
            let run = play(&plan, StormOptions::default());
            assert_eq!((run.error, run.breaches), (None, Vec::new()), "{version}: {what}");
            assert_eq!(run.tally.situations[Situation::RuleBroken as usize], 1, "{version}: {what}");
            let told: Vec<String> = run.transcript.entries().into_iter().filter_map(of_alice).collect();
            assert_eq!(told, ["message squall//gone \"rude\""], "{version}: {what}");
        }
    }
}

/// Where a reader lags for less than the broker's patience, its publisher is not read from meanwhile, and nothing is dropped.
#[test]
fn a_publisher_is_held_back_for_the_only_reader_that_lags() {
    const MESSAGES: usize = 60;
    let at = |millis, act| Step::at(Duration::from_millis(millis), act);
    let connects = || Doing::Connect(Box::new(Connecting::new(Version::V5_0)));
    let mut steps = vec![
        at(0, Act::Client(0, connects())),
        at(0, Act::Client(1, connects())),
        at(10, Act::Client(0, Doing::Subscribe(Subscribing::to(Wanted::new("#", Qos::AtLeastOnce))))),
        at(20, Act::Link(Some(0), FaultKind::StallReading)),
    ];
    steps.extend((0..MESSAGES).map(|number| {
        let number = number.to_string();
        at(30, Act::Client(1, Doing::Publish(Message { qos: Qos::AtLeastOnce, ..message("a", &number) })))
    }));
    steps.push(at(500, Act::Link(Some(0), FaultKind::Heal { reset: false })));
    let plan = Plan {
        title: "a reader that lags".to_owned(),
        about: None,
        proves: Vec::new(),
        seed: 1,
        broker: Settings { in_flight: Some(1), queued_messages: Some(40), ..Settings::default() },
        actors: ["alice", "bob"].map(str::to_owned).to_vec(),
        steps,
        lasts: Duration::from_secs(1),
        calm: Duration::from_secs(5),
    };
    let run = play(&plan, StormOptions::default());
    assert_eq!((run.error, run.breaches), (None, Vec::new()));
    assert_eq!(run.transcript.entries().into_iter().filter_map(of_alice).count(), MESSAGES);
}

pub(crate) fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.to_owned(),
        qos: Qos::AtMostOnce,
        retain: false,
        expiry: None,
        properties: Properties::new(),
    }
}

/// The messages that she was handed.
pub(crate) fn of_alice(entry: Entry) -> Option<String> {
    match entry.what {
        What::Told { summary } if &*entry.actor == "alice" => summary.starts_with("message").then_some(summary),
        _ => None,
    }
}

#[test]
fn whatever_a_store_forgets_is_noticed() {
    let has_journal = |plan: &Plan| plan.broker.store == Some(Storage::Journal);
    for (what, forgets) in FORGOTTEN {
        let noticed = (0..300).map(generate::plan).filter(has_journal).any(|plan| {
            let run = play(&plan, StormOptions { forgets: Some(forgets), is_quiet: true, ..StormOptions::default() });
            !run.breaches.is_empty() || run.error.is_some()
        });
        assert!(noticed, "nobody notices a store that forgets {what}");
    }
}

#[test]
fn a_violation_is_cut_down_to_a_script_that_shows_it_again() {
    let broker = broken::all().find(|broker| broker.name == "forgets PUBREL now and then").expect("it is in the table");
    let make = move || Wrong { liar: Some(broker.filter()), meddler: None };
    let sweep = Sweep { broken: Some(Arc::new(make)), first_only: true, ..Sweep::of(0..50) };
    let report = sweep.run(&mut |_, _| {});
    let violation = report.violations.first().expect("it is noticed");
    let whole = generate::plan(violation.seed);
    let small = sweep.smallest(violation).expect("it can be cut down");
    assert!(small.steps.len() < whole.steps.len() / 4, "{} steps of {}", small.steps.len(), whole.steps.len());
    let script = Script::parse("small.yaml", &small.to_script()).expect("it is a script");
    let plan = script.plan().expect("it is a storm");
    assert_eq!(plan.proves, small.proves);
    assert!(!plan.proves.is_empty(), "it does not say what it shows");
    assert!(broken_by(plan, Some(&make)).contains(&Invariant::Progress));
    assert_eq!(broken_by(plan, None), []);
}

/// Keeps every packet for ever.
struct Endless;

impl Liar for Endless {
    fn frame(&mut self, _: Duration, _: u64, _: Direction, _: Bytes, _: &mut Vec<Lie>) {
        loop {
            thread::park();
        }
    }
}

#[test]
fn what_strikes_at_a_publish_is_counted_by_the_state_of_its_exchange() {
    let report = sweep((1, 1), 2);
    let struck = |state: &str| {
        let of_state = report.cells.iter().filter(|(cell, _)| cell.starts_with(state));
        of_state.map(|(_, count)| count).sum::<u64>()
    };
    for state in ["PUBLISH QoS 0 to", "PUBLISH QoS 1 to", "PUBLISH QoS 1 again", "PUBLISH QoS 2 to"] {
        assert!(struck(state) > 0, "nothing struck at {state}");
    }
    // Every other packet has one state, and every cell that was counted is one of those that are listed.
    let listed = Report::new(VirtualWorld::Events, 0..SEEDS, (1, 1)).cells;
    assert_eq!(report.cells.keys().collect::<Vec<_>>(), listed.keys().collect::<Vec<_>>());
}

#[test]
fn a_storm_that_does_not_end_is_named_and_the_others_are_swept() {
    let make = || Wrong { liar: Some(Box::new(Endless)), meddler: None };
    let broken: Option<Arc<Breaking>> = Some(Arc::new(make));
    let sweep = Sweep { jobs: 2, broken, patience: Duration::from_millis(20), ..Sweep::of(0..5) };
    let mut told = Vec::new();
    let report = sweep.run(&mut |done, violations| told.push((done, violations)));
    assert_eq!(report.played, 5);
    let seeds: Vec<u64> = report.violations.iter().map(|violation| violation.seed).collect();
    assert_eq!(seeds, [0, 1, 2, 3, 4], "{report}");
    assert_eq!(told.last(), Some(&(5, 5)));
    // What does not end cannot be cut down, and is written as it is.
    let whole = sweep.smallest(&report.violations[0]).expect("it has a plan");
    assert_eq!(whole.steps, generate::plan(0).steps);
}

#[test]
fn a_storm_in_a_file_is_played_as_any_story() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/storms");
    let file = folder.join("three_clients.yaml");
    let script = Rc::new(Script::load(&file).unwrap_or_else(|error| panic!("{error}")));
    let run = story::play(VirtualWorld::Events, &script, Version::V5_0, 1);
    let played = run.outcome.expect("it ends");
    assert_eq!(played.verdict, Verdict::Pass, "{played}");
    assert!(run.transcript.entries().len() > 50);
}

/// Whatever is noticed can be shown: none of it stands where nothing happened, and a trace of it is read as it was written.
#[test]
fn whatever_is_noticed_is_drawn_and_read_back() {
    let mut untold = String::new();
    for ((name, _, breaking), seed) in broken::everything().into_iter().zip(&*NOTICED) {
        let Some(seed) = *seed else { continue };
        let plan = generate::plan(seed);
        let script = Script::parse("storm.yaml", &plan.to_script()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Wrong { liar, meddler } = breaking();
        let run = play(&plan, StormOptions { liar, meddler, ..StormOptions::default() });
        let run = story::judged(&script, Version::V5_0, run);
        let trace = Trace::of(&script, VirtualWorld::Events, Version::V5_0, seed, &run);
        assert!(!trace.breaches.is_empty(), "{name}, seed {seed}");
        let read = read::parse("trace.jsonl", &write::write(&trace)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(read == trace, "{name}, seed {seed}: it is read otherwise than it was written");
        let page = html::draw(&trace);
        let steps = steps_of_the_first(&page);
        let begins = steps.first().is_some_and(|step| trace.lines[*step].text.starts_with("CONNECT "));
        let says = |words: &str| steps.iter().any(|step| trace.lines[*step].text.starts_with(words));
        // Why a will must not be published, and that the storm ends leads to nothing.
        let is_beside =
            name.ends_with("of those who say DISCONNECT") && !says("DISCONNECT") || says("the storm is over");
        if steps.len() < 3 && !begins || is_beside {
            untold += &format!("{name}, seed {seed}: {steps:?} leads to {}\n", trace.breaches[0].detail);
        }
    }
    assert!(untold.is_empty(), "too little leads to them:\n{untold}");
}

/// The lines that lead to the first violation of a page.
fn steps_of_the_first(page: &str) -> Vec<usize> {
    let violations = page.split_once(r#""violations":"#).map_or("", |(_, rest)| rest);
    let steps = violations.split_once(r#""steps":["#).and_then(|(_, rest)| rest.split_once(']'));
    steps.map_or("", |(steps, _)| steps).split(',').filter_map(|step| step.parse().ok()).collect()
}
