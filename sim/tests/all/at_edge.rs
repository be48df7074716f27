//! The judges of real brokers, where everything about the broker is known: they never accuse an honest one, and they notice most of
//! those that are wrong in one thing.

use std::{cell::RefCell, rc::Rc};

use squall_codec::version::Version;
use squall_scenarios::{
    liar::Liar,
    plan::{Act, Connecting, Doing, Plan},
    script::Script,
    settings::Settings,
};
use squall_sim::{
    events::storm::{StormOptions, play},
    invariants::{
        Breach,
        at_edge::{Allowance, judge},
    },
    scribe::Scribe,
    storm::{
        broken::{self, Broken},
        fit::{Offer, fit},
        generate,
    },
};

/// What is found at the edge in the storm of a seed.
fn found(seed: u64, liar: Option<Box<dyn Liar>>) -> Vec<Breach> {
    let plan = generate::plan(seed);
    judged(&fit(&plan, &Offer::of(&plan.broker)).plan, liar)
}

/// What is found at the edge.
fn judged(plan: &Plan, liar: Option<Box<dyn Liar>>) -> Vec<Breach> {
    let mut plan = plan.clone();
    // Nobody is told that a message of QoS 0 was not retained for want of room, or that one was dropped for a client that lags. A
    // server at an address has plenty.
    plan.broker.retained_messages = None;
    plan.broker.queued_messages = None;
    (plan.broker.connections, plan.broker.sessions, plan.broker.subscriptions_per_session) = (None, None, None);
    let scribe = Rc::new(RefCell::new(Scribe::default()));
    let beside = Some(Rc::clone(&scribe) as Rc<RefCell<_>>);
    let run = play(&plan, StormOptions { liar, beside, is_quiet: true, ..StormOptions::default() });
    assert_eq!(run.error, None, "seed {}", plan.seed);
    let scribe = scribe.borrow();
    judge(scribe.history(), run.elapsed, &Allowance::default()).at_the_end()
}

#[test]
fn what_a_plan_loses_at_a_server_that_is_only_an_address_is_told() {
    let goes_down = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.act, Act::Outage(_)));
    let plan = (0..).map(generate::plan).find(goes_down).expect("storms go down");
    assert_ne!(plan.broker, Settings::default());
    let fitted = fit(&plan, &Offer::default());
    assert!(!goes_down(&fitted.plan));
    let told: Vec<&str> = fitted.left_out.iter().map(|left_out| left_out.what).collect();
    assert_eq!(told, ["outages of the broker", "settings of the broker: it is as it is"]);
}

fn connects(plan: &Plan) -> impl Iterator<Item = &Connecting> {
    plan.steps.iter().filter_map(|step| match &step.act {
        Act::Client(_, Doing::Connect(connecting)) => Some(&**connecting),
        _ => None,
    })
}

#[test]
fn clients_that_have_to_speak_an_older_version_want_nothing_that_it_cannot_say() {
    let offer = Offer { versions: vec![Version::V3_1_1], shared: false, identifiers: false, ..Offer::default() };
    let mut downgraded = 0;
    for seed in 0..100 {
        let plan = generate::plan(seed);
        let fitted = fit(&plan, &offer).plan;
        // The plan beside a trace is a script that can be played again.
        let text = fitted.to_script();
        let script = Script::parse("storm.yaml", &text).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(script.plan(), Some(&fitted), "seed {seed}");
        downgraded += connects(&plan).filter(|connecting| connecting.maximum_packet_size.is_some()).count();
        for connecting in connects(&fitted) {
            assert_eq!((connecting.maximum_packet_size, connecting.receive_maximum), (None, None), "seed {seed}");
        }
    }
    assert!(downgraded > 0, "no client had a bound of its own");
}

#[test]
fn an_honest_broker_is_never_accused() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    let accused: Vec<(u64, Vec<Breach>)> =
        (0..seeds).map(|seed| (seed, found(seed, None))).filter(|(_, breaches)| !breaches.is_empty()).collect();
    let words: Vec<String> = accused
        .iter()
        .flat_map(|(seed, breaches)| breaches.iter().map(move |breach| format!("{seed}: {breach}")))
        .collect();
    assert!(words.is_empty(), "{} seeds\n{}", accused.len(), words[..words.len().min(60)].join("\n"));
}

/// Broken brokers that nobody can tell from an honest one at the edge of a real server, and why.
const UNSEEN: [(&str, &str); 30] = [
    ("grants less than it says", "SUBACK says so, and a server may"),
    ("grants QoS 1 for QoS 2", "SUBACK says so, and a server may"),
    ("says nothing to a ping now and then", "the client leaves before anybody would call the answer late"),
    ("keeps sessions for ever", "no client stays away for longer than a clock may be late"),
    ("keeps sessions for a second too long", "a clock may be late"),
    ("waits for silent clients for ever", "the client is back before, and takes its session over"),
    ("waits for silent clients a second too long", "a clock may be late"),
    ("does not tell a client that it was taken over", "it need not"),
    ("sends what is retained whatever Retain Handling says", "what came as retained may have been asked for"),
    ("does not let wills wait", "what became of the connection is seldom sure"),
    ("retains no wills", "a will and a message may have met in any order"),
    ("acknowledges what its store cannot keep", "no storm makes the disk of a real server fail"),
    ("grants a subscription that its store cannot keep", "no storm makes the disk of a real server fail"),
    ("gives everybody without a name the same one", "everybody has a name there"),
    ("tells nobody the name that it has given", "everybody has a name there"),
    ("does not say what it does not have", "what a server does not have was left out of its storms"),
    ("says that it does not have what it has", "a server that says so is asked for none of it"),
    ("refuses a subscription now and then", "a server may"),
    ("lets in whose will it cannot have", "what a server does not have was left out of its storms"),
    ("takes RETAIN where it says that it retains nothing", "what a server does not have was left out of its storms"),
    ("grants an older client what it does not have", "what a server does not have was left out of its storms"),
    ("retains what it says that it retains nothing of", "what a server does not have was left out of its storms"),
    ("hears a message before CONNECT", "everybody is a client there"),
    ("answers who has not said CONNECT", "everybody is a client there"),
    ("lets in who has not said CONNECT", "everybody is a client there"),
    ("waits for CONNECT for ever", "everybody is a client there"),
    ("grants what there is no room for", "nobody knows how much room a server has"),
    ("minds no packet that is none of a client's", "no client of a real server's storm breaks a rule"),
    ("says that all is well to who has broken a rule", "no client of a real server's storm breaks a rule"),
    ("takes no notice of what is above its Receive Maximum", "no client of a real server's storm breaks a rule"),
];

#[test]
fn an_accusation_names_the_rules_of_the_version_that_is_spoken() {
    let offer = |version| Offer { versions: vec![version], shared: false, identifiers: false, ..Offer::default() };
    for (version, words) in [(Version::V3_1_1, "3.1.1/"), (Version::V5_0, "5.0/")] {
        let broker = broken::all().find(|broker| broker.name == "repeats without DUP").expect("there is one");
        let first = (0..200).find_map(|seed| {
            let plan = fit(&generate::plan(seed), &offer(version)).plan;
            judged(&plan, Some(broker.filter())).into_iter().next()
        });
        let statements = first.expect("it is noticed").statements();
        assert!(!statements.is_empty() && statements.iter().all(|one| one.starts_with(words)), "{statements:?}");
    }
}

#[test]
fn broken_brokers_are_noticed_by_what_passes_the_edge() {
    let mut missed = Vec::new();
    let is_unseen = |broker: &&Broken| UNSEEN.iter().any(|(name, _)| *name == broker.name);
    for broker in broken::all().filter(|broker| !is_unseen(broker)) {
        match (0..200).find_map(|seed| found(seed, Some(broker.filter())).into_iter().next().map(|first| (seed, first)))
        {
            Some((seed, first)) => println!("{:66} seed {seed:3}  {}", broker.name, first.invariant),
            None => missed.push(broker.name),
        }
    }
    assert!(missed.is_empty(), "{} of {} not noticed:\n{}", missed.len(), broken::all().count(), missed.join("\n"));
}
