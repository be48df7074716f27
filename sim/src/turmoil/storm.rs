//! Plays a storm through the real drivers: the broker's own, on its host, before clients whose sockets are turmoil's.
//!
//! Nobody stands at the broker's edge, as at any server with an address: what has passed it is judged as there. But at the end the
//! broker can be asked what it still holds.

use std::{collections::BTreeMap, io, rc::Rc, time::Duration};

use squall_broker::core::statistics::Statistics;
use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
    version::Version,
};
use squall_scenarios::{
    faulty_stream::FaultyStream,
    links::Links,
    outage::{DiskState, Outage, Stop},
    plan::Plan,
    settings::Storage,
    stage::{LocalFuture, TOPIC_ROOT},
    transcript::EntryId,
};
use tokio::time::{Instant, sleep};

use super::{
    LONGEST, TICK, TurmoilOptions,
    power::Power,
    simulated,
    sockets::{PORT, abort, dial},
};
use crate::{
    history::{Happened, History},
    invariants::{Breach, Invariant, at_edge::Allowance},
    journal::Forgets,
    model::Tally,
    run::{DEFAULT_LATENCY, RunError},
    storm::{
        fit::{Fitted, Offer, SETTINGS, fit},
        live::{self, Field, Place, Reach, Standing},
        run::{StormRun, note_the_end},
    },
    story::NAMESPACE,
    subject::{Medium, Subject},
    told::AT_REST,
};

/// Virtual clocks are exact; turmoil's steps and the drivers' turns are what an answer may take.
const ALLOWANCE: Allowance =
    Allowance { answer: Duration::from_millis(500), clock: Duration::from_millis(100), lag: Duration::from_millis(50) };

/// What becomes of a plan in this world: without outages of a broker that keeps nothing, and with room for every message, because
/// nobody is told at an edge that a queue was full.
pub fn fitted(plan: &Plan) -> Fitted {
    let keeps = !matches!(plan.broker.store, None | Some(Storage::None));
    let outages = if keeps { vec![Stop::Restart, Stop::Crash, Stop::PowerLoss] } else { Vec::new() };
    let offer = Offer { outages, disks: keeps, ..Offer::of(&plan.broker) };
    let mut fitted = fit(plan, &offer);
    // All others hold: this broker can be set up.
    fitted.left_out.retain(|left_out| left_out.what != SETTINGS);
    let broker = &mut fitted.plan.broker;
    (broker.queued_messages, broker.queue_policy, broker.retained_messages) = (None, None, None);
    broker.unflushed_soft = None;
    // Nor that there was no room for it.
    (broker.connections, broker.sessions, broker.subscriptions_per_session) = (None, None, None);
    fitted
}

/// Plays it, as far as it can be played here. Everything comes from the plan's seed.
pub fn play(plan: &Plan) -> StormRun {
    play_with(plan, None)
}

/// Plays it before a broker whose journal, if it has one, loses these records.
pub fn play_with(plan: &Plan, forgets: Option<Forgets>) -> StormRun {
    let plan = fitted(plan).plan;
    let subject = Subject::of(&plan.broker, NAMESPACE, plan.seed);
    if let (Some(forgets), Some(Medium::Journal(journal))) = (forgets, &subject.medium) {
        journal.forgets(forgets);
    }
    let time_limit = LONGEST.max(plan.lasts + plan.calm + Duration::from_secs(10));
    let options = TurmoilOptions { subject, time_limit, ..TurmoilOptions::new(plan.seed) };
    let links = Links::new(plan.seed);
    let transcript = links.transcript();
    let mut elapsed = Duration::ZERO;
    let (own, noted) = (links.clone(), transcript.clone());
    let outcome = simulated(&options, &links, &mut elapsed, move |power| {
        Box::pin(async move {
            let place = Place {
                reach: Rc::new(Simulated(power.clone())),
                credentials: None,
                namespace: NAMESPACE.to_owned(),
                topic_root: TOPIC_ROOT.to_owned(),
                allowance: ALLOWANCE,
            };
            let (mut judged, standing) = live::play(&plan, &place, &own, &noted).await;
            // Until it came to rest: that all connections end then is no part of the storm.
            let transcript = noted.so_far();
            judged.breaches.extend(held(&power, standing, (judged.elapsed, EntryId(noted.len()))).await);
            (judged, transcript)
        })
    });
    let untouched = links.unhit();
    let placed = links.placed();
    let (breaches, error, transcript, elapsed) = match outcome {
        Ok((judged, so_far)) => (judged.breaches, judged.failed.map(RunError::Broken), so_far, judged.elapsed),
        Err(error) => (Vec::new(), Some(error), transcript, elapsed),
    };
    note_the_end(&transcript, &breaches, elapsed, AT_REST);
    StormRun {
        breaches,
        error,
        digest: transcript.digest(),
        tally: tally(&History::of(&transcript)),
        faults: (placed.saturating_sub(untouched.len()), placed),
        untouched,
        transcript,
        struck: Vec::new(),
        cuts: BTreeMap::new(),
        events: 0,
        elapsed,
    }
}

/// What the broker still holds, which nobody at the edge can see: of connections at rest nothing that is to be written, and of those
/// that have ended nothing at all.
async fn held(power: &Power, standing: Standing, (at, entry): (Duration, EntryId)) -> Vec<Breach> {
    let breach = |detail| Breach { invariant: Invariant::Baseline, at, entry, version: None, detail, about: None };
    let mut breaches = Vec::new();
    if let Some(Statistics { unflushed_bytes: bytes @ 1.., .. }) = power.statistics().await {
        breaches.push(breach(format!("the broker still has {bytes} bytes to write")));
    }
    drop(standing);
    let asked = Instant::now();
    while let Some(Statistics { connections: open @ 1.., .. }) = power.statistics().await {
        if asked.elapsed() > ALLOWANCE.answer {
            breaches.push(breach(format!("the broker still has {open} connections, and all have ended")));
            break;
        }
        sleep(TICK).await;
    }
    breaches
}

/// What has passed the edge, in numbers.
fn tally(history: &History) -> Tally {
    let mut tally = Tally::default();
    for event in &history.events {
        match &event.what {
            Happened::Sent(packet) => {
                tally.received += 1;
                if matches!(packet, Packet::Publish(Publish { qos: Qos::AtMostOnce, .. })) {
                    tally.accepted[0] += 1;
                }
            }
            Happened::Received(packet) => {
                tally.sent += 1;
                match packet {
                    Packet::Publish(_) => tally.delivered += 1,
                    Packet::Puback(ack) if !ack.reason.is_failure() => tally.accepted[1] += 1,
                    Packet::Pubrec(ack) if !ack.reason.is_failure() => tally.accepted[2] += 1,
                    _ => {}
                }
            }
            Happened::Ended { .. } | Happened::Hindered => {}
        }
    }
    tally
}

/// The way to the broker of this world.
struct Simulated(Power);

impl Reach for Simulated {
    fn connect(&self, field: &Field, actor: &str, _version: Version) -> LocalFuture<'static, io::Result<FaultyStream>> {
        let (field, actor, power) = (field.clone(), actor.to_owned(), self.0.clone());
        Box::pin(async move { Ok(field.join(&actor, dial(&power, PORT).await?, abort)) })
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'static, Result<(), String>> {
        let power = self.0.clone();
        Box::pin(async move { power.outage(outage).await })
    }

    fn start(&self) -> LocalFuture<'static, Result<(), String>> {
        let power = self.0.clone();
        Box::pin(async move { power.start().await })
    }

    fn set_disk(&self, state: DiskState) {
        if let Some(medium) = self.0.medium() {
            medium.set_state(state);
        }
    }

    fn distance(&self) -> Duration {
        DEFAULT_LATENCY
    }
}
