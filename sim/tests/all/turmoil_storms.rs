//! Storms through the real drivers: our broker comes through, a seed is one storm, and what passes the edge there is enough to judge by.

use std::time::Duration;

use squall_broker::core::effect::Record;
use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::{
    outage::DiskState,
    plan::{Act, Plan, Step},
    settings::Storage,
    transcript::What,
};
use squall_sim::{
    history::{Event, Happened, History},
    invariants::{
        Invariant,
        at_edge::{Allowance, judge},
    },
    journal::Forgets,
    storm::{generate, report::Report, run::StormRun, sweep::Sweep},
    turmoil::storm::{fitted, play, play_with},
    world::VirtualWorld,
};

const SEEDS: u64 = 24;

fn sweep(jobs: usize) -> Report {
    Sweep { world: VirtualWorld::Turmoil, jobs, ..Sweep::of(0..SEEDS) }.run(&mut |_, _| {})
}

#[test]
fn our_broker_comes_through_storms_before_its_real_driver_and_a_seed_is_one_storm() {
    let report = sweep(2);
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!(report.played, SEEDS);
    assert!(report.accepted.iter().all(|accepted| *accepted > 100), "{report}");
    assert!(report.faults.0 > SEEDS, "{report}");
    // On one thread or on two, now or later.
    assert_eq!(sweep(1), report);
    let text = report.to_string();
    assert!(text.starts_with("24 storms in turmoil, seeds 0 to 23\n"), "{text}");
    assert!(!text.contains("situations"), "the model is not there: {text}");
}

/// Plans whose broker goes down, with this kind of store.
fn going_down(is_wanted: fn(Option<Storage>) -> bool) -> impl Iterator<Item = Plan> {
    let goes_down = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.act, Act::Outage(_)));
    (0..).map(generate::plan).filter(move |plan| is_wanted(plan.broker.store) && goes_down(plan))
}

#[test]
fn outages_of_a_broker_that_keeps_nothing_are_left_out_and_said_to_be() {
    let plan = going_down(|store| store == Some(Storage::None)).next().expect("some keep nothing");
    let fitted = fitted(&plan);
    assert!(fitted.plan.steps.iter().all(|step| !matches!(step.act, Act::Outage(_))));
    let told: Vec<&str> = fitted.left_out.iter().map(|left_out| left_out.what).collect();
    assert!(told.contains(&"outages of the broker"), "{told:?}");
    assert!(!told.iter().any(|what| what.starts_with("settings")), "this broker is set up as the plan says: {told:?}");
}

/// What the record says of the broker itself.
fn blows(run: &StormRun) -> Vec<String> {
    let entries = run.transcript.entries();
    let of_broker = entries.iter().filter(|entry| &*entry.actor == "broker");
    of_broker
        .filter_map(|entry| match &entry.what {
            What::Fault { summary } => Some(summary.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_broker_goes_down_and_comes_back_with_what_it_has_acknowledged() {
    let mut seen = [0; 3];
    for plan in going_down(|store| store == Some(Storage::Journal)).take(24) {
        let run = play(&plan);
        assert_eq!((&run.error, run.breaches.as_slice()), (&None, &[][..]), "seed {}", plan.seed);
        let blows = blows(&run);
        let back = blows.iter().filter(|blow| *blow == "the broker runs again").count();
        let down = |how: &str| blows.iter().filter(|blow| blow.starts_with(how)).count();
        let ways = ["the broker restarts", "the broker is killed", "the broker's power fails"].map(down);
        assert_eq!(ways.iter().sum::<usize>(), back, "{blows:?}");
        seen.iter_mut().zip(ways).for_each(|(seen, count)| *seen += count);
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?} of each way to go down");
}

#[test]
fn a_disk_fails_and_works_again_under_the_real_driver() {
    let is_blow = |step: &Step| step.on.is_none() && matches!(step.act, Act::Disk(DiskState::Full | DiskState::Broken));
    let fails = |plan: &Plan| plan.steps.iter().any(is_blow);
    for plan in going_down(|store| store == Some(Storage::Journal)).filter(fails).take(6) {
        let run = play(&plan);
        assert_eq!((&run.error, run.breaches.as_slice()), (&None, &[][..]), "seed {}", plan.seed);
        let blows = blows(&run);
        assert!(blows.iter().any(|blow| blow == "the disk works again"), "{blows:?}");
    }
}

#[test]
fn a_store_that_loses_what_was_acknowledged_is_caught() {
    let caught = |forgets: Forgets| -> Vec<Invariant> {
        let runs =
            going_down(|store| store == Some(Storage::Journal)).take(32).map(|plan| play_with(&plan, Some(forgets)));
        runs.flat_map(|run| run.breaches.into_iter().map(|breach| breach.invariant)).collect()
    };
    assert!(caught(|_| true).contains(&Invariant::SessionPresent));
    let lost = caught(|record| matches!(record, Record::Subscribed { .. }));
    assert!(lost.contains(&Invariant::AtLeastOnce) || lost.contains(&Invariant::ExactlyOnce), "{lost:?}");
}

/// The history of a storm without the first delivery at QoS 1 of a connection that lives on, and without its acknowledgement.
fn robbed(run: &StormRun) -> Option<History> {
    let history = History::of(&run.transcript);
    let ends = |event: &Event| matches!(event.what, Happened::Ended { .. } | Happened::Hindered);
    let lives_on = |name| !history.events.iter().any(|event| event.connection == name && ends(event));
    let (at, id) = history.events.iter().enumerate().find_map(|(at, event)| match &event.what {
        Happened::Received(Packet::Publish(publish))
            if publish.qos == Qos::AtLeastOnce && !publish.retain && lives_on(event.connection.clone()) =>
        {
            Some((at, publish.packet_id?))
        }
        _ => None,
    })?;
    let name = history.events[at].connection.clone();
    let answer = history.events.iter().position(|event| {
        let is_it = |packet: &Packet| matches!(packet, Packet::Puback(ack) if ack.packet_id == id);
        event.connection == name && matches!(&event.what, Happened::Sent(packet) if is_it(packet))
    })?;
    let kept = history.events.iter().enumerate().filter(|(position, _)| ![at, answer].contains(position));
    Some(History { events: kept.map(|(_, event)| event.clone()).collect(), ..history.clone() })
}

#[test]
fn a_message_that_is_taken_out_of_what_was_seen_is_missed() {
    let allowance = Allowance {
        answer: Duration::from_millis(500),
        clock: Duration::from_millis(100),
        lag: Duration::from_millis(50),
    };
    let mut missed = 0;
    for seed in 0..SEEDS {
        let run = play(&generate::plan(seed));
        let Some(history) = robbed(&run) else { continue };
        let breaches = judge(&history, run.elapsed, &allowance).at_the_end();
        missed += u32::from(breaches.iter().any(|breach| breach.invariant == Invariant::AtLeastOnce));
    }
    assert!(missed > 0, "nobody missed it in any of {SEEDS} storms");
}
