//! Storms through the real drivers: our broker comes through, a seed is one storm, and what passes the edge there is enough to judge by.

use std::time::Duration;

use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::plan::Act;
use squall_sim::{
    history::{Event, Happened, History},
    invariants::{
        Invariant,
        at_edge::{Allowance, judge},
    },
    storm::{generate, report::Report, run::StormRun, sweep::Sweep},
    turmoil::storm::{fitted, play},
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

#[test]
fn what_befalls_the_broker_is_left_out_and_said_to_be() {
    let plan = (0..).map(generate::plan).find(|plan| plan.steps.iter().any(|step| matches!(step.act, Act::Disk(_))));
    let fitted = fitted(&plan.expect("disks fail"));
    assert!(fitted.plan.steps.iter().all(|step| !matches!(step.act, Act::Disk(_) | Act::Outage(_))));
    let told: Vec<&str> = fitted.left_out.iter().map(|left_out| left_out.what).collect();
    assert!(told.contains(&"faults of the broker's disk"), "{told:?}");
    assert!(!told.iter().any(|what| what.starts_with("settings")), "this broker is set up as the plan says: {told:?}");
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
